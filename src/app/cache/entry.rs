//! `tidegate cache entry`.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::app::cache::arguments::EntryArgs;
use crate::app::client::{AskFailure, Client, segment};
use crate::base::units::{format_duration, format_size};

/// Asks what is stored.
pub(super) async fn ask(client: &Client, what: &EntryArgs) -> Result<Value, AskFailure> {
    client.ask(Method::GET, &format!("/api/v1/cache/entry?{}", query(what)), None).await
}

fn query(what: &EntryArgs) -> String {
    let EntryArgs { url, tenant, user, api_key, claims, headers } = what;
    let mut pairs = vec![("url", url)];
    for (name, value) in [("tenant", tenant), ("user", user), ("api_key", api_key)] {
        pairs.extend(value.as_ref().map(|value| (name, value)));
    }
    pairs.extend(claims.iter().map(|claim| ("claim", claim)));
    pairs.extend(headers.iter().map(|line| ("header", line)));
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", segment(value))).collect();
    pairs.join("&")
}

#[derive(Deserialize)]
pub(super) struct Entry {
    key: String,
    tiers: Vec<String>,
    namespace: String,
    tenant: Option<String>,
    origin: String,
    target: String,
    status: u16,
    age_s: u64,
    ttl_s: i64,
    freshness_by: String,
    stale_while_revalidate_s: u32,
    stale_if_error_s: u32,
    keep_s: u32,
    bytes: u64,
    tags: Vec<String>,
    variant: BTreeMap<String, Option<String>>,
    cost_ms: u32,
    purged: Option<String>,
    at_rest: Option<AtRest>,
}

#[derive(Deserialize)]
struct AtRest {
    bytes: u64,
    packed: bool,
    apart: bool,
}

/// A line a fact.
pub(super) fn shown(entry: &Entry) -> String {
    let seconds = |seconds: u64| format_duration(Duration::from_secs(seconds));
    let fresh = match u64::try_from(entry.ttl_s) {
        Ok(left) if left > 0 => format!("for {} more, by the {}", seconds(left), entry.freshness_by),
        Ok(_) | Err(_) => format!("no, since {}", seconds(entry.ttl_s.unsigned_abs())),
    };
    let windows = [
        (entry.stale_while_revalidate_s, "while it is refreshed"),
        (entry.stale_if_error_s, "while the origin fails"),
        (entry.keep_s, "to ask whether it still holds"),
    ];
    let windows = windows.into_iter().filter(|(window, _)| *window > 0);
    let windows: Vec<String> =
        windows.map(|(window, when)| format!("{} {when}", seconds(window.into()))).collect();
    let variant = |(name, value): (&String, &Option<String>)| {
        format!("{name}={}", value.as_deref().unwrap_or("(absent)"))
    };
    let variant: Vec<String> = entry.variant.iter().map(variant).collect();
    let kept = entry.at_rest.as_ref().map_or_else(String::new, |kept| {
        let packed = if kept.packed { ", packed" } else { "" };
        let apart = if kept.apart { ", under a key of its own" } else { "" };
        format!(" ({} in redis{packed}{apart})", format_size(kept.bytes))
    });
    let purged = match entry.purged.as_deref() {
        None => "no",
        Some("soft") => "softly: it has expired",
        Some(_) => "yes: it is not served any more",
    };
    let lines = [
        ("target", format!("{}{}", entry.origin, entry.target)),
        ("namespace", entry.namespace.clone()),
        ("tenant", entry.tenant.clone().unwrap_or_default()),
        ("key", entry.key.clone()),
        ("in", entry.tiers.join(", ")),
        ("status", entry.status.to_string()),
        ("body", format!("{}{kept}", format_size(entry.bytes))),
        ("age", seconds(entry.age_s)),
        ("fresh", fresh),
        ("then", windows.join(", ")),
        ("tags", entry.tags.join(", ")),
        ("variant", variant.join(", ")),
        ("purged", purged.to_owned()),
        ("fetched", format!("in {}", format_duration(Duration::from_millis(entry.cost_ms.into())))),
    ];
    let lines = lines.iter().filter(|(_, value)| !value.is_empty());
    lines.map(|(name, value)| format!("{name:<9} {value}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_stored_is_a_line_a_fact() {
        let entry = json!({
            "key": "0123456789abcdefghijkl", "tier": "memory", "tiers": ["memory", "redis"], "namespace": "content",
            "tenant": "acme", "origin": "http://api.example", "target": "/a?b", "status": 200, "age_s": 61, "ttl_s": -1,
            "fresh": false, "freshness_by": "namespace", "stale_while_revalidate_s": 10, "stale_if_error_s": 3600, "keep_s": 0,
            "bytes": 2048, "tags": ["a", "b"], "variant": {"accept": "x/y", "origin": null}, "birth": 1, "stored_ms": 1,
            "cost_ms": 250, "purged": "soft", "at_rest": {"bytes": 512, "packed": true, "apart": false},
        });
        let expected = "target    http://api.example/a?b\nnamespace content\ntenant    acme\nkey       0123456789abcdefghijkl\n\
            in        memory, redis\nstatus    200\nbody      2KiB (512B in redis, packed)\nage       61s\nfresh     no, since 1s\n\
            then      10s while it is refreshed, 1h while the origin fails\ntags      a, b\n\
            variant   accept=x/y, origin=(absent)\npurged    softly: it has expired\nfetched   in 250ms\n";
        assert_eq!(shown(&serde_json::from_value(entry).expect("the shape")), expected);
    }

    #[test]
    fn names_are_escaped_in_the_query() {
        let what = EntryArgs {
            url: "https://a/b?c=d&e".to_owned(),
            tenant: Some("a&b".to_owned()),
            user: None,
            api_key: None,
            claims: vec!["role: x".to_owned()],
            headers: vec!["Accept: */*".to_owned()],
        };
        let expected =
            "url=https%3A%2F%2Fa%2Fb%3Fc%3Dd%26e&tenant=a%26b&claim=role%3A%20x&header=Accept%3A%20%2A%2F%2A";
        assert_eq!(query(&what), expected);
    }
}
