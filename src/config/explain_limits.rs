//! The limits of an explained request: whom each policy counts, by what right, and where they stand.

use crate::config::effective::{cost_value, windows_value};
use crate::config::snapshot::Route;
use crate::config::standing::{LimitNow, RequestNow};
use crate::limit::{Applied, Charge, Decision, Mode, Overrides, Policy, Sender, applied, charge, subject};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
use std::sync::Arc;

/// One policy of a request's route.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LimitExplained {
    /// Its name.
    pub policy: String,
    /// Who is counted, such as `user:ada`.
    pub counts: String,
    /// What decides the windows: `policy`, `tier`, `override`, `live_override` or `bypass`.
    pub applies: String,
    /// The windows, or `none`.
    pub windows: Value,
    /// What the request costs: units, or where the number comes from.
    pub cost: Value,
    /// Which requests are counted: `all` or `upstream`.
    pub count: String,
    /// Enforced, shadowed or off.
    pub mode: String,
    /// Requests that may be under way at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<u32>,
    /// Where they stand; only a running instance knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<LimitNow>,
    /// What the store is asked; `None` when it is not.
    #[serde(skip)]
    charge: Option<Charge>,
}

/// All policies of `route` as they meet a request.
#[must_use]
pub(super) fn limits(route: &Route, sender: &Sender<'_>, overrides: &Overrides) -> Vec<LimitExplained> {
    route.policies.iter().map(|policy| limit(policy, sender, overrides)).collect()
}

fn limit(policy: &Arc<Policy>, sender: &Sender<'_>, overrides: &Overrides) -> LimitExplained {
    let who = Arc::new(subject(&policy.per, sender.caller, sender.headers));
    let cost = policy.cost.in_advance(sender.headers, sender.is_trusted);
    let applies = applied(policy, &who, sender.caller, overrides);
    let charge = charge(policy, &who, sender.caller.tier.as_deref(), overrides);
    let charge = charge.filter(|_| applies != Applied::Bypass && policy.mode != Mode::Off);
    let in_flight = policy.in_flight.filter(|_| charge.is_some());
    let charge = charge.filter(|charge| !charge.windows.as_slice().is_empty());
    LimitExplained {
        policy: policy.name.to_string(),
        counts: who.to_string(),
        applies: applies.as_str().to_owned(),
        windows: charge.as_ref().map_or(Value::from("none"), |charge| windows_value(&charge.windows)),
        cost: cost_value(&policy.cost),
        count: policy.count.as_str().to_owned(),
        mode: policy.mode.as_str().to_owned(),
        in_flight,
        now: None,
        charge: charge.map(|charge| Charge { cost, ..charge }),
    }
}

/// What the store has to be asked to know where all of them stand.
#[must_use]
pub(super) fn charges(limits: &[LimitExplained]) -> Vec<Charge> {
    limits.iter().filter_map(|limit| limit.charge.clone()).collect()
}

/// Adds what the store said about [`charges`].
#[must_use]
pub(super) fn tell(limits: &mut [LimitExplained], decisions: &[Decision]) -> RequestNow {
    let mut answers = decisions.iter();
    for limit in limits.iter_mut() {
        limit.now = match &limit.charge {
            None => Some(LimitNow::uncounted()),
            Some(charge) => answers.next().map(|decision| LimitNow::of(charge, decision)),
        };
    }
    RequestNow::of(&charges(limits), decisions)
}

impl fmt::Display for LimitExplained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { policy, counts, mode, applies, .. } = self;
        let windows = self.windows.as_str().map_or_else(|| self.windows.to_string(), str::to_owned);
        let limits = match self.in_flight {
            Some(places) if windows == "none" => format!("{places} at once"),
            Some(places) => format!("{windows}, {places} at once"),
            None => windows,
        };
        write!(f, "limit     {policy} counts {counts}: {limits} ({mode}")?;
        if applies != Applied::Policy.as_str() {
            write!(f, ", by {}", applies.replace('_', " "))?;
        }
        f.write_str(")")?;
        let Some(now) = &self.now else { return Ok(()) };
        let left: Vec<String> = now.windows.iter().map(ToString::to_string).collect();
        match &now.why {
            Some(why) => write!(f, "\n  denies  {why}"),
            None if left.is_empty() => Ok(()),
            None => write!(f, "\n  admits  {}", left.join(", ")),
        }
    }
}
