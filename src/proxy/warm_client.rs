//! One request of ours through the internal listener: an ordinary GET with a credential, read to its end and forgotten.

use crate::cache::{Site, WarmIdentity, Warmed};
use crate::proxy::internal::{Door, Errand, FIELD};
use crate::store::warming::WarmResult;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::future::pending;
use std::time::Duration;
use tokio::net::TcpStream;

/// A request that takes longer is given up. Upstreams have shorter bounds of their own.
const LONGEST: Duration = Duration::from_secs(120);

const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("tidegate/", env!("CARGO_PKG_VERSION"), " (warming)"));

/// What is asked.
pub(super) struct Ask<'a> {
    /// Where.
    pub(super) site: &'a Site,
    /// On whose behalf.
    pub(super) caller: Option<&'a WarmIdentity>,
    /// Fields of every such request.
    pub(super) fields: &'a [(HeaderName, HeaderValue)],
    /// Path, with `?query` where there is one.
    pub(super) target: &'a str,
    /// What for.
    pub(super) errand: Errand,
}

/// Asks, and says what came of it. Never fails: that is an outcome, too. The time is for the caller to measure.
///
/// Cancel safe: the request ends with its connection.
pub(super) async fn ask(door: &Door, ask: &Ask<'_>) -> WarmResult {
    let failed = |detail: String| {
        let (status, cache) = (None, None);
        WarmResult { warmed: Warmed::Failed, status, cache, detail: Some(detail), took_ms: 0 }
    };
    match tokio::time::timeout(LONGEST, exchange(door, ask)).await {
        Err(_elapsed) => failed(format!("no whole answer within {} s", LONGEST.as_secs())),
        Ok(Err(error)) => failed(error.to_string()),
        Ok(Ok((status, headers))) => {
            let (warmed, detail) = Warmed::of(status, &headers);
            let cache = headers.get("x-cache").and_then(|word| word.to_str().ok()).map(str::to_owned);
            WarmResult { warmed, status: Some(status), cache, detail, took_ms: 0 }
        }
    }
}

/// Why there is no whole answer.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error("this process does not listen any more: {0}")]
    Closed(#[from] std::io::Error),
    #[error("the request cannot be written: {0}")]
    Request(#[from] http::Error),
    #[error("the answer broke off: {0}")]
    Broken(#[from] hyper::Error),
}

/// Status and fields of an answer whose body came to its end: only then is it stored.
async fn exchange(door: &Door, ask: &Ask<'_>) -> Result<(u16, HeaderMap), NoAnswer> {
    let request = request(door, ask)?;
    let stream = TcpStream::connect(door.address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async {
        let answer = sender.send_request(request).await?;
        let (head, mut body) = answer.into_parts();
        while let Some(frame) = body.frame().await {
            drop(frame?);
        }
        Ok((head.status.as_u16(), head.headers))
    };
    // The connection only moves bytes: what its end means is for the exchange to say.
    let moving = async {
        drop(connection.await);
        pending::<()>().await;
    };
    tokio::select! {
        answer = exchange => answer,
        () = moving => Ok((502, HeaderMap::new())),
    }
}

fn request(door: &Door, ask: &Ask<'_>) -> Result<Request<Empty<Bytes>>, http::Error> {
    let mut request =
        Request::get(ask.target).header(header::HOST, &*ask.site.authority).body(Empty::new())?;
    let fields = request.headers_mut();
    fields.insert(header::USER_AGENT, AGENT);
    fields.extend(ask.fields.iter().cloned());
    fields.insert(header::CONNECTION, HeaderValue::from_static("close"));
    if let Some(caller) = ask.caller {
        fields.insert(caller.field.clone(), caller.value.clone());
    }
    if let Some(ours) = door.key.field(ask.site.scheme, ask.errand) {
        fields.insert(FIELD, ours);
    }
    Ok(request)
}
