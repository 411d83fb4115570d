# What the scripts share: a task's directory, its processes, its locks. Sourced, never run.
#
# A task is a directory with a my.cfg. Its folder run/ holds, NAME being miner, loader or
# staging_db:
#   NAME.wanted   made by start.sh, removed by stop.sh: monitor.sh keeps it running
#   NAME.lock     locked (flock) as long as the wrapper or the program lives: no second copy
#   NAME.pid      pid, start time and boot id of the program: no other process is taken for it
#   NAME.exit     exit code and time of its last end
#   NAME.begin    inode and size of its log when it was started: what came before is not of this start
#   NAME.told     the end that monitor.sh has told of and does not restart after
#   options       where the programs are and how their logs rotate, as start.sh was told
#   control.lock  locked while one of the scripts decides what to start
#
# NAME.pid, NAME.exit, NAME.begin and NAME.told are records: where the disk has no space for such
# a file, it is a symbolic link to its own text, which is kept with the name and takes no space.
#
# shellcheck shell=bash

SCRIPTS=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly SCRIPTS
ME=$(basename "$0" .sh)
readonly ME

readonly DEFAULT_LOG_SIZE=10M DEFAULT_LOG_FILES=9
# How long a launched program may take to exist. Longer than the wrapper waits for the lock.
readonly LAUNCH_SECONDS=15
# How long the end may take after the last signal.
readonly GRACE_SECONDS=10

say() { printf '%s: %s\n' "$ME" "$*"; }

complain() { printf '%s: %s\n' "$ME" "$*" >&2; }

die() {
    complain "$*"
    exit 1
}

now() { date -u +%Y-%m-%dT%H:%M:%SZ; }

# usage_error MESSAGE: what is wrong with the arguments, then exit code 2.
usage_error() {
    complain "$*; see --help"
    exit 2
}

# write_file FILE TEXT: whole or not at all.
write_file() {
    printf '%s\n' "$2" >"$1.new" && mv -T -- "$1.new" "$1"
}

# record FILE TEXT: the same for one short line, on a full disk, too.
record() {
    write_file "$1" "$2" 2>/dev/null || { ln -sfn -- "$2" "$1.new" && mv -T -- "$1.new" "$1"; }
}

# has_record FILE: whether there is one.
has_record() { [ -e "$1" ] || [ -L "$1" ]; }

# record_of FILE: the text of a record; fails if there is none.
record_of() {
    if [ -L "$1" ]; then readlink -- "$1"; else cat -- "$1" 2>/dev/null; fi
}

# --- the task ----------------------------------------------------------------------

# open_task DIRECTORY: sets TASK, CONFIG and RUN. Says why and returns 1 where that is no task.
open_task() {
    local name
    TASK=$(realpath -e -- "$1" 2>/dev/null) || TASK=$1
    [ -d "$TASK" ] || {
        complain "$1 is no directory"
        return 1
    }
    may_read "$TASK" "$TASK" || return 1
    CONFIG=
    for name in my.cfg my.cnf; do
        if [ -e "$TASK/$name" ]; then
            CONFIG=$name
            break
        fi
    done
    [ -n "$CONFIG" ] || {
        complain "$TASK is no task: it has no my.cfg"
        return 1
    }
    RUN=$TASK/run
}

# may_read FOLDER WHAT: says so where this user may not: what is in it would seem not to be there.
may_read() {
    if ! [ -x "$1" ]; then
        complain "$2 cannot be read by $(id -un): run this as its owner $(stat -c %U -- "$1")"
        return 1
    fi
}

# open_own_task DIRECTORY: the same, for what starts or stops something: as the user who did
# the first time, or files and programs of two users would be in each other's way.
open_own_task() {
    open_task "$1" || return 1
    if [ -e "$RUN" ] && ! [ -O "$RUN" ]; then
        complain "the programs of $TASK run as $(stat -c %U -- "$RUN"): run this as that user, not as $(id -un)"
        return 1
    fi
}

# take_control SECONDS: nobody else starts or stops anything until release_control. Fails when
# another script keeps it for longer.
take_control() {
    [ -d "$RUN" ] || mkdir -m 700 -- "$RUN" || return 1
    exec {CONTROL}>>"$RUN/control.lock"
    flock --wait "$1" "$CONTROL" || {
        release_control
        return 1
    }
}

release_control() { exec {CONTROL}>&-; }

# option KEY DEFAULT: what start.sh was told.
option() {
    local key value
    if [ -e "$RUN/options" ]; then
        while IFS='=' read -r key value; do
            if [ "$key" = "$1" ]; then
                printf '%s\n' "$value"
                return
            fi
        done <"$RUN/options"
    fi
    printf '%s\n' "$2"
}

# bytes_of SIZE: 10M and the like as a number; fails on what is none.
bytes_of() {
    [[ $1 =~ ^[1-9][0-9]{0,8}[KMG]?$ ]] && numfmt --from=iec "$1"
}

# The folder of the programs: $MYSQL2GP_BIN, what start.sh was told, the scripts' own folder, a
# build beside it, $PATH.
find_programs() {
    local folder on_path
    on_path=$(command -v binlog_miner || true)
    for folder in "${MYSQL2GP_BIN:-}" "$(option bin '')" "$SCRIPTS" "$SCRIPTS/../target/release" "${on_path%/*}"; do
        if [ -n "$folder" ] && [ -x "$folder/binlog_miner" ] && [ -x "$folder/binlog_loader" ]; then
            realpath -- "$folder"
            return
        fi
    done
    complain "binlog_miner and binlog_loader are not found: give their folder with start.sh --bin"
    return 1
}

# --- processes ---------------------------------------------------------------------

# is_held NAME: the program or its wrapper lives.
is_held() {
    [ -e "$RUN/$1.lock" ] && ! flock --nonblock "$RUN/$1.lock" true
}

# born PID: when a process was started, in clock ticks of this boot, and the boot. Fails for
# a process that has ended. Source: proc(5), field 22; the name in field 2 may hold anything.
born() {
    local line fields
    { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
    read -ra fields <<<"${line##*) }"
    [ "${fields[0]}" != Z ] && [ "${fields[0]}" != X ] || return 1
    printf '%s %s\n' "${fields[19]}" "$(</proc/sys/kernel/random/boot_id)"
}

# pid_of NAME: the program's pid if it runs. A pid that the system has given to another process
# since is none.
pid_of() {
    local pid rest
    read -r pid rest < <(record_of "$RUN/$1.pid") || return 1
    [[ $pid =~ ^[1-9][0-9]*$ ]] && [ "$(born "$pid")" = "$rest" ] && printf '%s\n' "$pid"
}

# exit_of NAME: code and time of its last end; fails if there is none on record.
exit_of() {
    local code time
    read -r code time < <(record_of "$RUN/$1.exit") || return 1
    [[ $code =~ ^[0-9]+$ ]] && printf '%s %s\n' "$code" "$time"
}

# log_since_start NAME: its log from its last start on, what was rotated since included.
log_since_start() {
    local log=$TASK/$1.log inode='' size='' found number=0 begun=no
    read -r inode size < <(record_of "$RUN/$1.begin") || true
    while [ -e "$log.$((number + 1))" ]; do
        number=$((number + 1))
    done
    for (( ; number >= 0; number--)); do
        found=$log
        [ "$number" = 0 ] || found=$log.$number
        if [ "$begun" = no ] && [ "$(stat -Lc %i -- "$found" 2>/dev/null)" = "$inode" ]; then
            begun=yes
            tail -c "+$((size + 1))" -- "$found"
        elif [ "$begun" = yes ]; then
            cat -- "$found"
        fi
    done 2>/dev/null
    # Rotated so often that everything is of this start, or not started by these scripts.
    [ "$begun" = yes ] || cat -- "$log.1" "$log" 2>/dev/null
}

# last_error NAME: the last error in its log since its start, else its last line, for a message.
last_error() {
    local lines error
    lines=$(log_since_start "$1" | tail -n 200 | tr -d '\0' | grep -a . || true)
    error=$(printf '%s\n' "$lines" | grep -aE ' ERROR |FATAL: ' | tail -n 1 || true)
    [ -n "$error" ] || error=${lines##*$'\n'}
    printf '%s\n' "${error:-nothing in $TASK/$1.log since its start}"
}

# meaning CODE: what an exit code says, for a message.
meaning() {
    case $1 in
    0) echo 'a clean end' ;;
    1) echo 'failed, a restart may help' ;;
    2) echo 'usage, configuration or credentials' ;;
    3) echo 'an operator must act' ;;
    137) echo 'killed by SIGKILL' ;;
    *) if [ "$1" -gt 128 ]; then echo "killed by signal $(($1 - 128))"; else echo 'unexpected'; fi ;;
    esac
}

# --- starting and stopping -----------------------------------------------------------

# command_of NAME: sets COMMAND and STOP_SIGNAL. For staging_db, lib/staging_db.sh is sourced.
command_of() {
    local folder
    STOP_SIGNAL=TERM
    case $1 in
    staging_db)
        staging_command && clear_recycled_pid
        ;;
    *)
        folder=$(find_programs) || return 1
        COMMAND=("$folder/binlog_$1" -c "$CONFIG")
        ;;
    esac
}

# launch NAME: starts it in its wrapper and waits until it exists; $RUN/NAME.exit tells of its end.
# The control lock is held. What the wrapper cannot do goes to the log.
launch() {
    local name=$1 deadline=$((SECONDS + LAUNCH_SECONDS))
    command_of "$name" || return 1
    { : >>"$TASK/$name.log"; } 2>/dev/null || {
        complain "$TASK/$name.log cannot be written: make it a file that $(id -un) may write, on a disk with space"
        return 1
    }
    rm -f -- "$RUN/$name".{exit,told,pid,begin}
    record "$RUN/$name.begin" "$(stat -Lc '%i %s' -- "$TASK/$name.log")" || true
    setsid "$SCRIPTS/lib/supervise.sh" "$TASK" "$name" "$STOP_SIGNAL" \
        "$(option log_size "$DEFAULT_LOG_SIZE")" "$(option log_files "$DEFAULT_LOG_FILES")" "${COMMAND[@]}" \
        </dev/null >>"$TASK/$name.log" 2>&1 {CONTROL}>&- &
    until has_record "$RUN/$name.pid"; do
        if [ "$SECONDS" -ge "$deadline" ] || ! kill -0 $! 2>/dev/null; then
            has_record "$RUN/$name.exit" && return 0
            complain "$name of $TASK did not start: $(tail -n 1 -- "$TASK/$name.log")"
            return 1
        fi
        sleep 0.05
    done
}

# send NAME SIGNAL: to the program, SIGKILL to all processes of staging_db, for which
# lib/staging_db.sh is sourced. Fails when none runs.
send() {
    local pid
    if [ "$1 $2" = 'staging_db KILL' ]; then
        kill_staging
    else
        pid=$(pid_of "$1") && kill -s "$2" "$pid" 2>/dev/null
    fi
}

# stop_one NAME SECONDS SIGNAL...: the first signal, the next one when it still runs after so many
# seconds, the one after that GRACE_SECONDS later. Returns when it and its wrapper have ended;
# fails when they do not.
stop_one() {
    local name=$1 waited=0 wait=$2 first=$3 sent=no deadline
    shift 2
    deadline=$((SECONDS + wait))
    while is_held "$name"; do
        # What has just been started is on record in a moment.
        if [ "$sent" = no ] && send "$name" "$1"; then
            sent=yes
            [ "$1" = "$first" ] || say "$name of $TASK still runs after $waited seconds: SIG$1"
        elif [ "$SECONDS" -ge "$deadline" ]; then
            if [ $# = 1 ]; then
                complain "$RUN/$name.lock is still held; fuser $RUN/$name.lock shows by whom"
                return 1
            fi
            shift
            sent=no
            waited=$((waited + wait)) wait=$GRACE_SECONDS
            deadline=$((SECONDS + wait))
        fi
        sleep 0.1
    done
}
