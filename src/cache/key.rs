//! What names an entry: everything that may change the answer, and above all for whom it is.

use crate::base::{Digest, Digester};
use crate::cache::namespace::{Cookies, Namespace, QueryKey, Scope};
use crate::identity::Caller;
use http::{HeaderMap, Method, header};

/// Raised whenever the meaning of a key's parts changes: old entries are then simply never found.
const DOMAIN: &str = "tidegate entry 1";

/// Why a request is neither answered from the cache nor fills it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bypass {
    /// Neither GET nor HEAD.
    Method,
    /// It has a body, which might change the answer and is not keyed.
    Body,
    /// The scope is tenant and there is no verified tenant.
    NoTenant,
    /// The scope is user and there is no verified user or key.
    NoUser,
    /// It carries a token or key that was not accepted: its answer is nobody's.
    Credential,
    /// It carries cookies and the namespace does not say what they mean.
    Cookie,
}

impl Bypass {
    /// The word for `Cache-Status`.
    #[must_use]
    pub fn detail(&self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Body => "body",
            Self::NoTenant => "no-tenant",
            Self::NoUser => "no-user",
            Self::Credential => "credential",
            Self::Cookie => "cookie",
        }
    }
}

/// A request, as far as the key is concerned.
#[derive(Debug, Clone, Copy)]
pub struct KeyInput<'a> {
    /// The route's namespace.
    pub namespace: &'a Namespace,
    /// The verified sender.
    pub caller: &'a Caller,
    /// Its method.
    pub method: &'a Method,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Host and port, normalised.
    pub authority: &'a str,
    /// The canonical path.
    pub path: &'a str,
    /// The query as it was sent.
    pub query: Option<&'a str>,
    /// Its fields.
    pub headers: &'a HeaderMap,
    /// Does it have a body?
    pub has_body: bool,
}

/// The key of the request's entry.
///
/// # Errors
/// [`Bypass`] when it has none.
pub fn key(input: &KeyInput<'_>) -> Result<Digest, Bypass> {
    let mut digester = Digester::new(DOMAIN);
    for (name, value) in parts(input)? {
        digester.add(name.as_bytes());
        // Absent and empty are different answers.
        digester.add(&[u8::from(value.is_some())]);
        digester.add(value.unwrap_or_default().as_bytes());
    }
    Ok(digester.finish())
}

/// The parts of the key by name, in order; `None` for what the request does not have. `explain` shows them.
///
/// # Errors
/// [`Bypass`] when the request has no entry.
pub fn parts(input: &KeyInput<'_>) -> Result<Vec<(String, Option<String>)>, Bypass> {
    let namespace = input.namespace;
    if !matches!(*input.method, Method::GET | Method::HEAD) {
        return Err(Bypass::Method);
    }
    if input.has_body {
        return Err(Bypass::Body);
    }
    let mut parts = vec![("namespace".to_owned(), Some(namespace.name.to_string()))];
    parts.extend(whose(input)?);
    for claim in &namespace.vary_claims {
        parts.push((format!("claim {claim}"), input.caller.claims.get(claim).cloned()));
    }
    parts.push(("scheme".to_owned(), Some(input.scheme.to_owned())));
    parts.push(("authority".to_owned(), Some(input.authority.to_owned())));
    parts.push(("path".to_owned(), Some(input.path.to_owned())));
    parts.push(("query".to_owned(), query(input)));
    for name in &namespace.headers {
        parts.push((format!("header {name}"), field(input.headers, name)));
    }
    parts.extend(cookies(input)?);
    Ok(parts)
}

/// Whom the entry belongs to.
fn whose(input: &KeyInput<'_>) -> Result<Vec<(String, Option<String>)>, Bypass> {
    let (scope, caller) = (input.namespace.scope, input.caller);
    if scope == Scope::Public {
        return Ok(vec![("scope".to_owned(), Some("public".to_owned()))]);
    }
    if caller.rejected_credential {
        return Err(Bypass::Credential);
    }
    let text = |value: &Option<std::sync::Arc<str>>| value.as_ref().map(ToString::to_string);
    let tenant = ("tenant".to_owned(), text(&caller.tenant));
    match scope {
        Scope::Tenant if caller.tenant.is_none() => Err(Bypass::NoTenant),
        Scope::Tenant => Ok(vec![("scope".to_owned(), Some("tenant".to_owned())), tenant]),
        _ if caller.user.is_none() && caller.api_key.is_none() => Err(Bypass::NoUser),
        _ => Ok(vec![
            ("scope".to_owned(), Some("user".to_owned())),
            tenant,
            ("user".to_owned(), text(&caller.user)),
            // A user's answer may differ by the key it came through.
            ("api key".to_owned(), text(&caller.api_key)),
        ]),
    }
}

/// The keyed part of the query. Order counts: `a=1&a=2` and `a=2&a=1` are different questions to most backends.
fn query(input: &KeyInput<'_>) -> Option<String> {
    let query = input.query?;
    match &input.namespace.query {
        QueryKey::All => Some(query.to_owned()),
        QueryKey::Only(names) => {
            let is_keyed = |pair: &&str| {
                let name = pair.split('=').next().unwrap_or("");
                // Some backends (Python before 3.9.2) take `;` for a separator too: what hides behind one is keyed.
                names.iter().any(|keyed| keyed == name) || pair.contains(';')
            };
            Some(query.split('&').filter(is_keyed).collect::<Vec<_>>().join("&"))
        }
    }
}

fn field(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines: Vec<_> = headers
        .get_all(name)
        .iter()
        .map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned())
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn cookies(input: &KeyInput<'_>) -> Result<Vec<(String, Option<String>)>, Bypass> {
    match &input.namespace.cookies {
        Cookies::Bypass if input.headers.contains_key(header::COOKIE) => Err(Bypass::Cookie),
        Cookies::Bypass | Cookies::Ignore => Ok(Vec::new()),
        Cookies::Key(names) => {
            let line = field(input.headers, "cookie").unwrap_or_default();
            let value = |name: &String| {
                let pairs = line.split([';', '\n']).map(str::trim);
                let values: Vec<&str> = pairs
                    .filter_map(|pair| pair.split_once('='))
                    .filter(|(n, _)| n == name)
                    .map(|(_, v)| v)
                    .collect();
                (!values.is_empty()).then(|| values.join("\n"))
            };
            Ok(names.iter().map(|name| (format!("cookie {name}"), value(name))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::IpAddr;

    fn caller(tenant: Option<&str>, user: Option<&str>) -> Caller {
        Caller {
            tenant: tenant.map(Into::into),
            user: user.map(Into::into),
            ..Caller::anonymous(IpAddr::from([127, 0, 0, 1]))
        }
    }

    fn of(namespace: &Namespace, caller: &Caller, path: &str, query: Option<&str>) -> Result<Digest, Bypass> {
        let headers = HeaderMap::new();
        let (method, scheme, authority) = (&Method::GET, "http", "a.example");
        key(&KeyInput {
            namespace,
            caller,
            method,
            scheme,
            authority,
            path,
            query,
            headers: &headers,
            has_body: false,
        })
    }

    #[test]
    fn without_a_verified_identity_there_is_no_entry() {
        let tenant = Namespace::named("n");
        let user = Namespace { scope: Scope::User, ..Namespace::named("n") };
        assert_eq!(of(&tenant, &caller(None, Some("ada")), "/", None), Err(Bypass::NoTenant));
        assert_eq!(of(&user, &caller(Some("acme"), None), "/", None), Err(Bypass::NoUser));
        let forged = Caller { rejected_credential: true, ..caller(Some("acme"), None) };
        assert_eq!(of(&tenant, &forged, "/", None), Err(Bypass::Credential));
    }

    #[test]
    fn tenants_and_users_never_meet() {
        let tenant = Namespace::named("n");
        let ours = of(&tenant, &caller(Some("acme"), Some("ada")), "/", None).expect("keyed");
        assert_eq!(of(&tenant, &caller(Some("acme"), Some("bob")), "/", None), Ok(ours), "one tenant shares");
        assert_ne!(of(&tenant, &caller(Some("globex"), Some("ada")), "/", None), Ok(ours));
        let user = Namespace { scope: Scope::User, ..Namespace::named("n") };
        let ada = of(&user, &caller(Some("acme"), Some("ada")), "/", None).expect("keyed");
        assert_ne!(of(&user, &caller(Some("acme"), Some("bob")), "/", None), Ok(ada));
        assert_ne!(of(&user, &caller(Some("globex"), Some("ada")), "/", None), Ok(ada));
    }

    #[test]
    fn an_allow_list_drops_only_what_it_must() {
        let listed = Namespace { query: QueryKey::Only(vec!["range".into()]), ..Namespace::named("n") };
        let caller = caller(Some("acme"), None);
        let plain = of(&listed, &caller, "/", Some("range=7d"));
        assert_eq!(of(&listed, &caller, "/", Some("utm=x&range=7d")), plain);
        assert_ne!(
            of(&listed, &caller, "/", Some("utm=x;range=9d&range=7d")),
            plain,
            "a cloaked parameter is keyed"
        );
    }

    proptest! {
        #[test]
        fn the_key_is_injective(a in inputs(), b in inputs()) {
            let digest = |(ns, tenant, path, query): &(String, String, String, Option<String>)| {
                of(&Namespace::named(ns), &caller(Some(tenant), None), path, query.as_deref())
            };
            prop_assert_eq!(a == b, digest(&a) == digest(&b));
        }
    }

    prop_compose! {
        fn inputs()(ns in "[ab]{1,2}", tenant in "[abc]{1,3}", path in "/[ab]{0,2}", query in prop::option::of("[ab=&]{0,3}")) -> (String, String, String, Option<String>) {
            (ns, tenant, path, query)
        }
    }
}
