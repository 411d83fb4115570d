//! A server that speaks openGauss's login, and answers every query the same way. It knows the
//! right answers as constants that were computed elsewhere.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::sync::Arc;
use std::thread::JoinHandle;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

use super::vectors;

/// What the server asks for.
#[derive(Clone)]
pub(super) enum Request {
    None,
    Md5,
    Sha256,
    /// Satisfied by the md5 of what is stored.
    Md5OfSha256,
    /// Satisfied by the md5 of the two keys.
    Md5OfSha256Keys,
    /// These bytes, and no more.
    Raw(Vec<u8>),
}

/// Where it hangs up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HangUp {
    BeforeStartup,
    AfterStartup,
    InTheRequest,
    AfterTheRequest,
    AfterTheAnswer,
    InTheOutcome,
    AfterTheOutcome,
    InTheParameters,
}

impl HangUp {
    pub(super) const ALL: [Self; 8] = [
        Self::BeforeStartup,
        Self::AfterStartup,
        Self::InTheRequest,
        Self::AfterTheRequest,
        Self::AfterTheAnswer,
        Self::InTheOutcome,
        Self::AfterTheOutcome,
        Self::InTheParameters,
    ];
}

/// What the server does on one connection.
#[derive(Clone)]
pub(super) struct Behaviour {
    pub(super) request: Request,
    pub(super) iterations: u32,
    pub(super) hang_up: Option<HangUp>,
    pub(super) tls: Option<Arc<ServerConfig>>,
}

impl Behaviour {
    pub(super) fn asking(request: Request) -> Self {
        Self {
            request,
            iterations: 10_000,
            hang_up: None,
            tls: None,
        }
    }
}

/// What a client has sent.
#[derive(Debug, Default)]
pub(super) struct Saw {
    is_real: bool,
    pub(super) encrypted: bool,
    pub(super) minor: u16,
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) answer: Option<String>,
}

impl Saw {
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }
}

trait Wire: Read + Write {}

impl<T: Read + Write> Wire for T {}

/// The server: one thread, as many connections as it was given behaviours.
pub(super) struct Server {
    pub(super) port: u16,
    connections: usize,
    thread: JoinHandle<Vec<Saw>>,
}

impl Server {
    pub(super) fn start(behaviours: Vec<Behaviour>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        Self::serve(port, behaviours, move || {
            Box::new(listener.accept().unwrap().0)
        })
    }

    pub(super) fn at_socket(directory: &str, behaviours: Vec<Behaviour>) -> Self {
        let listener = UnixListener::bind(format!("{directory}/.s.PGSQL.5432")).unwrap();
        Self::serve(0, behaviours, move || {
            Box::new(listener.accept().unwrap().0)
        })
    }

    fn serve(
        port: u16,
        behaviours: Vec<Behaviour>,
        accept: impl Fn() -> Box<dyn Wire> + Send + 'static,
    ) -> Self {
        let connections = behaviours.len();
        let thread = std::thread::spawn(move || {
            let mut all = Vec::new();
            for behaviour in behaviours {
                let mut saw = Saw::default();
                // The client may hang up at any time: that is its business.
                if converse(accept(), &behaviour, &mut saw).is_ok() || saw.is_real {
                    all.push(saw);
                }
            }
            all
        });
        Self {
            port,
            connections,
            thread,
        }
    }

    /// Waits for the last connection to end. Connections that have not come yet are made here,
    /// so that a test sees them missing instead of waiting for them.
    pub(super) fn finish(self) -> Vec<Saw> {
        let missing: Vec<_> = (0..self.connections)
            .map(|_| TcpStream::connect(("127.0.0.1", self.port)))
            .collect();
        drop(missing);
        self.thread.join().unwrap()
    }
}

fn converse(mut wire: Box<dyn Wire>, behaviour: &Behaviour, saw: &mut Saw) -> io::Result<()> {
    let hangs_up = |place| behaviour.hang_up == Some(place);
    if hangs_up(HangUp::BeforeStartup) {
        return Ok(());
    }
    let mut startup = read_sized(&mut wire)?;
    saw.is_real = true;
    if startup == [4, 210, 22, 47] {
        match &behaviour.tls {
            Some(tls) => {
                wire.write_all(b"S")?;
                let tls = ServerConnection::new(Arc::clone(tls)).unwrap();
                wire = Box::new(StreamOwned::new(tls, wire));
                saw.encrypted = true;
            }
            None => wire.write_all(b"N")?,
        }
        startup = read_sized(&mut wire)?;
    }
    read_startup(&startup, saw);
    if hangs_up(HangUp::AfterStartup) {
        return Ok(());
    }
    let (request, right) = asked(behaviour, saw.minor);
    if hangs_up(HangUp::InTheRequest) {
        return wire.write_all(&request[..request.len() / 2]);
    }
    wire.write_all(&request)?;
    wire.flush()?;
    if hangs_up(HangUp::AfterTheRequest) || matches!(behaviour.request, Request::Raw(_)) {
        return Ok(());
    }
    if let Some(right) = right {
        let mut kind = [0];
        wire.read_exact(&mut kind)?;
        assert_eq!(kind, *b"p");
        let answer = read_sized(&mut wire)?;
        let answer = answer.strip_suffix(&[0]).unwrap();
        let answer = String::from_utf8(answer.to_vec()).unwrap();
        let is_right = answer == right;
        saw.answer = Some(answer);
        if hangs_up(HangUp::AfterTheAnswer) {
            return Ok(());
        }
        if !is_right {
            return wire.write_all(&framed(
                b'E',
                b"SFATAL\0C28P01\0MInvalid username/password,login denied.\0\0",
            ));
        }
    }
    welcome(&mut wire, behaviour.hang_up)?;
    match behaviour.hang_up {
        None => answer_queries(&mut wire),
        Some(_) => Ok(()),
    }
}

/// The request, and the answer that satisfies.
fn asked(behaviour: &Behaviour, minor: u16) -> (Vec<u8>, Option<&'static str>) {
    let iterations = behaviour.iterations;
    match &behaviour.request {
        Request::None => (Vec::new(), None),
        Request::Raw(bytes) => (bytes.clone(), None),
        Request::Md5 => (request(5, &vectors::MD5_SALT), Some(vectors::ANSWER_MD5)),
        Request::Sha256 => (
            sha256(minor, iterations),
            Some(match iterations {
                2_048 => vectors::ANSWER_2048,
                _ => vectors::ANSWER,
            }),
        ),
        Request::Md5OfSha256 => (md5_of_sha256(), Some(vectors::ANSWER_STORED)),
        Request::Md5OfSha256Keys => (md5_of_sha256(), Some(vectors::ANSWER_KEYS)),
    }
}

fn welcome(wire: &mut Box<dyn Wire>, hang_up: Option<HangUp>) -> io::Result<()> {
    let ok = request(0, &[]);
    if hang_up == Some(HangUp::InTheOutcome) {
        return wire.write_all(&ok[..6]);
    }
    wire.write_all(&ok)?;
    if hang_up == Some(HangUp::AfterTheOutcome) {
        return Ok(());
    }
    wire.write_all(&framed(b'S', b"server_version\09.2.4\0"))?;
    if hang_up == Some(HangUp::InTheParameters) {
        return Ok(());
    }
    wire.write_all(&framed(b'K', &[0, 0, 0, 1, 0, 0, 0, 2]))?;
    wire.write_all(&framed(b'Z', b"I"))?;
    wire.flush()
}

/// To a select its literal, to anything else that it is done.
fn answer_queries(wire: &mut Box<dyn Wire>) -> io::Result<()> {
    loop {
        let mut kind = [0];
        wire.read_exact(&mut kind)?;
        let query = read_sized(wire)?;
        if kind != *b"Q" {
            return Ok(());
        }
        if query == b"select 'it works'\0" {
            let mut column = b"\0\x01text\0".to_vec();
            column.extend([
                0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 255, 255, 255, 255, 255, 255, 0, 0,
            ]);
            wire.write_all(&framed(b'T', &column))?;
            wire.write_all(&framed(b'D', b"\0\x01\0\0\0\x08it works"))?;
        }
        wire.write_all(&framed(b'C', b"DONE\0"))?;
        wire.write_all(&framed(b'Z', b"I"))?;
        wire.flush()?;
    }
}

fn read_startup(startup: &[u8], saw: &mut Saw) {
    assert_eq!(startup[..2], [0, 3], "protocol 3");
    saw.minor = u16::from_be_bytes([startup[2], startup[3]]);
    let text = startup[4..].strip_suffix(b"\0\0").unwrap();
    let texts: Vec<String> = text
        .split(|byte| *byte == 0)
        .map(|text| String::from_utf8(text.to_vec()).unwrap())
        .collect();
    for pair in texts.chunks_exact(2) {
        saw.parameters.insert(pair[0].clone(), pair[1].clone());
    }
}

fn read_sized(wire: &mut Box<dyn Wire>) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    wire.read_exact(&mut length)?;
    let mut body = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap() - 4];
    wire.read_exact(&mut body)?;
    Ok(body)
}

/// Code 10 as the server sends it to a client of this minor version.
pub(super) fn sha256(minor: u16, iterations: u32) -> Vec<u8> {
    let mut body = 2_i32.to_be_bytes().to_vec();
    body.extend(vectors::salt());
    body.extend(vectors::TOKEN.bytes());
    if minor < 50 {
        body.extend(vectors::SIGNATURE.bytes());
    } else if minor > 50 {
        body.extend(iterations.to_be_bytes());
    }
    request(10, &body)
}

/// Code 11.
pub(super) fn md5_of_sha256() -> Vec<u8> {
    request(11, &[&vectors::salt()[..], &vectors::MD5_SALT].concat())
}

/// An authentication request.
pub(super) fn request(code: i32, body: &[u8]) -> Vec<u8> {
    framed(b'R', &[&code.to_be_bytes()[..], body].concat())
}

/// A message.
pub(super) fn framed(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

/// A CA and a certificate for 127.0.0.1 that it has signed.
pub(super) struct Certificate {
    directory: TempDir,
}

impl Certificate {
    pub(super) fn make() -> Self {
        let made = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        std::fs::write(made.path("san"), "subjectAltName = IP:127.0.0.1\n").unwrap();
        for arguments in [
            "req -x509 -newkey rsa:2048 -nodes -days 2 -keyout ca.key -out ca.pem -subj /CN=ca",
            "req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=server",
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out server.pem",
        ] {
            made.openssl(arguments);
        }
        made
    }

    fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(self.directory.path())
            .output()
            .expect("openssl is installed by scripts/install_servers.sh");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{error}");
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        let certificate = CertificateDer::from_pem_file(self.path("server.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(self.path("server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        Arc::new(config)
    }
}
