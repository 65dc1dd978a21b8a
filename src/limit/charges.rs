//! From a route's policies and a caller to what the store is asked: who is counted, in which log, at which windows.

use crate::base::{Digest, Digester};
use crate::identity::Caller;
use crate::limit::policy::{Mode, Per, Policy};
use crate::limit::verdict::{Charge, LimitKey};
use http::HeaderMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// Who is counted: a kind and a value, printed as `user:ada`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// `user`, `api_key`, `tenant`, `ip`, `global` or `header:name`.
    pub kind: String,
    /// The value; empty for `global`.
    pub value: String,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.value.is_empty() {
            f.write_str(&self.kind)
        } else {
            write!(f, "{}:{}", self.kind, self.value)
        }
    }
}

impl Subject {
    /// Reads what [`Subject`]'s `Display` writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "global" {
            return Some(Self { kind: text.to_owned(), value: String::new() });
        }
        let (kind, value) = match text.strip_prefix("header:") {
            Some(rest) => rest.split_once(':').map(|(name, value)| (format!("header:{name}"), value))?,
            None => text.split_once(':').map(|(kind, value)| (kind.to_owned(), value))?,
        };
        let is_known = matches!(&*kind, "user" | "api_key" | "tenant" | "ip") || kind.starts_with("header:");
        (is_known && !value.is_empty()).then(|| Self { kind, value: value.to_owned() })
    }

    /// The digest under which the subject's logs are kept: neither the name nor its length can be read from it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digester::new("tidegate limit 1").part(self.kind.as_bytes()).part(self.value.as_bytes()).finish()
    }
}

/// The first of `per` that the request has; the address when it has none of them.
#[must_use]
pub fn subject(per: &[Per], caller: &Caller, headers: &HeaderMap) -> Subject {
    per.iter().find_map(|per| one(per, caller, headers)).unwrap_or_else(|| address(caller.address))
}

fn one(per: &Per, caller: &Caller, headers: &HeaderMap) -> Option<Subject> {
    let named = |kind: &str, value: &Option<Arc<str>>| {
        value.as_ref().map(|value| Subject { kind: kind.to_owned(), value: value.to_string() })
    };
    match per {
        Per::User => named("user", &caller.user),
        Per::ApiKey => named("api_key", &caller.api_key),
        Per::Tenant => named("tenant", &caller.tenant),
        Per::Ip => Some(address(caller.address)),
        Per::Global => Some(Subject { kind: "global".to_owned(), value: String::new() }),
        Per::Header(name) => {
            let value = headers.get(&**name)?.to_str().ok().filter(|value| !value.is_empty())?;
            Some(Subject { kind: format!("header:{name}"), value: value.to_owned() })
        }
    }
}

/// IPv4 as it is; IPv6 by its /64, since one customer has at least that many addresses.
fn address(address: IpAddr) -> Subject {
    let value = match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let network = u128::from(v6) & !u128::from(u64::MAX);
            format!("{}/64", std::net::Ipv6Addr::from(network))
        }
    };
    Subject { kind: "ip".to_owned(), value }
}

/// One charge for each policy that is asked, in the route's order; none twice.
#[must_use]
pub fn charges(policies: &[Arc<Policy>], caller: &Caller, headers: &HeaderMap) -> Vec<Charge> {
    let mut charges: Vec<Charge> = Vec::with_capacity(policies.len());
    for policy in policies.iter().filter(|policy| policy.mode != Mode::Off) {
        let charge = charge(policy, &subject(&policy.per, caller, headers), caller.tier.as_deref());
        if charges.iter().all(|other| other.key != charge.key) {
            charges.push(charge);
        }
    }
    charges
}

/// What `policy` demands of `subject`.
#[must_use]
pub fn charge(policy: &Arc<Policy>, subject: &Subject, tier: Option<&str>) -> Charge {
    let windows = tier.and_then(|tier| policy.tiers.get(tier)).unwrap_or(&policy.windows);
    Charge {
        key: LimitKey { identity: subject.digest(), policy: Arc::clone(&policy.name) },
        windows: windows.clone(),
        cost: policy.cost,
        policy: Arc::clone(policy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::policy::{FieldStyle, OnStoreFailure, Window, Windows};

    fn policy(per: Vec<Per>) -> Arc<Policy> {
        let windows = Windows::new(vec![Window { length_ms: 60_000, limit: 60 }]).expect("valid");
        let pro = Windows::new(vec![Window { length_ms: 60_000, limit: 200 }]).expect("valid");
        Arc::new(Policy {
            name: "p".into(),
            per,
            windows,
            tiers: [("pro".to_owned(), pro)].into(),
            cost: 1,
            mode: Mode::Enforce,
            on_store_failure: OnStoreFailure::Local,
            fields: FieldStyle::Both,
            status: 429,
        })
    }

    #[test]
    fn the_first_identity_that_the_request_has_is_counted() {
        let per = [Per::User, Per::ApiKey, Per::Ip];
        let mut caller = Caller::anonymous(IpAddr::from([192, 0, 2, 7]));
        let text = |caller: &Caller| subject(&per, caller, &HeaderMap::new()).to_string();
        assert_eq!(text(&caller), "ip:192.0.2.7");
        caller.api_key = Some("billing".into());
        assert_eq!(text(&caller), "api_key:billing");
        caller.user = Some("ada".into());
        assert_eq!(text(&caller), "user:ada");
    }

    #[test]
    fn addresses_of_one_ipv6_network_share_a_log() {
        let of = |text: &str| address(text.parse().expect("an address")).value;
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:1:ffff::2"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
    }

    #[test]
    fn a_tier_has_its_own_windows_in_the_same_log() {
        let (policy, subject) =
            (policy(vec![Per::User]), Subject { kind: "user".into(), value: "ada".into() });
        let (free, pro) = (charge(&policy, &subject, Some("free")), charge(&policy, &subject, Some("pro")));
        assert_eq!((free.windows.as_slice()[0].limit, pro.windows.as_slice()[0].limit), (60, 200));
        assert_eq!(free.key, pro.key);
    }

    #[test]
    fn a_subject_is_read_as_it_is_written() {
        for text in ["user:ada", "ip:2001:db8::/64", "global", "header:x-shop:7:8", "tenant:a:b"] {
            assert_eq!(Subject::parse(text).expect(text).to_string(), text);
        }
        assert_eq!(Subject::parse("nobody:x"), None);
        assert_eq!(Subject::parse("user:"), None);
    }

    #[test]
    fn a_hostile_value_makes_a_short_plain_key() {
        let subject = Subject { kind: "user".into(), value: "a}b{c\r\n".repeat(10_000) };
        let key = LimitKey { identity: subject.digest(), policy: "p".into() }.redis_key("tg:");
        assert!(key.len() <= 80 && key.matches('{').count() == 1 && key.is_ascii(), "{key}");
    }
}
