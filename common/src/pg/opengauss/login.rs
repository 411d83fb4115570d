//! What openGauss asks for at the login, and the answers: pure, no I/O.
//!
//! openGauss numbers two requests as PostgreSQL does SASL: 10 is sha256, 11 is md5 over what
//! sha256 has stored. Their bodies are read here within bounds: whatever a server sends, the
//! outcome is a request or an error. Source: openGauss-server, `auth.cpp` (`sendAuthRequest`),
//! `crypt.cpp` (`crypt_verify`) and `sha2.cpp` (`pg_sha256_encrypt`).

use std::cmp::Ordering;

use hmac::{Hmac, Mac as _};
use md5::{Digest as _, Md5};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::LoginError;

/// Minor version of protocol 3 from which on the server signs nothing; above it the server
/// tells the iteration count.
const SIGNED_BELOW: u16 = 50;

/// What the server means when it does not tell the iteration count.
const DEFAULT_ITERATIONS: u32 = 10_000;

/// The largest `auth_iteration_count` that a server can be given: a false count must not keep
/// the program busy for hours.
const MOST_ITERATIONS: u32 = 134_217_728;

/// `password_stored_method` of a sha256 password.
const SHA256_METHOD: i32 = 2;

/// The `password_stored_method`s that are known; PostgreSQL's list of SASL mechanisms, which
/// has the same code, begins with text.
const METHODS: std::ops::RangeInclusive<i32> = 0..=7;

/// The end of a stored sha256 password: [`DEFAULT_ITERATIONS`] as the server encodes it.
const STORED_ITERATIONS: &[u8] = b"ecdfecefade";

/// A message of kind `R`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// The server is content.
    Ok,
    /// The server wants a proof of the password.
    Challenge(Challenge),
}

/// What the proof is made of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// Code 5, as PostgreSQL has it.
    Md5 { salt: [u8; 4] },
    /// Code 10.
    Sha256 {
        salt: [u8; 32],
        token: [u8; 4],
        iterations: u32,
        signature: Option<[u8; 32]>,
    },
    /// Code 11: md5 in `pg_hba.conf`, a sha256 password stored.
    Md5OfSha256 { salt: Hex64, md5_salt: [u8; 4] },
}

/// 32 bytes as the hex digits that were sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hex64 {
    digits: [u8; 64],
    bytes: [u8; 32],
}

/// What the answer to code 11 is the md5 of: the description of the protocol that works on
/// openGauss 6.0 and the server's `crypt.cpp` do not say the same. openGauss's JDBC driver
/// (`MD5Digest.MD5_SHA256encode`) has a third: salt and both keys, without the iterations.
///
/// It is not tried: each answer that does not fit counts as a wrong password, and an account is
/// locked after `failed_login_attempts` of them, ten by default. With these two a password that
/// is wrong costs two of the ten at each attempt to connect, and one that is right none or one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Md5Form {
    /// Server key and stored key.
    Keys,
    /// Everything behind "sha256" in the stored password: salt, both keys, iterations.
    Stored,
}

impl Md5Form {
    /// In the order in which they are tried.
    pub(super) const ALL: [Self; 2] = [Self::Keys, Self::Stored];
}

impl Request {
    /// Reads the body of a message of kind `R`; `minor` is the minor version that the client
    /// has named.
    pub(super) fn parse(mut body: &[u8], minor: u16) -> Result<Self, LoginError> {
        let rest = &mut body;
        let request = match i32::from_be_bytes(take(rest)?) {
            0 => Self::Ok,
            5 => Self::Challenge(Challenge::Md5 { salt: take(rest)? }),
            10 => Self::Challenge(sha256(rest, minor)?),
            11 => Self::Challenge(Challenge::Md5OfSha256 {
                salt: Hex64::take(rest)?,
                md5_salt: take(rest)?,
            }),
            13 => return Err(LoginError::Sm3),
            2..=4 | 6..=9 => return Err(LoginError::NotOpenGauss),
            code => return Err(LoginError::Code { code }),
        };
        if !rest.is_empty() {
            return Err(LoginError::Damaged {
                what: "an authentication request is too long",
            });
        }
        Ok(request)
    }
}

/// The body of code 10 behind the code.
fn sha256(rest: &mut &[u8], minor: u16) -> Result<Challenge, LoginError> {
    let method = i32::from_be_bytes(take(rest)?);
    if !METHODS.contains(&method) {
        return Err(LoginError::NotOpenGauss);
    }
    if method != SHA256_METHOD {
        return Err(LoginError::Method { method });
    }
    let salt = Hex64::take(rest)?.bytes;
    let token = unhex(&take::<8>(rest)?)?;
    let mut signature = None;
    let mut iterations = DEFAULT_ITERATIONS;
    match minor.cmp(&SIGNED_BELOW) {
        Ordering::Less => signature = Some(Hex64::take(rest)?.bytes),
        Ordering::Equal => {}
        Ordering::Greater => iterations = u32::from_be_bytes(take(rest)?),
    }
    if !(1..=MOST_ITERATIONS).contains(&iterations) {
        return Err(LoginError::Damaged {
            what: "the iteration count is out of range",
        });
    }
    Ok(Challenge::Sha256 {
        salt,
        token,
        iterations,
        signature,
    })
}

impl Challenge {
    /// The text to send; `form` counts for code 11 only.
    pub(super) fn answer(
        &self,
        user: &[u8],
        password: &[u8],
        form: Md5Form,
    ) -> Result<String, LoginError> {
        match self {
            Self::Md5 { salt } => {
                let stored = md5_hex(&[password, user]);
                Ok(format!("md5{}", md5_hex(&[stored.as_bytes(), salt])))
            }
            Self::Sha256 {
                salt,
                token,
                iterations,
                signature,
            } => {
                let keys = Keys::derive(password, salt, *iterations);
                if signature.is_some_and(|signature| signature != hmac(&keys.server, token)) {
                    return Err(LoginError::Signature);
                }
                Ok(hex(&keys.proof(token)))
            }
            Self::Md5OfSha256 { salt, md5_salt } => {
                let keys = Keys::derive(password, &salt.bytes, DEFAULT_ITERATIONS);
                let (server, stored) = (hex(&keys.server), hex(&keys.stored));
                let (server, stored) = (server.as_bytes(), stored.as_bytes());
                let digest = match form {
                    Md5Form::Keys => md5_hex(&[server, stored, md5_salt]),
                    Md5Form::Stored => md5_hex(&[
                        &salt.digits[..],
                        server,
                        stored,
                        STORED_ITERATIONS,
                        md5_salt,
                    ]),
                };
                Ok(format!("md5{digest}"))
            }
        }
    }
}

/// What a password is made into.
struct Keys {
    client: [u8; 32],
    server: [u8; 32],
    stored: [u8; 32],
}

impl Keys {
    fn derive(password: &[u8], salt: &[u8; 32], iterations: u32) -> Self {
        let mut key = [0; 32];
        pbkdf2::pbkdf2_hmac::<Sha1>(password, salt, iterations, &mut key);
        let client = hmac(&key, b"Client Key");
        Self {
            client,
            // Not a slip of ours: the server's constant reads so.
            server: hmac(&key, b"Sever Key"),
            stored: Sha256::digest(client).into(),
        }
    }

    fn proof(&self, token: &[u8; 4]) -> [u8; 32] {
        let mut proof = hmac(&self.stored, token);
        for (byte, key) in proof.iter_mut().zip(self.client) {
            *byte ^= key;
        }
        proof
    }
}

fn hmac(key: &[u8; 32], data: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key may have any length");
    mac.update(data);
    mac.finalize().into_bytes().into()
}

fn md5_hex(parts: &[&[u8]]) -> String {
    let mut md5 = Md5::new();
    for part in parts {
        md5.update(part);
    }
    hex(md5.finalize().as_slice())
}

/// The next `N` bytes.
fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], LoginError> {
    let (bytes, behind) = rest.split_first_chunk::<N>().ok_or(LoginError::Damaged {
        what: "an authentication request is too short",
    })?;
    *rest = behind;
    Ok(*bytes)
}

impl Hex64 {
    fn take(rest: &mut &[u8]) -> Result<Self, LoginError> {
        let digits = take::<64>(rest)?;
        let bytes = unhex(&digits)?;
        Ok(Self { digits, bytes })
    }
}

/// `N` bytes from `2 * N` hex digits.
fn unhex<const N: usize>(digits: &[u8]) -> Result<[u8; N], LoginError> {
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        for &digit in pair {
            let value = char::from(digit)
                .to_digit(16)
                .and_then(|value| u8::try_from(value).ok())
                .ok_or(LoginError::Damaged {
                    what: "hex digits of an authentication request are none",
                })?;
            *byte = (*byte << 4) | value;
        }
    }
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}
