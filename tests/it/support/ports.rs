//! Free ports for servers that are told where to listen, and may come back there after a while.
//!
//! From below the range from which the system gives ports to everybody who asks for any: a port that is free for the moment
//! between a server's end and its return must not go to a connection or a listener of another test.

use std::net::TcpListener;

/// Below `net.ipv4.ip_local_port_range` of Linux (32768 and up), above what services of a machine listen on.
const RANGE: std::ops::Range<u16> = 10_000..32_000;

/// A port on which nobody listens, held until it is dropped.
pub(crate) fn hold() -> TcpListener {
    loop {
        // By chance: tests are processes of their own, and know nothing of each other.
        if let Ok(held) = TcpListener::bind(("127.0.0.1", rand::random_range(RANGE))) {
            return held;
        }
    }
}

/// The port of a held one.
pub(crate) fn number(held: &TcpListener) -> u16 {
    held.local_addr().expect("an address").port()
}

/// A port on which nobody listens.
pub(crate) fn free() -> u16 {
    number(&hold())
}
