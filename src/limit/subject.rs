//! Who is counted.

use crate::base::{Digest, Digester};
use crate::identity::Caller;
use crate::limit::policy::Per;
use http::{HeaderMap, HeaderName};
use std::fmt;
use std::net::IpAddr;

/// Who is counted: a kind and a value, printed as `user:ada`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject {
    /// The kind.
    pub per: Per,
    /// The value; empty for [`Per::Global`].
    pub value: Box<str>,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.value.is_empty() { self.per.fmt(f) } else { write!(f, "{}:{}", self.per, self.value) }
    }
}

impl Subject {
    /// Reads what [`Subject`]'s `Display` writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "global" {
            return Some(Self { per: Per::Global, value: Box::default() });
        }
        let (kind, rest) = text.split_once(':')?;
        let (per, value) = match kind {
            "user" => (Per::User, rest),
            "api_key" => (Per::ApiKey, rest),
            "tenant" => (Per::Tenant, rest),
            "ip" => return address_of(rest),
            _ if kind.contains('+') => {
                let per = Per::parse_together(kind)?;
                let Per::Together(parts) = &per else { return None };
                let values: Vec<&str> = rest.split('+').collect();
                let is_whole = values.len() == parts.len() && values.iter().all(|value| !value.is_empty());
                return is_whole.then(|| Self { value: rest.into(), per });
            }
            "header" => {
                let (name, value) = rest.split_once(':')?;
                (Per::Header(HeaderName::try_from(name).ok()?.as_str().into()), value)
            }
            _ => return None,
        };
        (!value.is_empty()).then(|| Self { per, value: value.into() })
    }

    /// The digest under which the subject's logs are kept: neither the name nor its length can be read from it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let digester = Digester::new("tidegate limit 1");
        let digester = match &self.per {
            Per::Header(name) => digester.part(b"header:").part(name.as_bytes()),
            Per::User => digester.part(b"user"),
            Per::ApiKey => digester.part(b"api_key"),
            Per::Tenant => digester.part(b"tenant"),
            Per::Ip => digester.part(b"ip"),
            Per::Global => digester.part(b"global"),
            Per::Together(_) => digester.part(b"together:").part(self.per.to_string().as_bytes()),
        };
        digester.part(self.value.as_bytes()).finish()
    }
}

/// An address, or the network that an address is counted by.
fn address_of(text: &str) -> Option<Subject> {
    let address = text.strip_suffix("/64").unwrap_or(text).parse().ok()?;
    Some(address_subject(address))
}

/// The first of `per` that the request has; the address when it has none of them.
#[must_use]
pub fn subject(per: &[Per], caller: &Caller, headers: &HeaderMap) -> Subject {
    per.iter().find_map(|per| one(per, caller, headers)).unwrap_or_else(|| address_subject(caller.address))
}

fn one(per: &Per, caller: &Caller, headers: &HeaderMap) -> Option<Subject> {
    let value = match per {
        Per::User => caller.user.as_deref()?,
        Per::ApiKey => caller.api_key.as_deref()?,
        Per::Tenant => caller.tenant.as_deref()?,
        Per::Ip => return Some(address_subject(caller.address)),
        Per::Global => "",
        Per::Together(parts) => {
            let values = parts.iter().map(|part| Some(plain(&one(part, caller, headers)?.value)));
            let values: Vec<String> = values.collect::<Option<_>>()?;
            return Some(Subject { per: per.clone(), value: values.join("+").into() });
        }
        Per::Header(name) => headers.get(&**name)?.to_str().ok().filter(|value| !value.is_empty())?,
    };
    Some(Subject { per: per.clone(), value: value.into() })
}

/// A value among others: nothing in it can be taken for what stands between them.
fn plain(value: &str) -> String {
    value.replace('%', "%25").replace('+', "%2B")
}

/// IPv4 as it is; IPv6 by its /64, since one customer has at least that many addresses.
fn address_subject(address: IpAddr) -> Subject {
    let value = match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let network = u128::from(v6) & !u128::from(u64::MAX);
            format!("{}/64", std::net::Ipv6Addr::from(network))
        }
    };
    Subject { per: Per::Ip, value: value.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::LimitKey;

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
        let of = |text: &str| address_subject(text.parse().expect("an address")).value;
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:1:ffff::2"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_eq!(&*of("::ffff:192.0.2.7"), "192.0.2.7");
    }

    #[test]
    fn a_subject_is_read_as_it_is_written() {
        for text in
            ["user:ada", "ip:2001:db8::/64", "ip:192.0.2.1", "global", "header:x-shop:7:8", "tenant:a:b"]
        {
            assert_eq!(Subject::parse(text).expect(text).to_string(), text);
        }
        for odd in ["nobody:x", "user:", "ip:x", "ada", "header:x-shop", ""] {
            assert_eq!(Subject::parse(odd), None, "{odd}");
        }
        assert_eq!(Subject::parse("ip:2001:db8::7").expect("an address").to_string(), "ip:2001:db8::/64");
    }

    #[test]
    fn several_facts_together_are_one_identity_that_no_value_can_forge() {
        let per = [Per::parse_together("user+ip").expect("two facts")];
        let of = |user: &str, address: [u8; 4]| {
            let caller = Caller { user: Some(user.into()), ..Caller::anonymous(IpAddr::from(address)) };
            subject(&per, &caller, &HeaderMap::new())
        };
        let ada = of("ada", [192, 0, 2, 7]);
        assert_eq!(ada.to_string(), "user+ip:ada+192.0.2.7");
        assert_eq!(Subject::parse("user+ip:ada+192.0.2.7"), Some(ada.clone()));
        assert_ne!(ada.digest(), of("ada", [192, 0, 2, 8]).digest());
        assert_ne!(ada.digest(), of("bob", [192, 0, 2, 7]).digest());
        assert_eq!(&*of("a+b%", [192, 0, 2, 7]).value, "a%2Bb%25+192.0.2.7");
        let anonymous = Caller::anonymous(IpAddr::from([192, 0, 2, 7]));
        assert_eq!(subject(&per, &anonymous, &HeaderMap::new()).to_string(), "ip:192.0.2.7");
        for odd in ["user+ip:ada", "user+user:a+b", "user+global:a+b", "user+ip:+192.0.2.7"] {
            assert_eq!(Subject::parse(odd), None, "{odd}");
        }
        assert_eq!(per[0].breadth(), 0);
    }

    #[test]
    fn a_hostile_value_makes_a_short_plain_key() {
        let subject = Subject { per: Per::User, value: "a}b{c\r\n".repeat(10_000).into() };
        let key = LimitKey { identity: subject.digest(), policy: "p".into() }.redis_key("tg:");
        assert!(key.len() <= 80 && key.matches('{').count() == 1 && key.is_ascii(), "{key}");
    }
}
