-- Column lists of a table's usable indexes; expressions are left out.
-- $1 oid: table. Rows: one per index without a predicate.
select i.indisunique,
       i.indimmediate,
       array(select a.attname::text
               from unnest(i.indkey::smallint[]) with ordinality as k(attnum, n)
               join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
              where k.n <= i.indnkeyatts
              order by k.n) as columns
  from pg_catalog.pg_index i
 where i.indrelid = $1
   and i.indisvalid
   and i.indpred is null
   and i.indexprs is null
