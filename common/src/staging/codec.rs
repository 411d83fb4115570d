//! The staged text: what the miner writes into a chunk and the loader reads out of it.
//!
//! A chunk is a run of lines, each ended by a newline; cells within a line are separated by
//! tabs and written as PostgreSQL's COPY text format writes them (backslash escapes, `\N` for
//! NULL), so a row goes from the miner to the target without being rewritten. The first byte
//! of a line is its mark, then the definition version of the row's table:
//!
//! | line | meaning |
//! | --- | --- |
//! | `I12` after… | insert |
//! | `U12` after… | update that keeps the key |
//! | `K12` after… old key… | update that changes the key |
//! | `D12` key… | delete |
//! | `u12` after… before… | update, with the full before image |
//! | `d12` before… | delete, with the full before image |
//! | `T12` | TRUNCATE of the table |
//! | `S` database, table, statement, changes? | a statement on a replicated table; what it does, as JSON, where that is known in full |
//! | `C` sequence, file, pos, gtid, commit time (µs), events, passed | end of a source transaction |
//!
//! Every line belongs to the transaction that the next `C` line ends. `events` counts the
//! transaction's lines before it, so a lost chunk cannot go unnoticed. `passed` are the GTIDs of
//! transactions without lines since the `C` line before: a GTID set, often empty; or `=` and
//! all GTIDs up to this transaction; or `?` where they are not known. A key cell is in key
//! order, the other cells in column order.
//!
//! This module does not know how lines are packed into chunks nor what the cells mean.

use std::fmt;
use std::io::Write as _;
use std::str::FromStr;

use crate::position::BinlogPosition;
use crate::table::DefinitionId;

/// What a row line holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowMark {
    /// Cells: the after image.
    Insert,
    /// Cells: the after image; the key is unchanged.
    Update,
    /// Cells: the after image, then the old key.
    UpdateKey,
    /// Cells: the key.
    Delete,
    /// Cells: the after image, then the before image.
    UpdateFull,
    /// Cells: the before image.
    DeleteFull,
}

impl RowMark {
    /// The mark's byte.
    pub fn byte(self) -> u8 {
        match self {
            Self::Insert => b'I',
            Self::Update => b'U',
            Self::UpdateKey => b'K',
            Self::Delete => b'D',
            Self::UpdateFull => b'u',
            Self::DeleteFull => b'd',
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            b'I' => Some(Self::Insert),
            b'U' => Some(Self::Update),
            b'K' => Some(Self::UpdateKey),
            b'D' => Some(Self::Delete),
            b'u' => Some(Self::UpdateFull),
            b'd' => Some(Self::DeleteFull),
            _ => None,
        }
    }
}

/// One parsed line; cells are still escaped.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A row event.
    Row {
        /// What the cells are.
        mark: RowMark,
        /// Version of the table's definition.
        definition: DefinitionId,
        /// The cells with the tabs between them, without the first tab.
        cells: &'a [u8],
    },
    /// TRUNCATE of a replicated table.
    Truncate {
        /// Version of the table's definition.
        definition: DefinitionId,
    },
    /// A statement that the loader must not pass over.
    Statement {
        /// Database of the table, escaped.
        database: &'a [u8],
        /// Table, escaped.
        table: &'a [u8],
        /// The statement, escaped.
        statement: &'a [u8],
        /// What it does, where that is known in full; escaped.
        changes: Option<&'a [u8]>,
    },
    /// End of a source transaction.
    Commit(CommitLine<'a>),
}

/// The `C` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitLine<'a> {
    /// Number of the transaction within this staging database: 1, 2, 3, …
    pub transaction_seq: u64,
    /// Binlog file in which the transaction ends.
    pub file: &'a str,
    /// Offset at which the transaction ends.
    pub offset: u64,
    /// The transaction's GTID; empty when it has none.
    pub gtid: &'a str,
    /// Commit time at the source, microseconds since 1970 in UTC.
    pub committed_at_us: i64,
    /// Lines of this transaction before this one.
    pub event_count: u64,
    /// GTIDs of other transactions before it.
    pub passed: Passed<'a>,
}

/// GTIDs that a `C` line tells besides its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Passed<'a> {
    /// No transaction was left out since the line before.
    #[default]
    Nothing,
    /// GTID set of the transactions that were left out since the line before.
    Some(&'a str),
    /// GTID set of all transactions up to this one.
    All(&'a str),
    /// What came before is not known.
    Unknown,
}

impl<'a> Passed<'a> {
    /// Reads what `Display` writes.
    pub fn parse(text: &'a str) -> Self {
        match (text, text.strip_prefix('=')) {
            ("", _) => Self::Nothing,
            ("?", _) => Self::Unknown,
            (_, Some(set)) => Self::All(set),
            (set, None) => Self::Some(set),
        }
    }
}

impl fmt::Display for Passed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => Ok(()),
            Self::Some(set) => f.write_str(set),
            Self::All(set) => write!(f, "={set}"),
            Self::Unknown => f.write_str("?"),
        }
    }
}

impl CommitLine<'_> {
    /// Where the transaction ends.
    ///
    /// # Errors
    /// When the file's name is none.
    pub fn position(&self) -> Result<BinlogPosition, CodecError> {
        let file = self
            .file
            .parse()
            .map_err(|_| CodecError::Field { field: "file" })?;
        Ok(BinlogPosition::new(file, self.offset))
    }

    /// Appends the line.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut digits = itoa::Buffer::new();
        out.push(b'C');
        out.extend_from_slice(digits.format(self.transaction_seq).as_bytes());
        out.push(b'\t');
        out.extend_from_slice(self.file.as_bytes());
        out.push(b'\t');
        out.extend_from_slice(digits.format(self.offset).as_bytes());
        out.push(b'\t');
        out.extend_from_slice(self.gtid.as_bytes());
        out.push(b'\t');
        out.extend_from_slice(digits.format(self.committed_at_us).as_bytes());
        out.push(b'\t');
        out.extend_from_slice(digits.format(self.event_count).as_bytes());
        // Writing to a Vec cannot fail.
        let _ = writeln!(out, "\t{}", self.passed);
    }
}

/// Appends a row line's mark and definition; the caller appends a tab before each group of
/// cells, and the newline.
pub fn begin_row(out: &mut Vec<u8>, mark: RowMark, definition: DefinitionId) {
    out.push(mark.byte());
    out.extend_from_slice(itoa::Buffer::new().format(definition.0).as_bytes());
}

/// Appends a TRUNCATE line.
pub fn write_truncate(out: &mut Vec<u8>, definition: DefinitionId) {
    // Writing to a Vec cannot fail.
    let _ = writeln!(out, "T{definition}");
}

/// Appends a statement line; `changes` is what is known of it in full, as JSON.
pub fn write_statement(
    out: &mut Vec<u8>,
    database: &str,
    table: &str,
    statement: &str,
    changes: Option<&str>,
) {
    out.extend_from_slice(b"S\t");
    escape(database.as_bytes(), out);
    out.push(b'\t');
    escape(table.as_bytes(), out);
    out.push(b'\t');
    escape(statement.as_bytes(), out);
    if let Some(changes) = changes {
        out.push(b'\t');
        escape(changes.as_bytes(), out);
    }
    out.push(b'\n');
}

/// Appends `text` as PostgreSQL's COPY text format writes it.
/// Source: PostgreSQL manual, COPY, "Text Format".
pub fn escape(text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            byte => out.push(byte),
        }
    }
}

/// Undoes [`escape`]. `None` is NULL.
pub fn unescape(cell: &[u8]) -> Option<Vec<u8>> {
    if cell == NULL {
        return None;
    }
    let mut out = Vec::with_capacity(cell.len());
    let mut bytes = cell.iter();
    while let Some(&byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b't') => out.push(b'\t'),
            Some(b'n') => out.push(b'\n'),
            Some(b'r') => out.push(b'\r'),
            Some(&other) => out.push(other),
            None => out.push(b'\\'),
        }
    }
    Some(out)
}

/// How a NULL cell is written.
pub const NULL: &[u8] = b"\\N";

/// What stands for the value of a column that the log leaves out. No value is written so.
pub const NOT_LOGGED: &[u8] = b"\\-";

/// Parses one line, given without its newline.
///
/// # Errors
/// When the line is none of the forms above: staging was written by another version or
/// damaged.
pub fn parse_line(line: &[u8]) -> Result<Line<'_>, CodecError> {
    let (&mark, rest) = line.split_first().ok_or(CodecError::Empty)?;
    match mark {
        b'C' => parse_commit(rest).map(Line::Commit),
        b'S' => parse_statement(rest),
        b'T' => {
            let (definition, rest) = parse_definition(rest)?;
            if rest.is_empty() {
                Ok(Line::Truncate { definition })
            } else {
                Err(CodecError::Field { field: "truncate" })
            }
        }
        mark => {
            let mark = RowMark::from_byte(mark).ok_or(CodecError::Mark { mark })?;
            let (definition, rest) = parse_definition(rest)?;
            let (_, cells) = rest
                .split_first()
                .ok_or(CodecError::Field { field: "cells" })?;
            Ok(Line::Row {
                mark,
                definition,
                cells,
            })
        }
    }
}

/// Reads the digits up to the first tab; what is left starts with that tab, if any.
fn parse_definition(rest: &[u8]) -> Result<(DefinitionId, &[u8]), CodecError> {
    let error = CodecError::Field {
        field: "definition",
    };
    let mut number: u32 = 0;
    let mut length = 0;
    for &byte in rest {
        if !byte.is_ascii_digit() {
            break;
        }
        number = number
            .checked_mul(10)
            .and_then(|n| n.checked_add(u32::from(byte - b'0')))
            .ok_or_else(|| error.clone())?;
        length += 1;
    }
    match rest.split_at_checked(length) {
        Some((digits, rest))
            if !digits.is_empty() && matches!(rest.first(), None | Some(b'\t')) =>
        {
            Ok((DefinitionId(number), rest))
        }
        _ => Err(error),
    }
}

fn parse_commit(rest: &[u8]) -> Result<CommitLine<'_>, CodecError> {
    // Bytes: texts are split by a search that pays only for long fields.
    let mut fields = rest.split(|byte| *byte == b'\t');
    let mut next = |field| {
        let bytes = fields.next();
        bytes
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .ok_or(CodecError::Field { field })
    };
    let line = CommitLine {
        transaction_seq: number(next("transaction_seq")?, "transaction_seq")?,
        file: next("file")?,
        offset: number(next("pos")?, "pos")?,
        gtid: next("gtid")?,
        committed_at_us: number(next("committed_at")?, "committed_at")?,
        event_count: number(next("events")?, "events")?,
        passed: Passed::parse(next("passed")?),
    };
    match fields.next() {
        None => Ok(line),
        Some(_) => Err(CodecError::Field { field: "commit" }),
    }
}

fn parse_statement(rest: &[u8]) -> Result<Line<'_>, CodecError> {
    let mut fields = rest.split(|&byte| byte == b'\t').skip(1);
    let mut next = |field| fields.next().ok_or(CodecError::Field { field });
    Ok(Line::Statement {
        database: next("database")?,
        table: next("table")?,
        statement: next("statement")?,
        changes: fields.next(),
    })
}

fn number<T: FromStr>(text: &str, field: &'static str) -> Result<T, CodecError> {
    text.parse().map_err(|_| CodecError::Field { field })
}

/// Why a staged line cannot be read: staging is damaged or not of this version.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum CodecError {
    /// A line without a mark.
    #[error("staged line is empty")]
    Empty,
    /// A mark that no version of this program writes.
    #[error("staged line has the unknown mark {mark:#04x}")]
    Mark {
        /// The line's first byte.
        mark: u8,
    },
    /// A field is missing or malformed.
    #[error("staged line has a malformed field {field}")]
    Field {
        /// The field.
        field: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_line_reads_back() {
        let mut out = Vec::new();
        begin_row(&mut out, RowMark::UpdateKey, DefinitionId(12));
        out.extend_from_slice(b"\t2\tx\\ty\t1");
        assert_eq!(
            parse_line(&out),
            Ok(Line::Row {
                mark: RowMark::UpdateKey,
                definition: DefinitionId(12),
                cells: b"2\tx\\ty\t1"
            })
        );
    }

    #[test]
    fn a_commit_line_reads_back() {
        let commit = CommitLine {
            transaction_seq: 7,
            file: "mysql-bin.000003",
            offset: 5_000_000_000,
            gtid: "0-1-9",
            committed_at_us: 1_700_000_000_000_001,
            event_count: 3,
            passed: Passed::Some("0-1-7,1-1-4"),
        };
        let mut out = Vec::new();
        commit.write(&mut out);
        assert_eq!(out.pop(), Some(b'\n'));
        assert_eq!(parse_line(&out), Ok(Line::Commit(commit)));
    }

    #[test]
    fn what_a_commit_line_passed_reads_back() {
        for passed in [
            Passed::Nothing,
            Passed::Some("0-1-7"),
            Passed::All("0-1-7,1-1-4"),
            Passed::All(""),
            Passed::Unknown,
        ] {
            assert_eq!(Passed::parse(&passed.to_string()), passed);
        }
    }

    #[test]
    fn a_statement_and_a_truncate_read_back() {
        let mut out = Vec::new();
        for changes in [None, Some("[\\]")] {
            out.clear();
            write_statement(&mut out, "db", "t", "alter table t\n\tadd c int", changes);
            out.pop();
            let Ok(Line::Statement {
                statement,
                changes: found,
                ..
            }) = parse_line(&out)
            else {
                panic!("no statement");
            };
            assert_eq!(unescape(statement).unwrap(), b"alter table t\n\tadd c int");
            assert_eq!(found.and_then(unescape), changes.map(|text| text.into()));
        }
        assert_eq!(
            parse_line(b"T3"),
            Ok(Line::Truncate {
                definition: DefinitionId(3)
            })
        );
    }

    #[test]
    fn escaping_is_undone_and_null_is_not_a_text() {
        let text: Vec<u8> = (1..=255).collect();
        let mut cell = Vec::new();
        escape(&text, &mut cell);
        assert_eq!(unescape(&cell), Some(text));
        assert_eq!(unescape(NULL), None);
        let mut cell = Vec::new();
        escape(b"\\N", &mut cell);
        assert_eq!(unescape(&cell), Some(b"\\N".to_vec()));
    }

    #[test]
    fn damaged_lines_are_errors() {
        for line in [
            &b""[..],
            b"X1\ta",
            b"I",
            b"Ix\ta",
            b"I1",
            b"I99999999999\ta",
            b"C1\tf.1\t4",
            b"C1\tf.1\t4\t\t5\t6",
            b"C1\tf.1\t4\t\t5\t6\t\t8",
            b"T",
            b"T1\tx",
            b"S\ta",
        ] {
            assert!(parse_line(line).is_err(), "{line:?}");
        }
    }
}
