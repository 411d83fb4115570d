//! One row line into the round.

use common::staging::codec::RowMark;

use crate::layout::Layout;
use crate::round::{Conflict, First, Round};

/// Why a line cannot be merged.
pub(super) enum MergeError {
    /// The line's cells do not fit the definition.
    Cells,
    Conflict(Conflict),
}

impl From<Conflict> for MergeError {
    fn from(conflict: Conflict) -> Self {
        Self::Conflict(conflict)
    }
}

/// Merges one row line; the rules are in the documentation of `compact`.
pub(super) fn merge(
    round: &mut Round,
    place: usize,
    layout: &Layout,
    (mark, cells): (RowMark, &[u8]),
    scratch: &mut Vec<u8>,
) -> Result<(), MergeError> {
    let counts = round.table_mut(place).map(|table| &mut table.counts);
    if let Some(counts) = counts {
        match mark {
            RowMark::Insert => counts.inserts += 1,
            RowMark::Update | RowMark::UpdateKey | RowMark::UpdateFull => counts.updates += 1,
            RowMark::Delete | RowMark::DeleteFull => counts.deletes += 1,
        }
    }
    if layout.is_keyless() {
        return merge_keyless(round, place, layout, mark, cells);
    }
    let key_of = |row, scratch| Layout::key_of(layout, row, scratch).ok_or(MergeError::Cells);
    match mark {
        RowMark::Insert => {
            round.upsert(place, key_of(cells, scratch)?, cells, First::Insert)?;
        }
        RowMark::Update => {
            round.upsert(place, key_of(cells, scratch)?, cells, First::Other)?;
        }
        RowMark::Delete => round.delete(place, cells)?,
        RowMark::DeleteFull => round.delete(place, key_of(cells, scratch)?)?,
        RowMark::UpdateKey => {
            let (after, old_key) = layout.split_after(cells).ok_or(MergeError::Cells)?;
            update(round, place, (key_of(after, scratch)?, old_key), after)?;
        }
        RowMark::UpdateFull => {
            let (after, before) = layout.split_after(cells).ok_or(MergeError::Cells)?;
            let mut old_scratch = Vec::new();
            let old_key = key_of(before, &mut old_scratch)?;
            update(round, place, (key_of(after, scratch)?, old_key), after)?;
        }
    }
    Ok(())
}

fn update(
    round: &mut Round,
    place: usize,
    (key, old_key): (&[u8], &[u8]),
    after: &[u8],
) -> Result<(), Conflict> {
    if key == old_key {
        return round.upsert(place, key, after, First::Other);
    }
    round.delete(place, old_key)?;
    round.upsert(place, key, after, First::Insert)
}

fn merge_keyless(
    round: &mut Round,
    place: usize,
    layout: &Layout,
    mark: RowMark,
    cells: &[u8],
) -> Result<(), MergeError> {
    match mark {
        RowMark::Insert => round.add_row(place, cells)?,
        RowMark::DeleteFull => round.remove_row(place, cells)?,
        RowMark::UpdateFull => {
            let (after, before) = layout.split_after(cells).ok_or(MergeError::Cells)?;
            round.remove_row(place, before)?;
            round.add_row(place, after)?;
        }
        RowMark::Update | RowMark::UpdateKey | RowMark::Delete => return Err(MergeError::Cells),
    }
    Ok(())
}
