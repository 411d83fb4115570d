//! The two kinds of tables, at the source and on the target.

use std::fmt::Write as _;
use std::io::Write as _;

use mysql::prelude::Queryable;

use super::random::Random;
use crate::rig::DATABASE;

/// Columns of a table.
#[derive(Clone, Copy)]
pub(super) struct Columns {
    /// Name without number, type at the source, type on the target; repeated as often as the
    /// last number says.
    columns: &'static [(&'static str, &'static str, &'static str, u32)],
}

/// A sysbench row, with a wide key.
pub(super) const SMALL: Columns = Columns {
    columns: &[
        ("k", "int unsigned not null", "bigint", 1),
        ("c", "char(120) not null", "varchar(120)", 1),
        ("pad", "char(60) not null", "varchar(60)", 1),
    ],
};

/// 59 columns besides the key, about 700 bytes as text.
pub(super) const WIDE: Columns = Columns {
    columns: &[
        ("i", "int", "integer", 9),
        ("b", "bigint", "bigint", 8),
        ("s", "smallint", "smallint", 5),
        ("d", "decimal(14,4)", "numeric(14,4)", 8),
        ("f", "double", "double precision", 5),
        ("dt", "datetime(3)", "timestamp(3)", 5),
        ("da", "date", "date", 5),
        ("v", "varchar(40)", "varchar(40)", 10),
        ("t", "text", "text", 4),
    ],
};

impl Columns {
    /// Statements that create the table, at the source and on the target.
    pub(super) fn create(self, table: &str) -> (String, String) {
        let (mut source, mut target) = (String::new(), String::new());
        for (name, source_type, target_type, count) in self.columns {
            for number in 1..=*count {
                let name = if *count == 1 {
                    (*name).to_owned()
                } else {
                    format!("{name}{number}")
                };
                let _ = write!(source, ", {name} {source_type}");
                let _ = write!(target, ", {name} {target_type}");
            }
        }
        (
            format!("create table {table} (id bigint primary key{source}) character set utf8mb4"),
            format!("create table {table} (id bigint primary key{target})"),
        )
    }
}

/// `groups` groups of eleven digits with hyphens between them, as sysbench fills its columns.
pub(super) fn digits(groups: u32, random: &mut Random) -> String {
    let mut text = String::new();
    for group in 0..groups {
        let hyphen = if group == 0 { "" } else { "-" };
        let _ = write!(text, "{hyphen}{:011}", random.below(100_000_000_000));
    }
    text
}

/// Inserts rows into the wide table `t1`, 12 % of whose cells are NULL.
pub(super) fn insert_wide((first, last): (u64, u64), random: &mut Random) -> String {
    let mut sql = String::from("insert into t1 values ");
    for id in first..=last {
        let comma = if id == first { "" } else { "," };
        let _ = write!(sql, "{comma}({id}");
        for (name, _, _, count) in WIDE.columns {
            for _ in 0..*count {
                sql.push(',');
                if random.below(100) < 12 {
                    sql.push_str("null");
                } else {
                    push_cell(&mut sql, name, random);
                }
            }
        }
        sql.push(')');
    }
    sql
}

fn push_cell(sql: &mut String, name: &str, random: &mut Random) {
    let n = random.next();
    let _ = match name {
        "i" => write!(sql, "{}", n % 2_000_000_000),
        "b" => write!(sql, "{}", n % 1_000_000_000_000_000),
        "s" => write!(sql, "{}", n % 30_000),
        "d" => write!(sql, "{}.{:04}", n % 10_000_000, n % 9_999),
        "f" => write!(sql, "{}.{}e{}", n % 10, n % 1_000_000, n % 30),
        "dt" => write!(
            sql,
            "'20{:02}-{:02}-{:02} {:02}:{:02}:{:02}.{:03}'",
            n % 30,
            1 + n % 12,
            1 + n % 28,
            n % 24,
            n % 60,
            n % 59,
            n % 1000
        ),
        "da" => write!(
            sql,
            "'19{:02}-{:02}-{:02}'",
            n % 100,
            1 + n % 12,
            1 + n % 28
        ),
        "v" => write!(sql, "'{:016x}'", n),
        _ => write!(sql, "'some text of {n} and {}'", n % 1_000),
    };
}

/// Copies a table of small rows from the source to the target, as it is.
pub(super) fn copy(source: &mut mysql::Conn, target: &mut postgres::Client, table: &str) {
    let rows = source
        .query_iter(format!("select * from {DATABASE}.{table} order by id"))
        .unwrap_or_else(|error| panic!("read {table}: {error}"));
    let mut writer = target
        .copy_in(&format!("copy {table} from stdin"))
        .unwrap_or_else(|error| panic!("copy {table}: {error}"));
    let mut line = Vec::new();
    for row in rows {
        let row = row.unwrap_or_else(|error| panic!("read {table}: {error}"));
        line.clear();
        for (number, value) in row.unwrap().into_iter().enumerate() {
            if number > 0 {
                line.push(b'\t');
            }
            // Digits and hyphens: nothing to escape.
            let mysql::Value::Bytes(bytes) = value else {
                panic!("{table} has the value {value:?}");
            };
            line.extend_from_slice(&bytes);
        }
        line.push(b'\n');
        writer
            .write_all(&line)
            .unwrap_or_else(|error| panic!("copy {table}: {error}"));
    }
    writer
        .finish()
        .unwrap_or_else(|error| panic!("copy {table}: {error}"));
}
