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
    pub fn detail(self) -> &'static str {
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

/// One input of the key in readable form, for `explain`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPart {
    /// What it is: `namespace`, `scope`, `tenant`, `user`, `api-key`, `claim`, `scheme`, `authority`, `path`, `query`,
    /// `parameter`, `header`, `cookie`.
    pub kind: &'static str,
    /// Its name where the kind has several, else empty.
    pub name: String,
    /// Its value; `None`: the request does not have it.
    pub value: Option<String>,
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

/// The inputs of [`key`], in its order.
///
/// # Errors
/// [`Bypass`] says why the request has no key.
pub fn key_parts(input: &KeyInput<'_>) -> Result<Vec<KeyPart>, Bypass> {
    admitted(input)?;
    let mut parts = Vec::new();
    visit(input, &mut |kind, name, value| {
        let value = value.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        parts.push(KeyPart { kind, name: name.to_owned(), value });
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
        sink("api-key", "", present(caller.api_key.as_deref()).map(str::as_bytes));
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
