//! SIGHUP: the table list is to be read again.
//!
//! A token that is raised by the signal, or by the program itself, and taken by whoever reads
//! the list. Several signals before that are one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::SIGHUP;

/// Clonable token.
#[derive(Clone, Debug, Default)]
pub struct Reload {
    requested: Arc<AtomicBool>,
}

impl Reload {
    /// Installs the signal handler; once per process.
    ///
    /// # Errors
    /// When the handler cannot be installed.
    pub fn on_signal() -> std::io::Result<Self> {
        let reload = Self::default();
        signal_hook::flag::register(SIGHUP, Arc::clone(&reload.requested))?;
        Ok(reload)
    }

    /// Asks for it.
    pub fn raise(&self) {
        self.requested.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked for, and not taken yet.
    pub fn requested(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
    }

    /// Whether it was asked for; from here on it is not any more.
    pub fn take(&self) -> bool {
        self.requested.swap(false, Ordering::Relaxed)
    }
}
