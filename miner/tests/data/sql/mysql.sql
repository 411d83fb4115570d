-- MySQL's binary JSON, without U+0000, which PostgreSQL cannot store.
set names utf8mb4;
set sql_mode = '';
create table jsons (id int primary key, j json);
insert into jsons values
  (1, null), (2, 'null'), (3, 'true'), (4, 'false'), (5, '0'), (6, '-1'), (7, '32767'), (8, '-32768'), (9, '32768'),
  (10, '2147483647'), (11, '-2147483648'), (12, '2147483648'), (13, '9223372036854775807'), (14, '-9223372036854775808'), (15, '18446744073709551615'),
  (16, '1.5'), (17, '1.0'), (18, '1e100'), (19, '-0.0'), (20, '1e-7'), (21, '123456789012345678901234567890'), (22, '0.1'),
  (23, '""'), (24, '"abc"'), (25, '"q\\"b\\\\s/t\\tn\\nr\\rb\\bf\\fu\\u0001é😀"'), (26, '[]'), (27, '{}'), (28, '[1, [2, [3, {}]], "x", null, true]'),
  (29, '{"b": 1, "a": 2, "long key": [], "": {"x": {"y": {"z": [1.25]}}}}'),
  (30, cast(cast('2024-01-02' as date) as json)), (31, cast(cast('2024-01-02 03:04:05.123456' as datetime(6)) as json)),
  (32, cast(cast('-12:34:56.5' as time(6)) as json)), (33, cast(cast(12345.6789 as decimal(20,10)) as json)), (34, cast(cast(-0.5 as decimal(5,3)) as json)),
  (35, json_array(cast('2024-01-02 03:04:05' as datetime), cast(1.10 as decimal(5,2)), 1, 'x')),
  (36, json_object('a', repeat('x', 70000), 'b', repeat('y', 200), 'c', 1)),
  (37, concat('[', repeat('1000000,', 10000), '1]')),
  (38, cast(x'0001ff' as json)), (39, cast(b'101' as json)), (40, json_array(st_geomfromtext('POINT(1 2)'))),
  (41, '"</script>\\u001f\\u007f"'), (42, '[1e300, -1e-300]'), (43, '{"a": 1.0e0, "b": 1e20, "c": 1e21, "d": 123456.789e3, "e": 1e-5, "f": 0.0001}'),
  (44, cast(cast('838:59:59' as time) as json)), (45, cast(cast('0000-00-00' as date) as json)), (46, cast(unix_timestamp() > 0 as json)),
  (47, cast(cast('2024-01-02' as datetime) as json)), (48, cast(cast(99999999999999999999999999999999999 as decimal(65,0)) as json)), (49, cast(cast(12.50 as decimal(10,2)) as json));
create table jsons_between (id int primary key, t tinyint unsigned, j json, t2 tinyint unsigned, v varchar(2) character set latin1, j2 json, v2 varchar(2) character set utf8mb4);
insert into jsons_between values (1, 200, '[1]', 201, 'é', '{}', 'ü');
create table unspelled_gb18030 (id int primary key, c char(100), v varchar(100), t text, e enum('中', '中文😀㐀', 'x'), s set('中', '㐀', 'x')) character set gb18030;
insert into unspelled_gb18030 values (1, '中文😀㐀', '中文😀㐀 tab\tend', repeat('中文😀㐀', 20), '中文😀㐀', '中,x'), (2, '', ' \\ ', 'a\nb', '中', '㐀'), (3, repeat('中', 100), repeat('㐀', 100), '中', 'x', ''), (4, null, null, null, null, null);
