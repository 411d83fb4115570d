# The staging PostgreSQL that staging_db.sh makes in a task's folder staging_db: where it is,
# whose it is, how it starts. Sourced after task.sh, never run.
#
# shellcheck shell=bash disable=SC2034 # launch uses COMMAND and STOP_SIGNAL

# In a folder that staging_db.sh has made; without it nothing is touched.
readonly STAGING_MARK=made_by_mysql2gp
readonly STAGING_ROLE=mysql2gp
# Part of the socket's name; there is no TCP.
readonly STAGING_PORT=5432

staging_folder() { printf '%s/staging_db\n' "$TASK"; }

# Whether staging_db.sh has made this task's folder. A link to somewhere else is not ours.
is_staging_ours() {
    local folder
    folder=$(staging_folder)
    [ -d "$folder" ] && ! [ -L "$folder" ] && [ -f "$folder/$STAGING_MARK" ]
}

# postgres_folder [MAJOR]: the folder of PostgreSQL's programs, of this version or the newest.
postgres_folder() {
    local folder
    if [ -n "${MYSQL2GP_PG_BIN:-}" ]; then
        folder=$MYSQL2GP_PG_BIN
    else
        folder=$(compgen -G "/usr/lib/postgresql/${1:-*}/bin" || compgen -G "/usr/pgsql-${1:-*}/bin" || true)
        folder=$(sort -V <<<"$folder" | tail -n 1)
    fi
    if ! [ -x "$folder/postgres" ] || ! [ -x "$folder/initdb" ]; then
        complain "there is no PostgreSQL${1:+ $1} in /usr/lib/postgresql; install Debian's package postgresql${1:+-$1}, or name its folder in \$MYSQL2GP_PG_BIN"
        return 1
    fi
    printf '%s\n' "$folder"
}

# as_owner USER: sets AS_OWNER to what makes a command run as that user; PostgreSQL refuses root.
as_owner() {
    AS_OWNER=()
    [ "$(id -un)" = "$1" ] && return
    AS_OWNER=(setpriv --reuid="$(id -u "$1")" --regid="$(id -g "$1")" --init-groups --)
}

# Sets COMMAND and STOP_SIGNAL for launch.
staging_command() {
    local folder bin owner version
    folder=$(staging_folder)
    is_staging_ours || {
        complain "$folder is not made by staging_db.sh"
        return 1
    }
    owner=$(stat -c %U -- "$folder/data")
    [ "$(id -u)" = 0 ] || [ -O "$folder/data" ] || {
        complain "$folder belongs to $owner: run this as that user or as root"
        return 1
    }
    read -r version <"$folder/data/PG_VERSION"
    bin=$(postgres_folder "$version") || return 1
    as_owner "$owner"
    # The folder may have moved since init: its place is not in the configuration.
    COMMAND=("${AS_OWNER[@]}" "$bin/postgres" -D "$folder/data" -k "$folder")
    # A fast shutdown: clients are disconnected.
    STOP_SIGNAL=INT
}

# After a crash of the machine postmaster.pid and the lock file of the socket may name a pid that
# another process of the same user has by now, or be empty; PostgreSQL takes that for itself, or
# for a server that starts, and refuses for ever. A postmaster works in its data directory, so
# that one that does not is none. Nothing of ours runs when this is called, and PostgreSQL's
# shared memory tells it of what is left of another's.
clear_recycled_pid() {
    local folder file pid
    folder=$(staging_folder)
    for file in "$folder/data/postmaster.pid" "$folder/.s.PGSQL.$STAGING_PORT.lock"; do
        [ -f "$file" ] || continue
        pid=
        read -r pid 2>/dev/null <"$file" || true
        if ! [ -s "$file" ] ||
            { [[ $pid =~ ^[1-9][0-9]*$ ]] && [ -e "/proc/$pid" ] && ! [ "/proc/$pid/cwd" -ef "$folder/data" ]; }; then
            rm -f -- "$file"
        fi
    done
}

# kill_staging: SIGKILL for the server and for its processes, which go on without it where they
# hang, too: its children and, where it has died, what works in its data directory with our lock
# (supervise.sh: descriptor 9). Fails when there is none.
kill_staging() {
    local data process server='' line fields failed=1
    data=$(staging_folder)/data
    if server=$(pid_of staging_db); then
        # It starts no more, and as it does not wait for them, their pids remain theirs.
        kill -s STOP "$server" 2>/dev/null || true
    fi
    for process in /proc/[0-9]*; do
        { read -r line <"$process/stat"; } 2>/dev/null || continue
        read -ra fields <<<"${line##*) }"
        if [ "${fields[1]}" = "$server" ] ||
            { [ "$process/cwd" -ef "$data" ] && [ "$process/fd/9" -ef "$RUN/staging_db.lock" ]; }; then
            kill -s KILL "${process#/proc/}" 2>/dev/null && failed=0
        fi
    done
    if [ "$(pid_of staging_db)" = "$server" ] && [ -n "$server" ]; then
        kill -s KILL "$server" 2>/dev/null && failed=0
    fi
    return "$failed"
}

# Whether the server answers.
is_staging_ready() {
    local folder bin version
    folder=$(staging_folder)
    read -r version <"$folder/data/PG_VERSION"
    bin=$(postgres_folder "$version") || return 1
    "$bin/pg_isready" --quiet --host="$folder" --port="$STAGING_PORT" --username="$STAGING_ROLE" --dbname=postgres --timeout=2
}

# start_staging: launches it unless it runs; the control lock is held.
start_staging() {
    : >"$RUN/staging_db.wanted"
    is_held staging_db || launch staging_db
}

# wait_for_staging SECONDS: until it answers; fails when it ends or is not ready in time.
wait_for_staging() {
    local deadline=$((SECONDS + $1))
    until is_staging_ready; do
        if [ "$SECONDS" -ge "$deadline" ] || ! is_held staging_db; then
            complain "the staging database of $TASK does not answer: $(last_error staging_db)"
            return 1
        fi
        sleep 0.1
    done
}

# The line for my.cfg, of the database named in the folder's mark.
staging_connect_string() {
    local database
    read -r database <"$(staging_folder)/$STAGING_MARK"
    printf 'connect_string = "dbname=%s host=%s user=%s"\n' "$database" "'$(staging_folder)'" "$STAGING_ROLE"
}
