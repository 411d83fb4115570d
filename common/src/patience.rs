//! For commands that run once: ends the process when a server does not answer.
//!
//! A server that is frozen keeps its connections, and a statement on one of them would be waited
//! for without end. Programs that run on wait; a command that a person or a script waits for
//! does not.

use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

/// How long a server may take for an answer.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Knows who is asked.
#[derive(Debug)]
pub struct Patience {
    tell: Sender<Option<String>>,
    asked: Option<String>,
}

impl Patience {
    /// Ends the process with exit code 1 when an answer takes longer than [`PATIENCE`].
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn new() -> std::io::Result<Self> {
        Self::with(PATIENCE, |asked| {
            log::error!(
                "{asked} has not answered for {} s: it may be frozen or overloaded; try again when it answers",
                PATIENCE.as_secs()
            );
            std::process::exit(1);
        })
    }

    fn with(time: Duration, give_up: impl FnOnce(&str) + Send + 'static) -> std::io::Result<Self> {
        let (tell, told) = unbounded();
        thread::Builder::new()
            .name("patience".into())
            .spawn(move || watch(&told, time, give_up))?;
        Ok(Self { tell, asked: None })
    }

    /// From here on this server is asked.
    pub fn ask(&mut self, server: impl Into<String>) {
        self.asked = Some(server.into());
        self.go_on();
    }

    /// It has answered; what is done now takes as long as it takes.
    pub fn rest(&self) {
        // The thread ends after this.
        let _ = self.tell.send(None);
    }

    /// It is asked the next thing.
    pub fn go_on(&self) {
        let _ = self.tell.send(self.asked.clone());
    }
}

fn watch(told: &Receiver<Option<String>>, time: Duration, give_up: impl FnOnce(&str)) {
    let mut asked: Option<String> = None;
    loop {
        let next = match &asked {
            Some(_) => told.recv_timeout(time),
            None => told.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match (next, &asked) {
            (Ok(next), _) => asked = next,
            (Err(RecvTimeoutError::Timeout), Some(asked)) => return give_up(asked),
            (Err(_), _) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_that_is_asked_and_does_not_answer_tries_patience() {
        let (sender, given_up) = unbounded();
        let time = Duration::from_millis(300);
        let mut patience = Patience::with(time, move |asked| {
            let _ = sender.send(asked.to_owned());
        })
        .unwrap();
        assert!(given_up.recv_timeout(2 * time).is_err());
        patience.ask("staging");
        patience.rest();
        assert!(given_up.recv_timeout(2 * time).is_err());
        patience.go_on();
        assert_eq!(given_up.recv_timeout(100 * time).unwrap(), "staging");
    }
}
