#!/usr/bin/env bash
# Known vulnerabilities in what we depend on (`make audit`).
#
# LOGGIA_ADVISORY_DB may name a copy of the RustSec advisory database, a folder or a .tar.gz of its files, for
# machines that cannot fetch it. It is taken as it is, however old.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -z "${LOGGIA_ADVISORY_DB:-}" ]; then
    exec cargo deny --locked check --hide-inclusion-graph advisories
fi

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
# The name that cargo-deny gives to its clone of the database.
db="$work/advisory-db-3157b0e258782691"
mkdir "$db"
if [ -d "$LOGGIA_ADVISORY_DB" ]; then
    cp -R "$LOGGIA_ADVISORY_DB/." "$db"
else
    tar -xzf "$LOGGIA_ADVISORY_DB" -C "$db"
fi
# cargo-deny reads it as a Git repository.
if [ ! -d "$db/.git" ]; then
    git -C "$db" init --quiet
    git -C "$db" add --all
    git -C "$db" -c user.name=audit -c user.email=audit@localhost -c commit.gpgsign=false commit --quiet --message Copy
fi
sed "s#^\[advisories\]#&\ndb-path = \"$work\"#" deny.toml >"$work/deny.toml"
cargo fetch --locked --quiet
cargo deny --locked --offline --config "$work/deny.toml" check --hide-inclusion-graph advisories
