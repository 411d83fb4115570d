-- As target_hazards.sql; partitions of openGauss are no tables of their own.
-- $1 oid: table. Rows: one per foreign key that cascades or cannot be deferred, and per user trigger.
select case when c.conrelid = $1 then 'foreign key ' || c.conname::text
            else 'foreign key ' || c.conname::text || ' of table ' || c.conrelid::regclass::text end as hazard
  from pg_catalog.pg_constraint c
 where (c.conrelid = $1 or c.confrelid = $1)
   and c.contype = 'f'
   and (not c.condeferrable
        or (c.confrelid = $1 and (c.confdeltype <> 'a' or c.confupdtype <> 'a')))
 union
select 'trigger ' || t.tgname::text
  from pg_catalog.pg_trigger t
 where t.tgrelid = $1
   and not t.tgisinternal
   and t.tgenabled in ('O', 'A')
 order by 1
