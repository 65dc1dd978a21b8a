//! What would become of a request, and why: route, identity, limits, cache key. Nothing is consumed.

use crate::cache::{KeyInput, parts};
use crate::config::explain_limits::{self, LimitExplained};
use crate::config::snapshot::{Route, Snapshot};
use crate::config::standing::RequestNow;
use crate::identity::{Caller, TokenEvidence};
use crate::limit::{Charge, Decision, Overrides, Sender};
use crate::message::{RequestHead, check_request, is_websocket};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
use std::net::IpAddr;

/// A request to explain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its method.
    pub method: String,
    /// A URL, or a path with query.
    pub url: String,
    /// Its fields.
    pub headers: Vec<(String, String)>,
    /// The peer's address.
    pub ip: IpAddr,
    /// The time for tokens, seconds since the epoch.
    pub now_s: u64,
}

/// What would become of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Explanation {
    /// The route, or why there is none.
    pub route: Value,
    /// Host as it is matched and keyed.
    pub host: String,
    /// The canonical path: matched, limited, keyed and forwarded.
    pub path: String,
    /// Who is asking, and why we think so.
    pub identity: Value,
    /// Each policy with whom it counts and its windows.
    pub limits: Vec<LimitExplained>,
    /// Whether the limits would let it pass now; only a running instance knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<RequestNow>,
    /// Why a running instance does not know either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
    /// The namespace with the parts of the key, or why there is none.
    pub cache: Value,
    /// Where the request goes on a miss.
    pub upstream: Option<String>,
}

impl Explanation {
    /// What the store has to be asked to know where everybody stands.
    #[must_use]
    pub fn charges(&self) -> Vec<Charge> {
        explain_limits::charges(&self.limits)
    }

    /// Adds what the store said about [`Explanation::charges`].
    pub fn tell(&mut self, decisions: &[Decision]) {
        self.now = Some(explain_limits::tell(&mut self.limits, decisions));
    }
}

/// Explains a request; `overrides` are those that were set while running.
///
/// # Errors
/// Why it would be refused before any route is looked for.
pub fn explain(snapshot: &Snapshot, asked: &Asked, overrides: &Overrides) -> Result<Explanation, String> {
    let method = Method::try_from(&*asked.method.to_uppercase())
        .map_err(|error| format!("the method is malformed: {error}"))?;
    let headers = fields(asked, &method)?;
    let is_target = asked.url.starts_with('/') || asked.url.contains("://");
    let target = if is_target { asked.url.clone() } else { format!("/{}", asked.url) };
    let limits = &snapshot.server.request;
    let head = RequestHead {
        method: &method,
        target: &target,
        version: Version::HTTP_11,
        scheme: "http",
        authority: None,
        headers: &headers,
    };
    let checked = check_request(&head, &limits.bounds())
        .map_err(|fault| format!("{}: {}", fault.title(), fault.detail()))?;
    let path = crate::route::canonical_path(checked.path, limits.encoded_slash)
        .map_err(|fault| fault.to_string())?;
    let host = checked.authority.clone();
    let (caller, identity) = identify(snapshot, asked, &headers)?;
    let found = snapshot.routes.explain(crate::message::host(&checked.authority), &path, &method);
    let lost: Vec<String> = found
        .lost
        .iter()
        .map(|(other, why)| format!("{} (line {}): {why}", other.value.name, other.value.line))
        .collect();
    let Some(chosen) = found.chosen else {
        let route = serde_json::json!({"found": false, "status": 404, "others": lost});
        let cache = Value::Null;
        let (limits, now, unknown) = (Vec::new(), None, None);
        return Ok(Explanation { route, host, path, identity, limits, now, unknown, cache, upstream: None });
    };
    let route = chosen.value;
    let kind = chosen.kind.to_string();
    let is_trusted = snapshot.identifier.is_trusted(asked.ip);
    let sender = Sender { caller: &caller, headers: &headers, is_trusted };
    let (query, has_body) = (checked.query, checked.has_body);
    let request =
        KeyRequest { method: &method, host: &host, path: &path, query, headers: &headers, has_body };
    let cache = cache(route, &caller, &request);
    Ok(Explanation {
        route: serde_json::json!({"found": true, "route": &*route.name, "line": route.line, "match": kind, "others": lost}),
        host,
        path,
        identity,
        limits: explain_limits::limits(route, &sender, overrides),
        now: None,
        unknown: None,
        cache,
        upstream: Some(route.target.name(&snapshot.upstreams).to_owned()),
    })
}

fn fields(asked: &Asked, method: &Method) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in &asked.headers {
        let name = HeaderName::try_from(name.trim())
            .map_err(|error| format!("`{name}` is no field name: {error}"))?;
        let value = HeaderValue::try_from(value.trim())
            .map_err(|error| format!("the value of `{name}` is malformed: {error}"))?;
        headers.append(name, value);
    }
    if !headers.contains_key(header::HOST) && !asked.url.contains("://") {
        headers.insert(header::HOST, HeaderValue::from_static("localhost"));
    }
    if let Some((_, rest)) = asked.url.split_once("://")
        && !headers.contains_key(header::HOST)
        && let Ok(host) = HeaderValue::try_from(rest.split(['/', '?']).next().unwrap_or(""))
    {
        headers.insert(header::HOST, host);
    }
    // As the proxy does: every upgrade but that to a WebSocket is ignored.
    if !is_websocket(method, Version::HTTP_11, &headers) {
        headers.remove(header::UPGRADE);
    }
    Ok(headers)
}

fn identify(snapshot: &Snapshot, asked: &Asked, headers: &HeaderMap) -> Result<(Caller, Value), String> {
    let identifier = &snapshot.identifier;
    let verified = identifier.bearer(headers).map(|token| identifier.verify(token, asked.now_s));
    let (evidence, token) = match &verified {
        None => (TokenEvidence::Absent, "none, or tokens are not configured".to_owned()),
        Some(Ok(token)) => (TokenEvidence::Valid(token), "verified".to_owned()),
        Some(Err(fault)) => (TokenEvidence::Invalid(fault.clone()), format!("not believed: {fault}")),
    };
    let caller =
        identifier.caller(asked.ip, headers, evidence).map_err(|refusal| format!("401: {refusal}"))?;
    let identity = serde_json::json!({
        "token": token,
        "user": caller.user.as_deref(),
        "api_key": caller.api_key.as_deref(),
        "tenant": caller.tenant.as_deref(),
        "tier": caller.tier.as_deref(),
        "address": caller.address.to_string(),
        "rejected_credential": caller.rejected_credential,
    });
    Ok((caller, identity))
}

struct KeyRequest<'a> {
    method: &'a Method,
    host: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    headers: &'a HeaderMap,
    has_body: bool,
}

fn cache(route: &Route, caller: &Caller, request: &KeyRequest<'_>) -> Value {
    let Some(namespace) = &route.namespace else {
        return serde_json::json!({"cached": false, "why": "the route names no cache"});
    };
    let input = KeyInput {
        namespace,
        caller,
        method: request.method,
        scheme: "http",
        authority: request.host,
        path: request.path,
        query: request.query,
        headers: request.headers,
        has_body: request.has_body,
    };
    match parts(&input) {
        Ok(parts) => {
            let key: Vec<String> = parts
                .iter()
                .map(|(name, value)| format!("{name}={}", value.as_deref().unwrap_or("(absent)")))
                .collect();
            serde_json::json!({"cached": true, "namespace": &*namespace.name, "key": key})
        }
        Err(bypass) => {
            serde_json::json!({"cached": false, "namespace": &*namespace.name, "why": bypass.detail()})
        }
    }
}

/// A member as text; nothing when it is absent.
fn word(value: &Value, name: &str) -> Option<String> {
    match value.get(name)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |value: &Value, name| word(value, name).unwrap_or_default();
        writeln!(f, "host      {}\npath      {}", self.host, self.path)?;
        match word(&self.route, "route") {
            Some(name) => writeln!(
                f,
                "route     {name} (line {}, {})",
                of(&self.route, "line"),
                of(&self.route, "match")
            )?,
            None => writeln!(f, "route     none: 404")?,
        }
        for other in self.route.get("others").and_then(Value::as_array).into_iter().flatten() {
            writeln!(f, "  not     {}", other.as_str().unwrap_or_default())?;
        }
        for fact in ["token", "user", "api_key", "tenant", "tier", "address"] {
            if let Some(known) = word(&self.identity, fact) {
                writeln!(f, "{fact:<9} {known}")?;
            }
        }
        self.limits.iter().try_for_each(|limit| writeln!(f, "{limit}"))?;
        if let Some(now) = &self.now {
            writeln!(f, "now       {now}")?;
        }
        if let Some(unknown) = &self.unknown {
            writeln!(f, "now       not known: {unknown}")?;
        }
        match word(&self.cache, "key") {
            Some(key) => writeln!(f, "cache     {} by {key}", of(&self.cache, "namespace"))?,
            None => {
                writeln!(f, "cache     no: {}", word(&self.cache, "why").as_deref().unwrap_or("no route"))?;
            }
        }
        writeln!(f, "upstream  {}", self.upstream.as_deref().unwrap_or("none"))
    }
}
