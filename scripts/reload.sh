#!/usr/bin/env bash
# Has the programs of tasks read their table lists again. See --help.
set -euo pipefail
shopt -s inherit_errexit
export LC_ALL=C

usage() {
    cat <<'HELP'
usage: reload.sh [TASK...]

Sends SIGHUP to binlog_miner and binlog_loader of each task, a task being a directory with
its my.cfg (default: the current directory): they read the table list again, and nothing
else of the configuration. What they make of it is in miner.log and loader.log: a list
that cannot be taken up is said there, and the old one stays in force.

  --help  this text

Only what start.sh or monitor.sh has started is told, known by pid and start time; what
systemd runs is told by systemctl reload.

Exits 0 if both programs of every task were told, 1 if one does not run, 2 on a wrong
argument.
HELP
}

# shellcheck source=lib/task.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/task.sh"

# catches_hup PID: whether its handler for SIGHUP, which is signal 1, is there. Source: proc(5).
catches_hup() {
    local key value
    while read -r key value; do
        if [ "$key" = SigCgt: ]; then
            [[ $value =~ [13579bdf]$ ]]
            return
        fi
    done 2>/dev/null <"/proc/$1/status"
    return 1
}

# tell NAME: fails when it does not run.
tell() {
    local name=$1 pid deadline=$((SECONDS + GRACE_SECONDS))
    while pid=$(pid_of "$name"); do
        # One that has just been started has read its list, and would miss the signal.
        if catches_hup "$pid" && kill -s HUP "$pid" 2>/dev/null; then
            say "$name of $TASK, pid $pid, reads its table list again: see $TASK/$name.log"
            return 0
        fi
        if [ "$SECONDS" -ge "$deadline" ]; then
            complain "$name of $TASK, pid $pid, does not take SIGHUP: see $TASK/$name.log"
            return 1
        fi
        sleep 0.05
    done
    complain "$name of $TASK does not run"
    return 1
}

# reload_task DIRECTORY: fails when a program does not run; the other one is told.
reload_task() {
    local name failed=0
    open_own_task "$1" || return 1
    if ! [ -d "$RUN" ]; then
        complain "$TASK: start.sh has not been run here"
        return 1
    fi
    # What is being started would be missed.
    take_control 30 || {
        complain "another script is at work on $TASK"
        return 1
    }
    for name in miner loader; do
        tell "$name" || failed=1
    done
    release_control
    return "$failed"
}

main() {
    local failed=0 task
    case ${1:-} in
    -h | --help)
        usage
        exit 0
        ;;
    -*) usage_error "$1 is no option" ;;
    esac
    [ $# -gt 0 ] || set -- .
    for task in "$@"; do
        reload_task "$task" || failed=1
    done
    exit "$failed"
}

main "$@"
