-- Copies the applied position into staging, for inspection. Monotonic but for a restored target.
-- $1 text: file; $2 bigint: offset; $3 text: GTID set or null;
-- $4 timestamptz: source commit time or null (keeps the one there); $5 timestamptz: when applied;
-- $6, $7 bigint: last transaction and event; $8 text: consistent_from or null;
-- $9 bigint: last transaction of the tables that do not catch up, null when none does. Rows: none.
update mysql2gp.loader
   set applied_file = $1,
       applied_pos = $2,
       applied_gtid_set = $3,
       applied_commit_time = coalesce($4, applied_commit_time),
       applied_at = $5,
       transaction_seq = $6,
       event_seq = $7,
       consistent_from = $8,
       ahead_transaction = $9
