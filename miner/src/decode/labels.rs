//! ENUM and SET: numbers of the row image to labels of the definition.

use super::bytes::{little_endian, take};
use super::copy_text::{CopyText, NulBytePolicy};
use super::error::CellError;

/// Most labels of a SET: one bit each in 8 bytes.
pub(super) const MAX_SET_LABELS: usize = 64;

/// Most labels of an ENUM (MySQL manual, "The ENUM Type").
pub(super) const MAX_ENUM_LABELS: usize = 65_535;

/// Stands in a label for a character that the catalog cannot spell. No row is decoded
/// with such a label; `binlog_row_metadata=FULL` tells the real one.
pub(super) const UNSPELLED: char = char::REPLACEMENT_CHARACTER;

/// Storage bytes of an ENUM with that many labels.
pub(super) fn enum_bytes(labels: usize) -> u16 {
    if labels < 256 { 1 } else { 2 }
}

/// Storage bytes of a SET with that many labels.
pub(super) fn set_bytes(labels: usize) -> u16 {
    match labels {
        0..=8 => 1,
        9..=16 => 2,
        17..=24 => 3,
        25..=32 => 4,
        _ => 8,
    }
}

/// Labels, escaped for COPY once.
#[derive(Clone, Debug)]
pub(super) struct Labels {
    bytes: usize,
    escaped: Vec<Box<[u8]>>,
}

impl Labels {
    /// `bytes` is the storage size.
    pub(super) fn new(
        labels: &[String],
        bytes: u16,
        nul: NulBytePolicy,
    ) -> Result<Self, CellError> {
        let escaped = labels
            .iter()
            .map(|label| {
                if label.contains(UNSPELLED) {
                    return Err(CellError::UnspelledLabel);
                }
                let mut text = CopyText::default();
                text.push_utf8(label.as_bytes(), nul)?;
                Ok(text.bytes.into_boxed_slice())
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            bytes: bytes.into(),
            escaped,
        })
    }

    /// Appends the label of an ENUM index; 0 is the empty string (an invalid value was
    /// inserted at the source without strict mode).
    pub(super) fn push_enum(&self, input: &mut &[u8], out: &mut CopyText) -> Result<(), CellError> {
        let index = little_endian(take(input, self.bytes)?);
        let Some(position) = index.checked_sub(1) else {
            return Ok(());
        };
        let label = usize::try_from(position)
            .ok()
            .and_then(|position| self.escaped.get(position))
            .ok_or_else(|| self.no_label(index))?;
        out.push_plain(label);
        Ok(())
    }

    /// Appends the labels of a SET's bits, separated by commas, in definition order.
    pub(super) fn push_set(&self, input: &mut &[u8], out: &mut CopyText) -> Result<(), CellError> {
        let bits = little_endian(take(input, self.bytes)?);
        let mut left = bits;
        let mut separator: &[u8] = b"";
        for label in &self.escaped {
            if left == 0 {
                break;
            }
            if left & 1 == 1 {
                out.push_plain(separator);
                out.push_plain(label);
                separator = b",";
            }
            left >>= 1;
        }
        if left != 0 {
            return Err(self.no_label(64 - u64::from(bits.leading_zeros())));
        }
        Ok(())
    }

    fn no_label(&self, index: u64) -> CellError {
        CellError::NoLabel {
            index,
            labels: self.escaped.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(texts: &[&str], bytes: u16) -> Labels {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        Labels::new(&texts, bytes, NulBytePolicy::Error).unwrap()
    }

    type Push = fn(&Labels, &mut &[u8], &mut CopyText) -> Result<(), CellError>;

    fn text(labels: &Labels, mut bytes: &[u8], push: Push) -> Result<String, CellError> {
        let mut out = CopyText::default();
        push(labels, &mut bytes, &mut out)?;
        Ok(String::from_utf8(out.bytes).unwrap())
    }

    #[test]
    fn enum_index_zero_is_empty_and_unknown_ones_are_refused() {
        let sizes = labels(&["s", "tab\t", "ü"], 1);
        assert_eq!(text(&sizes, &[0], Labels::push_enum).as_deref(), Ok(""));
        assert_eq!(text(&sizes, &[1], Labels::push_enum).as_deref(), Ok("s"));
        assert_eq!(
            text(&sizes, &[2], Labels::push_enum).as_deref(),
            Ok("tab\\t")
        );
        assert_eq!(
            text(&sizes, &[4], Labels::push_enum),
            Err(CellError::NoLabel {
                index: 4,
                labels: 3
            })
        );
    }

    #[test]
    fn sets_list_their_labels_in_order() {
        let colours = labels(&["r", "g", "b"], 1);
        assert_eq!(text(&colours, &[0], Labels::push_set).as_deref(), Ok(""));
        assert_eq!(
            text(&colours, &[0b101], Labels::push_set).as_deref(),
            Ok("r,b")
        );
        assert_eq!(
            text(&colours, &[0b1000], Labels::push_set),
            Err(CellError::NoLabel {
                index: 4,
                labels: 3
            })
        );
        let names: Vec<String> = (0..64).map(|i| i.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let all = text(&labels(&names, 8), &[0xff; 8], Labels::push_set).unwrap();
        assert_eq!(all, names.join(","));
    }

    #[test]
    fn storage_sizes_follow_the_number_of_labels() {
        assert_eq!([255, 256].map(enum_bytes), [1, 2]);
        assert_eq!(
            [1, 8, 9, 16, 17, 24, 25, 32, 33, 64].map(set_bytes),
            [1, 1, 2, 2, 3, 3, 4, 4, 8, 8]
        );
    }
}
