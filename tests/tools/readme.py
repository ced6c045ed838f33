# SPDX-License-Identifier: Apache-2.0
"""Every example of the README, as a reader would type it: its ```sh blocks, one shell for all of them."""
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "model"))
from scalec import BUILD, SOURCE, Count  # noqa: E402


def main():
    count = Count("tools-readme")
    with open(os.path.join(SOURCE, "README.md")) as f:
        blocks = re.findall(r"```sh\n(.*?)```", f.read(), re.S)
    assert len(blocks) >= 4, "the README has lost its examples"
    lines = [line for b in blocks for line in b.strip().split("\n")]
    with tempfile.TemporaryDirectory() as tmp:
        # The reader's build folder: the real compiler and libraries, and results that go away.
        os.makedirs(os.path.join(tmp, "build"))
        for name in ("tools", "runtime"):
            os.symlink(os.path.abspath(os.path.join(BUILD, name)), os.path.join(tmp, "build", name))
        for name in ("tests", "runtime"):
            os.symlink(os.path.abspath(os.path.join(SOURCE, name)), os.path.join(tmp, name))
        settings = [line for line in lines if re.match(r"^\w+=", line)]
        for line in lines:
            if line in settings:
                continue

            def run():
                script = "\n".join(["set -eu", *settings, line])
                p = subprocess.run(["sh", "-c", script], cwd=tmp, capture_output=True, text=True)
                assert p.returncode == 0, p.stderr
                assert p.stdout or "-o " in line, "it printed nothing"
            count.check(line, run)
    count.close()


main()
