//! A policy: whom it counts, in which windows, and what happens at the edges.

use crate::limit::counting::{Cost, Count, StatusSet};
use crate::limit::exempt::{Bypass, Override};
use crate::limit::subject::Subject;
use crate::limit::windows::Windows;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// One way to name the one who is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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
    /// All of these together, as one: `user+ip` counts each user at each address. Neither `global`, nor a field, nor
    /// another such is among them; there are at least two, none twice.
    Together(Vec<Per>),
}

impl Per {
    /// Reads what may stand among [`Per::Together`], alone or joined by `+`.
    #[must_use]
    pub fn parse_together(text: &str) -> Option<Self> {
        let one = |word: &str| match word {
            "user" => Some(Self::User),
            "api_key" => Some(Self::ApiKey),
            "tenant" => Some(Self::Tenant),
            "ip" => Some(Self::Ip),
            _ => None,
        };
        let parts: Vec<Self> = text.split('+').map(one).collect::<Option<_>>()?;
        let is_twice =
            parts.iter().enumerate().any(|(at, part)| parts.iter().take(at).any(|other| other == part));
        (parts.len() > 1 && !is_twice).then_some(Self::Together(parts))
    }

    /// How many share one of these, as a rank: the one who refuses most often and costs others least is asked first.
    #[must_use]
    pub fn breadth(&self) -> u8 {
        match self {
            Self::User | Self::ApiKey => 0,
            Self::Ip => 1,
            Self::Header(_) => 2,
            Self::Tenant => 3,
            Self::Global => 4,
            Self::Together(parts) => parts.iter().map(Self::breadth).min().unwrap_or(0),
        }
    }
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
            Self::Together(parts) => {
                let words: Vec<String> = parts.iter().map(Self::to_string).collect();
                return f.write_str(&words.join("+"));
            }
        })
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

impl FieldStyle {
    /// The word of the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::X => "x",
            Self::Ietf => "ietf",
            Self::Both => "both",
            Self::None => "none",
        }
    }
}

/// A named rate limit. Routes that name the same policy share its counters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its name in the configuration, part of its keys.
    pub name: Arc<str>,
    /// Whom it counts: the first of these that the request has.
    pub per: Vec<Per>,
    /// Its windows; none where it only limits concurrency.
    pub windows: Windows,
    /// Requests of one identity that may be under way at once.
    pub in_flight: Option<u32>,
    /// Whole window lists of service tiers, already merged with `windows`.
    pub tiers: BTreeMap<String, Windows>,
    /// What single identities have instead.
    pub overrides: HashMap<Subject, Override>,
    /// Who is not counted at all.
    pub bypass: Bypass,
    /// Units that one request consumes.
    pub cost: Cost,
    /// Which requests are counted.
    pub count: Count,
    /// Only answers with one of these are counted, after the fact; `None`: every request, in advance.
    pub count_status: Option<StatusSet>,
    /// Answers with one of these give back what their request consumed.
    pub refund_on: StatusSet,
    /// Enforced, shadowed or off.
    pub mode: Mode,
    /// What to do without the store.
    pub on_store_failure: OnStoreFailure,
    /// Response fields.
    pub fields: FieldStyle,
    /// Status of a refusal, 429 unless configured.
    pub status: u16,
}

impl Policy {
    /// A policy that says nothing but its name and windows: what the configuration leaves out is as it is here.
    #[must_use]
    pub fn new(name: &str, windows: Windows) -> Self {
        Self {
            name: name.into(),
            per: vec![Per::User, Per::ApiKey, Per::Ip],
            windows,
            in_flight: None,
            tiers: BTreeMap::new(),
            overrides: HashMap::new(),
            bypass: Bypass::default(),
            cost: Cost::ONE,
            count: Count::All,
            count_status: None,
            refund_on: StatusSet::default(),
            mode: Mode::Enforce,
            on_store_failure: OnStoreFailure::Local,
            fields: FieldStyle::Both,
            status: 429,
        }
    }

    /// Are units consumed only when the answer is known, by its status or by what it says it cost?
    #[must_use]
    pub fn charges_after(&self) -> bool {
        self.count_status.is_some() || self.cost.response.is_some()
    }
}
