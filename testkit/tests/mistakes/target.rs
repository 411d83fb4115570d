//! Mistakes at the target: tables, privileges, rows.

use crate::rig::{Group, Made, SECRET, Servers, TABLE, Task, succeed};

/// All of them.
pub(crate) fn make(servers: &Servers) -> Vec<Made> {
    let mut group = Group::new(Some(servers));
    of_privileges(&mut group, servers);
    of_tables(&mut group, servers);
    of_rows(&mut group, servers);
    group.made
}

/// A task with a row staged, after `change` was made at the target.
fn staged(servers: &Servers, name: &str, ddl: &str, change: &str) -> Task {
    let task = servers.task(name, ddl);
    servers.source_sql(&task, "insert into orders (id, v) values (1, 'first')");
    succeed(&task.config.write(), "binlog_miner --once");
    if !change.is_empty() {
        servers.target_sql(&task, change);
    }
    task
}

fn of_privileges(group: &mut Group<'_>, servers: &Servers) {
    let task = servers.task("g1", TABLE);
    let role = servers.role(&task, &task.staging);
    group.make(
        "staging's user may not create the schema",
        &task.config.clone().staging(&role),
        "binlog_miner check",
        2,
        "grant create on database",
    );

    let task = staged(servers, "g2", TABLE, "");
    let role = servers.role(&task, &task.target);
    let name = format!("{}_user", task.database);
    let config = task.config.clone().target(&role, "public");
    servers.target_sql(&task, &format!("grant all on orders to {name}"));
    group.make(
        "the target's user may not create schema `mysql2gp`",
        &config,
        "binlog_loader check",
        2,
        "grant create on database",
    );
    servers.target_sql(
        &task,
        &format!(
            "grant create on database {} to {name}; revoke all on orders from {name}",
            task.target
        ),
    );
    group.make(
        "the target's user may not write a table",
        &config,
        "binlog_loader",
        2,
        "permission denied",
    );
    for (privilege, code) in [("insert", 3), ("truncate", 0)] {
        servers.target_sql(
            &task,
            &format!(
                "grant select, insert, update, delete, truncate on orders to {name}; revoke {privilege} on orders from {name}"
            ),
        );
        let mistake = match privilege {
            "insert" => "the target's user lacks one privilege",
            _ => "the target's user lacks TRUNCATE (a warning)",
        };
        group.make(
            mistake,
            &config,
            "binlog_loader check",
            code,
            &format!("grant {privilege}"),
        );
    }
    servers.target_sql(
        &task,
        &format!("revoke usage on schema public from public; grant all on orders to {name}"),
    );
    group.make(
        "the target's user may not use the schema",
        &config,
        "binlog_loader check",
        2,
        "grant usage on schema",
    );
    servers.target_sql(
        &task,
        &format!(
            "grant usage on schema public to {name}; \
             create function public.stamp() returns trigger language plpgsql as 'begin return new; end'; \
             create trigger stamp before insert on orders for each row execute function public.stamp()"
        ),
    );
    group.make(
        "a trigger, and the user may not set `session_replication_role`",
        &config,
        "binlog_loader",
        3,
        "trigger stamp",
    );
}

fn of_tables(group: &mut Group<'_>, servers: &Servers) {
    let wide = "create table orders (id integer primary key, v varchar(20), amount decimal(12,4))";
    let cases: [(&str, &'static str, &str, &str, i32, &str); 9] = [
        (
            "t1",
            "no target table",
            wide,
            "drop table orders",
            3,
            "create table",
        ),
        (
            "t2",
            "no target column",
            wide,
            "alter table orders drop column amount",
            3,
            "add column",
        ),
        (
            "t3",
            "a target column of the wrong type",
            wide,
            "alter table orders alter column v type integer using 0",
            3,
            "make it varchar(20)",
        ),
        (
            "t4",
            "a target column that is too short",
            wide,
            "alter table orders alter column v type varchar(10)",
            3,
            "make it varchar(20)",
        ),
        (
            "t5",
            "a target column with a smaller scale",
            wide,
            "alter table orders alter column amount type numeric(12,2)",
            3,
            "make it numeric(12,4)",
        ),
        (
            "t6",
            "a target column that the source lacks, NOT NULL and without a default",
            wide,
            "alter table orders add column origin text not null",
            3,
            "origin",
        ),
        (
            "t7",
            "a view in place of the target table",
            wide,
            "alter table orders rename to stored; create view orders as select * from stored",
            3,
            "not a table",
        ),
        (
            "t8",
            "no unique index on the key (a warning)",
            wide,
            "alter table orders drop constraint orders_pkey",
            0,
            "no unique index",
        ),
        (
            "t9",
            "a table without a key that holds rows",
            "create table orders (id integer, v varchar(20))",
            "insert into orders values (7, 'old')",
            3,
            "has no key",
        ),
    ];
    for (name, mistake, ddl, change, code, word) in cases {
        let task = staged(servers, name, ddl, change);
        let command = if code == 0 {
            "binlog_loader check"
        } else {
            "binlog_loader"
        };
        group.make(mistake, &task.config, command, code, word);
    }
    let task = servers.task("t0", TABLE);
    group.make(
        "no target table, and nothing staged yet",
        &task.config.clone().tables(&["ordesr"]),
        "binlog_loader check",
        3,
        "create table",
    );
}

fn of_rows(group: &mut Group<'_>, servers: &Servers) {
    let task = staged(
        servers,
        "r1",
        TABLE,
        "alter table orders add check (length(v) < 6)",
    );
    servers.source_sql(&task, &format!("insert into orders values (2, '{SECRET}')"));
    let files = task.config.write();
    succeed(&files, "binlog_miner --once");
    group.make_with(
        "a row that the target's constraint refuses",
        &files,
        "binlog_loader",
        3,
        "refuses a row",
    );

    let task = staged(
        servers,
        "r2",
        TABLE,
        "create unique index orders_v on orders (v)",
    );
    servers.source_sql(&task, "insert into orders values (2, 'first')");
    let files = task.config.write();
    succeed(&files, "binlog_miner --once");
    group.make_with(
        "a unique index that the source lacks",
        &files,
        "binlog_loader",
        3,
        "orders_v",
    );

    let task = staged(servers, "r3", TABLE, "");
    servers.source_sql(
        &task,
        "alter table orders add column w integer not null default 0",
    );
    let files = task.config.write();
    succeed(&files, "binlog_miner --once");
    group.make_with(
        "an ALTER TABLE that the target has not seen",
        &files,
        "binlog_loader",
        3,
        "binlog_loader ack",
    );
    servers.wait_released(&task);
    group.make_with(
        "`ack` of another position",
        &files,
        "binlog_loader ack mysql-bin.000077:4",
        2,
        "no statement waits",
    );
}
