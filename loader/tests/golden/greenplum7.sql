-- Statements for a target of this kind, written by MYSQL2GP_BLESS=1 cargo test -p loader --lib golden.
-- keys by Table, replacing AmongNoDeletes, commit Guarded

-- the session
set enable_seqscan = off;
set enable_hashjoin = off;
set enable_mergejoin = off;
set optimizer = off;
set enable_nestloop = on;
set random_page_cost = 1.1;
set extra_float_digits = 3;
set gp_autostats_mode = none;
set lock_timeout = 0;
set default_table_access_method = heap;

-- the catalog
select c.oid,
       c.relname::text,
       c.relkind::text,
       has_table_privilege(c.oid, 'insert')
           and has_table_privilege(c.oid, 'select')
           and has_table_privilege(c.oid, 'delete') as writable,
       has_table_privilege(c.oid, 'truncate') as truncatable
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where n.nspname = $1
   and lower(c.relname) = lower($2)
   and c.relkind in ('r', 'p', 'v', 'm', 'f')
 order by c.relname;
with recursive base as (
    select a.attnum,
           t.oid as type_id,
           a.atttypmod as type_modifier,
           t.typtype,
           t.typbasetype,
           t.typtypmod
      from pg_catalog.pg_attribute a
      join pg_catalog.pg_type t on t.oid = a.atttypid
     where a.attrelid = $1
       and a.attnum > 0
       and not a.attisdropped
    union all
    select b.attnum,
           t.oid,
           b.typtypmod,
           t.typtype,
           t.typbasetype,
           t.typtypmod
      from base b
      join pg_catalog.pg_type t on t.oid = b.typbasetype
     where b.typtype = 'd'
)
select a.attname::text,
       t.typname::text,
       t.typtype::text,
       b.type_modifier,
       pg_catalog.format_type(a.atttypid, a.atttypmod) as type_text,
       pg_catalog.format_type(b.type_id, -1) as base_type_text,
       a.attnotnull,
       a.atthasdef or a.attidentity <> '' as has_default,
       a.attgenerated <> '' as generated,
       coalesce(l.collisdeterministic, true) as deterministic
  from base b
  join pg_catalog.pg_type t on t.oid = b.type_id
  join pg_catalog.pg_attribute a on a.attrelid = $1 and a.attnum = b.attnum
  left join pg_catalog.pg_collation l on l.oid = a.attcollation
 where b.typtype <> 'd'
 order by a.attnum;
select i.indisunique,
       i.indimmediate,
       array(select a.attname::text
               from unnest(i.indkey::smallint[]) with ordinality as k(attnum, n)
               join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
              where k.n <= i.indnkeyatts
              order by k.n) as columns
  from pg_catalog.pg_index i
 where i.indrelid = $1
   and i.indisvalid
   and i.indpred is null
   and i.indexprs is null;
select 'trigger ' || t.tgname as hazard
  from pg_catalog.pg_trigger t
 where t.tgrelid = $1
   and not t.tgisinternal
   and t.tgenabled in ('O', 'A')
 order by 1;
select p.policytype::text,
       pg_get_table_distributedby(p.localoid)::text as clause
  from gp_distribution_policy p
 where p.localoid = $1;
select a.attname::text
  from gp_distribution_policy p
  join generate_series(0, 31) as n(n) on true
  join pg_catalog.pg_attribute a on a.attrelid = p.localoid and a.attnum = p.distkey[n.n]
 where p.localoid = $1
 order by n.n;
select count(*) > 0
  from pg_appendonly o
 where o.relid = $1
    or o.relid in (select i.inhrelid from pg_catalog.pg_inherits i where i.inhparent = $1)
    or o.relid in (select s.inhrelid
                     from pg_catalog.pg_inherits i
                     join pg_catalog.pg_inherits s on s.inhparent = i.inhrelid
                    where i.inhparent = $1);

-- the loader's tables
create table if not exists mysql2gp.checkpoint (
    task                text not null primary key,
    timeline_id         text not null,
    log_id              text not null,
    file_created        bigint,
    start_position      text not null,
    applied_file        text not null,
    applied_pos         bigint not null,
    applied_gtid_set    text,
    staging_id          text not null,
    transaction_seq     bigint not null,
    event_seq           bigint not null,
    commit_time         timestamptz,
    consistent_from     text,
    epoch               bigint not null,
    holder              text not null,
    applied_at          timestamptz not null
) distributed by (task);
create table if not exists mysql2gp.checkpoint_tables (
    task             text not null,
    database_name    text not null,
    table_name       text not null,
    state            text not null,
    timeline_id      text not null,
    log_id           text not null,
    file_created     bigint,
    applied_file     text not null,
    applied_pos      bigint not null,
    applied_gtid_set text,
    consistent_from  text,
    changed_at       timestamptz not null,
    primary key (task, database_name, table_name)
) distributed by (task);
create table if not exists mysql2gp.checkpoint_dead_letters (
    task          text not null,
    log_id        text not null,
    binlog_file   text not null,
    binlog_pos    bigint not null,
    row_number    bigint not null,
    copy_number   integer not null,
    database_name text not null,
    table_name    text not null,
    op            text not null,
    definition    text not null,
    key_cells     text,
    row_cells     text not null,
    sqlstate      text not null,
    error         text not null,
    refused_at    timestamptz not null,
    primary key (task, log_id, binlog_file, binlog_pos, row_number, copy_number, database_name, table_name)
) distributed by (task);

-- the commit
update mysql2gp.checkpoint set file_created = coalesce(null, case when (timeline_id, applied_file) = ('timeline', 'mysql-bin.000001') then file_created end), timeline_id = 'timeline', log_id = 'log', applied_file = 'mysql-bin.000001', applied_pos = 1337, applied_gtid_set = '', consistent_from = null, staging_id = 'staging', transaction_seq = 7, event_seq = 42, commit_time = null, applied_at = clock_timestamp() where task = 'task' and epoch = 3; select 1 / count(*) from mysql2gp.checkpoint where task = 'task' and epoch = 3 and staging_id = 'staging' and applied_pos = 1337 and event_seq = 42;
commit;

-- a commit while a table catches up
update mysql2gp.checkpoint set applied_at = clock_timestamp() where task = 'task' and epoch = 3; select 1 / count(*) from mysql2gp.checkpoint where task = 'task' and epoch = 3;
update mysql2gp.checkpoint_tables set file_created = coalesce(null, case when (timeline_id, applied_file) = ('timeline', 'mysql-bin.000001') then file_created end), timeline_id = 'timeline', log_id = 'log', applied_file = 'mysql-bin.000001', applied_pos = 1337, applied_gtid_set = '', consistent_from = null where task = 'task' and state = 'catching_up' and ((database_name = 'shop' and table_name = 'items'));
commit;

-- the commit with which it has caught up
update mysql2gp.checkpoint set file_created = coalesce(null, case when (timeline_id, applied_file) = ('timeline', 'mysql-bin.000001') then file_created end), timeline_id = 'timeline', log_id = 'log', applied_file = 'mysql-bin.000001', applied_pos = 1337, applied_gtid_set = '', consistent_from = null, staging_id = 'staging', transaction_seq = 7, event_seq = 42, commit_time = null, applied_at = clock_timestamp() where task = 'task' and epoch = 3; select 1 / count(*) from mysql2gp.checkpoint where task = 'task' and epoch = 3 and staging_id = 'staging' and applied_pos = 1337 and event_seq = 42;
delete from mysql2gp.checkpoint_tables where task = 'task' and state = 'catching_up' and ((database_name = 'shop' and table_name = 'items'));
commit;

-- a table is paused, let go on, and forgotten
select epoch from mysql2gp.checkpoint where task = $1 for update;
select state from mysql2gp.checkpoint_tables
 where task = $1 and database_name = $2 and table_name = $3;
insert into mysql2gp.checkpoint_tables
       (task, database_name, table_name, state, timeline_id, log_id, file_created, applied_file, applied_pos,
        applied_gtid_set, consistent_from, changed_at)
select task, $2::text, $3::text, 'paused', timeline_id, log_id, file_created, applied_file, applied_pos,
       applied_gtid_set, consistent_from, clock_timestamp()
  from mysql2gp.checkpoint
 where task = $1;
update mysql2gp.checkpoint_tables set state = 'paused', changed_at = clock_timestamp()
 where task = $1 and database_name = $2 and table_name = $3;
update mysql2gp.checkpoint_tables set state = 'catching_up', changed_at = clock_timestamp()
 where task = $1 and database_name = $2 and table_name = $3;
delete from mysql2gp.checkpoint_tables
 where task = $1 and database_name = $2 and table_name = $3;

-- from time to time
vacuum mysql2gp.checkpoint;
vacuum mysql2gp.checkpoint_tables;

-- a retry's patience
set local lock_timeout = '500ms';

-- a table distributed by its key
-- check: Ok: target table public.items is distributed by id, of the key: changed rows are found on their segment
drop table if exists pg_temp.mysql2gp_keys_1; create temporary table mysql2gp_keys_1 on commit delete rows as select "id" from "public"."items" where false DISTRIBUTED BY (id);
delete from pg_temp.mysql2gp_keys_1;
copy pg_temp.mysql2gp_keys_1 from stdin;
delete from "public"."items" t using pg_temp.mysql2gp_keys_1 k where t."id" = k."id";
truncate pg_temp.mysql2gp_keys_1;
copy "public"."items" ("id", "shop", "name", "ratio") from stdin;
drop table if exists pg_temp.mysql2gp_replace_1; create temporary table mysql2gp_replace_1 on commit delete rows as select "id", "shop", "name", "ratio" from "public"."items" where false DISTRIBUTED BY (id);
delete from pg_temp.mysql2gp_replace_1;
insert into "public"."items" ("id", "shop", "name", "ratio") select "id", "shop", "name", "ratio" from pg_temp.mysql2gp_replace_1 on conflict ("id") do update set "shop" = excluded."shop", "name" = excluded."name", "ratio" = excluded."ratio", "extra" = excluded."extra";
truncate pg_temp.mysql2gp_replace_1;
truncate table "public"."items";

-- a key of two columns, and rows distributed by one of them
-- check: Ok: target table public.stock is distributed by shop, of the key: changed rows are found on their segment
drop table if exists pg_temp.mysql2gp_keys_1; create temporary table mysql2gp_keys_1 on commit delete rows as select "shop", "id" from "public"."stock" where false DISTRIBUTED BY (shop);
delete from pg_temp.mysql2gp_keys_1;
copy pg_temp.mysql2gp_keys_1 from stdin;
delete from "public"."stock" t using pg_temp.mysql2gp_keys_1 k where t."shop" = k."shop" and t."id" = k."id";
truncate pg_temp.mysql2gp_keys_1;
copy "public"."stock" ("id", "shop", "name", "ratio") from stdin;
drop table if exists pg_temp.mysql2gp_replace_1; create temporary table mysql2gp_replace_1 on commit delete rows as select "id", "shop", "name", "ratio" from "public"."stock" where false DISTRIBUTED BY (shop);
delete from pg_temp.mysql2gp_replace_1;
insert into "public"."stock" ("id", "shop", "name", "ratio") select "id", "shop", "name", "ratio" from pg_temp.mysql2gp_replace_1 on conflict ("shop", "id") do update set "id" = excluded."id", "name" = excluded."name", "ratio" = excluded."ratio", "extra" = excluded."extra";
truncate pg_temp.mysql2gp_replace_1;
truncate table "public"."stock";

-- rows distributed by what is not of the key
-- check: Warn: target table public.orders is distributed by name, which is not of the key (id): changed keys are looked for on every segment, and the same key may be there twice unnoticed (alter table "public"."orders" set distributed by (id))
drop table if exists pg_temp.mysql2gp_keys_1; create temporary table mysql2gp_keys_1 on commit delete rows as select "id" from "public"."orders" where false distributed randomly;
delete from pg_temp.mysql2gp_keys_1;
copy pg_temp.mysql2gp_keys_1 from stdin;
delete from "public"."orders" t using pg_temp.mysql2gp_keys_1 k where t."id" = k."id";
truncate pg_temp.mysql2gp_keys_1;
copy "public"."orders" ("id", "shop", "name", "ratio") from stdin;
truncate table "public"."orders";

-- rows distributed randomly
-- check: Warn: target table public.events is distributed randomly: changed keys are looked for on every segment, and nothing keeps a key from being there twice (alter table "public"."events" set distributed by (id))
drop table if exists pg_temp.mysql2gp_keys_1; create temporary table mysql2gp_keys_1 on commit delete rows as select "id" from "public"."events" where false distributed randomly;
delete from pg_temp.mysql2gp_keys_1;
copy pg_temp.mysql2gp_keys_1 from stdin;
delete from "public"."events" t using pg_temp.mysql2gp_keys_1 k where t."id" = k."id";
truncate pg_temp.mysql2gp_keys_1;
copy "public"."events" ("id", "shop", "name", "ratio") from stdin;
truncate table "public"."events";

-- rows on every segment
-- check: Ok: target table public.colors is replicated to every segment
drop table if exists pg_temp.mysql2gp_keys_1; create temporary table mysql2gp_keys_1 on commit delete rows as select "id" from "public"."colors" where false distributed replicated;
delete from pg_temp.mysql2gp_keys_1;
copy pg_temp.mysql2gp_keys_1 from stdin;
delete from "public"."colors" t using pg_temp.mysql2gp_keys_1 k where t."id" = k."id";
truncate pg_temp.mysql2gp_keys_1;
copy "public"."colors" ("id", "shop", "name", "ratio") from stdin;
truncate table "public"."colors";

-- append-optimized rows
-- check: Ok: target table public.archive is distributed by id, of the key: changed rows are found on their segment
-- check: Warn: target table public.archive is append-optimized: a delete leaves its rows in place until VACUUM, needs an entry for each in the visibility map, and locks the table against other writers; on Greenplum 6 nothing keeps a key from being there twice; a heap table is recommended where rows change
drop table if exists pg_temp.mysql2gp_keys_1; create temporary table mysql2gp_keys_1 on commit delete rows as select "id" from "public"."archive" where false DISTRIBUTED BY (id);
delete from pg_temp.mysql2gp_keys_1;
copy pg_temp.mysql2gp_keys_1 from stdin;
delete from "public"."archive" t using pg_temp.mysql2gp_keys_1 k where t."id" = k."id";
truncate pg_temp.mysql2gp_keys_1;
copy "public"."archive" ("id", "shop", "name", "ratio") from stdin;
truncate table "public"."archive";

-- in a batch that deletes from others: a table that rows are copied into
lock table "public"."items" in row exclusive mode;

-- and one in which rows are replaced
delete from "public"."items" where false;

-- a table without a key
drop table if exists pg_temp.mysql2gp_rows_2; create temporary table mysql2gp_rows_2 on commit delete rows as select 0::bigint as row_id, 0::bigint as copies, "id" as c1, "shop" as c2, "name" as c3, "ratio" as c4 from "public"."log" where false distributed by ("row_id");
delete from pg_temp.mysql2gp_rows_2;
copy pg_temp.mysql2gp_rows_2 from stdin;
set local enable_seqscan = on;
set local enable_hashjoin = on;
set local enable_nestloop = off;
delete from "public"."log" t using pg_temp.mysql2gp_rows_2 d, ( select f.row_id, f.place, f.part, f.segment from (select e.ctid as place, e.tableoid as part, e.gp_segment_id as segment, d.row_id, d.copies, row_number() over (partition by d.row_id) as n from pg_temp.mysql2gp_rows_2 d join "public"."log" e on e."id" = d.c1 and e."shop" = d.c2 and coalesce(e."name"::text, '-') = coalesce(d.c3::text, '-') and (e."name" is null) = (d.c3 is null) and coalesce(e."ratio"::text, '-') = coalesce(d.c4::text, '-') and (e."ratio" is null) = (d.c4 is null)) f where f.n <= f.copies) v where d.row_id = v.row_id and t."id" = d.c1 and t."shop" = d.c2 and coalesce(t."name"::text, '-') = coalesce(d.c3::text, '-') and (t."name" is null) = (d.c3 is null) and coalesce(t."ratio"::text, '-') = coalesce(d.c4::text, '-') and (t."ratio" is null) = (d.c4 is null) and t.ctid = v.place and t.tableoid = v.part and t.gp_segment_id = v.segment;
set local enable_seqscan = off;
set local enable_hashjoin = off;
set local enable_nestloop = on;
truncate pg_temp.mysql2gp_rows_2;
copy "public"."log" ("id", "shop", "name", "ratio") from stdin;
