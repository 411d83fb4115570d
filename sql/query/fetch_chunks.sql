-- The miner's position and the chunks behind a given one, in one snapshot.
-- {segment}: the segment's table. $1 bigint: last chunk read; $2 bigint: how many at most.
-- Rows: the miner's (chunk_seq null) first, then the chunks in order.
select null::bigint as chunk_seq,
       null::bigint as first_transaction_seq,
       null::bigint as first_event_seq,
       null::text as payload,
       m.timeline_id::text as timeline_id,
       m.staged_file,
       m.staged_pos,
       m.file_created,
       m.staged_gtid_set,
       (extract(epoch from m.staged_commit_time) * 1000000)::bigint as staged_commit_us,
       m.transaction_seq,
       m.event_seq,
       m.chunk_seq as staged_chunk_seq,
       (select coalesce(max(d.definition_id), 0) from mysql2gp.definition d) as last_definition,
       (select t.tenure::text from mysql2gp.tenure t) as tenure,
       exists (select 1 from mysql2gp.wish w where w.answer is null and mysql2gp.is_waited_for(w.wish_id)) as wish,
       m.list_version
  from mysql2gp.miner m
 union all
select c.chunk_seq,
       c.first_transaction_seq,
       c.first_event_seq,
       c.payload,
       null, null, null, null, null, null, null, null, null, null, null, null, null
  from (select s.chunk_seq,
               s.first_transaction_seq,
               s.first_event_seq,
               coalesce(s.payload, s.big_payload) as payload
          from {segment} s
         where s.chunk_seq > $1
         order by s.chunk_seq
         limit $2) c
