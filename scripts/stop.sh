#!/usr/bin/env bash
# Stops the programs of tasks. See --help.
set -euo pipefail
shopt -s inherit_errexit
export LC_ALL=C

usage() {
    cat <<'HELP'
usage: stop.sh [OPTION...] [TASK...]

Stops binlog_miner and binlog_loader of each task, a task being a directory with its
my.cfg (default: the current directory): SIGTERM, on which they finish their open work,
and SIGKILL for what still runs after a while, which loses nothing either. monitor.sh does
not start them again until start.sh.

  --only miner|loader  only this program
  --timeout N          seconds until SIGKILL (default 60)
  --staging-db         the task's staging database too, where staging_db.sh has made one
  --help               this text

Only what start.sh or monitor.sh has started is stopped, known by pid and start time.

Exits 0 if nothing runs any more, 1 if something does, 2 on a wrong argument.
HELP
}

# shellcheck source=lib/task.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/task.sh"

# stop_task DIRECTORY: fails when something still runs.
stop_task() {
    local name pid stopper stoppers=() failed=0 running=()
    open_own_task "$1" || return 1
    take_control 30 || {
        complain "another script is at work on $TASK"
        return 1
    }
    for name in "${NAMES[@]}"; do
        rm -f -- "$RUN/$name.wanted"
        if is_held "$name"; then
            running+=("$name")
        else
            say "$name of $TASK does not run"
        fi
    done
    release_control
    for name in "${running[@]}"; do
        stop_one "$name" "$TIMEOUT" TERM KILL &
        stoppers+=($!)
    done
    for stopper in "${stoppers[@]}"; do
        wait "$stopper" || failed=1
    done
    for name in "${running[@]}"; do
        is_held "$name" || say "$name of $TASK stopped"
    done
    if [ "$STAGING_DB" = yes ] && [ "$failed" = 0 ] && [ -e "$TASK/staging_db" ]; then
        "$SCRIPTS/staging_db.sh" stop --timeout "$TIMEOUT" "$TASK" || failed=1
    fi
    return "$failed"
}

main() {
    local tasks=() failed=0 task
    NAMES=(miner loader) TIMEOUT=60 STAGING_DB=no
    while [ $# -gt 0 ]; do
        case $1 in
        -h | --help)
            usage
            exit 0
            ;;
        --staging-db) STAGING_DB=yes ;;
        --only | --timeout)
            [ $# -ge 2 ] || usage_error "$1 needs a value"
            if [ "$1" = --only ]; then NAMES=("$2"); else TIMEOUT=$2; fi
            shift
            ;;
        -*) usage_error "$1 is no option" ;;
        *) tasks+=("$1") ;;
        esac
        shift
    done
    [[ ${NAMES[0]} =~ ^(miner|loader)$ ]] || usage_error "--only ${NAMES[0]}: miner or loader?"
    [[ $TIMEOUT =~ ^[0-9]{1,6}$ ]] || usage_error "--timeout $TIMEOUT is no number of seconds"
    [ ${#tasks[@]} -gt 0 ] || tasks=(.)
    for task in "${tasks[@]}"; do
        stop_task "$task" || failed=1
    done
    exit "$failed"
}

main "$@"
