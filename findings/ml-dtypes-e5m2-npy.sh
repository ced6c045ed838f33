#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ml_dtypes 0.6.0 with NumPy 2.4.6: of the narrow types, float8_e5m2 alone is saved by numpy.save under a
# descriptor, '<f1', that numpy.load refuses: the file is written without a word and cannot be read back.
# Its siblings (E4M3FN, E5M2FNUZ, bfloat16, FP4, int4) are saved as raw '<V1' or '<V2' and load as void.
# Seen:
#     float8_e4m3fn: saved as <V1, loads as |V1
#     float8_e5m2: saved as <f1, ValueError
#     float8_e5m2fnuz: saved as <V1, loads as |V1
#     bfloat16: saved as <V2, loads as |V2
# Who writes such files stores array.view('V1'), or reads the header himself and takes '<f1' for E5M2.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check ml_dtypes==0.6.0 numpy==2.4.6
"$tmp/venv/bin/python" - >"$tmp/seen" <<'PY'
import io
import re

import ml_dtypes
import numpy as np

for name in ("float8_e4m3fn", "float8_e5m2", "float8_e5m2fnuz", "bfloat16"):
    f = io.BytesIO()
    np.save(f, np.array([1, 2, 3], getattr(ml_dtypes, name)))
    saved = re.search(rb"'descr': '([^']*)'", f.getvalue()).group(1).decode()
    f.seek(0)
    try:
        what = f"loads as {np.load(f).dtype.str}"
    except ValueError as e:
        what = type(e).__name__
    print(f"{name}: saved as {saved}, {what}")
PY
cat "$tmp/seen"
cat >"$tmp/want" <<'EOF'
float8_e4m3fn: saved as <V1, loads as |V1
float8_e5m2: saved as <f1, ValueError
float8_e5m2fnuz: saved as <V1, loads as |V1
bfloat16: saved as <V2, loads as |V2
EOF
cmp "$tmp/seen" "$tmp/want" && echo "as stated"
