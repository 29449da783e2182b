#!/usr/bin/env bash
# Asks a real edge those tests of the public suite http-cache-tests that a static host can be asked
# (docs/HTTP-CACHE-TESTS.md). Exit status 1 if one fails.
#
#   scripts/http-cache-tests.sh [LOGGIA]    the binary that is asked; without one, the debug build is made and taken
#
# The suite comes from npm, in the version and with the hash of the lock file. That is why `make test` is without it.
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"

if [ $# -gt 0 ]; then
    binary="$(realpath "$1")"
else
    export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}"
    cargo build --locked --manifest-path "$root/Cargo.toml" --package loggia-cli --bin loggia
    binary="$CARGO_TARGET_DIR/debug/loggia"
fi

cd "$root/e2e/http-cache-tests"
npm ci --prefer-offline --loglevel=error >/dev/null
exec node main.mjs "$binary" "$root/docs/HTTP-CACHE-TESTS.md"
