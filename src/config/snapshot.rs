//! One compiled configuration. Immutable; a request takes it once and keeps it to its end.

use crate::base::{DatabaseSettings, Secret, ServiceSettings, StoreSettings};
use crate::cache::{Compression, Invalidates, Mode, Namespace, Warm};
use crate::config::listen_tls::ListenTls;
use crate::identity::Identifier;
use crate::limit::Policy;
use crate::message::{FieldEdits, FrameBounds, RequestBounds, WireBounds};
use crate::route::{EncodedSlash, Table};
use crate::upstream::UpstreamSettings;
use arc_swap::ArcSwap;
use ipnet::IpNet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The configuration in force, swapped by one pointer.
pub type Current = Arc<ArcSwap<Snapshot>>;

/// All that the configuration says, with ids instead of names.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts up with each accepted configuration.
    pub generation: u64,
    /// The data listener.
    pub server: ServerSettings,
    /// The admin listener.
    pub admin: AdminSettings,
    /// The stores.
    pub store: StoreSettings,
    /// The upstreams; routes name them by index.
    pub upstreams: Vec<Arc<UpstreamSettings>>,
    /// Who is asking.
    pub identifier: Identifier,
    /// All policies, by name.
    pub policies: Vec<Arc<Policy>>,
    /// All namespaces, by name.
    pub namespaces: Vec<Arc<Namespace>>,
    /// What is asked for before clients do.
    pub warm: Option<Arc<Warm>>,
    /// Who else may purge what is stored.
    pub cache: CacheSettings,
    /// The companion; the proxy has no use for it.
    pub dashboard: DashboardSettings,
    /// The routes.
    pub routes: Table<Arc<Route>>,
}

/// The companion: its database, its service, and what the service knows of the rest of the file.
#[derive(Debug, Clone)]
pub struct DashboardSettings {
    /// The application's database.
    pub database: DatabaseSettings,
    /// The service.
    pub service: ServiceSettings,
    /// Whose tokens the service believes: those of `dashboard.jwt`, or else those of `identity`.
    pub identifier: Identifier,
    /// How its answers are kept.
    pub kept: KeptFigures,
}

/// The namespaces of the companion's figures; `None`: they are not kept.
#[derive(Debug, Clone)]
pub struct KeptFigures {
    /// Those of the first page.
    pub metrics: Option<Arc<Namespace>>,
    /// The feed.
    pub activity: Option<Arc<Namespace>>,
    /// Those over time.
    pub statistics: Option<Arc<Namespace>>,
}

/// Where a route leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// An upstream, by its place in the snapshot.
    Upstream(usize),
    /// The cache statistics of this instance.
    CacheStats,
}

impl Target {
    /// The built-in upstream that answers with the cache statistics.
    pub const CACHE_STATS: &str = "tidegate:cache-stats";

    /// The name by which a route asks for it.
    #[must_use]
    pub fn name(self, upstreams: &[Arc<UpstreamSettings>]) -> &str {
        match self {
            Self::Upstream(index) => upstreams.get(index).map_or("", |upstream| &*upstream.name),
            Self::CacheStats => Self::CACHE_STATS,
        }
    }
}

/// One compiled route.
#[derive(Debug)]
pub struct Route {
    /// Methods, host and path as they are written; the label in metrics.
    pub name: Arc<str>,
    /// Where it leads.
    pub target: Target,
    /// All of these must admit a request.
    pub policies: Vec<Arc<Policy>>,
    /// How its answers are cached; `None`: not at all.
    pub namespace: Option<Arc<Namespace>>,
    /// What its successful writes invalidate besides what they write to.
    pub invalidates: Option<Invalidates>,
    /// Canonical paths, with `?query`, that are asked for again after its successful writes.
    pub refresh: Vec<String>,
    /// Bytes of a request body at most; `None`: as many as the server takes.
    pub body_bytes: Option<u64>,
    /// May its answers go out in a content coding?
    pub is_compressed: bool,
    /// What is changed in requests on their way to the backend.
    pub request_fields: FieldEdits,
    /// What is changed in answers on their way to the client.
    pub response_fields: FieldEdits,
    /// The line of the file where it stands.
    pub line: usize,
}

/// The data listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// Sockets.
    pub listen: Vec<Listen>,
    /// Bounds of a request.
    pub request: RequestLimits,
    /// Bounds of connections.
    pub connections: Connections,
    /// Bounds of HTTP/2.
    pub http2: Http2Bounds,
    /// When it is too much.
    pub overload: OverloadSettings,
    /// Compression of answers.
    pub compression: Compression,
    /// How long a shutdown waits for requests under way.
    pub drain: Duration,
}

/// One socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Where; port 0 takes a free one.
    pub address: SocketAddr,
    /// Encrypted?
    pub tls: Option<ListenTls>,
    /// Speak HTTP/2 too (by ALPN, or by prior knowledge without TLS).
    pub http2: bool,
    /// Does every connection begin with a PROXY protocol header, from a trusted proxy?
    pub proxy_protocol: bool,
}

/// Bounds of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestLimits {
    /// Bytes of a head.
    pub head_bytes: usize,
    /// Fields of a head.
    pub fields: usize,
    /// Bytes of the request line, and of any field line.
    pub line_bytes: usize,
    /// Bytes of a body, where its route does not say otherwise.
    pub body_bytes: u64,
    /// Time for the whole head.
    pub head_timeout: Duration,
    /// Bytes a second that a body must arrive at after its first ten seconds.
    pub body_min_rate: u32,
    /// What `%2F` in a path means.
    pub encoded_slash: EncodedSlash,
}

impl RequestLimits {
    /// Those of a head.
    #[must_use]
    pub fn bounds(&self) -> RequestBounds {
        let Self { head_bytes, fields, line_bytes, .. } = *self;
        RequestBounds { head_bytes, fields, line_bytes }
    }

    /// Those of the bytes of a head, before it is one.
    #[must_use]
    pub fn wire(&self) -> WireBounds {
        let Self { head_bytes, fields, line_bytes, .. } = *self;
        WireBounds { head_bytes, line_bytes, fields }
    }
}

/// Bounds of connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connections {
    /// In all.
    pub max: usize,
    /// From one address.
    pub per_address: usize,
    /// How long a quiet connection stays.
    pub idle: Duration,
    /// After this time a connection ends with the answer under way.
    pub lifetime: Duration,
    /// Bytes a second that a client must take from an answer that waits for it; 0 turns it off.
    pub send_min_rate: u32,
}

/// Bounds of an HTTP/2 connection. They are taken when a connection begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Http2Bounds {
    /// Requests under way at once.
    pub streams: u32,
    /// What a client may do besides.
    pub frames: FrameBounds,
}

/// When new requests are refused so that those under way succeed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OverloadSettings {
    /// Resident memory of the process.
    pub memory: MemoryMark,
    /// Requests under way; `None`: any number.
    pub requests: Option<usize>,
}

/// From how much memory on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MemoryMark {
    /// Nine tenths of what the control group allows; without such a limit, never.
    #[default]
    Auto,
    /// Never.
    Off,
    /// This many bytes.
    Bytes(u64),
}

/// The admin listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminSettings {
    /// Where.
    pub listen: SocketAddr,
    /// The bearer token that it asks for.
    pub token: Option<Secret>,
}

impl AdminSettings {
    /// Can others reach it without a token?
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.token.is_none() && !self.listen.ip().is_loopback()
    }
}

/// Who may purge stored responses besides the admin API.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheSettings {
    /// The webhook; `None`: there is none.
    pub webhook: Option<WebhookSettings>,
    /// Networks whose PURGE requests are obeyed on the data listener. Empty: PURGE is a method like any other.
    pub purge_from: Vec<IpNet>,
}

/// The webhook by which other systems invalidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSettings {
    /// What its messages are signed with.
    pub secret: Secret,
    /// How far a message's time may be from ours, in either direction.
    pub tolerance: Duration,
    /// How hard it purges where a message does not say.
    pub mode: Mode,
}
