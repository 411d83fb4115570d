//! What changes rows without telling the log all of it.

use common::table::TableName;
use mysql::prelude::Queryable as _;
use mysql::{Conn, Row};

/// A sequence or a system-versioned table (MariaDB).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecialTable {
    /// The table.
    pub name: TableName,
    /// `SEQUENCE` or `SYSTEM VERSIONED`.
    pub kind: String,
}

/// A foreign key that changes rows of its table by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cascade {
    /// The table whose rows change.
    pub child: TableName,
    /// The constraint.
    pub constraint: String,
    /// Its ON DELETE rule.
    pub on_delete: String,
    /// Its ON UPDATE rule.
    pub on_update: String,
}

/// Databases of which the source logs changes: all, where both lists are empty. In row format the
/// table's database counts, whatever the session's default is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LogFilter {
    only: Vec<String>,
    ignored: Vec<String>,
}

impl LogFilter {
    /// Asks the source; no filter where the user may not ask.
    pub(super) fn read(conn: &mut Conn) -> Self {
        // The one was renamed into the other.
        let row: Option<Row> = conn
            .query_first("show binary log status")
            .or_else(|_| conn.query_first("show master status"))
            .unwrap_or_default();
        let list = |name: &str| -> Vec<String> {
            let text = row
                .as_ref()
                .and_then(|row| row.get::<Option<String>, _>(name))
                .flatten()
                .unwrap_or_default();
            text.split(',')
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty())
                .collect()
        };
        Self {
            only: list("Binlog_Do_DB"),
            ignored: list("Binlog_Ignore_DB"),
        }
    }

    /// Whether changes of a database are not logged.
    pub(super) fn hides(&self, database: &str) -> bool {
        let has = |list: &[String]| list.iter().any(|name| name == database);
        has(&self.ignored) || (!self.only.is_empty() && !has(&self.only))
    }
}

impl Cascade {
    /// The foreign keys in the text of SHOW CREATE TABLE that change rows by themselves. Each
    /// has a line of its own, with quoted names; line breaks within texts are escaped there.
    pub(super) fn in_definition<'a>(
        child: &'a TableName,
        text: &'a str,
    ) -> impl Iterator<Item = Self> + use<'a> {
        text.lines().filter_map(move |line| {
            let rest = line.trim_start().strip_prefix("CONSTRAINT `")?;
            let (constraint, rest) = rest.split_once("` FOREIGN KEY ")?;
            // What follows the columns that are referred to.
            let (_, actions) = rest.rsplit_once(')')?;
            let action = |event: &str| {
                let (_, rest) = actions.split_once(event)?;
                ["CASCADE", "SET NULL", "SET DEFAULT"]
                    .into_iter()
                    .find(|action| rest.starts_with(action))
            };
            let (on_delete, on_update) = (action(" ON DELETE "), action(" ON UPDATE "));
            (on_delete.is_some() || on_update.is_some()).then(|| Self {
                child: child.clone(),
                constraint: constraint.replace("``", "`"),
                on_delete: on_delete.unwrap_or("RESTRICT").into(),
                on_update: on_update.unwrap_or("RESTRICT").into(),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_name_databases_that_are_logged_or_not() {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let filter = LogFilter {
            only: Vec::new(),
            ignored: list(&["a", "b"]),
        };
        assert!(filter.hides("b") && !filter.hides("c"));
        let filter = LogFilter {
            only: list(&["a"]),
            ignored: Vec::new(),
        };
        assert!(filter.hides("b") && !filter.hides("a"));
        assert!(!LogFilter::default().hides("a"));
    }

    #[test]
    fn cascades_are_told_from_other_lines() {
        let text = "CREATE TABLE `c` (\n  \
            `a` int(11) DEFAULT NULL COMMENT 'CONSTRAINT `x` FOREIGN KEY (a) ON DELETE CASCADE',\n  \
            CONSTRAINT `f``1` FOREIGN KEY (`a`) REFERENCES `p` (`odd) ON DELETE CASCADE`) ON UPDATE CASCADE,\n  \
            CONSTRAINT `f2` FOREIGN KEY (`a`, `b`) REFERENCES `d`.`p` (`id`, `b`) ON DELETE SET NULL ON UPDATE NO ACTION,\n  \
            CONSTRAINT `f3` FOREIGN KEY (`a`) REFERENCES `p` (`id`) ON DELETE NO ACTION,\n  \
            CONSTRAINT `f4` FOREIGN KEY (`a`) REFERENCES `p` (`id`),\n  \
            CONSTRAINT `k` CHECK (`a` > 0)\n) ENGINE=InnoDB";
        let child = TableName::new("d", "c");
        let cascade = |constraint: &str, on_delete: &str, on_update: &str| Cascade {
            child: child.clone(),
            constraint: constraint.into(),
            on_delete: on_delete.into(),
            on_update: on_update.into(),
        };
        let found: Vec<Cascade> = Cascade::in_definition(&child, text).collect();
        assert_eq!(
            found,
            [
                cascade("f`1", "RESTRICT", "CASCADE"),
                cascade("f2", "SET NULL", "RESTRICT"),
            ]
        );
    }
}
