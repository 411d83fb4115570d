-- What the session's user may do in the target database.
-- Rows: one: user, database, whether schema mysql2gp exists, CREATE, TEMPORARY, what is lacking on the checkpoint.
select current_user::text,
       current_database()::text,
       exists (select 1 from pg_catalog.pg_namespace where nspname = 'mysql2gp'),
       has_database_privilege(current_database(), 'create'),
       has_database_privilege(current_database(), 'temporary'),
       (select string_agg(distinct l.what, ', ')
          from (select 'usage on schema mysql2gp' as what
                  from pg_catalog.pg_namespace n
                 where n.nspname = 'mysql2gp'
                   and not has_schema_privilege(n.oid, 'usage')
                 union
                select p.name || ' on mysql2gp.' || c.relname
                  from pg_catalog.pg_class c
                  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                 cross join (values ('select'), ('insert'), ('update'), ('delete')) as p(name)
                 where n.nspname = 'mysql2gp'
                   and c.relname in ('checkpoint', 'checkpoint_tables', 'checkpoint_dead_letters')
                   and not has_table_privilege(c.oid, p.name)) as l)
