//! `binlog_miner`: MySQL binlog to staging PostgreSQL.

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::Parser as _;
use common::error::{chain, exit_code_of};
use common::logging;
use common::reload::Reload;
use common::settings::{ProcessEnvironment, Settings, config_path};
use common::shutdown::Shutdown;
use crossbeam_channel::{RecvTimeoutError, bounded, select};
use log::{error, info};
use miner::cli::{Cli, Command};
use miner::error::MinerError;
use miner::{check, pipeline};

fn main() -> ExitCode {
    let cli = Cli::parse();
    logging::init();
    exit_code_of(|| match run(&cli) {
        Ok(code) => code,
        Err(error) => {
            error!("failed to mine: {}", chain(&error));
            error.class().exit_code()
        }
    })
}

fn run(cli: &Cli) -> Result<ExitCode, MinerError> {
    let environment = ProcessEnvironment::current();
    let path = config_path(cli.config.as_deref(), &environment);
    let settings = Settings::load(&path, &environment)?;
    match cli.command {
        Some(Command::Check) => check::run(&settings),
        None => {
            let shutdown = Shutdown::on_signals().map_err(MinerError::Signals)?;
            let bound = pipeline::Bound::new(cli.once, cli.until.clone());
            let reload = Reload::on_signal().map_err(MinerError::Signals)?;
            mine(settings, bound, shutdown, reload).map(|()| ExitCode::SUCCESS)
        }
    }
}

/// How long a stop may take. A thread that waits for a server that does not answer is left
/// behind then: nothing that is staged depends on a good end.
const STOP_TIME: Duration = Duration::from_millis(800);

/// Mines in a thread of its own, so that a stop need not wait for what it waits for.
fn mine(
    settings: Settings,
    bound: pipeline::Bound,
    shutdown: Shutdown,
    reload: Reload,
) -> Result<(), MinerError> {
    const NAME: &str = "pipeline";
    let (ended, wait_end) = bounded(1);
    let stop = shutdown.clone();
    thread::Builder::new()
        .name(NAME.into())
        .spawn(move || {
            // Nobody waits any more when the stop took too long.
            let _ = ended.send(pipeline::run(&settings, &bound, &shutdown, &reload));
        })
        .map_err(|_| MinerError::Thread { name: NAME })?;
    select! {
        recv(wait_end) -> result => return result.unwrap_or(Err(MinerError::Thread { name: NAME })),
        recv(stop.channel()) -> _ => {}
    }
    match wait_end.recv_timeout(STOP_TIME) {
        Ok(result) => result,
        Err(RecvTimeoutError::Disconnected) => Err(MinerError::Thread { name: NAME }),
        Err(RecvTimeoutError::Timeout) => {
            info!("stopped without waiting for a server that does not answer");
            Ok(())
        }
    }
}
