//! Many requests, one answer: simultaneous misses, refreshes and failures, in one instance and across a fleet.

use crate::support::web::collapsed;
use crate::support::{Answer, Fetch, Gate, Origin, Redis, Reply, Seen, Setup, Store, eventually, within};
use futures_util::future::join_all;
use parking_lot::Mutex;
use reqwest::Method;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Patient, so that a busy machine does not make anybody go alone.
const PATIENT: &str = "{scope: public, ttl: 5m, coalesce_wait: 15s}";

/// Instances on one Redis with a public namespace on every path.
async fn fleet(size: usize, origin: &Origin, namespace: &str) -> (Store, Vec<Gate>) {
    let store = Store::Redis(Redis::start().await);
    let gates = gates(size, origin, &store, namespace).await;
    for gate in &gates {
        for (name, labels) in [
            ("tidegate_limit_feed_up", &[][..]),
            ("tidegate_store_up", &[("store", "redis")]),
            ("tidegate_store_up", &[("store", "redis_cache")]),
        ] {
            eventually(name, async || gate.metric(name, labels).await > 0.0).await;
        }
    }
    (store, gates)
}

async fn gates(size: usize, origin: &Origin, store: &Store, namespace: &str) -> Vec<Gate> {
    let sections =
        format!("cache: {{namespaces: {{pages: {namespace}}}}}\nroutes: [{{path: /, cache: pages}}]");
    let setup = Setup::new(origin.address()).store(store).with(&sections);
    join_all((0..size).map(|_| Gate::start(&setup))).await
}

fn get(gate: &Gate, path: &str) -> reqwest::RequestBuilder {
    gate.get(path).header("Host", "one.example")
}

/// Calls of this kind that Redis has answered.
async fn of_store(gates: &[Gate], operation: &str) -> f64 {
    let labels = [("operation", operation)];
    let counts = gates.iter().map(|gate| gate.metric("tidegate_store_duration_seconds_count", &labels));
    join_all(counts).await.iter().sum()
}

async fn in_flight(gates: &[Gate]) -> f64 {
    join_all(gates.iter().map(|gate| gate.metric("tidegate_requests_in_flight", &[]))).await.iter().sum()
}

/// A call for the fleet's lease was answered in each of them. Before that a request in flight does not wait for the leader of
/// another instance yet: it may lead itself once that one is done.
async fn all_know_who_leads(gates: &[Gate]) {
    for gate in gates {
        let gate = std::slice::from_ref(gate);
        eventually("it has asked for the lease", async || of_store(gate, "flight").await > 0.0).await;
    }
}

/// `number` requests, spread over the gates.
async fn ask_all(gates: &[Gate], number: usize, path: &str) -> Vec<Answer> {
    join_all((0..number).map(|at| get(&gates[at % gates.len()], path).fetch())).await
}

/// A backend whose answers wait for the door.
async fn behind(door: &Arc<Semaphore>, reply: impl Fn() -> Reply + Send + Sync + 'static) -> Origin {
    let door = Arc::clone(door);
    Origin::start(move |_| reply().when(&door)).await
}

async fn fifty_misses(size: usize) {
    let door = Arc::new(Semaphore::new(0));
    let origin = behind(&door, || Reply::ok("shared")).await;
    let (_store, gates) = fleet(size, &origin, PATIENT).await;
    let opened = async {
        eventually("all fifty are in flight", async || {
            origin.count() >= 1 && in_flight(&gates).await >= 50.0
        })
        .await;
        door.add_permits(50);
    };
    let (answers, ()) = futures_util::join!(ask_all(&gates, 50, "/a"), opened);
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.text() == "shared"));
    assert_eq!(origin.count(), 1);
    let collapsed = collapsed(&answers);
    eventually("each is counted, a moment after its answer", async || {
        let counted = gates.iter().map(|gate| gate.metric("tidegate_cache_coalesced_total", &[]));
        (join_all(counted).await.iter().sum::<f64>() - f64::from(collapsed)).abs() < 0.5
    })
    .await;
}

#[tokio::test]
async fn fifty_misses_of_one_instance_ask_the_backend_once() {
    fifty_misses(1).await;
}

#[tokio::test]
async fn fifty_misses_of_three_instances_ask_the_backend_once() {
    fifty_misses(3).await;
}

#[tokio::test]
async fn a_killed_leader_costs_the_others_its_lease_and_one_more_request() {
    let asked = AtomicUsize::new(0);
    let origin = Origin::start(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::never(),
        _ => Reply::ok("second"),
    })
    .await;
    let (_store, mut gates) = fleet(3, &origin, PATIENT).await;
    let mut leading = gates.remove(0);
    let lead = get(&leading, "/a").send();
    let others = async {
        eventually("the leader is at the backend", async || origin.count() == 1).await;
        let killed = Mutex::new(None);
        let kill = async {
            eventually("the others wait", async || in_flight(&gates).await >= 20.0).await;
            leading.process.signal("KILL");
            *killed.lock() = Some(Instant::now());
        };
        let (answers, ()) = futures_util::join!(ask_all(&gates, 20, "/a"), kill);
        let killed = killed.into_inner().expect("it was killed");
        (answers, killed.elapsed())
    };
    let (lost, (answers, took)) = futures_util::join!(lead, others);
    assert!(lost.is_err(), "its client loses the connection");
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.text() == "second"));
    assert_eq!(origin.count(), 2);
    assert!(took < Duration::from_secs(6), "lease 2 s, then one request; they would wait for 15: {took:?}");
    leading.process.exit().await;
}

/// Two rounds of the backend's time: one that leads, and then all others at once.
async fn twenty_uncacheable(size: usize) {
    let door = Arc::new(Semaphore::new(0));
    let origin = behind(&door, || Reply::ok("x").header("Cache-Control", "no-store")).await;
    let (_store, gates) = fleet(size, &origin, PATIENT).await;
    let opened = async {
        eventually("one asks for all", async || origin.count() == 1 && in_flight(&gates).await >= 20.0).await;
        all_know_who_leads(&gates).await;
        door.add_permits(1);
        eventually("the nineteen others go together", async || origin.count() == 20).await;
        door.add_permits(19);
    };
    let (answers, ()) = futures_util::join!(ask_all(&gates, 20, "/a"), opened);
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.cache() == "MISS"));
    let again = ask_all(&gates, size * 2, "/a");
    let opened = async {
        eventually("now nobody queues", async || origin.count() == 20 + size * 2).await;
        door.add_permits(size * 2);
    };
    futures_util::join!(again, opened);
}

#[tokio::test]
async fn uncacheable_answers_take_two_rounds_on_one_instance() {
    twenty_uncacheable(1).await;
}

#[tokio::test]
async fn uncacheable_answers_take_two_rounds_on_three_instances() {
    twenty_uncacheable(3).await;
}

#[tokio::test]
async fn a_stale_entry_is_refreshed_once_for_the_fleet_and_nobody_waits() {
    let door = Arc::new(Semaphore::new(1));
    let served = AtomicUsize::new(0);
    let waits = Arc::clone(&door);
    let origin = Origin::start(move |_| {
        let number = served.fetch_add(1, Ordering::SeqCst) + 1;
        Reply::ok(format!("answer {number}")).when(&waits)
    })
    .await;
    let namespace = "{scope: public, ttl: 2s, stale_while_revalidate: 60s, coalesce_wait: 15s}";
    let (_store, gates) = fleet(3, &origin, namespace).await;
    get(&gates[0], "/a").fetch().await;
    for gate in &gates {
        eventually("it is stale", async || get(gate, "/a").fetch().await.cache() == "STALE").await;
    }
    let answers = within(Duration::from_secs(5), "nobody waits", ask_all(&gates, 60, "/a")).await;
    assert!(answers.iter().all(|answer| answer.cache() == "STALE" && answer.text() == "answer 1"));
    all_know_who_leads(&gates).await;
    eventually("one of them is at the backend", async || origin.count() >= 2).await;
    assert_eq!(origin.count(), 2, "one refresh for all");
    door.add_permits(1);
    for gate in &gates {
        eventually("all have the new answer", async || get(gate, "/a").fetch().await.text() == "answer 2")
            .await;
    }
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn an_entry_that_may_not_be_served_stale_is_confirmed_once_for_the_fleet() {
    let door = Arc::new(Semaphore::new(1));
    let waits = Arc::clone(&door);
    let origin = Origin::start(move |seen: &Seen| match seen.header("if-none-match") {
        "\"v1\"" => Reply::status(304, "").header("ETag", "\"v1\"").when(&waits),
        _ => Reply::ok("body").header("ETag", "\"v1\"").when(&waits),
    })
    .await;
    let namespace = "{scope: public, ttl: 6s, stale_while_revalidate: 0s, coalesce_wait: 15s}";
    let (_store, gates) = fleet(3, &origin, namespace).await;
    assert_eq!(get(&gates[0], "/a").fetch().await.cache(), "MISS");
    let filled = Instant::now();
    for gate in &gates[1..] {
        eventually("the others know it", async || get(gate, "/a").fetch().await.cache() == "HIT").await;
    }
    eventually("it is stale", async || filled.elapsed() > Duration::from_millis(6_010)).await;
    let opened = async {
        eventually("all wait", async || origin.count() >= 2 && in_flight(&gates).await >= 30.0).await;
        door.add_permits(30);
    };
    let (answers, ()) = futures_util::join!(ask_all(&gates, 30, "/a"), opened);
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.text() == "body"));
    assert_eq!(origin.count(), 2);
    assert_eq!(answers.iter().filter(|answer| answer.cache() == "REVALIDATED").count(), 1);
}

#[tokio::test]
async fn redis_killed_while_others_wait_is_no_error() {
    let door = Arc::new(Semaphore::new(0));
    let origin = behind(&door, || Reply::ok("shared")).await;
    let (store, gates) = fleet(3, &origin, PATIENT).await;
    let Store::Redis(mut redis) = store else { panic!("the fleet is on Redis") };
    let opened = async {
        eventually("all wait", async || origin.count() >= 1 && in_flight(&gates).await >= 30.0).await;
        // Whoever looks into a Redis that has just died comes late, and asks once more for its instance.
        eventually("all have looked into it", async || of_store(&gates, "lookup").await >= 31.0).await;
        all_know_who_leads(&gates).await;
        redis.kill();
        eventually("each instance asks for itself", async || origin.count() == 3).await;
        door.add_permits(30);
    };
    let (answers, ()) = futures_util::join!(ask_all(&gates, 30, "/a"), opened);
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.text() == "shared"), "{answers:?}");
    assert_eq!(origin.count(), 3, "still one for each instance");
}

#[tokio::test]
async fn without_redis_misses_are_still_coalesced_in_the_instance() {
    let door = Arc::new(Semaphore::new(0));
    let origin = behind(&door, || Reply::ok("shared")).await;
    let gates = gates(1, &origin, &Store::Redis(Redis::absent()), PATIENT).await;
    let opened = async {
        eventually("all wait", async || origin.count() >= 1 && in_flight(&gates).await >= 20.0).await;
        door.add_permits(20);
    };
    let (answers, ()) = futures_util::join!(ask_all(&gates, 20, "/a"), opened);
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(origin.count(), 1);
}

async fn the_leaders_client_leaves(size: usize) {
    let door = Arc::new(Semaphore::new(0));
    let origin = behind(&door, || Reply::ok("shared")).await;
    let (_store, gates) = fleet(size, &origin, PATIENT).await;
    // A client of its own: its connection closes with it.
    let leader = crate::support::web::client().get(format!("http://{}/a", gates[0].http));
    let mut leader = Box::pin(leader.header("Host", "one.example").send());
    let arrived = eventually("the leader is at the backend", async || origin.count() == 1);
    tokio::select! {
        _ = &mut leader => panic!("the door is closed"),
        () = arrived => {}
    }
    let opened = async {
        eventually("the others wait", async || in_flight(&gates).await >= 13.0).await;
        drop(leader);
        door.add_permits(13);
    };
    let (answers, ()) = futures_util::join!(ask_all(&gates, 12, "/a"), opened);
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.text() == "shared"));
    assert!(origin.count() <= 2, "{} requests", origin.count());
}

#[tokio::test]
async fn followers_are_served_when_the_leaders_client_leaves() {
    the_leaders_client_leaves(1).await;
}

#[tokio::test]
async fn followers_elsewhere_are_served_when_the_leaders_client_leaves() {
    the_leaders_client_leaves(2).await;
}

#[tokio::test]
async fn variants_do_not_wait_for_each_other() {
    let door = Arc::new(Semaphore::new(0));
    let waits = Arc::clone(&door);
    let origin = Origin::start(move |seen: &Seen| {
        let language = seen.header("accept-language");
        let reply = Reply::ok(language).header("Vary", "Accept-Language");
        if language == "slow" { reply.when(&waits) } else { reply }
    })
    .await;
    let (_store, gates) = fleet(2, &origin, PATIENT).await;
    let ask = |gate, language: &'static str| get(gate, "/a").header("Accept-Language", language).fetch();
    ask(&gates[0], "de").await;
    eventually("the other instance knows that there are variants", async || {
        ask(&gates[1], "de").await.cache() == "HIT"
    })
    .await;
    let others = async {
        eventually("one variant is under way", async || origin.count() >= 2).await;
        for (gate, language) in [(0, "en"), (1, "fr"), (1, "en")] {
            let answer = within(Duration::from_secs(5), language, ask(&gates[gate], language)).await;
            assert_eq!(answer.text(), language);
        }
        door.add_permits(2);
    };
    let (slow, slow_too, ()) = futures_util::join!(ask(&gates[0], "slow"), ask(&gates[1], "slow"), others);
    assert_eq!((slow.text().as_str(), slow_too.text().as_str()), ("slow", "slow"));
    assert_eq!(origin.count(), 4, "de, slow, en and fr once each");
}

#[tokio::test]
async fn head_and_get_share_a_flight() {
    let door = Arc::new(Semaphore::new(0));
    let origin = behind(&door, || Reply::ok("shared")).await;
    let gates = gates(1, &origin, &Store::Memory, PATIENT).await;
    let heads =
        join_all((0..5).map(|_| gates[0].request(Method::HEAD, "/a").header("Host", "one.example").fetch()));
    let opened = async {
        eventually("all wait", async || origin.count() >= 1 && in_flight(&gates).await >= 10.0).await;
        door.add_permits(10);
    };
    let (heads, gets, ()) = futures_util::join!(heads, ask_all(&gates, 5, "/a"), opened);
    assert!(heads.iter().all(|head| head.status == 200 && head.number("content-length") == 6));
    assert!(gets.iter().all(|answer| answer.text() == "shared"));
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn only_if_cached_neither_leads_nor_waits() {
    let door = Arc::new(Semaphore::new(0));
    let origin = behind(&door, || Reply::ok("shared")).await;
    let namespace = "{scope: public, ttl: 5m, client_directives: obey, coalesce_wait: 15s}";
    let gates = gates(1, &origin, &Store::Memory, namespace).await;
    let ask = || get(&gates[0], "/a").header("Cache-Control", "only-if-cached").fetch();
    assert_eq!(ask().await.status, 504);
    let meanwhile = async {
        eventually("another one leads", async || origin.count() == 1).await;
        assert_eq!(within(Duration::from_secs(5), "an answer at once", ask()).await.status, 504);
        door.add_permits(1);
    };
    let (leader, ()) = futures_util::join!(get(&gates[0], "/a").fetch(), meanwhile);
    assert_eq!((leader.status, ask().await.text().as_str()), (200, "shared"));
}

#[tokio::test]
async fn who_has_waited_long_enough_asks_one_at_a_time() {
    let door = Arc::new(Semaphore::new(0));
    let origin = behind(&door, || Reply::ok("late")).await;
    let namespace = "{scope: public, ttl: 5m, coalesce_wait: 5s}";
    let gates = gates(1, &origin, &Store::Memory, namespace).await;
    let opened = async {
        eventually("one more goes alone", async || origin.count() == 2).await;
        let timed_out = || gates[0].metric("tidegate_cache_flights_total", &[("result", "timed_out")]);
        eventually("it says why", async || timed_out().await > 0.5).await;
        assert_eq!(origin.count(), 2, "those behind it wait for it");
        door.add_permits(20);
    };
    let (answers, ()) = futures_util::join!(ask_all(&gates, 20, "/a"), opened);
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.text() == "late"));
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn an_entry_that_is_asked_for_is_refreshed_before_its_end_and_stays_a_hit() {
    let door = Arc::new(Semaphore::new(0));
    let origin = behind(&door, || Reply::ok("x")).await;
    let namespace = "{scope: public, ttl: 4s, stale_while_revalidate: 0s}";
    let gates = gates(1, &origin, &Store::Memory, namespace).await;
    let slowly = async {
        eventually("it is asked", async || origin.count() == 1).await;
        let asked = Instant::now();
        eventually("the backend took its time", async || asked.elapsed() > Duration::from_millis(800)).await;
        door.add_permits(10);
    };
    let (first, ()) = futures_util::join!(get(&gates[0], "/a").fetch(), slowly);
    assert_eq!(first.cache(), "MISS");
    eventually("it is asked again", async || {
        let answer = get(&gates[0], "/a").fetch().await;
        assert_eq!(answer.cache(), "HIT", "{answer:?}");
        assert!(answer.header("cache-status").starts_with("tidegate; hit; ttl="), "{answer:?}");
        assert!(!answer.header("cache-status").contains("ttl=-"), "{answer:?}");
        origin.count() == 2
    })
    .await;
}
