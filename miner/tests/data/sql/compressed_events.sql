-- MariaDB's compressed row and query events.
set names utf8mb4;
create table packed (id int primary key, t text character set utf8mb4) comment 'long enough to be compressed: 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789';
insert into packed values (1, 'a'), (2, repeat('ü', 1000));
insert into packed values (3, null);
insert into packed values (4, repeat('x', 60000)), (5, repeat('y', 60000));
