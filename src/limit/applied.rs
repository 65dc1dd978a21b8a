//! What decides somebody's windows under a policy, for those who want to know why.

use crate::identity::Caller;
use crate::limit::exempt::Overrides;
use crate::limit::policy::{Per, Policy};
use crate::limit::subject::Subject;
use crate::limit::verdict::LimitKey;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// Where windows come from, the first that says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// The identity is exempt.
    Bypass,
    /// An override that was set while running.
    LiveOverride,
    /// An override of the configuration.
    Override,
    /// The tier.
    Tier,
    /// The policy itself.
    Policy,
}

impl Applied {
    /// A word for people and programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::LiveOverride => "live_override",
            Self::Override => "override",
            Self::Tier => "tier",
            Self::Policy => "policy",
        }
    }
}

/// What decides, as [`charge`](crate::limit::charge) and [`bill`](crate::limit::bill) do it.
#[must_use]
pub fn applied(policy: &Policy, subject: &Subject, caller: &Caller, overrides: &Overrides) -> Applied {
    let key = LimitKey { identity: subject.digest(), policy: Arc::clone(&policy.name) };
    if policy.bypass.covers(caller) {
        Applied::Bypass
    } else if overrides.contains_key(&key) {
        Applied::LiveOverride
    } else if policy.overrides.contains_key(subject) {
        Applied::Override
    } else if caller.tier.as_ref().is_some_and(|tier| policy.tiers.contains_key(&**tier)) {
        Applied::Tier
    } else {
        Applied::Policy
    }
}

/// A caller of whom nothing is known but `subject` and `tier`.
#[must_use]
pub fn caller_of(subject: &Subject, tier: Option<&str>) -> Caller {
    let network = subject.value.strip_suffix("/64").unwrap_or(&subject.value);
    let address = network.parse().ok().filter(|_| subject.per == Per::Ip);
    let mut caller = Caller::anonymous(address.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)));
    let value = Some(subject.value.clone().into());
    match subject.per {
        Per::User => caller.user = value,
        Per::ApiKey => caller.api_key = value,
        Per::Tenant => caller.tenant = value,
        Per::Ip | Per::Global | Per::Header(_) | Per::Together(_) => {}
    }
    caller.tier = tier.map(Into::into);
    caller
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::{Bypass, Override, Window, Windows};

    #[test]
    fn the_first_that_says_something_applies() {
        let minute = |limit| Windows::new(vec![Window { length_ms: 60_000, limit }]).expect("valid");
        let ada = Subject::parse("user:ada").expect("an identity");
        let key = LimitKey { identity: ada.digest(), policy: "p".into() };
        let mut policy = Policy::new("p", minute(60));
        let mut live = Overrides::new();
        let says = |policy: &Policy, tier, live: &Overrides| {
            applied(policy, &ada, &caller_of(&ada, tier), live).as_str()
        };
        assert_eq!(says(&policy, Some("pro"), &live), "policy");
        policy.tiers = [("pro".to_owned(), minute(200))].into();
        assert_eq!((says(&policy, Some("pro"), &live), says(&policy, None, &live)), ("tier", "policy"));
        policy.overrides = [(ada.clone(), Override::Unlimited)].into();
        assert_eq!(says(&policy, Some("pro"), &live), "override");
        live.insert(key, Override::Windows(minute(7)));
        assert_eq!(says(&policy, Some("pro"), &live), "live_override");
        policy.bypass = Bypass { networks: Vec::new(), subjects: vec![ada.clone()] };
        assert_eq!(says(&policy, Some("pro"), &live), "bypass");
    }

    #[test]
    fn a_network_is_exempt_by_its_address() {
        let mut policy = Policy::new("p", Windows::none());
        policy.bypass.networks = vec!["2001:db8::/32".parse().expect("a network")];
        let of = |text: &str| {
            let subject = Subject::parse(text).expect("an identity");
            applied(&policy, &subject, &caller_of(&subject, None), &Overrides::new())
        };
        assert_eq!(of("ip:2001:db8:1::/64"), Applied::Bypass);
        assert_eq!(of("ip:192.0.2.1"), Applied::Policy);
        assert_eq!(of("user:2001:db8::1"), Applied::Policy);
    }
}
