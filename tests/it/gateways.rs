//! System health: what the companion tells about real gates, of which one goes away and comes back.

use crate::support::{Fetch, Gate, Origin, Setup, eventually};
use std::sync::Arc;
use std::time::Duration;
use tidegate::base::{ManualClock, Tasks};
use tidegate::companion::gateways::{Gateways, HealthStatus, Instances, SystemHealth};

const LIMITED: &str = "limits: {default: {windows: {1h: 8}}}\nroutes: [{path: /}]";

/// So many requests, all of which are counted when this is done.
async fn serve(gate: &Gate, requests: u64) {
    let total = async || gate.ask("/api/v1/stats").fetch().await.json()["requests"]["total"].clone();
    let before = total().await.as_u64().expect("a number");
    for _ in 0..requests {
        gate.get("/").fetch().await;
    }
    eventually("all are counted", async || total().await == before + requests).await;
}

#[tokio::test]
async fn health_is_that_of_all_gates_and_says_so_when_some_or_all_are_gone() {
    let origin = Origin::counting().await;
    let setup = Setup::new(origin.address()).with(LIMITED);
    let (one, mut two) = (Gate::start(&setup).await, Gate::start(&setup).await);
    let (clock, tasks) = (Arc::new(ManualClock::at(1_000)), Tasks::new());
    let places = [one.admin.to_string(), two.admin.to_string()];
    let gateways = Gateways::new(&places, None, clock.clone(), tasks.clone());
    let next = async || -> SystemHealth {
        clock.advance(Duration::from_secs(10));
        gateways.health().await
    };

    serve(&one, 4).await;
    let first = next().await;
    assert_eq!((first.status, first.source), (HealthStatus::Ok, "proxy"));
    assert_eq!(first.instances, Instances { asked: 2, reachable: 2 });
    assert_eq!((first.rate_limited_ratio, first.cache_hit_rate), (Some(0.0), None));

    // Six more pass, of which four are the last that each of the two lets through, and four are refused.
    serve(&one, 6).await;
    serve(&two, 10).await;
    let second = next().await;
    assert_eq!(second.requests_per_second, Some(1.6), "16 within ten seconds");
    assert_eq!(second.rate_limited_ratio, Some(0.25), "4 of 16");
    let times = second.response_time_ms;
    assert!(times.p50.is_some_and(|half| half > 0.0) && times.p50 <= times.p99, "{times:?}");

    two.process.signal("KILL");
    two.process.exit().await;
    let third = next().await;
    assert_eq!(
        (third.status, third.instances),
        (HealthStatus::Degraded, Instances { asked: 2, reachable: 1 })
    );
    assert_eq!(third.requests_per_second, Some(0.3), "6 of the one that is left within twenty seconds");

    drop(one);
    let fourth = next().await;
    assert_eq!((fourth.status, fourth.source), (HealthStatus::Unknown, "none"));
    assert_eq!((fourth.uptime_seconds, fourth.requests_per_second), (None, None));
    tasks.drain(Duration::from_secs(2)).await;
}
