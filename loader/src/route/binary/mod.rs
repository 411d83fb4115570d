//! Cells on their way from COPY text to COPY's binary format.
//!
//! An [`Encoder`] stands for a target type. It takes text only of the one form that staging
//! has, and then what it writes is what the type's input function would make of the text; any
//! other text it leaves alone, and the row goes as text, for the target to judge. So binary
//! COPY is only ever a faster way to the same value.
//!
//! Nothing is allocated per value. This module does not know which tables are copied so.
//! Source: PostgreSQL manual, COPY, "Binary Format", and the types' receive functions, each
//! named where it is met; their formats are the same from 9.4 to 18.

mod bytes;
mod number;
mod temporal;

use postgres::types::{Kind, Type};

/// What a binary COPY starts with: signature, flags, and no header extension.
pub const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What a binary COPY ends with.
pub const TRAILER: &[u8] = &(-1_i16).to_be_bytes();

/// The length that stands for NULL.
const NULL_LENGTH: i32 = -1;

/// How a target type's values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoder {
    /// `boolean`.
    Boolean,
    /// `smallint`.
    SmallInt,
    /// `integer`.
    Integer,
    /// `bigint`.
    BigInt,
    /// `real`.
    Real,
    /// `double precision`.
    Double,
    /// `numeric`.
    Numeric,
    /// What is received as text: character types, `json`, labels of enums.
    Text,
    /// `jsonb`.
    Jsonb,
    /// `bytea`.
    Bytes,
    /// `date`.
    Date,
    /// `time`.
    Time,
    /// `timestamp`.
    Timestamp,
    /// `timestamptz`, in a session whose time zone is UTC.
    TimestampTz,
    /// `interval`.
    Interval,
    /// `uuid`.
    Uuid,
    /// `bit` and `varbit`.
    Bits,
}

/// A text that is not of the form that staging has; the target may take it as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotBinary;

impl Encoder {
    /// The encoder for a type; `None` where there is none. A domain counts as its base type,
    /// which is also what the server tells.
    pub fn of(target: &Type) -> Option<Self> {
        if let Kind::Enum(_) = target.kind() {
            return Some(Self::Text);
        }
        // By oid: a name may be that of somebody's own type.
        Some(match *target {
            Type::BOOL => Self::Boolean,
            Type::INT2 => Self::SmallInt,
            Type::INT4 => Self::Integer,
            Type::INT8 => Self::BigInt,
            Type::FLOAT4 => Self::Real,
            Type::FLOAT8 => Self::Double,
            Type::NUMERIC => Self::Numeric,
            Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::JSON => Self::Text,
            Type::JSONB => Self::Jsonb,
            Type::BYTEA => Self::Bytes,
            Type::DATE => Self::Date,
            Type::TIME => Self::Time,
            Type::TIMESTAMP => Self::Timestamp,
            Type::TIMESTAMPTZ => Self::TimestampTz,
            Type::INTERVAL => Self::Interval,
            Type::UUID => Self::Uuid,
            Type::BIT | Type::VARBIT => Self::Bits,
            _ => return None,
        })
    }

    /// Appends a cell's length and value. `cell` is COPY text, escaped.
    ///
    /// # Errors
    /// When the text is not of staging's form. Part of a value may have been appended.
    pub fn write(self, cell: &[u8], out: &mut Vec<u8>) -> Result<(), NotBinary> {
        if cell == common::staging::codec::NULL {
            out.extend_from_slice(&NULL_LENGTH.to_be_bytes());
            return Ok(());
        }
        let written = match self {
            Self::Boolean => bytes::boolean(cell).map(|value| fixed(value, out)),
            Self::SmallInt => number::small_int(cell).map(|value| fixed(value, out)),
            Self::Integer => number::integer(cell).map(|value| fixed(value, out)),
            Self::BigInt => number::big_int(cell).map(|value| fixed(value, out)),
            Self::Real => number::real(cell).map(|value| fixed(value, out)),
            Self::Double => number::double(cell).map(|value| fixed(value, out)),
            Self::Date => temporal::date(cell).map(|value| fixed(value, out)),
            Self::Time => temporal::time(cell).map(|value| fixed(value, out)),
            Self::Timestamp => temporal::timestamp(cell).map(|value| fixed(value, out)),
            Self::TimestampTz => temporal::timestamp_tz(cell).map(|value| fixed(value, out)),
            Self::Interval => temporal::interval(cell).map(|value| fixed(value, out)),
            Self::Uuid => bytes::uuid(cell).map(|value| fixed(value, out)),
            Self::Text => measured(out, |out| bytes::text(cell, out)),
            Self::Jsonb => measured(out, |out| bytes::jsonb(cell, out)),
            Self::Bytes => measured(out, |out| bytes::bytes(cell, out)),
            Self::Bits => measured(out, |out| bytes::bits(cell, out)),
            Self::Numeric => measured(out, |out| number::numeric(cell, out)),
        };
        written.ok_or(NotBinary)
    }
}

/// Appends a value of few bytes with its length.
#[inline]
fn fixed<const N: usize>(value: [u8; N], out: &mut Vec<u8>) {
    // No type has as many as 2^31.
    let length = i32::try_from(N).unwrap_or(i32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&value);
}

/// Has `write` append a value, and puts its length in front.
#[inline]
fn measured(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Option<()>) -> Option<()> {
    let place = out.len();
    out.extend_from_slice(&[0; 4]);
    let start = out.len();
    write(out)?;
    let length = i32::try_from(out.len() - start).ok()?;
    out.get_mut(place..start)?
        .copy_from_slice(&length.to_be_bytes());
    Some(())
}

/// A number of decimal digits, as many as there are bytes.
#[inline]
fn digits(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0_u32, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number.checked_mul(10)?.checked_add(u32::from(digit))
    })
}

#[cfg(test)]
mod tests;
