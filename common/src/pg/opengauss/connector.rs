//! The way in: a `MakeTlsConnect`, which the `postgres` client hands the raw socket when TLS is
//! negotiated "directly". It does the start-up and the login, and TLS where `sslmode` asks for
//! it, and gives a stream back that is logged in.

use std::pin::Pin;
use std::sync::Arc;

use postgres::Socket;
use postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::LoginError;
use super::startup::{self, Login, Progress};
use super::stream::{LoggedIn, Wire};

/// SSLRequest.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// What `sslmode` asks for.
#[derive(Clone)]
pub(super) enum Encryption {
    Never,
    IfOffered(MakeRustlsConnect),
    Always(MakeRustlsConnect),
}

/// The connector of one attempt.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) encryption: Encryption,
    pub(super) login: Arc<Login>,
    pub(super) progress: Arc<Progress>,
}

/// The same for one host.
pub(super) struct HostConnector {
    connector: Connector,
    host: String,
}

impl MakeTlsConnect<Socket> for Connector {
    type Stream = LoggedIn;
    type TlsConnect = HostConnector;
    type Error = LoginError;

    fn make_tls_connect(&mut self, host: &str) -> Result<HostConnector, LoginError> {
        Ok(HostConnector {
            connector: self.clone(),
            host: host.into(),
        })
    }
}

impl TlsConnect<Socket> for HostConnector {
    type Stream = LoggedIn;
    type Error = LoginError;
    type Future = Pin<Box<dyn Future<Output = Result<LoggedIn, LoginError>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move {
            let Connector {
                encryption,
                login,
                progress,
            } = self.connector;
            let mut wire = encrypt(socket, encryption, &self.host).await?;
            let replay = startup::log_in(&mut wire, &login, &progress).await?;
            Ok(LoggedIn::new(wire, replay))
        })
    }
}

/// Asks for TLS as `sslmode` says. Nothing but the server's one byte is read in the clear.
async fn encrypt(
    mut socket: Socket,
    encryption: Encryption,
    host: &str,
) -> Result<Box<dyn Wire>, LoginError> {
    let (mut tls, required) = match encryption {
        Encryption::Never => return Ok(Box::new(socket)),
        Encryption::IfOffered(tls) => (tls, false),
        Encryption::Always(tls) => (tls, true),
    };
    socket.write_all(&SSL_REQUEST).await?;
    socket.flush().await?;
    match socket.read_u8().await? {
        b'S' => {
            let Ok(connect) = MakeTlsConnect::<Socket>::make_tls_connect(&mut tls, host);
            Ok(Box::new(connect.connect(socket).await?))
        }
        _ if required => Err(LoginError::NoTls),
        _ => Ok(Box::new(socket)),
    }
}
