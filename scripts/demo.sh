#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# From a fresh Debian machine to an answer: packages, build, model, one question. Usage: scripts/demo.sh [QUESTION]
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

question=${1:-Name the capital of France.}

scripts/install-deps.sh
say "building (build/release)"
build release tenon tenon_plugins || exit 1
scripts/fetch-model.sh
say "question: $question"
exec build/release/bin/tenon run --profile configs/demo.yaml -p "$question"
