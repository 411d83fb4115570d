//! A dump that cannot begin where it should: what ends before the start is left out.
//!
//! Offsets in COM_BINLOG_DUMP have 32 bits; a start behind 4 GiB is reached from the
//! beginning of its file. Pure.

use common::position::BinlogPosition;

/// Event type codes that move the position by their content, or are wanted wherever they stand.
pub(super) const ROTATE: u8 = 4;
const FORMAT_DESCRIPTION: u8 = 15;
pub(super) const HEARTBEATS: [u8; 2] = [27, 41];

/// The dump began before the position that was asked for: what ends before it is left out.
pub(super) struct Behind {
    pub(super) start: BinlogPosition,
}

/// What becomes of an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Passing {
    /// Goes on with this position.
    Deliver(BinlogPosition),
    /// Is left out.
    LeaveOut,
}

impl Behind {
    /// A dump that begins at `dumped` in place of `start`; `None` when that is the same.
    pub(super) fn new(start: BinlogPosition, dumped: u64) -> Option<Self> {
        (dumped < start.offset).then_some(Self { start })
    }

    /// Judges an event that ends at `end`. Positions never go back behind the start: what
    /// comes before it is staged.
    pub(super) fn pass(&self, event_type: u8, end: &BinlogPosition) -> Passing {
        if *end > self.start {
            Passing::Deliver(end.clone())
        } else if event_type == ROTATE
            || event_type == FORMAT_DESCRIPTION
            || HEARTBEATS.contains(&event_type)
        {
            Passing::Deliver(self.start.clone())
        } else {
            Passing::LeaveOut
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_that_begins_before_the_start_leaves_out_what_is_staged() {
        let at = |text: &str| text.parse::<BinlogPosition>().unwrap();
        let start = at("b.000007:5000000000");
        assert!(Behind::new(at("b.000007:120"), 120).is_none());
        let behind = Behind::new(start.clone(), 4).unwrap();
        let (query, rows) = (2, 30);
        for (event_type, end, passing) in [
            (ROTATE, "b.000007:4", Passing::Deliver(start.clone())),
            (
                FORMAT_DESCRIPTION,
                "b.000007:126",
                Passing::Deliver(start.clone()),
            ),
            (35, "b.000007:157", Passing::LeaveOut),
            (27, "b.000007:157", Passing::Deliver(start.clone())),
            (rows, "b.000007:4294967400", Passing::LeaveOut),
            (query, "b.000007:5000000000", Passing::LeaveOut),
            (
                query,
                "b.000007:5000000001",
                Passing::Deliver(at("b.000007:5000000001")),
            ),
            (ROTATE, "b.000008:4", Passing::Deliver(at("b.000008:4"))),
        ] {
            assert_eq!(
                behind.pass(event_type, &at(end)),
                passing,
                "{event_type} {end}"
            );
        }
    }
}
