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

/// What a gateway says of itself, or why that is nothing of use: for the operator.
pub(super) type Answer = Result<InstanceStats, String>;

/// What each address of the name says.
///
/// A name of several instances (a headless Service of Kubernetes) leads to all of them. One that has addresses of both
/// families has each instance twice: IPv6 is asked where nobody answers by IPv4.
///
/// # Errors
/// Why the name leads nowhere.
pub(super) async fn ask(
    place: &Place,
    token: Option<&Secret>,
) -> Result<BTreeMap<SocketAddr, Answer>, String> {
    let found =
        tokio::time::timeout(TIMEOUT, tokio::net::lookup_host((place.host.as_str(), place.port))).await;
    let found: Vec<SocketAddr> = match found {
        Ok(Ok(addresses)) => addresses.take(ADDRESSES_MAX).collect(),
        Ok(Err(error)) => return Err(format!("the name leads nowhere: {error}")),
        Err(_elapsed) => return Err("the name is not resolved within a second".to_owned()),
    };
    if found.is_empty() {
        return Err("the name leads nowhere".to_owned());
    }
    let (v4, v6): (Vec<SocketAddr>, Vec<SocketAddr>) = found.into_iter().partition(SocketAddr::is_ipv4);
    let first = ask_all(v4, token).await;
    if first.values().any(Result::is_ok) || v6.is_empty() {
        return Ok(first);
    }
    Ok(ask_all(v6, token).await)
}

async fn ask_all(addresses: Vec<SocketAddr>, token: Option<&Secret>) -> BTreeMap<SocketAddr, Answer> {
    let mut answers = BTreeMap::new();
    let mut asking = JoinSet::new();
    for address in addresses {
        let token = token.cloned();
        // What a task that panics would have said stays behind.
        answers.insert(address, Err("it was not asked to the end".to_owned()));
        asking.spawn(async move { (address, ask_one(address, token.as_ref()).await) });
    }
    while let Some(asked) = asking.join_next().await {
        if let Ok((address, answer)) = asked {
            answers.insert(address, answer);
        }
    }
    answers
}

async fn ask_one(address: SocketAddr, token: Option<&Secret>) -> Answer {
    let exchanged = tokio::time::timeout(TIMEOUT, exchange(address, token)).await;
    match exchanged {
        Ok(Ok(body)) => serde_json::from_slice(&body).map_err(|error| {
            // Another error each time would be told each time.
            tracing::debug!(gateway = %address, %error, "no statistics of Tidegate");
            "the answer is no statistics of Tidegate: name its admin listener".to_owned()
        }),
        Ok(Err(says)) => Err(says),
        Err(_elapsed) => Err("no answer within a second".to_owned()),
    }
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
            return Err(refused(answer.status(), token.is_some()));
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

/// An answer that is no success, with what to do about it where that is known.
fn refused(status: StatusCode, has_token: bool) -> String {
    let remedy = match (status, has_token) {
        (StatusCode::UNAUTHORIZED, false) => ": set `dashboard.gateway_token`",
        (StatusCode::UNAUTHORIZED, true) => ": `dashboard.gateway_token` is another than its `admin.token`",
        _ => "",
    };
    format!("the answer is {status}{remedy}")
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
