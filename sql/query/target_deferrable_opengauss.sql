-- As target_deferrable.sql; partitions of openGauss are no tables of their own.
-- $1 oid: table. Rows: one per foreign key, its name as SQL writes it.
select distinct quote_ident(n.nspname) || '.' || quote_ident(c.conname)
  from pg_catalog.pg_constraint c
  join pg_catalog.pg_namespace n on n.oid = c.connamespace
 where (c.conrelid = $1 or c.confrelid = $1)
   and c.contype = 'f'
   and c.condeferrable
 order by 1
