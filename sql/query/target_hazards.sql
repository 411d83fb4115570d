-- What delete-then-insert would set off on a table when session_replication_role cannot be replica.
-- $1 oid: table. Rows: one per foreign key that cascades or cannot be deferred, and per user trigger.
select case when c.confrelid = $1 then 'foreign key ' || c.conname || ' of table ' || c.conrelid::regclass
            else 'foreign key ' || c.conname end as hazard
  from pg_catalog.pg_constraint c
 where c.contype = 'f'
   and (c.conrelid = $1 or c.confrelid = $1)
   and (not c.condeferrable
        or (c.confrelid = $1 and (c.confdeltype not in ('a') or c.confupdtype not in ('a'))))
 union all
select 'trigger ' || t.tgname
  from pg_catalog.pg_trigger t
 where t.tgrelid = $1
   and not t.tgisinternal
   and t.tgenabled in ('O', 'A')
 order by 1
