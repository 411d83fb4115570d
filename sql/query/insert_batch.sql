-- Records an applied batch.
-- $1 .. $10: the columns in order, milliseconds as integer; $11 timestamptz. Rows: none.
insert into mysql2gp.batch
       (batch_id, first_transaction_seq, last_transaction_seq, transactions, row_events,
        net_upserts, net_deletes, fetch_ms, compact_ms, apply_ms, applied_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
