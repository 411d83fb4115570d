-- As target_tables.sql; external tables are ordinary ones in the catalog of Greenplum 6.
-- $1 text: schema; $2 text: table. Rows: none, one, or several that differ in case.
select c.oid,
       c.relname::text,
       case when x.reloid is null then c.relkind::text else 'f' end as relkind,
       has_table_privilege(c.oid, 'insert')
           and has_table_privilege(c.oid, 'select')
           and has_table_privilege(c.oid, 'delete') as writable,
       has_table_privilege(c.oid, 'truncate') as truncatable
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  left join pg_exttable x on x.reloid = c.oid
 where n.nspname = $1
   and lower(c.relname) = lower($2)
   and c.relkind in ('r', 'v', 'm', 'f')
 order by c.relname
