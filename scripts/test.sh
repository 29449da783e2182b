#!/usr/bin/env bash
# The whole test suite (`make test`). It needs no running services: the tests start Postgres, S3 servers and Loggia
# themselves, and the container engine that some of them need is started here and ended again.
#
#   scripts/test.sh [ARGUMENTS FOR THE TEST RUNNER]
set -euo pipefail
cd "$(dirname "$0")/.."

STATE="${LOGGIA_TEST_STATE:-${XDG_CACHE_HOME:-$HOME/.cache}/loggia-test}"
PIDFILE="$STATE/engine/dockerd.pid"

engine_pid() {
    local pid
    pid="$(cat "$PIDFILE" 2>/dev/null)" && kill -0 "$pid" 2>/dev/null && echo "$pid"
}

stop_own_engine() {
    # One that was there before is somebody else's.
    if [ -n "$(engine_pid)" ] && [ "$(engine_pid)" != "$before" ]; then
        scripts/test-engine.sh stop
    fi
}

before="$(engine_pid || true)"
trap stop_own_engine EXIT
settings="$(scripts/test-engine.sh)"
while IFS= read -r setting; do
    export "${setting?}"
done <<<"$settings"

# The journeys run this binary.
cargo build --locked --package loggia-cli --bin loggia
if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --locked --workspace "$@"
else
    cargo test --locked --workspace --all-targets "$@"
fi
