-- What delete-then-insert would set off on a Greenplum table, where foreign keys are not enforced.
-- $1 oid: table. Rows: one per user trigger.
select 'trigger ' || t.tgname as hazard
  from pg_catalog.pg_trigger t
 where t.tgrelid = $1
   and not t.tgisinternal
   and t.tgenabled in ('O', 'A')
 order by 1
