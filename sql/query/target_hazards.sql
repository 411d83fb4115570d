-- What delete-then-insert would set off on a table when session_replication_role cannot be replica.
-- $1 oid: table. Rows: one per foreign key that cascades or cannot be deferred, and per user trigger, those of
-- partitions included.
with recursive part as (
    select $1::oid as id
     union
    select i.inhrelid
      from part p
      join pg_catalog.pg_inherits i on i.inhparent = p.id
)
select case when c.confrelid = p.id then 'foreign key ' || c.conname || ' of table ' || c.conrelid::regclass
            when p.id <> $1 then 'foreign key ' || c.conname || ' of partition ' || p.id::regclass
            else 'foreign key ' || c.conname end as hazard
  from part p
  join pg_catalog.pg_constraint c on c.conrelid = p.id or c.confrelid = p.id
 where c.contype = 'f'
   and c.conparentid = 0
   and (not c.condeferrable
        or (c.confrelid = p.id and (c.confdeltype not in ('a') or c.confupdtype not in ('a'))))
 union
select 'trigger ' || t.tgname
  from part p
  join pg_catalog.pg_trigger t on t.tgrelid = p.id
 where not t.tgisinternal
   and t.tgenabled in ('O', 'A')
 order by 1
