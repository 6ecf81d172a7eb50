# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Shared by the scripts: sourced, not run. Sets root and changes to it.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

# say TEXT: one line of progress on stderr.
say() { printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2; }

# die TEXT: say it and stop.
die() {
    say "error: $*"
    exit 1
}

jobs=$(nproc 2>/dev/null || echo 2)

# ensure_venv: .venv with pip and the test packages of tests/requirements.txt; instant when it is up to date.
ensure_venv() {
    local stamp=.venv/requirements.txt
    if cmp -s tests/requirements.txt "$stamp"; then
        return 0
    fi
    say "making .venv with the packages of tests/requirements.txt"
    python3 -m venv .venv || die "cannot make .venv: is python3-venv installed?"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt ||
        die "cannot install tests/requirements.txt from PyPI (is there a network?)"
    cp tests/requirements.txt "$stamp"
}

# build PRESET [TARGET...]: configure once, then build; the compiler's output is shown only when it fails.
build() {
    local preset=$1 log
    shift
    mkdir -p "build/$preset"
    log="build/$preset/build.log"
    if ! { [ -f "build/$preset/build.ninja" ] || cmake --preset "$preset"; } >"$log" 2>&1 ||
        ! cmake --build --preset "$preset" -j "$jobs" ${@:+--target "$@"} >>"$log" 2>&1; then
        tail -n 40 "$log" >&2
        say "error: the $preset build failed (whole log: $log)"
        return 1
    fi
}
