#!/bin/bash
# make_golden.sh NAME CLIENT_OPTION... -- SQL_FILE...
#
# Regenerates miner/tests/data/NAME.*: runs the SQL files on a running server and keeps
#   NAME.binlog    the binlog file that they made
#   NAME.catalog   information_schema's columns and indexes, tab separated
#   NAME.select    what SELECT gives for every table afterwards: the oracle
# The server must be a throw-away one, and its binlog readable through `datadir`.
# Example: make_golden.sh mariadb1011 -S /tmp/m.sock -uroot -- types.sql charsets.sql mariadb.sql
#
#   mysql57                    types charsets mysql
#   mysql97                    types charsets mysql mysql8
#   mariadb1011                types charsets mariadb
#   mariadb118                 types charsets mariadb mariadb11
#   mysql57_events             events events_mixed          (gtid_mode=OFF)
#   mysql97_events             events events_mysql8
#   mariadb1011_events, 118    events events_mixed
#   mysql57_plain, 97, mariadb1011, 118    plain
#   mysql97_compressed         compressed_transactions
#   mariadb1011_compressed     compressed_events            (log_bin_compress=1, ..._min_len=10)
#   mariadb1011_old_temporals  old_temporals
#
# The servers run with binlog_row_metadata=FULL where they know it.
# `.expected` files are written by the test:
#   MYSQL2GP_BLESS=1 cargo test -p miner --test main golden
set -euo pipefail
cd "$(dirname "$0")/../miner/tests/data"
name=$1
shift
options=()
while [ "$1" != -- ]; do
  options+=("$1")
  shift
done
shift
sql() { mariadb --no-defaults --default-character-set=utf8mb4 "${options[@]}" -N -B "$@"; }

sql -e 'drop database if exists golden; create database golden character set utf8mb4'
sql -e 'reset master' 2>/dev/null || sql -e 'reset binary logs and gtids'
for file in "$@"; do
  sql golden <"sql/$file"
done

sql --raw -e "
  select 'C', table_name, ordinal_position, hex(column_name), data_type, hex(column_type), is_nullable = 'YES',
         coalesce(character_set_name, ''), extra
    from information_schema.columns
   where table_schema = 'golden'
   order by table_name, ordinal_position;
  select 'I', table_name, hex(index_name), non_unique = 0, seq_in_index, coalesce(hex(column_name), '')
    from information_schema.statistics
   where table_schema = 'golden'
   order by table_name, index_name = 'PRIMARY' desc, seq_in_index" >"$name.catalog"

# Every value as text in the charset of the connection, binary ones in hexadecimal.
expression() { # COLUMN DATA_TYPE COLUMN_TYPE
  local c="\`$1\`"
  case $2 in
    *blob | binary | varbinary | vector | geometry | point | linestring | polygon | multi* | geom*)
      printf '%s\n' "concat('\\\\x', lower(hex($c)))" ;;
    bit) echo "lpad(conv($c + 0, 10, 2), $(tr -dc 0-9 <<<"$3"), '0')" ;;
    float | double) echo "$c * 1e0" ;; # keeps the sign of zero
    year | *int) echo "$c + 0" ;;
    timestamp) echo "if($c = 0, concat($c), concat($c, '+00'))" ;;
    json) echo "cast($c as char)" ;;
    *) echo "convert($c using utf8mb4)" ;;
  esac
}
: >"$name.select"
for table in $(sql -e "select table_name from information_schema.tables where table_schema = 'golden' order by 1"); do
  list=
  while IFS=$'\t' read -r column data_type column_type; do
    list+="${list:+, }$(expression "$column" "$data_type" "$column_type")"
  done < <(sql --raw -e "select column_name, data_type, left(column_type, 20) from information_schema.columns
                   where table_schema = 'golden' and table_name = '$table' order by ordinal_position")
  sql -e "set time_zone = '+00:00', sql_mode = ''; select 'R', '$table', $list from golden.\`$table\` order by 3" >>"$name.select"
done
# Files about events end in half-finished states, their oracle is NAME.expected; plain ones
# change rows, another decoder reads them too.
case $name in *_events | *_plain) rm "$name.select" ;; esac

file=$(sql -e 'show binary logs' | tail -1 | cut -f1)
directory=$(sql -e 'select @@datadir')
sql -e 'flush binary logs'
cp "$directory/$file" "$name.binlog"
ls -l "$name".*
