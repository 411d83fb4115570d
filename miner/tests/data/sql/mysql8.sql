-- Types and columns that only MySQL 8 and later have.
set names utf8mb4;
create table vectors (id int primary key, v vector(3), w vector);
insert into vectors values
  (1, string_to_vector('[1,2,3]'), string_to_vector('[0.1,-1e-30,1e30]')),
  (2, string_to_vector('[-0.5,0,16777216]'), string_to_vector('[3.4028234e38]')),
  (3, null, null);
create table invisible_columns (id int primary key, a int invisible, b int, key expression ((b + 1)));
insert into invisible_columns (id, a, b) values (1, 2, 3), (2, null, 4);
create table multi_valued (id int primary key, j json, key m ((cast(j->'$.a' as unsigned array))));
insert into multi_valued values (1, '{"a": [1,2,3]}'), (2, null);
create table vectors_between (id int primary key, t tinyint unsigned, v vector(2), t2 tinyint unsigned, c varchar(2) character set latin1, w vector(3), c2 varchar(2) character set utf8mb4, t3 tinyint unsigned);
insert into vectors_between values (1, 200, string_to_vector('[1,2]'), 201, 'é', string_to_vector('[1,2,3]'), 'ü', 202);
-- Breaks its base64 into lines, which 5.7 does not escape.
insert into jsons values (50, cast(repeat(x'01', 100) as json));
