//! The cache over HTTP, on memory and on Redis: what is answered from it, for whom, how long, and what it says.

use crate::support::stores::on_both_stores;
use crate::support::tokens::HS256;
use crate::support::web::collapsed;
use crate::support::{Answer, Fetch, Gate, Origin, Reply, Setup, Store, eventually, token};
use parking_lot::Mutex;
use reqwest::Method;
use std::sync::Arc;
use tokio::sync::Semaphore;

on_both_stores!(
    second_request_is_a_hit,
    tenants_are_kept_apart,
    users_are_kept_apart_in_scope_user,
    anonymous_and_forged_requests_go_past_the_cache,
    vary_keeps_variants_apart,
    a_stale_answer_is_revalidated_with_its_etag,
    a_clients_validator_is_answered_from_the_cache,
    head_is_answered_from_a_stored_get,
    a_stored_head_never_answers_get,
    a_range_is_cut_from_the_whole,
    age_and_cache_status_tell_the_truth,
    answers_that_must_not_be_stored_are_not,
    post_is_never_cached,
    errors_are_not_stored,
    a_stale_answer_is_better_than_a_dead_backend,
    simultaneous_misses_ask_the_backend_once,
    uncacheable_answers_do_not_queue,
    large_answers_pass_unstored,
    limit_fields_are_fresh_on_a_hit,
);

/// A tenant cache on everything below `/c/`, a user cache below `/u/`, a public one below `/p/`, none elsewhere.
const SECTIONS: &str = "cache:\n  namespaces:\n    tenant: {ttl: 5m, coalesce_wait: 15s}\n    user: {ttl: 5m, scope: user}\n    \
    public: {ttl: 5m, scope: public}\n    respect: {stale_while_revalidate: 0s}\n\
    routes:\n  - {path: /c/, cache: tenant}\n  - {path: /u/, cache: user}\n  - {path: /p/, cache: public}\n  \
    - {path: /r/, cache: respect}\n  - {path: /}";

async fn gate(store: &Store, origin: &Origin) -> Gate {
    Gate::start(&Setup::new(origin.address()).store(store).with(HS256).with(SECTIONS)).await
}

/// What GET `path` gives to `user` of `tenant`.
async fn get(gate: &Gate, path: &str, user: &str, tenant: &str) -> Answer {
    gate.get(path).bearer_auth(token(user, tenant)).fetch().await
}

/// Asks until the answer comes from the cache: stored answers may take a moment to reach Redis.
async fn hit(gate: &Gate, path: &str, user: &str, tenant: &str) -> Answer {
    let last = Mutex::new(None);
    eventually("a hit", async || {
        let answer = get(gate, path, user, tenant).await;
        let is_hit = answer.cache() == "HIT";
        *last.lock() = Some(answer);
        is_hit
    })
    .await;
    last.into_inner().expect("it was asked")
}

async fn second_request_is_a_hit(store: Store) {
    let origin = Origin::counting().await;
    let gate = gate(&store, &origin).await;
    let first = get(&gate, "/c/a", "ada", "acme").await;
    assert_eq!((first.status, first.cache(), first.text().as_str()), (200, "MISS", "answer 1"));
    let second = get(&gate, "/c/a", "bob", "acme").await;
    assert_eq!((second.status, second.cache(), second.text().as_str()), (200, "HIT", "answer 1"));
    assert_eq!(origin.count(), 1);
    let elsewhere = get(&gate, "/uncached", "ada", "acme").await;
    assert!(!elsewhere.headers.contains_key("x-cache"), "not cached, not a word about it: {elsewhere:?}");
}

async fn tenants_are_kept_apart(store: Store) {
    let origin = Origin::start(|seen| Reply::ok(seen.header("x-organization-id"))).await;
    let gate = gate(&store, &origin).await;
    for _ in 0..3 {
        for tenant in ["acme", "globex", "initech"] {
            assert_eq!(get(&gate, "/c/a", "ada", tenant).await.text(), tenant);
        }
    }
    assert_eq!(origin.count(), 3);
}

async fn users_are_kept_apart_in_scope_user(store: Store) {
    let origin = Origin::start(|seen| Reply::ok(seen.header("x-user-id"))).await;
    let gate = gate(&store, &origin).await;
    for _ in 0..2 {
        for user in ["ada", "bob"] {
            assert_eq!(get(&gate, "/u/me", user, "acme").await.text(), user);
        }
    }
    assert_eq!(
        get(&gate, "/u/me", "ada", "globex").await.cache(),
        "MISS",
        "another tenant's ada is someone else"
    );
    assert_eq!(origin.count(), 3);
}

async fn anonymous_and_forged_requests_go_past_the_cache(store: Store) {
    let origin = Origin::counting().await;
    let gate = gate(&store, &origin).await;
    get(&gate, "/c/a", "ada", "acme").await;
    let forged = format!("{}x", token("ada", "acme"));
    let requests = [
        gate.get("/c/a"),
        gate.get("/c/a").header("X-Organization-Id", "acme"),
        gate.get("/c/a").bearer_auth(&forged),
        gate.get("/c/a").bearer_auth(&forged).header("X-Organization-Id", "acme"),
        gate.get("/c/a").header("Authorization", "Basic YWRhOmFkYQ=="),
    ];
    for (number, request) in requests.into_iter().enumerate() {
        let answer = request.fetch().await;
        assert_eq!(answer.cache(), "BYPASS", "{answer:?}");
        assert_eq!(answer.text(), format!("answer {}", number + 2), "never the tenant's bytes");
        assert!(answer.header("cache-status").contains("fwd=bypass; detail="), "{answer:?}");
    }
    assert_eq!(
        hit(&gate, "/c/a", "bob", "acme").await.text(),
        "answer 1",
        "and nothing was put in its place"
    );
}

async fn vary_keeps_variants_apart(store: Store) {
    let script = |seen: &crate::support::Seen| {
        Reply::ok(seen.header("accept-language")).header("Vary", "Accept-Language")
    };
    let origin = Origin::start(script).await;
    let gate = gate(&store, &origin).await;
    for _ in 0..3 {
        for language in ["de", "en"] {
            let request = gate.get("/c/a").bearer_auth(token("ada", "acme"));
            assert_eq!(request.header("Accept-Language", language).fetch().await.text(), language);
        }
        assert_eq!(get(&gate, "/c/a", "ada", "acme").await.text(), "", "absent matches only absent");
    }
    assert_eq!(origin.count(), 3);
}

/// Answers 304 to its own validator, always immediately stale.
async fn revalidating_origin() -> Origin {
    Origin::start(|seen| match seen.header("if-none-match") {
        "\"v1\"" => Reply::status(304, "").header("ETag", "\"v1\"").header("Cache-Control", "max-age=0"),
        _ => Reply::ok("the body").header("ETag", "\"v1\"").header("Cache-Control", "max-age=0"),
    })
    .await
}

async fn a_stale_answer_is_revalidated_with_its_etag(store: Store) {
    let origin = revalidating_origin().await;
    let gate = gate(&store, &origin).await;
    assert_eq!(get(&gate, "/r/a", "ada", "acme").await.cache(), "MISS");
    eventually("it is revalidated", async || {
        let answer = get(&gate, "/r/a", "ada", "acme").await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "the body"),
            "304 is between us and the backend"
        );
        answer.cache() == "REVALIDATED" && answer.header("cache-status").contains("fwd-status=304")
    })
    .await;
    assert_eq!(origin.last().header("if-none-match"), "\"v1\"");
}

async fn a_clients_validator_is_answered_from_the_cache(store: Store) {
    let origin = Origin::start(|_| {
        Reply::ok("the body").header("ETag", "\"v1\"").header("Cache-Control", "max-age=60")
    })
    .await;
    let gate = gate(&store, &origin).await;
    get(&gate, "/c/a", "ada", "acme").await;
    hit(&gate, "/c/a", "ada", "acme").await;
    let ask = |validator: &'static str| {
        gate.get("/c/a").bearer_auth(token("ada", "acme")).header("If-None-Match", validator).fetch()
    };
    let fresh = ask("\"v1\"").await;
    assert_eq!((fresh.status, fresh.body.len(), fresh.header("etag")), (304, 0, "\"v1\""));
    assert_eq!(ask("W/\"v1\"").await.status, 304, "comparison is weak");
    let other = ask("\"v0\"").await;
    assert_eq!((other.status, other.text().as_str()), (200, "the body"));
    assert_eq!(origin.count(), 1);
}

async fn head_is_answered_from_a_stored_get(store: Store) {
    let origin = Origin::start(|_| Reply::ok("the body")).await;
    let gate = gate(&store, &origin).await;
    get(&gate, "/c/a", "ada", "acme").await;
    hit(&gate, "/c/a", "ada", "acme").await;
    let head = gate.request(Method::HEAD, "/c/a").bearer_auth(token("ada", "acme")).fetch().await;
    assert_eq!((head.status, head.cache(), head.number("content-length")), (200, "HIT", 8));
    assert_eq!(origin.count(), 1);
}

/// c21.
async fn a_stored_head_never_answers_get(store: Store) {
    let origin = Origin::start(|_| Reply::ok("the body")).await;
    let gate = gate(&store, &origin).await;
    for _ in 0..2 {
        gate.request(Method::HEAD, "/c/a").bearer_auth(token("ada", "acme")).fetch().await;
    }
    for _ in 0..2 {
        assert_eq!(get(&gate, "/c/a", "ada", "acme").await.text(), "the body");
    }
}

async fn a_range_is_cut_from_the_whole(store: Store) {
    let origin = Origin::start(|_| Reply::ok("0123456789").header("Cache-Control", "max-age=60")).await;
    let gate = gate(&store, &origin).await;
    get(&gate, "/c/a", "ada", "acme").await;
    hit(&gate, "/c/a", "ada", "acme").await;
    let part = gate.get("/c/a").bearer_auth(token("ada", "acme")).header("Range", "bytes=2-4").fetch().await;
    assert!(matches!((part.status, part.text().as_str()), (206, "234") | (200, "0123456789")), "{part:?}");
    assert_eq!(
        get(&gate, "/c/a", "ada", "acme").await.text(),
        "0123456789",
        "a part never becomes the object"
    );
}

async fn age_and_cache_status_tell_the_truth(store: Store) {
    let origin =
        Origin::start(|_| Reply::ok("x").header("Cache-Control", "public, max-age=100").header("Age", "40"))
            .await;
    let gate = gate(&store, &origin).await;
    let miss = get(&gate, "/r/a", "ada", "acme").await;
    assert_eq!(miss.cache(), "MISS");
    let status = miss.header("cache-status");
    assert!(status.starts_with("tidegate; fwd=uri-miss; stored"), "{status}");
    let answer = hit(&gate, "/r/a", "ada", "acme").await;
    let status = answer.header("cache-status");
    let ttl: u64 = status.split("ttl=").nth(1).and_then(|rest| rest.parse().ok()).expect("a ttl");
    assert!(status.starts_with("tidegate; hit"), "{status}");
    assert!((50..=60).contains(&ttl), "60 s were left on arrival: {status}");
    assert!((40..=50).contains(&answer.number("age")), "{answer:?}");
}

async fn answers_that_must_not_be_stored_are_not(store: Store) {
    let rules =
        ["no-store", "private", "no-store, max-age=60", "private, max-age=60", "max-age=60, private=\"x\""];
    let origin = Origin::start(move |seen| {
        let number = seen.target.rsplit('/').next().and_then(|last| last.parse::<usize>().ok()).unwrap_or(99);
        match rules.get(number) {
            Some(rule) => Reply::ok("x").header("Cache-Control", rule).header("X-Secret", "s"),
            None => Reply::ok("x").header("Set-Cookie", "id=1").header("Cache-Control", "max-age=60"),
        }
    })
    .await;
    let gate = gate(&store, &origin).await;
    for number in [0, 1, 2, 3, 99] {
        let path = format!("/c/{number}");
        for _ in 0..3 {
            let answer = get(&gate, &path, "ada", "acme").await;
            assert_eq!(answer.cache(), "MISS", "{path}");
            assert!(!answer.header("cache-status").contains("stored"), "{path}: {answer:?}");
        }
    }
    assert_eq!(origin.count(), 15);
}

async fn post_is_never_cached(store: Store) {
    let origin = Origin::counting().await;
    let gate = gate(&store, &origin).await;
    for number in 1..=2 {
        let answer =
            gate.request(Method::POST, "/c/a").bearer_auth(token("ada", "acme")).body("x").fetch().await;
        assert_eq!((answer.text(), answer.cache()), (format!("answer {number}"), "BYPASS"));
        assert!(answer.header("cache-status").contains("fwd=method"), "{answer:?}");
    }
}

/// t12, c41, c44.
async fn errors_are_not_stored(store: Store) {
    let origin = Origin::start(|seen| {
        let status = seen.target.rsplit('/').next().and_then(|last| last.parse().ok()).unwrap_or(200);
        Reply::status(status, "x").header("Cache-Control", "max-age=60")
    })
    .await;
    let gate = gate(&store, &origin).await;
    for status in [400, 401, 403, 405, 429, 500, 502, 503] {
        for _ in 0..2 {
            let answer = get(&gate, &format!("/c/{status}"), "ada", "acme").await;
            assert_eq!((answer.status, answer.cache()), (status, "MISS"));
        }
    }
    assert_eq!(origin.count(), 16);
}

async fn a_stale_answer_is_better_than_a_dead_backend(store: Store) {
    let mut origin =
        Origin::start(|_| Reply::ok("kept").header("Cache-Control", "max-age=0, stale-if-error=600")).await;
    let gate = gate(&store, &origin).await;
    get(&gate, "/r/a", "ada", "acme").await;
    origin.stop().await;
    eventually("the stored answer is served", async || {
        let answer = get(&gate, "/r/a", "ada", "acme").await;
        answer.status == 200 && answer.text() == "kept" && answer.cache() == "STALE"
    })
    .await;
    let never_seen = get(&gate, "/r/b", "ada", "acme").await;
    assert!(matches!(never_seen.problem().0, 502 | 503), "{never_seen:?}");
}

async fn simultaneous_misses_ask_the_backend_once(store: Store) {
    let door = Arc::new(Semaphore::new(0));
    let waiting = Arc::clone(&door);
    let origin = Origin::start(move |_| Reply::ok("shared").when(&waiting)).await;
    let gate = gate(&store, &origin).await;
    let asked = futures_util::future::join_all((0..20).map(|_| get(&gate, "/c/a", "ada", "acme")));
    let opened = async {
        eventually("all twenty are in flight", async || {
            origin.count() >= 1 && gate.metric("tidegate_requests_in_flight", &[]).await >= 20.0
        })
        .await;
        door.add_permits(20);
    };
    let (answers, ()) = futures_util::join!(asked, opened);
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.text() == "shared"));
    assert_eq!(origin.count(), 1);
    collapsed(&answers);
}

async fn uncacheable_answers_do_not_queue(store: Store) {
    let door = Arc::new(Semaphore::new(0));
    let waiting = Arc::clone(&door);
    let reply =
        move |_: &crate::support::Seen| Reply::ok("x").header("Cache-Control", "no-store").when(&waiting);
    let origin = Origin::start(reply).await;
    let gate = gate(&store, &origin).await;
    let asked = futures_util::future::join_all((0..10).map(|_| get(&gate, "/c/a", "ada", "acme")));
    let opened = async {
        eventually("one asks for all", async || origin.count() >= 1).await;
        door.add_permits(1);
        eventually("the nine others are let go together", async || origin.count() == 10).await;
        door.add_permits(9);
    };
    let (answers, ()) = futures_util::join!(asked, opened);
    assert!(answers.iter().all(|answer| answer.status == 200));
}

async fn large_answers_pass_unstored(store: Store) {
    let origin = Origin::start(|_| Reply::ok(vec![b'x'; (1 << 20) + 1])).await;
    let gate = gate(&store, &origin).await;
    for _ in 0..2 {
        let answer = get(&gate, "/c/a", "ada", "acme").await;
        assert_eq!((answer.status, answer.body.len()), (200, (1 << 20) + 1));
    }
    assert_eq!(origin.count(), 2, "above max_object");
}

async fn limit_fields_are_fresh_on_a_hit(store: Store) {
    let origin = Origin::counting().await;
    let sections = "limits: {default: {windows: {1m: 3}}}\ncache: {namespaces: {tenant: {ttl: 5m}}}\n\
        routes: [{path: /, cache: tenant}]";
    let gate = Gate::start(&Setup::new(origin.address()).store(&store).with(HS256).with(sections)).await;
    for left in [2, 1, 0] {
        let answer = get(&gate, "/a", "ada", "acme").await;
        assert_eq!(answer.number("x-ratelimit-remaining-60s"), left);
        assert_eq!(answer.headers.get_all("x-ratelimit-remaining-60s").iter().count(), 1);
    }
    let denied = get(&gate, "/a", "ada", "acme").await;
    assert_eq!(denied.problem().0, 429, "a limit is decided before the cache is asked");
    assert_eq!(get(&gate, "/a", "bob", "acme").await.cache(), "HIT");
    assert_eq!(origin.count(), 1);
}
