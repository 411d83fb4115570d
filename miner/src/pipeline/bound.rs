//! `--once` and `--until`.

use common::position::BinlogPosition;

/// How far a run goes.
#[derive(Clone, Debug, Default)]
pub struct Bound {
    once: bool,
    position: Option<BinlogPosition>,
}

impl Bound {
    /// `--once` and `--until`.
    pub fn new(once: bool, until: Option<BinlogPosition>) -> Self {
        Self {
            once,
            position: until,
        }
    }

    /// For `--once`, fixes the end where the source's log ends now.
    pub(super) fn fix(&self, end: &BinlogPosition) -> Self {
        let position = match (&self.position, self.once) {
            (Some(until), true) => Some(until.min(end).clone()),
            (None, true) => Some(end.clone()),
            (until, false) => until.clone(),
        };
        Self {
            once: self.once,
            position,
        }
    }

    /// Whether everything before the bound is done at `position`.
    pub(super) fn reached(&self, position: &BinlogPosition) -> bool {
        self.position
            .as_ref()
            .is_some_and(|bound| position >= bound)
    }

    /// Whether the run ends by itself.
    pub(super) fn is_once(&self) -> bool {
        self.once
    }
}
