//! The key: what must be equal for two requests to share an answer, and who is not answered from the cache at all.
//!
//! Every part is digested with its name and length and with a mark that tells absent from empty, so no value can
//! slide into another's place.

use crate::base::{Digest, Digester};
use crate::cache::directives::RequestDirectives;
use crate::cache::namespace::{Cookies, Namespace, QueryKey, Scope};
use crate::identity::Caller;
use http::Method;
use http::header::{COOKIE, HeaderMap, UPGRADE};

/// A request, as far as the key is concerned.
#[derive(Debug, Clone, Copy)]
pub struct KeyInput<'r> {
    /// The route's namespace.
    pub namespace: &'r Namespace,
    /// Who asks: verified facts only.
    pub caller: &'r Caller,
    /// The method.
    pub method: &'r Method,
    /// `http` or `https`.
    pub scheme: &'r str,
    /// Host and port of the effective request target.
    pub authority: &'r str,
    /// The canonical path, the one that is forwarded.
    pub path: &'r str,
    /// The query as it was sent; `None` without `?`.
    pub query: Option<&'r str>,
    /// The request's fields as they are forwarded.
    pub headers: &'r HeaderMap,
    /// Does the request have a body?
    pub has_body: bool,
}

/// Why a request is neither answered from the cache nor fills it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bypass {
    /// Not GET or HEAD.
    Method,
    /// A body came with it.
    Body,
    /// It wants another protocol.
    Upgrade,
    /// It carries cookies and the namespace does not say what to do with them.
    Cookie,
    /// Scope tenant, and no verified tenant.
    NoTenant,
    /// Scope user, and no verified user or API key.
    NoUser,
    /// It carries a credential that was not accepted.
    Credential,
    /// The client said `no-store` and the namespace listens.
    NoStore,
}

impl Bypass {
    /// A stable word for `Cache-Status`, metrics and `explain`.
    #[must_use]
    pub fn detail(&self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Body => "body",
            Self::Upgrade => "upgrade",
            Self::Cookie => "cookie",
            Self::NoTenant => "no-tenant",
            Self::NoUser => "no-user",
            Self::Credential => "credential",
            Self::NoStore => "no-store",
        }
    }
}

/// The key of a request.
///
/// # Errors
/// [`Bypass`] says why the request has none.
pub fn key(input: &KeyInput<'_>) -> Result<Digest, Bypass> {
    admitted(input)?;
    let mut digester = Digester::new("tidegate entry 1");
    visit(input, &mut |kind, name, value| {
        digester.add(kind.as_bytes());
        digester.add(name.as_bytes());
        digester.add(&[u8::from(value.is_some())]);
        if let Some(value) = value {
            digester.add(value);
        }
    });
    Ok(digester.finish())
}

/// The inputs of [`key`] by name, in its order: `namespace`, `scope`, `tenant`, `user`, `api key`, `claim role`,
/// `scheme`, `authority`, `path`, `query` or `parameter`, `header x-plan`, `cookie lang`; `None` for what the request
/// does not have. `explain` shows them.
///
/// # Errors
/// [`Bypass`] says why the request has no key.
pub fn parts(input: &KeyInput<'_>) -> Result<Vec<(String, Option<String>)>, Bypass> {
    admitted(input)?;
    let mut parts = Vec::new();
    visit(input, &mut |kind, name, value| {
        let name = if name.is_empty() { kind.to_owned() } else { format!("{kind} {name}") };
        parts.push((name, value.map(|bytes| String::from_utf8_lossy(bytes).into_owned())));
    });
    Ok(parts)
}

/// Whom an entry belongs to: scope, tenant, user. It is stored inside the entry, so that a reader can check it
/// against its own caller without trusting the key.
#[must_use]
pub fn owner(namespace: &Namespace, caller: &Caller) -> Digest {
    let mut digester = Digester::new("tidegate owner 1");
    visit_owner(namespace, caller, &mut |kind, _, value| {
        digester.add(kind.as_bytes());
        digester.add(&[u8::from(value.is_some())]);
        digester.add(value.unwrap_or_default());
    });
    digester.finish()
}

fn admitted(input: &KeyInput<'_>) -> Result<(), Bypass> {
    let caller = input.caller;
    if *input.method != Method::GET && *input.method != Method::HEAD {
        return Err(Bypass::Method);
    }
    if input.has_body {
        return Err(Bypass::Body);
    }
    if input.headers.contains_key(UPGRADE) {
        return Err(Bypass::Upgrade);
    }
    if input.namespace.scope != Scope::Public && caller.rejected_credential {
        return Err(Bypass::Credential);
    }
    match input.namespace.scope {
        Scope::Tenant if present(caller.tenant.as_deref()).is_none() => return Err(Bypass::NoTenant),
        Scope::User if user_of(caller).is_none() => return Err(Bypass::NoUser),
        Scope::Tenant | Scope::User | Scope::Public => {}
    }
    if input.namespace.cookies == Cookies::Bypass && input.headers.contains_key(COOKIE) {
        return Err(Bypass::Cookie);
    }
    if input.namespace.client_directives && RequestDirectives::read(input.headers).no_store {
        return Err(Bypass::NoStore);
    }
    Ok(())
}

/// Kind, name (where a kind has several) and value of one part.
type Sink<'s> = dyn FnMut(&'static str, &str, Option<&[u8]>) + 's;

fn visit(input: &KeyInput<'_>, sink: &mut Sink<'_>) {
    let namespace = input.namespace;
    sink("namespace", "", Some(namespace.name.as_bytes()));
    visit_owner(namespace, input.caller, sink);
    for claim in &namespace.vary_claims {
        sink("claim", claim, input.caller.claims.get(claim).map(String::as_bytes));
    }
    sink("scheme", "", Some(input.scheme.as_bytes()));
    let authority = normal_authority(input.scheme, input.authority);
    sink("authority", "", Some(authority.as_bytes()));
    sink("path", "", Some(input.path.as_bytes()));
    visit_query(&namespace.query, input.query, sink);
    for name in &namespace.headers {
        let lines: Vec<&[u8]> = input.headers.get_all(name).iter().map(http::HeaderValue::as_bytes).collect();
        let value = lines.join(&b", "[..]);
        sink("header", name, Some(value.as_slice()).filter(|_| !lines.is_empty()));
    }
    if let Cookies::Key(names) = &namespace.cookies {
        visit_cookies(names, input.headers, sink);
    }
}

fn visit_owner(namespace: &Namespace, caller: &Caller, sink: &mut Sink<'_>) {
    let scope = match namespace.scope {
        Scope::Public => "public",
        Scope::Tenant => "tenant",
        Scope::User => "user",
    };
    sink("scope", "", Some(scope.as_bytes()));
    if namespace.scope != Scope::Public {
        sink("tenant", "", present(caller.tenant.as_deref()).map(str::as_bytes));
    }
    if namespace.scope == Scope::User {
        sink("user", "", present(caller.user.as_deref()).map(str::as_bytes));
        sink("api key", "", present(caller.api_key.as_deref()).map(str::as_bytes));
    }
}

fn visit_query(rule: &QueryKey, query: Option<&str>, sink: &mut Sink<'_>) {
    match (rule, query) {
        (QueryKey::Only(names), Some(text)) if text.split('&').all(|pair| is_plain(pair, names)) => {
            for pair in text.split('&').filter(|pair| is_listed(pair, names)) {
                sink("parameter", "", Some(pair.as_bytes()));
            }
        }
        (QueryKey::Only(_), None) => {}
        (QueryKey::All | QueryKey::Only(_), _) => sink("query", "", query.map(str::as_bytes)),
    }
}

/// The part of a pair that names it.
fn pair_name(pair: &str) -> &str {
    pair.split_once('=').map_or(pair, |(name, _)| name)
}

fn is_listed(pair: &str, names: &[String]) -> bool {
    names.iter().any(|name| name == pair_name(pair))
}

/// Can every backend be trusted to see this pair as one parameter, and to see it as the listed one exactly if we do?
/// Otherwise (`;`, escapes, brackets, another letter case) the whole query is keyed: a parameter that is not keyed but
/// read is how one client chooses another's answer.
fn is_plain(pair: &str, names: &[String]) -> bool {
    let name = pair_name(pair);
    let plain_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte));
    let alike = names.iter().any(|listed| listed.eq_ignore_ascii_case(name) && listed != name);
    !pair.contains(';') && (is_listed(pair, names) || plain_name && !alike)
}

fn visit_cookies(names: &[String], headers: &HeaderMap, sink: &mut Sink<'_>) {
    for name in names {
        let mut found = false;
        for line in headers.get_all(COOKIE) {
            for pair in line.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii) {
                if let Some(value) =
                    pair.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="))
                {
                    found = true;
                    sink("cookie", name, Some(value));
                }
            }
        }
        if !found {
            sink("cookie", name, None);
        }
    }
}

/// Lower-case, without the scheme's own port.
fn normal_authority(scheme: &str, authority: &str) -> String {
    let lower = authority.to_ascii_lowercase();
    let port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    match lower.strip_suffix(port) {
        Some(host) => host.to_owned(),
        None => lower.strip_suffix(':').map(str::to_owned).unwrap_or(lower),
    }
}

/// An empty tenant or user is none.
fn present(value: Option<&str>) -> Option<&str> {
    value.filter(|text| !text.is_empty())
}

fn user_of(caller: &Caller) -> Option<&str> {
    present(caller.user.as_deref()).or(present(caller.api_key.as_deref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    /// Everything of which a key is made, owned.
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Asked {
        namespace: Namespace,
        caller: Caller,
        method: Method,
        scheme: &'static str,
        authority: String,
        path: String,
        query: Option<String>,
        headers: HeaderMap,
        has_body: bool,
    }

    impl Asked {
        fn by(tenant: &str) -> Self {
            let caller = Caller { tenant: Some(tenant.into()), ..Caller::default() };
            Self {
                namespace: Namespace::named("n"),
                caller,
                method: Method::GET,
                scheme: "http",
                authority: "api.example".to_owned(),
                path: "/a".to_owned(),
                query: None,
                headers: HeaderMap::new(),
                has_body: false,
            }
        }

        fn input(&self) -> KeyInput<'_> {
            KeyInput {
                namespace: &self.namespace,
                caller: &self.caller,
                method: &self.method,
                scheme: self.scheme,
                authority: &self.authority,
                path: &self.path,
                query: self.query.as_deref(),
                headers: &self.headers,
                has_body: self.has_body,
            }
        }

        fn key(&self) -> Result<Digest, Bypass> {
            key(&self.input())
        }

        fn with(&self, change: impl FnOnce(&mut Self)) -> Result<Digest, Bypass> {
            let mut changed = self.clone();
            change(&mut changed);
            changed.key()
        }
    }

    fn text(value: &str) -> Option<Arc<str>> {
        Some(value.into())
    }

    #[test]
    fn two_tenants_never_share() {
        assert_ne!(Asked::by("acme").key(), Asked::by("globex").key());
        let of =
            |tenant: &str, namespace: &str| Asked::by(tenant).with(|a| a.namespace.name = namespace.into());
        assert_ne!(of("a", "bc"), of("ab", "c"));
        for scope in [Scope::Tenant, Scope::User] {
            let user = |tenant| {
                Asked::by(tenant).with(|a| (a.namespace.scope, a.caller.user) = (scope, text("ada")))
            };
            assert_ne!(user("acme"), user("globex"));
        }
    }

    #[test]
    fn members_of_a_tenant_share_in_scope_tenant_and_not_in_scope_user() {
        let of = |scope, user| {
            Asked::by("acme").with(|a| (a.namespace.scope, a.caller.user) = (scope, text(user)))
        };
        assert_eq!(of(Scope::Tenant, "ada"), of(Scope::Tenant, "bob"));
        assert_ne!(of(Scope::User, "ada"), of(Scope::User, "bob"));
        let key_of = |name| {
            Asked::by("acme").with(|a| (a.namespace.scope, a.caller.api_key) = (Scope::User, text(name)))
        };
        assert_ne!(of(Scope::User, "ada"), key_of("ada"), "an API key called ada is not the user ada");
    }

    #[test]
    fn who_cannot_be_told_apart_is_not_served_from_the_cache() {
        let base = Asked::by("acme");
        let bypass = |change: fn(&mut Asked)| base.with(change);
        assert_eq!(bypass(|a| a.caller.tenant = None), Err(Bypass::NoTenant));
        assert_eq!(bypass(|a| a.caller.tenant = text("")), Err(Bypass::NoTenant));
        assert_eq!(bypass(|a| a.namespace.scope = Scope::User), Err(Bypass::NoUser));
        assert_eq!(bypass(|a| a.caller.rejected_credential = true), Err(Bypass::Credential));
        assert_eq!(bypass(|a| a.method = Method::POST), Err(Bypass::Method));
        assert_eq!(bypass(|a| a.method = Method::OPTIONS), Err(Bypass::Method));
        assert_eq!(bypass(|a| a.has_body = true), Err(Bypass::Body));
        let field =
            |name, value| base.with(|a| drop(a.headers.insert(name, HeaderValue::from_static(value))));
        assert_eq!(field(COOKIE, "a=1"), Err(Bypass::Cookie));
        assert_eq!(field(UPGRADE, "websocket"), Err(Bypass::Upgrade));
        assert_eq!(field(http::header::CACHE_CONTROL, "no-store"), base.key());
        let listening = base.with(|a| {
            a.namespace.client_directives = true;
            a.headers.insert("cache-control", HeaderValue::from_static("no-store"));
        });
        assert_eq!(listening, Err(Bypass::NoStore));
        let public = base.with(|a| (a.namespace.scope, a.caller.rejected_credential) = (Scope::Public, true));
        assert!(public.is_ok());
    }

    #[test]
    fn one_address_has_one_key_however_it_is_written() {
        let base = Asked::by("acme");
        for authority in ["API.example", "api.example:80", "api.example:"] {
            assert_eq!(base.with(|a| a.authority = authority.to_owned()), base.key(), "{authority}");
        }
        assert_eq!(base.with(|a| a.method = Method::HEAD), base.key());
        assert_ne!(base.with(|a| a.authority = "api.example:443".to_owned()), base.key());
        assert_ne!(base.with(|a| a.scheme = "https"), base.key());
        assert_ne!(base.with(|a| a.path = "/A".to_owned()), base.key());
        assert_ne!(base.with(|a| a.query = Some(String::new())), base.key());
    }

    #[test]
    fn only_listed_parameters_are_keyed_in_their_order() {
        let of = |query: &str| {
            Asked::by("acme").with(|a| {
                a.namespace.query = QueryKey::Only(vec!["range".to_owned(), "a".to_owned()]);
                a.query = Some(query.to_owned());
            })
        };
        assert_eq!(of("range=7d"), of("utm_source=x&range=7d&fbclid=%20y"));
        assert_ne!(of("range=7d"), of("range=8d"));
        assert_ne!(of("a=1&a=2"), of("a=2&a=1"));
        assert_ne!(of("a=1:range=2"), of("a=1&range=2"));
    }

    #[test]
    fn a_parameter_that_the_backend_may_read_differently_keys_the_whole_query() {
        let of = |query: &str| {
            Asked::by("acme").with(|a| {
                a.namespace.query = QueryKey::Only(vec!["range".to_owned()]);
                a.query = Some(query.to_owned());
            })
        };
        for cloaked in
            ["utm=x;range=evil", "r%61nge=evil", "range[]=evil", "Range=evil", "+range=evil", "range=7d;x=1"]
        {
            let query = format!("range=7d&{cloaked}");
            assert_ne!(of(&query), of("range=7d"), "{cloaked}");
            assert_ne!(of(&query), of(&query.replace("evil", "good").replace("x=1", "x=2")), "{cloaked}");
        }
    }

    #[test]
    fn claims_fields_and_cookies_are_keyed_when_named() {
        let mut base = Asked::by("acme");
        base.namespace.vary_claims = vec!["role".to_owned()];
        base.namespace.headers = vec!["x-plan".to_owned()];
        base.namespace.cookies = Cookies::Key(vec!["lang".to_owned()]);
        let claim = |role: &str| {
            base.with(|a| a.caller.claims = Arc::new(BTreeMap::from([("role".to_owned(), role.to_owned())])))
        };
        let cookie = |line: &'static str| {
            base.with(|a| drop(a.headers.insert(COOKIE, HeaderValue::from_static(line))))
        };
        let plan = |line: &'static str| {
            base.with(|a| drop(a.headers.insert("x-plan", HeaderValue::from_static(line))))
        };
        assert!(claim("admin") != claim("viewer") && claim("") != base.key());
        assert!(plan("a") != plan("b") && plan("") != base.key());
        assert_eq!(cookie("lang=de; session=1"), cookie("session=2; lang=de"));
        assert!(cookie("lang=de") != cookie("lang=en") && cookie("lang=") != base.key());
        assert_eq!(cookie("xlang=de"), base.key());
        assert_ne!(cookie("lang=de; lang=en"), cookie("lang=en; lang=de"));
    }

    #[test]
    fn the_readable_parts_are_those_of_the_key() {
        let mut asked = Asked::by("acme");
        asked.query = Some("a=1".to_owned());
        let parts = parts(&asked.input()).expect("a key");
        let said: Vec<(&str, Option<&str>)> =
            parts.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        let expected = [
            ("namespace", Some("n")),
            ("scope", Some("tenant")),
            ("tenant", Some("acme")),
            ("scheme", Some("http")),
            ("authority", Some("api.example")),
            ("path", Some("/a")),
            ("query", Some("a=1")),
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn owners_differ_as_scopes_tenants_and_users_do() {
        let of = |scope, tenant: &str, user: &str| {
            let caller = Caller { tenant: text(tenant), user: text(user), ..Caller::default() };
            owner(&Namespace { scope, ..Namespace::named("n") }, &caller)
        };
        assert_eq!(of(Scope::Tenant, "a", "x"), of(Scope::Tenant, "a", "y"));
        assert_eq!(of(Scope::Public, "a", "x"), of(Scope::Public, "b", "y"));
        assert!(of(Scope::Tenant, "a", "x") != of(Scope::Tenant, "b", "x"));
        assert!(
            of(Scope::User, "a", "x") != of(Scope::User, "a", "y")
                && of(Scope::User, "a", "bc") != of(Scope::User, "ab", "c")
        );
    }

    prop_compose! {
        /// Short values over a small alphabet, so that equal and near-equal cases are common.
        fn asked()(
            namespace in "[ab]{1,2}",
            who in ("[ab]{1,2}", prop::option::of("[ab]{0,2}"), prop::option::of("[ab]{0,2}")),
            scope in prop::sample::select(vec![Scope::Public, Scope::Tenant, Scope::User]),
            target in ("[ab]{1,2}", "/[ab]{0,2}", prop::option::of("[ab&=]{0,3}")),
            plan in prop::option::of("[ab]{0,2}"),
            role in prop::option::of("[ab]{0,2}"),
        ) -> Asked {
            let mut asked = Asked::by(&who.0);
            asked.namespace = Namespace { scope, headers: vec!["x-plan".to_owned()], vary_claims: vec!["role".to_owned()], ..Namespace::named(&namespace) };
            (asked.caller.user, asked.caller.api_key) = (who.1.map(Into::into), who.2.map(Into::into));
            (asked.authority, asked.path, asked.query) = target;
            if let Some(plan) = plan {
                asked.headers.insert("x-plan", HeaderValue::from_str(&plan).expect("a value"));
            }
            asked.caller.claims = Arc::new(role.map(|role| ("role".to_owned(), role)).into_iter().collect());
            asked
        }
    }

    /// What a key must tell apart, written down without any digest.
    fn essence(asked: &Asked) -> impl PartialEq + std::fmt::Debug {
        let scope = asked.namespace.scope;
        let some = |value: &Option<Arc<str>>| value.clone().filter(|text| !text.is_empty());
        let tenant = some(&asked.caller.tenant).filter(|_| scope != Scope::Public);
        let user = (scope == Scope::User).then(|| (some(&asked.caller.user), some(&asked.caller.api_key)));
        let target = (asked.authority.clone(), asked.path.clone(), asked.query.clone());
        (
            asked.namespace.name.clone(),
            scope,
            tenant,
            user,
            target,
            asked.headers.clone(),
            asked.caller.claims.clone(),
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn keys_are_equal_exactly_where_their_inputs_are(left in asked(), right in asked()) {
            if let (Ok(one), Ok(two)) = (left.key(), right.key()) {
                prop_assert_eq!(one == two, essence(&left) == essence(&right));
            }
        }

        #[test]
        fn one_changed_input_changes_the_key(base in asked(), other in asked(), which in 0..7) {
            let mut changed = base.clone();
            match which {
                0 => changed.namespace.name = other.namespace.name,
                1 => changed.caller.tenant = other.caller.tenant,
                2 => changed.authority = other.authority,
                3 => changed.path = other.path,
                4 => changed.query = other.query,
                5 => changed.headers = other.headers,
                _ => changed.caller.claims = other.caller.claims,
            }
            if let (Ok(one), Ok(two)) = (base.key(), changed.key()) {
                prop_assert_eq!(one == two, essence(&base) == essence(&changed));
            }
        }
    }
}
