-- Staging, version 1: what the miner writes, what the loader reads, and the public views.
-- Run by whichever program starts first, in one transaction, under an advisory lock.

create schema if not exists mysql2gp;

create table mysql2gp.schema_version (
    version     integer primary key,
    migrated_at timestamptz not null default now()
);

-- Who this staging database belongs to. One row.
create table mysql2gp.task (
    only_row       boolean primary key default true check (only_row),
    name           text not null,
    staging_id     uuid not null default md5(random()::text || clock_timestamp()::text)::uuid,
    start_position text,
    created_at     timestamptz not null default now()
);
comment on table mysql2gp.task is 'the task that this staging database serves';
comment on column mysql2gp.task.staging_id is
    'names this incarnation of staging: sequences compare only within one';
comment on column mysql2gp.task.start_position is
    'binlogfile and offset, or GTID set, from which mining first began';

-- The miner's durable position and its state. One row, updated in each staging commit.
create table mysql2gp.miner (
    only_row            boolean primary key default true check (only_row),
    epoch               bigint not null default 0,
    holder              text,
    state               text not null default 'stopped' check (state in
                        ('starting', 'running', 'waiting_source', 'waiting_staging',
                         'waiting_space', 'stopped', 'failed')),
    source              text,
    server_version      text,
    timeline_id         uuid,
    log_id              text,
    file_created        bigint,
    staged_file         text,
    staged_pos          bigint check (staged_pos >= 0),
    staged_gtid_set     text,
    staged_commit_time  timestamptz,
    staged_at           timestamptz,
    caught_up           boolean not null default false,
    transaction_seq     bigint not null default 0,
    event_seq           bigint not null default 0,
    chunk_seq           bigint not null default 0,
    table_list          text,
    list_version        bigint not null default 0,
    last_error          text,
    last_error_at       timestamptz,
    check ((staged_file is null) = (staged_pos is null))
) with (fillfactor = 10);
-- Read outside the transaction that moves it, which the table above is not.
create sequence mysql2gp.open_event_seq minvalue 0 start 0;
comment on sequence mysql2gp.open_event_seq is
    'how far the source transaction is that is being staged: its last event that lies in staging, invisible until it ends';

comment on table mysql2gp.miner is
    'the staged position: everything before it is in staging or was filtered out; it commits with the rows it covers';
comment on column mysql2gp.miner.epoch is 'rises at each start of a miner; every write of the miner requires its own epoch';
comment on column mysql2gp.miner.timeline_id is 'timeline that the position belongs to';
comment on column mysql2gp.miner.log_id is 'server_uuid (MariaDB: server_id) of the log that the position belongs to';
comment on column mysql2gp.miner.file_created is 'timestamp of staged_file''s FORMAT_DESCRIPTION event, seconds since 1970';
comment on column mysql2gp.miner.caught_up is 'whether the source had nothing more when staged_at was set';
comment on column mysql2gp.miner.transaction_seq is 'number of the last staged transaction';
comment on column mysql2gp.miner.event_seq is 'number of the last staged event';
comment on column mysql2gp.miner.chunk_seq is 'number of the last staged chunk';
comment on column mysql2gp.miner.list_version is 'rises with each new table_list; the loader then reads its own again';
comment on column mysql2gp.miner.table_list is 'the table list in force, as JSON pairs of database and table; what it selects is staged';
insert into mysql2gp.miner default values;

-- The loader's state and a copy of its applied position (the target's checkpoint is the authority). One row.
create table mysql2gp.loader (
    only_row            boolean primary key default true check (only_row),
    holder              text,
    state               text not null default 'stopped' check (state in
                        ('starting', 'running', 'waiting_staging', 'waiting_target',
                         'waiting_space', 'stopped', 'failed')),
    applied_file        text,
    applied_pos         bigint check (applied_pos >= 0),
    applied_gtid_set    text,
    applied_commit_time timestamptz,
    applied_at          timestamptz,
    transaction_seq     bigint not null default 0,
    event_seq           bigint not null default 0,
    consistent_from     text,
    ahead_transaction   bigint,
    needs_from          text,
    last_error          text,
    last_error_at       timestamptz
) with (fillfactor = 10);
comment on table mysql2gp.loader is 'what the loader has applied, copied from the target for inspection';
comment on column mysql2gp.loader.needs_from is
    'FILE:POS of the target''s checkpoint while staging does not reach back to it: the miner is asked to mine from there';
comment on column mysql2gp.loader.transaction_seq is
    'last transaction up to which everything is applied but for paused tables, in this staging''s numbering';
comment on column mysql2gp.loader.ahead_transaction is
    'last transaction that is applied to all other tables, while some catch up; else null';
comment on column mysql2gp.loader.event_seq is 'last applied event, or last written one of a large transaction that is not committed yet';
insert into mysql2gp.loader default values;

-- Tables that are behind, copied from the target (mysql2gp.checkpoint_tables) for inspection.
create table mysql2gp.behind (
    database_name   text not null,
    table_name      text not null,
    state           text not null check (state in ('paused', 'catching_up')),
    applied_file    text not null,
    applied_pos     bigint not null,
    transaction_seq bigint not null,
    changed_at      timestamptz not null,
    primary key (database_name, table_name)
);
comment on table mysql2gp.behind is 'tables that are paused, or catch up with the others since they were resumed';
comment on column mysql2gp.behind.applied_file is 'everything of the table up to here is applied; of one that catches up, when that began';
comment on column mysql2gp.behind.transaction_seq is 'last transaction of which the table has its part, in this staging''s numbering';

-- What an operator asks of a running loader. Taken when it begins a flow, and removed by who asked.
create table mysql2gp.wish (
    wish_id       bigserial primary key,
    wish          text not null check (wish in ('pause', 'resume')),
    database_name text not null,
    table_name    text not null,
    asked_at      timestamptz not null default now(),
    answer        text
);
comment on table mysql2gp.wish is 'tables to be paused or resumed, for the loader that runs';
comment on column mysql2gp.wish.answer is 'what the loader did; null until it has';

-- Who asks holds this lock: what a command has asked that was killed is not done later.
create function mysql2gp.wish_lock(wish_id bigint, out class integer, out object integer) language sql immutable as
    'select 1464750920, (wish_id % 2147483648)::integer';
comment on function mysql2gp.wish_lock(bigint) is 'numbers of the advisory lock of a wish';
create function mysql2gp.is_waited_for(wish_id bigint) returns boolean language sql stable as $$
    select exists (
        select 1
          from pg_catalog.pg_locks l, mysql2gp.wish_lock(wish_id) k, pg_catalog.pg_database d
         where l.locktype = 'advisory' and l.granted and l.objsubid = 2 and d.datname = current_database()
           and (l.database, l.classid::bigint, l.objid::bigint) = (d.oid, k.class, k.object))
$$;
comment on function mysql2gp.is_waited_for(bigint) is 'whether the command that asks for it is still there';

-- A loader holds this lock, shared, as long as it has a session here.
create function mysql2gp.loader_lock(out class integer, out object integer) language sql immutable as
    'select 1832019820, 1';
comment on function mysql2gp.loader_lock() is 'numbers of the advisory lock of a loader that lives';
create function mysql2gp.loader_is_connected() returns boolean language sql stable as $$
    select exists (
        select 1
          from pg_catalog.pg_locks l, mysql2gp.loader_lock() k, pg_catalog.pg_database d
         where l.locktype = 'advisory' and l.granted and l.objsubid = 2 and d.datname = current_database()
           and (l.database, l.classid::bigint, l.objid::bigint) = (d.oid, k.class, k.object))
$$;
comment on function mysql2gp.loader_is_connected() is
    'whether a loader has a session here; where the status says that it runs, and it has none, it has died or is cut off';

-- Apart from mysql2gp.loader, whose row a frozen loader may keep locked.
create table mysql2gp.tenure (
    only_row boolean primary key default true check (only_row),
    tenure   uuid
);
comment on table mysql2gp.tenure is 'the loader that has begun to read last';
insert into mysql2gp.tenure default values;

-- Versions of table definitions; staged rows name the version they were decoded with.
create table mysql2gp.definition (
    definition_id integer primary key check (definition_id > 0),
    database_name text not null,
    table_name    text not null,
    valid_from    text not null,
    valid_until   text,
    definition    jsonb not null,
    created_at    timestamptz not null default now()
);
comment on table mysql2gp.definition is 'table definitions, one row per version';
comment on column mysql2gp.definition.valid_from is 'FILE:POS of the first event decoded with this version';
comment on column mysql2gp.definition.valid_until is 'FILE:POS of the DDL statement that ended the version; null while it is in force';
comment on column mysql2gp.definition.definition is 'columns in source order with their types, and the key';

-- Tables that the task replicates, as the miner sees them in the source.
create table mysql2gp.replicated_table (
    database_name text not null,
    table_name    text not null,
    key_columns   text[] not null,
    definition    jsonb not null,
    listed_behind bigint,
    primary key (database_name, table_name)
);
comment on table mysql2gp.replicated_table is 'tables that the list selects; written by the miner';
comment on column mysql2gp.replicated_table.definition is
    'as the source''s catalog had it at the miner''s last start: for checks, until rows bring the one that is theirs';
comment on column mysql2gp.replicated_table.listed_behind is
    'last transaction that was staged when the table came into the list; null when it was there from the beginning';

-- Prepared XA transactions: their lines stand in the place of their XA COMMIT when that comes.
create table mysql2gp.prepared (
    xid       text primary key,
    lines     bytea not null,
    parked_at timestamptz not null default now()
);
comment on table mysql2gp.prepared is 'XA transactions that are prepared at the source and neither committed nor rolled back';
comment on column mysql2gp.prepared.lines is 'staged lines; empty when no replicated table was changed';

-- The loader's counters by table.
create table mysql2gp.table_progress (
    database_name    text not null,
    table_name       text not null,
    target_table     text,
    state            text not null default 'active' check (state in ('active', 'overlapping')),
    inserts          bigint not null default 0,
    updates          bigint not null default 0,
    deletes          bigint not null default 0,
    truncates        bigint not null default 0,
    applied_rows     bigint not null default 0,
    last_commit_time timestamptz,
    primary key (database_name, table_name)
) with (fillfactor = 50);
comment on table mysql2gp.table_progress is 'what the loader has applied, by source table';

-- Tables that a program has ended at; its next start takes them away.
create table mysql2gp.table_error (
    program       text not null check (program in ('miner', 'loader')),
    database_name text not null,
    table_name    text not null,
    error         text not null,
    primary key (program, database_name, table_name)
);
comment on table mysql2gp.table_error is 'tables that a program could not go on with, and why, until it starts again';

-- Staged text, about 8 KB a tuple; see the line format at the view mysql2gp.events.
-- One partition ("segment") per run of chunks; a segment is dropped when it is applied and old enough.
-- chunk_seq = segment_no * 1048576 + number within the segment.
create table mysql2gp.chunk (
    chunk_seq             bigint not null,
    first_transaction_seq bigint not null,
    first_event_seq       bigint not null,
    commits               integer not null,
    payload               text,
    big_payload           text,
    check ((payload is null) <> (big_payload is null)),
    primary key (chunk_seq)
) partition by range (chunk_seq);
alter table mysql2gp.chunk alter column payload set storage plain;
alter table mysql2gp.chunk alter column big_payload set storage external;
comment on table mysql2gp.chunk is 'staged lines, whole lines only; read it through mysql2gp.events';
comment on column mysql2gp.chunk.first_transaction_seq is 'transaction that the first line belongs to';
comment on column mysql2gp.chunk.first_event_seq is 'number of the first event line (of the next one, if the chunk has none)';
comment on column mysql2gp.chunk.commits is 'number of C lines in the chunk';
comment on column mysql2gp.chunk.payload is 'lines that fit one page';
comment on column mysql2gp.chunk.big_payload is 'one line that does not fit a page';

-- Stretches of one server's log. A new one begins when the miner goes on at another server;
-- positions compare only within one.
create table mysql2gp.timeline (
    timeline_no    integer primary key check (timeline_no > 0),
    timeline_id    uuid not null unique,
    log_id         text not null,
    start_file     text not null,
    start_pos      bigint not null check (start_pos >= 0),
    start_gtid_set text,
    source_end     text not null,
    previous_id    uuid,
    previous_end   text,
    resumed        boolean not null default false,
    dropped        boolean not null default false,
    began_at       timestamptz not null default now(),
    check ((previous_id is null) = (previous_end is null))
);
comment on table mysql2gp.timeline is 'servers that were mined, one row for each time that mining went over to one';
comment on column mysql2gp.timeline.timeline_no is 'order within this staging database';
comment on column mysql2gp.timeline.timeline_id is 'names the timeline in staging and in the target''s checkpoint';
comment on column mysql2gp.timeline.log_id is 'server_uuid (MariaDB: server_id) of the server';
comment on column mysql2gp.timeline.start_file is 'binlog file where mining began on that server, with start_pos';
comment on column mysql2gp.timeline.start_gtid_set is 'GTIDs that were staged or on the target before; null when not known';
comment on column mysql2gp.timeline.source_end is 'FILE:POS, end of the server''s log when mining began there';
comment on column mysql2gp.timeline.previous_id is 'timeline that it continues; null for the first';
comment on column mysql2gp.timeline.previous_end is 'FILE:POS at which the previous timeline was left';

comment on column mysql2gp.timeline.resumed is 'whether it began with the target''s checkpoint: what was before is not in this staging database';
comment on column mysql2gp.timeline.dropped is 'whether applied segments of it were dropped';

create table mysql2gp.segment (
    segment_no            bigint primary key check (segment_no > 0),
    timeline_id           uuid not null references mysql2gp.timeline (timeline_id),
    first_transaction_seq bigint not null,
    first_position        text not null,
    created_at            timestamptz not null default now()
);
comment on table mysql2gp.segment is 'partitions of mysql2gp.chunk: segment n is the table mysql2gp.chunk_n';
comment on column mysql2gp.segment.first_position is 'FILE:POS before the segment''s first transaction, or within it';

create table mysql2gp.batch (
    batch_id              bigint primary key,
    first_transaction_seq bigint not null,
    last_transaction_seq  bigint not null,
    transactions          bigint not null,
    row_events            bigint not null,
    net_upserts           bigint not null,
    net_deletes           bigint not null,
    fetch_ms              integer not null,
    compact_ms            integer not null,
    apply_ms              integer not null,
    applied_at            timestamptz not null
);

-- Rows that the target refused. Written before the target commits; at its start the loader brings the table into
-- line with mysql2gp.checkpoint_dead_letters on the target, which is the authority on what is unresolved.
create table mysql2gp.dead_letter (
    id            bigserial primary key,
    event_seq     bigint,
    log_id        text not null,
    binlog_file   text not null,
    binlog_pos    bigint not null,
    row_number    bigint not null,
    copy_number   integer not null,
    database_name text not null,
    table_name    text not null,
    op            text not null check (op in ('insert', 'update', 'delete')),
    definition    jsonb not null,
    key_cells     text,
    row_cells     text not null,
    sqlstate      text not null,
    error         text not null,
    refused_at    timestamptz not null default now(),
    resolved_at   timestamptz,
    unique (log_id, binlog_file, binlog_pos, row_number, copy_number, database_name, table_name)
);
create index dead_letter_unresolved on mysql2gp.dead_letter (database_name, table_name) where resolved_at is null;
comment on table mysql2gp.dead_letter is 'rows that the target refused; read it through mysql2gp.dead_letters';
comment on column mysql2gp.dead_letter.row_number is 'number of its event within the source transaction, from 1';
comment on column mysql2gp.dead_letter.copy_number is 'tells equal rows of a table without a key apart, from 1';
comment on column mysql2gp.dead_letter.event_seq is 'its event in this staging; null when it comes from an earlier one';
comment on column mysql2gp.dead_letter.definition is 'the table''s definition that the row was decoded with';
comment on column mysql2gp.dead_letter.key_cells is 'staged text of the key; null in a table without one';
comment on column mysql2gp.dead_letter.row_cells is 'staged text of the row';

-- Cells of a staged line after its mark, unescaped. NULL cells are null.
create function mysql2gp.cells(line text) returns text[]
language sql immutable strict parallel safe as $$
    select array_agg(
               case
                   when cell = '\N' then null
                   when position('\' in cell) = 0 then cell
                   else (select string_agg(
                                    replace(replace(replace(part, '\t', E'\t'), '\n', E'\n'), '\r', E'\r'),
                                    '\' order by part_number)
                           from unnest(string_to_array(cell, '\\')) with ordinality as p(part, part_number))
               end
               order by cell_number)
      from unnest(string_to_array(line, E'\t')) with ordinality as c(cell, cell_number)
     where cell_number > 1
$$;
comment on function mysql2gp.cells(text) is 'cells of a staged line, unescaped';

-- The first C line of a chunk.
create function mysql2gp.first_commit(lines text) returns text
language sql immutable strict parallel safe as $$
    select line
      from unnest(string_to_array(lines, E'\n')) with ordinality as l(line, n)
     where left(line, 1) = 'C'
     order by n
     limit 1
$$;

-- Commit time of the oldest staged transaction behind number applied; null when there is none.
-- Looks into one segment, found by its first transaction.
create function mysql2gp.oldest_commit_behind(applied bigint) returns timestamptz
language sql stable strict parallel safe as $$
    select 'epoch'::timestamptz + split_part(l.line, E'\t', 5)::bigint * interval '1 microsecond'
      from (select c.chunk_seq, coalesce(c.payload, c.big_payload) as lines
              from mysql2gp.chunk c
             where c.chunk_seq >= (select coalesce(max(s.segment_no), 0) * 1048576
                                     from mysql2gp.segment s
                                    where s.first_transaction_seq <= applied + 1)
               and c.commits > 0
               and c.first_transaction_seq + c.commits > applied + 1
             order by c.chunk_seq
             limit 1) f
     cross join lateral unnest(string_to_array(f.lines, E'\n')) with ordinality as l(line, n)
     where left(l.line, 1) = 'C'
       and substr(split_part(l.line, E'\t', 1), 2)::bigint > applied
     order by l.n
     limit 1
$$;
comment on function mysql2gp.oldest_commit_behind(bigint) is 'commit time of the first transaction behind this number';

-- Seconds since the commit of the oldest staged transaction behind number applied; 0 when there is none.
create function mysql2gp.lag_behind(applied bigint) returns numeric
language sql stable strict parallel safe as $$
    select coalesce(
               (select greatest(0, extract(epoch from now() - mysql2gp.oldest_commit_behind(applied)))::numeric
                  from mysql2gp.miner m
                 where m.transaction_seq > applied),
               0)
$$;
comment on function mysql2gp.lag_behind(bigint) is
    'how old a table is that has everything up to this transaction, in seconds; 0 when nothing is staged behind it';

-- An object of column names and canonical values.
create function mysql2gp.object(names text[], cells text[]) returns jsonb
language sql immutable parallel safe as $$
    select case when cells is null then null else jsonb_object(names, cells) end
$$;

create view mysql2gp.definition_names as
select d.definition_id,
       d.database_name,
       d.table_name,
       c.names,
       c.unlogged,
       coalesce(k.key_names, '{}') as key_names,
       coalesce(k.key_numbers, '{}') as key_numbers,
       cardinality(c.names) as column_count
  from mysql2gp.definition d
 cross join lateral (
       select array_agg(e.col ->> 'name' order by e.n) as names,
              coalesce(array_agg(e.col ->> 'name') filter (where e.col ? 'unlogged'), '{}') as unlogged
         from jsonb_array_elements(d.definition -> 'columns') with ordinality as e(col, n)) c
 cross join lateral (
       select array_agg(c.names[e.i::integer + 1] order by e.n) as key_names,
              array_agg(e.i::integer + 1 order by e.n) as key_numbers
         from jsonb_array_elements_text(
                  case jsonb_typeof(d.definition -> 'key')
                      when 'object' then coalesce(d.definition -> 'key' -> 'primary', d.definition -> 'key' -> 'unique')
                  end) with ordinality as e(i, n)) k;

create view mysql2gp.events as
select c.first_event_seq + l.events_before as event_seq,
       c.first_transaction_seq + l.commits_before as transaction_seq,
       nullif(t.fields[4], '') as gtid,
       t.fields[2] as binlog_file,
       t.fields[3]::bigint as binlog_pos,
       to_timestamp(t.fields[5]::bigint / 1000000.0) as committed_at,
       coalesce(d.database_name, v.cells[1]) as database_name,
       coalesce(d.table_name, v.cells[2]) as table_name,
       case left(l.line, 1)
           when 'I' then 'insert'
           when 'U' then 'update'
           when 'K' then 'update'
           when 'u' then 'update'
           when 'D' then 'delete'
           when 'd' then 'delete'
           when 'T' then 'truncate'
           when 'S' then 'ddl'
       end as op,
       case left(l.line, 1)
           when 'D' then mysql2gp.object(d.key_names, v.cells)
           else case when d.key_names <> '{}' then
               mysql2gp.object(d.key_names,
                   (select array_agg(v.cells[i.i] order by i.n) from unnest(d.key_numbers) with ordinality as i(i, n)))
           end
       end as key,
       case left(l.line, 1)
           when 'K' then mysql2gp.object(d.key_names, v.cells[d.column_count + 1 :])
           when 'u' then mysql2gp.object(d.names, v.cells[d.column_count + 1 :]) - d.unlogged
           when 'd' then mysql2gp.object(d.names, v.cells) - d.unlogged
       end as before,
       case
           when left(l.line, 1) in ('I', 'U', 'K', 'u') then mysql2gp.object(d.names, v.cells[1 : d.column_count]) - d.unlogged
       end as after,
       case when left(l.line, 1) = 'S' then v.cells[3] end as statement
  from mysql2gp.chunk c
 cross join lateral (
       select string_to_array(rtrim(coalesce(c.payload, c.big_payload), E'\n'), E'\n') as lines) a
 cross join lateral (
       select u.line,
              count(*) filter (where left(u.line, 1) <> 'C') over before_this as events_before,
              count(*) filter (where left(u.line, 1) = 'C') over before_this as commits_before,
              min(u.n) filter (where left(u.line, 1) = 'C') over after_this as commit_line
         from unnest(a.lines) with ordinality as u(line, n)
       window before_this as (order by u.n rows between unbounded preceding and 1 preceding),
              after_this as (order by u.n rows between current row and unbounded following)) l
 cross join lateral (
       select string_to_array(
                  substr(coalesce(a.lines[l.commit_line],
                                  (select mysql2gp.first_commit(coalesce(n.payload, n.big_payload))
                                     from mysql2gp.chunk n
                                    where n.chunk_seq > c.chunk_seq
                                      and n.commits > 0
                                    order by n.chunk_seq
                                    limit 1)), 2),
                  E'\t') as fields) t
 cross join lateral (select mysql2gp.cells(l.line) as cells) v
  left join mysql2gp.definition_names d
    on d.definition_id = nullif(substr(split_part(l.line, E'\t', 1), 2), '')::integer
 where left(l.line, 1) <> 'C';

comment on view mysql2gp.events is
    'staged row events and statements, unpacked from the chunks; values are canonical text or null';
comment on column mysql2gp.events.event_seq is 'number of the event within this staging database';
comment on column mysql2gp.events.transaction_seq is 'number of its source transaction within this staging database';
comment on column mysql2gp.events.gtid is 'the transaction''s GTID, null when it has none';
comment on column mysql2gp.events.binlog_file is 'binlog file in which the transaction ends';
comment on column mysql2gp.events.binlog_pos is 'offset at which the transaction ends';
comment on column mysql2gp.events.committed_at is 'commit time at the source';
comment on column mysql2gp.events.database_name is 'database at the source';
comment on column mysql2gp.events.table_name is 'table at the source';
comment on column mysql2gp.events.op is 'insert, update, delete, truncate or ddl';
comment on column mysql2gp.events.key is 'key columns after the change (before it, for a delete); null for a table without a key';
comment on column mysql2gp.events.before is 'old key when an update changed it; the whole old row for tables that need it or with stage_before_image';
comment on column mysql2gp.events.after is 'the whole new row';
comment on column mysql2gp.events.statement is 'text of a ddl statement';

create view mysql2gp.batches as
select batch_id,
       first_transaction_seq,
       last_transaction_seq,
       transactions,
       row_events,
       net_upserts,
       net_deletes,
       round(row_events::numeric / nullif(net_upserts + net_deletes, 0), 2) as merge_ratio,
       fetch_ms,
       compact_ms,
       apply_ms,
       applied_at
  from mysql2gp.batch;
comment on view mysql2gp.batches is 'batches applied lately, one target transaction each';
comment on column mysql2gp.batches.batch_id is 'number of the batch within this staging database';
comment on column mysql2gp.batches.first_transaction_seq is 'first source transaction of the batch';
comment on column mysql2gp.batches.last_transaction_seq is 'last source transaction of the batch';
comment on column mysql2gp.batches.transactions is 'source transactions in the batch';
comment on column mysql2gp.batches.row_events is 'row events in the batch, before merging';
comment on column mysql2gp.batches.net_upserts is 'rows written after merging';
comment on column mysql2gp.batches.net_deletes is 'keys deleted after merging';
comment on column mysql2gp.batches.merge_ratio is 'row events per net change';
comment on column mysql2gp.batches.fetch_ms is 'milliseconds spent reading staging';
comment on column mysql2gp.batches.compact_ms is 'milliseconds spent merging';
comment on column mysql2gp.batches.apply_ms is 'milliseconds spent on the target, commit included';
comment on column mysql2gp.batches.applied_at is 'when the target committed the batch';

create view mysql2gp.dead_letters as
select l.id,
       l.event_seq,
       l.binlog_file,
       l.binlog_pos,
       l.database_name,
       l.table_name,
       l.op,
       mysql2gp.object(k.key_names, mysql2gp.cells(E'\t' || l.key_cells)) as key,
       case
           -- A larger one is no jsonb.
           when octet_length(l.row_cells) < 67108864
           then mysql2gp.object(c.names, mysql2gp.cells(E'\t' || l.row_cells))
       end as row,
       l.sqlstate,
       l.error,
       l.refused_at,
       l.resolved_at
  from mysql2gp.dead_letter l
 cross join lateral (
       select array_agg(e.col ->> 'name' order by e.n) as names
         from jsonb_array_elements(l.definition -> 'columns') with ordinality as e(col, n)) c
 cross join lateral (
       select array_agg(c.names[e.i::integer + 1] order by e.n) as key_names
         from jsonb_array_elements_text(
                  case jsonb_typeof(l.definition -> 'key')
                      when 'object' then coalesce(l.definition -> 'key' -> 'primary', l.definition -> 'key' -> 'unique')
                  end) with ordinality as e(i, n)) k;
comment on view mysql2gp.dead_letters is 'rows that the target refused';
comment on column mysql2gp.dead_letters.id is 'number of the dead letter';
comment on column mysql2gp.dead_letters.event_seq is
    'its event in mysql2gp.events; null when it was refused before this staging began';
comment on column mysql2gp.dead_letters.binlog_file is 'binlog file in which its transaction ends';
comment on column mysql2gp.dead_letters.binlog_pos is 'offset at which its transaction ends';
comment on column mysql2gp.dead_letters.database_name is 'database at the source';
comment on column mysql2gp.dead_letters.table_name is 'table at the source';
comment on column mysql2gp.dead_letters.op is 'insert or update';
comment on column mysql2gp.dead_letters.key is 'key columns; null in a table without a key';
comment on column mysql2gp.dead_letters.row is
    'the row that was refused; null above 64 MB';
comment on column mysql2gp.dead_letters.sqlstate is 'the SQLSTATE of the refusal';
comment on column mysql2gp.dead_letters.error is 'what the target said, without values';
comment on column mysql2gp.dead_letters.refused_at is 'when';
comment on column mysql2gp.dead_letters.resolved_at is 'when a later change or an operator settled it';

create view mysql2gp.tables as
select r.database_name,
       r.table_name,
       p.target_table,
       r.key_columns,
       case
           when f.error is not null then 'failed'
           when w.state = 'paused' then w.state
           when h.letters > 0 then 'held'
           else coalesce(p.state, 'active')
       end as state,
       coalesce(p.inserts, 0) as inserts,
       coalesce(p.updates, 0) as updates,
       coalesce(p.deletes, 0) as deletes,
       coalesce(p.applied_rows, 0) as applied_rows,
       round((p.inserts + p.updates + p.deletes)::numeric / nullif(p.applied_rows, 0), 2) as merge_ratio,
       p.last_commit_time,
       (case w.state
            when 'paused' then mysql2gp.lag_behind(w.transaction_seq)
            when 'catching_up' then b.catching_up
            else b.others
        end)::numeric(18, 3) as lag_seconds,
       coalesce(f.error, h.last_error) as last_error
  from mysql2gp.replicated_table r
  left join mysql2gp.table_progress p using (database_name, table_name)
  left join mysql2gp.behind w using (database_name, table_name)
 cross join lateral (
       select count(*) as letters,
              count(*) || ' dead letters, the last one: ' || (array_agg(e.error order by e.id desc))[1] as last_error
         from mysql2gp.dead_letter e
        where e.database_name = r.database_name
          and e.table_name = r.table_name
          and e.resolved_at is null) h
 cross join lateral (
       select string_agg(e.program || ': ' || e.error, '; ' order by e.program) as error
         from mysql2gp.table_error e
        where e.database_name = r.database_name
          and e.table_name = r.table_name) f
 cross join (
       select mysql2gp.lag_behind(l.transaction_seq) as catching_up,
              mysql2gp.lag_behind(coalesce(l.ahead_transaction, l.transaction_seq)) as others
         from mysql2gp.loader l) b;
comment on view mysql2gp.tables is 'replicated tables and what was applied to them in this staging''s lifetime';
comment on column mysql2gp.tables.database_name is 'database at the source';
comment on column mysql2gp.tables.table_name is 'table at the source';
comment on column mysql2gp.tables.target_table is 'table on the target, with its schema';
comment on column mysql2gp.tables.key_columns is 'columns that identify a row; empty for a table without a key';
comment on column mysql2gp.tables.state is 'active, overlapping (an earlier load overlaps the stream), paused, held (rows of it are in the dead letters) or failed (a program has ended at it)';
comment on column mysql2gp.tables.inserts is 'inserts applied, before merging';
comment on column mysql2gp.tables.updates is 'updates applied, before merging';
comment on column mysql2gp.tables.deletes is 'deletes applied, before merging';
comment on column mysql2gp.tables.applied_rows is 'net changes written to the target';
comment on column mysql2gp.tables.merge_ratio is 'row events per net change';
comment on column mysql2gp.tables.last_commit_time is 'source commit time of the last applied change';
comment on column mysql2gp.tables.lag_seconds is
    'seconds behind the source as far as staged; 0 when all staged changes are applied; of a paused table since the first '
    'transaction that it waits with';
comment on column mysql2gp.tables.last_error is 'what is wrong with this table';

create view mysql2gp.status as
select m.source,
       m.server_version,
       m.state as miner_state,
       m.staged_file,
       m.staged_pos,
       m.staged_gtid_set,
       m.staged_commit_time,
       m.staged_at,
       l.state as loader_state,
       l.applied_file,
       l.applied_pos,
       l.applied_gtid_set,
       l.applied_commit_time,
       l.applied_at,
       g.miner_lag::numeric(18, 3) as miner_lag_seconds,
       greatest(0, g.total_lag - g.miner_lag)::numeric(18, 3) as loader_lag_seconds,
       greatest(g.total_lag, g.miner_lag)::numeric(18, 3) as total_lag_seconds,
       greatest(0, m.transaction_seq - l.transaction_seq) as backlog_transactions,
       greatest(0, m.event_seq - l.event_seq, o.last_value - l.event_seq) as backlog_rows,
       pg_database_size(current_database()) as staging_bytes,
       l.consistent_from,
       (select count(*) from mysql2gp.dead_letter d where d.resolved_at is null) as dead_letters,
       nullif(concat_ws('; ', 'miner: ' || m.last_error, 'loader: ' || l.last_error), '') as last_error
  from mysql2gp.miner m
 cross join mysql2gp.loader l
 cross join mysql2gp.open_event_seq o
 cross join lateral (
       select case
                  -- A miner that lives confirms its position every second. Once it had all, only what the source
                  -- has committed since can be lacking, however long ago it had committed anything before.
                  when m.state = 'running' and m.caught_up and m.staged_at > now() - interval '10 seconds' then 0
                  when m.caught_up or m.staged_commit_time is null then greatest(0, extract(epoch from now() - m.staged_at))
                  else greatest(0, extract(epoch from now() - m.staged_commit_time))
              end as miner_lag) i
 cross join lateral (
       select i.miner_lag,
              case
                  when l.transaction_seq >= m.transaction_seq then i.miner_lag
                  else greatest(0, extract(epoch from now() - mysql2gp.oldest_commit_behind(l.transaction_seq)))
              end as total_lag) g;
comment on view mysql2gp.status is 'the task at a glance';
comment on column mysql2gp.status.source is 'host and port of the source';
comment on column mysql2gp.status.server_version is 'version that the source reports';
comment on column mysql2gp.status.miner_state is
    'starting, running, waiting_source, waiting_staging, waiting_space, stopped or failed, as last written';
comment on column mysql2gp.status.staged_file is 'binlog file of the staged position';
comment on column mysql2gp.status.staged_pos is 'offset of the staged position: everything before it is staged or filtered out';
comment on column mysql2gp.status.staged_gtid_set is 'GTIDs up to the staged position; null when the source has none or they are not known';
comment on column mysql2gp.status.staged_commit_time is 'source commit time of the last transaction read';
comment on column mysql2gp.status.staged_at is 'when the staged position last moved or was confirmed';
comment on column mysql2gp.status.loader_state is
    'starting, running, waiting_staging, waiting_target, waiting_space, stopped or failed, as last written';
comment on column mysql2gp.status.applied_file is 'binlog file of the applied position';
comment on column mysql2gp.status.applied_pos is 'offset of the applied position; the target''s checkpoint is the authority';
comment on column mysql2gp.status.applied_gtid_set is 'GTIDs up to the applied position';
comment on column mysql2gp.status.applied_commit_time is 'source commit time of the last applied transaction';
comment on column mysql2gp.status.applied_at is 'when the target committed it';
comment on column mysql2gp.status.miner_lag_seconds is 'source to staging; 0 when everything the source has is staged';
comment on column mysql2gp.status.loader_lag_seconds is 'staging to target';
comment on column mysql2gp.status.total_lag_seconds is
    'source to target; 0 when everything the source committed is applied, but for paused tables: see mysql2gp.tables';
comment on column mysql2gp.status.backlog_transactions is
    'source transactions staged and not yet applied; what waits for paused tables only does not count';
comment on column mysql2gp.status.backlog_rows is
    'row events staged and not yet applied; of a large transaction those that are staged so far, then those that are not '
    'written yet';
comment on column mysql2gp.status.staging_bytes is 'size of the staging database';
comment on column mysql2gp.status.consistent_from is 'FILE:POS from which the target shows states that the source had';
comment on column mysql2gp.status.dead_letters is 'unresolved rows in mysql2gp.dead_letters';
comment on column mysql2gp.status.last_error is 'what last stopped or delayed either program';
