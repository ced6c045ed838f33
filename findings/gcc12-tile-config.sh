#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# GCC 12.2 (Debian 12's), immintrin.h: _tile_loadconfig, which has the processor read 64 bytes (AMX), tells the optimizer
# that 8 are read. What a function writes into the other 56 of its own variable is taken for dead: the rows and columns
# of the tile registers, from byte 16 on, are never stored, and the first tile instruction faults, or works with what the
# stack held. Seen, at -O2 of a function that sets byte 0, which is kept, and byte 48 to its argument:
#     stores of the argument: 0
# With the configuration in a static constant nothing is lost. Clang 19 takes all 64 bytes as read.
# Runs on Debian 12, where the libraries of its compiler are (libmpc3, libmpfr6, libisl23); no AMX is needed.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
for p in gcc-12 cpp-12 libgcc-12-dev; do
    apt-get download -q "$p=12.2.0-14+deb12u1" >/dev/null 2>&1
    dpkg -x "$p"_*.deb root
done
cat >config.c <<'EOF'
#include <immintrin.h>
void load(unsigned char rows)
{
    unsigned char config[64] = {1};
    config[48] = rows;
    _tile_loadconfig(config);
}
EOF
root/usr/bin/x86_64-linux-gnu-gcc-12 -O2 -mamx-tile -S -o config.s config.c
grep -q ldtilecfg config.s
echo "stores of the argument: $(grep -c '%dil\|%edi' config.s || true)" | tee seen
[ "$(cat seen)" = "stores of the argument: 0" ] && echo "as stated"
