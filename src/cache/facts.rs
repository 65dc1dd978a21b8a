//! `Vary` on request fields that we write: the client did not send what the backend saw, so the request that is at
//! hand when an answer is looked up says nothing about them. Either the key tells such requests apart, or the answer
//! is not stored.

use crate::cache::namespace::Scope;
use crate::identity::Fact;
use http::HeaderName;

/// Differs from request to request.
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The selecting fields of an answer without those that the key of this scope covers. `None`: one of them is a fact
/// that the key does not hold, so the answer is for this request alone.
#[must_use]
pub fn beyond_key(
    selecting: Vec<HeaderName>,
    scope: Scope,
    fact: impl Fn(&HeaderName) -> Option<Fact>,
) -> Option<Vec<HeaderName>> {
    let mut rest = Vec::with_capacity(selecting.len());
    for name in selecting {
        match (fact(&name), scope) {
            _ if name == X_REQUEST_ID => return None,
            (None, _) => rest.push(name),
            // Scheme and authority are in every key; what the backend never gets is absent from all requests alike.
            (Some(Fact::Target | Fact::Nothing), _)
            | (Some(Fact::Tenant), Scope::Tenant | Scope::User)
            | (Some(Fact::User), Scope::User) => {}
            (Some(Fact::Tenant | Fact::User | Fact::Sender), _) => return None,
        }
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(names: &[&'static str], scope: Scope) -> Option<Vec<String>> {
        let names = names.iter().map(|name| HeaderName::from_static(name)).collect();
        let fact = |name: &HeaderName| match name.as_str() {
            "x-user-id" => Some(Fact::User),
            "x-organization-id" => Some(Fact::Tenant),
            "x-forwarded-for" => Some(Fact::Sender),
            "x-forwarded-host" => Some(Fact::Target),
            "x-original-url" => Some(Fact::Nothing),
            _ => None,
        };
        beyond_key(names, scope, fact).map(|names| names.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_fact_in_the_key_selects_no_further() {
        for scope in [Scope::Public, Scope::Tenant, Scope::User] {
            let names = ["accept", "x-forwarded-host", "x-original-url"];
            assert_eq!(rest(&names, scope), Some(vec!["accept".to_owned()]), "{scope:?}");
        }
        assert_eq!(rest(&["x-organization-id"], Scope::Tenant), Some(Vec::new()));
        assert_eq!(rest(&["x-organization-id", "x-user-id"], Scope::User), Some(Vec::new()));
    }

    #[test]
    fn a_fact_beyond_the_key_forbids_sharing() {
        assert_eq!(rest(&["x-user-id"], Scope::Tenant), None);
        assert_eq!(rest(&["accept", "x-user-id"], Scope::Public), None);
        assert_eq!(rest(&["x-organization-id"], Scope::Public), None);
        for scope in [Scope::Public, Scope::Tenant, Scope::User] {
            assert_eq!(rest(&["x-forwarded-for"], scope), None, "{scope:?}");
            assert_eq!(rest(&["x-request-id"], scope), None, "{scope:?}");
        }
    }
}
