#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Build and run the tests. Usage: scripts/test.sh [--quick | --slow | --all]
#   --quick   unit tests of the release build only
#   --slow    also the tests with the label slow (the real model, long simulations)
#   --all     these too, and all that nvcc compiles, for every architecture of the project (the preset cuda)
# Each part prints its time; the exit status is 0 only when every part passed.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

mode=normal
case "${1:-}" in
'') ;;
--quick) mode=quick ;;
--slow) mode=slow ;;
--all) mode=all ;;
*) die "unknown argument $1; allowed: --quick, --slow, --all" ;;
esac

logs=build/test-logs
mkdir -p "$logs"
rm -f "$logs"/*.log
failed=()
started=$SECONDS

# part NAME COMMAND...: run one part, its output into a log that is shown when it fails.
part() {
    local name=$1 start=$SECONDS
    shift
    if ("$@") >"$logs/$name.log" 2>&1; then
        printf '%-20s passed  %4d s\n' "$name" $((SECONDS - start))
    else
        printf '%-20s FAILED  %4d s\n' "$name" $((SECONDS - start))
        tail -n 60 "$logs/$name.log" >&2
        failed+=("$name")
        return 1
    fi
}

# run_tests PRESET LABEL [EXCLUDED]: all tests of a label; none at all is a failure. The log has their full output.
# shellcheck disable=SC2317  # called through part
run_tests() {
    local tmp=build/$1/Testing/Temporary status=0
    mkdir -p "$tmp"
    rm -f "$tmp/LastTest.log"
    ctest --test-dir "build/$1" -L "^$2\$" ${3:+-LE "$3"} -j "$jobs" --no-tests=error --output-on-failure \
        >"$tmp/summary.log" 2>&1 || status=$?
    cat "$tmp/LastTest.log" "$tmp/summary.log" || status=1
    return "$status"
}

# Every architecture by nvcc: a warning, a spilled register or a stack fails. The log has a line for each.
# shellcheck disable=SC2317  # called through part
all_architectures() {
    if ! command -v nvcc >/dev/null && [ ! -x /usr/local/cuda/bin/nvcc ]; then
        echo "SKIPPED [cuda-all] there is no nvcc"
        return 0
    fi
    build cuda cuda_code && ctest --test-dir build/cuda -R '^cuda_(architectures|budget)_' --no-tests=error -V
}

finish() {
    local skipped
    # cmocka, pytest and ctest each have a word for it.
    skipped=$({ cat "$logs"/*.log | grep -E '^\[  SKIPPED \] [a-z_0-9]+$|^SKIPPED \[|\*\*\*Skipped' || true; } | sort -u)
    if [ -n "$skipped" ]; then
        printf 'not run:\n%s\n' "$skipped"
    fi
    local n_skipped
    n_skipped=$(grep -c . <<<"$skipped" || true)
    if [ ${#failed[@]} -gt 0 ]; then
        echo "tests: FAILED (${failed[*]}), $n_skipped skipped, $((SECONDS - started)) s"
        exit 1
    fi
    if [ "$n_skipped" -gt 0 ]; then
        echo "tests: passed, but $n_skipped skipped (listed above), $((SECONDS - started)) s"
    else
        echo "tests: all passed, $((SECONDS - started)) s"
    fi
    exit 0
}

part packages scripts/install-deps.sh || finish
part build-release build release || finish
if [ "$mode" = quick ]; then
    part unit run_tests release unit slow || true
    finish
fi

part python ensure_venv || true
part model scripts/fetch-model.sh || true
if part build-asan build asan; then
    part unit-asan-ubsan run_tests asan unit slow || true
fi
if part build-tsan build tsan tsan_tests; then
    part tsan run_tests tsan tsan slow || true
fi
if part build-fuzz build fuzz fuzz_targets; then
    part fuzz run_tests fuzz fuzz || true
fi
part lint run_tests release lint || true
part e2e run_tests release e2e slow || true
part acceptance run_tests release acceptance slow || true
if [ "$mode" = slow ] || [ "$mode" = all ]; then
    part slow run_tests release slow || true
fi
if [ "$mode" = all ]; then
    part cuda-all all_architectures || true
fi
finish
