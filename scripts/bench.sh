#!/usr/bin/env bash
# Times both programs beside raw COPY, on private servers. See --help.
set -euo pipefail
shopt -s inherit_errexit

usage() {
    cat <<'HELP'
usage: bench.sh [--json] [--rounds N] [--scaling] [--others] [W1 W2 W3 W4 W5 W6 L]...

Installs what is missing (scripts/install_servers.sh --demo), builds the programs, and
starts a private MariaDB, a private staging PostgreSQL and a private target PostgreSQL,
all with their durable defaults. Makes each workload's binlog once, then times in turn
raw COPY of the same rows and both programs from start to end; prints one table with
medians, least and greatest.

  --rounds N   rounds of each workload (default 5)
  --scaling    W1 and W5 at other sizes, and W1 in 20 and 200 tables, besides;
               W5 beside the same statements run on the target by psql
  --others     a tenth of W1 by pgloader and pg_chameleon, besides; installs pgloader and
               python3-venv with apt, and pg_chameleon with pip in a folder that goes again
  --json       prints everything that was measured as JSON
  --help       this text

  SCALE=0.1    in the environment: a tenth of the full sizes (default 1)

At full size it needs about 15 minutes and 10 GB in $TMPDIR. Figures of different runs or
machines do not compare; those of one run do. Runs from any directory, as root or as a
user with sudo.
HELP
}

BENCH=
# Installed so that the user can read it that it runs as: not root.
readonly CHAMELEON='pg_chameleon==2.0.21'

die() {
    printf 'bench: %s\n' "$*" >&2
    exit 1
}

install_others() {
    local apt=(apt-get)
    [ "$(id -u)" = 0 ] || apt=(sudo apt-get)
    if ! command -v pgloader || ! /usr/bin/python3 -c 'import ensurepip'; then
        "${apt[@]}" update || echo 'bench: apt-get update reported errors, going on'
        "${apt[@]}" install --yes --no-install-recommends pgloader python3-venv
    fi
    umask 022
    chmod 755 "$VENV"
    /usr/bin/python3 -m venv "$VENV"
    "$VENV/bin/pip" install --quiet "$CHAMELEON" ||
        die "pip could not install $CHAMELEON: without --others the bench needs none of it"
}

main() {
    case ${1:-} in
    -h | --help)
        usage
        exit 0
        ;;
    esac
    cd "$(dirname "${BASH_SOURCE[0]}")/.."
    if ! command -v cargo >/dev/null && [ -e "${CARGO_HOME:-$HOME/.cargo}/env" ]; then
        # shellcheck source=/dev/null
        . "${CARGO_HOME:-$HOME/.cargo}/env"
    fi
    command -v cargo >/dev/null || die "there is no cargo: install Rust first"

    scripts/install_servers.sh --demo >&2
    cargo build --release --locked --bin binlog_miner --bin binlog_loader --bin bench >&2
    local directory
    directory=$(cargo metadata --format-version 1 --no-deps --locked |
        sed -E 's/.*"target_directory":"([^"]*)".*/\1/')
    local arguments=() argument others=no
    for argument; do
        if [ "$argument" = --others ]; then others=yes; else arguments+=("$argument"); fi
    done
    local bench=("$directory/release/bench" --scale "${SCALE:-1}" "${arguments[@]}")
    [ "$others" = yes ] || exec "${bench[@]}"
    VENV=$(mktemp -d)
    # A stop is passed on, so that the servers go before the folder does.
    trap '[ -z "$BENCH" ] || { kill "$BENCH" && wait "$BENCH"; } 2>/dev/null || true; rm -rf "$VENV"' EXIT
    trap 'exit 143' TERM INT
    install_others >&2
    "${bench[@]}" --others "$VENV" &
    BENCH=$!
    wait "$BENCH"
    BENCH=
}

main "$@"
