//! The start-up conversation: StartupMessage, challenge, answer, outcome.
//!
//! Reads exactly the messages that belong to it, so that everything the server sends behind
//! them is left to the `postgres` client. Lengths are bounded as libpq bounds them.

use std::sync::{Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::LoginError;
use super::login::{Challenge, Md5Form, Request};

/// The longest authentication request, its length field included.
const REQUEST_LIMIT: u32 = 2_000;

/// The longest error, its length field included.
const ERROR_LIMIT: u32 = 30_000;

/// What a login says of the client.
pub(super) struct Login {
    pub(super) user: String,
    pub(super) database: Option<String>,
    pub(super) options: Option<String>,
    pub(super) application_name: Option<String>,
    pub(super) password: Option<Vec<u8>>,
    /// Minor version of protocol 3 to name.
    pub(super) minor: u16,
    pub(super) form: Md5Form,
}

/// How far the server has gone; what an error means depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// No authentication request yet.
    Nothing,
    /// A request.
    Request,
    /// A request that has two known answers.
    Md5OfSha256,
}

/// The login's view on [`Seen`], read after it failed.
pub(super) struct Progress(Mutex<Seen>);

impl Progress {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Seen::Nothing))
    }

    pub(super) fn seen(&self) -> Seen {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, seen: Seen) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    }
}

/// Logs in. Returns the message that the client is to read first: AuthenticationOk, or the
/// error with which the server has refused.
pub(super) async fn log_in<S>(
    stream: &mut S,
    login: &Login,
    progress: &Progress,
) -> Result<Vec<u8>, LoginError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    send(stream, &startup_message(login)?).await?;
    if stream.read_u8().await? != b'R' {
        return Err(LoginError::NotOpenGauss);
    }
    progress.set(Seen::Request);
    let body = receive_body(stream, REQUEST_LIMIT).await?;
    let challenge = match Request::parse(&body, login.minor)? {
        Request::Ok => return message(b'R', &body),
        Request::Challenge(challenge) => challenge,
    };
    if matches!(challenge, Challenge::Md5OfSha256 { .. }) {
        progress.set(Seen::Md5OfSha256);
    }
    let password = login.password.as_deref().ok_or(LoginError::NoPassword)?;
    let answer = challenge.answer(login.user.as_bytes(), password, login.form)?;
    let mut body = answer.into_bytes();
    body.push(0);
    send(stream, &message(b'p', &body)?).await?;
    outcome(stream, login.minor).await
}

async fn outcome<S>(stream: &mut S, minor: u16) -> Result<Vec<u8>, LoginError>
where
    S: AsyncRead + Unpin,
{
    match stream.read_u8().await? {
        b'R' => {
            let body = receive_body(stream, REQUEST_LIMIT).await?;
            match Request::parse(&body, minor)? {
                Request::Ok => message(b'R', &body),
                Request::Challenge(_) => Err(LoginError::Damaged {
                    what: "a second authentication request",
                }),
            }
        }
        b'E' => message(b'E', &receive_body(stream, ERROR_LIMIT).await?),
        _ => Err(LoginError::Damaged {
            what: "a message that does not belong to a login",
        }),
    }
}

async fn send<S>(stream: &mut S, bytes: &[u8]) -> Result<(), LoginError>
where
    S: AsyncWrite + Unpin,
{
    stream.write_all(bytes).await?;
    Ok(stream.flush().await?)
}

async fn receive_body<S>(stream: &mut S, limit: u32) -> Result<Vec<u8>, LoginError>
where
    S: AsyncRead + Unpin,
{
    let length = stream.read_u32().await?;
    let length = (length <= limit)
        .then(|| length.checked_sub(4))
        .flatten()
        .and_then(|length| usize::try_from(length).ok())
        .ok_or(LoginError::Damaged {
            what: "the length of a message",
        })?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(body)
}

/// The parameters that the `postgres` client sends, in its order.
fn startup_message(login: &Login) -> Result<Vec<u8>, LoginError> {
    let mut body = [[0, 3], login.minor.to_be_bytes()].concat();
    for (name, value) in [
        ("client_encoding", Some("UTF8")),
        ("user", Some(login.user.as_str())),
        ("database", login.database.as_deref()),
        ("options", login.options.as_deref()),
        ("application_name", login.application_name.as_deref()),
    ] {
        let Some(value) = value else { continue };
        if value.contains('\0') {
            return Err(LoginError::Parameter { name });
        }
        for text in [name, value] {
            body.extend(text.as_bytes());
            body.push(0);
        }
    }
    body.push(0);
    framed(Vec::new(), &body)
}

fn message(kind: u8, body: &[u8]) -> Result<Vec<u8>, LoginError> {
    framed(vec![kind], body)
}

fn framed(mut bytes: Vec<u8>, body: &[u8]) -> Result<Vec<u8>, LoginError> {
    let length = u32::try_from(body.len())
        .ok()
        .and_then(|length| length.checked_add(4))
        .ok_or(LoginError::Damaged {
            what: "the length of a message",
        })?;
    bytes.extend(length.to_be_bytes());
    bytes.extend(body);
    Ok(bytes)
}
