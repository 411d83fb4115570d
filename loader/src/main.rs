//! `binlog_loader`: arguments in, exit code out.

use std::process::ExitCode;

use clap::Parser as _;
use common::error::{ErrorClass, chain};
use common::settings::{ProcessEnvironment, Settings, config_path};
use common::shutdown::Shutdown;
use loader::cli::Cli;
use loader::pipeline::{self, Until};

fn main() -> ExitCode {
    let cli = Cli::parse();
    common::logging::init();
    let environment = ProcessEnvironment::current();
    let path = config_path(cli.config.as_deref(), &environment);
    let settings = match Settings::load(&path, &environment) {
        Ok(settings) => settings,
        Err(error) => {
            log::error!("failed to {}", chain(&error));
            return ErrorClass::Usage.exit_code();
        }
    };
    for notice in &settings.notices {
        log::warn!("{notice}");
    }
    run(&cli, &settings)
}

fn run(cli: &Cli, settings: &Settings) -> ExitCode {
    let shutdown = match Shutdown::on_signals() {
        Ok(shutdown) => shutdown,
        Err(error) => {
            log::error!("failed to install signal handlers: {error}");
            return ErrorClass::Failed.exit_code();
        }
    };
    let until = match (cli.once, &cli.until) {
        (true, _) => Until::Staged,
        (false, Some(position)) => Until::Position(position.clone()),
        (false, None) => Until::Stopped,
    };
    log::info!(
        "binlog_loader started version={} config={} task={}",
        env!("CARGO_PKG_VERSION"),
        settings.path.display(),
        settings.task.name
    );
    match pipeline::run(settings, &until, &shutdown) {
        Ok(()) => {
            log::info!("binlog_loader stopped");
            ExitCode::SUCCESS
        }
        Err(error) => {
            log::error!("{}", chain(&error));
            error.class().exit_code()
        }
    }
}
