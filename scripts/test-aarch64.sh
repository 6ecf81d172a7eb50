#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Compile the host kernels for AArch64 and run their tests under qemu-user: the plain C path of cpu-simd against cpu-ref, cpu-ref's
# own tests, and the thread team. Usage: scripts/test-aarch64.sh [DIRECTORY], default build/aarch64.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

out=$(realpath -m "${1:-build/aarch64}")
tests=(tests/plugins/test_cpu_simd.c tests/plugins/test_cpu_ref_{attention,kv,linear,pack,rows}.c
    tests/core/test_{float16,hash,team}.c)
packages=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user)
mkdir -p "$out"

# The compiler and the emulator.
if ! command -v aarch64-linux-gnu-gcc >/dev/null || ! command -v qemu-aarch64 >/dev/null; then
    say "installing: ${packages[*]}"
    as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 install \
        --no-install-recommends "${packages[@]}" >"$out/apt.log" 2>&1 ||
        die "cannot install ${packages[*]} (log: $out/apt.log)"
fi

# cmocka for arm64, unpacked and not installed: the system's list of architectures stays as it is.
if [ ! -e "$out/cmocka/usr/include/cmocka.h" ]; then
    apt=(apt-get -q -o APT::Architectures::=arm64 -o "Dir::State::lists=$out/apt/lists" -o "Dir::Cache=$out/apt/cache"
        -o APT::Sandbox::User=)
    mkdir -p "$out/apt/lists/partial" "$out/apt/cache/archives/partial"
    (cd "$out/apt" && "${apt[@]}" update && "${apt[@]}" download libcmocka-dev:arm64 libcmocka0:arm64) >"$out/apt.log" 2>&1 ||
        die "cannot fetch libcmocka-dev:arm64 (log: $out/apt.log)"
    for package in "$out"/apt/*.deb; do
        dpkg-deb -x "$package" "$out/cmocka"
    done
    rm -rf "$out/apt"
fi
cmocka=$out/cmocka/usr
libraries=$cmocka/lib/aarch64-linux-gnu

flags=(-std=c11 -O2 -fPIC -fvisibility=hidden -ffp-contract=off -Wall -Wextra -Werror -Wno-null-dereference
    -D_POSIX_C_SOURCE=200809L -DTENON_TEAM_PTHREADS '-DTENON_VERSION="test"' -I. -Iinclude "-I$cmocka/include")
mapfile -t sources < <(printf '%s\n' core/base/*.c tests/support/{plugin_harness,linear_case}.c plugins/cpu-ref/*.c plugins/cpu-simd/*.c |
    grep -v -E '/isa_(avx|vnni)|/plugin\.c$')

# Objects once; then the plugins as such, and every test.
compile() {
    aarch64-linux-gnu-gcc "${flags[@]}" -c "$1" -o "$out/$(tr / _ <<<"$1").o"
}
object() { printf '%s\n' "$out/$(tr / _ <<<"$1").o"; }
objects=()
for source in "${sources[@]}" "${tests[@]}" plugins/cpu-ref/plugin.c plugins/cpu-simd/plugin.c; do
    compile "$source"
done
for source in "${sources[@]}"; do
    objects+=("$(object "$source")")
done
link() { aarch64-linux-gnu-gcc "$@" -lpthread -lm -ldl; }
for plugin in cpu-ref cpu-simd; do
    mapfile -t kernels < <(printf '%s\n' "${objects[@]}" | grep "plugins_${plugin}_")
    link -shared -Wl,--no-undefined "$(object "plugins/$plugin/plugin.c")" "${kernels[@]}" -o "$out/$plugin.so"
done

failed=0
for test in "${tests[@]}"; do
    program=$out/$(basename "$test" .c)
    link "$(object "$test")" "${objects[@]}" "-L$libraries" -lcmocka -o "$program"
    qemu-aarch64 -L /usr/aarch64-linux-gnu -E "LD_LIBRARY_PATH=$libraries" "$program" || failed=1
done
exit $failed
