#!/usr/bin/env bash
# Starts again what has died, from crontab. See --help.
set -euo pipefail
shopt -s inherit_errexit
export LC_ALL=C

usage() {
    cat <<'HELP'
usage: monitor.sh [TASK...]

For crontab, as the user who runs start.sh; a task is a directory with its my.cfg
(default: the current directory):

  * * * * *  /opt/mysql2gp/scripts/monitor.sh /srv/mysql2gp/shop /srv/mysql2gp/crm

Starts again what start.sh (and staging_db.sh start) has started and what does not run any
more: killed, failed with exit code 1, gone with a reboot. Not:

  - what stop.sh has stopped
  - what ended with exit code 2 or 3: a restart does not help, and monitor.sh says so once.
    Do what the message says, then start.sh.

It never starts a second copy, run twice at once or not. What it does is printed, which
cron mails, and goes to TASK/monitor.log with the time.

  --help       this text

Exits 0 if nothing was wrong or it could be set right, 1 if not, 2 on a wrong argument.
HELP
}

# shellcheck source=lib/task.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/task.sh"
# shellcheck source=lib/staging_db.sh
. "$SCRIPTS/lib/staging_db.sh"

# The log becomes monitor.log.1 at this size.
readonly LOG_BYTES=1048576

# What was done, to the log and to cron's mail. The control lock is held.
report() {
    local log=$TASK/monitor.log
    if [ -e "$log" ] && [ "$(stat -c %s -- "$log")" -ge "$LOG_BYTES" ]; then
        mv -f -- "$log" "$log.1"
    fi
    printf '%s %s\n' "$(now)" "$*" 2>/dev/null >>"$log" || true
    say "$TASK: $*"
}

# An end that a restart does not help against is told of once.
tell_once() {
    local name=$1 code=$2 time=$3
    [ "$(record_of "$RUN/$name.told")" != "$code $time" ] || return 0
    report "$name ended at $time with exit code $code ($(meaning "$code")) and stays down until start.sh: $(last_error "$name")"
    record "$RUN/$name.told" "$code $time"
}

# keep NAME: starts it again if it should run and does not.
keep() {
    local name=$1 code='' time='' why='was gone'
    if ! [ -e "$RUN/$name.wanted" ] || is_held "$name"; then
        return 0
    fi
    if read -r code time < <(exit_of "$name"); then
        why="ended at $time with exit code $code ($(meaning "$code"))"
        # PostgreSQL's exit codes mean other things.
        if [ "$name" != staging_db ] && { [ "$code" = 2 ] || [ "$code" = 3 ]; }; then
            tell_once "$name" "$code" "$time"
            return 1
        fi
    fi
    if launch "$name"; then
        report "$name $why: started again, pid $(pid_of "$name" || echo gone)"
    else
        report "$name $why and cannot be started"
        return 1
    fi
}

watch_task() {
    local name failed=0
    open_own_task "$1" || return 1
    if ! [ -d "$RUN" ]; then
        complain "$TASK: start.sh has not been run here"
        return 1
    fi
    # Whoever has it is starting or stopping things, or is another monitor.sh.
    take_control 0 || return 0
    for name in staging_db miner loader; do
        keep "$name" || failed=1
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
        watch_task "$task" || failed=1
    done
    exit "$failed"
}

main "$@"
