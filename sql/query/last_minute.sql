-- What the loader has applied in the last minute, or since its first batch that is kept, and
-- how long ago the miner has confirmed its position, and whether the loader has a session.
-- Parameters: none. Locks: none. Rows: one.
select round(greatest(1, least(60, extract(epoch from now() - min(applied_at))))::numeric, 1) as seconds,
       coalesce(sum(transactions) filter (where is_late), 0) as transactions,
       coalesce(sum(row_events) filter (where is_late), 0) as row_events,
       coalesce(sum(net_upserts + net_deletes) filter (where is_late), 0) as net_changes,
       count(*) filter (where is_late) as batches,
       coalesce(sum(fetch_ms + compact_ms + apply_ms) filter (where is_late), 0) as busy_ms,
       (select round(greatest(0, extract(epoch from now() - s.staged_at))::numeric, 1)
          from mysql2gp.miner s) as miner_silent_seconds,
       mysql2gp.loader_is_connected() as loader_connected
  from (select b.*, b.applied_at > now() - interval '1 minute' as is_late
          from mysql2gp.batches b) b
