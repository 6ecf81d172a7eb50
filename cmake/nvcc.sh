#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# nvcc.sh STEM COMMAND...: compile to STEM.o with dependencies in STEM.d, the compiler's words in STEM.log and the PTX in
# STEM.ptx (of several architectures, the lowest). The words are shown when it fails.
set -eu
stem=$1
shift
keep=$stem.keep
rm -rf "$keep"
mkdir -p "$keep"
if ! "$@" --keep --keep-dir "$keep" -MD -MF "$stem.d" -MT "$stem.o" -c -o "$stem.o" >"$stem.log" 2>&1; then
    cat "$stem.log" >&2
    exit 1
fi
find "$keep" -name '*.ptx' | sort -V | head -n 1 | while read -r ptx; do mv "$ptx" "$stem.ptx"; done
rm -rf "$keep"
