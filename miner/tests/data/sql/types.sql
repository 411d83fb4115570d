-- Types that all servers have, with edge values. One table per group of types.
set names utf8mb4;
set time_zone = '+00:00';
set sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES';

create table integers (
  id int primary key,
  y year, -- in front of the numbers: it has no bit in the signedness
  t tinyint, tu tinyint unsigned, s smallint, su smallint unsigned,
  m mediumint, mu mediumint unsigned zerofill, i int, iu int unsigned,
  b bigint, bu bigint unsigned
);
insert into integers values
  (1, 0, -128, 0, -32768, 0, -8388608, 0, -2147483648, 0, -9223372036854775808, 0),
  (2, 1901, 127, 255, 32767, 65535, 8388607, 16777215, 2147483647, 4294967295, 9223372036854775807, 18446744073709551615),
  (3, 2155, -1, 128, -1, 32768, -1, 8388608, -1, 2147483648, -1, 9223372036854775808),
  (4, null, null, null, null, null, null, null, null, null, null, null),
  (5, 2024, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1);

-- Optional metadata lists only the columns of some types: every type in front of an
-- unsigned one, a text, an enum, so that a miscount shows.
create table mixed_order (
  id int primary key,
  y year, n1 tinyint unsigned, bt bit(3), n2 int, d date, n3 smallint unsigned, dt datetime(3), n4 tinyint, ti time, n5 mediumint unsigned,
  ts timestamp null, n6 decimal(5,2) unsigned, f float, n7 bigint unsigned, g geometry, c1 char(3) character set latin1, n8 int,
  b blob, c2 varchar(3) character set utf8mb4, e1 enum('x') character set latin1, vb varbinary(3), c3 tinytext character set ascii, s1 set('é') character set utf8mb4,
  bi binary(2), c4 text character set utf8, e2 enum('ü') character set latin1, n9 bigint unsigned, lb longblob, c5 char(2) character set utf8mb4
);
insert into mixed_order values (
  1, 2024, 200, b'101', -1, '2024-01-02', 65535, '2024-01-02 03:04:05.678', -2, '01:02:03', 16777215,
  '2024-01-02 03:04:05', 999.99, 1.5, 18446744073709551615, st_geomfromtext('POINT(1 2)'), 'é', -3,
  x'01', '😀', 'x', x'02', 'a', 'é', x'03', 'é', 'ü', 18446744073709551615, x'04', 'ü');

create table decimals (
  id int primary key,
  a decimal(1,0), b decimal(5,5), c decimal(10,2) unsigned, d decimal(65,30), e decimal(65,0), f decimal(18,9), g decimal(9,0), h decimal(20,11)
);
insert into decimals values
  (1, 9, 0.99999, 99999999.99, 99999999999999999999999999999999999.999999999999999999999999999999,
      99999999999999999999999999999999999999999999999999999999999999999, 999999999.999999999, 999999999, 123456789.12345678901),
  (2, -9, -0.99999, 0, -99999999999999999999999999999999999.999999999999999999999999999999,
      -99999999999999999999999999999999999999999999999999999999999999999, -999999999.999999999, -999999999, -123456789.12345678901),
  (3, 0, 0, 0.01, 0, 0, 0, 0, 0),
  (4, -1, -0.00001, 1, -0.000000000000000000000000000001, -1, -0.000000001, -1, -0.00000000001),
  (5, null, null, null, null, null, null, null, null),
  (6, 1, 0.1, 10, 1.5, 1000000000, 1.1, 100, 10.01);

create table floats (id int primary key, f float, fu float unsigned, f2 float(7,2), d double, du double unsigned);
insert into floats values
  (1, 3.4028234e38, 1.1754944e-38, 12345.67, 1.7976931348623157e308, 2.2250738585072014e-308),
  (2, -3.4028234e38, 0.1, -0.01, -1.7976931348623157e308, 0.1),
  (3, 0, 0, 0, 0, 0),
  (4, -0e0, 16777216, 1, -0e0, 1e21),
  (5, 1e-45, 1.5, 0.5, 5e-324, 123456789012345680),
  (6, 0.333333333, 3, 3, 0.3333333333333333, 1e15),
  (7, null, null, null, null, null);

create table bits (id int primary key, a bit, b bit(3), c bit(8), d bit(9), e bit(63), f bit(64));
insert into bits values
  (1, b'0', b'000', b'00000000', b'000000000', 0, 0),
  (2, b'1', b'111', b'11111111', b'111111111', 9223372036854775807, 18446744073709551615),
  (3, b'1', b'101', b'10000001', b'100000001', 4611686018427387905, 9223372036854775809),
  (4, null, null, null, null, null, null);

create table dates (
  id int primary key, d date, dt0 datetime, dt1 datetime(1), dt2 datetime(2), dt3 datetime(3), dt4 datetime(4), dt5 datetime(5), dt6 datetime(6),
  ts0 timestamp null, ts1 timestamp(1) null, ts3 timestamp(3) null, ts4 timestamp(4) null, ts6 timestamp(6) null
);
insert into dates values
  (1, '1000-01-01', '1000-01-01 00:00:00', '1000-01-01 00:00:00.1', '1000-01-01 00:00:00.12', '1000-01-01 00:00:00.123', '1000-01-01 00:00:00.1234', '1000-01-01 00:00:00.12345', '1000-01-01 00:00:00.123456',
      '1970-01-01 00:00:01', '1970-01-01 00:00:01.9', '1970-01-01 00:00:01.009', '1970-01-01 00:00:01.0009', '1970-01-01 00:00:01.000001'),
  (2, '9999-12-31', '9999-12-31 23:59:59', '9999-12-31 23:59:59.9', '9999-12-31 23:59:59.99', '9999-12-31 23:59:59.999', '9999-12-31 23:59:59.9999', '9999-12-31 23:59:59.99999', '9999-12-31 23:59:59.999999',
      '2038-01-19 03:14:07', '2038-01-19 03:14:07.9', '2038-01-19 03:14:07.999', '2038-01-19 03:14:07.9999', '2038-01-19 03:14:07.999999'),
  (3, '0000-00-00', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
  (4, '2024-00-00', '2024-02-00 00:00:00', '0000-00-00 12:34:56.7', '0000-05-00', '2024-02-30 01:02:03.004', '0001-01-01', '2024-02-29', '2024-12-31 23:59:59.000001',
      '2000-02-29 12:00:00', '2024-02-29 23:59:59.1', '2024-03-01 00:00:00', '2023-12-31 23:59:59.0001', '2024-01-02 03:04:05.123456'),
  (5, null, null, null, null, null, null, null, null, null, null, null, null, null);

create table times (id int primary key, t0 time, t1 time(1), t2 time(2), t3 time(3), t4 time(4), t5 time(5), t6 time(6));
insert into times values
  (1, '838:59:59', '838:59:58.9', '838:59:58.99', '838:59:58.999', '838:59:58.9999', '838:59:58.99999', '838:59:58.999999'),
  (2, '-838:59:59', '-838:59:58.9', '-838:59:58.99', '-838:59:58.999', '-838:59:58.9999', '-838:59:58.99999', '-838:59:58.999999'),
  (3, '00:00:00', '-00:00:00.1', '-00:00:00.01', '-00:00:00.001', '-00:00:00.0001', '-00:00:00.00001', '-00:00:00.000001'),
  (4, '-00:00:01', '-00:00:01', '-00:00:01.5', '-00:59:59.999', '-01:00:00.0001', '-12:34:56.78901', '-100:00:00.000001'),
  (5, '12:34:56', '00:00:00.1', '00:00:00.01', '00:00:00.001', '00:00:00.0001', '00:00:00.00001', '00:00:00.000001'),
  (6, null, null, null, null, null, null, null);

create table texts (
  id int primary key,
  c0 char(0), c10 char(10) character set utf8mb4, c255 char(255) character set utf8mb4, v char(5) character set latin1,
  v10 varchar(10) character set utf8mb4, v300 varchar(300) character set utf8, l varchar(20) character set latin1, a varchar(20) character set ascii,
  tt tinytext character set utf8mb4, t text character set latin1, mt mediumtext character set utf8mb4, lt longtext character set utf8
);
insert into texts values
  (1, '', '', '', '', '', '', '', '', '', '', '', ''),
  (2, '', 'a b  ', repeat('ü', 255), 'é€', 'tab\tend', repeat('ü', 300), 'crème €', 'ascii', 'line\nfeed', 'cr\rcr', 'back\\slash', '\\N'),
  (3, '', '😀', repeat('😀', 255), 'a', '\\.', '  lead trail  ', concat(char(0x81), char(0x9f)), '~', '"quo''ted"', repeat('x', 65540), repeat('€', 1000), 'NULL'),
  (4, null, null, null, null, null, null, null, null, null, null, null, null),
  (5, '', 'x\bx', char(7), char(127), char(11), char(12), 'é', 'a', char(26), char(27), 'é', 'ü');

create table binaries (
  id int primary key,
  b1 binary(1), b16 binary(16), b255 binary(255), vb varbinary(10), vb300 varbinary(300), tb tinyblob, b blob, mb mediumblob, lb longblob,
  cb char(4) character set binary
);
insert into binaries values
  (1, '', '', '', '', '', '', '', '', '', ''),
  (2, x'00', x'00010203', x'61', x'000000', repeat(x'ff', 300), x'00', repeat(x'0d0a', 100), x'5c', x'09', x'6100'),
  (3, x'ff', x'000102030405060708090a0b0c0d0e0f', repeat(x'ab', 255), x'8182', x'20', x'20', x'00', repeat(x'00', 300), repeat(x'5c', 300), x'20'),
  (4, null, null, null, null, null, null, null, null, null, null),
  (5, x'20', repeat(x'20', 16), x'00', x'20', x'2000', x'c3bc', x'ff', x'80', x'c3', x'61');

create table labels (
  id int primary key,
  e enum('a', 'it''s', 'b\\c', 'tab\t', 'ü', ''), e2 enum('x', 'é') character set latin1,
  s set('r', 'g', 'b'), s9 set('1','2','3','4','5','6','7','8','9') character set latin1,
  s64 set('00','01','02','03','04','05','06','07','08','09','10','11','12','13','14','15','16','17','18','19','20','21','22','23','24','25','26','27','28','29','30','31',
          '32','33','34','35','36','37','38','39','40','41','42','43','44','45','46','47','48','49','50','51','52','53','54','55','56','57','58','59','60','61','62','63')
) character set utf8mb4;
insert into labels values
  (1, 'a', 'x', '', '', ''),
  (2, 'it''s', 'é', 'r', '9', '63'),
  (3, 'b\\c', 'x', 'r,g,b', '1,9', '00,31,32,63'),
  (4, 'tab\t', 'é', 'b,r', '1,2,3,4,5,6,7,8,9', 18446744073709551615),
  (5, 'ü', null, 'g', '8', null),
  (6, 'nonsense', 'x', 'nonsense', '', ''),
  (7, null, null, null, null, null),
  (8, '', 'x', '', '', '');

create table wide_enum (id int primary key, e enum(
'w0','w1','w2','w3','w4','w5','w6','w7','w8','w9','w10','w11','w12','w13','w14','w15','w16','w17','w18','w19','w20','w21','w22','w23','w24','w25','w26','w27','w28','w29','w30','w31','w32','w33','w34','w35','w36','w37','w38','w39','w40','w41','w42','w43','w44','w45','w46','w47','w48','w49','w50','w51','w52','w53','w54','w55','w56','w57','w58','w59','w60','w61','w62','w63','w64','w65','w66','w67','w68','w69','w70','w71','w72','w73','w74','w75','w76','w77','w78','w79','w80','w81','w82','w83','w84','w85','w86','w87','w88','w89','w90','w91','w92','w93','w94','w95','w96','w97','w98','w99','w100','w101','w102','w103','w104','w105','w106','w107','w108','w109','w110','w111','w112','w113','w114','w115','w116','w117','w118','w119','w120','w121','w122','w123','w124','w125','w126','w127','w128','w129','w130','w131','w132','w133','w134','w135','w136','w137','w138','w139','w140','w141','w142','w143','w144','w145','w146','w147','w148','w149','w150','w151','w152','w153','w154','w155','w156','w157','w158','w159','w160','w161','w162','w163','w164','w165','w166','w167','w168','w169','w170','w171','w172','w173','w174','w175','w176','w177','w178','w179','w180','w181','w182','w183','w184','w185','w186','w187','w188','w189','w190','w191','w192','w193','w194','w195','w196','w197','w198','w199','w200','w201','w202','w203','w204','w205','w206','w207','w208','w209','w210','w211','w212','w213','w214','w215','w216','w217','w218','w219','w220','w221','w222','w223','w224','w225','w226','w227','w228','w229','w230','w231','w232','w233','w234','w235','w236','w237','w238','w239','w240','w241','w242','w243','w244','w245','w246','w247','w248','w249','w250','w251','w252','w253','w254','w255','w256','w257','w258','w259'));
insert into wide_enum values (1, 'w0'), (2, 'w254'), (3, 'w255'), (4, 'w259'), (5, null);

create table geometries (id int primary key, g geometry, p point, l linestring, c geometrycollection);
insert into geometries values
  (1, st_geomfromtext('POINT(1 -2.5)'), st_geomfromtext('POINT(0 0)'), st_geomfromtext('LINESTRING(0 0,1 1,2 3)'), st_geomfromtext('GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))')),
  (2, st_geomfromtext('POLYGON((0 0,4 0,4 4,0 0))', 3857), st_geomfromtext('POINT(1 2)', 4326), st_geomfromtext('LINESTRING(0 0,1 1)', 3857), null),
  (3, st_geomfromtext('MULTIPOINT((0 0),(1 1))'), null, null, st_geomfromtext('GEOMETRYCOLLECTION(GEOMETRYCOLLECTION(POINT(1 1)),MULTIPOLYGON(((0 0,4 0,4 4,0 0))))')),
  (4, null, null, null, null);

create table generated_columns (
  id int primary key, a int, v int as (a * 2) virtual, s varchar(20) character set utf8mb4 as (concat('s', a)) stored, z int
);
insert into generated_columns (id, a, z) values (1, 10, 1), (2, null, 2), (3, -5, null);

create table keyless (a int, b varchar(10) character set utf8mb4);
insert into keyless values (1, 'x'), (1, 'x'), (null, null);

create table unique_key (a int not null, b varchar(10) character set latin1 not null, c int, unique key u_null (c), unique key u (b, a));
insert into unique_key values (1, 'x', 1), (2, 'y', null);
