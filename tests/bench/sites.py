# SPDX-License-Identifier: Apache-2.0
"""Whether `scalec check` finds the sites that cost most: `tests/bench/run sites DIR [SECONDS]`.

DIR holds NAME.onnx, and beside it samples in NAME.judge/*.npz. SECONDS is what check may spend (60, as by default). Of
each model, recipe fp8 with the scales it takes by default: how many sites there are and how many check measured in its
time, dB of the outputs, and what they gain where some are kept in f32: those that check ranks first, one to three; the best three
of the twelve that gain most alone, of all their triples; the best three by steps, where each is the best of all sites
beside those kept already; the better one of these, after one of three was exchanged for any other as long as that
gained. The last column is the first of these against the last, in percent: exit status 1 where it is below 80."""
import glob
import os
import subprocess
import sys

BENCH = os.path.join(os.environ["SCT_BUILD"], "tests", "bench-sites")


def main():
    failed, seconds = False, sys.argv[2] if len(sys.argv) > 2 else "60"
    print("| model | sites | measured | SQNR | first of check | best of triples | best by steps | by exchange | % |\n|---" + "|---" * 8 + "|")
    for path in sorted(glob.glob(os.path.join(sys.argv[1], "*.onnx"))):
        name = os.path.basename(path)[:-5]
        p = subprocess.run([BENCH, path, path[:-5] + ".judge", "fp8", seconds], capture_output=True, text=True)
        if p.returncode:
            print(f"| {name} | {p.stderr.strip()} |", flush=True)
            failed = True
            continue
        row = p.stdout.split()
        share = 100 * float(row[3]) / float(row[-1])
        failed = failed or share < 80
        print(f"| {name} | {' | '.join(row)} | {share:.0f} |", flush=True)
    return failed


sys.exit(main())
