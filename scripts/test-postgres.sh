#!/usr/bin/env bash
# A throw-away Postgres for the tests: `test-postgres.sh` starts one (or finds the one that runs) and prints how to
# reach it, `test-postgres.sh status` tells by its exit code whether it runs, `test-postgres.sh stop` ends it and
# removes its data.
#
#   export "$(scripts/test-postgres.sh)"
set -euo pipefail

state="${LOGGIA_TEST_STATE:-${XDG_CACHE_HOME:-$HOME/.cache}/loggia-test}"
# A socket's path has at most 107 bytes, and the server's account must be able to reach it.
home="/tmp/loggia-test-postgres-$(id -u)-$(printf %s "$state" | cksum | cut -d' ' -f1)"

bin=""
for folder in "${LOGGIA_POSTGRES_BIN_DIR:-}" $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -rV) ; do
    if [ -x "$folder/pg_ctl" ]; then bin="$folder"; break; fi
done
if [ -z "$bin" ] && command -v pg_ctl >/dev/null; then bin="$(dirname "$(command -v pg_ctl)")"; fi
if [ -z "$bin" ]; then
    echo "test-postgres: no Postgres server programs found; run scripts/setup.sh" >&2
    exit 1
fi

# Postgres refuses to run as root.
as_server() {
    if [ "$(id -u)" = 0 ]; then
        setpriv --reuid=postgres --regid=postgres --clear-groups -- "$@"
    else
        "$@"
    fi
}

is_running() { [ -d "$home/data" ] && as_server "$bin/pg_ctl" -D "$home/data" status >/dev/null 2>&1; }

if [ "${1:-start}" = status ]; then
    is_running
    exit
fi
if [ "${1:-start}" = stop ]; then
    if [ -d "$home/data" ]; then
        as_server "$bin/pg_ctl" -D "$home/data" -m immediate stop >&2 || true
        rm -rf "$home"
    fi
    exit 0
fi

if ! is_running; then
    rm -rf "$home"
    mkdir -p "$home"
    if [ "$(id -u)" = 0 ]; then chown postgres:postgres "$home"; fi
    cd "$home"
    as_server "$bin/initdb" --no-sync --auth=trust --username=loggia --encoding=UTF8 --locale=C.UTF-8 -D "$home/data" >/dev/null
    # Nothing here outlives the tests: durability would only cost time.
    as_server "$bin/pg_ctl" -D "$home/data" -w -l "$home/log" \
        -o "-c listen_addresses= -c unix_socket_directories=$home -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=300" \
        start >&2
fi
echo "LOGGIA_TEST_DATABASE_URL=host=$home user=loggia dbname=postgres"
