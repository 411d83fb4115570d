//! The proxy forwards, cuts, stalls and delays.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use testkit::{Flavor, MysqlServer, Proxy};

/// A server that sends back what it gets; it ends with the test process.
fn echo_server() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut output = stream.try_clone().unwrap();
                let _ = std::io::copy(&mut stream, &mut output);
            });
        }
    });
    address
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
}

fn echo(stream: &mut TcpStream, text: &str) -> std::io::Result<()> {
    stream.write_all(text.as_bytes())?;
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer)?;
    assert_eq!(answer, text.as_bytes());
    Ok(())
}

#[test]
fn a_cut_ends_connections_and_refuses_new_ones_until_resumed() {
    let proxy = Proxy::start(echo_server());
    let mut stream = connect(&proxy);
    echo(&mut stream, "hello").unwrap();

    proxy.cut();
    assert!(echo(&mut stream, "again").is_err());
    assert!(TcpStream::connect(proxy.address()).is_err());
    proxy.cut();

    proxy.resume();
    echo(&mut connect(&proxy), "hello").unwrap();
    proxy.cut();
    proxy.resume();
    echo(&mut connect(&proxy), "hello").unwrap();
}

#[test]
fn a_reset_ends_connections_only() {
    let proxy = Proxy::start(echo_server());
    let mut stream = connect(&proxy);
    echo(&mut stream, "hello").unwrap();
    proxy.reset();
    assert!(echo(&mut stream, "again").is_err());
    echo(&mut connect(&proxy), "hello").unwrap();
}

#[test]
fn a_stall_holds_bytes_back_and_loses_none() {
    let proxy = Proxy::start(echo_server());
    let mut stream = connect(&proxy);
    echo(&mut stream, "hello").unwrap();

    proxy.stall();
    stream.write_all(b"held").unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let mut answer = [0; 4];
    assert!(stream.read_exact(&mut answer).is_err());

    proxy.resume();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"held");
}

#[test]
fn a_delay_counts_in_both_directions() {
    let proxy = Proxy::start(echo_server());
    let mut stream = connect(&proxy);
    proxy.delay(Duration::from_millis(100));
    let start = Instant::now();
    echo(&mut stream, "late").unwrap();
    assert!(start.elapsed() >= Duration::from_millis(200));
}

#[test]
fn a_megabyte_and_the_end_of_the_stream_pass() {
    let proxy = Proxy::start(echo_server());
    let mut stream = connect(&proxy);
    let data = vec![7_u8; 1 << 20];
    let mut writer = stream.try_clone().unwrap();
    let sent = data.clone();
    let sender = thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    sender.join().unwrap();
    assert!(received == data);
}

#[test]
fn a_server_behind_a_proxy_is_reached_through_it() {
    let server = MysqlServer::start_default(Flavor::MariaDb1011);
    let proxy = Proxy::to_port(server.port());
    let options = || {
        mysql::OptsBuilder::new()
            .ip_or_hostname(Some("127.0.0.1"))
            .tcp_port(proxy.port())
            .user(Some("root"))
            .prefer_socket(false)
    };
    let mut connection = mysql::Conn::new(options()).unwrap();
    connection.ping().unwrap();
    proxy.cut();
    assert!(connection.ping().is_err());
    assert!(mysql::Conn::new(options()).is_err());
}

#[test]
fn an_answer_is_lost_after_the_server_has_given_it() {
    let (sender, received) = std::sync::mpsc::channel();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, sender) = (stream.unwrap(), sender.clone());
            thread::spawn(move || {
                let mut request = [0; 6];
                while stream.read_exact(&mut request).is_ok() {
                    sender.send(request).unwrap();
                    let _ = stream.write_all(&request);
                }
            });
        }
    });
    let proxy = Proxy::start(address);
    proxy.lose_answer_to(b"commit");
    let mut stream = connect(&proxy);
    echo(&mut stream, "select").unwrap();
    assert!(echo(&mut stream, "commit").is_err());
    assert_eq!(proxy.answers_lost(), 1);
    assert_eq!(
        received.try_iter().collect::<Vec<_>>(),
        [*b"select", *b"commit"]
    );
    // Once.
    echo(&mut connect(&proxy), "commit").unwrap();
}
