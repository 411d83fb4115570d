//! Where in a source's binlog something is.
//!
//! A position is a file and an offset. Positions order only within one log: the same
//! server, never reset. Which log a position belongs to is [`LogId`]; comparing positions
//! of different logs is the caller's error.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// Name of a binlog file, such as `mysql-bin.000042`; ordered by the number in its suffix.
///
/// The suffix is a decimal number of at least six digits that grows past 999999
/// (MySQL manual, "The Binary Log"), so names do not order as text. Copied with
/// each event, hence without an allocation for names of common lengths.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BinlogFile {
    number: u64,
    name: SmolStr,
}

impl BinlogFile {
    /// The number in the suffix.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The whole name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for BinlogFile {
    type Err = PositionError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let number = name
            .rsplit_once('.')
            .map(|(_, suffix)| suffix)
            .filter(|suffix| !suffix.is_empty() && suffix.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|suffix| suffix.parse().ok())
            .ok_or_else(|| PositionError::FileName { name: name.into() })?;
        Ok(Self {
            number,
            name: name.into(),
        })
    }
}

impl fmt::Display for BinlogFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// A place in a binlog: bytes before `offset` in `file`, and all earlier files, are past.
///
/// Offsets are 64 bits: event headers hold 32, and a file grows beyond 4 GiB with one large
/// transaction, so the miner counts on from what it has read.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BinlogPosition {
    /// File.
    pub file: BinlogFile,
    /// Offset in bytes; the first event starts at [`BinlogPosition::FIRST_OFFSET`].
    pub offset: u64,
}

impl BinlogPosition {
    /// Offset of the first event: behind the four magic bytes `\xfebin`.
    pub const FIRST_OFFSET: u64 = 4;

    /// A position.
    pub fn new(file: BinlogFile, offset: u64) -> Self {
        Self { file, offset }
    }
}

impl fmt::Display for BinlogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.offset)
    }
}

impl FromStr for BinlogPosition {
    type Err = PositionError;

    /// Reads `FILE:POS`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (file, offset) = text
            .rsplit_once(':')
            .ok_or_else(|| PositionError::Position { text: text.into() })?;
        let offset = offset
            .parse()
            .map_err(|_| PositionError::Position { text: text.into() })?;
        Ok(Self::new(file.parse()?, offset))
    }
}

/// Which log a position belongs to: the server's identity, `server_uuid` on MySQL and
/// `server_id` on MariaDB. Together with a file's creation time
/// it tells a reset log from its predecessor.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LogId(pub String);

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names a timeline: a stretch of one server's log that was mined without going over to
/// another server. Positions of one log compare only within one timeline, since a server may
/// be left and come back to with other transactions staged in between.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TimelineId(pub String);

impl fmt::Display for TimelineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not a position.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PositionError {
    /// A binlog file's name must end in a dot and a number.
    #[error("{name:?} is not a binlog file name: it must end in a number, as in mysql-bin.000001")]
    FileName {
        /// What was given.
        name: String,
    },
    /// Not `FILE:POS`.
    #[error("{text:?} is not a binlog position: write FILE:POS, as in mysql-bin.000001:4")]
    Position {
        /// What was given.
        text: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_order_by_number_and_not_as_text() {
        let old: BinlogFile = "mysql-bin.999999".parse().unwrap();
        let new: BinlogFile = "mysql-bin.1000000".parse().unwrap();
        assert!(old < new);
    }

    #[test]
    fn a_position_reads_back_what_it_prints() {
        let position: BinlogPosition = "a.b.000007:4294967300".parse().unwrap();
        assert_eq!(position.offset, 4_294_967_300);
        assert_eq!(position.to_string().parse::<BinlogPosition>(), Ok(position));
    }

    #[test]
    fn what_is_no_position_is_refused_with_the_form_to_use() {
        for text in [
            "",
            "mysql-bin.000001",
            "mysql-bin:4",
            "mysql-bin.00x:4",
            "f.1:-1",
        ] {
            let error = text.parse::<BinlogPosition>().unwrap_err().to_string();
            assert!(error.contains("mysql-bin.000001"), "{error}");
        }
    }
}
