//! The login against a server of the test's own, through the real client, up to a query.

mod server;
mod vectors;

use super::*;
use crate::pg::conninfo::Environment;
use crate::pg::{connect, connect_target};
use server::{Behaviour, Certificate, HangUp, Request, Saw, Server};

const PASSWORD: &str = "Gauss_123";

fn conninfo(keywords: &str) -> Conninfo {
    let text = format!("dbname=shop user=loader connect_timeout=5 {keywords}");
    Conninfo::parse(&text, None, &Environment::default()).unwrap()
}

fn at(server: &Server, password: &str, more: &str) -> Conninfo {
    let port = server.port;
    conninfo(&format!(
        "host=127.0.0.1 port={port} password={password} {more}"
    ))
}

fn asks(mut client: Client) {
    let rows = client.simple_query("select 'it works'").unwrap();
    let row = rows.iter().find_map(|message| {
        if let postgres::SimpleQueryMessage::Row(row) = message {
            row.get(0)
        } else {
            None
        }
    });
    assert_eq!(row, Some("it works"));
}

/// What the target's connection says when it fails.
fn fails(conninfo: &Conninfo) -> (ErrorClass, String) {
    match connect_target(conninfo, "test") {
        Ok(_) => panic!("logged in"),
        Err(error) => (error.class(), chain(&error)),
    }
}

/// Our way, without the ordinary one before.
fn straight(target: &Conninfo, minor: u16) -> Result<Option<Client>, PgError> {
    log_in(target, &over_tcp(&target.config).unwrap(), minor)
}

fn minors(saw: &[Saw]) -> Vec<u16> {
    saw.iter().map(|saw| saw.minor).collect()
}

#[test]
fn sha256_is_answered_after_the_ordinary_way_has_failed() {
    for sslmode in ["disable", "prefer"] {
        let server = Server::start(vec![Behaviour::asking(Request::Sha256); 2]);
        let target = at(&server, PASSWORD, &format!("sslmode={sslmode}"));
        asks(connect_target(&target, "mysql2gp test").unwrap());
        let saw = server.finish();
        assert_eq!(minors(&saw), [0, MINOR_VERSION]);
        let ours = &saw[1];
        assert_eq!(ours.parameter("user"), Some("loader"));
        assert_eq!(ours.parameter("database"), Some("shop"));
        assert_eq!(ours.parameter("client_encoding"), Some("UTF8"));
        assert_eq!(ours.parameter("application_name"), Some("mysql2gp test"));
        assert_eq!(saw[0].parameters, ours.parameters);
    }
}

#[test]
fn sha256_is_answered_for_each_minor_version() {
    for minor in [0, 3, 49, 50, 51, 52] {
        for iterations in [10_000, 2_048] {
            if minor <= 50 && iterations != 10_000 {
                continue;
            }
            let behaviour = Behaviour {
                iterations,
                ..Behaviour::asking(Request::Sha256)
            };
            let server = Server::start(vec![behaviour]);
            let target = at(&server, PASSWORD, "sslmode=disable");
            asks(straight(&target, minor).unwrap().unwrap());
            assert_eq!(minors(&server.finish()), [minor]);
        }
    }
}

#[test]
fn a_wrong_password_is_a_matter_of_usage() {
    for (request, connections) in [
        (Request::Md5, 1),
        (Request::Sha256, 2),
        (Request::Md5OfSha256Keys, 3),
    ] {
        let server = Server::start(vec![Behaviour::asking(request); connections]);
        let (class, text) = fails(&at(&server, "guess", ""));
        assert_eq!(class, ErrorClass::Usage, "{text}");
        assert!(text.contains("login denied. (SQLSTATE 28P01)"), "{text}");
        assert!(!text.contains("guess"), "{text}");
        assert_eq!(server.finish().len(), connections);
    }
}

#[test]
fn a_server_that_does_not_know_the_password_is_given_no_proof() {
    let server = Server::start(vec![Behaviour::asking(Request::Sha256)]);
    let target = at(&server, "guess", "");
    let Err(error) = straight(&target, 0) else {
        panic!("logged in")
    };
    assert_eq!(error.class(), ErrorClass::Usage);
    assert!(chain(&error).contains("signature does not fit"), "{error}");
    assert_eq!(server.finish()[0].answer, None);
}

#[test]
fn md5_goes_the_ordinary_way() {
    let server = Server::start(vec![Behaviour::asking(Request::Md5)]);
    asks(connect_target(&at(&server, PASSWORD, ""), "test").unwrap());
    assert_eq!(minors(&server.finish()), [0]);
    // And ours, where the server changes its mind in between.
    let server = Server::start(vec![
        Behaviour::asking(Request::Sha256),
        Behaviour::asking(Request::Md5),
    ]);
    asks(connect_target(&at(&server, PASSWORD, ""), "test").unwrap());
    assert_eq!(minors(&server.finish()), [0, MINOR_VERSION]);
}

#[test]
fn md5_of_sha256_is_answered_in_either_form() {
    for (request, connections) in [(Request::Md5OfSha256Keys, 2), (Request::Md5OfSha256, 3)] {
        let server = Server::start(vec![Behaviour::asking(request); connections]);
        asks(connect_target(&at(&server, PASSWORD, ""), "test").unwrap());
        assert_eq!(server.finish().len(), connections);
    }
}

#[test]
fn trust_needs_no_password() {
    let server = Server::start(vec![Behaviour::asking(Request::None)]);
    let port = server.port;
    let target = conninfo(&format!("host=127.0.0.1 port={port}"));
    asks(connect_target(&target, "test").unwrap());
    assert_eq!(minors(&server.finish()), [0]);
    let server = Server::start(vec![Behaviour::asking(Request::None)]);
    let target = at(&server, PASSWORD, "");
    asks(straight(&target, 51).unwrap().unwrap());
    server.finish();
}

#[test]
fn other_logins_are_refused_by_name() {
    for (code, words) in [
        (13, "asks for sm3 (code 13)"),
        (12, "authentication code 12"),
        (14, "authentication code 14"),
        (-1, "authentication code -1"),
    ] {
        let request = Request::Raw(server::request(code, &[]));
        let server = Server::start(vec![Behaviour::asking(request)]);
        let target = at(&server, PASSWORD, "");
        let Err(error) = straight(&target, 51) else {
            panic!("logged in")
        };
        assert_eq!(error.class(), ErrorClass::Operator);
        assert!(chain(&error).contains(words), "{error}");
        server.finish();
    }
    // And from the ordinary way on.
    let request = Request::Raw(server::request(13, &[0, 0, 0, 3]));
    let server = Server::start(vec![Behaviour::asking(request); 2]);
    let (class, text) = fails(&at(&server, PASSWORD, ""));
    assert_eq!(class, ErrorClass::Operator);
    assert!(text.contains("sm3"), "{text}");
    server.finish();
    let request = Request::Raw(server::request(10, &[0, 0, 0, 1, 9, 9, 9, 9]));
    let server = Server::start(vec![Behaviour::asking(request); 2]);
    let (class, text) = fails(&at(&server, PASSWORD, ""));
    assert_eq!(class, ErrorClass::Operator);
    assert!(text.contains("by method 1, not as sha256"), "{text}");
    server.finish();
}

#[test]
fn without_a_password_the_operator_is_told() {
    let server = Server::start(vec![Behaviour::asking(Request::Md5OfSha256); 2]);
    let port = server.port;
    let (class, text) = fails(&conninfo(&format!("host=127.0.0.1 port={port}")));
    assert_eq!(class, ErrorClass::Usage);
    assert!(
        text.contains("asks for a password, and there is none"),
        "{text}"
    );
    server.finish();
}

#[test]
fn a_server_that_hangs_up_is_unreachable() {
    for hang_up in HangUp::ALL {
        let server = Server::start(vec![
            Behaviour::asking(Request::Sha256),
            Behaviour {
                hang_up: Some(hang_up),
                ..Behaviour::asking(Request::Sha256)
            },
        ]);
        let (class, text) = fails(&at(&server, PASSWORD, "sslmode=disable"));
        assert_eq!(class, ErrorClass::Unreachable, "{hang_up:?}: {text}");
        assert_eq!(server.finish().len(), 2, "{hang_up:?}");
    }
}

#[test]
fn damaged_lengths_and_messages_are_errors() {
    let sha256 = server::sha256(51, 10_000);
    let with_length = |length: u32| [&b"R"[..], &length.to_be_bytes(), &sha256[5..]].concat();
    let too_long = [server::sha256(51, 10_000), vec![0]].concat();
    let too_long = server::framed(b'R', &too_long[5..]);
    for (bytes, words) in [
        (with_length(0), "the length of a message"),
        (with_length(3), "the length of a message"),
        (with_length(2_001), "the length of a message"),
        (with_length(u32::MAX), "the length of a message"),
        (with_length(4), "too short"),
        (with_length(20), "too short"),
        (server::sha256(0, 10_000), "iteration count"),
        (server::sha256(50, 10_000), "too short"),
        (too_long, "too long"),
        (server::sha256(51, 0), "iteration count"),
        (server::sha256(51, u32::MAX), "iteration count"),
        (server::request(11, &[b'x'; 68]), "hex digits"),
    ] {
        let server = Server::start(vec![
            Behaviour::asking(Request::Sha256),
            Behaviour::asking(Request::Raw(bytes)),
        ]);
        let (class, text) = fails(&at(&server, PASSWORD, ""));
        assert_eq!(class, ErrorClass::Operator, "{text}");
        assert!(text.contains(words), "{words}: {text}");
        assert_eq!(server.finish().len(), 2);
    }
}

#[test]
fn what_is_no_opengauss_keeps_the_ordinary_error() {
    // PostgreSQL's list of SASL mechanisms, of which none is known: one connection.
    let sasl = server::request(10, b"SCRAM-SHA-512\0\0");
    let server = Server::start(vec![Behaviour::asking(Request::Raw(sasl.clone()))]);
    let (class, text) = fails(&at(&server, PASSWORD, ""));
    assert_eq!(class, ErrorClass::Usage);
    assert!(text.contains("unsupported SASL mechanism"), "{text}");
    server.finish();
    // Something else altogether: two.
    for other in [
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        sasl,
        server::request(3, &[]),
        server::framed(b'E', b"SFATAL\0C0A000\0Munsupported frontend protocol\0\0"),
        server::framed(b'v', &[0, 3, 0, 0, 0, 0, 0, 0]),
    ] {
        let server = Server::start(vec![
            Behaviour::asking(Request::Raw(server::request(10, &[0; 8]))),
            Behaviour::asking(Request::Raw(other)),
        ]);
        let target = at(&server, PASSWORD, "");
        let (class, text) = fails(&target);
        assert_eq!(class, ErrorClass::Unreachable);
        assert!(
            text.contains("error parsing response from server"),
            "{text}"
        );
        assert_eq!(minors(&server.finish()), [0, MINOR_VERSION]);
    }
}

#[test]
fn staging_is_a_postgresql() {
    let server = Server::start(vec![Behaviour::asking(Request::Sha256)]);
    assert!(connect(&at(&server, PASSWORD, ""), "test").is_err());
    assert_eq!(minors(&server.finish()), [0]);
}

#[test]
fn the_host_may_be_one_of_several_or_an_address_but_no_directory() {
    let closed = Server::start(vec![]);
    let server = Server::start(vec![Behaviour::asking(Request::Sha256); 2]);
    let (first, second) = (server.port, closed.port);
    closed.finish();
    let target = conninfo(&format!(
        "host=127.0.0.1,127.0.0.1 port={first},{second} password={PASSWORD}"
    ));
    asks(connect_target(&target, "test").unwrap());
    server.finish();

    let server = Server::start(vec![Behaviour::asking(Request::Sha256); 2]);
    let port = server.port;
    let target = conninfo(&format!(
        "hostaddr=127.0.0.1 port={port} password={PASSWORD}"
    ));
    asks(connect_target(&target, "test").unwrap());
    server.finish();

    let directory = tempfile::tempdir().unwrap();
    let host = directory.path().display().to_string();
    let server = Server::at_socket(&host, vec![Behaviour::asking(Request::Sha256)]);
    let (class, text) = fails(&conninfo(&format!("host={host} password={PASSWORD}")));
    assert_eq!(class, ErrorClass::Usage);
    assert!(text.contains("name a host"), "{text}");
    server.finish();
}

#[test]
fn tls_is_used_where_sslmode_asks_for_it() {
    let certificate = Certificate::make();
    let root = certificate.path("ca.pem");
    for keywords in [
        "sslmode=prefer".to_owned(),
        "sslmode=require".to_owned(),
        format!("sslmode=verify-full sslrootcert={root}"),
    ] {
        let behaviour = Behaviour {
            tls: Some(certificate.config()),
            ..Behaviour::asking(Request::Sha256)
        };
        let server = Server::start(vec![behaviour; 2]);
        asks(connect_target(&at(&server, PASSWORD, &keywords), "test").unwrap());
        let saw = server.finish();
        assert!(saw.iter().all(|saw| saw.encrypted), "{keywords}");
        assert_eq!(minors(&saw), [0, MINOR_VERSION]);
    }
    // A server that stops to offer it.
    let offering = Behaviour {
        tls: Some(certificate.config()),
        ..Behaviour::asking(Request::Sha256)
    };
    let server = Server::start(vec![offering.clone()]);
    let target = at(&server, PASSWORD, "sslmode=disable");
    asks(straight(&target, 51).unwrap().unwrap());
    assert!(!server.finish()[0].encrypted);
    let server = Server::start(vec![offering, Behaviour::asking(Request::Sha256)]);
    let (class, text) = fails(&at(&server, PASSWORD, "sslmode=require"));
    assert_eq!(class, ErrorClass::Usage);
    assert!(text.contains("does not offer TLS"), "{text}");
    let saw = server.finish();
    assert_eq!(saw.len(), 2);
    assert!(saw[1].parameters.is_empty(), "nothing goes in the clear");
}

#[test]
fn a_server_that_is_away_stays_unreachable() {
    let closed = Server::start(vec![]);
    let port = closed.port;
    closed.finish();
    for target in [
        format!("host=127.0.0.1 port={port}"),
        format!("host=127.0.0.1,127.0.0.1 port={port}"),
        format!("host=localhost port={port}"),
        format!("hostaddr=127.0.0.1 port={port}"),
        "host=/nowhere".into(),
        "host=/nowhere,/nowhere".into(),
        format!("host=/{}", "long".repeat(40)),
    ] {
        let (class, text) = fails(&conninfo(&format!("{target} password={PASSWORD}")));
        assert_eq!(class, ErrorClass::Unreachable, "{target}: {text}");
        assert!(text.contains("error connecting to server"), "{text}");
    }
}
