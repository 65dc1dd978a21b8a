//! The cache's part of an explanation: the place where a request's answer stands, and what would become of a response.

use crate::base::Digest;
use crate::base::units::format_duration;
use crate::cache::label::tags;
use crate::cache::{
    Bypass, CacheStatus, KeyInput, Lifetime, Namespace, Outcome, ResponseInput, Scope, Storability,
    client_fields, key, owner, parts, storability,
};
use crate::config::snapshot::Route;
use crate::identity::Caller;
use http::{HeaderMap, HeaderName, Method, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Where the answer to a request is stored, if it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The namespace.
    pub namespace: Arc<Namespace>,
    /// The key.
    pub key: Digest,
    /// Whom an entry there must belong to.
    pub owner: Digest,
    /// The request's fields, which select a variant.
    pub request: HeaderMap,
}

/// A request, as far as its place is concerned.
pub(super) struct KeyRequest<'a> {
    pub(super) method: &'a Method,
    pub(super) scheme: &'a str,
    pub(super) host: &'a str,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) headers: &'a HeaderMap,
    pub(super) has_body: bool,
}

impl<'a> KeyRequest<'a> {
    fn input(&self, namespace: &'a Namespace, caller: &'a Caller) -> KeyInput<'a> {
        KeyInput {
            namespace,
            caller,
            method: self.method,
            scheme: self.scheme,
            authority: self.host,
            path: self.path,
            query: self.query,
            headers: self.headers,
            has_body: self.has_body,
        }
    }
}

/// Where the answer to a request on `route` is stored.
///
/// # Errors
/// Why nowhere; `None`: the route names no cache.
pub(super) fn place(
    route: &Route,
    caller: &Caller,
    request: &KeyRequest<'_>,
) -> Result<Place, Option<Bypass>> {
    let namespace = route.namespace.as_ref().ok_or(None)?;
    let key = key(&request.input(namespace, caller))?;
    let owner = owner(namespace, caller);
    Ok(Place { namespace: Arc::clone(namespace), key, owner, request: request.headers.clone() })
}

/// The namespace with the parts of the key, or why there is none.
pub(super) fn cache(route: &Route, caller: &Caller, request: &KeyRequest<'_>) -> Value {
    let Some(namespace) = &route.namespace else {
        return json!({"cached": false, "why": "the route names no cache"});
    };
    match parts(&request.input(namespace, caller)) {
        Ok(parts) => {
            let key: Vec<String> = parts
                .iter()
                .map(|(name, value)| format!("{name}={}", value.as_deref().unwrap_or("(absent)")))
                .collect();
            json!({"cached": true, "namespace": &*namespace.name, "key": key})
        }
        Err(bypass) => json!({"cached": false, "namespace": &*namespace.name, "why": bypass.detail()}),
    }
}

/// A response to explain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedResponse {
    /// Its status.
    pub status: u16,
    /// Its fields.
    pub headers: Vec<(String, String)>,
}

/// What would become of a response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseExplained {
    /// Would it be stored?
    pub stored: bool,
    /// Why not: the word that `Cache-Status` has in `detail`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// For how long, and what of it.
    #[serde(flatten)]
    pub terms: Option<Terms>,
    /// The fields about the cache that the client gets; an empty value: the field is taken away.
    pub client: Vec<(String, String)>,
}

/// The terms on which a response is stored. Times in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Fresh for so long; 0 or less: it is confirmed before each use.
    pub ttl_s: i64,
    /// `namespace` or `origin`: whose freshness that is.
    pub by: String,
    /// Then served stale while it is refreshed.
    pub stale_while_revalidate_s: u32,
    /// And while the origin fails.
    pub stale_if_error_s: u32,
    /// And kept, to ask the origin whether it still holds.
    pub keep_s: u32,
    /// What purges call it by, besides its tenant, namespace and path.
    pub tags: Vec<String>,
    /// The request's fields that select it.
    pub selected_by: Vec<String>,
}

/// What would become of `asked` at `now_ms` (wall milliseconds), as the answer to a request that has come as far as the cache.
///
/// # Errors
/// What is malformed in it.
pub(super) fn response(
    route: &Route,
    caller: &Caller,
    request: &KeyRequest<'_>,
    asked: &AskedResponse,
    now_ms: u64,
) -> Result<Option<ResponseExplained>, String> {
    let headers = fields(asked)?;
    let Some(namespace) = &route.namespace else { return Ok(None) };
    if let Err(bypass) = parts(&request.input(namespace, caller)) {
        return Ok(Some(told(namespace, Err(bypass.detail()), Outcome::Bypass, &headers, now_ms)));
    }
    let input = ResponseInput {
        namespace,
        caller,
        request: request.headers,
        status: asked.status,
        headers: &headers,
        request_sent_ms: now_ms,
        received_ms: now_ms,
    };
    let verdict = match storability(&input) {
        Storability::Refuse(refused) => Err(refused.detail()),
        Storability::Store(..) if length(&headers).is_some_and(|length| length > namespace.max_object) => {
            Err("too-large")
        }
        Storability::Store(lifetime, selecting) => {
            tags(&namespace.tags, &headers).map(|tags| (lifetime, selecting, tags)).ok_or("tags")
        }
    };
    Ok(Some(told(namespace, verdict, Outcome::Miss, &headers, now_ms)))
}

type Stored = (Lifetime, Vec<HeaderName>, Vec<String>);

fn told(
    namespace: &Namespace,
    verdict: Result<Stored, &'static str>,
    outcome: Outcome,
    headers: &HeaderMap,
    now_ms: u64,
) -> ResponseExplained {
    let why = verdict.as_ref().err().copied();
    let is_ours = verdict.as_ref().is_ok_and(|(lifetime, ..)| lifetime.ours);
    let terms = verdict.ok().map(|(lifetime, selecting, tags)| Terms {
        ttl_s: lifetime.ttl_s(now_ms),
        by: if lifetime.ours { "namespace" } else { "origin" }.to_owned(),
        stale_while_revalidate_s: lifetime.swr_s,
        stale_if_error_s: lifetime.sie_s,
        keep_s: lifetime.keep_s,
        tags,
        selected_by: selecting.iter().map(ToString::to_string).collect(),
    });
    let status = CacheStatus {
        outcome,
        ttl_s: terms.as_ref().map(|terms| terms.ttl_s),
        is_stored: terms.is_some(),
        is_collapsed: false,
        detail: why,
    };
    let mut client = vec![
        ("Cache-Status".to_owned(), status.to_string()),
        ("X-Cache".to_owned(), outcome.word().to_owned()),
    ];
    // As `proxy::respond` has it.
    if is_ours || (outcome != Outcome::Bypass && namespace.scope != Scope::Public) {
        let changed = client_fields(namespace, is_ours, headers).into_iter();
        client.extend(changed.map(|(name, value)| {
            let value = value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            (name.to_string(), value.unwrap_or_default())
        }));
    }
    ResponseExplained { stored: terms.is_some(), why: why.map(str::to_owned), terms, client }
}

fn fields(asked: &AskedResponse) -> Result<HeaderMap, String> {
    if !(200..600).contains(&asked.status) {
        return Err(format!("{} is no status of a final response", asked.status));
    }
    let mut headers = HeaderMap::new();
    super::explain::add_fields(&mut headers, &asked.headers)?;
    Ok(headers)
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl fmt::Display for ResponseExplained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.terms {
            None => writeln!(f, "response  not stored: {}", self.why.as_deref().unwrap_or("no reason"))?,
            Some(terms) => {
                let seconds = |seconds: u32| format_duration(Duration::from_secs(seconds.into()));
                let fresh = u32::try_from(terms.ttl_s).ok().filter(|ttl| *ttl > 0);
                let fresh = fresh.map_or_else(
                    || "confirmed before each use".to_owned(),
                    |ttl| format!("fresh for {} (by the {})", seconds(ttl), terms.by),
                );
                writeln!(f, "response  stored, {fresh}")?;
                let windows = [
                    (terms.stale_while_revalidate_s, "while it is refreshed"),
                    (terms.stale_if_error_s, "while the origin fails"),
                    (terms.keep_s, "to ask whether it still holds"),
                ];
                for (window, when) in windows.into_iter().filter(|(window, _)| *window > 0) {
                    writeln!(f, "  then    {} {when}", seconds(window))?;
                }
                for (name, list) in [("tags", &terms.tags), ("varies", &terms.selected_by)] {
                    if !list.is_empty() {
                        writeln!(f, "  {name:<7} {}", list.join(", "))?;
                    }
                }
            }
        }
        self.client.iter().try_for_each(|(name, value)| match value.as_str() {
            "" => writeln!(f, "  client  {name} is taken away"),
            value => writeln!(f, "  client  {name}: {value}"),
        })
    }
}
