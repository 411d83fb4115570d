//! `binlog_loader`: arguments in, exit code out.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use common::error::{ErrorClass, chain, exit_code_of};
use common::reload::Reload;
use common::settings::{ProcessEnvironment, Settings, config_path};
use common::shutdown::Shutdown;
use loader::cli::{Cli, Command, DeadLetters};
use loader::command::status::Format;
use loader::command::{self, CommandError, Confirmed, dead_letters};
use loader::pipeline::{self, Until};
use loader::target::Wish;

fn main() -> ExitCode {
    let cli = Cli::parse();
    common::logging::init();
    exit_code_of(|| load_and_run(&cli))
}

fn load_and_run(cli: &Cli) -> ExitCode {
    let environment = ProcessEnvironment::current();
    let path = config_path(cli.config.as_deref(), &environment);
    let settings = match Settings::load(&path, &environment) {
        Ok(settings) => settings,
        Err(error) => {
            log::error!("failed to load: {}", chain(&error));
            return ErrorClass::Usage.exit_code();
        }
    };
    for notice in &settings.notices {
        log::warn!("{notice}");
    }
    run(cli, &settings)
}

fn run(cli: &Cli, settings: &Settings) -> ExitCode {
    let shutdown = match shutdown_of(cli.command.as_ref()) {
        Ok(shutdown) => shutdown,
        Err(error) => {
            log::error!("failed to install signal handlers: {error}");
            return ErrorClass::Failed.exit_code();
        }
    };
    if let Some(command) = &cli.command {
        return match run_command(command, settings, &shutdown) {
            Ok(None) => ExitCode::SUCCESS,
            Ok(Some(class)) => class.exit_code(),
            Err(error) => {
                log::error!("{}", chain(&error));
                error.class().exit_code()
            }
        };
    }
    let reload = match Reload::on_signal() {
        Ok(reload) => reload,
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
        "start version={} task={} staging={}/{} target={}/{} target_schema={} start={} config={}",
        env!("CARGO_PKG_VERSION"),
        settings.task.name,
        settings.staging.address(),
        settings.staging.database(),
        settings.target.conninfo.address(),
        settings.target.conninfo.database(),
        settings.target.schema,
        settings.source.start,
        settings.path.display()
    );
    log_settings(settings);
    match pipeline::run(settings, &until, &shutdown, &reload) {
        Ok(()) => {
            log::info!("binlog_loader stopped");
            ExitCode::SUCCESS
        }
        Err(error) => {
            log::error!("failed to load: {}", chain(&error));
            error.class().exit_code()
        }
    }
}

/// What a signal does. Commands that have nothing to put in order end at once.
fn shutdown_of(command: Option<&Command>) -> std::io::Result<Shutdown> {
    match command {
        None => Shutdown::on_signals(),
        Some(
            Command::Status { watch: Some(_), .. } | Command::Pause { .. } | Command::Resume { .. },
        ) => Shutdown::of_command(),
        Some(
            Command::Check
            | Command::Status { watch: None, .. }
            | Command::Reset { .. }
            | Command::Ack { .. }
            | Command::DeadLetters { .. },
        ) => Ok(Shutdown::never()),
    }
}

/// The settings that decide what becomes of rows.
fn log_settings(settings: &Settings) {
    let (target, loader) = (&settings.target, &settings.loader);
    log::info!(
        "settings load_batch={} load_batch_gap={} batch_bytes={} keep_applied_seconds={} rules={} skip_no_pk_table={} \
         zero_date={} empty_string={} time_zone_minutes={} ignore_copy_error_count_each_table={} sslmode={}",
        loader.load_batch,
        loader.load_batch_gap.as_secs(),
        loader.batch_bytes,
        loader.keep_applied.as_secs(),
        settings.rules.len(),
        loader.skip_no_pk_table,
        loader.zero_date,
        target.empty_string,
        settings.source.time_zone_minutes,
        target.dead_letter_limit,
        target.conninfo.ssl_mode
    );
}

/// Runs a command; the class of what it found wrong, if anything.
fn run_command(
    command: &Command,
    settings: &Settings,
    shutdown: &Shutdown,
) -> Result<Option<ErrorClass>, CommandError> {
    let out = &mut std::io::stdout().lock();
    match command {
        Command::Check => return command::check::run(settings, out),
        Command::Status { json, watch } => match watch {
            Some(seconds) => {
                command::status::watch(settings, Duration::from_secs(*seconds), shutdown, out)?;
            }
            None => command::status::run(settings, format_of(*json), out)?,
        },
        Command::Reset { yes } => {
            command::reset::run(settings, confirmed_by(*yes), shutdown, out)?;
        }
        Command::Ack { position } => command::ack::run(settings, position, shutdown, out)?,
        Command::Pause { table, timeout } => {
            let asked = (Wish::Pause, table.as_str(), Duration::from_secs(*timeout));
            command::pause::run(settings, asked, shutdown, out)?;
        }
        Command::Resume { table, timeout } => {
            let asked = (Wish::Resume, table.as_str(), Duration::from_secs(*timeout));
            command::pause::run(settings, asked, shutdown, out)?;
        }
        Command::DeadLetters { command } => match command {
            DeadLetters::List { json } => dead_letters::list(settings, format_of(*json), out)?,
            DeadLetters::Retry { ids } => return dead_letters::retry(settings, ids, out),
            DeadLetters::Discard { ids, yes } => {
                dead_letters::discard(settings, ids, confirmed_by(*yes), out)?;
            }
        },
    }
    Ok(None)
}

fn format_of(json: bool) -> Format {
    if json { Format::Json } else { Format::Text }
}

fn confirmed_by(yes: bool) -> Confirmed {
    if yes { Confirmed::Yes } else { Confirmed::Ask }
}
