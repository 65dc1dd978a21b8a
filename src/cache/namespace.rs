//! A namespace: a named cache policy.

use std::sync::Arc;
use std::time::Duration;

/// How the namespace's `ttl` and the origin's freshness meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TtlMode {
    /// The origin's freshness; `ttl` where it says nothing.
    Respect,
    /// The smaller of both.
    Cap,
    /// `ttl`; `no-store` and `private` still forbid storing.
    Override,
}

impl TtlMode {
    /// The word of the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Respect => "respect",
            Self::Cap => "cap",
            Self::Override => "override",
        }
    }
}

/// Who shares a stored response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Members of one verified tenant.
    Tenant,
    /// One verified user (or API key) of one tenant.
    User,
    /// Everybody; RFC 9111 section 3.5 applies to requests with credentials.
    Public,
}

impl Scope {
    /// The word of the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::User => "user",
            Self::Public => "public",
        }
    }
}

/// Which part of the query is keyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueryKey {
    /// The whole query, byte for byte.
    All,
    /// Only parameters of these names, in the request's order; the others still reach the origin on a miss.
    Only(Vec<String>),
}

/// Requests that carry cookies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cookies {
    /// Are not answered from the cache and fill nothing.
    Bypass,
    /// Are treated as if they had none.
    Ignore,
    /// Are keyed by the values of the named cookies.
    Key(Vec<String>),
}

/// Responses that set cookies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetCookie {
    /// Are not stored.
    Refuse,
    /// Are stored without the field.
    Strip,
    /// Are stored with it (RFC 9111 section 7.3 allows it; seldom wise).
    Store,
}

/// A named cache policy with every default filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Its name in the configuration, part of the key.
    pub name: Arc<str>,
    /// Freshness where `mode` calls for ours; `None`: only the origin's.
    pub ttl: Option<Duration>,
    /// Whose freshness wins.
    pub mode: TtlMode,
    /// Who shares an entry.
    pub scope: Scope,
    /// Lifetime after expiry during which a stale answer is served while it is refreshed; `None`: the origin's.
    pub stale_while_revalidate: Option<Duration>,
    /// Lifetime after expiry during which a stale answer is better than an error; `None`: the origin's.
    pub stale_if_error: Option<Duration>,
    /// Freshness of 404 and 410 without their own; zero: not stored.
    pub negative_ttl: Duration,
    /// Largest stored body in bytes.
    pub max_object: u64,
    /// Keyed part of the query.
    pub query: QueryKey,
    /// Request fields (lower-case) whose values are keyed.
    pub headers: Vec<String>,
    /// Claims of the verified token that are keyed (answers that depend on a role).
    pub vary_claims: Vec<String>,
    /// Requests with cookies.
    pub cookies: Cookies,
    /// Responses that set cookies.
    pub set_cookie: SetCookie,
    /// Tags of every entry.
    pub tags: Vec<String>,
    /// How long a request waits for another that fetches the same entry.
    pub coalesce_wait: Duration,
    /// Up to how many percent of its freshness an entry may end earlier, drawn for each, so that entries that were stored
    /// together do not end together.
    pub jitter: u8,
    /// `max-age` that the client sees where our `ttl` made the answer storable; `None`: `private, no-cache`.
    pub client_max_age: Option<Duration>,
    /// Use heuristic freshness (RFC 9111 section 4.2.2).
    pub heuristic: bool,
    /// Obey the client's `Cache-Control` request directives (RFC 9111 section 5.2.1).
    pub client_directives: bool,
    /// Store error answers (4xx and 5xx) that bring explicit freshness, as RFC 9111 section 3 allows. Off: one
    /// client's bad request must not become everybody's answer.
    pub error_statuses: bool,
}

impl Namespace {
    /// The safe defaults: tenant scope, origin's freshness, no cookies.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.into(),
            ttl: None,
            mode: TtlMode::Respect,
            scope: Scope::Tenant,
            stale_while_revalidate: Some(Duration::from_secs(10)),
            stale_if_error: Some(Duration::from_secs(3_600)),
            negative_ttl: Duration::from_secs(10),
            max_object: 1 << 20,
            query: QueryKey::All,
            headers: Vec::new(),
            vary_claims: Vec::new(),
            cookies: Cookies::Bypass,
            set_cookie: SetCookie::Refuse,
            tags: Vec::new(),
            coalesce_wait: Duration::from_secs(3),
            jitter: 0,
            client_max_age: None,
            heuristic: false,
            client_directives: false,
            error_statuses: false,
        }
    }
}
