#!/usr/bin/env bash
# Writes its standard input to a log file that is rotated by size. See --help.
set -uo pipefail
export LC_ALL=C

usage() {
    cat <<'HELP'
usage: rotate_log.sh [--size SIZE] [--files N] FILE

Appends standard input to FILE, line by line as it comes. When FILE has reached its size
it becomes FILE.1, FILE.1 becomes FILE.2, and so on; the oldest goes. No line is lost and
none is cut in two.

  --size SIZE  10M by default; K, M and G are understood
  --files N    how many old files are kept (default 9)
  --help       this text

start.sh uses it. By hand:

  (nohup binlog_miner 2>&1 | nohup rotate_log.sh miner.log) &

On a full disk lines are dropped, so that the program does not have to wait; the file
says so when there is space again. It ends when its input does, not on a signal.
HELP
}

# A program never waits longer than for the reading of so many bytes.
readonly BLOCK_BYTES=65536

fail() {
    printf 'rotate_log: %s\n' "$*" >&2
    exit 2
}

size_of() { stat -c %s -- "$FILE" 2>/dev/null || echo 0; }

# The last line may have been read in part: the rest of it belongs to the same file.
finish_line() {
    local rest
    if [ -n "$(tail -c 1 -- "$FILE")" ]; then
        if IFS= read -r rest; then
            printf '%s\n' "$rest" >>"$FILE"
        else
            printf '%s' "$rest" >>"$FILE"
        fi
    fi
}

rotate() {
    local number
    for ((number = FILES - 1; number >= 1; number--)); do
        if [ -e "$FILE.$number" ]; then
            mv -f -- "$FILE.$number" "$FILE.$((number + 1))"
        fi
    done
    mv -f -- "$FILE" "$FILE.1"
}

# Copies at most so many bytes; sets RECORDS, in which dd counts what it has read and written.
# dd writes what it has read at once, and nothing stays in memory.
copy() {
    local block=$1
    [ "$block" -le "$BLOCK_BYTES" ] || block=$BLOCK_BYTES
    RECORDS=$(dd bs="$block" count=$(($1 / block)) status=noxfer 2>&1 >>"$FILE")
}

# Where the file cannot be opened, nothing has been read. Fails at the end of the input.
drop() {
    RECORDS=$(dd bs="$BLOCK_BYTES" count=1 of=/dev/null status=noxfer 2>&1)
    [[ $RECORDS != '0+0 records in'* ]]
}

follow() {
    local room dropped=no
    while :; do
        room=$((BYTES - $(size_of)))
        if [ "$room" -le 0 ]; then
            finish_line
            rotate
            # A file that cannot be renamed grows.
            room=$BYTES
        fi
        if [ "$dropped" = yes ] && printf '\nrotate_log: lines are missing here: the file could not be written\n' 2>/dev/null >>"$FILE"; then
            dropped=no
        fi
        if copy "$room" 2>/dev/null; then
            [[ $RECORDS != '0+0 records in'* ]] || return 0
        else
            dropped=yes
            [[ $RECORDS == *'records in'* ]] || drop || return 0
        fi
    done
}

main() {
    local size=10M
    FILE=
    FILES=9
    while [ $# -gt 0 ]; do
        case $1 in
        --size | --files)
            [ $# -ge 2 ] || fail "$1 needs a value"
            if [ "$1" = --size ]; then size=$2; else FILES=$2; fi
            shift 2
            ;;
        -h | --help)
            usage
            exit 0
            ;;
        -*) fail "$1 is no option; see --help" ;;
        *)
            [ -z "$FILE" ] || fail 'one file, please; see --help'
            FILE=$1
            shift
            ;;
        esac
    done
    [ -n "$FILE" ] || fail 'which file? see --help'
    [[ $size =~ ^[1-9][0-9]{0,8}[KMG]?$ ]] || fail "--size $size is no size such as 10M"
    [[ $FILES =~ ^[1-9][0-9]{0,3}$ ]] || fail "--files $FILES is no number from 1 on"
    BYTES=$(numfmt --from=iec "$size")
    readonly FILE FILES BYTES
    trap '' HUP INT TERM
    follow
}

main "$@"
