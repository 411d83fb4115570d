//! Rows that go to the target in COPY's binary format, for less of its time.
//!
//! Where all columns have an encoder, and the rows are enough to pay for a look at the table
//! first: binary values are not converted, and those of another type may be taken for values
//! all the same, so in each transaction the columns' types are what the encoders were chosen
//! by, or nothing is copied. The look locks the table, as the COPY does, against changes of
//! its types. What has no binary form goes as text; so do the rows of the careful path, whose
//! refusals are those of the types' input functions.

use common::pg::{Operation as _, PgError, quote_identifier};
use postgres::error::SqlState;
use postgres::{Client, Statement};

use super::error::ApplyError;
use super::replace;
use super::statements::{copy_statement, list};
use crate::route::{Encoder, Route};

/// Rows of a table in a round from which on the look at it pays.
pub(super) const LEAST_ROWS: usize = 100;

// Rows that replace others are copied as the rest of their table.
const _: () = assert!(LEAST_ROWS <= replace::LEAST_ROWS);

/// How rows are written into a COPY.
#[derive(Clone, Copy)]
pub(super) enum Format<'t> {
    Text,
    /// With an encoder for each column.
    Binary(&'t [Encoder]),
}

impl Format<'_> {
    /// What a COPY statement ends with.
    pub(super) fn clause(self) -> &'static str {
        match self {
            Self::Text => "",
            Self::Binary(_) => " (format binary)",
        }
    }
}

/// Whether a table is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Columns {
    Same,
    Altered,
}

/// What copies one table's rows in the binary format.
pub(super) struct BinaryCopy {
    pub(super) copy: Statement,
    pub(super) encoders: Vec<Encoder>,
    columns: Statement,
}

impl BinaryCopy {
    /// `None` where a column has no encoder.
    pub(super) fn prepare(client: &mut Client, route: &Route) -> Result<Option<Self>, PgError> {
        if !route.target.dialect.copies_binary() {
            return Ok(None);
        }
        let names = route.copy_columns().map(|c| quote_identifier(&c.name));
        // Its result type is fixed: once a column has another type, it fails.
        let columns = client
            .prepare(&format!(
                "select {} from {} where false",
                list(names),
                route.target.quoted()
            ))
            .operation("look at the target table's columns")?;
        let encoders = columns.columns().iter().map(|c| Encoder::of(c.type_()));
        let Some(encoders) = encoders.collect::<Option<Vec<_>>>() else {
            return Ok(None);
        };
        let copy = copy_statement(route, Format::Binary(&encoders));
        Ok(Some(Self {
            copy: client.prepare(&copy).operation("prepare copy")?,
            encoders,
            columns,
        }))
    }

    /// Looks at the table, and keeps its columns as they are until the transaction ends.
    ///
    /// # Errors
    /// When the target is away. Altered columns have ended the transaction.
    pub(super) fn look(&self, client: &mut Client) -> Result<Columns, ApplyError> {
        match client.execute(&self.columns, &[]) {
            Ok(_) => Ok(Columns::Same),
            // "cached plan must not change result type", or a column is gone.
            Err(error)
                if matches!(
                    error.code(),
                    Some(&SqlState::FEATURE_NOT_SUPPORTED | &SqlState::UNDEFINED_COLUMN)
                ) =>
            {
                Ok(Columns::Altered)
            }
            Err(error) => {
                Err(PgError::statement("look at the target table's columns", &error).into())
            }
        }
    }
}
