//! What one request carries from phase to phase.

use crate::base::Digest;
use crate::cache::{Bypass, Demand};
use crate::config::{Route, Snapshot};
use crate::identity::{Caller, CertificateNames};
use crate::limit::{Charge, Decision, Stage};
use crate::proxy::coding::StoredBody;
use crate::proxy::flight::Part;
use crate::proxy::internal::{Arrival, Errand};
use crate::proxy::overload::UnderWay;
use crate::proxy::pool::{Attempt, Pool};
use crate::store::{Held, Source};
use crate::telemetry::Held as Gauged;
use http::{HeaderMap, Version};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// The state of one request. A background revalidation is a request of its own with
/// [`RequestCtx::is_background`] set.
pub(super) struct RequestCtx {
    /// The configuration that the request began with and keeps.
    pub(super) snapshot: Arc<Snapshot>,
    /// When it began, monotonic.
    pub(super) started: Duration,
    /// The same moment by the wall clock.
    pub(super) started_wall_ms: u64,
    /// Made by us or taken from a trusted peer.
    pub(super) request_id: String,
    /// The address of the connection's other end; unspecified where there is none.
    pub(super) peer: IpAddr,
    /// The names in the client's verified certificate, where the listener asks for one.
    pub(super) certificate: Option<Arc<CertificateNames>>,
    /// `https` when the client's connection is encrypted.
    pub(super) scheme: &'static str,
    /// The version that the client speaks; the session's head may be rewritten.
    pub(super) version: Version,
    /// The version that the backend answered in; what is stored counts as HTTP/1.1.
    pub(super) received: Version,
    /// Host and port that were asked for, normalised.
    pub(super) authority: String,
    /// The canonical path: matched, limited, keyed and forwarded.
    pub(super) path: String,
    /// The query, if any, as it was sent.
    pub(super) query: Option<String>,
    /// Is this pingora's background revalidation of a stale entry?
    pub(super) is_background: bool,
    /// Is it a client's, or one of ours?
    pub(super) arrival: Arrival,
    /// Does an OPTIONS request end here, by its `Max-Forwards`?
    pub(super) is_last_hop: bool,
    /// Does the client ask to switch protocols (WebSocket)?
    pub(super) is_upgrade: bool,
    /// The chosen route's place in the snapshot's table.
    pub(super) route: Option<Arc<Route>>,
    /// The verified facts about the sender.
    pub(super) caller: Caller,
    /// What the limiter was asked and what it said.
    pub(super) limits: Limits,
    /// The request's way through the cache.
    pub(super) cache: CacheCtx,
    /// The upstream in use.
    pub(super) pool: Option<Arc<Pool>>,
    /// The attempt under way and those before it.
    pub(super) attempts: Vec<Attempt>,
    /// When the current attempt was sent, wall milliseconds.
    pub(super) sent_wall_ms: u64,
    /// When the first attempt was sent, monotonic.
    pub(super) sent: Option<Duration>,
    /// When the head of the answer came, monotonic.
    pub(super) answered: Option<Duration>,
    /// Bytes of the request body so far.
    pub(super) body_bytes: u64,
    /// When the first part of the body arrived, monotonic milliseconds.
    pub(super) body_started_ms: Option<u64>,
    /// Counts the request as under way until it ends.
    pub(super) in_flight: Option<(Gauged, Option<UnderWay>)>,
    /// Why the request was refused or failed, for the log: the `type` of the problem.
    pub(super) problem: Option<&'static str>,
}

/// The limiter's part.
#[derive(Default)]
pub(super) struct Limits {
    /// What was asked.
    pub(super) charges: Vec<Charge>,
    /// What was answered, one for each charge; empty when nothing was asked or the store was away.
    pub(super) decisions: Vec<Decision>,
    /// Who decided.
    pub(super) source: Option<Source>,
    /// What is decided only when no stored answer does.
    pub(super) upstream: Stage,
    /// Places that it holds while it is under way.
    pub(super) held: Vec<Held>,
    /// The policy that had no place for it.
    pub(super) refused_by: Option<Arc<str>>,
    /// A policy in shadow that would have had none.
    pub(super) shadow_refused: Option<Arc<str>>,
    /// Does the answer change what was consumed?
    pub(super) settled: Settled,
    /// The store was away and the policies say `allow`.
    pub(super) is_degraded: bool,
    /// Was the request refused?
    pub(super) is_denied: bool,
}

/// Does the answer of a request change what it consumed?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Settled {
    /// No policy looks at it.
    #[default]
    Nothing,
    /// A policy waits for it.
    Open,
    /// It has.
    Done,
}

/// The cache's part.
#[derive(Default)]
pub(super) struct CacheCtx {
    /// The key, when the request may be answered from the cache.
    pub(super) key: Option<Digest>,
    /// Why it may not.
    pub(super) bypass: Option<Bypass>,
    /// What the client's own directives ask for.
    pub(super) demand: Demand,
    /// The request fields as they came, for the selecting fields of stored responses.
    pub(super) request: Arc<HeaderMap>,
    /// The fields of a 304 from the origin, until they are merged.
    pub(super) update: Option<HeaderMap>,
    /// Why the response was not stored.
    pub(super) refused: Option<&'static str>,
    /// Our own `ttl` made the response storable, so the client must not reuse it on its own.
    pub(super) is_ours: bool,
    /// Freshness left in seconds, for `Cache-Status`.
    pub(super) ttl_s: Option<i64>,
    /// Was the entry stored?
    pub(super) is_stored: bool,
    /// How a fresh stored body goes out; `None`: the answer is none.
    pub(super) stored_body: Option<StoredBody>,
    /// Is it answered from a fresh entry that is being refreshed before its end?
    pub(super) is_early: bool,
    /// Its part in single flight, when it has a key.
    pub(super) part: Option<Part>,
}

impl RequestCtx {
    /// Bytes of a request body at most, on its route or where it has none.
    #[must_use]
    pub(super) fn body_bytes_max(&self) -> u64 {
        let own = self.route.as_ref().and_then(|route| route.body_bytes);
        own.unwrap_or(self.snapshot.server.request.body_bytes)
    }

    /// What it is for, if it is a request of ours.
    #[must_use]
    pub(super) fn errand(&self) -> Option<Errand> {
        match self.arrival {
            Arrival::Ours { errand, .. } => Some(errand),
            Arrival::Client | Arrival::Stray => None,
        }
    }

    /// A request that has just begun.
    #[must_use]
    pub(super) fn new(snapshot: Arc<Snapshot>, started: Duration, started_wall_ms: u64) -> Self {
        Self {
            snapshot,
            started,
            started_wall_ms,
            request_id: String::new(),
            peer: IpAddr::from([0, 0, 0, 0]),
            certificate: None,
            scheme: "http",
            version: Version::HTTP_11,
            received: Version::HTTP_11,
            authority: String::new(),
            path: String::new(),
            query: None,
            is_background: false,
            arrival: Arrival::Client,
            is_last_hop: false,
            is_upgrade: false,
            route: None,
            caller: Caller::default(),
            limits: Limits::default(),
            cache: CacheCtx::default(),
            pool: None,
            attempts: Vec::new(),
            sent_wall_ms: started_wall_ms,
            sent: None,
            answered: None,
            body_bytes: 0,
            body_started_ms: None,
            in_flight: None,
            problem: None,
        }
    }
}
