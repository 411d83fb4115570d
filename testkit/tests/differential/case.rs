//! What is proven: types with their values and the target types that they go to.

use testkit::CellRule;

/// How a column is read on both sides, where its types do not tell; `{}` is the column.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) rule: CellRule,
}

/// A target type.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The type in a `create table`.
    pub(crate) sql: String,
    /// The type in the README.
    pub(crate) label: String,
    /// The values that it is tried with, where it cannot take all of the type's.
    pub(crate) values: Option<Vec<String>>,
    pub(crate) read: Option<Read>,
    /// Labels of the enum type that `sql` names.
    pub(crate) enum_labels: Option<Vec<String>>,
}

/// Whether columns of a type can be a primary key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AsKey {
    Possible,
    Impossible,
}

/// Whether a type is also tried as a key and in a table without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    Major,
    /// No: it is another length of a type that is.
    Minor,
}

/// A source type.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// Part of the names of its tables.
    pub(crate) name: String,
    /// The README's row.
    pub(crate) row: &'static str,
    /// The type in a `create table`.
    pub(crate) source: String,
    /// SQL literals.
    pub(crate) values: Vec<String>,
    pub(crate) target: Place,
    pub(crate) accepted: Vec<Place>,
    pub(crate) as_key: AsKey,
    pub(crate) weight: Weight,
}

impl Place {
    pub(crate) fn new(sql: impl Into<String>) -> Self {
        let sql = sql.into();
        Self {
            label: sql.clone(),
            sql,
            values: None,
            read: None,
            enum_labels: None,
        }
    }

    pub(crate) fn label(mut self, label: &str) -> Self {
        label.clone_into(&mut self.label);
        self
    }

    pub(crate) fn values(mut self, values: &[&str]) -> Self {
        self.values = Some(values.iter().map(|value| (*value).to_owned()).collect());
        self
    }

    /// Takes only the values that pass.
    pub(crate) fn only(mut self, all: &[String], pass: impl Fn(&str) -> bool) -> Self {
        self.values = Some(all.iter().filter(|value| pass(value)).cloned().collect());
        self
    }

    /// Reads with these expressions and compares the texts.
    pub(crate) fn read(self, source: &str, target: &str) -> Self {
        self.read_as(source, target, CellRule::Text)
    }

    /// Reads with these expressions and compares by this rule.
    pub(crate) fn read_as(mut self, source: &str, target: &str, rule: CellRule) -> Self {
        self.read = Some(Read {
            source: source.to_owned(),
            target: target.to_owned(),
            rule,
        });
        self
    }
}

impl Case {
    pub(crate) fn new(row: &'static str, source: impl Into<String>, target: Place) -> Self {
        let source = source.into();
        let name: String = source
            .chars()
            .take(30)
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        Self {
            name,
            row,
            source,
            values: Vec::new(),
            target,
            accepted: Vec::new(),
            as_key: AsKey::Possible,
            weight: Weight::Major,
        }
    }

    pub(crate) fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    pub(crate) fn values<T: ToString>(mut self, values: impl IntoIterator<Item = T>) -> Self {
        self.values
            .extend(values.into_iter().map(|value| value.to_string()));
        self
    }

    pub(crate) fn accepts(mut self, place: Place) -> Self {
        self.accepted.push(place);
        self
    }

    pub(crate) fn weight(mut self, weight: Weight) -> Self {
        self.weight = weight;
        self
    }

    pub(crate) fn no_key(mut self) -> Self {
        self.as_key = AsKey::Impossible;
        self
    }
}

/// A string literal of MySQL.
pub(crate) fn text(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

/// A binary literal.
pub(crate) fn bytes(value: &[u8]) -> String {
    let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("x'{hex}'")
}
