//! Clients that hold connections without need are ended, and those that have a reason are not.

use crate::web::{BOUNDS, Bounds, WebServer};
use axum::Router;
use axum::routing::get;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(50);
const ASKS: &[u8] = b"GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn start(bounds: Bounds) -> WebServer {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    // More than the buffers of both sockets take.
    let large = || async { vec![b'x'; 64 << 20] };
    let router = Router::new().route("/small", get(|| async { "small" })).route("/large", get(large));
    WebServer::on_thread("web test", bounds, listener, router).expect("it starts")
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    stream
}

/// The status line and what else comes at once.
fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(ASKS).expect("it reads");
    let (mut text, mut buffer) = (String::new(), [0; 1_024]);
    while !text.ends_with("small") {
        let count = stream.read(&mut buffer).expect("an answer");
        assert!(count > 0, "it ended after {text:?}");
        text += &String::from_utf8_lossy(&buffer[..count]);
    }
    text
}

/// Ended, in one way or the other.
fn is_ended(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0]) {
        Ok(count) => count == 0,
        Err(error) => matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
    }
}

#[test]
fn a_client_that_does_not_read_its_answer_is_ended_and_another_takes_its_place() {
    let server = start(Bounds { connections: 1, write_timeout: SHORT, ..BOUNDS });
    let mut deaf = connect(server.address());
    deaf.write_all(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it reads");
    assert!(ask(&mut connect(server.address())).starts_with("HTTP/1.1 200"), "its turn comes");
    let mut rest = Vec::new();
    let ended = deaf.read_to_end(&mut rest);
    assert!(ended.is_err() || rest.len() < 64 << 20, "{} bytes", rest.len());
}

#[test]
fn a_client_that_reads_slowly_gets_all_of_its_answer() {
    let server = start(Bounds { write_timeout: Duration::from_secs(10), ..BOUNDS });
    let mut slow = connect(server.address());
    slow.write_all(b"GET /large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("it reads");
    std::thread::sleep(SHORT);
    let mut whole = Vec::new();
    slow.read_to_end(&mut whole).expect("an answer");
    assert!(whole.len() > 64 << 20, "{}", whole.len());
}

#[test]
fn who_never_asks_is_ended_long_before_who_has_asked_once() {
    let server = start(Bounds { first_head_timeout: 10 * SHORT, ..BOUNDS });
    let mut quiet = connect(server.address());
    ask(&mut quiet);
    for beginning in ["", "GET /small HTTP/1.1\r\nHost: loc"] {
        let mut silent = connect(server.address());
        silent.write_all(beginning.as_bytes()).expect("it listens");
        assert!(is_ended(&mut silent), "{beginning}");
    }
    assert!(ask(&mut quiet).starts_with("HTTP/1.1 200"), "it may be quiet for longer");
}

#[test]
fn one_peer_cannot_hold_all_connections() {
    let server = start(Bounds { connections_of_peer: 2, ..BOUNDS });
    let mut held = [connect(server.address()), connect(server.address())];
    held.iter_mut().for_each(|stream| drop(ask(stream)));
    assert!(is_ended(&mut connect(server.address())), "the third of the same peer");
    assert!(ask(&mut held[0]).starts_with("HTTP/1.1 200"));
}
