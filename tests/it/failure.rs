//! What fails around the gate costs features, not traffic: Redis, backends.

use crate::support::{Fetch, Gate, Origin, Redis, Reply, Setup, Store, Wire, eventually};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const LIMITED: &str = "limits: {default: {windows: {1m: 100000}}}\n\
    cache: {namespaces: {open: {scope: public, ttl: 1m}}}\nroutes: [{path: /open/, cache: open}, {path: /}]";

async fn on(redis: &Redis, origin: &Origin, sections: &str) -> Gate {
    with_timeout(redis, origin, sections, "50ms").await
}

/// Where the time-out of the store is `timeout`.
async fn with_timeout(redis: &Redis, origin: &Origin, sections: &str, timeout: &str) -> Gate {
    let store = format!("url: \"{}\", timeout: {timeout}", redis.url());
    Gate::start(&Setup::new(origin.address()).store_text(&store).with(sections)).await
}

#[tokio::test]
async fn redis_may_be_down_at_the_start_and_come_later() {
    let (mut redis, origin) = (Redis::absent(), Origin::counting().await);
    let gate = on(&redis, &origin, LIMITED).await;
    assert_eq!(gate.get("/").fetch().await.status, 200);
    assert_eq!(gate.ask("/readyz").fetch().await.status, 200, "a dead store makes nobody unready");
    let stats = gate.ask("/api/v1/cache/stats").fetch().await.json();
    assert_eq!(stats["connected"], false);
    assert_eq!(gate.get("/open/a").fetch().await.cache(), "MISS");
    assert_eq!(gate.metric("tidegate_cache_errors_total", &[("namespace", "open")]).await, 1.0);
    redis.restart().await;
    eventually("the store is in use", async || {
        gate.get("/").fetch().await;
        gate.metric("tidegate_store_up", &[("store", "redis")]).await > 0.0 && redis.ask(&["DBSIZE"]) != "0"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_killed_and_restarted_under_load_is_seen_by_no_client() {
    let (mut redis, origin) = (Redis::start().await, Origin::counting().await);
    let gate = with_timeout(&redis, &origin, LIMITED, "1s").await;
    let goes_on = Arc::new(AtomicBool::new(true));
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..4 {
        let (request, goes_on) = (gate.get(if client == 0 { "/open/1" } else { "/" }), Arc::clone(&goes_on));
        clients.spawn(async move {
            let mut answers = 0_u32;
            while goes_on.load(Ordering::Relaxed) {
                let answer = request.try_clone().expect("no body").fetch().await;
                assert_eq!(answer.status, 200, "{answer:?}");
                answers += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            answers
        });
    }
    let local = async || gate.metric("tidegate_limit_decisions_total", &[("decision", "local_allow")]).await;
    redis.kill();
    eventually("decisions go on without it", async || local().await > 50.0).await;
    redis.restart().await;
    eventually("decisions are shared again", async || {
        let before = local().await;
        let shared = gate.metric("tidegate_limit_decisions_total", &[("decision", "allow")]).await;
        tokio::task::yield_now().await;
        redis.ask(&["DBSIZE"]) != "0" && shared > 0.0 && local().await - before < 1.0
    })
    .await;
    goes_on.store(false, Ordering::Relaxed);
    assert!(clients.join_all().await.iter().all(|answers| *answers > 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_redis_costs_its_time_out_until_it_is_left_alone() {
    let (redis, origin) = (Redis::start().await, Origin::counting().await);
    let gate = with_timeout(&redis, &origin, LIMITED, "250ms").await;
    eventually("the store is in use", async || {
        gate.get("/").fetch().await;
        redis.ask(&["DBSIZE"]) != "0"
    })
    .await;
    redis.freeze();
    for _ in 0..6 {
        assert_eq!(gate.get("/").fetch().await.status, 200);
    }
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(gate.get("/").fetch().await.status, 200);
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(4), "20 × 250 ms would be five seconds: {took:?}");
    redis.thaw();
}

/// A frozen Redis behind a cached route: each miss asks it for a decision and for an entry, and wants to store one.
#[tokio::test]
async fn a_hung_redis_does_not_hold_up_cached_routes() {
    let (redis, origin) = (Redis::start().await, Origin::counting().await);
    let gate = with_timeout(&redis, &origin, LIMITED, "250ms").await;
    eventually("the store is in use", async || {
        gate.get("/open/0").fetch().await;
        redis.ask(&["DBSIZE"]) != "0"
    })
    .await;
    redis.freeze();
    let began = Instant::now();
    for number in 1..=30 {
        let answer = gate.get(&format!("/open/{number}")).fetch().await;
        assert_eq!((answer.status, answer.cache()), (200, "MISS"));
        let told = answer.header("cache-status");
        assert!(told.ends_with("; detail=store-down"), "{told}");
        assert_eq!(gate.get(&format!("/open/{number}")).fetch().await.cache(), "HIT", "memory goes on");
    }
    // Without a breaker: 60 requests, at least one time-out of 250 ms each.
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    redis.thaw();
    eventually("it is used again", async || {
        gate.get("/open/0").fetch().await;
        gate.metric("tidegate_store_up", &[("store", "redis")]).await > 0.0
    })
    .await;
}

#[tokio::test]
async fn a_flushed_redis_costs_counts_and_entries_but_no_request() {
    let (redis, origin) = (Redis::start().await, Origin::counting().await);
    let sections = "limits: {default: {windows: {1m: 5}}}\nroutes: [{path: /}]";
    let store = Store::Redis(redis);
    let gate = Gate::start(&Setup::new(origin.address()).store(&store).with(sections)).await;
    let Store::Redis(redis) = &store else { panic!("it is on Redis") };
    let left = async || {
        let answer = gate.get("/").fetch().await;
        assert_eq!(answer.status, 200);
        answer.number("x-ratelimit-remaining-60s")
    };
    eventually("decisions are shared", async || {
        gate.metric("tidegate_store_up", &[("store", "redis")]).await > 0.0
    })
    .await;
    assert_eq!(left().await, 4);
    assert_eq!(redis.ask(&["SCRIPT", "FLUSH"]), "OK");
    assert_eq!(left().await, 3, "the script is loaded again within the same decision");
    assert_eq!(redis.ask(&["FLUSHALL"]), "OK");
    assert_eq!(left().await, 4);
    assert_eq!(gate.metric("tidegate_limit_decisions_total", &[("decision", "local_allow")]).await, 0.0);
}

#[tokio::test]
async fn a_redis_that_refuses_us_is_a_redis_that_is_away() {
    let (redis, origin) = (Redis::start().await, Origin::counting().await);
    assert_eq!(redis.ask(&["CONFIG", "SET", "requirepass", "right"]), "OK");
    let url = redis.url().replace("redis://", "redis://:wrong-secret@");
    let setup = Setup::new(origin.address()).store_text(&format!("url: \"{url}\", timeout: 50ms"));
    let gate = Gate::start(&setup.with(LIMITED)).await;
    for _ in 0..3 {
        assert_eq!(gate.get("/").fetch().await.status, 200);
    }
    assert_eq!(gate.ask("/api/v1/cache/stats").fetch().await.json()["connected"], false);
    assert!(!gate.process.stderr().contains("wrong-secret"), "{}", gate.process.stderr());
    let config = gate.ask("/api/v1/config").fetch().await.text();
    assert!(!config.contains("wrong-secret"), "{config}");
}

#[tokio::test]
async fn a_policy_may_refuse_or_pass_what_it_cannot_count() {
    let (redis, origin) = (Redis::absent(), Origin::counting().await);
    let sections = "limits: {strict: {windows: {1m: 5}, on_store_failure: deny}, lax: {windows: {1m: 5}, on_store_failure: allow}, own: {windows: {1m: 5}}}\n\
        routes: [{path: /strict/, limit: strict}, {path: /lax/, limit: lax}, {path: /own/, limit: own}]";
    let gate = on(&redis, &origin, sections).await;
    let denied = gate.get("/strict/").fetch().await;
    assert_eq!(
        (denied.problem().0, denied.number("retry-after")),
        (503, 1),
        "not 429: the client did nothing wrong"
    );
    for _ in 0..7 {
        let passed = gate.get("/lax/").fetch().await;
        assert_eq!((passed.status, passed.header("x-ratelimit-status")), (200, "degraded"));
    }
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(gate.get("/own/").fetch().await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429]);
}

#[tokio::test]
async fn backends_that_are_gone_slow_or_sick_get_the_right_blame() {
    let mut origin =
        Origin::start(|seen| if seen.target == "/slow" { Reply::never() } else { Reply::ok("x") }).await;
    let upstream = format!(
        "{{servers: [\"{}\"], response_timeout: 1s, connect_timeout: 1s, breaker: {{failures: 3, open: 1m}}}}",
        origin.address()
    );
    let gate =
        Gate::start(&Setup::new(origin.address()).upstream(&upstream).with("routes: [{path: /}]")).await;
    assert_eq!(gate.get("/slow").fetch().await.problem().0, 504);
    assert_eq!(gate.get("/").fetch().await.status, 200);
    origin.stop().await;
    assert_eq!(gate.get("/").fetch().await.problem().0, 502);
    eventually("the breaker opens", async || gate.get("/").fetch().await.status == 503).await;
    let refused = gate.get("/").fetch().await;
    assert!(refused.problem().1.ends_with("/no-server"));
    assert!(gate.metric("tidegate_breaker_open", &[("upstream", "backend")]).await > 0.0);
    let failed = async |kind| {
        gate.metric("tidegate_upstream_errors_total", &[("upstream", "backend"), ("kind", kind)]).await
    };
    assert_eq!(failed("timeout").await, 1.0);
    assert!(failed("connect").await > 0.0);
}

/// A few clients that stop in the middle of a body must not take the backend away from all others.
#[tokio::test]
async fn a_client_that_does_not_send_its_body_is_no_failure_of_the_backend() {
    let origin = Origin::counting().await;
    let upstream = format!(
        "{{servers: [\"{}\"], response_timeout: 1s, breaker: {{failures: 1, open: 1m}}}}",
        origin.address()
    );
    let gate =
        Gate::start(&Setup::new(origin.address()).upstream(&upstream).with("routes: [{path: /}]")).await;
    for length in [
        "Content-Length: 10\r\n\r\nabc",
        "Content-Length: 10\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{length}");
        let answer = Wire::exchange(gate.http, request).await.expect("an answer");
        assert!(answer.problem().1.ends_with("/body-too-slow"), "{length:?}: {answer:?}");
        assert_eq!((answer.status, answer.header("connection")), (408, "close"));
        assert_eq!(gate.get("/").fetch().await.status, 200, "others are served");
    }
}

#[tokio::test]
async fn a_second_server_takes_over_and_posts_are_never_sent_twice() {
    let (mut one, other) = (Origin::counting().await, Origin::counting().await);
    let upstream = format!("{{servers: [\"{}\", \"{}\"], retries: 1}}", one.address(), other.address());
    let gate = Gate::start(&Setup::new(one.address()).upstream(&upstream).with("routes: [{path: /}]")).await;
    one.stop().await;
    for _ in 0..6 {
        assert_eq!(gate.get("/").fetch().await.status, 200);
    }
    let dropping = Origin::start(|_| Reply::raw("").close()).await;
    let gate = Gate::start(&Setup::new(dropping.address()).with("routes: [{path: /}]")).await;
    assert_eq!(gate.request(reqwest::Method::POST, "/").body("x").fetch().await.status, 502);
    assert_eq!(dropping.count(), 1);
}

#[tokio::test]
async fn a_cut_answer_is_never_stored_nor_completed() {
    let origin = Origin::start(|_| {
        Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\nCache-Control: public, max-age=60\r\n\r\nhalf")
            .close()
    })
    .await;
    let gate = Gate::start(&Setup::new(origin.address()).store(&Store::Memory).with(LIMITED)).await;
    for _ in 0..2 {
        let response = gate.get("/open/cut").send().await.expect("a head");
        assert!(response.bytes().await.is_err(), "the cut shows");
    }
    assert_eq!(origin.count(), 2);
}
