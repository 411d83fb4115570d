-- The columns that distribute a Greenplum table's rows.
-- $1 oid: table. Rows: one per column, in order.
select a.attname::text
  from gp_distribution_policy p
  join generate_series(0, 31) as n(n) on true
  join pg_catalog.pg_attribute a on a.attrelid = p.localoid and a.attnum = p.distkey[n.n]
 where p.localoid = $1
 order by n.n
