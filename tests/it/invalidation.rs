//! Writes make stored answers untrue: of what they write to, of what their answer names, and of what their route names.

use crate::support::stores::on_both_stores;
use crate::support::tokens::HS256;
use crate::support::{Answer, Fetch, Gate, Origin, Redis, Reply, Setup, Store, eventually, token};
use reqwest::Method;

on_both_stores!(
    a_write_removes_what_it_writes_to,
    a_write_that_failed_and_a_reading_method_remove_nothing,
    location_and_content_location_are_removed_on_the_same_authority_only,
    a_write_removes_other_queries_and_variants_of_its_path,
    a_tenants_write_leaves_other_tenants_alone,
    a_routes_writes_remove_what_it_names,
    a_write_while_a_fetch_is_under_way_reaches_its_answer,
);

const SECTIONS: &str = "cache:\n  namespaces:\n    tenant: {ttl: 5m, tags: [dash]}\n    other: {ttl: 5m}\n    \
    public: {ttl: 5m, scope: public, tags: [dash]}\n\
    routes:\n  - {path: /c/, cache: tenant}\n  - {path: /o/, cache: other}\n  - {path: /p/, cache: public}\n  \
    - {path: /w/tags, invalidates: {tags: [dash]}}\n  - {path: /w/space, invalidates: {namespaces: [other]}}\n  \
    - {path: /w/paths, invalidates: {paths: [/c/x/, '/o/*/z', /o/a]}}\n  - {path: /}";

async fn gate(store: &Store, origin: &Origin) -> Gate {
    Gate::start(&Setup::new(origin.address()).store(store).with(HS256).with(SECTIONS)).await
}

async fn ask(gate: &Gate, method: Method, path: &str, tenant: &str) -> Answer {
    gate.request(method, path).bearer_auth(token("ada", tenant)).fetch().await
}

async fn get(gate: &Gate, path: &str, tenant: &str) -> Answer {
    gate.get(path).bearer_auth(token("ada", tenant)).fetch().await
}

/// Stores answers for these paths: afterwards each is a hit.
async fn fill(gate: &Gate, paths: &[&str], tenant: &str) {
    for path in paths {
        eventually("a hit", async || get(gate, path, tenant).await.cache() == "HIT").await;
    }
}

/// What the paths are answered from.
async fn words(gate: &Gate, paths: &[&str], tenant: &str) -> Vec<String> {
    let mut words = Vec::new();
    for path in paths {
        words.push(get(gate, path, tenant).await.cache().to_owned());
    }
    words
}

async fn a_write_removes_what_it_writes_to(store: Store) {
    let origin = Origin::counting().await;
    let gate = gate(&store, &origin).await;
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        fill(&gate, &["/c/a", "/c/b"], "acme").await;
        assert_eq!(ask(&gate, method.clone(), "/c/a", "acme").await.status, 200);
        assert_eq!(words(&gate, &["/c/a", "/c/b"], "acme").await, ["MISS", "HIT"], "{method}");
    }
}

async fn a_write_that_failed_and_a_reading_method_remove_nothing(store: Store) {
    let origin = Origin::start(|seen| match seen.method.as_str() {
        "POST" => Reply::status(422, "no"),
        "PUT" => Reply::status(500, "no"),
        _ => Reply::ok("yes"),
    })
    .await;
    let gate = gate(&store, &origin).await;
    fill(&gate, &["/c/a"], "acme").await;
    for method in [Method::POST, Method::PUT, Method::OPTIONS] {
        ask(&gate, method, "/c/a", "acme").await;
    }
    assert_eq!(words(&gate, &["/c/a"], "acme").await, ["HIT"]);
}

async fn location_and_content_location_are_removed_on_the_same_authority_only(store: Store) {
    let origin = Origin::start(|seen| match seen.method.as_str() {
        "POST" => Reply::status(201, "made").header("Location", "/c/new").header("Content-Location", "b"),
        "PUT" => Reply::ok("done").header("Location", "http://elsewhere.example/c/new"),
        _ => Reply::ok("yes"),
    })
    .await;
    let gate = gate(&store, &origin).await;
    let paths = ["/c/new", "/c/b", "/c/c"];
    fill(&gate, &paths, "acme").await;
    ask(&gate, Method::PUT, "/c/a", "acme").await;
    assert_eq!(words(&gate, &paths, "acme").await, ["HIT", "HIT", "HIT"]);
    ask(&gate, Method::POST, "/c/a", "acme").await;
    assert_eq!(words(&gate, &paths, "acme").await, ["MISS", "MISS", "HIT"]);
}

async fn a_write_removes_other_queries_and_variants_of_its_path(store: Store) {
    let origin = Origin::start(|_| Reply::ok("x").header("Vary", "Accept-Language")).await;
    let gate = gate(&store, &origin).await;
    fill(&gate, &["/c/a?page=1", "/c/a?page=2"], "acme").await;
    ask(&gate, Method::DELETE, "/c/a", "acme").await;
    assert_eq!(words(&gate, &["/c/a?page=1", "/c/a?page=2"], "acme").await, ["MISS", "MISS"]);
}

async fn a_tenants_write_leaves_other_tenants_alone(store: Store) {
    let origin = Origin::counting().await;
    let gate = gate(&store, &origin).await;
    fill(&gate, &["/c/a"], "acme").await;
    fill(&gate, &["/c/a"], "globex").await;
    ask(&gate, Method::POST, "/c/a", "acme").await;
    ask(&gate, Method::POST, "/w/tags", "acme").await;
    assert_eq!(words(&gate, &["/c/a"], "globex").await, ["HIT"]);
    assert_eq!(words(&gate, &["/c/a"], "acme").await, ["MISS"]);
}

async fn a_routes_writes_remove_what_it_names(store: Store) {
    let origin = Origin::start(|_| Reply::ok("x").header("Cache-Control", "public")).await;
    let gate = gate(&store, &origin).await;
    let paths = ["/c/x/1", "/c/y", "/o/a", "/o/b/z", "/p/a"];
    for (write, expected) in [
        ("/w/tags", ["MISS", "MISS", "HIT", "HIT", "MISS"]),
        ("/w/space", ["HIT", "HIT", "MISS", "MISS", "HIT"]),
        ("/w/paths", ["MISS", "HIT", "MISS", "MISS", "HIT"]),
    ] {
        fill(&gate, &paths, "acme").await;
        assert_eq!(ask(&gate, Method::GET, write, "acme").await.status, 200);
        assert_eq!(words(&gate, &paths, "acme").await, ["HIT"; 5], "reading changes nothing");
        assert_eq!(ask(&gate, Method::POST, write, "acme").await.status, 200);
        assert_eq!(words(&gate, &paths, "acme").await, expected, "{write}");
    }
}

async fn a_write_while_a_fetch_is_under_way_reaches_its_answer(store: Store) {
    let gate_keeper = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let held = std::sync::Arc::clone(&gate_keeper);
    let origin = Origin::start(move |seen| match seen.method.as_str() {
        "GET" => Reply::ok("before the write").when(&held),
        _ => Reply::ok("done"),
    })
    .await;
    let gate = gate(&store, &origin).await;
    let slow = get(&gate, "/c/a", "acme");
    let write = async {
        eventually("the fetch is under way", async || origin.count() == 1).await;
        ask(&gate, Method::PUT, "/c/a", "acme").await;
        gate_keeper.add_permits(100);
    };
    let (answer, ()) = tokio::join!(slow, write);
    assert_eq!(answer.text(), "before the write");
    for _ in 0..3 {
        gate.get("/o/settle").bearer_auth(token("ada", "acme")).fetch().await;
    }
    assert_eq!(words(&gate, &["/c/a"], "acme").await, ["MISS"], "it was read before the write");
}

#[tokio::test]
async fn a_write_through_one_instance_is_seen_by_the_other_before_it_is_answered_there() {
    let origin = Origin::counting().await;
    let store = Store::Redis(Redis::start().await);
    let setup = Setup::new(origin.address()).store(&store).with(HS256).with(SECTIONS);
    let (one, other) = (Gate::start(&setup).await, Gate::start(&setup).await);
    for gate in [&one, &other] {
        eventually("it is connected", async || gate.metric("tidegate_store_up", &[]).await > 0.0).await;
        eventually("a hit", async || {
            let ask = gate.get("/c/a").header("Host", "api.example").bearer_auth(token("ada", "acme"));
            ask.fetch().await.cache() == "HIT"
        })
        .await;
    }
    one.request(Method::POST, "/c/a")
        .header("Host", "api.example")
        .bearer_auth(token("ada", "acme"))
        .fetch()
        .await;
    let began = std::time::Instant::now();
    eventually("the other instance has heard", async || {
        let ask = other.get("/c/a").header("Host", "api.example").bearer_auth(token("ada", "acme"));
        ask.fetch().await.cache() != "HIT"
    })
    .await;
    assert!(began.elapsed() < std::time::Duration::from_secs(1), "{:?}", began.elapsed());
}
