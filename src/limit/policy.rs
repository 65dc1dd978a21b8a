//! A policy: whom it counts, in which windows, and what happens at the edges.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How many windows a policy may have; the stored form has room for this many.
pub const WINDOWS_MAX: usize = 6;

/// The longest window, in milliseconds: 31 days. Offsets are 32-bit milliseconds and must outlive the window.
pub const WINDOW_MS_MAX: u32 = 31 * 86_400_000;

/// The largest exact limit of one window; above it an entry would outgrow what one script call may move.
pub const LIMIT_MAX: u32 = 1_000_000;

/// One way to name the one who is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Per {
    /// The subject of a verified token.
    User,
    /// A known API key.
    ApiKey,
    /// The verified tenant.
    Tenant,
    /// The client address; IPv6 by its /64.
    Ip,
    /// Everybody together.
    Global,
    /// The value of a request field (lower-case name). Client-chosen: for traffic shaping, not for defence.
    Header(Box<str>),
}

/// The word of the configuration.
impl fmt::Display for Per {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::ApiKey => "api_key",
            Self::Tenant => "tenant",
            Self::Ip => "ip",
            Self::Global => "global",
            Self::Header(name) => return write!(f, "header:{name}"),
        })
    }
}

/// A length and what may pass in any stretch of time that long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Length in milliseconds; a unit of age `length_ms` no longer counts.
    pub length_ms: u32,
    /// Units; 0 lets nothing pass.
    pub limit: u32,
}

impl Window {
    /// Its length.
    #[must_use]
    pub fn length(self) -> Duration {
        Duration::from_millis(self.length_ms.into())
    }
}

/// One to six windows, shortest first, no two of one length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows(Vec<Window>);

/// Why a list of windows is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WindowsFault {
    /// None or more than [`WINDOWS_MAX`].
    #[error("a policy has 1 to 6 windows")]
    Count,
    /// Two windows of one length.
    #[error("two windows have the same length")]
    Duplicate,
    /// A length of 0 or above [`WINDOW_MS_MAX`].
    #[error("a window is 1ms to 31d long")]
    Length,
    /// A limit above [`LIMIT_MAX`].
    #[error("a limit is at most 1000000 units")]
    Limit,
}

impl Windows {
    /// Checks and sorts.
    ///
    /// # Errors
    /// [`WindowsFault`] names the first rule that is broken.
    pub fn new(mut list: Vec<Window>) -> Result<Self, WindowsFault> {
        if list.is_empty() || list.len() > WINDOWS_MAX {
            return Err(WindowsFault::Count);
        }
        list.sort_by_key(|window| window.length_ms);
        if list.iter().any(|window| window.length_ms == 0 || window.length_ms > WINDOW_MS_MAX) {
            return Err(WindowsFault::Length);
        }
        if list.iter().zip(list.iter().skip(1)).any(|(left, right)| left.length_ms == right.length_ms) {
            return Err(WindowsFault::Duplicate);
        }
        if list.iter().any(|window| window.limit > LIMIT_MAX) {
            return Err(WindowsFault::Limit);
        }
        Ok(Self(list))
    }

    /// The windows, shortest first; never empty.
    #[must_use]
    pub fn as_slice(&self) -> &[Window] {
        &self.0
    }

    /// The length of the longest window in milliseconds.
    #[must_use]
    pub fn longest_ms(&self) -> u32 {
        self.0.last().map_or(0, |window| window.length_ms)
    }
}

/// What a policy's verdict does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A denial refuses the request.
    Enforce,
    /// A denial is counted and logged, the request passes.
    Shadow,
    /// The policy is not asked.
    Off,
}

impl Mode {
    /// The word of the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
            Self::Off => "off",
        }
    }
}

/// What happens when the store cannot answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnStoreFailure {
    /// The embedded limiter of this instance decides.
    Local,
    /// The request passes, marked `X-RateLimit-Status: degraded`.
    Allow,
    /// 503: capacity is missing, the client did nothing wrong.
    Deny,
}

impl OnStoreFailure {
    /// The word of the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// Which response fields tell the client about the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldStyle {
    /// `X-RateLimit-*-Ns` only.
    X,
    /// `RateLimit` and `RateLimit-Policy` only.
    Ietf,
    /// Both kinds.
    Both,
    /// None.
    None,
}

/// A named rate limit. Routes that name the same policy share its counters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its name in the configuration, part of its keys.
    pub name: Arc<str>,
    /// Whom it counts: the first of these that the request has.
    pub per: Vec<Per>,
    /// Its windows.
    pub windows: Windows,
    /// Whole window lists of service tiers, already merged with `windows`.
    pub tiers: BTreeMap<String, Windows>,
    /// Units that one request consumes; at least 1.
    pub cost: u32,
    /// Enforced, shadowed or off.
    pub mode: Mode,
    /// What to do without the store.
    pub on_store_failure: OnStoreFailure,
    /// Response fields.
    pub fields: FieldStyle,
    /// Status of a refusal, 429 unless configured.
    pub status: u16,
}
