//! What the configuration says about one upstream.

use crate::upstream::tls::UpstreamTls;
use std::sync::Arc;
use std::time::Duration;

/// One server as it is written: resolved to addresses when connections are made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerAddress {
    /// Host name or address literal (IPv6 without brackets).
    pub host: Arc<str>,
    /// Port.
    pub port: u16,
}

/// How the next server is picked among the healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// In turn.
    RoundRobin,
    /// The less busy of two drawn at random.
    LeastRequests,
}

/// Active health check: `GET path` every `every`; any 2xx or 3xx is healthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthSettings {
    /// Request target.
    pub path: Arc<str>,
    /// Interval.
    pub every: Duration,
}

/// Circuit breaker of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open before one request probes.
    pub open: Duration,
}

/// A named set of servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Its servers, at least one.
    pub servers: Vec<ServerAddress>,
    /// How one is picked.
    pub balance: Balance,
    /// Time to connect.
    pub connect_timeout: Duration,
    /// Time from the request's end to the response head, and between two reads of the body.
    pub response_timeout: Duration,
    /// Active check, if any.
    pub health: Option<HealthSettings>,
    /// Breaker, if any.
    pub breaker: Option<BreakerSettings>,
    /// Further attempts for idempotent requests whose body was not sent, and for connections that fail.
    pub retries: u32,
    /// TLS, if any.
    pub tls: Option<UpstreamTls>,
    /// Speak HTTP/2 to the servers.
    pub http2: bool,
    /// How long an idle connection is kept; below the backend's own keep-alive (uvicorn: 5 s).
    pub idle_timeout: Duration,
}
