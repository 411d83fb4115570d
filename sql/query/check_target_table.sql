-- What the session's user may not do with a table.
-- $1 oid: table. Rows: one: user, USAGE on the schema, names of the privileges that are lacking.
select current_user::text,
       has_schema_privilege(c.relnamespace, 'usage'),
       array(select p.name
               from (values ('select', 1), ('insert', 2), ('delete', 3), ('update', 4), ('truncate', 5)) as p(name, n)
              where not has_table_privilege(c.oid, p.name)
              order by p.n)
  from pg_catalog.pg_class c
 where c.oid = $1
