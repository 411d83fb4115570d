//! Which tables are replicated: names with wildcards, and the table list.

use std::path::Path;

use crate::table::TableName;

/// A name with `*` (any run of characters) and `?` (one character).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<char>);

impl Pattern {
    /// Reads a pattern; every text is one.
    pub fn new(text: &str) -> Self {
        Self(text.chars().collect())
    }

    /// Whether `name` matches as a whole, letter case included.
    pub fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        // Greedy matching with one backtrack point: the last `*` seen.
        let (mut p, mut n) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while let Some(c) = name.get(n) {
            match self.0.get(p) {
                Some('*') => {
                    star = Some((p, n));
                    p += 1;
                }
                Some(q) if *q == '?' || q == c => {
                    p += 1;
                    n += 1;
                }
                _ => match star {
                    Some((star_p, star_n)) => {
                        p = star_p + 1;
                        n = star_n + 1;
                        star = Some((star_p, n));
                    }
                    None => return false,
                },
            }
        }
        self.0
            .get(p..)
            .is_some_and(|rest| rest.iter().all(|c| *c == '*'))
    }

    /// Whether the pattern surely matches every name that `other` matches.
    pub fn covers(&self, other: &Self) -> bool {
        match other.literal() {
            Some(name) => self.matches(&name),
            None => self == other || self.0 == ['*'],
        }
    }

    /// The name, when the pattern has no wildcard.
    pub fn literal(&self) -> Option<String> {
        let wild = self.0.iter().any(|c| matches!(c, '*' | '?'));
        (!wild).then(|| self.0.iter().collect())
    }
}

/// The tables that a task replicates: those that match any line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableList {
    entries: Vec<(Pattern, Pattern)>,
}

impl TableList {
    /// Every table of `database`.
    pub fn all_of(database: &str) -> Self {
        Self {
            entries: vec![(Pattern::new(database), Pattern::new("*"))],
        }
    }

    /// Reads a list file: one `table` or `database.table` a line, `#` comments.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(path: &Path, database: &str) -> std::io::Result<Self> {
        Ok(Self::parse(&std::fs::read_to_string(path)?, database))
    }

    /// Reads the text of a list file.
    pub fn parse(text: &str, database: &str) -> Self {
        let entries = text
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default().trim())
            .filter(|line| !line.is_empty())
            .map(|line| match line.split_once('.') {
                Some((database, table)) => {
                    (Pattern::new(database.trim()), Pattern::new(table.trim()))
                }
                None => (Pattern::new(database), Pattern::new(line)),
            })
            .collect();
        Self { entries }
    }

    /// The list as JSON: pairs of a database and a table, with wildcards.
    pub fn to_json(&self) -> String {
        let text = |pattern: &Pattern| pattern.0.iter().collect::<String>();
        let pairs: Vec<(String, String)> = self
            .entries
            .iter()
            .map(|(database, table)| (text(database), text(table)))
            .collect();
        serde_json::json!(pairs).to_string()
    }

    /// The list that [`TableList::to_json`] has written.
    ///
    /// # Errors
    /// When it is another text.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        let pairs: Vec<(String, String)> = serde_json::from_str(text)?;
        Ok(Self {
            entries: pairs
                .iter()
                .map(|(database, table)| (Pattern::new(database), Pattern::new(table)))
                .collect(),
        })
    }

    pub(super) fn push(&mut self, database: &str, table: &str) {
        self.entries
            .push((Pattern::new(database), Pattern::new(table)));
    }

    pub(super) fn empty() -> Self {
        Self {
            entries: Vec::new(),
        }
    }

    /// Whether no table can match.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the table is replicated.
    pub fn contains(&self, name: &TableName) -> bool {
        self.entries
            .iter()
            .any(|(database, table)| database.matches(&name.database) && table.matches(&name.table))
    }

    /// Whether any table of the database may be replicated.
    pub fn touches_database(&self, name: &str) -> bool {
        self.entries
            .iter()
            .any(|(database, _)| database.matches(name))
    }

    /// Tables that are named without a wildcard: these must exist.
    pub fn named(&self) -> impl Iterator<Item = TableName> + '_ {
        self.entries.iter().filter_map(|(database, table)| {
            Some(TableName::new(database.literal()?, table.literal()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name, expected) in [
            ("t", "t", true),
            ("t", "tt", false),
            ("t*", "t", true),
            ("t*", "table", true),
            ("*_log", "a_log_log", true),
            ("*_log", "a_log_x", false),
            ("t?", "t1", true),
            ("t?", "t", false),
            ("*", "", true),
            ("T", "t", false),
        ] {
            assert_eq!(
                Pattern::new(pattern).matches(name),
                expected,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn the_list_takes_comments_blank_lines_and_database_names() {
        let list = TableList::parse("# all\n\norders\nother.log_*  # logs\n", "shop");
        assert!(list.contains(&TableName::new("shop", "orders")));
        assert!(list.contains(&TableName::new("other", "log_1")));
        assert!(!list.contains(&TableName::new("shop", "log_1")));
        assert_eq!(TableList::from_json(&list.to_json()).unwrap(), list);
        assert_eq!(
            list.named().collect::<Vec<_>>(),
            [TableName::new("shop", "orders")]
        );
    }
}
