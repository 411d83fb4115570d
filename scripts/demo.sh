#!/usr/bin/env bash
# Replicates a small shop from MariaDB to PostgreSQL while it is in use, then compares
# every row. See --help.
set -euo pipefail
shopt -s inherit_errexit
export LC_ALL=C

usage() {
    cat <<'HELP'
usage: demo.sh [--seconds N] [--seed N]

Installs what is missing (scripts/install_servers.sh --demo), builds both programs, and
starts a private MariaDB, a private staging PostgreSQL and a private target PostgreSQL in
a temporary directory. Creates a small shop, starts binlog_miner and binlog_loader as a
user would, lets the shop work for a while, waits until everything is applied, and
compares source and target row by row.

  --seconds N  how long the shop works, about (default 15)
  --seed N     repeats a workload (default: a new one, which is printed)
  --help       this text

Exits 0 only if every table is the same on both sides. Nothing is left running and
nothing is left on disk but the build and the cache of install_servers.sh; databases
that already run on this machine are not touched. Runs from any directory, as root or
as a user with sudo.
HELP
}

# How long the target may take to catch up after the workload.
readonly CATCH_UP_SECONDS=90
readonly TABLES='customers addresses products orders order_items stock sessions audit_log'
readonly SOURCE_PASSWORD='replicate it' PG_PASSWORD='load it'
PIDS=()

step() { printf '\n== %s\n' "$*"; }

die() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}

# --- servers ----------------------------------------------------------------------

require_rust() {
    if ! command -v cargo >/dev/null && [ -e "${CARGO_HOME:-$HOME/.cargo}/env" ]; then
        # shellcheck source=/dev/null
        . "${CARGO_HOME:-$HOME/.cargo}/env"
    fi
    command -v cargo >/dev/null || die "there is no cargo: install Rust first"
}

# Builds, and sets BIN to where the programs are.
build() {
    local profile=release
    cargo build --profile "$profile" --locked --bin binlog_miner --bin binlog_loader
    BIN=$(cargo metadata --format-version 1 --no-deps --locked |
        sed -E 's/.*"target_directory":"([^"]*)".*/\1/')/$profile
    readonly BIN
}

# A new directory that the user of PostgreSQL can enter; $TMPDIR may be closed to him.
make_directory() {
    local parent
    for parent in "${TMPDIR:-/tmp}" /tmp /var/tmp; do
        WORK=$(mktemp -d "$parent/mysql2gp-demo.XXXXXX") || continue
        chmod 755 "$WORK"
        if "${AS_PG[@]}" test -x "$WORK"; then
            readonly WORK
            return 0
        fi
        rmdir "$WORK"
    done
    die "no temporary directory that the user of PostgreSQL can enter"
}

# Sets AS_PG to the command prefix that makes a program run as a user whom PostgreSQL
# accepts: not root. Everything that is started ends with this script, killed or not.
choose_pg_user() {
    AS_PG=(setpriv --pdeathsig KILL)
    PG_USER=$(id -un)
    if [ "$(id -u)" = 0 ]; then
        PG_USER=postgres
        id "$PG_USER" >/dev/null 2>&1 || PG_USER=nobody
        AS_PG+=(--reuid="$(id -u "$PG_USER")" --regid="$(id -g "$PG_USER")" --clear-groups)
    fi
    AS_PG+=(--)
    readonly AS_PG PG_USER
}

# A TCP port that nothing listens on, unlike those given.
free_port() {
    local port
    while :; do
        port=$((21000 + RANDOM % 11000))
        case " $* " in *" $port "*) continue ;; esac
        (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}

# wait_for SECONDS WHAT COMMAND...
wait_for() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || die "waited in vain for $what"
        sleep 0.1
    done
}

source_sql() {
    mariadb --no-defaults --socket="$WORK/source/socket" --user="$(id -un)" --default-character-set=utf8mb4 \
        --batch --skip-column-names "$@"
}

# pg_sql staging|target ARGUMENT...: psql on that database, as the superuser.
pg_sql() {
    local server=$1
    local -n port=${server^^}_PORT
    shift
    PGOPTIONS='--client-min-messages=warning' psql --no-psqlrc --quiet --pset=pager=off --set=ON_ERROR_STOP=1 \
        --host="$WORK/$server" --port="$port" --username=postgres "$@"
}

start_source() {
    local data=$WORK/source/data
    mkdir -m 700 "$WORK/source"
    mariadb-install-db --no-defaults --datadir="$data" --user="$(id -un)" --auth-root-authentication-method=socket \
        --auth-root-socket-user="$(id -un)" --skip-test-db >"$WORK/source/install.log" 2>&1 || {
        cat "$WORK/source/install.log" >&2
        die "mariadb-install-db fails"
    }
    # Everything but the first line is the default of the server or private to the demo.
    setpriv --pdeathsig KILL -- mariadbd --no-defaults \
        --log-bin=mysql-bin --binlog-format=ROW --server-id=1 \
        --datadir="$data" --socket="$WORK/source/socket" --pid-file="$WORK/source/pid" --user="$(id -un)" \
        --bind-address=127.0.0.1 --port="$SOURCE_PORT" --skip-name-resolve \
        --innodb-buffer-pool-size=64M --innodb-log-file-size=32M --innodb-use-native-aio=0 \
        >"$WORK/source/server.log" 2>&1 &
    PIDS+=($!)
}

start_pg() {
    local server=$1 bin
    local -n port=${server^^}_PORT
    local data=$WORK/$server/data
    bin=$(compgen -G '/usr/lib/postgresql/*/bin' | sort -V | tail -n 1)
    mkdir -m 700 "$WORK/$server"
    [ "$(id -un)" = "$PG_USER" ] || chown "$PG_USER" "$WORK/$server"
    (
        cd "$WORK/$server"
        "${AS_PG[@]}" "$bin/initdb" --pgdata="$data" --username=postgres --auth-local=trust --auth-host=scram-sha-256 \
            --encoding=UTF8 --locale=C --no-sync >initdb.log 2>&1
    ) || {
        cat "$WORK/$server/initdb.log" >&2
        die "initdb fails"
    }
    "${AS_PG[@]}" "$bin/postgres" -D "$data" -k "$WORK/$server" -p "$port" \
        -c listen_addresses=127.0.0.1 -c shared_buffers=64MB >"$WORK/$server/server.log" 2>&1 &
    PIDS+=($!)
}

start_servers() {
    SOURCE_PORT=$(free_port)
    STAGING_PORT=$(free_port "$SOURCE_PORT")
    TARGET_PORT=$(free_port "$SOURCE_PORT" "$STAGING_PORT")
    start_source
    start_pg staging
    start_pg target
    wait_for 60 "MariaDB" source_sql -e 'select 1'
    wait_for 60 "the staging PostgreSQL" pg_sql staging -c 'select 1'
    wait_for 60 "the target PostgreSQL" pg_sql target -c 'select 1'
    source_sql -e 'select concat("source:  MariaDB ", version(), ", port ", @@port)'
    pg_sql staging -At -c "select 'staging: PostgreSQL ' || current_setting('server_version') || ', port ' || current_setting('port')"
    pg_sql target -At -c "select 'target:  PostgreSQL ' || current_setting('server_version') || ', port ' || current_setting('port')"
}

# --- the shop ---------------------------------------------------------------------

create_source_schema() {
    source_sql <<SQL
create user replicator@'%' identified by '$SOURCE_PASSWORD';
grant replication slave, replication client on *.* to replicator@'%';
create database shop character set utf8mb4;
grant select on shop.* to replicator@'%';
use shop;
create table customers (
    id          int unsigned not null auto_increment primary key,
    email       varchar(120) not null unique,
    name        varchar(80) not null,
    city        varchar(60) character set latin1,
    birthday    date,
    tags        set('newsletter', 'trade', 'vip', 'blocked') not null default '',
    preferences json,
    balance     decimal(12, 2) not null default 0,
    created_at  timestamp not null default current_timestamp,
    updated_at  datetime(6)
);
create table addresses (
    customer_id int unsigned not null,
    kind        enum('billing', 'shipping') not null,
    street      varchar(120) not null,
    zip         char(10),
    city        varchar(60) character set latin1,
    primary key (customer_id, kind),
    foreign key (customer_id) references customers (id)
);
create table products (
    id          mediumint unsigned not null auto_increment primary key,
    sku         varchar(24) not null unique,
    title       varchar(100) not null,
    description text,
    price       decimal(10, 2) not null,
    weight      double,
    rating      float,
    photo       blob,
    active      tinyint(1) not null default 1
);
create table orders (
    id          bigint unsigned not null auto_increment primary key,
    customer_id int unsigned not null,
    status      enum('new', 'paid', 'shipped', 'cancelled') not null default 'new',
    placed_at   datetime(6) not null,
    paid_at     timestamp(3) null,
    total       decimal(12, 2) not null default 0,
    note        text,
    foreign key (customer_id) references customers (id)
) auto_increment = 9223372036854775808;
create table order_items (
    order_id    bigint unsigned not null,
    line_no     smallint unsigned not null,
    product_id  mediumint unsigned not null,
    quantity    int not null,
    unit_price  decimal(10, 2) not null,
    gift_card   varchar(200),
    primary key (order_id, line_no),
    foreign key (order_id) references orders (id),
    foreign key (product_id) references products (id)
);
create table stock (
    warehouse   char(3) not null,
    product_id  mediumint unsigned not null,
    on_hand     int not null,
    reserved    int not null default 0,
    counted_on  date,
    primary key (warehouse, product_id),
    foreign key (product_id) references products (id)
);
create table sessions (
    token       binary(16) not null primary key,
    customer_id int unsigned,
    started_at  timestamp(6) not null default current_timestamp(6),
    seconds     time(3),
    agent       varchar(200),
    state       longblob
);
create table audit_log (
    logged_at   datetime(3) not null,
    actor       varchar(40) not null,
    action      varchar(40) not null,
    amount      bigint unsigned,
    details     longtext
);
SQL
}

create_target_schema() {
    pg_sql staging <<SQL
create role mysql2gp login password '$PG_PASSWORD';
create database shop_staging owner mysql2gp;
SQL
    pg_sql target <<SQL
create role mysql2gp login password '$PG_PASSWORD';
create database warehouse owner mysql2gp;
\\connect warehouse
set role mysql2gp;
create schema shop;
set search_path = shop;
create table customers (
    id          bigint primary key,
    email       varchar(120) not null unique,
    name        varchar(80) not null,
    city        varchar(60),
    birthday    date,
    tags        text not null,
    preferences jsonb,
    balance     numeric(12, 2) not null,
    created_at  timestamptz not null,
    updated_at  timestamp(6)
);
create table addresses (
    customer_id bigint,
    kind        text,
    street      varchar(120) not null,
    zip         char(10),
    city        varchar(60),
    primary key (customer_id, kind)
);
create table products (
    id          integer primary key,
    sku         varchar(24) not null unique,
    title       varchar(100) not null,
    description text,
    price       numeric(10, 2) not null,
    weight      double precision,
    rating      real,
    photo       bytea,
    active      smallint not null
);
create table orders (
    id          numeric(20) primary key,
    customer_id bigint not null,
    status      text not null,
    placed_at   timestamp(6) not null,
    paid_at     timestamptz(3),
    total       numeric(12, 2) not null,
    note        text
);
create table order_items (
    order_id    numeric(20),
    line_no     integer,
    product_id  integer not null,
    quantity    integer not null,
    unit_price  numeric(10, 2) not null,
    gift_card   varchar(200),
    primary key (order_id, line_no)
);
create table stock (
    warehouse   char(3),
    product_id  integer,
    on_hand     integer not null,
    reserved    integer not null,
    counted_on  date,
    primary key (warehouse, product_id)
);
create table sessions (
    token       bytea primary key,
    customer_id bigint,
    started_at  timestamptz(6) not null,
    seconds     interval,
    agent       varchar(200),
    state       bytea
);
create table audit_log (
    logged_at   timestamp(3) not null,
    actor       varchar(40) not null,
    action      varchar(40) not null,
    amount      numeric(20),
    details     text
);
SQL
}

# The shop before anybody looks: the miner reads it from the first binlog file.
fill_source() {
    source_sql shop <<'SQL'
insert into customers (email, name, city, birthday, tags, preferences, balance)
select concat('customer', seq, '@example.com'),
       elt(1 + seq % 5, 'Zoë Öztürk', 'Łukasz Żak', '山田 太郎', 'O''Hara \\ Sons', 'Ana 🛒 Silva'),
       elt(1 + seq % 4, 'München', 'Málaga', 'Øresund', null),
       if(seq % 3, date_add('1950-01-01', interval seq * 17 day), null),
       elt(1 + seq % 4, '', 'newsletter', 'newsletter,vip', 'trade,blocked'),
       if(seq % 4, concat('{"lang": "', elt(1 + seq % 3, 'de', 'es', 'pl'), '", "theme": {"dark": true}, "columns": [1, ', seq, ']}'), null),
       seq * 3.17 - 100
  from seq_1_to_500;
insert into addresses
select id, 'billing', concat(id, ' Main Street'), lpad(id, 5, '0'), city from customers where id % 5;
insert into products (sku, title, description, price, weight, rating, photo)
select concat('SKU-', lpad(seq, 5, '0')), concat('Product ', seq),
       if(seq % 7, concat('Tab\there, line\nbreak, return\r, backslash \\N \\', seq), null),
       seq * 1.99, if(seq % 3, seq / 7, null), 1 + seq % 40 / 10,
       if(seq % 5, unhex(concat('00FF0A5C09', hex(seq))), null)
  from seq_1_to_200;
insert into stock (warehouse, product_id, on_hand, counted_on)
select w.name, p.id, 1000, if(p.id % 3, '2024-02-29', null)
  from products p cross join (select 'BER' name union select 'MAD' union select 'WAW') w;
SQL
}

# Two clients of the shop. Printed as SQL; each takes the seconds and the seed.
shop_client() {
    awk -v seconds="$1" -v seed="$2" '
        function pick(n) { return 1 + int(rand() * n) }
        function log_it(actor, action) {
            printf "insert into audit_log values (now(3), \"%s\", \"%s\", %s, %s);\n", actor, action, \
                rand() < 0.3 ? "null" : "18446744073709551615 - " pick(9), \
                rand() < 0.3 ? "null" : "\"path\\tC:\\\\temp\\nnext line \\\\N\""
        }
        function new_customer(i) {
            print "begin;"
            printf "insert into customers (email, name, city, tags, balance, updated_at) values (\"new%d@example.com\", \"Née %d\", \"Zürich\", \"newsletter\", %d.25, now(6));\n", i, i, pick(900)
            print "set @c = last_insert_id();"
            print "insert into addresses values (@c, \"billing\", \"Rue de Sèvres 5\", \"75001\", \"Besançon\"), (@c, \"shipping\", \"c/o \\\\ back\", null, null);"
            log_it("web", "sign up")
            print "commit;"
        }
        function new_order() {
            print "begin;"
            printf "insert into orders (customer_id, placed_at, note) select id, now(6), %s from customers order by rand() limit 1;\n", rand() < 0.5 ? "null" : "\"ring\\ntwice\""
            print "set @o = last_insert_id();"
            printf "insert into order_items select @o, row_number() over (), id, 1 + floor(rand() * 5), price, %s from products order by rand() limit %d;\n", rand() < 0.7 ? "null" : "\"Happy birthday 🎂\"", pick(6)
            print "update stock s join order_items i on i.product_id = s.product_id set s.reserved = s.reserved + i.quantity where i.order_id = @o and s.warehouse = \"BER\";"
            print "update orders set total = (select coalesce(sum(quantity * unit_price), 0) from order_items where order_id = @o) where id = @o;"
            if (rand() < 0.3) log_it("shop", "order")
            print "commit;"
        }
        function cancel_order() {
            print "begin;"
            print "set @o = (select id from orders where status = \"new\" order by rand() limit 1);"
            print "update stock s join order_items i on i.product_id = s.product_id set s.reserved = s.reserved - i.quantity where i.order_id = @o and s.warehouse = \"BER\";"
            print "delete from order_items where order_id = @o;"
            print rand() < 0.5 ? "delete from orders where id = @o;" : "update orders set status = \"cancelled\", total = 0 where id = @o;"
            print "commit;"
        }
        function change_keys(i) {
            # Composite keys, a number that other rows refer to nowhere, letter case.
            print "update order_items set line_no = line_no + 1000 where line_no < 1000 order by rand() limit 4;"
            printf "update ignore stock set warehouse = \"%s\" where product_id = %d and warehouse = \"WAW\";\n", rand() < 0.5 ? "PAR" : "waw", pick(200)
            print "update ignore stock set warehouse = \"WAW\" where warehouse in (\"PAR\") order by rand() limit 1;"
            print "update addresses set street = concat(street, \"\\t\\\\\") where length(street) < 100 order by rand() limit 2;"
            print "delete from addresses where kind = \"shipping\" order by rand() limit 1;"
            printf "update products set sku = concat(\"X-\", sku) where id = %d and length(sku) < 20;\n", pick(200)
            printf "update ignore customers c set id = id + 1000000 where id = %d and not exists (select 1 from orders o where o.customer_id = c.id) and not exists (select 1 from addresses a where a.customer_id = c.id);\n", 5 * pick(100)
        }
        function swap_emails() {
            print "begin;"
            print "select min(id), max(id) into @a, @b from (select id from customers order by rand() limit 2) two;"
            print "select email into @x from customers where id = @a; select email into @y from customers where id = @b;"
            print "update customers set email = concat(\"moving\", @a) where id = @a;"
            print "update customers set email = @x where id = @b;"
            print "update customers set email = @y, updated_at = now(6) where id = @a;"
            print "commit;"
        }
        function undone() {
            print "begin;"
            print "update customers set balance = balance * 2, name = \"must not arrive\";"
            print "delete from audit_log;"
            print "rollback;"
            print "begin;"
            log_it("shop", "savepoint")
            print "savepoint before_mistake; delete from addresses; update products set price = 0; rollback to before_mistake;"
            print "update products set price = price + 0.01 order by rand() limit 3;"
            print "commit;"
        }
        function keyless() {
            # Equal rows, of which some go.
            print "set @t = now(3);"
            print "insert into audit_log select @t, \"job\", \"view\", 7, null from seq_1_to_4;"
            print "delete from audit_log where action = \"view\" order by logged_at limit 2;"
            print "update audit_log set actor = upper(actor) where action = \"sign up\" limit 2;"
        }
        BEGIN {
            srand(seed)
            rounds = seconds * 40
            for (i = 1; i <= rounds; i++) {
                what = rand()
                if (what < 0.12) new_customer(i)
                else if (what < 0.50) new_order()
                else if (what < 0.62) print "update orders set status = \"paid\", paid_at = now(3) where status = \"new\" order by rand() limit 3;"
                else if (what < 0.70) cancel_order()
                else if (what < 0.78) change_keys(i)
                else if (what < 0.84) swap_emails()
                else if (what < 0.88) undone()
                else if (what < 0.94) keyless()
                else print "update stock set on_hand = on_hand - reserved, reserved = 0, counted_on = curdate() where reserved > 20;"
                print "do sleep(0.02);"
            }
        }'
}

web_client() {
    awk -v seconds="$1" -v seed="$2" '
        BEGIN {
            srand(seed + 1)
            rounds = seconds * 80
            for (i = 1; i <= rounds; i++) {
                what = rand()
                if (what < 0.6)
                    printf "insert into sessions (token, customer_id, seconds, agent, state) values (unhex(md5(rand())), %s, sec_to_time(%d.5), \"Mozilla/5.0\\t(%d)\", %s);\n", rand() < 0.2 ? "null" : int(rand() * 500), int(rand() * 90000) - 4000, i, rand() < 0.5 ? "null" : "concat(unhex(\"00015C4E0A\"), repeat(\"\\\\\", 50))"
                else if (what < 0.85)
                    print "update sessions set seconds = addtime(seconds, \"00:00:01.125\"), state = null order by rand() limit 5;"
                else if (what < 0.92)
                    print "update sessions set token = unhex(md5(concat(token, rand()))) order by rand() limit 2;"
                else
                    print "delete from sessions order by started_at limit 4;"
                print "do sleep(0.01);"
            }
        }'
}

# --- the programs -----------------------------------------------------------------

write_config() {
    (
        umask 077
        cat >"$WORK/my.cfg" <<CFG
[src.mysql]
host = "127.0.0.1"
port = "$SOURCE_PORT"
user = "replicator"
password = "$SOURCE_PASSWORD"
db = "shop"
encodingdir = "share"
encoding = "utf8"
binlogfile = "mysql-bin.000001"

[local.pgsql]
connect_string = "dbname=shop_staging host=127.0.0.1 port=$STAGING_PORT user=mysql2gp password='$PG_PASSWORD'"

[desc.pgsql]
connect_string = "dbname=warehouse host=127.0.0.1 port=$TARGET_PORT user=mysql2gp password='$PG_PASSWORD'"
target_schema = "shop"

[binlogloader]
loader_table_list = "loader_table_list.txt"
load_batch = "10"
load_batch_gap = "1"
CFG
    )
    tr ' ' '\n' <<<"$TABLES" >"$WORK/loader_table_list.txt"
}

start_programs() {
    cd "$WORK"
    printf '$ nohup binlog_miner  -c my.cfg >>miner.log  2>&1 &\n'
    nohup setpriv --pdeathsig KILL -- "$BIN/binlog_miner" -c my.cfg >>miner.log 2>&1 &
    MINER=$!
    printf '$ nohup binlog_loader -c my.cfg >>loader.log 2>&1 &\n'
    nohup setpriv --pdeathsig KILL -- "$BIN/binlog_loader" -c my.cfg >>loader.log 2>&1 &
    LOADER=$!
    cd - >/dev/null
}

require_running() {
    kill -0 "$MINER" 2>/dev/null || die "binlog_miner has ended"
    kill -0 "$LOADER" 2>/dev/null || die "binlog_loader has ended"
}

run_workload() {
    local first second
    shop_client "$1" "$2" | source_sql shop >/dev/null &
    first=$!
    web_client "$1" "$2" | source_sql shop >/dev/null &
    second=$!
    wait "$first" || die "a client of the shop failed"
    wait "$second" || die "a client of the shop failed"
    require_running
}

# Waits until mysql2gp.status shows the end of the source's log as applied.
wait_until_applied() {
    local file position rest deadline=$((SECONDS + CATCH_UP_SECONDS))
    read -r file position rest < <(source_sql -e 'show master status')
    : "$rest"
    echo "source ends at $file:$position"
    until [ "$(pg_sql staging -d shop_staging -At -c "select applied_file = '$file' and applied_pos = $position
            and total_lag_seconds = 0 from mysql2gp.status")" = t ]; do
        require_running
        if [ "$SECONDS" -ge "$deadline" ]; then
            pg_sql staging -d shop_staging -x -c 'select * from mysql2gp.status' >&2 || true
            die "not everything is applied after $CATCH_UP_SECONDS seconds"
        fi
        sleep 0.1
    done
    pg_sql staging -d shop_staging -At -c \
        "select 'applied up to ' || applied_file || ':' || applied_pos || ', lag ' || total_lag_seconds || ' s' from mysql2gp.status"
}

stop_programs() {
    local status
    kill -TERM "$MINER" "$LOADER"
    for name in MINER LOADER; do
        status=0
        wait "${!name}" || status=$?
        [ "$status" = 0 ] || die "binlog_${name,,} ends with exit code $status after SIGTERM"
    done
}

# --- the comparison ---------------------------------------------------------------

# The rows of one table as lines of canonical text, the same for both servers: text and
# bytes as hex, times in UTC with all six digits. The JSON of the workload is written as
# jsonb prints it, so that its text compares.
expressions() {
    local side=$1 table=$2 name type
    source_sql -e "select column_name, data_type from information_schema.columns
        where table_schema = 'shop' and table_name = '$table' order by ordinal_position" |
        while read -r name type; do
            case $side.$type in
            source.*int | source.decimal) echo "cast($name as char)" ;;
            target.*int | target.decimal) echo "$name::text" ;;
            source.float | source.double) echo "cast($name * 1e0 as char)" ;;
            target.float | target.double) echo "$name::double precision::text" ;;
            source.date*) echo "date_format($name, '%Y-%m-%d %H:%i:%s.%f')" ;;
            source.timestamp) echo "date_format($name, '%Y-%m-%d %H:%i:%s.%f')" ;;
            target.date* | target.timestamp) echo "to_char($name, 'YYYY-MM-DD HH24:MI:SS.US')" ;;
            source.time) echo "cast(cast(time_to_sec($name) * 1000 as signed) as char)" ;;
            target.time) echo "(extract(epoch from $name) * 1000)::bigint::text" ;;
            source.*blob | source.binary) echo "hex($name)" ;;
            target.*blob | target.binary) echo "upper(encode($name, 'hex'))" ;;
            source.*text | source.*char | source.enum | source.set) echo "hex(convert($name using utf8mb4))" ;;
            # CHAR is padded on one side only; ::text cuts that.
            target.*text | target.*char | target.enum | target.set)
                echo "upper(encode(convert_to($name::text, 'UTF8'), 'hex'))"
                ;;
            *) die "the comparison does not know the type $type" ;;
            esac
        done | sed "s/.*/coalesce(&, 'NULL')/" | paste -sd ,
}

dump_source() {
    source_sql --raw shop -e "set time_zone = '+00:00';
        select concat_ws('|', $(expressions source "$1")) from $1" | sort
}

dump_target() {
    PGTZ=UTC pg_sql target -d warehouse -At -c "select concat_ws('|', $(expressions target "$1")) from shop.$1" | sort
}

compare() {
    local table left right verdict all_equal=yes
    mkdir "$WORK/dump"
    printf '%-12s %11s %11s  %-32s  %-32s\n' table 'source rows' 'target rows' 'source md5' 'target md5'
    for table in $TABLES; do
        left=$WORK/dump/$table.source right=$WORK/dump/$table.target
        dump_source "$table" >"$left"
        dump_target "$table" >"$right"
        verdict=equal
        # A table that stayed empty would prove nothing.
        if ! [ -s "$left" ] || ! cmp -s "$left" "$right"; then
            verdict=DIFFERENT
            all_equal=no
        fi
        printf '%-12s %11d %11d  %-32s  %-32s %s\n' "$table" "$(wc -l <"$left")" "$(wc -l <"$right")" \
            "$(md5sum <"$left" | cut -c 1-32)" "$(md5sum <"$right" | cut -c 1-32)" "$verdict"
    done
    [ "$all_equal" = yes ] || {
        for table in $TABLES; do
            diff "$WORK/dump/$table.source" "$WORK/dump/$table.target" | head -n 6 || true
        done
        die "source and target differ"
    }
}

show() {
    step 'binlog_loader status'
    "$BIN/binlog_loader" -c "$WORK/my.cfg" status
    step 'select ... from mysql2gp.events'
    pg_sql staging -d shop_staging -c "select event_seq, binlog_file || ':' || binlog_pos as position, table_name, op,
            key, left(before::text, 40) as before, left(after::text, 60) as after
        from (select *, row_number() over (partition by table_name, op order by event_seq desc) as n
            from mysql2gp.events) as e
        where n = 1 order by event_seq limit 20"
    step 'select ... from mysql2gp.tables'
    pg_sql staging -d shop_staging -c "select table_name, target_table, key_columns, state, inserts, updates, deletes,
            applied_rows, lag_seconds from mysql2gp.tables order by table_name"
}

# --- the end ----------------------------------------------------------------------

finish() {
    local status=$? log pid
    trap - EXIT
    trap '' INT TERM HUP
    if [ "$status" != 0 ] && [ -n "${WORK:-}" ]; then
        for log in "$WORK"/{miner.log,loader.log,source/server.log,staging/server.log,target/server.log}; do
            if [ -s "$log" ]; then
                printf '\n-- end of %s\n' "${log#"$WORK"/}" >&2
                tail -n 20 "$log" >&2
            fi
        done
    fi
    # PostgreSQL shuts down at once on SIGQUIT, and its children with it; a killed
    # postmaster would leave them behind for a moment.
    for pid in ${MINER:-} ${LOADER:-} "${PIDS[@]:0:1}"; do
        kill -KILL "$pid" 2>/dev/null || true
    done
    for pid in "${PIDS[@]:1}"; do
        kill -QUIT "$pid" 2>/dev/null || true
    done
    # The clients of the workload, too.
    # shellcheck disable=SC2046
    kill -KILL $(jobs -p | grep -vxF "$(printf '%s\n' "${PIDS[@]}" none)") 2>/dev/null || true
    wait 2>/dev/null || true
    [ -z "${WORK:-}" ] || rm -rf "$WORK"
    [ "$status" = 0 ] || printf '\ndemo: failed\n' >&2
    exit "$status"
}

main() {
    local seconds=15 seed=$RANDOM start
    while [ $# -gt 0 ]; do
        case $1 in
        --seconds | --seed)
            [[ ${2:-} =~ ^[0-9]+$ ]] || {
                usage >&2
                exit 2
            }
            if [ "$1" = --seconds ]; then seconds=$2; else seed=$2; fi
            shift 2
            ;;
        -h | --help)
            usage
            exit 0
            ;;
        *)
            usage >&2
            exit 2
            ;;
        esac
    done
    cd "$(dirname "${BASH_SOURCE[0]}")/.."
    require_rust
    step 'install the servers'
    scripts/install_servers.sh --demo
    step 'build'
    build

    start=$SECONDS
    choose_pg_user
    trap finish EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    make_directory
    step 'start private servers'
    start_servers
    step 'create the shop'
    create_source_schema
    create_target_schema
    fill_source
    write_config
    step 'start the programs'
    start_programs
    step "the shop works for about $seconds seconds (seed $seed)"
    run_workload "$seconds" "$seed"
    wait_until_applied
    step 'compare source and target row by row'
    compare
    show
    stop_programs
    printf '\nall %d tables are equal; %d seconds after the build\n' "$(wc -w <<<"$TABLES")" $((SECONDS - start))
}

main "$@"
