//! Whose staging is, among loaders and in time.
//!
//! A loader that begins to read staging marks it with a tenure of its own; the mark is seen in
//! every snapshot that it reads, and looked at before it writes. Where the mark is another
//! one, another loader has begun, or staging was made anew: numbers of events and
//! transactions, and of dead letters, then mean something else, and what was read is of no
//! use. The target is kept from two writers by lock and epoch; this is staging's part.

use common::pg::{Operation as _, PgError};
use postgres::{Client, GenericClient};

/// The mark of one loader's reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenure(String);

impl Tenure {
    /// Marks staging; whoever read it before notices. The task's lock must be held. Nothing
    /// that another loader has left open is waited for: it may be frozen.
    ///
    /// # Errors
    /// When staging is away.
    pub fn begin(client: &mut Client) -> Result<Self, PgError> {
        let row = client
            .query_one(
                "update mysql2gp.tenure set tenure = md5(random()::text || clock_timestamp()::text)::uuid \
                 returning tenure::text",
                &[],
            )
            .operation("mark staging as read by this loader")?;
        Ok(Self(row.get(0)))
    }

    /// Whether `found` is this one.
    pub fn is(&self, found: Option<&str>) -> bool {
        found == Some(&self.0)
    }

    /// Whether staging still has the mark.
    ///
    /// # Errors
    /// When staging is away.
    pub fn holds(&self, client: &mut impl GenericClient) -> Result<bool, PgError> {
        let row = client
            .query_opt("select tenure::text from mysql2gp.tenure", &[])
            .operation("look whether staging is read by this loader")?;
        Ok(self.is(row.as_ref().and_then(|row| row.get(0))))
    }
}
