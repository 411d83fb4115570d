//! The double-byte charsets whose tables no library has as MySQL has them.
//!
//! The `.bin` files hold one big-endian u16 per pair of lead and trail byte, 0 for a pair
//! without character. They are made from `CONVERT(... USING utf8mb4)` on MySQL 9.7;
//! MySQL 5.7 and MariaDB 10.11 give the same. Pairs that MySQL shows as `?` or U+FFFD
//! have no character here, so that they are refused and not changed.

use std::ops::RangeInclusive;

use super::super::error::CellError;
use super::Sink;

/// A charset of ASCII and pairs.
#[derive(Debug)]
pub(super) struct DoubleByte {
    leads: RangeInclusive<u8>,
    trails: RangeInclusive<u8>,
    /// The pairs, then for EUC those that follow [`SINGLE_SHIFT_3`].
    table: &'static [u8],
    form: Form,
}

/// What other lead bytes a charset has.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// None.
    Pairs,
    /// Japanese EUC: half-width katakana and a second plane.
    Euc,
}

/// Half-width katakana follow.
const SINGLE_SHIFT_2: u8 = 0x8e;
/// A pair of the second plane follows.
const SINGLE_SHIFT_3: u8 = 0x8f;

pub(super) static GBK: DoubleByte = DoubleByte {
    leads: 0x81..=0xfe,
    trails: 0x40..=0xfe,
    table: include_bytes!("gbk.bin"),
    form: Form::Pairs,
};

pub(super) static GB2312: DoubleByte = DoubleByte {
    leads: 0xa1..=0xf7,
    trails: 0xa1..=0xfe,
    table: include_bytes!("gb2312.bin"),
    form: Form::Pairs,
};

pub(super) static BIG5: DoubleByte = DoubleByte {
    leads: 0xa1..=0xf9,
    trails: 0x40..=0xfe,
    table: include_bytes!("big5.bin"),
    form: Form::Pairs,
};

pub(super) static UJIS: DoubleByte = DoubleByte {
    leads: 0xa1..=0xfe,
    trails: 0xa1..=0xfe,
    table: include_bytes!("ujis.bin"),
    form: Form::Euc,
};

pub(super) static EUCJPMS: DoubleByte = DoubleByte {
    leads: 0xa1..=0xfe,
    trails: 0xa1..=0xfe,
    table: include_bytes!("eucjpms.bin"),
    form: Form::Euc,
};

impl DoubleByte {
    /// Passes on all characters; `malformed` if there is a byte that is none.
    pub(super) fn transcode(
        &self,
        text: &[u8],
        sink: &mut impl Sink,
        malformed: CellError,
    ) -> Result<(), CellError> {
        let mut rest = text;
        while !rest.is_empty() {
            let (c, tail) = self.next(rest).ok_or(malformed)?;
            sink.char(c)?;
            rest = tail;
        }
        Ok(())
    }

    /// The first character and what follows it.
    fn next<'a>(&self, text: &'a [u8]) -> Option<(char, &'a [u8])> {
        match (text, self.form) {
            ([ascii @ ..0x80, rest @ ..], _) => Some((char::from(*ascii), rest)),
            ([SINGLE_SHIFT_2, kana, rest @ ..], Form::Euc) => {
                half_width_katakana(*kana).map(|c| (c, rest))
            }
            ([SINGLE_SHIFT_3, lead, trail, rest @ ..], Form::Euc) => {
                let first_plane = self.leads.len() * self.trails.len();
                self.pair(first_plane, *lead, *trail).map(|c| (c, rest))
            }
            ([lead, trail, rest @ ..], _) => self.pair(0, *lead, *trail).map(|c| (c, rest)),
            ([_] | [], _) => None,
        }
    }

    fn pair(&self, plane: usize, lead: u8, trail: u8) -> Option<char> {
        if !self.leads.contains(&lead) || !self.trails.contains(&trail) {
            return None;
        }
        let row = usize::from(lead - self.leads.start());
        let column = usize::from(trail - self.trails.start());
        let index = plane + row * self.trails.len() + column;
        let unit = self.table.as_chunks::<2>().0.get(index)?;
        match u16::from_be_bytes(*unit) {
            0 => None,
            unit => char::from_u32(unit.into()),
        }
    }
}

/// Bytes 0xa1 to 0xdf of JIS X 0201.
pub(super) fn half_width_katakana(byte: u8) -> Option<char> {
    (0xa1..=0xdf)
        .contains(&byte)
        .then(|| char::from_u32(0xff61 + u32::from(byte - 0xa1)))
        .flatten()
}
