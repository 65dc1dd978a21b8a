//! Fields that a client must not be able to set, and those in which the backend gets verified facts instead.

use std::net::IpAddr;

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::address::{Trail, X_FORWARDED_FOR};
use super::caller::Caller;
use super::identifier::Forward;

const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Every field of these families is the proxy's to write: where a message came from, and what the client's certificate
/// says (RFC 9440, and the names that proxies and frameworks had before it).
const FAMILIES: &[&str] = &[
    "x-forwarded-",
    "client-cert",
    "x-client-cert",
    "x-client-dn",
    "x-client-verify",
    "x-arr-clientcert",
    "x-ssl-client",
    "x-ssl-cert",
    "ssl-client",
    "ssl-cert",
];

/// Fields by which frameworks take another address, target or method than the message has. None of them is part of a
/// cache key, so none may reach the backend from a client.
const NEVER_FROM_CLIENTS: &[&str] = &[
    "x-host",
    "x-original-host",
    "x-http-host-override",
    "x-host-override",
    "x-backend-host",
    "x-scheme",
    "x-url-scheme",
    "front-end-https",
    "x-script-name",
    "x-original-uri",
    "x-envoy-original-path",
    // CGI makes HTTP_PROXY of it, which many libraries take for their own proxy (CVE-2016-5385).
    "proxy",
    "x-real-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-url",
    "x-rewrite-url",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
];

/// The request as it came in, as far as forwarding needs it.
#[derive(Debug, Clone, Copy)]
pub struct Received<'r> {
    /// The connection's peer.
    pub peer: IpAddr,
    /// The fields as received, before anything was stripped.
    pub headers: &'r HeaderMap,
    /// The effective scheme, `http` or `https` ([`super::Identifier::scheme`]).
    pub scheme: &'r str,
    /// The checked authority of the request, empty when it has none (HTTP/1.0).
    pub authority: &'r str,
}

/// What a request field that no client can set tells the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// The user.
    User,
    /// The tenant.
    Tenant,
    /// The sender's address and its way here.
    Sender,
    /// The scheme or the host that was asked for.
    Target,
    /// Nothing: the field never gets there.
    Nothing,
}

/// What `name` tells the backend; `None` for the fields that are the client's to write.
pub(super) fn fact(forward: &Forward, guarded: &Guarded, name: &HeaderName) -> Option<Fact> {
    let name = hyphenated(name);
    let is = |other: &Option<HeaderName>| other.as_ref().is_some_and(|other| hyphenated(other) == name);
    match () {
        () if is(&forward.user) => Some(Fact::User),
        () if is(&forward.tenant) => Some(Fact::Tenant),
        () if name == forward.client || name == X_FORWARDED_FOR => Some(Fact::Sender),
        () if name == X_FORWARDED_HOST || name == X_FORWARDED_PROTO => Some(Fact::Target),
        () => guarded.covers(&name).then_some(Fact::Nothing),
    }
}

/// The names, with hyphens, that only the proxy writes, and that of the API key, which a client may write in that
/// spelling alone: a backend that reads `x_api_key` as `X-API-Key` would know a caller that is anonymous here.
#[derive(Debug, Clone)]
pub(super) struct Guarded {
    ours: Vec<HeaderName>,
    key: HeaderName,
}

impl Guarded {
    pub(super) fn new(forward: &Forward, tenant_header: Option<&HeaderName>, key: &HeaderName) -> Self {
        let fixed = NEVER_FROM_CLIENTS.iter().copied().map(HeaderName::from_static);
        let configured =
            [forward.user.as_ref(), forward.tenant.as_ref(), Some(&forward.client), tenant_header];
        let ours = fixed.chain([FORWARDED]).chain(configured.into_iter().flatten().map(hyphenated)).collect();
        Self { ours, key: hyphenated(key) }
    }

    /// Which fields of a request must go. `x_user_id` reaches CGI-like backends under the same name as `X-User-Id`,
    /// so both spellings go.
    pub(super) fn present(&self, headers: &HeaderMap) -> Vec<HeaderName> {
        headers.keys().filter(|name| self.covers(name)).cloned().collect()
    }

    fn covers(&self, name: &HeaderName) -> bool {
        let covers = |name: &HeaderName| {
            FAMILIES.iter().any(|family| name.as_str().starts_with(family)) || self.ours.contains(name)
        };
        if !name.as_str().contains('_') {
            return covers(name);
        }
        let hyphenated = hyphenated(name);
        covers(&hyphenated) || hyphenated == self.key
    }
}

fn hyphenated(name: &HeaderName) -> HeaderName {
    HeaderName::try_from(name.as_str().replace('_', "-")).unwrap_or_else(|_impossible| name.clone())
}

/// The fields of verified facts. A fact that nobody verified has no field.
pub(super) fn forwarded(
    forward: &Forward,
    caller: &Caller,
    trail: &Trail,
    received: Received<'_>,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut chain: Vec<String> = trail.hops.iter().map(ToString::to_string).collect();
    chain.push(received.peer.to_canonical().to_string());
    let mut facts = vec![
        (X_FORWARDED_FOR, chain.join(", ")),
        (X_FORWARDED_PROTO, received.scheme.to_owned()),
        (X_FORWARDED_HOST, received.authority.to_owned()),
    ];
    if forward.client != X_FORWARDED_FOR {
        facts.push((forward.client.clone(), caller.address.to_string()));
    }
    let named = [(&forward.user, &caller.user), (&forward.tenant, &caller.tenant)];
    for (name, fact) in named {
        if let (Some(name), Some(fact)) = (name, fact) {
            facts.push((name.clone(), fact.to_string()));
        }
    }
    let value = |(name, text): (HeaderName, String)| {
        Some((name, HeaderValue::from_bytes(text.as_bytes()).ok().filter(|value| !value.is_empty())?))
    };
    facts.into_iter().filter_map(value).collect()
}
