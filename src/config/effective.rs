//! The configuration as it works: every default filled in, every secret left out.

use crate::base::StoreUrl;
use crate::base::units::{format_duration, format_size};
use crate::cache::{Compression, Namespace, Warm, WarmIdentity, WarmJob};
use crate::config::effective_dashboard::dashboard_value;
use crate::config::effective_tls::{certificate_facts_value, listener_value, upstream_tls_value};
use crate::config::snapshot::{Connections, Http2Bounds, MemoryMark, Route, Snapshot, WebhookSettings};
use crate::limit::{Cost, Override, Per, Policy, StatusSet, Window, Windows};
use crate::message::FieldEdits;
use crate::upstream::UpstreamSettings;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// A configuration as JSON.
#[must_use]
pub fn effective(snapshot: &Snapshot) -> Value {
    let Snapshot { server, admin, store, upstreams, identifier, .. } = snapshot;
    let Snapshot { policies, namespaces, cache, warm, dashboard, routes, .. } = snapshot;
    let listen: Vec<Value> = server.listen.iter().map(listener_value).collect();
    let limits = &server.request;
    json!({
        "server": {
            "listen": listen,
            "request": {
                "head_bytes": format_size(limits.head_bytes as u64),
                "fields": limits.fields,
                "line_bytes": format_size(limits.line_bytes as u64),
                "body_bytes": format_size(limits.body_bytes),
                "head_timeout": format_duration(limits.head_timeout),
                "body_min_rate": limits.body_min_rate,
            },
            "connections": connections_value(&server.connections),
            "http2": http2_value(server.http2),
            "overload": {"memory": memory_word(server.overload.memory), "requests": server.overload.requests},
            "compression": compression_value(&server.compression),
            "drain": format_duration(server.drain),
        },
        "admin": {"listen": admin.listen.to_string(), "token": admin.token.as_ref().map(|_| "***")},
        "store": {
            "url": store_word(&store.url),
            "cache_url": store.cache_url.as_ref().map(store_word),
            "timeout": format_duration(store.timeout),
            "prefix": store.prefix,
            "deny_cache": {
                "entries": store.deny_cache_entries,
                "life": format_duration(store.deny_cache_life),
            },
            "memory": {
                "cache": format_size(store.memory_cache_bytes),
                "limits": format_size(store.memory_limits_bytes),
                "snapshot": store.memory_snapshot,
            },
        },
        "identity": {"client_certificate": certificate_facts_value(identifier.certificate_facts())},
        "upstreams": named(upstreams, |upstream| (&upstream.name, upstream_value(upstream))),
        "limits": named(policies, |policy| (&policy.name, policy_value(policy))),
        "cache": {
            "webhook": cache.webhook.as_ref().map(webhook_value),
            "purge_from": cache.purge_from.iter().map(ToString::to_string).collect::<Vec<String>>(),
            "namespaces": named(namespaces, |space| (&space.name, namespace_value(space))),
            "warm": warm.as_ref().map(|warm| warm_value(warm)),
        },
        "dashboard": dashboard_value(dashboard),
        "routes": routes.iter().map(|(_, route)| route_value(route, upstreams)).collect::<Vec<Value>>(),
    })
}

fn compression_value(compression: &Compression) -> Value {
    let Compression { levels, types, min_bytes } = compression;
    json!({
        "gzip": levels.gzip,
        "brotli": levels.brotli,
        "zstd": levels.zstd,
        "types": types.iter().map(ToString::to_string).collect::<Vec<String>>(),
        "min_bytes": format_size(*min_bytes),
    })
}

fn connections_value(connections: &Connections) -> Value {
    let Connections { max, per_address, idle, lifetime, send_min_rate } = connections;
    json!({
        "max": max,
        "per_address": per_address,
        "idle": format_duration(*idle),
        "lifetime": format_duration(*lifetime),
        "send_min_rate": send_min_rate,
    })
}

fn http2_value(Http2Bounds { streams, frames }: Http2Bounds) -> Value {
    json!({"streams": streams, "resets": frames.resets, "settings": frames.settings, "pings": frames.pings})
}

fn memory_word(mark: MemoryMark) -> String {
    match mark {
        MemoryMark::Auto => "auto".to_owned(),
        MemoryMark::Off => "off".to_owned(),
        MemoryMark::Bytes(bytes) => format_size(bytes),
    }
}

fn webhook_value(webhook: &WebhookSettings) -> Value {
    let WebhookSettings { secret: _, tolerance, mode } = webhook;
    json!({"secret": "***", "tolerance": format_duration(*tolerance), "mode": mode})
}

fn named<T>(list: &[Arc<T>], of: impl Fn(&T) -> (&Arc<str>, Value)) -> Value {
    let entry = |item: &Arc<T>| {
        let (name, value) = of(item);
        (name.to_string(), value)
    };
    Value::Object(list.iter().map(entry).collect::<Map<String, Value>>())
}

/// A store's URL may hold a password: only its kind is shown.
fn store_word(url: &StoreUrl) -> String {
    match url {
        StoreUrl::Memory => "memory:".to_owned(),
        StoreUrl::Redis(url) => {
            let text = url.expose();
            let (scheme, rest) = text.split_once("://").unwrap_or((text, ""));
            format!("{scheme}://{}", rest.rsplit_once('@').map_or(rest, |(_, host)| host))
        }
    }
}

fn upstream_value(upstream: &UpstreamSettings) -> Value {
    let servers: Vec<String> =
        upstream.servers.iter().map(|server| format!("{}:{}", server.host, server.port)).collect();
    json!({
        "servers": servers,
        "connect_timeout": format_duration(upstream.connect_timeout),
        "response_timeout": format_duration(upstream.response_timeout),
        "idle_timeout": format_duration(upstream.idle_timeout),
        "health": upstream.health.as_ref().map(|h| json!({"path": *h.path, "every": format_duration(h.every)})),
        "breaker": upstream.breaker.as_ref().map(|b| json!({"failures": b.failures, "open": format_duration(b.open)})),
        "retries": upstream.retries,
        "tls": upstream.tls.as_ref().map(upstream_tls_value),
        "http2": upstream.http2,
    })
}

fn policy_value(policy: &Policy) -> Value {
    let tiers: Map<String, Value> =
        policy.tiers.iter().map(|(tier, windows)| (tier.clone(), windows_value(windows))).collect();
    let overrides: Map<String, Value> =
        policy.overrides.iter().map(|(who, own)| (who.to_string(), override_value(own))).collect();
    let exempt = policy.bypass.networks.iter().map(ToString::to_string);
    let exempt = exempt.chain(policy.bypass.subjects.iter().map(ToString::to_string));
    json!({
        "per": policy.per.iter().map(Per::to_string).collect::<Vec<String>>(),
        "windows": windows_value(&policy.windows),
        "in_flight": policy.in_flight,
        "tiers": tiers,
        "overrides": overrides,
        "bypass": exempt.collect::<Vec<String>>(),
        "cost": cost_value(&policy.cost),
        "cost_from_response": policy.cost.response.as_ref().map(http::HeaderName::as_str),
        "count": policy.count.as_str(),
        "count_status": policy.count_status.as_ref().map(StatusSet::words),
        "refund_on": policy.refund_on.words(),
        "mode": policy.mode.as_str(),
        "on_store_failure": policy.on_store_failure.as_str(),
        "headers": policy.fields.as_str(),
        "status": policy.status,
    })
}

fn override_value(own: &Override) -> Value {
    match own {
        Override::Unlimited => Value::from("none"),
        Override::Windows(windows) => windows_value(windows),
    }
}

/// A cost as the configuration writes it.
#[must_use]
pub(super) fn cost_value(cost: &Cost) -> Value {
    match &cost.request {
        None => Value::from(cost.fixed),
        Some((name, most)) => json!({"header": name.as_str(), "default": cost.fixed, "max": most}),
    }
}

/// Windows as JSON.
#[must_use]
pub(super) fn windows_value(windows: &Windows) -> Value {
    let entry = |window: &Window| (format_duration(window.length()), Value::from(window.limit));
    Value::Object(windows.as_slice().iter().map(entry).collect())
}

fn namespace_value(space: &Namespace) -> Value {
    json!({
        "ttl": space.ttl.map(format_duration),
        "mode": space.mode.as_str(),
        "scope": space.scope.as_str(),
        "stale_while_revalidate": space.stale_while_revalidate.map(format_duration),
        "stale_if_error": space.stale_if_error.map(format_duration),
        "negative_ttl": format_duration(space.negative_ttl),
        "jitter": space.jitter,
        "max_object": format_size(space.max_object),
        "tags": space.tags,
    })
}

fn route_value(route: &Route, upstreams: &[Arc<UpstreamSettings>]) -> Value {
    json!({
        "route": *route.name,
        "line": route.line,
        "upstream": route.target.name(upstreams),
        "limit": route.policies.iter().map(|policy| policy.name.to_string()).collect::<Vec<String>>(),
        "cache": route.namespace.as_ref().map(|space| space.name.to_string()),
        "refresh": route.refresh,
        "body_bytes": route.body_bytes.map(format_size),
        "compression": route.is_compressed,
        "request_headers": edits_value(&route.request_fields),
        "response_headers": edits_value(&route.response_fields),
    })
}

/// Values may be credentials for the backend: only names are shown.
fn edits_value(edits: &FieldEdits) -> Option<Value> {
    let set = |(name, _): &(http::HeaderName, http::HeaderValue)| (name.to_string(), Value::from("***"));
    let remove = edits.remove.iter().map(http::HeaderName::as_str).collect::<Vec<&str>>();
    let value = json!({"set": edits.set.iter().map(set).collect::<Map<String, Value>>(), "remove": remove});
    (!edits.is_empty()).then_some(value)
}

fn warm_value(warm: &Warm) -> Value {
    let identity = |identity: &Arc<WarmIdentity>| json!({"name": *identity.name, "header": identity.field.as_str(), "value": "***"});
    let job = |job: &Arc<WarmJob>| {
        let names = job.callers.iter().flatten().map(|caller| caller.name.to_string());
        json!({
            "name": *job.name,
            "identities": names.collect::<Vec<String>>(),
            "paths": job.targets,
            "every": job.every.map(format_duration),
            "jitter": format!("{}%", job.jitter_percent),
            "concurrency": job.concurrency,
        })
    };
    let field = |(name, value): &(http::HeaderName, http::HeaderValue)| {
        (name.to_string(), Value::from(String::from_utf8_lossy(value.as_bytes())))
    };
    json!({
        "host": *warm.site.authority,
        "scheme": warm.site.scheme,
        "fields": warm.fields.iter().map(field).collect::<Map<String, Value>>(),
        "identities": warm.identities.iter().map(identity).collect::<Vec<Value>>(),
        "jobs": warm.jobs.iter().map(job).collect::<Vec<Value>>(),
        "slow": {
            "above": format_duration(warm.slow.above),
            "errors": format!("{}%", warm.slow.errors_percent),
        },
    })
}
