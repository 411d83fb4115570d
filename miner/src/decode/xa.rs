//! XA_PREPARE: the end of a prepared transaction's changes.
//!
//! Wire: one-phase u8, format id u32, lengths of gtrid and bqual u32 each, the two.

use super::bytes::Fields;
use super::error::DecodeError;
use super::event::{code, event_name};

/// Longest gtrid and bqual (X/Open XA: 64 bytes each).
const MAX_PART_BYTES: usize = 64;

/// Identifier of an XA transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct XaId<'a> {
    /// Format, 1 unless the client chose another.
    pub format: u32,
    /// Global part.
    pub global: &'a [u8],
    /// Branch part, may be empty.
    pub branch: &'a [u8],
}

impl XaId<'_> {
    /// The identifier as `XA COMMIT` statements in the log spell it:
    /// `X'67…',X'62…',1`.
    pub fn to_sql(&self) -> String {
        let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
        format!(
            "X'{}',X'{}',{}",
            hex(self.global),
            hex(self.branch),
            self.format
        )
    }
}

/// How an XA transaction ended its first phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XaPhase {
    /// Prepared: XA COMMIT or XA ROLLBACK follows some day.
    Prepared,
    /// Committed at once (`XA COMMIT ... ONE PHASE`).
    OnePhaseCommit,
}

/// End of the changes of an XA transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XaPrepare<'a> {
    /// Prepared or committed.
    pub phase: XaPhase,
    /// The transaction.
    pub xid: XaId<'a>,
}

impl<'a> XaPrepare<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields::new(event_name(code::XA_PREPARE), body);
        let phase = match fields.u8("one-phase flag")? {
            0 => XaPhase::Prepared,
            1 => XaPhase::OnePhaseCommit,
            _ => return Err(fields.invalid("one-phase flag")),
        };
        let format = fields.u32("format id")?;
        let global = fields.u32("gtrid length")?;
        let branch = fields.u32("bqual length")?;
        let (Ok(global), Ok(branch)) = (usize::try_from(global), usize::try_from(branch)) else {
            return Err(fields.invalid("xid length"));
        };
        Ok(Self {
            phase,
            xid: xa_id(&mut fields, format, global, branch)?,
        })
    }
}

/// Reads the two parts of an identifier.
pub(super) fn xa_id<'a>(
    fields: &mut Fields<'a>,
    format: u32,
    global: usize,
    branch: usize,
) -> Result<XaId<'a>, DecodeError> {
    if global > MAX_PART_BYTES || branch > MAX_PART_BYTES {
        return Err(fields.invalid("xid length"));
    }
    Ok(XaId {
        format,
        global: fields.take(global, "gtrid")?,
        branch: fields.take(branch, "bqual")?,
    })
}
