//! Asks the instances behind a name, each on its own address: `GET /api/v1/stats`.
//!
//! Plain HTTP/1.1, as the admin listener speaks it. Bounded in time and bytes. Whoever does not answer as Tidegate does is
//! not there.

use crate::base::Secret;
use crate::companion::gateways::stats::InstanceStats;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// For a name, and for the whole of an answer.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Bytes of an answer: it takes 2 KiB.
const BODY_BYTES_MAX: usize = 64 << 10;

/// Addresses of one name.
const ADDRESSES_MAX: usize = 256;

/// Where an admin listener is: `HOST:PORT`, as the configuration has checked it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    host: String,
    port: u16,
}

impl Place {
    /// Reads one; `None` for what is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let authority: http::uri::Authority = text.parse().ok()?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16()?;
        (!text.contains('@') && !host.is_empty()).then_some(Self { host, port })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{open}{}{close}:{}", self.host, self.port)
    }
}

/// What each address of the name says, `None` where it says nothing of use. Empty where the name leads nowhere.
///
/// A name of several instances (a headless Service of Kubernetes) leads to all of them. One that has addresses of both
/// families has each instance twice: IPv6 is asked where nobody answers by IPv4.
pub(super) async fn ask(
    place: &Place,
    token: Option<&Secret>,
) -> BTreeMap<SocketAddr, Option<InstanceStats>> {
    let found =
        tokio::time::timeout(TIMEOUT, tokio::net::lookup_host((place.host.as_str(), place.port))).await;
    let found: Vec<SocketAddr> = match found {
        Ok(Ok(addresses)) => addresses.take(ADDRESSES_MAX).collect(),
        Ok(Err(error)) => {
            tracing::debug!(gateway = %place, %error, "the name leads nowhere");
            Vec::new()
        }
        Err(_elapsed) => Vec::new(),
    };
    let (v4, v6): (Vec<SocketAddr>, Vec<SocketAddr>) = found.into_iter().partition(SocketAddr::is_ipv4);
    let first = ask_all(v4, token).await;
    if first.values().any(Option::is_some) || v6.is_empty() {
        return first;
    }
    ask_all(v6, token).await
}

async fn ask_all(
    addresses: Vec<SocketAddr>,
    token: Option<&Secret>,
) -> BTreeMap<SocketAddr, Option<InstanceStats>> {
    let mut answers: BTreeMap<SocketAddr, Option<InstanceStats>> =
        addresses.iter().map(|address| (*address, None)).collect();
    let mut asking = JoinSet::new();
    for address in answers.keys().copied() {
        let token = token.cloned();
        asking.spawn(async move { (address, ask_one(address, token.as_ref()).await) });
    }
    while let Some(asked) = asking.join_next().await {
        if let Ok((address, stats)) = asked {
            answers.insert(address, stats);
        }
    }
    answers
}

async fn ask_one(address: SocketAddr, token: Option<&Secret>) -> Option<InstanceStats> {
    let exchanged = tokio::time::timeout(TIMEOUT, exchange(address, token)).await;
    let says = match exchanged {
        Ok(Ok(body)) => match serde_json::from_slice(&body) {
            Ok(stats) => return Some(stats),
            Err(error) => format!("no statistics of Tidegate: {error}"),
        },
        Ok(Err(says)) => says,
        Err(_elapsed) => "no answer within a second".to_owned(),
    };
    tracing::debug!(gateway = %address, says, "a gateway tells nothing");
    None
}

async fn exchange(address: SocketAddr, token: Option<&Secret>) -> Result<Bytes, String> {
    let told = |error: &dyn fmt::Display| error.to_string();
    let mut request = Request::get("/api/v1/stats").header(header::HOST, address.to_string());
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose()));
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| told(&error))?;
    let stream = TcpStream::connect(address).await.map_err(|error| told(&error))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| told(&error))?;
    let answer = async {
        let answer = sender.send_request(request).await.map_err(|error| told(&error))?;
        if answer.status() != StatusCode::OK {
            return Err(format!("the answer is {}", answer.status()));
        }
        let body = Limited::new(answer.into_body(), BODY_BYTES_MAX).collect().await;
        body.map(http_body_util::Collected::to_bytes).map_err(|error| told(&error))
    };
    // The connection only moves bytes: what its end means is for the answer to say.
    let moving = async {
        drop(connection.await);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = answer => answer,
        () = moving => Err(String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_admin_listener_is_named_by_host_and_port() {
        let shown = |text: &str| Place::parse(text).map(|place| place.to_string());
        for place in ["127.0.0.1:9901", "gate.svc:9901", "[::1]:9901"] {
            assert_eq!(shown(place).as_deref(), Some(place));
        }
        for odd in ["http://a:1", "a", ":1", "u@a:1", "a:1/b", "a b:1", ""] {
            assert_eq!(shown(odd), None, "{odd}");
        }
    }
}
