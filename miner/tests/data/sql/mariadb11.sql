-- Types that MariaDB has since 10.10 (INET4), 11.5 (TIMESTAMP to 2106), 11.7 (VECTOR).
set names utf8mb4;
set time_zone = '+00:00';
create table inet4s (id int primary key, a inet4, b binary(4));
insert into inet4s values (1, '0.0.0.0', ''), (2, '255.255.255.255', repeat(x'ff', 4)), (3, '192.0.2.1', x'61'), (4, null, null), (5, '10.0.0.0', x'0a');
create table vectors (id int primary key, v vector(3) not null);
insert into vectors values (1, vec_fromtext('[1,2,3]')), (2, vec_fromtext('[-0.5,0,16777216]')), (3, vec_fromtext('[0.1,-0.0015,12345.678]'));
create table late_timestamps (id int primary key, ts timestamp(6) null);
insert into late_timestamps values (1, '2106-02-07 06:28:15.999999'), (2, '2038-01-19 03:14:08'), (3, '1970-01-01 00:00:01');
