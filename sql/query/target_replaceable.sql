-- Whether INSERT ... ON CONFLICT (key) can stand for DELETE and INSERT on a table: the key has its only
-- unique index, rows may be updated, every column may be assigned, no rule rewrites statements, and temporary
-- tables may be made.
-- $1 oid: table; $2 text[]: key columns. Rows: one.
select (select count(*)
          from pg_catalog.pg_index i
         where i.indrelid = $1
           and (i.indisunique or i.indisexclusion)) = 1
   and exists (select 1
                 from pg_catalog.pg_index i
                where i.indrelid = $1
                  and i.indisunique
                  and i.indisvalid
                  and i.indimmediate
                  and i.indpred is null
                  and i.indexprs is null
                  and (select array_agg(a.attname::text order by a.attname::text collate "C")
                         from unnest(i.indkey::smallint[]) with ordinality as k(attnum, n)
                         join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
                        where k.n <= i.indnkeyatts)
                      = (select array_agg(c.name order by c.name collate "C") from unnest($2::text[]) as c(name)))
   and not exists (select 1
                     from pg_catalog.pg_attribute a
                    where a.attrelid = $1
                      and a.attnum > 0
                      and not a.attisdropped
                      and a.attidentity = 'a')
   and not exists (select 1 from pg_catalog.pg_rewrite r where r.ev_class = $1)
   and has_table_privilege($1, 'update')
   and has_database_privilege(current_database(), 'temporary') as replaceable
