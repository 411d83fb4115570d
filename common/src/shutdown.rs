//! SIGTERM and SIGINT as one token that every wait can watch.
//!
//! The first signal asks for an orderly stop, the second ends the process at once. Commands that
//! have nothing to put in order leave signals alone, or end soon after the first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, never};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Clonable token; once requested it stays so.
#[derive(Clone)]
pub struct Shutdown {
    requested: Arc<AtomicBool>,
    closed: Receiver<()>,
}

/// Whether a wait ran its time or was ended by the shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// The time passed.
    Elapsed,
    /// A stop was asked for.
    Stop,
}

impl Shutdown {
    /// Installs the signal handlers; once per process.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn on_signals() -> std::io::Result<Self> {
        let (shutdown, trigger) = Self::new();
        let mut signals = Signals::new([SIGTERM, SIGINT])?;
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                let mut trigger = Some(trigger);
                for _signal in signals.forever() {
                    match trigger.take() {
                        Some(trigger) => trigger.fire(),
                        None => std::process::exit(1),
                    }
                }
            })?;
        Ok(shutdown)
    }

    /// For a command that runs once: as [`on_signals`](Self::on_signals), and the process ends
    /// at the latest one second after the first signal, whatever it waits for.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn of_command() -> std::io::Result<Self> {
        let shutdown = Self::on_signals()?;
        let asked = shutdown.closed.clone();
        std::thread::Builder::new()
            .name("last second".into())
            .spawn(move || {
                // Ends with the trigger's drop.
                let _ = asked.recv();
                let _ = never::<()>().recv_timeout(Duration::from_secs(1));
                std::process::exit(1);
            })?;
        Ok(shutdown)
    }

    /// Never asks for a stop: a signal ends the process by itself.
    pub fn never() -> Self {
        Self {
            requested: Arc::default(),
            closed: never(),
        }
    }

    /// A token and its trigger, for tests and for a pipeline's inner stop.
    pub fn new() -> (Self, Trigger) {
        let (sender, closed) = bounded(0);
        let requested = Arc::new(AtomicBool::new(false));
        let shutdown = Self {
            requested: Arc::clone(&requested),
            closed,
        };
        (
            shutdown,
            Trigger {
                requested,
                _open: sender,
            },
        )
    }

    /// Whether a stop was asked for.
    pub fn requested(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
    }

    /// Waits up to `time`.
    pub fn wait(&self, time: Duration) -> Waited {
        match self.closed.recv_timeout(time) {
            Err(RecvTimeoutError::Timeout) => Waited::Elapsed,
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Waited::Stop,
        }
    }

    /// A channel that is closed when a stop is asked for, to `select!` on.
    pub fn channel(&self) -> &Receiver<()> {
        &self.closed
    }
}

/// Fires a [`Shutdown`].
pub struct Trigger {
    requested: Arc<AtomicBool>,
    _open: Sender<()>,
}

impl Trigger {
    /// Asks for the stop.
    pub fn fire(self) {
        self.requested.store(true, Ordering::Relaxed);
    }
}
