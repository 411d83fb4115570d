-- Types that only MariaDB has.
set names utf8mb4;
create table addresses (id int primary key, a6 inet6, u uuid, b16 binary(16));
insert into addresses values
  (1, '::', '00000000-0000-0000-0000-000000000000', ''),
  (2, 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'ffffffff-ffff-ffff-ffff-ffffffffffff', repeat(x'ff', 16)),
  (3, '2001:db8::1', '123e4567-e89b-12d3-a456-426655440000', x'00'),
  (4, '::ffff:192.0.2.128', '00112233-4455-6677-8899-aabbccddeeff', x'61'),
  (5, '::192.0.2.128', 'ffeeddcc-bbaa-1988-b766-554433221100', x'20'),
  (6, 'fe80::1:0:0:1', '018d3f7b-1c2d-7abc-8def-0123456789ab', null),
  (7, '1::', 'c232ab00-9414-11ec-b3c8-9f6bdeced846', null),
  (8, '1:2:3:4:5:6:7:0', '01234567-89ab-4def-8123-456789abcdef', null),
  (9, '::1', '01234567-89ab-0def-0123-456789abcdef', null),
  (10, null, null, null),
  (11, '1:0:3:4:5:6:7:8', '6ba7b810-9dad-11d1-80b4-00c04fd430c8', null),
  (12, '0:0:3:0:0:6:7:8', '00000000-0000-6000-8000-000000000000', null),
  (13, '1:0:2:0:0:3:0:0', 'ffffffff-ffff-8fff-bfff-ffffffffffff', null),
  (14, '0:0:0:0:0:0:1:0', '3d813cbb-47fb-32ba-91df-831e1593ac29', null),
  (15, '0:0:0:0:0:fffe:1:1', '21f7f8de-8051-5b89-8680-0195ef798b6a', null),
  (16, '0:2:3:4:5:6:7:8', 'e4eaaaf2-d142-11e1-b3e4-080027620cdd', null),
  (17, '0:0:0:0:0:0:0:ffff', '00000001-0000-0000-0000-000000000000', null);
create table compressed_columns (
  id int primary key, v varchar(200) compressed character set utf8mb4, vb varbinary(300) compressed, t text compressed character set latin1, b blob compressed, lt longtext compressed character set utf8mb4
);
insert into compressed_columns values
  (1, '', '', '', '', ''),
  (2, 'short', x'00ff', 'é', x'5c', 'x'),
  (3, repeat('ab', 100), repeat(x'00', 300), repeat('é', 1000), repeat(x'00ff', 500), repeat('😀', 2000)),
  (4, null, null, null, null, null);
create table json_text (id int primary key, j json);
insert into json_text values (1, '{"a":  1}'), (2, null);
create table addresses_between (id int primary key, t tinyint unsigned, a inet6, c varchar(2) character set latin1, u uuid, c2 varchar(2) character set utf8mb4, v varchar(9) compressed character set latin1, t2 tinyint unsigned, b blob compressed, c3 char(2) character set latin1);
insert into addresses_between values (1, 200, '::1', 'é', '123e4567-e89b-12d3-a456-426655440000', 'ü', 'é', 201, x'01', 'é');
