-- Tables of a schema whose name equals the given one up to letter case.
-- $1 text: schema; $2 text: table. Rows: none, one, or several that differ in case.
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
 order by c.relname
