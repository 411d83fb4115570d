-- A transaction with a table that cannot roll back, refused where GTIDs are enforced.
create table kept (id int) engine = myisam;
begin;
insert into b (id, n) values (20, 1);
savepoint s2;
insert into b (id, n) values (21, 1);
insert into kept values (1);
rollback to s2;
insert into kept values (2);
rollback;
