//! What would become of a request, and why: route, identity, limits, cache key. Nothing is consumed.

use crate::base::units::format_size;
use crate::cache::Bypass;
use crate::config::explain_cache::{self, AskedResponse, KeyRequest, Place, ResponseExplained};
use crate::config::explain_limits::{self, LimitExplained};
use crate::config::snapshot::{Route, Snapshot};
use crate::config::standing::RequestNow;
use crate::identity::{Caller, CertificateNames, TokenEvidence};
use crate::limit::{Charge, Decision, Overrides, Sender};
use crate::message::{RequestHead, check_request, is_websocket};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
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
    /// The certificate that the client shows (PEM), taken as verified.
    pub certificate: Option<String>,
    /// A response to it, to see whether it would be stored.
    pub response: Option<AskedResponse>,
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
    /// What is stored for it; only a running instance knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<Value>,
    /// What would become of the response that was asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<ResponseExplained>,
    /// Where its answer would be stored.
    #[serde(skip)]
    pub place: Option<Place>,
    /// Where the request goes on a miss.
    pub upstream: Option<String>,
}

impl Explanation {
    fn of(route: Value, (host, path): (String, String), identity: Value, cache: Value) -> Self {
        Self {
            route,
            host,
            path,
            identity,
            limits: Vec::new(),
            now: None,
            unknown: None,
            cache,
            entry: None,
            response: None,
            place: None,
            upstream: None,
        }
    }

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

/// A request whose message is sound.
struct Sound {
    method: Method,
    scheme: &'static str,
    host: String,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    has_body: bool,
    body_bytes: u64,
}

impl Sound {
    fn read(snapshot: &Snapshot, asked: &Asked) -> Result<Self, String> {
        let method = Method::try_from(&*asked.method.to_uppercase())
            .map_err(|error| format!("the method is malformed: {error}"))?;
        let headers = fields(asked, &method)?;
        let is_target = asked.url.starts_with('/') || asked.url.contains("://");
        let target = if is_target { asked.url.clone() } else { format!("/{}", asked.url) };
        let limits = &snapshot.server.request;
        let scheme = if asked.url.starts_with("https://") { "https" } else { "http" };
        let head = RequestHead {
            method: &method,
            target: &target,
            version: Version::HTTP_11,
            scheme,
            authority: None,
            headers: &headers,
        };
        let checked = check_request(&head, &limits.bounds())
            .map_err(|fault| format!("{}: {}", fault.title(), fault.detail()))?;
        let path = crate::route::canonical_path(checked.path, limits.encoded_slash)
            .map_err(|fault| fault.to_string())?;
        let (host, query) = (checked.authority.clone(), checked.query.map(str::to_owned));
        let (has_body, body_bytes) = (checked.has_body, checked.body_bytes);
        Ok(Self { method, scheme, host, path, query, headers, has_body, body_bytes })
    }

    /// Is the body that it announces one that its route takes?
    fn check_length(&self, snapshot: &Snapshot, route: Option<&Route>) -> Result<(), String> {
        let most = route.and_then(|route| route.body_bytes).unwrap_or(snapshot.server.request.body_bytes);
        let says = || format!("413: at most {} of body are accepted", format_size(most));
        if self.body_bytes > most { Err(says()) } else { Ok(()) }
    }

    fn key(&self) -> KeyRequest<'_> {
        KeyRequest {
            method: &self.method,
            scheme: self.scheme,
            host: &self.host,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &self.headers,
            has_body: self.has_body,
        }
    }
}

/// Explains a request; `overrides` are those that were set while running.
///
/// # Errors
/// Why it would be refused before any route is looked for, or what is malformed in the response.
pub fn explain(snapshot: &Snapshot, asked: &Asked, overrides: &Overrides) -> Result<Explanation, String> {
    let sound = Sound::read(snapshot, asked)?;
    let found = snapshot.routes.explain(crate::message::host(&sound.host), &sound.path, &sound.method);
    sound.check_length(snapshot, found.chosen.as_ref().map(|chosen| &**chosen.value))?;
    let (caller, identity) = identify(snapshot, asked, &sound.headers)?;
    let lost: Vec<String> = found
        .lost
        .iter()
        .map(|(other, why)| format!("{} (line {}): {why}", other.value.name, other.value.line))
        .collect();
    let place = (sound.host.clone(), sound.path.clone());
    let Some(chosen) = found.chosen else {
        let route = serde_json::json!({"found": false, "status": 404, "others": lost});
        return Ok(Explanation::of(route, place, identity, Value::Null));
    };
    let (route, kind) = (chosen.value, chosen.kind.to_string());
    let is_trusted = snapshot.identifier.is_trusted(asked.ip);
    let sender = Sender { caller: &caller, headers: &sound.headers, is_trusted };
    let request = sound.key();
    let now_ms = asked.now_s.saturating_mul(1_000);
    let response = asked.response.as_ref();
    let response = response.map(|asked| explain_cache::response(route, &caller, &request, asked, now_ms));
    let cache = explain_cache::cache(route, &caller, &request);
    let told = serde_json::json!({"found": true, "route": &*route.name, "line": route.line, "match": kind, "others": lost});
    Ok(Explanation {
        limits: explain_limits::limits(route, &sender, overrides),
        upstream: Some(route.target.name(&snapshot.upstreams).to_owned()),
        response: response.transpose()?.flatten(),
        place: explain_cache::place(route, &caller, &request).ok(),
        ..Explanation::of(told, place, identity, cache)
    })
}

/// Why a request has no place in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoPlace {
    /// It would be refused, for this reason.
    Refused(String),
    /// No route takes it.
    NoRoute,
    /// Its route names no cache.
    NotCached,
    /// It is neither answered from the cache nor fills it.
    Bypass(Bypass),
}

/// Where the answer to a request is stored if `caller` sends it, whatever credential its fields hold.
///
/// # Errors
/// [`NoPlace`].
pub fn place(snapshot: &Snapshot, asked: &Asked, caller: &Caller) -> Result<Place, NoPlace> {
    let sound = Sound::read(snapshot, asked).map_err(NoPlace::Refused)?;
    let host = crate::message::host(&sound.host);
    let route = snapshot.routes.find(host, &sound.path, &sound.method).ok_or(NoPlace::NoRoute)?;
    let place = explain_cache::place(route, caller, &sound.key());
    place.map_err(|why| why.map_or(NoPlace::NotCached, NoPlace::Bypass))
}

fn fields(asked: &Asked, method: &Method) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    add_fields(&mut headers, &asked.headers)?;
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

/// Adds fields as they were typed.
pub(super) fn add_fields(headers: &mut HeaderMap, typed: &[(String, String)]) -> Result<(), String> {
    for (name, value) in typed {
        let name = HeaderName::try_from(name.trim())
            .map_err(|error| format!("`{name}` is no field name: {error}"))?;
        let value = HeaderValue::try_from(value.trim())
            .map_err(|error| format!("the value of `{name}` is malformed: {error}"))?;
        headers.append(name, value);
    }
    Ok(())
}

fn identify(snapshot: &Snapshot, asked: &Asked, headers: &HeaderMap) -> Result<(Caller, Value), String> {
    let identifier = &snapshot.identifier;
    let verified = identifier.bearer(headers).map(|token| identifier.verify(token, asked.now_s));
    let (evidence, token) = match &verified {
        None => (TokenEvidence::Absent, "none, or tokens are not configured".to_owned()),
        Some(Ok(token)) => (TokenEvidence::Valid(token), "verified".to_owned()),
        Some(Err(fault)) => (TokenEvidence::Invalid(fault.clone()), format!("not believed: {fault}")),
    };
    let certificate = asked.certificate.as_deref().map(certificate_names).transpose()?;
    let caller = identifier
        .caller(asked.ip, headers, evidence, certificate.as_ref())
        .map_err(|refusal| format!("401: {refusal}"))?;
    let identity = serde_json::json!({
        "token": token,
        "certificate": certificate.map(|_| "taken as verified"),
        "user": caller.user.as_deref(),
        "api_key": caller.api_key.as_deref(),
        "tenant": caller.tenant.as_deref(),
        "tier": caller.tier.as_deref(),
        "address": caller.address.to_string(),
        "rejected_credential": caller.rejected_credential,
    });
    Ok((caller, identity))
}

/// The names in the first certificate of a PEM text.
fn certificate_names(pem: &str) -> Result<CertificateNames, String> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|error| format!("the certificate is not in PEM: {error}"))?;
    Ok(CertificateNames::read(&der))
}

/// A member as text; nothing when it is absent.
fn word(value: &Value, name: &str) -> Option<String> {
    match value.get(name)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// What is stored, in a line.
fn entry_words(entry: &Value) -> String {
    let of = |name| word(entry, name).unwrap_or_default();
    if let Some(unknown) = word(entry, "unknown").filter(|_| entry.get("tier").is_none()) {
        return format!("not known: {unknown}");
    }
    match word(entry, "tier") {
        None => "none is stored".to_owned(),
        Some(_) if entry.get("purged").is_some_and(|purged| purged == "hard") => "purged".to_owned(),
        Some(tier) => {
            format!("in {tier}: status {}, {} s old, ttl {} s", of("status"), of("age_s"), of("ttl_s"))
        }
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
        for fact in ["token", "certificate", "user", "api_key", "tenant", "tier", "address"] {
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
        if let Some(entry) = &self.entry {
            writeln!(f, "entry     {}", entry_words(entry))?;
        }
        if let Some(response) = &self.response {
            write!(f, "{response}")?;
        }
        writeln!(f, "upstream  {}", self.upstream.as_deref().unwrap_or("none"))
    }
}
