//! Overrides at run time, in memory and on a real Redis.

use crate::base::{ManualClock, SystemClock};
use crate::limit::{LimitKey, Override, Subject};
use crate::store::StoreFailure;
use crate::store::overrides::{LiveOverrides, NotSet};
use crate::store::redis::RedisOverrides;
use crate::store::testing::cluster::Cluster;
use crate::store::testing::{Redis, connection_within, eventually, windows};
use std::sync::Arc;
use std::time::Duration;

/// Few, so that a test can fill them.
const MAX: usize = 3;

fn named(name: &str) -> (Subject, LimitKey) {
    let subject = Subject::parse(&format!("user:{name}")).expect("an identity");
    let key = LimitKey { identity: subject.digest(), policy: "p".into() };
    (subject, key)
}

fn five() -> Override {
    Override::Windows(windows(&[(60, 5)]))
}

async fn instance(server: &Redis) -> LiveOverrides {
    let redis = RedisOverrides::new(server.connection().await, "tg:");
    let live = LiveOverrides::shared(redis, Arc::new(SystemClock::new()), MAX);
    assert!(!live.is_loaded());
    live.refresh().await.expect("it answers");
    live
}

fn version(server: &Redis) -> String {
    server.cli(&["GET", "tg:{ov}:version"])
}

#[tokio::test]
async fn memory_keeps_them_until_their_end() {
    let clock = Arc::new(ManualClock::at(1_000));
    let live = LiveOverrides::memory(Arc::clone(&clock) as _, MAX);
    let ((ada, key), (bob, other)) = (named("ada"), named("bob"));
    live.set(&ada, &key, five(), Some(Duration::from_secs(10))).await.expect("there is room");
    live.set(&bob, &other, Override::Unlimited, None).await.expect("there is room");
    clock.set(10_999);
    assert_eq!(live.current().get(&key), Some(&five()));
    let left = live.find(&key).expect("is there").ends_in;
    assert_eq!((left, live.list().len()), (Some(Duration::from_millis(1)), 2));
    clock.set(11_000);
    assert_eq!((live.current().get(&key), live.find(&key)), (None, None));
    assert_eq!(live.current().get(&other), Some(&Override::Unlimited));
    assert!(live.remove(&other).await.expect("memory") && !live.remove(&other).await.expect("memory"));
    assert!(live.current().is_empty() && live.list().is_empty());
}

#[tokio::test]
async fn memory_is_bounded_and_what_has_ended_makes_room() {
    let clock = Arc::new(ManualClock::at(0));
    let live = LiveOverrides::memory(Arc::clone(&clock) as _, MAX);
    for number in 0..MAX {
        let (subject, key) = named(&number.to_string());
        let ttl = (number == 1).then_some(Duration::from_secs(1));
        live.set(&subject, &key, Override::Unlimited, ttl).await.expect("there is room");
    }
    let (ada, key) = named("ada");
    assert_eq!(live.set(&ada, &key, five(), None).await, Err(NotSet::Full));
    let (known, other) = named("2");
    live.set(&known, &other, five(), None).await.expect("replaces one");
    clock.set(1_000);
    live.set(&ada, &key, five(), None).await.expect("one has ended");
}

#[tokio::test]
async fn instances_share_them_and_restarts_forget_nothing() {
    let server = Redis::start().await;
    let (one, two) = (instance(&server).await, instance(&server).await);
    let (ada, key) = named("ada");
    one.set(&ada, &key, five(), Some(Duration::from_secs(3_600))).await.expect("it answers");
    assert_eq!(one.current().get(&key), Some(&five()), "whoever sets it has it at once");
    assert!(two.current().is_empty());
    assert!(two.refresh().await.expect("it answers"));
    assert!(!two.refresh().await.expect("it answers"), "nothing has changed since");
    let seen = two.find(&key).expect("is there");
    assert_eq!((&seen.subject, &seen.value), (&ada, &five()));
    let left = seen.ends_in.expect("it ends");
    assert!(left > Duration::from_secs(3_590) && left <= Duration::from_secs(3_600), "{left:?}");
    assert_eq!(instance(&server).await.current().get(&key), Some(&five()), "a new instance reads it");

    assert!(two.remove(&key).await.expect("it answers"));
    assert!(!two.remove(&key).await.expect("it answers"));
    one.refresh().await.expect("it answers");
    assert!(one.current().is_empty());
}

#[tokio::test]
async fn one_that_has_ended_applies_to_nobody_and_leaves_redis() {
    let server = Redis::start().await;
    let live = instance(&server).await;
    let ((ada, key), (bob, other)) = (named("ada"), named("bob"));
    live.set(&ada, &key, five(), Some(Duration::from_millis(60))).await.expect("it answers");
    eventually(|| live.current().is_empty()).await;
    assert!(instance(&server).await.current().is_empty(), "nor on an instance that reads it now");
    assert_eq!(server.cli(&["HLEN", "tg:{ov}"]), "1");
    live.set(&bob, &other, five(), None).await.expect("it answers");
    assert_eq!(server.cli(&["HKEYS", "tg:{ov}"]), format!("{}:p", other.identity.short()));
}

#[tokio::test]
async fn the_keys_have_a_life_that_running_instances_renew() {
    let server = Redis::start().await;
    let live = instance(&server).await;
    let (ada, key) = named("ada");
    let (day, ttl) = (86_400, Duration::from_secs(40 * 86_400));
    live.set(&ada, &key, five(), Some(ttl)).await.expect("it answers");
    let seconds = |key| server.cli(&["TTL", key]).parse::<u64>().expect("a number");
    for key in ["tg:{ov}", "tg:{ov}:version"] {
        assert!(seconds(key) > 70 * day && seconds(key) <= 71 * day, "31 days behind the last end");
        assert_eq!(server.cli(&["EXPIRE", key, "100"]), "1");
    }
    assert!(!live.refresh().await.expect("it answers"));
    assert!(seconds("tg:{ov}") > 70 * day && seconds("tg:{ov}:version") > 70 * day);
}

#[tokio::test]
async fn every_change_has_a_new_version_and_is_told() {
    let server = Redis::start().await;
    let live = instance(&server).await;
    let (ada, key) = named("ada");
    let mut seen = vec![version(&server)];
    for _ in 0..20 {
        live.set(&ada, &key, five(), None).await.expect("it answers");
        seen.push(version(&server));
    }
    live.remove(&key).await.expect("it answers");
    seen.push(version(&server));
    let count = seen.len();
    seen.dedup();
    assert_eq!(seen.len(), count);
    assert!(seen.iter().skip(1).zip(seen.iter().skip(2)).all(|(before, after)| before < after), "{seen:?}");
    assert!(server.cli(&["INFO", "commandstats"]).contains("cmdstat_publish:calls=21,"));
}

#[tokio::test]
async fn a_full_hash_takes_no_more() {
    let server = Redis::start().await;
    let redis = RedisOverrides::new(server.connection().await, "tg:");
    let ((ada, key), (bob, other)) = (named("ada"), named("bob"));
    let short = Some(Duration::from_millis(1));
    assert!(redis.set((&key, &ada), &five(), short, 1).await.expect("it answers"));
    while !redis.load("").await.expect("it answers").expect("has changed").list.is_empty() {}
    assert!(redis.set((&other, &bob), &five(), None, 1).await.expect("it answers"), "the first has ended");
    assert!(!redis.set((&key, &ada), &five(), None, 1).await.expect("it answers"));
    assert!(redis.set((&other, &bob), &Override::Unlimited, None, 1).await.expect("it answers"));
}

#[tokio::test]
async fn while_redis_is_away_the_last_known_ones_stay_and_none_is_set() {
    let mut server = Redis::start().await;
    let live = instance(&server).await;
    let (ada, key) = named("ada");
    live.set(&ada, &key, five(), None).await.expect("it answers");
    server.kill();
    let refused = live.set(&ada, &key, Override::Unlimited, None).await.expect_err("nobody answers");
    assert!(matches!(refused, NotSet::Store(_)), "{refused:?}");
    eventually(|| live.current().get(&key) == Some(&five())).await;
    for _ in 0..20 {
        drop(live.refresh().await);
    }
    assert_eq!(live.refresh().await, Err(StoreFailure::Away));
    assert_eq!(live.current().get(&key), Some(&five()));
    server.restart().await;
    for _ in 0..2_000 {
        if live.refresh().await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(live.current().is_empty(), "what Redis has lost is lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_cluster_that_is_away_keeps_no_override_from_the_instances() {
    let mut cluster = Cluster::start_of(3, 0).await;
    let mut instances = Vec::new();
    for _ in 0..2 {
        let connection = connection_within(&cluster.url(), Duration::from_secs(1));
        eventually(|| connection.is_up()).await;
        let live = LiveOverrides::shared(
            RedisOverrides::new(connection.clone(), "tg:"),
            Arc::new(SystemClock::new()),
            MAX,
        );
        live.refresh().await.expect("it answers");
        instances.push((live, connection));
    }
    let own = cluster.slot_of("tg:{ov}");
    let other = (0..3).find(|number| {
        let (first, last) = cluster.slots(*number);
        !(first..=last).contains(&own)
    });
    cluster.kill(other.expect("two of three"));
    let ((one, connection), (two, _)) = (&instances[0], &instances[1]);
    let ((ada, key), (bob, later)) = (named("ada"), named("bob"));
    eventually(|| !connection.is_up()).await;
    one.set(&ada, &key, five(), None).await.expect("its part answers");
    assert_eq!(one.current().get(&key), Some(&five()));
    two.refresh().await.expect("its part answers");
    two.set(&bob, &later, Override::Unlimited, None).await.expect("its part answers");
    assert_eq!(two.current().len(), 2);
}
