-- Segments all of whose transactions are applied: the next segment begins with an applied one.
-- $1 bigint: last applied transaction. Rows: one per segment, oldest first.
select s.segment_no
  from mysql2gp.segment s
 where exists (select 1
                 from mysql2gp.segment n
                where n.segment_no > s.segment_no
                  and n.first_transaction_seq <= $1)
 order by s.segment_no
