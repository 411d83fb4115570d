-- The last chunk of a range in which a transaction ends.
-- {segment}: the segment's table. $1, $2 bigint: first and last chunk of the range.
-- Rows: one or none.
select s.chunk_seq,
       coalesce(s.payload, s.big_payload) as payload,
       s.first_event_seq
  from {segment} s
 where s.chunk_seq between $1 and $2
   and s.commits > 0
 order by s.chunk_seq desc
 limit 1
