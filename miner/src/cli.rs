//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use common::position::BinlogPosition;

/// Streams a MySQL or MariaDB binlog into a staging PostgreSQL database.
///
/// Reads row events, decodes them and stages whole source transactions with their binlog
/// position; binlog_loader applies them to the target. Runs until SIGTERM or SIGINT, which
/// finishes the open work; a second one aborts. SIGHUP has it read the table list again.
///
/// Exit codes: 0 clean; 1 failed, a restart may help; 2 usage or configuration; 3 an operator
/// must act, a restart will not help.
#[derive(Debug, Parser)]
#[command(name = "binlog_miner", version, max_term_width = 100)]
pub struct Cli {
    /// Configuration file [default: $MYSQL2GP_CONFIG, else my.cfg, else my.cnf]
    #[arg(short, long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,

    /// Stage everything the source has at start, then exit
    #[arg(long)]
    pub once: bool,

    /// Stop when everything before this binlog position is staged
    #[arg(long, value_name = "FILE:POS")]
    pub until: Option<BinlogPosition>,

    /// What to do instead of mining
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check configuration, connection, privileges, server settings and tables, a line each
    Check,
}
