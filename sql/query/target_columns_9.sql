-- As target_columns.sql, for the catalogs of PostgreSQL 9.2 to 9.4: without identities, and with domains over
-- domains to the third; what lies deeper stays a domain, which nothing fits. Collations that openGauss has after
-- MySQL's take different texts for equal.
-- $1 oid: table. Rows: one per column, in table order.
select a.attname::text,
       b.typname::text,
       b.typtype::text,
       case when t.typtype <> 'd' then a.atttypmod
            when t1.typtype <> 'd' then t.typtypmod
            else t1.typtypmod end as type_modifier,
       pg_catalog.format_type(a.atttypid, a.atttypmod) as type_text,
       pg_catalog.format_type(b.oid, -1) as base_type_text,
       a.attnotnull,
       a.atthasdef as has_default,
       false as generated,
       coalesce(l.collname !~ '^(utf8|utf8mb4|gbk|gb18030|latin1)_', true) as deterministic
  from pg_catalog.pg_attribute a
  join pg_catalog.pg_type t on t.oid = a.atttypid
  left join pg_catalog.pg_type t1 on t1.oid = t.typbasetype
  left join pg_catalog.pg_type t2 on t2.oid = t1.typbasetype
  join pg_catalog.pg_type b
    on b.oid = case when t.typtype <> 'd' then t.oid
                    when t1.typtype <> 'd' then t1.oid
                    else t2.oid end
  left join pg_catalog.pg_collation l on l.oid = a.attcollation
 where a.attrelid = $1
   and a.attnum > 0
   and not a.attisdropped
 order by a.attnum
