-- Kinds of events that MySQL 8.3 and later write.
set gtid_next = 'AUTOMATIC:some_tag';
insert into a values (100, 'tagged');
set gtid_next = 'AUTOMATIC';
set binlog_rows_query_log_events = on;
insert into a values (101, 'with its statement');
set binlog_row_value_options = 'PARTIAL_JSON';
create table j (id int primary key, j json);
insert into j values (1, '{"a": 1, "b": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}');
update j set j = json_set(j, '$.a', 2);
set binlog_row_value_options = '';
set binlog_row_image = 'MINIMAL';
update a set t = 'partial' where id = 101;
set binlog_row_image = 'FULL';
