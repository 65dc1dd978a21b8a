//! `tidegate cache stats`.

use http::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::app::cache::arguments::StatsArgs;
use crate::app::client::{AskFailure, Client};
use crate::app::table::table;
use crate::base::units::format_size;

/// Asks for the statistics.
pub(super) async fn ask(client: &Client, what: &StatsArgs) -> Result<Value, AskFailure> {
    let query = match what {
        StatsArgs { by: Some(by), .. } => format!("?by={}", by.as_str()),
        StatsArgs { fleet: true, .. } => "?scope=fleet".to_owned(),
        StatsArgs { .. } => String::new(),
    };
    client.ask(Method::GET, &format!("/api/v1/cache/stats{query}"), None).await
}

#[derive(Deserialize)]
pub(super) struct Stats {
    #[serde(flatten)]
    counts: Counts,
    connected: bool,
    evictions: u64,
    purges: u64,
    ledger_names: u64,
    ledger_patterns: u64,
    bytes_l1: u64,
    entries_l1: u64,
    since: String,
    scope: String,
    instances: Option<u64>,
    namespaces: Option<Vec<Row>>,
    tenants: Option<Vec<Row>>,
}

#[derive(Deserialize)]
struct Counts {
    cache_hits: u64,
    cache_misses: u64,
    total_requests: u64,
    hit_rate_percent: f64,
    stale_hits: u64,
    revalidated: u64,
    bypassed: u64,
    stored: u64,
    errors: u64,
    coalesced: u64,
}

#[derive(Deserialize)]
struct Row {
    name: String,
    #[serde(flatten)]
    counts: Counts,
}

/// Rows where they were asked for, else a line a fact.
pub(super) fn shown(stats: Stats) -> String {
    let Stats { namespaces, tenants, .. } = stats;
    match (namespaces, tenants) {
        (Some(rows), _) => breakdown("NAMESPACE", &rows),
        (None, Some(rows)) => breakdown("TENANT", &rows),
        (None, None) => facts(&Stats { namespaces: None, tenants: None, ..stats }),
    }
}

fn facts(stats: &Stats) -> String {
    let Stats { counts, .. } = stats;
    let of = match (stats.scope.as_str(), stats.instances) {
        ("fleet", Some(1)) => "1 instance".to_owned(),
        ("fleet", Some(instances)) => format!("{instances} instances"),
        _ => "this instance".to_owned(),
    };
    let store = if stats.connected { "connected" } else { "away" };
    let (hits, stale, confirmed) = (counts.cache_hits, counts.stale_hits, counts.revalidated);
    let lines = [
        ("of", format!("{of} since {}", stats.since)),
        ("requests", format!("{} ({:.2} % from the cache)", counts.total_requests, counts.hit_rate_percent)),
        ("hits", format!("{hits} ({stale} stale, {confirmed} confirmed by the origin)")),
        ("misses", format!("{} ({} waited for another)", counts.cache_misses, counts.coalesced)),
        ("bypassed", counts.bypassed.to_string()),
        ("stored", counts.stored.to_string()),
        (
            "memory",
            format!(
                "{} in {} entries, {} evicted",
                format_size(stats.bytes_l1),
                stats.entries_l1,
                stats.evictions
            ),
        ),
        (
            "purges",
            format!(
                "{} (ledger: {} names, {} patterns)",
                stats.purges, stats.ledger_names, stats.ledger_patterns
            ),
        ),
        ("errors", counts.errors.to_string()),
        ("store", store.to_owned()),
    ];
    lines.iter().map(|(name, value)| format!("{name:<9} {value}\n")).collect()
}

fn breakdown(head: &str, rows: &[Row]) -> String {
    if rows.is_empty() {
        return "nothing was asked yet\n".to_owned();
    }
    let row = |Row { name, counts }: &Row| {
        let numbers = [counts.cache_hits, counts.cache_misses, counts.bypassed, counts.stored, counts.errors];
        let numbers = numbers.map(|number| number.to_string());
        [vec![name.clone(), format!("{:.2}", counts.hit_rate_percent)], numbers.to_vec()].concat()
    };
    let rows: Vec<Vec<String>> = rows.iter().map(row).collect();
    table(&[head, "HIT %", "HITS", "MISSES", "BYPASSED", "STORED", "ERRORS"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn stats(more: &Value) -> Stats {
        let mut all = json!({"cache_hits": 7, "cache_misses": 3, "total_requests": 10, "hit_rate_percent": 70.0, "connected": true, "stale_hits": 2, "revalidated": 1, "bypassed": 4, "stored": 3, "evictions": 5, "errors": 0, "coalesced": 1, "bytes_l1": 2048, "entries_l1": 3, "purges": 6, "ledger_names": 2, "ledger_patterns": 1, "since": "2026-07-01T12:00:00Z", "scope": "instance"});
        if let (Value::Object(all), Value::Object(more)) = (&mut all, more) {
            all.extend(more.clone());
        }
        serde_json::from_value(all).expect("the shape")
    }

    #[test]
    fn sums_are_a_line_a_fact() {
        let expected = "of        this instance since 2026-07-01T12:00:00Z\n\
            requests  10 (70.00 % from the cache)\n\
            hits      7 (2 stale, 1 confirmed by the origin)\n\
            misses    3 (1 waited for another)\n\
            bypassed  4\n\
            stored    3\n\
            memory    2KiB in 3 entries, 5 evicted\n\
            purges    6 (ledger: 2 names, 1 patterns)\n\
            errors    0\n\
            store     connected\n";
        assert_eq!(shown(stats(&json!({}))), expected);
        let fleet = shown(stats(&json!({"scope": "fleet", "instances": 4, "connected": false})));
        assert!(fleet.starts_with("of        4 instances since") && fleet.ends_with("store     away\n"));
    }

    #[test]
    fn rows_are_a_table() {
        let row = json!({"name": "content", "cache_hits": 7, "cache_misses": 3, "total_requests": 10, "hit_rate_percent": 70.0, "stale_hits": 2, "revalidated": 1, "bypassed": 4, "stored": 3, "errors": 0, "coalesced": 1});
        let expected = "NAMESPACE  HIT %  HITS  MISSES  BYPASSED  STORED  ERRORS\n\
            content    70.00  7     3       4         3       0\n";
        assert_eq!(shown(stats(&json!({"namespaces": [row]}))), expected);
        assert_eq!(shown(stats(&json!({"tenants": []}))), "nothing was asked yet\n");
    }
}
