#!/usr/bin/env bash
# A container engine and a build image for the tests, on Debian as root, without any image registry.
#
#   scripts/test-engine.sh          make sure both are there; prints two lines for `eval` or `export`:
#                                     DOCKER_HOST=unix://…
#                                     LOGGIA_TEST_BUILD_IMAGE=…
#   scripts/test-engine.sh stop     end the engine that this script started (never another one)
#
# An engine that already answers (on DOCKER_HOST, or where the docker client looks by default) is used as it is.
# Otherwise `dockerd` is started with everything it writes below the state folder, so that it shares nothing with
# an engine the machine may get later. Running it again is cheap: what is there is kept.
#
# LOGGIA_TEST_STATE is the state folder (about 1.5 GB). Only the two lines go to stdout, the rest to stderr.
set -euo pipefail

STATE="${LOGGIA_TEST_STATE:-${XDG_CACHE_HOME:-$HOME/.cache}/loggia-test}"
IMAGE="loggia-test-build:1"
ENGINE="$STATE/engine"
SOCKET="$ENGINE/docker.sock"
PIDFILE="$ENGINE/dockerd.pid"
TAR="$STATE/build-image-1.tar"
# Five seconds on an idle machine; a busy one with two cores has needed 20.
ENGINE_START_DEADLINE_SECS=90

say() { printf 'test-engine: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# seconds NAME COMMAND…: runs it and says how long it took.
seconds() {
    local name="$1" start=$SECONDS
    shift
    "$@" >&2
    say "$name took $((SECONDS - start)) s"
}

answers() { docker --host "$1" info >/dev/null 2>&1; }

need_root() { [ "$(id -u)" = 0 ] || die "$1 needs root: run this script as root, or start an engine yourself and set DOCKER_HOST"; }

install_packages() {
    local missing=() package
    for package in "$@"; do
        dpkg-query --show --showformat '${Status}' "$package" 2>/dev/null | grep -q ' installed$' || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return
    need_root "installing ${missing[*]}"
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >&2 && return
    # A fresh machine has no package lists yet.
    apt-get update >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >&2
}

# The pid that we recorded, if it is still our dockerd: a number alone may have been given to another process.
our_engine_pid() {
    local pid
    pid="$(cat "$PIDFILE" 2>/dev/null)" || return 1
    [ -n "$pid" ] && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF -- "$ENGINE/data" && echo "$pid"
}

start_engine() {
    install_packages docker.io iptables
    need_root "starting dockerd"
    # A Unix socket's path holds 107 bytes; the longest one below the engine's folder adds 45.
    [ ${#ENGINE} -le 62 ] || die "the path $ENGINE is too long for Unix sockets: set LOGGIA_TEST_STATE to a shorter one"
    mkdir -p "$ENGINE"
    setsid dockerd --data-root "$ENGINE/data" --exec-root "$ENGINE/exec" --pidfile "$PIDFILE" --host "unix://$SOCKET" \
        >"$ENGINE/dockerd.log" 2>&1 </dev/null &
    local dockerd=$! deadline=$((SECONDS + ENGINE_START_DEADLINE_SECS))
    until answers "unix://$SOCKET"; do
        kill -0 "$dockerd" 2>/dev/null || { tail -n 20 "$ENGINE/dockerd.log" >&2; die "dockerd ended while starting (log above)"; }
        [ $SECONDS -lt $deadline ] || die "dockerd does not answer after $ENGINE_START_DEADLINE_SECS s: see $ENGINE/dockerd.log"
        sleep 0.2
    done
}

stop_engine() {
    local pid deadline=$((SECONDS + 30))
    pid="$(our_engine_pid)" || { say "no engine of ours is running"; return; }
    kill -TERM "$pid"
    while kill -0 "$pid" 2>/dev/null; do
        [ $SECONDS -lt $deadline ] || die "dockerd (pid $pid) did not end within 30 s"
        sleep 0.2
    done
    say "stopped dockerd (pid $pid)"
}

# Prints the address of an engine that answers, or nothing.
find_engine() {
    local host
    for host in "${DOCKER_HOST:-}" "unix:///var/run/docker.sock" "unix://$SOCKET"; do
        if [ -n "$host" ] && answers "$host"; then
            echo "$host"
            return
        fi
    done
}

# The mirror that apt itself is configured with, for the suite that this machine runs.
debian_mirror() {
    apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 2>/dev/null |
        awk -v suite="$1" '$1 == suite && $2 == "main" { print $3; exit }'
}

# Debian's minimal system, git, and this machine's own Node: the suite is the machine's, so that the C library fits.
# A subshell, so that its trap is its own.
make_tar() (
    install_packages debootstrap
    need_root "debootstrap"
    command -v node >/dev/null || die "node is not in PATH: install Node 20 or newer with npm"
    local suite mirror modules root
    suite="$(. /etc/os-release && echo "${VERSION_CODENAME:-}")"
    [ -n "$suite" ] || die "/etc/os-release has no VERSION_CODENAME: this script knows Debian only"
    mirror="$(debian_mirror "$suite")"
    [ -n "$mirror" ] || die "apt is configured with no source for $suite main"
    modules="$(cd / && npm root --global 2>/dev/null)"
    [ -d "$modules/npm" ] || die "npm is not in $modules"

    root="$(mktemp -d "$STATE/rootfs.XXXXXX")"
    trap 'rm -rf --one-file-system "$root"' EXIT
    local proxy
    eval "$(apt-config shell proxy Acquire::http::Proxy)"
    http_proxy="${proxy:-${http_proxy:-}}" \
        debootstrap --variant=minbase --include=ca-certificates,git "$suite" "$root" "$mirror" >&2
    install -D "$(readlink -f "$(command -v node)")" "$root/usr/local/bin/node"
    mkdir -p "$root/usr/local/lib/node_modules"
    local package
    for package in npm corepack; do
        [ ! -d "$modules/$package" ] || cp -a "$modules/$package" "$root/usr/local/lib/node_modules/"
    done
    ln -s ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
    ln -s ../lib/node_modules/npm/bin/npx-cli.js "$root/usr/local/bin/npx"
    [ ! -d "$root/usr/local/lib/node_modules/corepack" ] ||
        ln -s ../lib/node_modules/corepack/dist/corepack.js "$root/usr/local/bin/corepack"
    chroot "$root" node --version >&2
    rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}/*
    tar -C "$root" --one-file-system -cf "$TAR.part" .
    mv "$TAR.part" "$TAR"
)

import_image() { docker --host "$1" import "$TAR" "$IMAGE"; }

# Two runs at once (two test suites) wait for each other instead of building the same image twice.
start() {
    exec 9>"$STATE/lock"
    flock 9
    install_packages docker.io
    local host
    host="$(find_engine)"
    if [ -z "$host" ]; then
        # The lock's descriptor must not live on in the daemon.
        seconds "starting dockerd" start_engine 9>&-
        host="unix://$SOCKET"
    fi
    if ! docker --host "$host" image inspect "$IMAGE" >/dev/null 2>&1; then
        [ -f "$TAR" ] || seconds "making the image's files" make_tar
        seconds "importing the image" import_image "$host"
    fi
    printf 'DOCKER_HOST=%s\nLOGGIA_TEST_BUILD_IMAGE=%s\n' "$host" "$IMAGE"
}

mkdir -p "$STATE"
case "${1:-start}" in
    start) start ;;
    stop) stop_engine ;;
    *) die "usage: $0 [start|stop]" ;;
esac
