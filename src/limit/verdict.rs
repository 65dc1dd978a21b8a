//! What is asked of a store and what it answers.

use crate::base::Digest;
use crate::limit::policy::{Mode, Policy};
use crate::limit::subject::Subject;
use crate::limit::windows::Windows;
use std::sync::Arc;

/// One ring log: an identity under a policy.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LimitKey {
    /// Digest of the identity's kind and value: no personal data, no braces, bounded length.
    pub identity: Digest,
    /// The policy's name.
    pub policy: Arc<str>,
}

impl LimitKey {
    /// The key in Redis: `{prefix}rl:{digest}:policy`. The braces are a Cluster hash tag, so all policies of one
    /// identity share a slot.
    #[must_use]
    pub fn redis_key(&self, prefix: &str) -> String {
        format!("{prefix}rl:{{{}}}:{}", self.identity.short(), self.policy)
    }
}

/// One policy's demand on one identity's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// The policy, for its name, mode and failure rule.
    pub policy: Arc<Policy>,
    /// The log that is charged.
    pub key: LimitKey,
    /// The windows that apply to this identity (its tier's, or the policy's).
    pub windows: Windows,
    /// Units; 0 only looks.
    pub cost: u32,
    /// Are the units consumed when every charge passes? Otherwise they are only judged, and consumed later by force, once
    /// the answer is known.
    pub consumes: bool,
    /// Who is counted, for those who read it.
    pub subject: Arc<Subject>,
}

impl Charge {
    /// Were its units consumed by the request that got `decision` and went on?
    #[must_use]
    pub fn was_consumed(&self, decision: &Decision) -> bool {
        decision.admitted && decision.is_asked() && self.consumes && self.cost > 0
    }
}

/// Where one window stands after a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowState {
    /// Units that could still be consumed now.
    pub remaining: u32,
    /// Milliseconds until the oldest counted unit leaves; 0 when none is counted.
    pub reset_ms: u32,
}

/// The answer for one charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Would this charge alone pass?
    pub admitted: bool,
    /// Milliseconds after which the same charge would pass if nobody else asks: 0 when admitted,
    /// `None` when the cost is above a limit, so that it never can.
    pub retry_ms: Option<u32>,
    /// The store's time of the decision in epoch milliseconds; names the consumed units for a refund.
    pub stamp_ms: u64,
    /// One state a window, in the order of the charge's windows. After a decision that consumed, the units are
    /// counted; otherwise the log is as before.
    pub windows: Vec<WindowState>,
}

impl Decision {
    /// Stands beside a charge that nobody decided: it refuses nothing and has no state to show.
    #[must_use]
    pub fn unasked() -> Self {
        Self { admitted: true, retry_ms: Some(0), stamp_ms: 0, windows: Vec::new() }
    }

    /// Was the charge decided at all?
    #[must_use]
    pub fn is_asked(&self) -> bool {
        !self.windows.is_empty()
    }
}

/// Does a decision of an enforced policy refuse the request? Then nothing is consumed, under no policy.
#[must_use]
pub fn is_denied(charges: &[Charge], decisions: &[Decision]) -> bool {
    charges
        .iter()
        .zip(decisions)
        .any(|(charge, decision)| !decision.admitted && charge.policy.mode == Mode::Enforce)
}
