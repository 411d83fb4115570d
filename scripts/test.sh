#!/usr/bin/env bash
# Everything that must hold before a change is accepted: scripts, formatting, lints, docs,
# unit tests, and tests on real servers, which it installs first. See --help.
set -euo pipefail
shopt -s inherit_errexit

usage() {
    cat <<'HELP'
usage: test.sh [--help]

Installs what the tests need (scripts/install_servers.sh --all), then runs shellcheck,
rustfmt, clippy, rustdoc, the build and all tests of the workspace. Ends with a line
"N passed, N failed"; exits 0 only if everything passed and at least one test ran.

Runs from any directory, as root or as a user with sudo.
HELP
}

die() {
    printf 'test: %s\n' "$*" >&2
    exit 1
}

step() {
    printf '\n== %s\n' "$*"
    "$@"
}

require_rust() {
    if ! command -v cargo >/dev/null && [ -e "${CARGO_HOME:-$HOME/.cargo}/env" ]; then
        # shellcheck source=/dev/null
        . "${CARGO_HOME:-$HOME/.cargo}/env"
    fi
    command -v cargo >/dev/null || die "there is no cargo: install Rust first"
    cargo fmt --version >/dev/null 2>&1 ||
        die "rustfmt is missing: rustup component add rustfmt (or Debian's package rustfmt)"
    cargo clippy --version >/dev/null 2>&1 ||
        die "clippy is missing: rustup component add clippy (or Debian's package rust-clippy)"
}

# Runs all tests, sums up cargo's result lines, one for each test program.
run_tests() {
    local log=$1 status=0
    step cargo test --workspace --locked --no-fail-fast 2>&1 | tee "$log" || status=$?
    awk -v status="$status" '
        /^test result:/ {
            for (i = 2; i <= NF; i++) {
                if ($i == "passed;") passed += $(i - 1)
                if ($i == "failed;") failed += $(i - 1)
            }
        }
        END {
            if (status != 0 && failed == 0) print "test: cargo test exited with " status
            if (passed + failed == 0) print "test: no test ran"
            printf "%d passed, %d failed\n", passed, failed
            exit !(status == 0 && failed == 0 && passed > 0)
        }
    ' "$log"
}

main() {
    case ${1:-} in
    '') ;;
    -h | --help)
        usage
        exit 0
        ;;
    *)
        usage >&2
        exit 2
        ;;
    esac
    cd "$(dirname "${BASH_SOURCE[0]}")/.."
    require_rust

    step scripts/install_servers.sh --all
    step shellcheck --external-sources --source-path=SCRIPTDIR scripts/*.sh scripts/lib/*.sh
    step cargo fmt --all --check
    step cargo clippy --workspace --all-targets --locked -- -D warnings
    step cargo doc --workspace --no-deps --locked
    step cargo build --workspace --locked

    TEST_LOG=$(mktemp)
    readonly TEST_LOG
    trap 'rm -f "$TEST_LOG"' EXIT
    run_tests "$TEST_LOG"
}

main "$@"
