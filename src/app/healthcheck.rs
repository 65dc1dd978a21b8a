//! `tidegate healthcheck`: asks the admin listener of a running instance, for container health checks.
//!
//! One request over a plain socket: an image needs no curl.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::app::client::reachable;

/// For connecting, and for each read and write.
const PATIENCE: Duration = Duration::from_secs(3);

/// As much of the answer as the status line can need.
const HEAD_BYTES_MAX: u64 = 1_024;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Does it take traffic?
    Ready,
    /// Is the process alive?
    Alive,
}

impl Question {
    fn path(self) -> &'static str {
        match self {
            Self::Ready => "/readyz",
            Self::Alive => "/healthz",
        }
    }
}

/// Why an instance is not well.
#[derive(Debug, thiserror::Error)]
pub enum Unwell {
    /// Nobody answers.
    #[error("no answer from http://{address}{path}: {source}")]
    Silent {
        /// Who was asked.
        address: SocketAddr,
        /// What was asked.
        path: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// Somebody answers, but not 200.
    #[error("http://{address}{path} answers {status:?}")]
    Refused {
        /// Who was asked.
        address: SocketAddr,
        /// What was asked.
        path: &'static str,
        /// The status line.
        status: String,
    },
}

/// Asks the admin listener at `address`; an unspecified address is asked on loopback.
///
/// # Errors
/// [`Unwell`] unless the answer is 200.
pub fn ask(address: SocketAddr, question: Question) -> Result<(), Unwell> {
    let (address, path) = (reachable(address), question.path());
    let status = status_line(address, path).map_err(|source| Unwell::Silent { address, path, source })?;
    if status.split(' ').nth(1) == Some("200") {
        return Ok(());
    }
    Err(Unwell::Refused { address, path, status })
}

fn status_line(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut head = Vec::new();
    stream.take(HEAD_BYTES_MAX).read_to_end(&mut head)?;
    let text = String::from_utf8_lossy(&head);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Answers one connection with `answer`, whatever it asks.
    fn once(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("0.0.0.0:0").expect("a free port");
        let address = listener.local_addr().expect("is bound");
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("the test connects");
            let mut head = [0; 256];
            let length = stream.read(&mut head).expect("a request");
            assert!(head[..length].starts_with(b"GET /readyz HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).expect("the test reads");
        });
        address
    }

    #[test]
    fn only_200_is_well() {
        assert!(ask(once("HTTP/1.1 200 OK\r\n\r\n"), Question::Ready).is_ok());
        let draining = ask(once("HTTP/1.1 503 Service Unavailable\r\n\r\n"), Question::Ready);
        assert!(
            draining.expect_err("not ready").to_string().ends_with("\"HTTP/1.1 503 Service Unavailable\"")
        );
        assert!(matches!(ask(once("nonsense"), Question::Ready), Err(Unwell::Refused { .. })));
    }

    #[test]
    fn a_closed_port_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("is bound");
        drop(listener);
        let says = ask(address, Question::Alive).expect_err("nobody there").to_string();
        assert!(says.starts_with(&format!("no answer from http://{address}/healthz: ")), "{says}");
    }
}
