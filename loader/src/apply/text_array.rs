//! A `text[]` parameter that is written straight from cells, without an allocation per key.

use std::error::Error;

use postgres::types::private::BytesMut;
use postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// Elements in the array's binary format. Source: PostgreSQL, arrayfuncs.c, array_recv.
#[derive(Debug, Default)]
pub(super) struct TextArray {
    count: i32,
    elements: Vec<u8>,
}

impl TextArray {
    /// Appends a cell of COPY text, unescaped.
    pub(super) fn push_cell(&mut self, cell: &[u8]) {
        let length_at = self.elements.len();
        self.elements.extend_from_slice(&[0; 4]);
        if memchr::memchr(b'\\', cell).is_none() {
            self.elements.extend_from_slice(cell);
        } else if let Some(text) = common::staging::codec::unescape(cell) {
            self.elements.extend_from_slice(&text);
        }
        let length = self.elements.len() - length_at - 4;
        // A key has 3072 bytes at most.
        let length = i32::try_from(length).unwrap_or_default();
        if let Some(place) = self.elements.get_mut(length_at..length_at + 4) {
            place.copy_from_slice(&length.to_be_bytes());
        }
        self.count += 1;
    }

    pub(super) fn clear(&mut self) {
        self.count = 0;
        self.elements.clear();
    }
}

impl ToSql for TextArray {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let dimensions: i32 = 1;
        let has_null: i32 = 0;
        let lower_bound: i32 = 1;
        out.extend_from_slice(&dimensions.to_be_bytes());
        out.extend_from_slice(&has_null.to_be_bytes());
        out.extend_from_slice(&Type::TEXT.oid().to_be_bytes());
        out.extend_from_slice(&self.count.to_be_bytes());
        out.extend_from_slice(&lower_bound.to_be_bytes());
        out.extend_from_slice(&self.elements);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TEXT_ARRAY
    }

    to_sql_checked!();
}
