#!/usr/bin/env bash
# Shows what the programs of tasks do. See --help.
set -euo pipefail
shopt -s inherit_errexit
export LC_ALL=C

usage() {
    cat <<'HELP'
usage: status.sh [--brief] [TASK...]

For each task, a directory with its my.cfg (default: the current directory): which of its
programs run and since when, how the others ended, and what binlog_loader status says.

  --brief  only the programs
  --help   this text

Exits 0 if everything that start.sh has started runs, 1 if not, 2 on a wrong argument.
HELP
}

# shellcheck source=lib/task.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/task.sh"

since() { date -u -d "@$(stat -c %Y -- "$1")" +%Y-%m-%dT%H:%M:%SZ; }

# show NAME: one line. Fails when it should run and does not.
show() {
    local name=$1 pid code time state
    if pid=$(pid_of "$name"); then
        state="runs since $(since "$RUN/$name.pid"), pid $pid"
        [ -e "$RUN/$name.wanted" ] || state="is stopping, pid $pid"
        printf '%-11s%s\n' "$name" "$state"
        return
    fi
    state='not started'
    if read -r code time < <(exit_of "$name"); then
        state="ended at $time with exit code $code ($(meaning "$code"))"
    elif has_record "$RUN/$name.pid"; then
        state='gone, with its machine or its wrapper'
    fi
    if [ -e "$RUN/$name.wanted" ]; then
        case $code in
        2 | 3) state+=$': waits for start.sh\n           '$(last_error "$name") ;;
        *) state+=': waits for monitor.sh' ;;
        esac
        printf '%-11s%s\n' "$name" "$state"
        return 1
    fi
    [ "$state" = 'not started' ] || state+=', stopped'
    printf '%-11s%s\n' "$name" "$state"
}

show_task() {
    local folder failed=0 name
    open_task "$1" || return 1
    if [ -e "$RUN" ]; then
        may_read "$RUN" "run/ of $TASK" || return 1
    fi
    printf '%s\n' "$TASK"
    if [ -e "$TASK/staging_db" ]; then
        show staging_db || failed=1
    fi
    for name in miner loader; do
        show "$name" || failed=1
    done
    if [ "$BRIEF" = no ]; then
        if folder=$(find_programs); then
            (cd "$TASK" && "$folder/binlog_loader" -c "$CONFIG" status) || failed=1
        else
            failed=1
        fi
    fi
    return "$failed"
}

main() {
    local tasks=() failed=0 task
    BRIEF=no
    while [ $# -gt 0 ]; do
        case $1 in
        -h | --help)
            usage
            exit 0
            ;;
        --brief) BRIEF=yes ;;
        -*) usage_error "$1 is no option" ;;
        *) tasks+=("$1") ;;
        esac
        shift
    done
    [ ${#tasks[@]} -gt 0 ] || tasks=(.)
    for task in "${tasks[@]}"; do
        show_task "$task" || failed=1
    done
    exit "$failed"
}

main "$@"
