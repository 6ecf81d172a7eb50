#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Everything that needs a GPU, in one go: builds, then runs scripts/gpu.py, which has the parts and the options.
# Usage: scripts/gpu.sh [--dry-run] [--out FILE.json] [--model PATH]
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case " $* " in
*' --help '* | *' -h '*) exec python3 -B scripts/gpu.py --help ;;
*' --dry-run '*) ;;
*)
    command -v nvidia-smi >/dev/null || die "there is no nvidia-smi, so no GPU; --dry-run does on the emulator what can be done there"
    scripts/fetch-model.sh
    # The machine code of this GPU; 8.0 becomes 80.
    capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d .)
    cmake --preset release -DTENON_CUDA=ON -DTENON_CUDA_ARCHITECTURES="$capability" >/dev/null ||
        die "cannot configure for nvcc"
    ;;
esac
say "building (build/release)"
build release || exit 1
exec python3 -B scripts/gpu.py "$@"
