//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use common::position::BinlogPosition;

/// Applies the changes that binlog_miner has staged to the target PostgreSQL.
///
/// Runs until stopped: SIGTERM and SIGINT finish the open batch, SIGHUP has it read the table
/// list again. The log goes to stderr.
///
/// Exit codes: 0 clean; 1 failed, a restart may help; 2 usage or configuration; 3 a person must
/// act first, the message says how.
#[derive(Debug, Parser)]
#[command(name = "binlog_loader", version)]
pub struct Cli {
    /// Configuration file; else $MYSQL2GP_CONFIG, else my.cfg or my.cnf in the working directory
    #[arg(short, long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,

    /// Apply everything that is staged now, then exit
    #[arg(long, conflicts_with = "until")]
    pub once: bool,

    /// Exit once everything up to this binlog position is applied, or where another server's log begins
    #[arg(long, value_name = "FILE:POS")]
    pub until: Option<BinlogPosition>,

    /// What to do instead of applying
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do instead of applying.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check configuration, servers and tables; change nothing
    ///
    /// One line per check: ok, warn or FAIL with a remedy. Exits 0, or 1 (a server is away), 2
    /// (configuration) or 3 (a person must act).
    Check,
    /// Show what is staged and applied, from the views of the staging database
    Status {
        /// Print the views' rows as JSON, with what was applied in the last minute
        #[arg(long)]
        json: bool,
        /// Show it again every so many seconds, until stopped
        #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2",
              conflicts_with = "json", value_parser = clap::value_parser!(u64).range(1..))]
        watch: Option<u64>,
    },
    /// Forget the task on the target, to load afresh
    ///
    /// Removes its checkpoint, not its tables. The staging database must be dropped, too.
    Reset {
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Go on behind a statement whose change you have made on the target by hand
    Ack {
        /// Position that the loader has stopped at
        #[arg(value_name = "FILE:POS")]
        position: BinlogPosition,
    },
    /// Hold a table back while the others go on
    ///
    /// Its changes wait in staging, in order, until it is resumed; its position is kept on the
    /// target. Works beside a running loader, which takes it up between two batches, and
    /// without one.
    Pause {
        /// Source table: NAME (in db) or DB.NAME
        #[arg(value_name = "TABLE")]
        table: String,
        /// How long to wait for a running loader
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        timeout: u64,
    },
    /// Let a paused table catch up with the others, and go on with them
    ///
    /// Where that takes long, it and the others take turns.
    Resume {
        /// Source table: NAME (in db) or DB.NAME
        #[arg(value_name = "TABLE")]
        table: String,
        /// How long to wait for a running loader
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        timeout: u64,
    },
    /// List, retry or discard rows that the target refused
    ///
    /// A refused row is missing on the target until a later change of it is applied, or one of
    /// these commands settles it. They work beside a running loader.
    DeadLetters {
        /// What to do
        #[command(subcommand)]
        command: DeadLetters,
    },
}

/// What to do with rows that the target refused.
#[derive(Debug, Subcommand)]
pub enum DeadLetters {
    /// Show the rows that are refused, oldest first
    List {
        /// Print all columns of mysql2gp.dead_letters as JSON, the rows included
        #[arg(long)]
        json: bool,
    },
    /// Try again, once the target takes such rows
    ///
    /// A row that the target has by now is left alone. Exits 3 if a row is still refused.
    Retry {
        /// Numbers that list shows; all, if there are none
        #[arg(value_name = "ID")]
        ids: Vec<i64>,
    },
    /// Give rows up: they stay missing on the target until they change at the source
    Discard {
        /// Numbers that list shows
        #[arg(value_name = "ID", required = true)]
        ids: Vec<i64>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}
