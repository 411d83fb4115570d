//! What an operator can do about an event that cannot be decoded.

use super::error::{CellError, DecodeError, DefinitionFault};

const DAMAGED: &str = "look at the event with mysqlbinlog at the source; if the log is damaged, load the tables anew, \
                       then run binlog_loader reset and start with an empty staging database";
const LEAVE_OUT: &str =
    "take the table out of the list, or load it anew and start behind this position";

impl DecodeError {
    /// What to do; `None` where the message says it itself.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::CutEvent { .. }
            | Self::InvalidEvent { .. }
            | Self::Gtid { .. }
            | Self::Decompress { .. }
            | Self::DecompressedSize { .. }
            | Self::CutRow { .. } => Some(DAMAGED),
            Self::UnsupportedEvent { .. } => Some(
                "switch this off at the source, or upgrade this program; then load the tables anew and start behind \
                 this position",
            ),
            Self::Misfit { .. } | Self::UnsupportedColumn { .. } | Self::PartialRowImage { .. } => {
                None
            }
            Self::Definition { reason, .. }
                if matches!(**reason, DefinitionFault::HiddenColumn { .. }) =>
            {
                None
            }
            Self::Definition { .. } => Some(
                "set binlog_row_metadata = FULL at the source, take the table out of the list, or load it anew and start \
                 behind this position",
            ),
            Self::Cell { source, .. } => Some(source.remedy()),
        }
    }
}

impl CellError {
    fn remedy(&self) -> &'static str {
        match self {
            Self::NulByte => {
                "set nul_byte to strip or replace in [binlogminer], which does not help in a key; or take the table out \
                 of the list"
            }
            Self::UnspelledLabel => "set binlog_row_metadata = FULL at the source",
            Self::Cut | Self::Compressed => DAMAGED,
            Self::OutOfRange { .. }
            | Self::TooLong { .. }
            | Self::Oversized { .. }
            | Self::MalformedText { .. }
            | Self::NoLabel { .. }
            | Self::NotFinite
            | Self::Json { .. } => LEAVE_OUT,
        }
    }
}
