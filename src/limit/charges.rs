//! From a route's policies and a sender to what the store is asked: who is counted, in which log, at which windows, when.

use crate::identity::Caller;
use crate::limit::exempt::{Override, Overrides};
use crate::limit::policy::{Mode, Policy};
use crate::limit::subject::{Subject, subject};
use crate::limit::verdict::{Charge, LimitKey};
use crate::limit::{Count, Windows};
use http::HeaderMap;
use std::sync::Arc;

/// The sender of a request, as far as limits are concerned.
#[derive(Debug, Clone, Copy)]
pub struct Sender<'a> {
    /// The verified facts.
    pub caller: &'a Caller,
    /// The request's fields.
    pub headers: &'a HeaderMap,
    /// May the peer state what a request costs?
    pub is_trusted: bool,
}

/// A place among the requests of one identity that are under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// The policy.
    pub policy: Arc<Policy>,
    /// Whose places.
    pub key: LimitKey,
    /// Who that is.
    pub subject: Arc<Subject>,
    /// How many places there are.
    pub limit: u32,
}

/// What is decided at one moment of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stage {
    /// Units, all or none.
    pub charges: Vec<Charge>,
    /// Places, held to the end of the request.
    pub slots: Vec<Slot>,
}

impl Stage {
    /// Is nothing decided?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.charges.is_empty() && self.slots.is_empty()
    }
}

/// What a route's policies ask of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bill {
    /// Before anything else.
    pub arrival: Stage,
    /// When no stored answer does (`count: upstream`).
    pub upstream: Stage,
    /// Policies that do not count this sender.
    pub bypassed: Vec<Arc<Policy>>,
}

impl Bill {
    /// Is something asked of this log, or of its places?
    fn names(&self, key: &LimitKey) -> bool {
        let in_stage = |stage: &Stage| {
            stage.charges.iter().any(|charge| charge.key == *key)
                || stage.slots.iter().any(|slot| slot.key == *key)
        };
        in_stage(&self.arrival) || in_stage(&self.upstream)
    }
}

/// One charge for each policy that is asked, in the route's order; none twice. `overrides` are the live ones.
#[must_use]
pub fn bill(policies: &[Arc<Policy>], sender: &Sender<'_>, overrides: &Overrides) -> Bill {
    let mut bill = Bill::default();
    for policy in policies.iter().filter(|policy| policy.mode != Mode::Off) {
        let who = Arc::new(subject(&policy.per, sender.caller, sender.headers));
        let cost = policy.cost.in_advance(sender.headers, sender.is_trusted);
        let charge = charge(policy, &who, sender.caller.tier.as_deref(), overrides);
        let Some(charge) = charge.filter(|_| !policy.bypass.covers(sender.caller)) else {
            bill.bypassed.push(Arc::clone(policy));
            continue;
        };
        if bill.names(&charge.key) {
            continue;
        }
        let stage = if policy.count == Count::All { &mut bill.arrival } else { &mut bill.upstream };
        if let Some(limit) = policy.in_flight {
            let (policy, key) = (Arc::clone(policy), charge.key.clone());
            stage.slots.push(Slot { policy, key, subject: who, limit });
        }
        if !charge.windows.as_slice().is_empty() {
            stage.charges.push(Charge { cost, ..charge });
        }
    }
    bill
}

/// What `policy` demands of `subject` at its fixed cost; `None` when it has no limit. The first of these that says
/// something: live override, the configuration's override, tier, policy.
#[must_use]
pub fn charge(
    policy: &Arc<Policy>,
    subject: &Arc<Subject>,
    tier: Option<&str>,
    overrides: &Overrides,
) -> Option<Charge> {
    let key = LimitKey { identity: subject.digest(), policy: Arc::clone(&policy.name) };
    let of_tier = tier.and_then(|tier| policy.tiers.get(tier)).unwrap_or(&policy.windows);
    // Neither map is asked on most requests: hashing costs more than the look at an empty one.
    let live = if overrides.is_empty() { None } else { overrides.get(&key) };
    let own = if policy.overrides.is_empty() { None } else { policy.overrides.get(&**subject) };
    let windows = match live.or(own) {
        None => of_tier.clone(),
        Some(Override::Unlimited) => return None,
        Some(Override::Windows(own)) => own.over(of_tier).unwrap_or_else(|_too_many| Windows::clone(own)),
    };
    Some(Charge {
        key,
        windows,
        cost: policy.cost.fixed,
        consumes: !policy.charges_after(),
        subject: Arc::clone(subject),
        policy: Arc::clone(policy),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::policy::Per;
    use crate::limit::{Bypass, StatusSet, Window};
    use std::net::IpAddr;

    fn minute(limit: u32) -> Windows {
        Windows::new(vec![Window { length_ms: 60_000, limit }]).expect("valid")
    }

    fn ada() -> Arc<Subject> {
        Arc::new(Subject::parse("user:ada").expect("an identity"))
    }

    fn limit(policy: &Arc<Policy>, tier: Option<&str>, overrides: &Overrides) -> Option<u32> {
        charge(policy, &ada(), tier, overrides).map(|charge| charge.windows.as_slice()[0].limit)
    }

    #[test]
    fn override_beats_tier_beats_policy_in_one_log() {
        let mut policy = Policy::new("p", minute(60));
        policy.tiers = [("pro".to_owned(), minute(200))].into();
        let plain = Arc::new(policy.clone());
        assert_eq!(limit(&plain, Some("free"), &Overrides::new()), Some(60));
        assert_eq!(limit(&plain, Some("pro"), &Overrides::new()), Some(200));
        policy.overrides = [((*ada()).clone(), Override::Windows(minute(300)))].into();
        let policy = Arc::new(policy);
        assert_eq!(limit(&policy, Some("pro"), &Overrides::new()), Some(300));
        let key = charge(&plain, &ada(), Some("pro"), &Overrides::new()).expect("a limit").key;
        assert_eq!(charge(&policy, &ada(), None, &Overrides::new()).expect("a limit").key, key, "one log");
        let live = Overrides::from([(key.clone(), Override::Windows(minute(7)))]);
        assert_eq!(limit(&policy, Some("pro"), &live), Some(7));
        assert_eq!(limit(&policy, None, &Overrides::from([(key, Override::Unlimited)])), None);
    }

    #[test]
    fn an_override_states_only_what_differs() {
        let base = Windows::new(vec![
            Window { length_ms: 60_000, limit: 60 },
            Window { length_ms: 3_600_000, limit: 1_000 },
        ]);
        let mut policy = Policy::new("p", base.expect("valid"));
        policy.overrides = [((*ada()).clone(), Override::Windows(minute(300)))].into();
        let charge = charge(&Arc::new(policy), &ada(), None, &Overrides::new()).expect("a limit");
        let limits: Vec<u32> = charge.windows.as_slice().iter().map(|window| window.limit).collect();
        assert_eq!(limits, [300, 1_000]);
    }

    #[test]
    fn each_policy_is_asked_in_its_stage_and_none_twice() {
        let (mut upstream, mut login) = (Policy::new("upstream", minute(5)), Policy::new("login", minute(5)));
        upstream.count = Count::Upstream;
        login.count_status = Some(StatusSet(vec![(401, 401)]));
        login.in_flight = Some(2);
        let mut exempt = Policy::new("exempt", minute(5));
        exempt.bypass =
            Bypass { networks: vec!["192.0.2.0/24".parse().expect("valid")], subjects: Vec::new() };
        let mut slots = Policy::new("slots", Windows::none());
        slots.in_flight = Some(3);
        let policies = [upstream, login.clone(), login, exempt, slots.clone(), slots].map(Arc::new);
        let caller = Caller::anonymous(IpAddr::from([192, 0, 2, 1]));
        let headers = HeaderMap::new();
        let sender = Sender { caller: &caller, headers: &headers, is_trusted: false };
        let bill = bill(&policies, &sender, &Overrides::new());
        let names = |charges: &[Charge]| {
            charges.iter().map(|charge| charge.policy.name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names(&bill.arrival.charges), ["login"]);
        assert!(!bill.arrival.charges[0].consumes);
        assert_eq!(names(&bill.upstream.charges), ["upstream"]);
        let slots: Vec<u32> = bill.arrival.slots.iter().map(|slot| slot.limit).collect();
        assert_eq!(slots, [2, 3]);
        assert_eq!(&*bill.bypassed[0].name, "exempt");
        assert_eq!(policies[0].per, [Per::User, Per::ApiKey, Per::Ip]);
    }
}
