# SPDX-License-Identifier: Apache-2.0
# Each line as a C string.
s/[\\"]/\\&/g
s/.*/"&\\n"/
