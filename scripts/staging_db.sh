#!/usr/bin/env bash
# A private PostgreSQL for a task's staging database. See --help.
set -euo pipefail
shopt -s inherit_errexit
export LC_ALL=C

usage() {
    cat <<'HELP'
usage: staging_db.sh init|start|stop|status|destroy [OPTION...] [TASK]

A PostgreSQL cluster in TASK/staging_db (default: the current directory), made with the
system's PostgreSQL programs, 12 or later. Its socket is in that folder, which only its
owner and root can enter; it has no TCP port. Commits are durable.

  init     makes the cluster and an empty database, and prints the line for [local.pgsql]
  start    starts it and waits until it answers; monitor.sh keeps it running from then on,
           also after a reboot
  stop     a fast shutdown; monitor.sh does not start it
  status   state, version, size, and the line for [local.pgsql]; exits 1 unless it answers
  destroy  stops it and removes the folder, after asking

  --user NAME      init as root: whose the cluster is (default: postgres). PostgreSQL does
                   not run as root; everybody else owns what he makes.
  --database NAME  init: the database (default: the task's folder name and _staging). It is
                   also the task's name on the target, unless [task] name is set.
  --timeout N      start, stop: seconds to wait (default 60); then stop ends it without a
                   checkpoint, and 10 seconds later with SIGKILL, which loses nothing and
                   makes the next start longer
  --yes            destroy without asking
  --help           this text

The log is TASK/staging_db.log, rotated as start.sh --help says. What staging_db.sh has
not made it does not touch.

Exits 0 if it is done, 1 if not, 2 on a wrong argument.
HELP
}

# shellcheck source=lib/task.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/task.sh"
# shellcheck source=lib/staging_db.sh
. "$SCRIPTS/lib/staging_db.sh"

readonly OLDEST_MAJOR=12
# What a unix socket's path may have, and PostgreSQL's name in it.
readonly SOCKET_PATH_BYTES=107 SOCKET_NAME=/.s.PGSQL.$STAGING_PORT

# What differs from PostgreSQL's defaults, and the defaults that must stay.
settings() {
    cat <<'CONF'

# --- set by mysql2gp's staging_db.sh ---
listen_addresses = ''
unix_socket_permissions = 0700
max_connections = 30
# Staging is written once, read once soon after, and dropped in whole tables.
shared_buffers = 256MB
max_wal_size = 4GB
checkpoint_timeout = 15min
# Nothing is replicated or archived from here.
wal_level = minimal
max_wal_senders = 0
# What is staged must survive a crash: the miner's position is in here.
fsync = on
synchronous_commit = on
full_page_writes = on
log_checkpoints = off
log_timezone = 'UTC'
timezone = 'UTC'
CONF
}

# The owner of a new cluster.
choose_owner() {
    local user=$1
    if [ "$(id -u)" != 0 ]; then
        [ -z "$user" ] || [ "$user" = "$(id -un)" ] || die "only root can make a cluster of another user"
        id -un
        return
    fi
    user=${user:-postgres}
    [ "$(id -u "$user" 2>/dev/null || echo 0)" != 0 ] ||
        die "PostgreSQL does not run as root, and there is no user $user: give another with --user"
    printf '%s\n' "$user"
}

# check_place FOLDER OWNER: what would make PostgreSQL fail later.
check_place() {
    local folder=$1
    [ $((${#folder} + ${#SOCKET_NAME})) -le "$SOCKET_PATH_BYTES" ] ||
        die "$folder is too long for a socket's path ($((SOCKET_PATH_BYTES - ${#SOCKET_NAME})) bytes at most): put the task elsewhere"
    [[ $folder =~ ^[A-Za-z0-9_./+@:=,\ -]+$ ]] ||
        die "$folder has characters that a connect string would need to quote: put the task elsewhere"
    "${AS_OWNER[@]}" test -x "$TASK" ||
        die "$2, who is to own the cluster, cannot enter $TASK: give --user, or allow it with chmod o+x on $TASK and the folders above"
}

init() {
    local owner bin version folder new database=$2
    folder=$(staging_folder)
    new=$folder.new
    if [ -e "$folder" ] || [ -L "$folder" ]; then
        is_staging_ours && die "$folder is there already"
        die "$folder is there already, and not made by staging_db.sh"
    fi
    [ -n "$database" ] || database=$(basename -- "$TASK" | tr '[:upper:]' '[:lower:]' | tr -c 'a-z0-9_\n' _)_staging
    [[ $database =~ ^[a-z_0-9][a-z0-9_]{0,62}$ ]] || die "$database is no name of small letters, digits and _, of 63 at most"
    owner=$(choose_owner "$1")
    as_owner "$owner"
    check_place "$folder" "$owner"
    bin=$(postgres_folder)
    version=$("$bin/postgres" --version | grep -oE '[0-9]+' | head -n 1)
    [ "$version" -ge "$OLDEST_MAJOR" ] || die "$bin has PostgreSQL $version; $OLDEST_MAJOR or later is needed"

    # A new name until it is complete; what a killed one has left goes.
    if [ -e "$new" ]; then
        [ -f "$new/$STAGING_MARK" ] || die "$new is in the way, and not made by staging_db.sh"
        rm -rf -- "$new"
    fi
    mkdir -m 700 -- "$new"
    printf '%s\n' "$database" >"$new/$STAGING_MARK"
    chown -- "$owner" "$new"
    "${AS_OWNER[@]}" "$bin/initdb" --pgdata="$new/data" --username="$STAGING_ROLE" --auth-local=trust \
        --auth-host=reject --encoding=UTF8 --locale=C --data-checksums >"$RUN/initdb.log" 2>&1 || {
        cat -- "$RUN/initdb.log" >&2
        die 'initdb fails'
    }
    # Its own user writes it: the folder is his.
    settings | "${AS_OWNER[@]}" tee -a "$new/data/postgresql.conf" >/dev/null
    "${AS_OWNER[@]}" "$bin/postgres" --single -D "$new/data" -j postgres >>"$RUN/initdb.log" 2>&1 \
        <<<"create database \"$database\"" || {
        cat -- "$RUN/initdb.log" >&2
        die "the database $database cannot be created"
    }
    rm -f -- "$RUN/initdb.log"
    mv -T -- "$new" "$folder"
    say "PostgreSQL $version in $folder, owned by $owner; start it with: staging_db.sh start $TASK"
    say "in [local.pgsql] of $TASK/$CONFIG:"
    staging_connect_string
}

require_ours() {
    local folder
    folder=$(staging_folder)
    if [ -d "$folder" ]; then
        may_read "$folder" "$folder" || exit 1
    fi
    is_staging_ours || die "$(staging_folder) is not there, or not made by staging_db.sh: see staging_db.sh init"
}

start() {
    local was=started
    ! is_held staging_db || was='runs already'
    start_staging
    release_control
    wait_for_staging "$1"
    say "the staging database of $TASK $was, pid $(pid_of staging_db)"
}

stop() {
    rm -f -- "$RUN/staging_db.wanted"
    release_control
    if is_held staging_db; then
        # An immediate shutdown before SIGKILL: it ends its children and cleans up.
        stop_one staging_db "$1" INT QUIT KILL
        say "the staging database of $TASK stopped"
    else
        say "the staging database of $TASK does not run"
    fi
}

status() {
    local folder pid
    folder=$(staging_folder)
    printf 'folder    %s, %s, owned by %s\n' "$folder" "$(du -sh -- "$folder" 2>/dev/null | cut -f 1)" "$(stat -c %U -- "$folder/data")"
    printf 'version   PostgreSQL %s\n' "$(<"$folder/data/PG_VERSION")"
    printf 'settings  '
    staging_connect_string
    if pid=$(pid_of staging_db) && is_staging_ready; then
        printf 'state     answers, pid %s\n' "$pid"
    elif [ -n "$pid" ]; then
        printf 'state     pid %s does not answer: %s\n' "$pid" "$(last_error staging_db)"
        return 1
    else
        printf 'state     does not run%s\n' "$([ -e "$RUN/staging_db.wanted" ] || echo ', stopped on purpose')"
        return 1
    fi
}

# Nobody starts or stops anything until the end of this script, or release_control.
control() {
    take_control 30 || die "another script is at work on $TASK"
}

require_stopped() {
    local name
    for name in "$@"; do
        ! is_held "$name" || die "the $name of $TASK runs: stop it first with stop.sh"
    done
}

destroy() {
    local folder answer
    folder=$(staging_folder)
    require_stopped miner loader
    # Nobody may be there to answer: monitor.sh goes on meanwhile.
    if [ "$2" != yes ]; then
        printf '%s goes, with what is staged in it. What the target has not got is mined again,\nas long as the source keeps its binlog. Type yes: ' "$folder"
        read -r answer || answer=
        [ "$answer" = yes ] || die 'left as it is'
    fi
    control
    require_stopped miner loader
    stop "$1"
    # The stop was not under control to its end.
    control
    require_stopped miner loader staging_db
    require_ours
    rm -rf -- "$folder"
    rm -f -- "$RUN"/staging_db.{pid,exit,begin,told,lock} "$TASK"/staging_db.log{,.*}
    say "$folder is gone"
}

main() {
    local command='' task='' user='' database='' timeout=60 yes=no
    while [ $# -gt 0 ]; do
        case $1 in
        -h | --help)
            usage
            exit 0
            ;;
        --yes) yes=yes ;;
        --user | --database | --timeout)
            [ $# -ge 2 ] || usage_error "$1 needs a value"
            case $1 in
            --user) user=$2 ;;
            --database) database=$2 ;;
            --timeout) timeout=$2 ;;
            esac
            shift
            ;;
        -*) usage_error "$1 is no option" ;;
        *) if [ -z "$command" ]; then command=$1; elif [ -z "$task" ]; then task=$1; else usage_error 'one task, please'; fi ;;
        esac
        shift
    done
    [[ $command =~ ^(init|start|stop|status|destroy)$ ]] || usage_error 'init, start, stop, status or destroy?'
    [[ $timeout =~ ^[0-9]{1,6}$ ]] || usage_error "--timeout $timeout is no number of seconds"
    open_task "${task:-.}" || exit 1
    [ "$command" = init ] || require_ours
    if [ "$command" = status ]; then
        status
        return
    fi
    open_own_task "$TASK" || exit 1
    [ "$command" = destroy ] || control
    case $command in
    init) init "$user" "$database" ;;
    start) start "$timeout" ;;
    stop) stop "$timeout" ;;
    destroy) destroy "$timeout" "$yes" ;;
    esac
}

main "$@"
