#!/usr/bin/env bash
# Starts the programs of tasks. See --help.
set -euo pipefail
shopt -s inherit_errexit
export LC_ALL=C

usage() {
    cat <<'HELP'
usage: start.sh [OPTION...] [TASK...]

Starts binlog_miner and binlog_loader of each task, a task being a directory with its
my.cfg (default: the current directory), and the task's staging database where
staging_db.sh has made one. What runs already is left alone. monitor.sh keeps running what
has been started, until stop.sh.

  --only miner|loader  only this program
  --bin DIR            where the programs are; otherwise $MYSQL2GP_BIN, the scripts' own
                       folder, a build beside it, $PATH. Remembered for monitor.sh.
  --log-size SIZE      size at which a log is rotated (default 10M). Remembered.
  --log-files N        old logs that are kept (default 9). Remembered.
  --help               this text

The programs run in the task's directory, in the background, with logs miner.log and
loader.log. The folder run in it has their pids and how they ended. Passwords that are
set by environment are not remembered: monitor.sh needs them in files.

Exits 0 if everything runs a second later, 1 if not, 2 on a wrong argument.
HELP
}

# shellcheck source=lib/task.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/task.sh"
# shellcheck source=lib/staging_db.sh
. "$SCRIPTS/lib/staging_db.sh"

# How long a stop may still take that is under way.
readonly STOP_SECONDS=90
# A program that its configuration stops ends within this time.
readonly WATCH_SECONDS=1

# What is remembered already needs no space on a full disk.
remember() {
    local text="bin=$1
log_size=$2
log_files=$3"
    [ "$(cat -- "$RUN/options" 2>/dev/null)" = "$text" ] || write_file "$RUN/options" "$text"
}

# A program that stop.sh is stopping is waited for: it would end, and nobody would start it.
wait_for_stop() {
    local name=$1 deadline=$((SECONDS + STOP_SECONDS))
    if [ -e "$RUN/$name.wanted" ] || ! is_held "$name"; then
        return 0
    fi
    say "waiting for the old $name of $TASK to end"
    while is_held "$name"; do
        [ "$SECONDS" -lt "$deadline" ] || {
            complain "the old $name of $TASK does not end"
            return 1
        }
        sleep 0.1
    done
}

# start_task DIRECTORY: launches what does not run. Fails when something cannot be launched.
start_task() {
    local name status=0
    open_own_task "$1" || return 1
    for name in "${NAMES[@]}"; do
        wait_for_stop "$name" || return 1
    done
    take_control 30 || {
        complain "another script is at work on $TASK"
        return 1
    }
    launch_task || status=$?
    release_control
    return "$status"
}

launch_task() {
    local name bin failed=0
    bin=$(MYSQL2GP_BIN=${BIN:-${MYSQL2GP_BIN:-}} find_programs) || return 1
    remember "$bin" "${LOG_SIZE:-$(option log_size "$DEFAULT_LOG_SIZE")}" "${LOG_FILES:-$(option log_files "$DEFAULT_LOG_FILES")}" || return 1
    if is_staging_ours && ! is_held staging_db; then
        start_staging && say "staging_db of $TASK started, pid $(pid_of staging_db)" || return 1
    fi
    for name in "${NAMES[@]}"; do
        : >"$RUN/$name.wanted"
        if is_held "$name"; then
            say "$name of $TASK runs already, pid $(pid_of "$name")"
        else
            launch "$name" || failed=1
        fi
    done
    return "$failed"
}

# Says how each program of the task is doing; fails when one has ended.
report() {
    local name pid code time failed=0 deadline=$((SECONDS + GRACE_SECONDS))
    open_own_task "$1" || return 1
    for name in "${NAMES[@]}"; do
        # One that has just ended is on record in a moment.
        until ! is_held "$name" || pid_of "$name" >/dev/null || [ "$SECONDS" -ge "$deadline" ]; do
            sleep 0.05
        done
        if read -r code time < <(exit_of "$name"); then
            complain "$name of $TASK ended at $time with exit code $code ($(meaning "$code")): $(last_error "$name")"
            failed=1
        elif pid=$(pid_of "$name"); then
            say "$name of $TASK runs, pid $pid"
        else
            complain "$name of $TASK does not run: see $TASK/$name.log"
            failed=1
        fi
    done
    return "$failed"
}

main() {
    local tasks=() failed=0 task name
    NAMES=(miner loader) BIN='' LOG_SIZE='' LOG_FILES=''
    while [ $# -gt 0 ]; do
        case $1 in
        -h | --help)
            usage
            exit 0
            ;;
        --only | --bin | --log-size | --log-files)
            [ $# -ge 2 ] || usage_error "$1 needs a value"
            case $1 in
            --only) NAMES=("$2") ;;
            --bin) BIN=$2 ;;
            --log-size) LOG_SIZE=$2 ;;
            --log-files) LOG_FILES=$2 ;;
            esac
            shift
            ;;
        -*) usage_error "$1 is no option" ;;
        *) tasks+=("$1") ;;
        esac
        shift
    done
    [[ ${NAMES[0]} =~ ^(miner|loader)$ ]] || usage_error "--only ${NAMES[0]}: miner or loader?"
    # find_programs would go on with another folder.
    for name in ${BIN:+binlog_miner binlog_loader}; do
        { [ -f "$BIN/$name" ] && [ -x "$BIN/$name" ]; } || usage_error "--bin $BIN: there is no $name"
    done
    [ -z "$LOG_SIZE" ] || bytes_of "$LOG_SIZE" >/dev/null || usage_error "--log-size $LOG_SIZE is no size such as 10M"
    [[ ${LOG_FILES:-1} =~ ^[1-9][0-9]{0,3}$ ]] || usage_error "--log-files $LOG_FILES is no number from 1 on"
    [ ${#tasks[@]} -gt 0 ] || tasks=(.)

    for task in "${tasks[@]}"; do
        start_task "$task" || failed=1
    done
    sleep "$WATCH_SECONDS"
    for task in "${tasks[@]}"; do
        report "$task" || failed=1
    done
    exit "$failed"
}

main "$@"
