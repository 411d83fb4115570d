-- Columns that an openGauss table computes.
-- $1 oid: table. Rows: one per column.
select a.attname::text
  from pg_catalog.pg_attribute a
  join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
 where a.attrelid = $1
   and d.adgencol in ('s', 'p')
