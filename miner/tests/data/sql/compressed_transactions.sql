-- Events inside TRANSACTION_PAYLOAD.
set names utf8mb4;
set binlog_transaction_compression = on;
set binlog_row_value_options = '';
create table packed (id int primary key, t text character set utf8mb4);
insert into packed values (1, 'a'), (2, repeat('ü', 1000));
begin;
insert into packed values (3, null);
insert into packed values (4, repeat('x', 60000)), (5, repeat('y', 60000));
insert into packed values (6, 'last');
commit;
set binlog_transaction_compression_level_zstd = 22;
insert into packed values (7, repeat('highest level ', 1000));
