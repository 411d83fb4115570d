//! The kinds of servers that a target may be, and the SQL that each is spoken to in.
//!
//! Everything that differs between them is here, as functions of one enum that is matched
//! exhaustively; the other modules ask for text. What a server has is what its version has:
//! Greenplum 6 is PostgreSQL 9.4 inside, 7 is 12, Cloudberry 14, openGauss 9.2.
//!
//! This module sends nothing.

use common::pg::quote_identifier;

use super::placement::{Distribution, Placement};

/// What a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL 12 or later.
    PostgreSql,
    /// Greenplum 6.
    Greenplum6,
    /// Greenplum 7.
    Greenplum7,
    /// Cloudberry.
    Cloudberry,
    /// openGauss 3 or later, with what the database's compatibility mode makes of values.
    OpenGauss(Compatibility),
}

/// What an openGauss database makes of values; asked of the server, as modes differ by version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compatibility {
    /// The empty string.
    pub empty_text: EmptyText,
    /// The n of `varchar(n)`.
    pub lengths: Lengths,
    /// The type called `date`.
    pub dates: Dates,
}

/// What becomes of the empty string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptyText {
    /// It stays.
    Kept,
    /// It is NULL.
    Null,
}

/// What the lengths of character types count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lengths {
    /// Characters.
    Characters,
    /// Bytes of UTF-8.
    Bytes,
}

/// What a column that is declared as `date` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dates {
    /// `date`.
    Date,
    /// `timestamp(0)`.
    Timestamp,
}

/// How rows are looked for by many keys at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeysBy {
    /// Arrays as parameters.
    Arrays,
    /// A temporary table.
    Table,
}

/// Whether INSERT ... ON CONFLICT can replace rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replacing {
    /// It can.
    Always,
    /// Where no row of the table is deleted in the batch, and without setting columns that
    /// distribute the rows.
    AmongNoDeletes,
    /// The server has no such statement.
    Never,
}

/// How the new checkpoint is made sure of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// In one message: where no row was updated, a statement fails, and with it the commit.
    Guarded,
    /// The count of updated rows is looked at before the commit is sent.
    Counted,
}

/// Plans that are known: keys are found by index whatever the statistics say.
const PLANS: &[&str] = &[
    "set enable_seqscan = off",
    "set enable_hashjoin = off",
    "set enable_mergejoin = off",
];

/// The defaults make a delete of few keys read the whole table. Digits of floats are compared on
/// the segments, which only SET reaches. With `gp_autostats_mode = on_no_stats`, the default, each
/// CREATE TABLE AS, and each COPY into a table without statistics, analyzes its table, within the
/// batch; every user may set it. Source: gpdb, autostats.c and guc_gp.c.
const GREENPLUM: &[&str] = &[
    "set optimizer = off",
    "set enable_nestloop = on",
    "set random_page_cost = 1.1",
    "set extra_float_digits = 3",
    "set gp_autostats_mode = none",
    "set lock_timeout = 0",
];

impl Dialect {
    /// Whether the rows lie on segments.
    pub fn is_distributed(self) -> bool {
        match self {
            Self::Greenplum6 | Self::Greenplum7 | Self::Cloudberry => true,
            Self::PostgreSql | Self::OpenGauss(_) => false,
        }
    }

    /// What the loader's session sets, besides what every session does. Statements are few and
    /// known; plans are made once. The rows of a batch fit the temporary buffers.
    pub fn session(self) -> Vec<&'static str> {
        let own: &[&str] = match self {
            Self::PostgreSql => &[
                "set plan_cache_mode = force_generic_plan",
                "set lock_timeout = 0",
                "set temp_buffers = '32MB'",
            ],
            Self::Greenplum6 | Self::Greenplum7 | Self::Cloudberry => GREENPLUM,
            // An idle session would be ended after ten minutes, and texts that are too long cut
            // where somebody has set so. Before a first temporary table there is no pg_temp to
            // look for one in.
            Self::OpenGauss(_) => &[
                "set enable_nestloop = on",
                "set extra_float_digits = 3",
                "set temp_buffers = '32MB'",
                "select set_config(name, '0', false) from pg_settings where name = 'session_timeout' and context = 'user'",
                "select set_config(name, 'off', false) from pg_settings where name = 'td_compatible_truncation' and context = 'user'",
                "create temporary table if not exists mysql2gp_session (unused integer)",
            ],
        };
        // The loader's tables are heap, whatever the database's default is: append-optimized
        // ones have no primary key on 6, and are not for rows that change with each commit.
        let storage: &[&str] = match self {
            Self::Greenplum6 => &["set gp_default_storage_options = 'appendonly=false'"],
            Self::Greenplum7 | Self::Cloudberry => &["set default_table_access_method = heap"],
            Self::PostgreSql | Self::OpenGauss(_) => &[],
        };
        PLANS.iter().chain(own).chain(storage).copied().collect()
    }

    /// Bounds how long the open transaction waits for a lock, where a user may.
    pub fn wait_for_locks(self, milliseconds: u32) -> String {
        match self {
            Self::PostgreSql | Self::Greenplum6 | Self::Greenplum7 | Self::Cloudberry => {
                format!("set local lock_timeout = '{milliseconds}ms'")
            }
            // lockwait_timeout is the administrator's.
            Self::OpenGauss(_) => String::new(),
        }
    }

    /// The statements that make the loader's tables, from those for PostgreSQL. Each task's rows
    /// lie on one segment.
    pub fn create_tables(self, statements: &str) -> String {
        match self {
            Self::PostgreSql | Self::OpenGauss(_) => statements.into(),
            Self::Greenplum6 | Self::Greenplum7 | Self::Cloudberry => {
                statements.replace("\n);", "\n) distributed by (task);")
            }
        }
    }

    /// Has deferred constraints checked now, where there are any.
    pub fn check_deferred(self) -> &'static str {
        match self {
            Self::PostgreSql | Self::OpenGauss(_) => "set constraints all immediate",
            // There foreign keys are not enforced, nor can unique ones be deferred.
            Self::Greenplum6 | Self::Greenplum7 | Self::Cloudberry => "",
        }
    }

    /// How the checkpoint is made sure of at a commit.
    pub fn commit(self) -> Commit {
        match self {
            // On Greenplum the update may lock the table against other tasks: it has to commit
            // in the same message, or a program that freezes between would stop them.
            Self::PostgreSql | Self::Greenplum6 | Self::Greenplum7 | Self::Cloudberry => {
                Commit::Guarded
            }
            // A division by zero is no error in every mode.
            Self::OpenGauss(_) => Commit::Counted,
        }
    }

    /// Statements of which one fails unless `update` has changed the row that `written` finds
    /// from then on.
    pub fn guarded(self, update: &str, written: &str) -> String {
        match self {
            Self::PostgreSql | Self::OpenGauss(_) => {
                format!("with moved as ({update} returning 1) select 1 / count(*) from moved")
            }
            Self::Greenplum6 | Self::Greenplum7 | Self::Cloudberry => {
                format!("{update}; select 1 / count(*) from mysql2gp.checkpoint where {written}")
            }
        }
    }

    /// What to do about triggers and foreign keys that deletes and inserts would set off.
    pub fn remedy_for_hazards(self) -> &'static str {
        match self {
            Self::PostgreSql => {
                "the loader's user may not set session_replication_role; grant it (superuser, or on PostgreSQL 15 and \
                 later: grant set on parameter session_replication_role to it), or drop or disable them"
            }
            Self::OpenGauss(_) => {
                "the loader's user may not set session_replication_role; use an administrator (sysadmin), or drop or \
                 disable them"
            }
            Self::Greenplum6 | Self::Greenplum7 | Self::Cloudberry => "drop or disable them",
        }
    }

    /// Takes dead versions of rows that commits update away, where nobody else does; each
    /// statement is sent on its own.
    pub fn tidy_checkpoint(self) -> &'static [&'static str] {
        match self {
            Self::Greenplum6 | Self::Greenplum7 | Self::Cloudberry => &[
                "vacuum mysql2gp.checkpoint",
                "vacuum mysql2gp.checkpoint_tables",
            ],
            // Autovacuum.
            Self::PostgreSql | Self::OpenGauss(_) => &[],
        }
    }

    /// Whether tables are locked against other writers in one order.
    pub fn locks_tables(self) -> bool {
        self.is_distributed()
    }

    /// Whether rows can be copied in the binary format.
    pub fn copies_binary(self) -> bool {
        match self {
            Self::PostgreSql => true,
            // Of a line the coordinator reads no field behind those that distribute it, and
            // forwards the rest; of a binary row it reads every field. Source: gpdb, copy.c,
            // InitCopyFromDispatchSplit.
            Self::Greenplum6 | Self::Greenplum7 | Self::Cloudberry => false,
            // Its types' binary formats are not known to be PostgreSQL's in every mode.
            Self::OpenGauss(_) => false,
        }
    }

    /// How rows are looked for by many keys at once.
    pub fn keys_by(self) -> KeysBy {
        match self {
            Self::PostgreSql => KeysBy::Arrays,
            Self::Greenplum6 | Self::Greenplum7 | Self::Cloudberry | Self::OpenGauss(_) => {
                KeysBy::Table
            }
        }
    }

    /// Whether INSERT ... ON CONFLICT can replace rows.
    pub fn replacing(self) -> Replacing {
        match self {
            Self::PostgreSql => Replacing::Always,
            Self::Greenplum7 | Self::Cloudberry => Replacing::AmongNoDeletes,
            Self::Greenplum6 | Self::OpenGauss(_) => Replacing::Never,
        }
    }

    /// Whether `real` is read by way of `double precision`, so that a shortest text may become
    /// its neighbour.
    pub fn misreads_real(self) -> bool {
        match self {
            Self::Greenplum6 | Self::OpenGauss(_) => true,
            Self::PostgreSql | Self::Greenplum7 | Self::Cloudberry => false,
        }
    }

    /// What becomes of the empty string.
    pub fn empty_text(self) -> EmptyText {
        match self {
            Self::OpenGauss(compatibility) => compatibility.empty_text,
            Self::PostgreSql | Self::Greenplum6 | Self::Greenplum7 | Self::Cloudberry => {
                EmptyText::Kept
            }
        }
    }

    /// A text that is not NULL there: a blank for the empty one, where that is needed.
    pub fn kept_text(self, text: Option<&str>) -> Option<&str> {
        match self.empty_text() {
            EmptyText::Kept => text,
            EmptyText::Null => text.map(|text| if text.is_empty() { " " } else { text }),
        }
    }

    /// What the lengths of character types count.
    pub fn lengths(self) -> Lengths {
        match self {
            Self::OpenGauss(compatibility) => compatibility.lengths,
            Self::PostgreSql | Self::Greenplum6 | Self::Greenplum7 | Self::Cloudberry => {
                Lengths::Characters
            }
        }
    }

    /// What a column that is declared as `date` is.
    pub fn dates(self) -> Dates {
        match self {
            Self::OpenGauss(compatibility) => compatibility.dates,
            Self::PostgreSql | Self::Greenplum6 | Self::Greenplum7 | Self::Cloudberry => {
                Dates::Date
            }
        }
    }

    /// Whether `tinyint` is a type, from 0 to 255.
    pub fn has_unsigned_tinyint(self) -> bool {
        match self {
            Self::OpenGauss(_) => true,
            Self::PostgreSql | Self::Greenplum6 | Self::Greenplum7 | Self::Cloudberry => false,
        }
    }

    /// Makes a temporary table anew, of what `select` would find, empty. The session, and the
    /// table in it, may outlive an outage of staging.
    pub fn temporary_table(self, name: &str, select: &str, spread: Spread<'_>) -> String {
        let distributed = match self {
            Self::PostgreSql | Self::OpenGauss(_) => String::new(),
            Self::Greenplum6 | Self::Greenplum7 | Self::Cloudberry => spread.clause(),
        };
        format!(
            "drop table if exists pg_temp.{name}; \
             create temporary table {name} on commit delete rows as {select} where false{distributed}"
        )
    }

    /// What leaves nothing of an earlier batch in a temporary table: keys or rows that were left
    /// there would undo what came since. PostgreSQL empties it at the commit; that segments and
    /// openGauss do so too is documented, but costs next to nothing to be made sure of.
    pub fn make_sure_empty(self, name: &str) -> Option<String> {
        match self {
            Self::PostgreSql => None,
            Self::Greenplum6 | Self::Greenplum7 | Self::Cloudberry | Self::OpenGauss(_) => {
                Some(format!("delete from pg_temp.{name}"))
            }
        }
    }

    /// What tells apart rows of different places that have the same `ctid`; `place` names their
    /// columns in the same order.
    pub fn place_columns(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::PostgreSql | Self::OpenGauss(_) => &[("ctid", "place"), ("tableoid", "part")],
            Self::Greenplum6 | Self::Greenplum7 | Self::Cloudberry => &[
                ("ctid", "place"),
                ("tableoid", "part"),
                ("gp_segment_id", "segment"),
            ],
        }
    }

    /// Deletes from `target` as many rows as `temporary` asks for of those that are equal; the
    /// conditions compare `e` and `t` with `d`.
    pub fn delete_equal_rows(self, target: &str, temporary: &str, equal: &EqualRows) -> String {
        let columns = self.place_columns();
        let list = |item: &dyn Fn(&(&str, &str)) -> String, separator: &str| {
            columns.iter().map(item).collect::<Vec<_>>().join(separator)
        };
        let found = list(&|(column, name)| format!("e.{column} as {name}"), ", ");
        let names = list(&|(_, name)| format!("f.{name}"), ", ");
        let same = list(&|(column, name)| format!("t.{column} = v.{name}"), " and ");
        let EqualRows {
            of_found,
            of_deleted,
        } = equal;
        match self {
            Self::PostgreSql => format!(
                "delete from {target} t using ( \
                   select {names} \
                     from (select {found}, d.copies, \
                                  row_number() over (partition by d.row_id) as n \
                             from {temporary} d join {target} e on {of_found}) f \
                    where f.n <= f.copies) v \
                  where {same}"
            ),
            // Neither hashes nor looks up by ctid: the values find the rows once more. Where
            // partitions share ctids, only an equal row can be taken for the one that is meant.
            Self::Greenplum6 | Self::Greenplum7 | Self::Cloudberry | Self::OpenGauss(_) => format!(
                "delete from {target} t using {temporary} d, ( \
                   select f.row_id, {names} \
                     from (select {found}, d.row_id, d.copies, \
                                  row_number() over (partition by d.row_id) as n \
                             from {temporary} d join {target} e on {of_found}) f \
                    where f.n <= f.copies) v \
                  where d.row_id = v.row_id and {of_deleted} and {same}"
            ),
        }
    }

    /// Whether a plan may look equal rows up one by one: PostgreSQL does so by their ctid, the
    /// others where an index can.
    pub fn nests_equal_rows(self, has_index: bool) -> bool {
        match self {
            Self::PostgreSql => true,
            Self::Greenplum6 | Self::Greenplum7 | Self::Cloudberry => has_index,
            Self::OpenGauss(_) => false,
        }
    }

    /// Whether a temporary table may be analyzed within a transaction.
    pub fn analyzes_in_transactions(self) -> bool {
        match self {
            Self::PostgreSql | Self::Greenplum6 | Self::Greenplum7 | Self::Cloudberry => true,
            Self::OpenGauss(_) => false,
        }
    }
}

/// Conditions under which a row of the target equals one that is to be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EqualRows {
    /// Of the rows that are numbered, `e`.
    pub of_found: String,
    /// Of the rows that go, `t`.
    pub of_deleted: String,
}

/// How a temporary table lies on the segments.
#[derive(Clone, Copy, Debug)]
pub enum Spread<'a> {
    /// As the target table, where the temporary one has the columns: then no row has to move.
    As(Option<&'a Placement>, &'a [&'a str]),
    /// By this column, where the target's own distribution is known.
    By(Option<&'a Placement>, &'a str),
}

impl Spread<'_> {
    fn clause(self) -> String {
        let (Self::As(placement, _) | Self::By(placement, _)) = self;
        let distribution = placement.and_then(|placement| placement.distribution.as_ref());
        match (self, distribution) {
            (_, None) => String::new(),
            (Self::By(_, column), Some(_)) => {
                format!(" distributed by ({})", quote_identifier(column))
            }
            (Self::As(..), Some(Distribution::Replicated)) => " distributed replicated".into(),
            (
                Self::As(_, columns),
                Some(Distribution::By {
                    clause,
                    columns: by,
                }),
            ) if by.iter().all(|column| columns.contains(&column.as_str())) => {
                format!(" {clause}")
            }
            (Self::As(..), Some(Distribution::By { .. } | Distribution::Randomly)) => {
                " distributed randomly".into()
            }
        }
    }
}
