//! The README's grants are enough for everything, on each version of the source. They are read
//! from the README, so that they are the ones that operators have.

use std::path::Path;

use testkit::{Comparison, Flavor, MysqlServer, PgServer, TaskFiles};

use crate::rig::ends;

const PASSWORD: &str = "hush-hush";

/// The SQL of a README block, `<!-- grants: source -->`, with a password in it.
fn grants(of: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let (_, rest) = readme
        .split_once(&format!("<!-- grants: {of} -->"))
        .expect("the README has the grants");
    let (_, rest) = rest.split_once("```sql\n").unwrap();
    let (sql, _) = rest.split_once("```").unwrap();
    let lines: Vec<&str> = sql
        .lines()
        .map(|line| line.split(" -- ").next().unwrap_or_default())
        .collect();
    lines.join("\n").replace("'...'", &format!("'{PASSWORD}'"))
}

/// Staging and target as strict administrators keep them.
fn postgres() -> PgServer {
    let server = PgServer::builder().password(PASSWORD).start();
    for database in ["shop_staging", "warehouse"] {
        server.create_database(database);
        server.sql(
            database,
            &format!(
                "revoke all on database {database} from public; revoke all on schema public from public"
            ),
        );
    }
    server.sql(
        "warehouse",
        "create schema sales; \
         create table sales.orders (id integer primary key, v varchar(40), n integer); \
         create table sales.items (id integer primary key, order_id integer references sales.orders on delete cascade); \
         create table sales.log (v text); \
         create function sales.stamp() returns trigger language plpgsql as 'begin raise exception ''fired''; end'; \
         create trigger stamp before insert on sales.orders for each row execute function sales.stamp()",
    );
    server.sql("shop_staging", &grants("staging"));
    server.sql("warehouse", &grants("target"));
    server
}

fn source(flavor: Flavor) -> MysqlServer {
    let source = MysqlServer::start_default(flavor);
    source.sql(
        "create database shop; use shop; \
         create table orders (id int primary key, v varchar(40), n int); \
         create table items (id int primary key, order_id int); \
         create table log (v text)",
    );
    source.sql(&grants("source"));
    source
}

fn files(source: &MysqlServer, server: &PgServer) -> TaskFiles {
    let connect = |database: &str, user: &str| {
        server
            .connect_string(database)
            .replace("user=postgres", &format!("user={user}"))
    };
    TaskFiles::builder()
        .source(source, "shop")
        .set("src.mysql", "user", "mysql2gp")
        .set("src.mysql", "password", PASSWORD)
        .set("desc.pgsql", "ignore_copy_error_count_each_table", 10)
        .staging(&connect("shop_staging", "mysql2gp_staging"))
        .target(&connect("warehouse", "mysql2gp"), "sales")
        .tables(&["orders", "items", "log"])
        .write()
}

fn enough(flavor: Flavor) {
    let (server, source) = (postgres(), source(flavor));
    let files = files(&source, &server);
    ends(&files, "binlog_miner check", 0, &["may read the binlog"]);
    ends(
        &files,
        "binlog_loader check",
        0,
        &["may create schema mysql2gp"],
    );
    let numbers: Vec<String> = (1..=300).map(|n| format!("({n}, 'v{n}', {n})")).collect();
    for statements in [
        &*format!("insert into orders values {}", numbers.join(", ")),
        "insert into items select id, id from orders; insert into log select v from orders",
        "update orders set v = concat(v, '!'); delete from log where v like 'v1%'",
        "delete from orders where id > 250; truncate table items; insert into items values (1, 1)",
        "update orders set id = id + 1000 where id < 10; update log set v = 'same' limit 5",
    ] {
        source.sql(&format!("use shop; {statements}"));
        ends(&files, "binlog_miner --once", 0, &[]);
        ends(&files, "binlog_loader --once", 0, &[]);
    }
    for table in ["orders", "items", "log"] {
        let report = Comparison::between(
            source.table("shop", table),
            server.table("warehouse", "sales", table),
        )
        .run();
        assert!(report.is_equal(), "{flavor}: {table}: {report}");
    }
    ends(&files, "binlog_miner check", 0, &["staged position"]);
    ends(
        &files,
        "binlog_loader check",
        0,
        &["may write the checkpoint", "sales.orders"],
    );

    // Rows that are refused, and the commands.
    server.sql(
        "warehouse",
        "alter table sales.orders add constraint small check (n < 1000) not valid",
    );
    source.sql("insert into shop.orders values (5000, 'refused', 5000)");
    ends(&files, "binlog_miner --once", 0, &[]);
    ends(&files, "binlog_loader --once", 0, &[]);
    ends(&files, "binlog_loader status", 0, &["dead letters 1"]);
    ends(&files, "binlog_loader dead-letters list", 0, &["orders"]);
    server.sql(
        "warehouse",
        "alter table sales.orders drop constraint small",
    );
    ends(&files, "binlog_loader dead-letters retry", 0, &[]);
    ends(&files, "binlog_loader reset --yes", 0, &["forgot task"]);

    // Cascades are seen with these privileges.
    source.sql(
        "create table shop.parts (id int primary key, order_id int, \
         foreign key (order_id) references shop.orders (id) on delete cascade)",
    );
    let all = files.table_list();
    std::fs::write(all, "orders\nitems\nlog\nparts\n").unwrap();
    if flavor != Flavor::Mysql97 {
        ends(
            &files,
            "binlog_miner check",
            3,
            &["shop.parts (on delete cascade"],
        );
    }
}

#[test]
fn the_grants_of_the_readme_are_enough_on_mysql_5_7() {
    enough(Flavor::Mysql57);
}

#[test]
fn the_grants_of_the_readme_are_enough_on_mysql_9_7() {
    enough(Flavor::Mysql97);
}

#[test]
fn the_grants_of_the_readme_are_enough_on_mariadb_10_11() {
    enough(Flavor::MariaDb1011);
}

#[test]
fn the_grants_of_the_readme_are_enough_on_mariadb_11_8() {
    enough(Flavor::MariaDb118);
}

/// Each privilege is needed: without it `check` names it.
#[test]
fn without_one_of_the_grants_check_names_it() {
    let (server, source) = (postgres(), source(Flavor::MariaDb1011));
    let files = files(&source, &server);
    source.sql("insert into shop.orders values (1, 'one', 1)");
    ends(&files, "binlog_miner --once", 0, &[]);
    for (privilege, code) in [
        ("select", 3),
        ("insert", 3),
        ("delete", 3),
        ("update", 0),
        ("truncate", 0),
    ] {
        server.sql(
            "warehouse",
            &format!("revoke {privilege} on sales.orders from mysql2gp"),
        );
        let word = format!("grant {privilege} on \"sales\".\"orders\" to \"mysql2gp\"");
        ends(&files, "binlog_loader check", code, &[&word]);
        server.sql(
            "warehouse",
            &format!("grant {privilege} on sales.orders to mysql2gp"),
        );
    }
    for (revoked, code, word) in [
        (
            "usage on schema sales",
            2,
            "grant usage on schema \"sales\"",
        ),
        (
            "create on database warehouse",
            2,
            "grant create on database \"warehouse\"",
        ),
        (
            "temporary on database warehouse",
            2,
            "grant temporary on database \"warehouse\"",
        ),
        (
            "set on parameter session_replication_role",
            3,
            "grant set on parameter session_replication_role",
        ),
    ] {
        server.sql("warehouse", &format!("revoke {revoked} from mysql2gp"));
        ends(&files, "binlog_loader check", code, &[word]);
        server.sql("warehouse", &format!("grant {revoked} to mysql2gp"));
    }
    ends(&files, "binlog_loader check", 0, &[]);
}
