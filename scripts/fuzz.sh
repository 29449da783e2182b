#!/usr/bin/env bash
# Tries changed inputs of every kind (crates/serve/tests/fuzz), each kind for LOGGIA_FUZZ_SECS seconds, as many at once
# as there are processors.
#
#   scripts/fuzz.sh [ARGUMENTS FOR THE TEST RUNNER]
set -euo pipefail
cd "$(dirname "$0")/.."

export LOGGIA_FUZZ_SECS="${LOGGIA_FUZZ_SECS:-60}"
if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --locked --cargo-profile fuzz --package loggia-serve --test fuzz \
        --no-fail-fast --success-output immediate "$@"
else
    cargo test --locked --profile fuzz --package loggia-serve --test fuzz "$@" -- --nocapture
fi
