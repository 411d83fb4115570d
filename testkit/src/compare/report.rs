//! What a comparison found.

use std::fmt;

/// Differences beyond these are counted only.
const SHOWN: usize = 10;

/// Columns of a row with their values; `None` is NULL.
type NamedValues = Vec<(String, Option<String>)>;

/// The result of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Rows read from the source.
    pub source_rows: usize,
    /// Rows read from the target.
    pub target_rows: usize,
    /// How many differences there are.
    pub difference_count: usize,
    /// The first of them, in key order.
    pub first_differences: Vec<Difference>,
}

impl Report {
    pub(super) fn new(source_rows: usize, target_rows: usize) -> Self {
        Self {
            source_rows,
            target_rows,
            difference_count: 0,
            first_differences: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, difference: Difference) {
        self.difference_count += 1;
        if self.first_differences.len() < SHOWN {
            self.first_differences.push(difference);
        }
    }

    /// Whether both tables hold the same rows.
    pub fn is_equal(&self) -> bool {
        self.difference_count == 0
    }

    /// Ends the test unless the tables are equal.
    ///
    /// # Panics
    /// With the first differences.
    #[track_caller]
    pub fn assert_equal(&self) {
        assert!(self.is_equal(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} differences between {} source rows and {} target rows",
            self.difference_count, self.source_rows, self.target_rows
        )?;
        for difference in &self.first_differences {
            write!(formatter, "\n  {difference}")?;
        }
        Ok(())
    }
}

/// One row that is not the same on both sides. In a table without a key, `key` is the
/// whole row, and no row is [`Difference::Changed`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Only the source has it.
    Missing {
        /// Its key.
        key: NamedValues,
    },
    /// Only the target has it.
    Extra {
        /// Its key.
        key: NamedValues,
    },
    /// Both have it, with other values.
    Changed {
        /// Its key.
        key: NamedValues,
        /// The columns that differ.
        columns: Vec<ColumnDifference>,
    },
}

/// A column that differs, with the values in their common form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnDifference {
    /// The source's name of it.
    pub column: String,
    /// What the source has.
    pub source: Option<String>,
    /// What the target has.
    pub target: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { key } => write!(formatter, "missing {}", Values(key)),
            Self::Extra { key } => write!(formatter, "extra {}", Values(key)),
            Self::Changed { key, columns } => {
                write!(formatter, "changed {}:", Values(key))?;
                for ColumnDifference {
                    column,
                    source,
                    target,
                } in columns
                {
                    write!(formatter, " {column} source {source:?} target {target:?}")?;
                }
                Ok(())
            }
        }
    }
}

struct Values<'a>(&'a NamedValues);

impl fmt::Display for Values<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(formatter, "{comma}{name} {value:?}")?;
        }
        Ok(())
    }
}
