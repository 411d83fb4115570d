-- As target_indexes.sql, for the catalogs of PostgreSQL 9.2 to 9.4. Global indexes of openGauss have tableoid too.
-- $1 oid: table. Rows: one per index without a predicate.
select i.indisunique,
       i.indimmediate,
       array_agg(a.attname::text order by n.n) as columns
  from pg_catalog.pg_index i
  join generate_series(0, 31) as n(n) on n.n < i.indnatts
  join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[n.n]
 where i.indrelid = $1
   and a.attnum > 0
   and i.indisvalid
   and i.indpred is null
   and i.indexprs is null
 group by i.indexrelid, i.indisunique, i.indimmediate
 order by i.indexrelid
