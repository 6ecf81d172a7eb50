#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Compile for AArch64 and run tests under qemu-user. Exit 77: not run, what that needs cannot be installed.
# Usage: scripts/test-aarch64.sh [PART [DIRECTORY [SELFTEST]]]
#   host      the plain C path of cpu-simd against cpu-ref, cpu-ref's own tests, the thread team (default)
#   emulator  the emulator of CUDA with its own switch of threads, and the kernels of cuda-fp16 on it; its words are compared with
#             those of SELFTEST, simt_selftest_sim of this machine, where that is given
# DIRECTORY: build/aarch64, if not given.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

part=${1:-host}
out=$(realpath -m "${2:-build/aarch64}")
selftest=${3:-}
packages=(gcc-aarch64-linux-gnu g++-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user)
mkdir -p "$out"

not_run() {
    say "not run: $*"
    exit 77
}

# The compilers and the emulator of the processor.
if ! command -v aarch64-linux-gnu-gcc >/dev/null || ! command -v aarch64-linux-gnu-g++ >/dev/null ||
    ! command -v qemu-aarch64 >/dev/null; then
    say "installing: ${packages[*]}"
    as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 install \
        --no-install-recommends "${packages[@]}" >"$out/apt.log" 2>&1 ||
        not_run "cannot install ${packages[*]} (log: $out/apt.log)"
fi

# cmocka for arm64, unpacked and not installed: the system's list of architectures stays as it is.
if [ ! -e "$out/cmocka/usr/include/cmocka.h" ]; then
    apt=(apt-get -q -o APT::Architectures::=arm64 -o "Dir::State::lists=$out/apt/lists" -o "Dir::Cache=$out/apt/cache"
        -o APT::Sandbox::User=)
    mkdir -p "$out/apt/lists/partial" "$out/apt/cache/archives/partial"
    (cd "$out/apt" && "${apt[@]}" update && "${apt[@]}" download libcmocka-dev:arm64 libcmocka0:arm64) >"$out/apt.log" 2>&1 ||
        not_run "cannot fetch libcmocka-dev:arm64 (log: $out/apt.log)"
    for package in "$out"/apt/*.deb; do
        dpkg-deb -x "$package" "$out/cmocka"
    done
    rm -rf "$out/apt"
fi
cmocka=$out/cmocka/usr
libraries=$cmocka/lib/aarch64-linux-gnu

flags=(-O2 -fPIC -fvisibility=hidden -ffp-contract=off -Wall -Wextra -Werror -Wno-null-dereference
    -D_POSIX_C_SOURCE=200809L '-DTENON_VERSION="test"' -I. -Iinclude "-I$cmocka/include")

object() { printf '%s\n' "$out/$(tr / _ <<<"$1").o"; }
compile() {
    case $1 in
    *.c) aarch64-linux-gnu-gcc -std=c11 "${flags[@]}" -c "$1" -o "$(object "$1")" ;;
    *) aarch64-linux-gnu-g++ -std=c++17 -x c++ "${flags[@]}" -fvisibility-inlines-hidden -fno-strict-aliasing \
        -Iplugins/cuda/simt/shim '-DSIMT_SWITCH="aarch64"' -c "$1" -o "$(object "$1")" ;;
    esac
}
# compile_all SOURCE...: into the array `objects`, a compiler a processor at a time.
compile_all() {
    objects=()
    local source
    for source in "$@"; do
        compile "$source" &
        objects+=("$(object "$source")")
        [ $((${#objects[@]} % jobs)) -ne 0 ] || wait_all
    done
    wait_all
}
wait_all() {
    local pid
    for pid in $(jobs -p); do
        wait "$pid" || exit 1
    done
}
link() { aarch64-linux-gnu-g++ "$@" -lpthread -lm -ldl; }
emulate() { qemu-aarch64 -L /usr/aarch64-linux-gnu -E "LD_LIBRARY_PATH=$out:$libraries" "$@"; }

failed=0
# run_tests SOURCE... -- LINKED...: each is a program.
run_tests() {
    local tests=() test program
    while [ "$1" != -- ]; do
        tests+=("$1")
        shift
    done
    shift
    compile_all "${tests[@]}"
    for test in "${tests[@]}"; do
        program=$out/$(basename "${test%.*}")
        link "$(object "$test")" "$@" "-L$libraries" -lcmocka -o "$program"
        emulate "$program" || failed=1
    done
}

host_part() {
    local sources plugin kernels
    mapfile -t sources < <(printf '%s\n' core/base/*.c tests/support/{plugin_harness,linear_case}.c plugins/cpu-ref/*.c plugins/cpu-simd/*.c |
        grep -v -E '/isa_(avx|vnni|bf16)|/plugin\.c$')
    compile_all plugins/cpu-ref/plugin.c plugins/cpu-simd/plugin.c
    compile_all "${sources[@]}"
    for plugin in cpu-ref cpu-simd; do
        mapfile -t kernels < <(printf '%s\n' "${objects[@]}" | grep "plugins_${plugin}_")
        link -shared -Wl,--no-undefined "$(object "plugins/$plugin/plugin.c")" "${kernels[@]}" -o "$out/$plugin.so"
    done
    local linked=("${objects[@]}")
    run_tests tests/plugins/test_cpu_simd.c tests/plugins/test_cpu_ref_{attention,kv,linear,pack,rows}.c \
        tests/core/test_{float16,hash,team}.c -- "${linked[@]}"
}

emulator_part() {
    local simt=tests/plugins/simt
    compile_all plugins/cuda/simt/runtime/*.cpp
    link -shared -Wl,--no-undefined -Wl,--version-script=plugins/cuda/simt/simcuda.map "${objects[@]}" -o "$out/libtn-simcuda.so"
    compile_all "$simt"/{kernels,fragments,faults,patterns}.cu plugins/cuda-fp16/kernels/*.cu plugins/cpu-ref/kv.c
    local linked=("${objects[@]}" "-L$out" -ltn-simcuda)
    run_tests "$simt"/test_simt_{kernels,fragments,faults,counters,runtime}.cpp \
        tests/plugins/cuda-fp16/test_fp16_{linear,attention,rows,rope}.cpp -- "${linked[@]}"

    compile_all "$simt"/selftest/{selftest.cpp,wrappers.cu}
    link "${objects[@]}" "-L$out" -ltn-simcuda -o "$out/simt_selftest"
    emulate "$out/simt_selftest" >"$out/words-aarch64" || failed=1
    if [ -n "$selftest" ]; then
        "$selftest" >"$out/words-host" || failed=1
        python3 -B "$simt/selftest/compare_words.py" "$out/words-aarch64" "$out/words-host" || failed=1
    fi
}

case $part in
host) host_part ;;
emulator) emulator_part ;;
*) die "unknown part $part; allowed: host, emulator" ;;
esac
exit $failed
