-- Adds to a table's counters.
-- $1, $2 text: source table; $3 text: target table; $4 text: state; $5 to $9 bigint: inserts,
-- updates, deletes, truncates, rows written; $10 timestamptz: source commit time or null. Rows: none.
insert into mysql2gp.table_progress as p
       (database_name, table_name, target_table, state, inserts, updates, deletes, truncates, applied_rows, last_commit_time)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    on conflict (database_name, table_name) do update
   set target_table = excluded.target_table,
       state = excluded.state,
       inserts = p.inserts + excluded.inserts,
       updates = p.updates + excluded.updates,
       deletes = p.deletes + excluded.deletes,
       truncates = p.truncates + excluded.truncates,
       applied_rows = p.applied_rows + excluded.applied_rows,
       last_commit_time = coalesce(excluded.last_commit_time, p.last_commit_time)
