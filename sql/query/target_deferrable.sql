-- Foreign keys from and to a table that can be deferred: delete-then-insert is right at its end only.
-- $1 oid: table. Rows: one per foreign key, its name as SQL writes it.
with recursive part as (
    select $1::oid as id
     union
    select i.inhrelid
      from part p
      join pg_catalog.pg_inherits i on i.inhparent = p.id
)
select distinct format('%I.%I', n.nspname, c.conname)
  from part p
  join pg_catalog.pg_constraint c on c.conrelid = p.id or c.confrelid = p.id
  join pg_catalog.pg_namespace n on n.oid = c.connamespace
 where c.contype = 'f'
   and c.condeferrable
   and c.conparentid = 0
 order by 1
