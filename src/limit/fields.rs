//! What the client is told: `X-RateLimit-*-Ns`, and `RateLimit-Policy` and `RateLimit` of
//! draft-ietf-httpapi-ratelimit-headers-10.

use crate::limit::policy::{FieldStyle, Mode, Policy};
use crate::limit::verdict::{Charge, Decision, WindowState};
use crate::limit::windows::Window;
use http::{HeaderName, HeaderValue};
use std::collections::BTreeMap;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Why a request was refused, in the client's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The status of the first policy that refused.
    pub status: u16,
    /// Names of the policies that refused.
    pub policies: Vec<String>,
    /// Whole seconds, rounded up and at least 1, until the same request would pass; `None`: it never can.
    pub retry_after_s: Option<u32>,
}

/// Sums up a refused request: the longest wait counts, and one impossible cost makes the whole impossible.
#[must_use]
pub fn denial(charges: &[Charge], decisions: &[Decision]) -> Denial {
    let refused: Vec<(&Charge, &Decision)> =
        enforced(charges, decisions).filter(|(_, d)| !d.admitted).collect();
    let retry_after_s = refused.iter().try_fold(1_u32, |longest, (_, decision)| {
        decision.retry_ms.map(|retry_ms| longest.max(seconds_up(retry_ms)))
    });
    Denial {
        status: refused.first().map_or(429, |(charge, _)| charge.policy.status),
        policies: refused.iter().map(|(charge, _)| charge.policy.name.to_string()).collect(),
        retry_after_s,
    }
}

/// The places of one identity under one policy, after the request took one.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// How many there are.
    pub limit: u32,
    /// How many are left.
    pub remaining: u32,
}

/// The fields for an answer to a limited request, refused or not.
#[must_use]
pub fn fields(
    charges: &[Charge],
    decisions: &[Decision],
    places: &[Places<'_>],
) -> Vec<(HeaderName, HeaderValue)> {
    let mut fields = legacy_fields(charges, decisions);
    let is_denied = enforced(charges, decisions).any(|(_, decision)| !decision.admitted);
    let (mut policies, mut states) = (Vec::new(), Vec::new());
    for (charge, decision) in enforced(charges, decisions) {
        if !matches!(charge.policy.fields, FieldStyle::Ietf | FieldStyle::Both) {
            continue;
        }
        for (window, state) in windows(charge, decision) {
            let name = window_name(&charge.policy.name, window);
            policies.push(format!("{name};q={};w={}", window.limit, window_seconds(window)));
            // On a refusal only what is spent is listed: the far reset of another window would contradict
            // Retry-After (draft, section 5).
            if !is_denied || (!decision.admitted && state.remaining < charge.cost) {
                states.push(format!("{name};r={};t={}", state.remaining, seconds_up(state.reset_ms)));
            }
        }
    }
    let is_shown = |places: &Places<'_>| matches!(places.policy.fields, FieldStyle::Ietf | FieldStyle::Both);
    for Places { policy, limit, remaining } in places.iter().filter(|places| is_shown(places)) {
        let name = &policy.name;
        policies.push(format!("\"{name}-in-flight\";q={limit};qu=\"concurrent-requests\""));
        if !is_denied {
            states.push(format!("\"{name}-in-flight\";r={remaining}"));
        }
    }
    push(&mut fields, RATE_LIMIT_POLICY, &policies.join(", "));
    push(&mut fields, RATE_LIMIT, &states.join(", "));
    fields
}

/// One `X-RateLimit-Limit-Ns`, `-Remaining-Ns`, `-Reset-Ns` a window length, of the policy with the least remaining.
fn legacy_fields(charges: &[Charge], decisions: &[Decision]) -> Vec<(HeaderName, HeaderValue)> {
    let mut tightest: BTreeMap<u32, (Window, WindowState)> = BTreeMap::new();
    for (charge, decision) in enforced(charges, decisions) {
        if !matches!(charge.policy.fields, FieldStyle::X | FieldStyle::Both) {
            continue;
        }
        for (window, state) in windows(charge, decision) {
            let slot = tightest.entry(window_seconds(window)).or_insert((window, state));
            if state.remaining < slot.1.remaining {
                *slot = (window, state);
            }
        }
    }
    let mut fields = Vec::with_capacity(tightest.len().saturating_mul(3));
    for (seconds, (window, state)) in tightest {
        let triple =
            [("limit", window.limit), ("remaining", state.remaining), ("reset", seconds_up(state.reset_ms))];
        for (what, value) in triple {
            if let Ok(name) = HeaderName::try_from(format!("x-ratelimit-{what}-{seconds}s")) {
                fields.push((name, HeaderValue::from(value)));
            }
        }
    }
    fields
}

fn enforced<'a>(
    charges: &'a [Charge],
    decisions: &'a [Decision],
) -> impl Iterator<Item = (&'a Charge, &'a Decision)> {
    charges.iter().zip(decisions).filter(|(charge, _)| charge.policy.mode == Mode::Enforce)
}

fn windows<'a>(
    charge: &'a Charge,
    decision: &'a Decision,
) -> impl Iterator<Item = (Window, WindowState)> + 'a {
    charge.windows.as_slice().iter().copied().zip(decision.windows.iter().copied())
}

fn push(fields: &mut Vec<(HeaderName, HeaderValue)>, name: HeaderName, text: &str) {
    if !text.is_empty()
        && let Ok(value) = HeaderValue::from_str(text)
    {
        fields.push((name, value));
    }
}

/// A structured-field string (RFC 9651): policy names are restricted to what needs no escape.
fn window_name(policy: &str, window: Window) -> String {
    format!("\"{policy}-{}s\"", window_seconds(window))
}

/// The draft knows no fractions of a second; a window shorter than one is announced as one.
fn window_seconds(window: Window) -> u32 {
    seconds_up(window.length_ms)
}

fn seconds_up(ms: u32) -> u32 {
    ms.div_ceil(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Caller;
    use crate::limit::ring::RingLog;
    use crate::limit::{Overrides, Sender, Windows};
    use http::HeaderMap;
    use std::sync::Arc;

    fn policy(name: &str, list: &[(u32, u32)], mode: Mode) -> Arc<Policy> {
        let list = list.iter().map(|(length_ms, limit)| Window { length_ms: *length_ms, limit: *limit });
        let windows = Windows::new(list.collect()).expect("valid");
        Arc::new(Policy { mode, ..Policy::new(name, windows) })
    }

    fn ask(policies: &[Arc<Policy>], used: u64) -> (Vec<Charge>, Vec<Decision>) {
        let (caller, headers) = (Caller::default(), HeaderMap::new());
        let sender = Sender { caller: &caller, headers: &headers, is_trusted: false };
        let charges = crate::limit::bill(policies, &sender, &Overrides::new()).arrival.charges;
        let decide = |charge: &Charge| {
            let mut log = RingLog::default();
            for at in 0..used {
                log.consume(at, &charge.windows, 1);
            }
            log.judge(used, &charge.windows, 1)
        };
        let decisions = charges.iter().map(decide).collect();
        (charges, decisions)
    }

    fn text(fields: &[(HeaderName, HeaderValue)], name: &str) -> Option<String> {
        fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.to_str().expect("text").to_owned())
    }

    #[test]
    fn each_window_length_has_a_triple_of_the_tightest_policy() {
        let both = [
            policy("wide", &[(60_000, 60), (3_600_000, 1_000)], Mode::Enforce),
            policy("tight", &[(60_000, 10)], Mode::Enforce),
        ];
        let (charges, decisions) = ask(&both, 3);
        let fields = fields(&charges, &decisions, &[]);
        assert_eq!(text(&fields, "x-ratelimit-limit-60s").as_deref(), Some("10"));
        assert_eq!(text(&fields, "x-ratelimit-remaining-60s").as_deref(), Some("7"));
        assert_eq!(text(&fields, "x-ratelimit-remaining-3600s").as_deref(), Some("997"));
        assert_eq!(
            text(&fields, "ratelimit-policy").as_deref(),
            Some(r#""wide-60s";q=60;w=60, "wide-3600s";q=1000;w=3600, "tight-60s";q=10;w=60"#)
        );
        assert_eq!(text(&fields, "x-ratelimit-reset-60s").as_deref(), Some("60"));
    }

    #[test]
    fn a_refusal_lists_only_what_is_spent_and_rounds_the_wait_up() {
        let two = [policy("p", &[(10_500, 5), (60_000, 100)], Mode::Enforce)];
        let (charges, decisions) = ask(&two, 5);
        assert_eq!(
            text(&fields(&charges, &decisions, &[]), "ratelimit").as_deref(),
            Some(r#""p-11s";r=0;t=11"#)
        );
        let denial = denial(&charges, &decisions);
        assert_eq!(
            (denial.status, denial.retry_after_s, denial.policies),
            (429, Some(11), vec!["p".to_owned()])
        );
    }

    #[test]
    fn places_are_announced_as_concurrent_requests() {
        let policy = Policy::new("p", Windows::none());
        let fields = fields(&[], &[], &[Places { policy: &policy, limit: 5, remaining: 3 }]);
        let policy = text(&fields, "ratelimit-policy");
        assert_eq!(policy.as_deref(), Some("\"p-in-flight\";q=5;qu=\"concurrent-requests\""));
        assert_eq!(text(&fields, "ratelimit").as_deref(), Some("\"p-in-flight\";r=3"));
    }

    #[test]
    fn a_shadow_policy_shows_nothing() {
        let (charges, decisions) = ask(&[policy("p", &[(60_000, 1)], Mode::Shadow)], 5);
        assert!(fields(&charges, &decisions, &[]).is_empty());
    }
}
