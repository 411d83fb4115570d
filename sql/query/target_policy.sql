-- How a Greenplum table is distributed. The catalog is the coordinator's; names are found there first.
-- $1 oid: table. Rows: one or none.
select p.policytype::text,
       pg_get_table_distributedby(p.localoid)::text as clause
  from gp_distribution_policy p
 where p.localoid = $1
