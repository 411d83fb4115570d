#!/usr/bin/env bash
# Runs one program of a task, keeps its log and records its end. Started by start.sh,
# monitor.sh and staging_db.sh; what it writes is described in task.sh.
#
# The program inherits the lock: if this wrapper is killed, the program goes on, and nothing
# starts a second copy beside it.
set -uo pipefail
export LC_ALL=C

if [ "${1:-}" = --help ] || [ $# -lt 6 ]; then
    echo 'usage: supervise.sh TASK NAME STOP_SIGNAL LOG_SIZE LOG_FILES COMMAND...; meant for start.sh and monitor.sh'
    [ $# -ge 6 ] || [ "${1:-}" = --help ]
    exit $(($? ? 2 : 0))
fi

# shellcheck source=task.sh
. "$(dirname "${BASH_SOURCE[0]}")/task.sh"

# Of the lock: scripts that look whether it is held take it for an instant.
readonly LOCK_SECONDS=5
# Of the log writer, once the program has ended.
readonly DRAIN_SECONDS=5

open_task "$1" || exit 2
NAME=$2 STOP_SIGNAL=$3 LOG_SIZE=$4 LOG_FILES=$5
readonly NAME STOP_SIGNAL LOG_SIZE LOG_FILES
shift 5

# Whether a child of this shell runs; a stranger with its old pid is none.
is_running() {
    [[ $'\n'$(jobs -rp)$'\n' == *$'\n'$1$'\n'* ]]
}

# Descriptors: 7 and 8 are the log pipe's ends, 9 is the lock. This wrapper keeps both ends,
# so that a log writer that dies is replaced and nothing in the pipe is lost. A writer opens the
# pipe anew and locks it: what is left of one that was killed reads on, and first.
keep_log() {
    {
        flock 0
        exec "$SCRIPTS/rotate_log.sh" --size "$LOG_SIZE" --files "$LOG_FILES" "$TASK/$NAME.log"
    } </proc/self/fd/8 7>&- 8<&- 9>&- &
    WRITER=$!
}

cd "$TASK" || exit 1
exec 9>>"$RUN/$NAME.lock"
flock --wait "$LOCK_SECONDS" 9 || die "$NAME of $TASK runs already"
rm -f "$RUN/$NAME.fifo"
mkfifo -m 600 "$RUN/$NAME.fifo"
exec 7<>"$RUN/$NAME.fifo"
exec 8<"$RUN/$NAME.fifo"
rm -f "$RUN/$NAME.fifo"

trap '' HUP
PROGRAM=
# At the end of the system everything gets SIGTERM, this wrapper too.
trap '[ -z "$PROGRAM" ] || ! is_running "$PROGRAM" || kill -s "$STOP_SIGNAL" "$PROGRAM"' TERM INT

keep_log
"$@" </dev/null >&7 2>&7 7>&- 8<&- &
PROGRAM=$!
# Until it is waited for its pid is its own.
record "$RUN/$NAME.pid" "$PROGRAM $(born "$PROGRAM")"

while is_running "$PROGRAM"; do
    if ! is_running "$WRITER"; then
        sleep 1
        keep_log
    fi
    wait -n "$PROGRAM" "$WRITER"
done
wait "$PROGRAM"
CODE=$?

# The log is complete before its end is known, also where the writer has died with the program.
is_running "$WRITER" || keep_log
exec 7>&- 8<&-
DEADLINE=$((SECONDS + DRAIN_SECONDS))
while is_running "$WRITER" && [ "$SECONDS" -lt "$DEADLINE" ]; do
    sleep 0.05
done
record "$RUN/$NAME.exit" "$CODE $(now)"
