-- Columns of a table, domains resolved to their base type.
-- $1 oid: table. Rows: one per column, in table order.
with recursive base as (
    select a.attnum,
           t.oid as type_id,
           a.atttypmod as type_modifier,
           t.typtype,
           t.typbasetype,
           t.typtypmod
      from pg_catalog.pg_attribute a
      join pg_catalog.pg_type t on t.oid = a.atttypid
     where a.attrelid = $1
       and a.attnum > 0
       and not a.attisdropped
    union all
    select b.attnum,
           t.oid,
           b.typtypmod,
           t.typtype,
           t.typbasetype,
           t.typtypmod
      from base b
      join pg_catalog.pg_type t on t.oid = b.typbasetype
     where b.typtype = 'd'
)
select a.attname::text,
       t.typname::text,
       t.typtype::text,
       b.type_modifier,
       pg_catalog.format_type(a.atttypid, a.atttypmod) as type_text,
       pg_catalog.format_type(b.type_id, -1) as base_type_text,
       a.attnotnull,
       a.atthasdef or a.attidentity <> '' as has_default,
       a.attgenerated <> '' as generated,
       coalesce(l.collisdeterministic, true) as deterministic
  from base b
  join pg_catalog.pg_type t on t.oid = b.type_id
  join pg_catalog.pg_attribute a on a.attrelid = $1 and a.attnum = b.attnum
  left join pg_catalog.pg_collation l on l.oid = a.attcollation
 where b.typtype <> 'd'
 order by a.attnum
