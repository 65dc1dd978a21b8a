//! Where somebody stands under a policy, as people and programs are told.

use crate::base::units::format_duration;
use crate::limit::{Charge, Decision, Denial, denial};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One window now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowNow {
    /// Its length as it is written, such as `1m`.
    pub window: String,
    /// Its length in milliseconds.
    pub length_ms: u32,
    /// Units that may be consumed within it.
    pub limit: u32,
    /// Units that count now, up to the limit.
    pub used: u32,
    /// Units that could still be consumed.
    pub remaining: u32,
    /// Milliseconds until the oldest counted unit leaves; 0 when none is counted.
    pub reset_ms: u32,
}

/// What would become of a charge now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitNow {
    /// Would it pass?
    pub would_admit: bool,
    /// Why it would not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Whole seconds, rounded up, after which it would pass if nobody else asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u32>,
    /// Every window, shortest first; none where nothing is counted over time.
    pub windows: Vec<WindowNow>,
}

impl LimitNow {
    /// What a decision that consumed nothing says about its charge.
    #[must_use]
    pub fn of(charge: &Charge, decision: &Decision) -> Self {
        let windows: Vec<WindowNow> = charge
            .windows
            .as_slice()
            .iter()
            .zip(&decision.windows)
            .map(|(window, state)| WindowNow {
                window: format_duration(window.length()),
                length_ms: window.length_ms,
                limit: window.limit,
                used: window.limit.saturating_sub(state.remaining),
                remaining: state.remaining,
                reset_ms: state.reset_ms,
            })
            .collect();
        let is_short = |window: &&WindowNow| window.remaining < charge.cost;
        let short: Vec<String> = windows.iter().filter(is_short).map(WindowNow::to_string).collect();
        let retry_after_s = decision.retry_ms.map(|retry_ms| retry_ms.div_ceil(1_000).max(1));
        let why = if retry_after_s.is_none() {
            format!("costs {}, more than a limit: it never passes ({})", charge.cost, short.join(", "))
        } else {
            format!("costs {}, but {}", charge.cost, short.join(", "))
        };
        Self {
            would_admit: decision.admitted,
            why: (!decision.admitted).then_some(why),
            retry_after_s: retry_after_s.filter(|_| !decision.admitted),
            windows,
        }
    }

    /// Nothing is counted over time: no window can deny.
    #[must_use]
    pub fn uncounted() -> Self {
        Self { would_admit: true, why: None, retry_after_s: None, windows: Vec::new() }
    }
}

impl std::fmt::Display for WindowNow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { window, limit, remaining, .. } = self;
        write!(f, "{remaining} of {limit} left in {window}")
    }
}

/// What would become of a whole request, as far as limits are concerned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestNow {
    /// Would it pass?
    pub would_admit: bool,
    /// The policies that would refuse it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused_by: Vec<String>,
    /// The status that it would get from them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Whole seconds until it would pass; absent when it never can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u32>,
}

impl RequestNow {
    /// Sums up what would be decided about all charges.
    #[must_use]
    pub fn of(charges: &[Charge], decisions: &[Decision]) -> Self {
        let Denial { status, policies, retry_after_s } = denial(charges, decisions);
        let would_admit = policies.is_empty();
        Self {
            would_admit,
            refused_by: policies,
            status: (!would_admit).then_some(status),
            retry_after_s: retry_after_s.filter(|_| !would_admit),
        }
    }
}

impl std::fmt::Display for RequestNow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.would_admit {
            return f.write_str("would be admitted");
        }
        write!(f, "would be refused by {} with {}", self.refused_by.join(", "), self.status.unwrap_or(429))?;
        match self.retry_after_s {
            Some(seconds) => {
                let wait = format_duration(Duration::from_secs(seconds.into()));
                write!(f, ", passes in {wait}")
            }
            None => f.write_str(", never passes"),
        }
    }
}
