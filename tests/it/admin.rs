//! The admin listener.

use crate::support::{Fetch, Gate, Origin, Setup, eventually, token, tokens, web};

const SECTIONS: &str = "limits: {default: {windows: {1m: 5, 1h: 50}}}\n\
    cache: {namespaces: {pages: {ttl: 5m}}}\nroutes: [{path: /pages/, cache: pages}, {path: /stats, upstream: 'tidegate:cache-stats'}, {path: /}]";

async fn gate(origin: &Origin) -> Gate {
    Gate::start(&Setup::new(origin.address()).with(tokens::HS256).with(SECTIONS)).await
}

#[tokio::test]
async fn statistics_have_the_promised_shape() {
    let origin = Origin::counting().await;
    let gate = gate(&origin).await;
    for _ in 0..3 {
        gate.get("/pages/1").bearer_auth(token("ada", "acme")).fetch().await;
    }
    // A request is counted when it has ended, a moment after its answer.
    let stats = async || gate.ask("/api/v1/cache/stats").fetch().await;
    eventually("all three are counted", async || stats().await.json()["total_requests"] == 3).await;
    let stats = stats().await;
    let begin =
        r#"{"cache_hits":2,"cache_misses":1,"total_requests":3,"hit_rate_percent":66.67,"connected":true,"#;
    assert!(stats.text().starts_with(begin), "{}", stats.text());
    let by = gate.ask("/api/v1/cache/stats?by=namespace").fetch().await.text();
    assert!(by.contains("pages"), "{by}");
    assert_eq!(gate.ask("/api/v1/cache/stats?by=colour").fetch().await.status, 400);
    let published = gate.get("/stats").fetch().await;
    assert!(published.text().starts_with(r#"{"cache_hits":2"#) && !published.text().contains("acme"));
}

#[tokio::test]
async fn the_stats_of_an_instance_tell_requests_refusals_and_hits() {
    let origin = Origin::counting().await;
    let gate = gate(&origin).await;
    for _ in 0..7 {
        gate.get("/pages/1").bearer_auth(token("ada", "acme")).fetch().await;
    }
    let stats = async || gate.ask("/api/v1/stats").fetch().await.json();
    eventually("all seven are counted", async || stats().await["requests"]["total"] == 7).await;
    let stats = stats().await;
    // The limit is five a minute.
    assert_eq!(stats["requests"]["rate_limited"], 2, "{stats}");
    assert_eq!(stats["requests"]["by_class"]["2xx"], 5);
    assert_eq!(stats["latency"]["count"], 7);
    assert_eq!((&stats["cache"]["hits"], &stats["cache"]["misses"]), (&4.into(), &1.into()));
    assert!(!stats.to_string().contains("acme"), "{stats}");
}

#[tokio::test]
async fn every_promised_metric_family_is_there() {
    let origin = Origin::counting().await;
    let gate = gate(&origin).await;
    gate.get("/pages/1").bearer_auth(token("ada", "acme")).fetch().await;
    // A request is counted a moment after its answer is out.
    eventually("the request is counted", async || {
        gate.ask("/metrics").fetch().await.text().contains("\ntidegate_requests_total")
    })
    .await;
    let text = gate.ask("/metrics").fetch().await.text();
    let families = [
        "tidegate_requests_total",
        "tidegate_request_duration_seconds",
        "tidegate_upstream_duration_seconds",
        "tidegate_limit_decisions_total",
        "tidegate_limit_decision_duration_seconds",
        "tidegate_cache_requests_total",
        "tidegate_cache_entries",
        "tidegate_cache_bytes",
        "tidegate_store_up",
        "tidegate_upstream_healthy",
        "tidegate_breaker_open",
        "tidegate_connections",
        "tidegate_requests_in_flight",
        "tidegate_config_last_reload_success",
        "tidegate_build_info",
        "process_resident_memory_bytes",
    ];
    for family in families {
        assert!(text.contains(&format!("\n{family}")), "{family} is missing");
    }
    assert!(!text.contains("ada") && !text.contains("acme"), "no identity is a label");
}

#[tokio::test]
async fn looking_at_a_limit_consumes_nothing_and_a_reset_forgets() {
    let origin = Origin::counting().await;
    let gate = gate(&origin).await;
    for _ in 0..3 {
        gate.get("/").bearer_auth(token("ada", "acme")).fetch().await;
    }
    let url = format!("http://{}/api/v1/limits/default/user:ada", gate.admin);
    let left = async || web::client().get(&url).fetch().await.json()["windows"][0]["remaining"].clone();
    assert_eq!((left().await, left().await), (2.into(), 2.into()));
    assert_eq!(web::client().delete(&url).fetch().await.status, 200);
    assert_eq!(left().await, 5);
    assert_eq!(gate.ask("/api/v1/limits/nobody/user:ada").fetch().await.status, 404);
    assert_eq!(gate.ask("/api/v1/limits/default/colour:red").fetch().await.status, 400);
}

#[tokio::test]
async fn a_token_is_asked_for_where_one_is_configured() {
    let origin = Origin::counting().await;
    let text = Setup::new(origin.address()).with(SECTIONS).text();
    let text =
        text.replace("admin: {listen: \"127.0.0.1:0\"}", "admin: {listen: \"127.0.0.1:0\", token: s3cret}");
    let gate = Gate::start_with(&text).await;
    assert_eq!(gate.ask("/metrics").fetch().await.status, 401);
    assert_eq!(gate.ask("/metrics").bearer_auth("guess").fetch().await.status, 401);
    assert_eq!(gate.ask("/metrics").bearer_auth("s3cret").fetch().await.status, 200);
    assert_eq!(gate.ask("/readyz").fetch().await.status, 200);
    let config = gate.ask("/api/v1/config").bearer_auth("s3cret").fetch().await.text();
    assert!(config.contains("\"token\":\"***\"") && !config.contains("s3cret"), "{config}");
}

#[tokio::test]
async fn another_name_is_not_answered_without_a_token() {
    let origin = Origin::counting().await;
    let gate = gate(&origin).await;
    assert_eq!(gate.ask("/metrics").header("Host", "evil.example").fetch().await.status, 421);
    assert_eq!(gate.ask("/nowhere").fetch().await.status, 404);
    let url = format!("http://{}/api/v1/explain", gate.admin);
    let asked =
        web::client().post(url).json(&serde_json::json!({"method": "GET", "url": "/pages/1"})).fetch().await;
    assert!(asked.text().contains("no-tenant"), "{}", asked.text());
}
