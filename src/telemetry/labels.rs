//! The closed sets that may stand as label values: nothing a client sends can become one.

/// What a policy did to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitDecision {
    /// The store admitted.
    Allow,
    /// The store refused.
    Deny,
    /// A policy in shadow mode would have refused; the request passed.
    ShadowDeny,
    /// The policy does not count this sender.
    Bypass,
    /// The store was away, the embedded limiter admitted.
    LocalAllow,
    /// The store was away, the embedded limiter refused.
    LocalDeny,
    /// The store was away, the request passed uncounted (`on_store_failure: allow`).
    Degraded,
    /// The store was away, the request was refused with 503 (`on_store_failure: deny`).
    Unavailable,
}

impl LimitDecision {
    /// The label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::ShadowDeny => "shadow_deny",
            Self::Bypass => "bypass",
            Self::LocalAllow => "local_allow",
            Self::LocalDeny => "local_deny",
            Self::Degraded => "degraded",
            Self::Unavailable => "unavailable",
        }
    }
}

/// How the cache took part in one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheResult {
    /// A fresh stored response was the answer.
    Hit,
    /// The upstream was asked.
    Miss,
    /// A stale stored response was the answer.
    Stale,
    /// The upstream confirmed the stored response with 304, the stored response was the answer.
    Revalidated,
    /// The cache was not asked: method, credentials, cookies, no tenant.
    Bypass,
}

impl CacheResult {
    /// The label value; in upper case it is the value of `X-Cache`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Stale => "stale",
            Self::Revalidated => "revalidated",
            Self::Bypass => "bypass",
        }
    }
}

/// How a request that missed came to its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlightResult {
    /// It asked the origin, and others may have waited for it.
    Led,
    /// It waited for another's answer.
    Waited,
    /// It waited too long for another's answer and asked the origin itself.
    TimedOut,
    /// It asked the origin, because such an answer is not storable.
    Uncacheable,
    /// It asked the origin, because too many wait already.
    Crowded,
}

impl FlightResult {
    /// The label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Led => "led",
            Self::Waited => "waited",
            Self::TimedOut => "timed_out",
            Self::Uncacheable => "uncacheable",
            Self::Crowded => "crowded",
        }
    }
}

/// Which store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreName {
    /// The embedded one.
    Memory,
    /// `store.url`.
    Redis,
    /// `store.cache_url`, where it is a Redis of its own.
    RedisCache,
}

impl StoreName {
    /// The label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Redis => "redis",
            Self::RedisCache => "redis_cache",
        }
    }
}

/// Where stored responses lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// In this process.
    Memory,
    /// In Redis.
    Redis,
}

impl Tier {
    /// The label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Redis => "redis",
        }
    }
}

/// How a run of the job ended that counts days for the dashboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RollupRun {
    /// Everything that was due is counted.
    Done,
    /// Another instance has the lease.
    Left,
    /// The database did not do it; the next run tries again.
    Failed,
}

impl RollupRun {
    /// The label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Left => "left",
            Self::Failed => "failed",
        }
    }
}

/// How a reload of the configuration ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReloadResult {
    /// The new snapshot is in use.
    Success,
    /// The new configuration has faults, the old snapshot stays.
    Failure,
    /// The configuration is what it was.
    Unchanged,
}

impl ReloadResult {
    /// The label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Unchanged => "unchanged",
        }
    }
}

/// A request method as label value: the registered common ones, `OTHER` for whatever else a client invents.
#[must_use]
pub fn method_label(method: &http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "OTHER",
    }
}

/// A status as label value: the code itself from 100 to 599, `other` outside.
#[must_use]
pub fn status_label(status: &http::StatusCode) -> &str {
    if status.as_u16() < 600 { status.as_str() } else { "other" }
}
