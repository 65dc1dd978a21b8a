//! `GET /api/v1/cache/entry`: what is stored for one request, never its body.

use crate::admin::parts::AdminParts;
use crate::base::Problem;
use crate::cache::Standing;
use crate::config::{Asked, NoPlace, Place};
use crate::identity::Caller;
use crate::store::{Inspection, Seen};
use crate::web::answer::{json, problem, wrong};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use serde_json::{Map, Value, json as object};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

const HOW: &str = "use `url=`, and where the key needs them `tenant=`, `user=`, `api_key=` (its name), \
                   `claim=NAME:VALUE` and `header=NAME:VALUE`; the last two may be repeated";

/// The entry that a GET of `url=` by that tenant and user would be answered from. A path without a host is asked of
/// `localhost`, unless a `header=Host:…` names it: the host is a part of the key.
pub(in crate::admin) async fn entry(
    State(parts): State<AdminParts>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Response {
    let asked = query.map_err(|rejection| odd(rejection.body_text()));
    let found = match asked.and_then(|Query(pairs)| place_of(&parts, pairs)) {
        Ok(place) => found(&parts, &place).await,
        Err(refusal) => Err(refusal),
    };
    match found {
        Ok(entry) => json(StatusCode::OK, &entry),
        Err(refusal) => problem(&refusal),
    }
}

async fn found(parts: &AdminParts, place: &Place) -> Result<Value, Box<Problem>> {
    let entry = look(parts, place).await;
    if entry.get("tier").is_some() {
        return Ok(entry);
    }
    let key = place.key.short();
    match entry.get("unknown").and_then(Value::as_str) {
        Some(unknown) => Err(wrong(503, "store-away", "The store does not answer", unknown)),
        None => {
            let detail = format!(
                "nothing is stored under the key {key} of namespace `{}` for these fields; \
                 the host, the tenant and the fields of `Vary` belong to it",
                place.namespace.name
            );
            Err(wrong(404, "no-entry", "Nothing is stored for it", detail))
        }
    }
}

/// What is stored in a place. Without `tier`: nothing, or `unknown` says why it is not known.
pub(in crate::admin) async fn look(parts: &AdminParts, place: &Place) -> Value {
    let Inspection { memory, redis, unknown } =
        parts.stores.entries.inspect(&place.key, &place.request, &parts.stores.purges).await;
    let mut tiers = Vec::new();
    // What belongs to somebody else is as good as not there: readers refuse it too.
    let is_theirs = |seen: &Seen| seen.head.owner == place.owner;
    let memory = memory.filter(is_theirs).inspect(|_| tiers.push("memory"));
    let redis = redis.filter(|(seen, _)| is_theirs(seen)).inspect(|_| tiers.push("redis"));
    let at_rest = redis.as_ref().map(|(_, at_rest)| *at_rest);
    let mut told = match memory.or(redis.map(|(seen, _)| seen)) {
        Some(seen) => view(&seen, place, parts.clock.wall_ms()),
        None => Map::new(),
    };
    told.insert("key".to_owned(), place.key.short().into());
    if let Some(first) = tiers.first() {
        told.insert("tier".to_owned(), (*first).into());
        told.insert("tiers".to_owned(), tiers.into());
    }
    if let Some(at_rest) = at_rest {
        let kept = object!({"bytes": at_rest.bytes, "packed": at_rest.is_packed, "apart": at_rest.is_apart});
        told.insert("at_rest".to_owned(), kept);
    }
    if let Some(unknown) = unknown {
        told.insert("unknown".to_owned(), unknown.to_string().into());
    }
    Value::Object(told)
}

fn view(seen: &Seen, place: &Place, now_ms: u64) -> Map<String, Value> {
    let (head, lifetime) = (&seen.head, &seen.head.lifetime);
    let asked = |name: &http::HeaderName| -> Value {
        let lines = place.request.get_all(name).iter().map(|line| String::from_utf8_lossy(line.as_bytes()));
        let lines: Vec<_> = lines.collect();
        if lines.is_empty() { Value::Null } else { lines.join(", ").into() }
    };
    let variant = head.selecting.iter().map(|name| (name.to_string(), asked(name)));
    let told = object!({
        "namespace": &*head.label.namespace,
        "tenant": head.label.tenant.as_deref(),
        "origin": head.label.origin,
        "target": head.label.target,
        "status": head.status,
        "age_s": lifetime.age_s(now_ms),
        "ttl_s": lifetime.ttl_s(now_ms),
        "fresh": lifetime.is_fresh(now_ms),
        "freshness_by": if lifetime.ours { "namespace" } else { "origin" },
        "stale_while_revalidate_s": lifetime.swr_s,
        "stale_if_error_s": lifetime.sie_s,
        "keep_s": lifetime.keep_s,
        "bytes": seen.body_bytes,
        "tags": head.label.tags,
        "variant": variant.collect::<Map<String, Value>>(),
        "birth": head.birth,
        "stored_ms": head.stored_ms,
        "cost_ms": head.cost_ms,
        "purged": match seen.standing {
            Standing::Valid => Value::Null,
            Standing::Expired { .. } => "soft".into(),
            Standing::Gone => "hard".into(),
        },
    });
    match told {
        Value::Object(told) => told,
        _ => Map::new(),
    }
}

fn odd(detail: impl Into<String>) -> Box<Problem> {
    wrong(400, "invalid-query", "The query is not understood", detail)
}

fn place_of(parts: &AdminParts, pairs: Vec<(String, String)>) -> Result<Place, Box<Problem>> {
    let (asked, caller) = asked(pairs, parts.clock.wall_ms() / 1_000).ok_or_else(|| odd(HOW))?;
    crate::config::place(&parts.current.load(), &asked, &caller).map_err(|why| match why {
        NoPlace::Refused(why) => wrong(400, "refused", "Such a request would be refused", why),
        NoPlace::NoRoute => {
            wrong(404, "no-route", "No route takes it", "`tidegate explain` shows the routes that come close")
        }
        NoPlace::NotCached => wrong(404, "not-cached", "It is not cached", "its route names no cache"),
        NoPlace::Bypass(bypass) => {
            let detail = format!("such a request is not answered from the cache: {}; {HOW}", bypass.detail());
            wrong(404, "not-cached", "It is not cached", detail)
        }
    })
}

fn asked(pairs: Vec<(String, String)>, now_s: u64) -> Option<(Asked, Caller)> {
    let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut asked = Asked {
        method: "GET".to_owned(),
        url: String::new(),
        headers: Vec::new(),
        ip,
        now_s,
        certificate: None,
        response: None,
    };
    let (mut caller, mut claims) = (Caller::anonymous(ip), BTreeMap::new());
    let pair = |text: &str| -> Option<(String, String)> {
        let (name, value) = text.split_once(':')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    };
    for (name, value) in pairs {
        let once = match name.as_str() {
            "header" => {
                asked.headers.push(pair(&value)?);
                continue;
            }
            "claim" => {
                claims.extend([pair(&value)?]);
                continue;
            }
            "url" if asked.url.is_empty() && !value.is_empty() => {
                asked.url = value;
                continue;
            }
            "tenant" => &mut caller.tenant,
            "user" => &mut caller.user,
            "api_key" => &mut caller.api_key,
            _ => return None,
        };
        if value.is_empty() || once.replace(value.into()).is_some() {
            return None;
        }
    }
    caller.claims = Arc::new(claims);
    (!asked.url.is_empty()).then_some((asked, caller))
}
