#!/usr/bin/env bash
# The whole test suite (`make test`). It needs no running services: the tests start S3 servers and Loggia
# themselves, and the Postgres and the container engine that they share are started here and ended again.
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

stop_own() {
    # What was there before is somebody else's.
    if [ -n "$own_postgres" ]; then
        scripts/test-postgres.sh stop
    fi
    if [ -n "$(engine_pid)" ] && [ "$(engine_pid)" != "$before" ]; then
        scripts/test-engine.sh stop
    fi
}

before="$(engine_pid || true)"
own_postgres=""
scripts/test-postgres.sh status || own_postgres=yes
trap stop_own EXIT
settings="$(scripts/test-engine.sh && scripts/test-postgres.sh)"
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
