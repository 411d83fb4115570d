-- Whether a Greenplum table, or one of its partitions or their partitions, is append-optimized.
-- $1 oid: table. Rows: one.
select count(*) > 0
  from pg_appendonly o
 where o.relid = $1
    or o.relid in (select i.inhrelid from pg_catalog.pg_inherits i where i.inhparent = $1)
    or o.relid in (select s.inhrelid
                     from pg_catalog.pg_inherits i
                     join pg_catalog.pg_inherits s on s.inhparent = i.inhrelid
                    where i.inhparent = $1)
