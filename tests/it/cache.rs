//! The cache as a client sees it, on memory and on Redis.

use crate::support::stores::on_both_stores;
use crate::support::{Answer, Fetch, Gate, Origin, Redis, Reply, Setup, Store, eventually, token, tokens};
use reqwest::Method;
use std::sync::Arc;
use tokio::sync::Semaphore;

const ROUTES: &str = "cache: {namespaces: {pages: {ttl: 5m}, own: {ttl: 5m, scope: user}, open: {scope: public}}}\n\
    routes: [{path: /pages/, cache: pages}, {path: /own/, cache: own}, {path: /open/, cache: open}, {path: /}]";

async fn gate_on(store: &Store, origin: &Origin) -> Gate {
    Gate::start(&Setup::new(origin.address()).store(store).with(tokens::HS256).with(ROUTES)).await
}

async fn of(gate: &Gate, path: &str, user: &str, tenant: &str) -> Answer {
    gate.get(path).bearer_auth(token(user, tenant)).fetch().await
}

async fn tenants_never_share_and_members_do(store: Store) {
    let origin = Origin::counting().await;
    let gate = gate_on(&store, &origin).await;
    let ada = of(&gate, "/pages/1", "ada", "acme").await;
    assert_eq!((ada.cache(), ada.text().as_str()), ("MISS", "answer 1"));
    assert_eq!(ada.header("cache-control"), "private, no-cache", "our ttl is not the client's");
    let bob = of(&gate, "/pages/1", "bob", "acme").await;
    assert_eq!((bob.cache(), bob.text().as_str(), bob.header("age")), ("HIT", "answer 1", "0"));
    assert!(bob.header("cache-status").starts_with("tidegate; hit; ttl="));
    assert_eq!(of(&gate, "/pages/1", "cleo", "globex").await.text(), "answer 2");
    let anonymous = gate.get("/pages/1").fetch().await;
    assert_eq!(
        (anonymous.cache(), anonymous.header("cache-status")),
        ("BYPASS", "tidegate; fwd=bypass; detail=no-tenant")
    );
    let forged = gate.get("/pages/1").bearer_auth(format!("{}x", token("ada", "acme"))).fetch().await;
    assert_eq!((forged.cache(), forged.text().as_str()), ("BYPASS", "answer 4"));
    let told = gate.get("/pages/1").header("X-Organization-Id", "acme").fetch().await;
    assert_eq!(told.cache(), "BYPASS");
    assert_eq!(origin.last().header("x-organization-id"), "", "a client's word reaches nobody");
    assert_eq!(of(&gate, "/own/1", "ada", "acme").await.cache(), "MISS");
    assert_eq!(of(&gate, "/own/1", "bob", "acme").await.cache(), "MISS", "scope user");
    assert_eq!(of(&gate, "/own/1", "ada", "acme").await.cache(), "HIT");
}

async fn what_the_origin_forbids_is_not_stored(store: Store) {
    let origin = Origin::start(|seen| {
        let reply = Reply::ok("x");
        match &*seen.target {
            "/pages/cookie" => reply.header("Set-Cookie", "a=b"),
            "/pages/no-store" => reply.header("Cache-Control", "no-store"),
            "/pages/private" => reply.header("Cache-Control", "private, max-age=60"),
            "/pages/star" => reply.header("Vary", "*"),
            "/pages/error" => Reply::status(500, "no"),
            "/pages/forbidden" => Reply::status(403, "no"),
            "/open/auth" => reply.header("Cache-Control", "max-age=60"),
            _ => reply,
        }
    })
    .await;
    let gate = gate_on(&store, &origin).await;
    let paths = ["cookie", "no-store", "private", "star", "error", "forbidden"];
    for path in paths.iter().map(|name| format!("/pages/{name}")).chain(["/open/auth".to_owned()]) {
        for _ in 0..2 {
            assert_eq!(of(&gate, &path, "ada", "acme").await.cache(), "MISS", "{path}");
        }
    }
    assert_eq!(gate.get("/open/plain").fetch().await.cache(), "MISS", "no freshness, no ttl");
    assert_eq!(gate.get("/open/plain").fetch().await.cache(), "MISS");
}

async fn variants_heads_ranges_and_conditions(store: Store) {
    let origin = Origin::start(|seen| {
        let reply = Reply::ok(format!("hello {}", seen.header("accept-language")));
        reply.header("Cache-Control", "max-age=60").header("Vary", "Accept-Language").header("ETag", "\"1\"")
    })
    .await;
    let gate = gate_on(&store, &origin).await;
    let ask =
        async |language: &'static str| gate.get("/open/v").header("Accept-Language", language).fetch().await;
    assert_eq!((ask("de").await.cache(), ask("de").await.cache()), ("MISS", "HIT"));
    assert_eq!((ask("fr").await.text(), ask("de").await.text()), ("hello fr".into(), "hello de".into()));
    let head = gate.request(Method::HEAD, "/open/v").header("Accept-Language", "de").fetch().await;
    assert_eq!((head.status, head.cache(), head.body.len()), (200, "HIT", 0));
    let part = gate.get("/open/v").header("Accept-Language", "de").header("Range", "bytes=0-4").fetch().await;
    assert_eq!((part.status, part.text().as_str()), (206, "hello"));
    let same =
        gate.get("/open/v").header("Accept-Language", "de").header("If-None-Match", "\"1\"").fetch().await;
    assert_eq!((same.status, same.body.len()), (304, 0));
    assert_eq!(origin.count(), 2);
}

async fn stale_entries_are_confirmed_and_stand_in_for_a_dead_origin(store: Store) {
    let mut origin = Origin::start(|seen| {
        if seen.header("if-none-match") == "\"1\"" {
            return Reply::status(304, "")
                .header("ETag", "\"1\"")
                .header("X-New", "yes")
                .header("Cache-Control", "max-age=0, stale-while-revalidate=0");
        }
        Reply::ok("first")
            .header("ETag", "\"1\"")
            .header("Cache-Control", "max-age=0, stale-while-revalidate=0")
    })
    .await;
    let gate = gate_on(&store, &origin).await;
    assert_eq!(gate.get("/open/s").fetch().await.cache(), "MISS");
    eventually("the entry is stale and confirmed", async || {
        let again = gate.get("/open/s").fetch().await;
        assert_eq!(again.text(), "first");
        again.cache() == "REVALIDATED" && again.header("x-new") == "yes"
    })
    .await;
    origin.stop().await;
    let stale = gate.get("/open/s").fetch().await;
    assert_eq!((stale.status, stale.cache(), stale.text().as_str()), (200, "STALE", "first"));
    assert_eq!(gate.get("/open/never-seen").fetch().await.problem().0, 502);
}

async fn twenty_misses_are_one_fetch(store: Store) {
    let gate_keeper = Arc::new(Semaphore::new(0));
    let waits = Arc::clone(&gate_keeper);
    let origin =
        Origin::start(move |_| Reply::ok("slow").header("Cache-Control", "max-age=60").when(&waits)).await;
    let gate = gate_on(&store, &origin).await;
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let request = gate.get("/open/slow");
        clients.spawn(async move { request.fetch().await.text() });
    }
    eventually("all twenty wait", async || gate.metric("tidegate_requests_in_flight", &[]).await >= 20.0)
        .await;
    gate_keeper.add_permits(1_000);
    assert!(clients.join_all().await.iter().all(|text| text == "slow"));
    assert_eq!(origin.count(), 1);
}

async fn poison_reaches_neither_the_backend_nor_the_next_client(store: Store) {
    let origin = Origin::start(|seen| {
        let head = String::from_utf8_lossy(&seen.head).to_lowercase();
        Reply::ok(if head.contains("evil") { "poisoned" } else { "clean" })
            .header("Cache-Control", "max-age=60")
    })
    .await;
    let gate = gate_on(&store, &origin).await;
    let fields = [
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Prefix",
        "Forwarded",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-HTTP-Method-Override",
        "X-Forwarded-For",
        "X-User-Id",
        "X-Organization-Id",
    ];
    for (number, field) in fields.iter().enumerate() {
        let path = format!("/open/p{number}");
        assert_eq!(gate.get(&path).header(*field, "evil").fetch().await.text(), "clean", "{field}");
        assert_eq!(gate.get(&path).fetch().await.cache(), "HIT", "{field}");
    }
    assert_eq!(gate.get("/open/c").header("Cookie", "a=evil").fetch().await.cache(), "BYPASS");
    assert_eq!(gate.get("/open/h").header("Host", "evil.example").fetch().await.text(), "poisoned");
    assert_eq!(gate.get("/open/h").fetch().await.text(), "clean", "the Host is keyed");
    assert_eq!(gate.get("/open/b").body("evil").fetch().await.cache(), "BYPASS");
    let pairs = [("/open/q?a=1:b=2", "/open/q?a=1&b=2"), ("/open/r?a=1&a=2", "/open/r?a=2&a=1")];
    for (one, other) in pairs {
        assert_eq!(
            (gate.get(one).fetch().await.cache(), gate.get(other).fetch().await.cache()),
            ("MISS", "MISS")
        );
    }
}

on_both_stores!(
    tenants_never_share_and_members_do,
    what_the_origin_forbids_is_not_stored,
    variants_heads_ranges_and_conditions,
    stale_entries_are_confirmed_and_stand_in_for_a_dead_origin,
    twenty_misses_are_one_fetch,
    poison_reaches_neither_the_backend_nor_the_next_client,
);

#[tokio::test]
async fn instances_share_entries_over_redis() {
    let (store, origin) = (Store::Redis(Redis::start().await), Origin::counting().await);
    let (one, other) = (gate_on(&store, &origin).await, gate_on(&store, &origin).await);
    assert_eq!(of(&one, "/pages/1", "ada", "acme").await.cache(), "MISS");
    eventually("the other instance finds it", async || {
        of(&other, "/pages/1", "bob", "acme").await.cache() == "HIT"
    })
    .await;
}
