//! Where the key is in a staged row of a table, and how keys order.
//!
//! A layout is a table definition prepared for the merge: a key is cut out of a row's text
//! without unpacking the other cells and, where it stands together, without copying.

use std::cmp::Ordering;
use std::sync::Arc;

use common::table::{ColumnType, DefinitionId, Sign, TableDefinition};

/// A table definition prepared for the merge.
#[derive(Debug)]
pub struct Layout {
    /// The definition's number.
    pub id: DefinitionId,
    /// The definition.
    pub definition: TableDefinition,
    /// Number of the source table, the same for all versions of its definition.
    pub table_number: usize,
    key: KeyShape,
    key_order: Vec<CellOrder>,
}

/// Where the key columns stand in a row.
#[derive(Debug, PartialEq, Eq)]
enum KeyShape {
    /// The row's first cells, in key order.
    Leading(usize),
    /// One cell.
    Single(usize),
    /// Several cells, in key order.
    Scattered(Vec<usize>),
    /// There is no key.
    Keyless,
}

/// How a key cell orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CellOrder {
    Signed,
    Unsigned,
    Bytes,
}

impl Layout {
    /// Prepares a definition.
    pub fn new(id: DefinitionId, definition: TableDefinition, table_number: usize) -> Arc<Self> {
        let columns = definition.key_columns();
        let key = match columns {
            [] => KeyShape::Keyless,
            columns if columns.iter().copied().eq(0..columns.len()) => {
                KeyShape::Leading(columns.len())
            }
            [column] => KeyShape::Single(*column),
            columns => KeyShape::Scattered(columns.to_vec()),
        };
        let key_order = columns
            .iter()
            .map(|&column| {
                match definition
                    .columns
                    .get(column)
                    .map(|column| &column.column_type)
                {
                    Some(ColumnType::Integer {
                        sign: Sign::Signed, ..
                    }) => CellOrder::Signed,
                    Some(ColumnType::Integer {
                        sign: Sign::Unsigned,
                        ..
                    }) => CellOrder::Unsigned,
                    _ => CellOrder::Bytes,
                }
            })
            .collect();
        Arc::new(Self {
            id,
            definition,
            table_number,
            key,
            key_order,
        })
    }

    /// Whether rows have no identity.
    pub fn is_keyless(&self) -> bool {
        self.key == KeyShape::Keyless
    }

    /// The key cells of a row, tabs between them; `scratch` is used where they do not stand
    /// together. `None` when the row has too few cells.
    pub fn key_of<'a>(&self, row: &'a [u8], scratch: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        match &self.key {
            KeyShape::Leading(count) => Some(split_cells(row, *count)?.0),
            KeyShape::Single(column) => {
                let rest = skip_cells(row, *column)?;
                Some(split_cells(rest, 1)?.0)
            }
            KeyShape::Scattered(columns) => {
                scratch.clear();
                for (number, column) in columns.iter().enumerate() {
                    if number > 0 {
                        scratch.push(b'\t');
                    }
                    let rest = skip_cells(row, *column)?;
                    scratch.extend_from_slice(split_cells(rest, 1)?.0);
                }
                Some(scratch)
            }
            KeyShape::Keyless => None,
        }
    }

    /// The after image and what follows it (an old key or a before image).
    pub fn split_after<'a>(&self, cells: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let (after, rest) = split_cells(cells, self.definition.columns.len())?;
        Some((after, rest?))
    }

    /// A number that orders keys as [`Layout::compare_keys`] does, save for ties.
    pub fn key_prefix(&self, key: &[u8]) -> u64 {
        let first = split_cells(key, 1).map_or(key, |(first, _)| first);
        match self.key_order.first() {
            Some(order) => order.prefix(first),
            None => 0,
        }
    }

    /// Key order: integers by number, everything else by bytes.
    pub fn compare_keys(&self, a: &[u8], b: &[u8]) -> Ordering {
        let cells = |key| <[u8]>::split(key, |&byte| byte == b'\t');
        self.key_order
            .iter()
            .zip(cells(a).zip(cells(b)))
            .map(|(order, (a, b))| match order {
                CellOrder::Bytes => a.cmp(b),
                CellOrder::Signed | CellOrder::Unsigned => order.prefix(a).cmp(&order.prefix(b)),
            })
            .find(|ordering| ordering.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

impl CellOrder {
    fn prefix(self, cell: &[u8]) -> u64 {
        match self {
            Self::Bytes => {
                let mut bytes = [0; 8];
                for (to, from) in bytes.iter_mut().zip(cell) {
                    *to = *from;
                }
                u64::from_be_bytes(bytes)
            }
            Self::Unsigned => digits(cell),
            Self::Signed => match cell.split_first() {
                Some((b'-', rest)) => (1_u64 << 63).wrapping_sub(digits(rest)),
                _ => digits(cell).wrapping_add(1 << 63),
            },
        }
    }
}

/// The number that the leading digits make; wraps, as it only orders.
fn digits(cell: &[u8]) -> u64 {
    cell.iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0, |number: u64, byte| {
            number.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'))
        })
}

/// The first `count` cells, and the rest after their tab; no rest when the text ends there.
fn split_cells(cells: &[u8], count: usize) -> Option<(&[u8], Option<&[u8]>)> {
    let mut tabs = memchr::memchr_iter(b'\t', cells);
    for _ in 1..count {
        tabs.next()?;
    }
    match tabs.next() {
        Some(tab) => {
            let (first, rest) = cells.split_at_checked(tab)?;
            Some((first, rest.get(1..)))
        }
        None => Some((cells, None)),
    }
}

fn skip_cells(cells: &[u8], count: usize) -> Option<&[u8]> {
    if count == 0 {
        return Some(cells);
    }
    split_cells(cells, count)?.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::table::{Column, IntegerWidth, Key, TableName};

    fn layout(key: Key) -> Arc<Layout> {
        let column = |name: &str, column_type| Column {
            name: name.into(),
            column_type,
            nullable: false,
            generated: false,
            unlogged: false,
        };
        let text = || ColumnType::Text {
            charset: "utf8mb4".into(),
        };
        let definition = TableDefinition {
            name: TableName::new("d", "t"),
            columns: vec![
                column(
                    "a",
                    ColumnType::Integer {
                        width: IntegerWidth::Int,
                        sign: Sign::Signed,
                    },
                ),
                column("b", text()),
                column("c", text()),
            ],
            key,
        };
        Layout::new(DefinitionId(1), definition, 0)
    }

    #[test]
    fn a_key_is_cut_out_wherever_it_stands() {
        let row = b"1\tx\ty";
        for (columns, expected) in [
            (vec![0], &b"1"[..]),
            (vec![0, 1], b"1\tx"),
            (vec![0, 1, 2], b"1\tx\ty"),
            (vec![1], b"x"),
            (vec![2], b"y"),
            (vec![2, 0], b"y\t1"),
            (vec![1, 2], b"x\ty"),
        ] {
            let mut scratch = Vec::new();
            let layout = layout(Key::Primary(columns.clone()));
            assert_eq!(
                layout.key_of(row, &mut scratch),
                Some(expected),
                "{columns:?}"
            );
        }
    }

    #[test]
    fn a_row_with_too_few_cells_has_no_key() {
        let mut scratch = Vec::new();
        for columns in [vec![2], vec![0, 1, 2], vec![2, 0]] {
            let layout = layout(Key::Primary(columns));
            assert_eq!(layout.key_of(b"1\tx", &mut scratch), None);
        }
    }

    #[test]
    fn what_follows_the_after_image_is_found() {
        let layout = layout(Key::Primary(vec![0]));
        assert_eq!(
            layout.split_after(b"2\tx\t\t1"),
            Some((&b"2\tx\t"[..], &b"1"[..]))
        );
        assert_eq!(layout.split_after(b"2\tx\ty"), None);
    }

    #[test]
    fn integer_keys_order_by_number_and_others_by_bytes() {
        let layout = layout(Key::Primary(vec![0, 1]));
        let mut keys: Vec<&[u8]> = vec![
            b"10\ta",
            b"9\tb",
            b"-2\ta",
            b"-10\ta",
            b"9\tB",
            b"9223372036854775807\ta",
            b"-9223372036854775808\ta",
        ];
        keys.sort_by(|a, b| {
            let by_prefix = layout.key_prefix(a).cmp(&layout.key_prefix(b));
            let full = layout.compare_keys(a, b);
            assert!(by_prefix == full || by_prefix.is_eq());
            full
        });
        assert_eq!(
            keys,
            [
                &b"-9223372036854775808\ta"[..],
                b"-10\ta",
                b"-2\ta",
                b"9\tB",
                b"9\tb",
                b"10\ta",
                b"9223372036854775807\ta",
            ]
        );
    }
}
