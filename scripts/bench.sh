#!/usr/bin/env bash
# Times both programs beside raw COPY, on private servers. See --help.
set -euo pipefail
shopt -s inherit_errexit

usage() {
    cat <<'HELP'
usage: bench.sh [--json] [--rounds N] [--scaling] [W1 W2 W3 W4 W5 W6 L]...

Installs what is missing (scripts/install_servers.sh --demo), builds the programs, and
starts a private MariaDB, a private staging PostgreSQL and a private target PostgreSQL,
all with their durable defaults. Makes each workload's binlog once, then times in turn
raw COPY of the same rows and both programs from start to end; prints one table with
medians, least and greatest.

  --rounds N   rounds of each workload (default 5)
  --scaling    W1 and W5 at other sizes, and W1 in 20 and 200 tables, besides
  --json       prints everything that was measured as JSON
  --help       this text

  SCALE=0.1    in the environment: a tenth of the full sizes (default 1)

At full size it needs about 15 minutes and 10 GB in $TMPDIR. Figures of different runs or
machines do not compare; those of one run do. Runs from any directory, as root or as a
user with sudo.
HELP
}

die() {
    printf 'bench: %s\n' "$*" >&2
    exit 1
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
    exec "$directory/release/bench" --scale "${SCALE:-1}" "$@"
}

main "$@"
