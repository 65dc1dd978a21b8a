//! An ordinary HTTP client and its answers.

use crate::support::Gate;
use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde_json::Value;
use std::net::IpAddr;
use std::time::Duration;

/// A client that follows nothing and asks no proxy.
pub(crate) fn client() -> reqwest::Client {
    build(reqwest::Client::builder())
}

/// The same, speaking HTTP/2 without TLS.
pub(crate) fn client_http2() -> reqwest::Client {
    build(reqwest::Client::builder().http2_prior_knowledge())
}

/// The same, coming from another loopback address.
pub(crate) fn client_from(address: &str) -> reqwest::Client {
    let address: IpAddr = address.parse().expect("an address");
    build(reqwest::Client::builder().local_address(address))
}

fn build(builder: reqwest::ClientBuilder) -> reqwest::Client {
    // The first one of the process is as good as any.
    rustls::crypto::ring::default_provider().install_default().ok();
    builder
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(20))
        .build()
        .expect("a client")
}

/// A whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// A field's value; empty when it is absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a printable field"))
    }

    /// A field's value as a number.
    pub(crate) fn number(&self, name: &str) -> u64 {
        let value = self.header(name);
        value.parse().unwrap_or_else(|_| panic!("{name} is {value:?}, not a number, in {self:?}"))
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.text()))
    }

    /// `X-Cache`.
    pub(crate) fn cache(&self) -> &str {
        self.header("x-cache")
    }

    /// Status and the problem's `type`, after checking that it is a problem document of ours.
    pub(crate) fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.header("cache-control"), "no-store", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{problem}");
        (self.status, problem["type"].as_str().expect("a type").to_owned())
    }
}

/// Sends a request and reads the whole answer.
pub(crate) trait Fetch {
    /// Panics when there is no complete answer.
    async fn fetch(self) -> Answer;
}

impl Fetch for reqwest::RequestBuilder {
    async fn fetch(self) -> Answer {
        let response = self.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.expect("a complete body");
        Answer { status, headers, body }
    }
}

/// How many waited for the one that asked. Whoever was in flight but looked only after the answer was stored did not have to: a
/// plain hit.
///
/// Panics when nobody waited, or when not exactly one asked.
pub(crate) fn collapsed(answers: &[Answer]) -> u32 {
    let (waited, others): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.header("cache-status").contains("collapsed"));
    assert!(!waited.is_empty(), "{answers:?}");
    assert_eq!(others.iter().filter(|answer| answer.cache() == "MISS").count(), 1, "{answers:?}");
    assert!(others.iter().all(|answer| matches!(answer.cache(), "MISS" | "HIT")), "{answers:?}");
    u32::try_from(waited.len()).expect("few")
}

/// The sum of a metric's samples that carry all these labels, in the text of `/metrics`; 0 when there is none.
pub(crate) fn sample(text: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
    let samples = text.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let (family, set) = series.split_once('{').unwrap_or((series, ""));
        let fits = family == name && labels.iter().all(|label| set.contains(label.as_str()));
        fits.then(|| value.parse::<f64>().expect("a number"))
    });
    samples.sum()
}

/// `clients` clients at once, spread over the gates, ask `each` times for `/` on a connection of their own.
/// Gives how many answers were 200 and how many 429; there must be no others.
pub(crate) async fn hammer(gates: &[&Gate], clients: usize, each: usize) -> (usize, usize) {
    let work = (0..clients).map(|number| {
        let url = format!("http://{}/", gates[number % gates.len()].http);
        async move {
            let (client, mut statuses) = (client(), Vec::new());
            for _ in 0..each {
                statuses.push(client.get(&url).fetch().await.status);
            }
            statuses
        }
    });
    let statuses = futures_util::future::join_all(work).await.concat();
    let count = |wanted| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!(count(200) + count(429), clients * each, "{statuses:?}");
    (count(200), count(429))
}
