//! Named places at which a test makes a program die, as a power cut would: one around every
//! COPY, commit and acknowledgement.
//!
//! A debug build dies at the n-th time that it comes by the place that `MYSQL2GP_CRASH_POINT`
//! names (`NAME` or `NAME:N`; with `NAME:N:panic` it panics instead). In a release build there is nothing: no variable is read, and
//! [`point`] is empty. Nothing is flushed, closed or rolled back.

#[cfg(debug_assertions)]
use std::sync::OnceLock;
#[cfg(debug_assertions)]
use std::sync::atomic::{AtomicU64, Ordering};

/// Names the place, and how often it is passed before: `miner-after-commit:3`.
pub const VARIABLE: &str = "MYSQL2GP_CRASH_POINT";

macro_rules! points {
    ($($(#[$doc:meta])* $point:ident = $name:literal,)*) => {
        /// A place at which a program can be made to die.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Point {
            $($(#[$doc])* $point,)*
        }

        impl Point {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$point,)*];

            /// As [`VARIABLE`] names it; the part before the first `-` is the program, or what
            /// `binlog_loader dead-letters` is to do.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)*
                }
            }
        }
    };
}

points! {
    /// The miner has the lock, and its epoch is not raised yet.
    MinerLocked = "miner-locked",
    /// The epoch is raised, nothing is read.
    MinerEpochRaised = "miner-epoch-raised",
    /// The staging transaction is open.
    MinerBegun = "miner-begun",
    /// Another server's log is begun, nothing of it is written.
    MinerTimeline = "miner-timeline",
    /// A definition is written, its rows are not.
    MinerDefinition = "miner-definition",
    /// A prepared transaction is parked.
    MinerParked = "miner-parked",
    /// A prepared transaction is no longer parked; its rows stand in its place.
    MinerUnparked = "miner-unparked",
    /// A segment is recorded, its partition is not there.
    MinerSegmentRecorded = "miner-segment-recorded",
    /// The partition is there.
    MinerSegmentMade = "miner-segment-made",
    /// Before the COPY of chunks.
    MinerBeforeCopy = "miner-before-copy",
    /// In its middle.
    MinerInCopy = "miner-in-copy",
    /// The chunks are copied, the position is not written.
    MinerAfterCopy = "miner-after-copy",
    /// A part of a source transaction is written.
    MinerOpenPart = "miner-open-part",
    /// Rows behind a savepoint are removed.
    MinerRewound = "miner-rewound",
    /// A source transaction that was rolled back is, its definitions are not written again.
    MinerAbandoned = "miner-abandoned",
    /// Before position and commit.
    MinerBeforeCommit = "miner-before-commit",
    /// Committed; nothing in memory knows.
    MinerAfterCommit = "miner-after-commit",

    /// The loader has the lock, and its epoch is not raised yet.
    LoaderLocked = "loader-locked",
    /// The epoch is raised, nothing is read.
    LoaderEpochRaised = "loader-epoch-raised",
    /// The target is ahead of staging, which is mined again.
    LoaderHealing = "loader-healing",
    /// Something is read from staging.
    LoaderFetched = "loader-fetched",
    /// The target transaction is open.
    LoaderBegun = "loader-begun",
    /// A table is truncated.
    LoaderTruncated = "loader-truncated",
    /// Keys are deleted, their rows are not copied in.
    LoaderDeleted = "loader-deleted",
    /// Rows have replaced those of their key.
    LoaderReplaced = "loader-replaced",
    /// Rows without a key are copied to the temporary table.
    LoaderKeylessCopied = "loader-keyless-copied",
    /// Rows without a key are deleted.
    LoaderKeylessDeleted = "loader-keyless-deleted",
    /// In the COPY of rows.
    LoaderInCopy = "loader-in-copy",
    /// Rows of a table are copied in.
    LoaderAfterCopy = "loader-after-copy",
    /// A round of a batch is written, more of it follows.
    LoaderOpenRound = "loader-open-round",
    /// Dead letters that the round settles are off the target, its rows are not written.
    LoaderLettersTaken = "loader-letters-taken",
    /// Refused rows are found and kept nowhere.
    LoaderLettersFound = "loader-letters-found",
    /// They are written in staging, not committed.
    LoaderLettersInStaging = "loader-letters-in-staging",
    /// They are committed in staging, and not on the target.
    LoaderLettersStaged = "loader-letters-staged",
    /// They are on the target too, not committed.
    LoaderLettersWritten = "loader-letters-written",
    /// A batch that made or settled some is committed; staging is not told.
    LoaderLettersCommitted = "loader-letters-committed",
    /// Staging is told what is settled.
    LoaderLettersResolved = "loader-letters-resolved",
    /// At a start, staging's are brought into line with the target's, not committed.
    LoaderLettersInSync = "loader-letters-in-sync",
    /// The same, committed.
    LoaderLettersSynced = "loader-letters-synced",
    /// All rows are written; checkpoint and commit are not.
    LoaderBeforeCommit = "loader-before-commit",
    /// Committed; nothing in memory knows.
    LoaderAfterCommit = "loader-after-commit",
    /// The position was moved over what is filtered out.
    LoaderAdvanced = "loader-advanced",
    /// A table's pause or its end is written, not committed.
    LoaderHolding = "loader-holding",
    /// The same, committed; who asked is not told.
    LoaderHeld = "loader-held",
    /// Of tables that catch up, a batch is committed.
    LoaderCatchingUp = "loader-catching-up",
    /// The last one of them is.
    LoaderCaughtUp = "loader-caught-up",
    /// Before the staging copy of the applied position.
    LoaderBeforeProgress = "loader-before-progress",
    /// The copy is written, not committed.
    LoaderInProgress = "loader-in-progress",
    /// The copy is committed.
    LoaderAfterProgress = "loader-after-progress",
    /// Before a segment is dropped.
    LoaderBeforeDrop = "loader-before-drop",
    /// It is dropped, not committed.
    LoaderInDrop = "loader-in-drop",
    /// It is gone.
    LoaderAfterDrop = "loader-after-drop",

    /// A dead letter that is tried again is off the target, its row is not written.
    RetryTaken = "retry-taken",
    /// The row is written, not committed.
    RetryWritten = "retry-written",
    /// It is committed; staging is not told.
    RetryCommitted = "retry-committed",
    /// Staging is told.
    RetryNoted = "retry-noted",
    /// A dead letter that is given up is off the target, not committed.
    DiscardTaken = "discard-taken",
    /// That is committed; staging is not told.
    DiscardCommitted = "discard-committed",
    /// Staging is told.
    DiscardNoted = "discard-noted",
}

/// Dies here, if a test asks for it.
#[cfg(debug_assertions)]
pub fn point(point: Point) {
    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);
    if let Some(armed) = ARMED.get_or_init(armed)
        && armed.name == point.name()
        && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == armed.pass
    {
        match armed.death {
            Death::Abort => std::process::abort(),
            #[expect(clippy::panic, reason = "what a test asks for")]
            Death::Panic => panic!("a test asked for it"),
        }
    }
}

/// Nothing, in a release build.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn point(_: Point) {}

#[cfg(debug_assertions)]
struct Armed {
    name: String,
    pass: u64,
    death: Death,
}

#[cfg(debug_assertions)]
enum Death {
    Abort,
    Panic,
}

#[cfg(debug_assertions)]
fn armed() -> Option<Armed> {
    let text = std::env::var_os(VARIABLE)?.into_string().ok()?;
    let mut parts = text.split(':');
    Some(Armed {
        name: parts.next()?.to_owned(),
        pass: parts.next().unwrap_or("1").parse().ok()?,
        death: match parts.next() {
            None => Death::Abort,
            Some(_) => Death::Panic,
        },
    })
}
