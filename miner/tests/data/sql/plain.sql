-- Values that a second decoder reads as well, one row a statement: it gives up whole events.
set names utf8mb4;
set time_zone = '+00:00';
create table plain_times (id int primary key, t0 time, t1 time(1), t3 time(3));
insert into plain_times values (1, '00:00:00', '00:00:00.1', '00:00:00.001');
insert into plain_times values (2, '838:59:59', '838:59:58.9', '838:59:58.999');
insert into plain_times values (3, '12:34:56', '01:00:00', '99:59:59.09');
create table plain_binaries (id int primary key, v varbinary(300), b blob, lb longblob);
insert into plain_binaries values (1, '', '', '');
insert into plain_binaries values (2, 'abc', x'00ff80', repeat(x'ff', 1000));
insert into plain_binaries values (3, repeat('z', 300), x'5c0a0d09', null);
create table plain_texts (
  id int primary key, c char(10) character set utf8mb4, v varchar(100) character set utf8mb4, t longtext character set utf8mb4
);
insert into plain_texts values (1, '', '', '');
insert into plain_texts values (2, 'ü😀', concat('tab', char(9), 'back\\slash\n'), repeat('€', 3000));
insert into plain_texts values (3, 'a b', '\\N', '\\.');
create table plain_labels (id int primary key, e enum('a', 'ü', '') character set utf8mb4, s set('x', 'y', 'é') character set utf8mb4);
insert into plain_labels values (1, 'ü', 'x,é');
insert into plain_labels values (2, '', '');
create table plain_numbers (
  id int primary key, t tinyint, m mediumint, mu mediumint unsigned, b bigint, bu bigint unsigned, d decimal(30,10), f float, g double
);
insert into plain_numbers values (1, -128, -8388608, 16777215, -9223372036854775808, 18446744073709551615, -12345678901234567890.0123456789, 1.5, -1e-300);
insert into plain_numbers values (2, 127, 8388607, 0, 9223372036854775807, 0, 0.5, -0.1, 1e300);
create table plain_instants (id int primary key, d date, dt0 datetime, dt3 datetime(3), ts0 timestamp null, ts2 timestamp(2) null);
insert into plain_instants values (1, '2024-02-29', '1000-01-01 00:00:00', '9999-12-31 23:59:59.999', '2038-01-19 03:14:07', '2000-02-29 23:59:59.07');
update plain_times set t0 = '00:00:01', t3 = '00:00:00.5' where id = 1;
update plain_binaries set b = x'01', id = 10 where id = 2;
update plain_texts set t = null, v = 'x' where id = 2;
update plain_labels set e = null, s = 'y' where id = 2;
update plain_numbers set t = -1, m = -1, b = -1, d = -0.0000000001 where id = 2;
update plain_instants set ts0 = '1970-01-01 00:00:01', d = null, dt3 = '2024-12-31 00:00:00.05' where id = 1;
delete from plain_times where id = 2;
delete from plain_binaries where id = 3;
delete from plain_texts where id = 3;
delete from plain_labels where id = 1;
delete from plain_numbers where id = 1;
delete from plain_instants where id = 1;
