//! `binlog_miner`: MySQL binlog to staging PostgreSQL.

use std::process::ExitCode;

use clap::Parser as _;
use common::logging;
use common::settings::{ProcessEnvironment, Settings, config_path};
use common::shutdown::Shutdown;
use log::error;
use miner::cli::{Cli, Command};
use miner::error::MinerError;
use miner::{check, pipeline};

fn main() -> ExitCode {
    let cli = Cli::parse();
    logging::init();
    match run(&cli) {
        Ok(code) => code,
        Err(error) => {
            error!("failed to mine: {}", common::error::chain(&error));
            error.class().exit_code()
        }
    }
}

fn run(cli: &Cli) -> Result<ExitCode, MinerError> {
    let environment = ProcessEnvironment::current();
    let path = config_path(cli.config.as_deref(), &environment);
    let settings = Settings::load(&path, &environment)?;
    let shutdown = Shutdown::on_signals().map_err(MinerError::Signals)?;
    match cli.command {
        Some(Command::Check) => Ok(check::run(&settings)),
        None => {
            let bound = pipeline::Bound::new(cli.once, cli.until.clone());
            pipeline::run(&settings, &bound, &shutdown).map(|()| ExitCode::SUCCESS)
        }
    }
}
