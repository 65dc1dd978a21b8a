//! Purges of several instances on one real Redis: seen by all, entered once, nothing comes back.

use crate::base::{Clock, SystemClock};
use crate::cache::{Label, Mode, Names, Purge, Standing, What, Whose};
use crate::store::purges::{Purges, Reach};
use crate::store::redis::{Event, Feed, RedisPurges};
use crate::store::testing::{Redis, eventually};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An instance's mirror; the feed tells it of purges if there is one.
async fn mirror(server: &Redis) -> Arc<Purges> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let ledger = RedisPurges::new(server.connection().await, "tg:");
    let purges = Arc::new(Purges::new(Some(ledger), clock));
    purges.read().await.expect("it answers");
    purges
}

async fn listening(server: &Redis) -> Arc<Purges> {
    let purges = mirror(server).await;
    let hears = Arc::clone(&purges);
    let feed = Feed::open(server.connection().await, move |event| {
        if let Event::Message(text) = event
            && let Some(purge) = text.strip_prefix("purge ")
        {
            assert!(hears.hear(purge), "nothing is missing in front of {purge}");
        }
    });
    eventually(|| feed.is_live()).await;
    purges
}

fn of_tenant(tenant: &str) -> Purge {
    let whose = Whose::Tenant(tenant.to_owned());
    Purge { mode: Mode::Hard, whose, namespace: None, what: What::All }
}

fn label(tenant: &str) -> (Label, Names) {
    let label = Label {
        tenant: Some(tenant.into()),
        namespace: "n".into(),
        origin: "http://api.example".to_owned(),
        target: "/a".to_owned(),
        tags: Vec::new(),
    };
    let names = label.names();
    (label, names)
}

fn standing(purges: &Purges, birth: u64, tenant: &str) -> Standing {
    let (label, names) = label(tenant);
    purges.with(|ledger| ledger.judge(birth, &label, &names))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_is_heard_by_the_others_at_once() {
    let server = Redis::start().await;
    let (one, other) = (listening(&server).await, listening(&server).await);
    let birth = other.birth();
    assert_eq!(one.purge(&[of_tenant("a"), of_tenant("b")]).await, Reach::Fleet);
    for tenant in ["a", "b"] {
        eventually(|| standing(&other, birth, tenant) == Standing::Gone).await;
        assert_eq!(standing(&one, birth, tenant), Standing::Gone);
    }
    assert_eq!(standing(&other, birth, "c"), Standing::Valid);
    eventually(|| other.birth() > birth).await;
    assert_eq!(standing(&other, other.birth(), "a"), Standing::Valid, "what is fetched from now on");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_feed_reading_finds_it_and_a_gap_in_the_feed_is_noticed() {
    let server = Redis::start().await;
    let (one, deaf) = (mirror(&server).await, mirror(&server).await);
    let birth = deaf.birth();
    one.purge(&[of_tenant("a")]).await;
    assert_eq!(standing(&deaf, birth, "a"), Standing::Valid);
    deaf.read().await.expect("it answers");
    assert_eq!(standing(&deaf, birth, "a"), Standing::Gone);

    let (before, at) = (deaf.birth() + 5_000, deaf.birth() + 6_000);
    let text = of_tenant("b").text();
    assert!(!deaf.hear(&format!("{before} {at} {text}")), "something came before it");
    assert_eq!(standing(&deaf, deaf.birth(), "b"), Standing::Gone, "it counts all the same");
    assert!(!deaf.hear("nonsense") && !deaf.hear("1 2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_starts_later_knows_what_was_purged_before() {
    let server = Redis::start().await;
    let one = mirror(&server).await;
    let birth = one.birth();
    // More than one page.
    let many: Vec<Purge> = (0..2_500).map(|n| of_tenant(&n.to_string())).collect();
    one.purge(&many).await;
    let late = mirror(&server).await;
    for tenant in ["0", "1234", "2499"] {
        assert_eq!(standing(&late, birth, tenant), Standing::Gone);
    }
    assert_eq!(standing(&late, birth, "other"), Standing::Valid);
    assert_eq!(late.with(crate::cache::Ledger::len), 2_500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_without_redis_counts_here_and_reaches_the_others_when_it_is_back() {
    let server = Redis::start().await;
    let (one, other) = (mirror(&server).await, mirror(&server).await);
    let birth = other.birth();
    server.signal("STOP");
    assert_eq!(one.purge(&[of_tenant("a")]).await, Reach::Local);
    assert_eq!(standing(&one, birth, "a"), Standing::Gone);
    assert_eq!(standing(&one, one.birth(), "a"), Standing::Valid, "what is fetched from now on");
    server.signal("CONT");
    eventually_read(&one).await;
    eventually_read(&other).await;
    assert_eq!(standing(&other, birth, "a"), Standing::Gone);
    assert_eq!(standing(&other, birth, "b"), Standing::Valid, "nothing was lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_was_lost_makes_everything_before_it_invalid() {
    let server = Redis::start().await;
    let (one, other) = (mirror(&server).await, mirror(&server).await);
    let birth = one.birth();
    server.cli(&["FLUSHALL"]);
    one.read().await.expect("it answers");
    other.read().await.expect("it answers");
    for mirror in [&one, &other] {
        assert_eq!(standing(mirror, birth, "a"), Standing::Gone);
        assert_eq!(standing(mirror, mirror.birth(), "a"), Standing::Valid);
    }
    server.cli(&["SET", "tg:g:{purges}:state", "no hash"]);
    server.cli(&["SET", "tg:g:{purges}:log", "no set"]);
    let birth = one.birth();
    one.read().await.expect("it is made anew");
    assert_eq!(standing(&one, birth, "a"), Standing::Gone);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_forgot_the_last_purges_is_noticed_by_whoever_knew_them() {
    let server = Redis::start().await;
    let one = mirror(&server).await;
    let state = server.cli(&["HGET", "tg:g:{purges}:state", "number"]);
    let birth = one.birth();
    one.purge(&[of_tenant("a")]).await;
    // As a replica that was promoted before it had heard of the purge.
    server.cli(&["HSET", "tg:g:{purges}:state", "number", &state]);
    server.cli(&["DEL", "tg:g:{purges}:log"]);
    one.read().await.expect("it answers");
    let late = mirror(&server).await;
    assert_eq!(standing(&late, birth, "a"), Standing::Gone);
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_purges_take_one_place_and_every_key_has_an_end() {
    let server = Redis::start().await;
    let one = mirror(&server).await;
    for _ in 0..20 {
        one.purge(&[of_tenant("a"), of_tenant("b")]).await;
    }
    assert_eq!(server.cli(&["ZCARD", "tg:g:{purges}:log"]), "2");
    for key in server.cli(&["KEYS", "*"]).lines() {
        assert_ne!(server.cli(&["PTTL", key]), "-1", "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "each is awaited below")]
async fn many_purges_at_once_are_all_entered() {
    let server = Redis::start().await;
    let (one, other) = (mirror(&server).await, mirror(&server).await);
    let birth = other.birth();
    let tasks: Vec<_> = (0..50)
        .map(|n| {
            let one = Arc::clone(&one);
            tokio::spawn(async move { one.purge(&[of_tenant(&n.to_string())]).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.expect("it ends"), Reach::Fleet);
    }
    other.read().await.expect("it answers");
    for n in 0..50 {
        assert_eq!(standing(&other, birth, &n.to_string()), Standing::Gone);
    }
}

#[expect(clippy::disallowed_methods, reason = "it measures its patience")]
async fn eventually_read(purges: &Purges) {
    let began = Instant::now();
    while purges.read().await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(10), "Redis does not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
