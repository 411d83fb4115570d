//! Known answers, and bodies that are damaged at every byte.
//!
//! The constants are what this prints (python3):
//!
//! ```text
//! import hashlib as h, hmac
//! def mac(k, d): return hmac.new(k, d, 'sha256').digest()
//! def md5(d): return h.md5(d).hexdigest().encode()
//! password, user = b'Gauss_123', b'loader'
//! salt = bytes(range(32)).hex().encode(); token = 'a1b2c3d4'; four = bytes([1, 2, 0xfe, 0xff])
//! for n in (10000, 2048):
//!     k = h.pbkdf2_hmac('sha1', password, bytes.fromhex(salt.decode()), n, 32)
//!     sever, client = mac(k, b'Sever Key'), mac(k, b'Client Key')
//!     stored = h.sha256(client).digest()
//!     proof = bytes(a ^ b for a, b in zip(mac(stored, bytes.fromhex(token)), client))
//!     print(n, 'answer', proof.hex()); print(n, 'signature', mac(sever, bytes.fromhex(token)).hex())
//!     keys = (sever.hex() + stored.hex()).encode()
//!     print(n, 'keys md5' + md5(keys + four).decode())
//!     print(n, 'stored md5' + md5(salt + keys + b'ecdfecefade' + four).decode())
//! print('md5' + md5(md5(password + user) + four).decode())
//! ```

use super::super::LoginError;
use super::super::login::{Md5Form, Request};
use super::PASSWORD;
use super::server;

pub(super) const USER: &str = "loader";
pub(super) const TOKEN: &str = "a1b2c3d4";
pub(super) const MD5_SALT: [u8; 4] = [1, 2, 0xfe, 0xff];
pub(super) const SIGNATURE: &str =
    "64263596ed4da9906d3d67e89bea76d7619ee0c7a908055d0b51c17ad579fdd0";
pub(super) const ANSWER: &str = "8951c4e71388161addedfddb818cbd2190117e39aabfc5b40cf9b80a5301b6f9";
pub(super) const ANSWER_2048: &str =
    "eee7217475438c8cc53e0e1a23e29db8e58e34cb4c88b1eba338b7c9fb1397bd";
pub(super) const ANSWER_MD5: &str = "md5038a7d7af9f4f325c12e956d4cdb416e";
pub(super) const ANSWER_KEYS: &str = "md5ede3ed8da5d7efc81ea0012642e56fd3";
pub(super) const ANSWER_STORED: &str = "md5a0759c89740a2a447bd3657e6e51cd88";

/// The hex digits of bytes 0 to 31.
pub(super) fn salt() -> Vec<u8> {
    let digits: String = (0..32).map(|byte| format!("{byte:02x}")).collect();
    digits.into_bytes()
}

fn answer(
    message: &[u8],
    minor: u16,
    password: &[u8],
    form: Md5Form,
) -> Result<String, LoginError> {
    match Request::parse(&message[5..], minor)? {
        Request::Ok => panic!("no challenge"),
        Request::Challenge(challenge) => challenge.answer(USER.as_bytes(), password, form),
    }
}

#[test]
fn answers_are_those_computed_elsewhere() {
    let ours =
        |message: Vec<u8>, minor, form| answer(&message, minor, PASSWORD.as_bytes(), form).unwrap();
    let [keys, stored] = Md5Form::ALL;
    let md5 = server::request(5, &MD5_SALT);
    assert_eq!(ours(md5, 0, keys), ANSWER_MD5);
    for (minor, iterations, expected) in [
        (0, 10_000, ANSWER),
        (50, 10_000, ANSWER),
        (51, 10_000, ANSWER),
        (51, 2_048, ANSWER_2048),
    ] {
        let message = server::sha256(minor, iterations);
        assert_eq!(ours(message, minor, keys), expected, "{minor}");
    }
    assert_eq!(ours(server::md5_of_sha256(), 51, keys), ANSWER_KEYS);
    assert_eq!(ours(server::md5_of_sha256(), 51, stored), ANSWER_STORED);
}

/// What a real server has sent, from the tests of another client.
#[test]
fn the_signature_of_a_real_server_is_verified() {
    let message = |last: u8| {
        let body = [
            &2_i32.to_be_bytes()[..],
            b"ee08c1c27a10fa328b74ed6831368b0ea3f0911ce52ac4ac3d1b5b85f9394077",
            b"24ca4686",
            b"33a1a6bedf3c8fa2fcab344e1c8f0feaeb4bfd894faf5dac749c9787367f54c",
            &[last],
        ];
        server::request(10, &body.concat())
    };
    let form = Md5Form::Keys;
    assert!(answer(&message(b'e'), 0, b"QB!vdjmLRueEZ6", form).is_ok());
    for (last, password) in [(b'f', "QB!vdjmLRueEZ6"), (b'e', "QB!vdjmLRueEZ7")] {
        let refused = answer(&message(last), 0, password.as_bytes(), form);
        assert!(matches!(refused, Err(LoginError::Signature)));
    }
}

#[test]
fn a_body_that_is_damaged_at_any_byte_is_an_error_or_another_request() {
    for (message, minor) in [
        (server::request(0, &[]), 51),
        (server::request(5, &MD5_SALT), 51),
        (server::sha256(0, 10_000), 0),
        (server::sha256(50, 10_000), 50),
        (server::sha256(51, 10_000), 51),
        (server::md5_of_sha256(), 51),
    ] {
        let body = &message[5..];
        assert!(Request::parse(body, minor).is_ok());
        for length in 0..body.len() {
            assert!(Request::parse(&body[..length], minor).is_err());
        }
        let longer = [body, &[0]].concat();
        assert!(Request::parse(&longer, minor).is_err());
        for at in 0..body.len() {
            for byte in 0..=u8::MAX {
                let mut damaged = body.to_vec();
                damaged[at] = byte;
                // No assertion but that it returns: a changed digit may be a request too.
                let _ = Request::parse(&damaged, minor);
            }
        }
    }
}
