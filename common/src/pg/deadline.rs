//! Connecting within a bounded time.
//!
//! The client's own `connect_timeout` ends when the server's host accepts; a server that is
//! frozen accepts, and never answers the start-up. So an attempt runs on a thread of its own,
//! and is waited for as long as libpq would: `connect_timeout` for each host, the login
//! included.
//!
//! An attempt cannot be broken off. One that is given up is kept for the next call with the
//! same purpose, which waits for it rather than adding to the connections that the server finds
//! when it wakes; after [`KEEP`] it is left to itself.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use postgres::Client;

use super::{Conninfo, PgError, session_address};
use crate::error::ErrorClass;

/// What opens and prepares a session.
pub(super) type Open = fn(&Conninfo, &str) -> Result<Client, PgError>;

/// The client's own timeout has the first word, which says more.
const GRACE: Duration = Duration::from_secs(1);

/// How long an attempt is waited for by later calls: whatever stands between may hold on to a
/// connection for ever.
const KEEP: Duration = Duration::from_secs(300);

/// An attempt that has not ended in time.
struct Attempt {
    purpose: String,
    answer: Receiver<Result<Client, PgError>>,
    begun: Instant,
}

static PENDING: Mutex<Vec<Attempt>> = Mutex::new(Vec::new());

/// Runs `open` within the time that the connect string gives.
pub(super) fn connect(
    conninfo: &Conninfo,
    application: &str,
    (kind, open): (&'static str, Open),
) -> Result<Client, PgError> {
    let time = time_of(conninfo);
    let purpose = format!("{kind} {application} {}", session_address(conninfo));
    let attempt = match take_pending(&purpose) {
        Some(attempt) => attempt,
        None => begin(conninfo, application, purpose, open)?,
    };
    let failed = |reason: String, class| PgError::Connect {
        address: session_address(conninfo),
        reason,
        class,
    };
    match attempt.answer.recv_timeout(time) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => {
            pending().push(attempt);
            Err(failed(
                format!(
                    "no answer within {} s (connect_timeout): the server may be frozen or overloaded",
                    time.as_secs()
                ),
                ErrorClass::Unreachable,
            ))
        }
        Err(RecvTimeoutError::Disconnected) => Err(failed(
            "the attempt ended by a panic".into(),
            ErrorClass::Failed,
        )),
    }
}

fn begin(
    conninfo: &Conninfo,
    application: &str,
    purpose: String,
    open: Open,
) -> Result<Attempt, PgError> {
    let (answered, answer) = bounded(1);
    let (conninfo, application) = (conninfo.clone(), application.to_owned());
    let address = session_address(&conninfo);
    thread::Builder::new()
        .name("connect".into())
        .spawn(move || {
            // A session that nobody waits for any more ends here.
            let _ = answered.send(open(&conninfo, &application));
        })
        .map_err(|error| PgError::Connect {
            address,
            reason: format!("start a thread: {error}"),
            class: ErrorClass::Unreachable,
        })?;
    Ok(Attempt {
        purpose,
        answer,
        begun: Instant::now(),
    })
}

fn take_pending(purpose: &str) -> Option<Attempt> {
    let mut pending = pending();
    pending.retain(|attempt| attempt.begun.elapsed() < KEEP);
    let at = pending
        .iter()
        .position(|attempt| attempt.purpose == purpose)?;
    Some(pending.swap_remove(at))
}

fn pending() -> std::sync::MutexGuard<'static, Vec<Attempt>> {
    PENDING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn time_of(conninfo: &Conninfo) -> Duration {
    let config = &conninfo.config;
    let hosts = config.get_hosts().len().max(config.get_hostaddrs().len());
    let hosts = u32::try_from(hosts.max(1)).unwrap_or(1);
    let each = config.get_connect_timeout().copied().unwrap_or_default();
    each.saturating_mul(hosts).saturating_add(GRACE)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::pg;
    use crate::pg::conninfo::Environment;

    fn assert_gives_up(connect_string: &str) {
        let text = format!("{connect_string} user=u connect_timeout=1");
        let conninfo = Conninfo::parse(&text, None, &Environment::default()).unwrap();
        for connect in [pg::connect, pg::connect_target] {
            let begun = Instant::now();
            let error = connect(&conninfo, "test").err().unwrap();
            assert!(begun.elapsed() < Duration::from_secs(10), "{error}");
            assert_eq!(error.class(), ErrorClass::Unreachable, "{error}");
            assert!(error.to_string().contains("connect_timeout"), "{error}");
        }
    }

    #[test]
    fn a_server_that_accepts_and_does_not_answer_is_given_up_and_asked_once() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = tcp.local_addr().unwrap().port();
        assert_gives_up(&format!("host=127.0.0.1 port={port}"));
        assert_gives_up(&format!("host=127.0.0.1 port={port} sslmode=disable"));
        // Of four calls, two had the purpose of one before.
        tcp.set_nonblocking(true).unwrap();
        assert!((0..2).all(|_| tcp.accept().is_ok()));
        assert!(tcp.accept().is_err());

        let folder = tempfile::tempdir().unwrap();
        let _unix = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        assert_gives_up(&format!("host={}", folder.path().display()));
    }
}
