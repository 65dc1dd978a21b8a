//! Several instances on one Redis behave as one.

use crate::support::tokens::HS256;
use crate::support::web::hammer;
use crate::support::{Fetch, Gate, Origin, Redis, Setup, Store, eventually, token};

async fn fleet(size: usize, origin: &Origin, sections: &str) -> (Store, Vec<Gate>) {
    let store = Store::Redis(Redis::start().await);
    let setup = Setup::new(origin.address()).store(&store).with(HS256).with(sections);
    let gates: Vec<Gate> = futures_util::future::join_all((0..size).map(|_| Gate::start(&setup))).await;
    for gate in &gates {
        eventually("it is connected", async || gate.metric("tidegate_store_up", &[]).await > 0.0).await;
    }
    (store, gates)
}

/// Scenario 11 of the limits' specification.
#[tokio::test]
async fn four_instances_admit_exactly_the_limit_together() {
    let origin = Origin::counting().await;
    let sections = "limits: {default: {windows: {1m: 100, 1h: 1000, 1d: 10000}}}\nroutes: [{path: /}]";
    let (_store, gates) = fleet(4, &origin, sections).await;
    let gates: Vec<&Gate> = gates.iter().collect();
    assert_eq!(hammer(&gates, 8, 60).await, (100, 380));
    assert_eq!(origin.count(), 100);
    let after = gates[0].get("/").fetch().await;
    let left = [60, 3_600, 86_400].map(|window| after.number(&format!("x-ratelimit-remaining-{window}s")));
    assert_eq!(left, [0, 900, 9_900]);
}

#[tokio::test]
async fn a_user_who_spent_the_limit_on_one_instance_is_refused_on_the_other() {
    let origin = Origin::counting().await;
    let sections = "limits: {default: {windows: {1m: 3}}}\nroutes: [{path: /}]";
    let (_store, gates) = fleet(2, &origin, sections).await;
    let ask = async |gate: &Gate, user| gate.get("/").bearer_auth(token(user, "acme")).fetch().await.status;
    for _ in 0..3 {
        assert_eq!(ask(&gates[0], "ada").await, 200);
    }
    assert_eq!((ask(&gates[1], "ada").await, ask(&gates[1], "bob").await), (429, 200));
}

#[tokio::test]
async fn instances_share_entries_but_never_across_tenants() {
    let origin = Origin::counting().await;
    let sections = "cache: {namespaces: {pages: {ttl: 5m}}}\nroutes: [{path: /, cache: pages}]";
    let (store, gates) = fleet(2, &origin, sections).await;
    let ask = async |gate: &Gate, tenant| {
        gate.get("/a").header("Host", "one.example").bearer_auth(token("ada", tenant)).fetch().await
    };
    assert_eq!(ask(&gates[0], "acme").await.cache(), "MISS");
    let Store::Redis(redis) = &store else { panic!("the fleet is on Redis") };
    eventually("the entry is in Redis", async || !redis.ask(&["KEYS", "tg:o:*"]).is_empty()).await;
    assert_eq!(ask(&gates[1], "acme").await.cache(), "HIT");
    assert_eq!(ask(&gates[1], "acme").await.text(), "answer 1");
    assert_eq!(ask(&gates[1], "globex").await.cache(), "MISS");
}

#[tokio::test]
async fn an_entry_and_a_count_outlive_the_instance() {
    let origin = Origin::counting().await;
    let sections = "limits: {default: {windows: {1m: 5}}}\ncache: {namespaces: {pages: {ttl: 5m}}}\n\
        routes: [{path: /pages/, cache: pages}, {path: /}]";
    let (store, mut gates) = fleet(1, &origin, sections).await;
    let page = async |gate: &Gate| {
        gate.get("/pages/1").header("Host", "one.example").bearer_auth(token("ada", "acme")).fetch().await
    };
    assert_eq!(page(&gates[0]).await.cache(), "MISS");
    let Store::Redis(redis) = &store else { panic!("the fleet is on Redis") };
    for keys in ["tg:o:*", "tg:rl:*"] {
        eventually("counts and entry are in Redis", async || !redis.ask(&["KEYS", keys]).is_empty()).await;
    }
    gates[0].process.kill();
    let setup = Setup::new(origin.address()).store(&store).with(HS256).with(sections);
    let next = Gate::start(&setup).await;
    let answer = page(&next).await;
    assert_eq!((answer.cache(), answer.number("x-ratelimit-remaining-60s")), ("HIT", 3));
}

#[tokio::test]
async fn every_key_is_ours_and_has_an_end() {
    let origin = Origin::counting().await;
    let sections = "limits: {default: {windows: {1m: 5, 1h: 50}}}\ncache: {namespaces: {pages: {ttl: 5m}}}\n\
        routes: [{path: /, cache: pages}]";
    let (store, gates) = fleet(1, &origin, sections).await;
    for tenant in ["acme", "globex"] {
        gates[0].get("/secret-path").bearer_auth(token("ada", tenant)).fetch().await;
    }
    let Store::Redis(redis) = &store else { panic!("the fleet is on Redis") };
    let entries = async || redis.ask(&["KEYS", "tg:o:*"]).lines().count();
    eventually("all is written", async || entries().await == 2).await;
    let keys = redis.ask(&["KEYS", "*"]);
    for key in keys.lines() {
        assert!(key.starts_with("tg:"), "{key}");
        assert!(redis.ask(&["TTL", key]).parse().unwrap_or(-1) > 0, "{key} never ends");
        assert!(!["ada", "acme", "secret"].iter().any(|word| key.contains(word)), "{key} tells who and what");
    }
}
