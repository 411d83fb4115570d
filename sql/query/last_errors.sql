-- The last error of each program that has one, with its age.
-- Parameters: none. Locks: none. Rows: at most two.
select p.program,
       p.last_error,
       greatest(0, extract(epoch from now() - p.last_error_at))::bigint as age_seconds
  from (select 'miner' as program, last_error, last_error_at
          from mysql2gp.miner
        union all
        select 'loader', last_error, last_error_at
          from mysql2gp.loader) p
 where p.last_error is not null
