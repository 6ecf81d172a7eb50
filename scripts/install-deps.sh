#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Install the Debian packages that building and testing need. Instant when they are there; needs root or sudo otherwise.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

packages=(
    build-essential cmake ninja-build pkg-config binutils file groff-base
    libyaml-dev libsentencepiece-dev libpcre2-dev libutf8proc-dev libjansson-dev libedit-dev libmicrohttpd-dev
    libcmocka-dev clang python3 python3-venv python3-pip
)

installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

if ! command -v dpkg-query >/dev/null; then
    say "not a Debian system: install the counterparts of these packages by hand: ${packages[*]}"
    exit 0
fi

missing=()
for package in "${packages[@]}"; do
    installed "$package" || missing+=("$package")
done
# The sanitizer and fuzzer runtimes of clang: one package a version, and one that names the default version.
if ! dpkg-query -W -f '${Package} ${db:Status-Status}\n' 'libclang-rt-*' 2>/dev/null | grep -q ' installed$'; then
    missing+=(libclang-rt-dev)
fi
[ ${#missing[@]} -gt 0 ] || exit 0

say "installing: ${missing[*]}"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "root is needed; run as root: apt-get install ${missing[*]}"
    as_root=(sudo)
fi
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
"${apt[@]}" -o APT::Update::Error-Mode=any update >"$log" 2>&1 || {
    tail -n 5 "$log" >&2
    die "cannot update the package lists (is there a network?); still missing: ${missing[*]}"
}
"${apt[@]}" install --no-install-recommends "${missing[@]}" >"$log" 2>&1 || {
    tail -n 15 "$log" >&2
    die "cannot install: ${missing[*]}"
}
