//! The limiter over a real Redis that is shared, killed, hung, restarted, damaged or wrongly addressed.

use crate::limit::{Charge, Mode};
use crate::store::memory_limits::MemoryLimits;
use crate::store::redis::RedisLimits;
use crate::store::testing::{Redis, Store, charge_of, eventually};
use crate::store::{Admission, LimitStore, Limiter, Source};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn limiter(redis: RedisLimits) -> Limiter {
    let clock = Arc::new(crate::base::SystemClock::new());
    Limiter::new(LimitStore::Redis(redis), MemoryLimits::new(clock, 1 << 20))
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_11_four_instances_admit_exactly_the_limit() {
    let server = Redis::start().await;
    let hundred = Arc::new(charge_of("fleet", 11, &[(60, 100), (3_600, 1_000)], Mode::Enforce));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let instance = Arc::new(limiter(RedisLimits::new(server.connection().await, "tg:")));
        for _ in 0..2 {
            let (instance, hundred) = (Arc::clone(&instance), Arc::clone(&hundred));
            clients.spawn(async move {
                let mut admitted = 0_u32;
                for _ in 0..60 {
                    let admission = instance.admit(std::slice::from_ref(&hundred)).await;
                    assert!(!matches!(admission, Admission::Admitted { source: Source::Local, .. }));
                    admitted += u32::from(matches!(admission, Admission::Admitted { .. }));
                }
                admitted
            });
        }
    }
    assert_eq!(clients.join_all().await.into_iter().sum::<u32>(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_redis_costs_no_request_and_comes_back_by_itself() {
    let mut server = Redis::start().await;
    let limiter = limiter(RedisLimits::new(server.connection().await, "tg:"));
    let ten = [charge_of("dead", 18, &[(60, 10)], Mode::Enforce)];
    for _ in 0..4 {
        assert!(matches!(limiter.admit(&ten).await, Admission::Admitted { source: Source::Store, .. }));
    }
    server.kill();
    eventually(|| !limiter.is_connected()).await;
    let began = Instant::now();
    let mut admitted = 0;
    for _ in 0..20 {
        admitted +=
            u32::from(matches!(limiter.admit(&ten).await, Admission::Admitted { source: Source::Local, .. }));
    }
    assert_eq!(admitted, 6, "the fallback goes on from what was admitted before");
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    server.restart().await;
    eventually(|| limiter.is_connected()).await;
    let back = limiter.admit(&ten).await;
    assert!(
        matches!(back, Admission::Admitted { source: Source::Store, .. }),
        "the script is sent again: {back:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_redis_costs_the_time_out_until_the_breaker_opens() {
    let server = Redis::start().await;
    let limiter = limiter(RedisLimits::new(server.connection().await, "tg:"));
    let ten = [charge_of("hung", 19, &[(60, 1_000)], Mode::Enforce)];
    assert!(matches!(limiter.admit(&ten).await, Admission::Admitted { source: Source::Store, .. }));
    server.signal("STOP");
    for _ in 0..5 {
        assert!(matches!(limiter.admit(&ten).await, Admission::Admitted { source: Source::Local, .. }));
    }
    let began = Instant::now();
    for _ in 0..50 {
        assert!(matches!(limiter.admit(&ten).await, Admission::Admitted { source: Source::Local, .. }));
    }
    assert!(began.elapsed() < Duration::from_millis(100), "the breaker is open: {:?}", began.elapsed());
    server.signal("CONT");
    eventually(|| limiter.is_connected()).await;
    assert!(matches!(limiter.admit(&ten).await, Admission::Admitted { source: Source::Store, .. }));
}

#[tokio::test]
async fn a_damaged_or_foreign_value_never_opens_the_limit() {
    let server = Redis::start().await;
    let connection = server.connection().await;
    let store = Store::Redis(RedisLimits::new(connection.clone(), "tg:"));
    let two = charge_of("damaged", 20, &[(60, 2)], Mode::Enforce);
    let key = two.key.redis_key("tg:");
    for damage in
        [vec!["SET", "x"], vec!["LPUSH", "x"], vec!["SETRANGE", "3", "zzzzzzzzzz"], vec!["APPEND", "x"]]
    {
        let command: Vec<String> = [damage[0].to_owned(), key.clone()]
            .into_iter()
            .chain(damage[1..].iter().map(|s| (*s).to_owned()))
            .collect();
        let port = server.port.to_string();
        let done = std::process::Command::new("redis-cli").args(["-p", &port]).args(&command).output();
        assert!(done.expect("redis-cli runs").status.success());
        let mut admitted = 0;
        for at in 0..4 {
            admitted += u32::from(store.ask(at, &two).await.admitted);
        }
        assert!(admitted <= 2, "{damage:?}: {admitted}");
    }
}
