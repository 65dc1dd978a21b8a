//! Flights: who leads, who waits, what they are told; in one process, and of several on one Redis.

use crate::base::{Clock, Digest, SystemClock, Tasks};
use crate::cache::Variant;
use crate::store::flight::Flight;
use crate::store::flights::{FlightKey, Flights, Joined, LEASE};
use crate::store::redis::{Connection, Event, Feed, RedisLeases};
use crate::store::testing::{Redis, eventually};
use crate::store::written::Written;
use crate::telemetry::Metrics;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

const LONG: Duration = Duration::from_secs(15);

fn key(number: u8) -> FlightKey {
    FlightKey::new(&Digest([number; 32]), Variant::SINGLE)
}

/// One instance's flights.
struct Instance {
    flights: Arc<Flights>,
    tasks: Tasks,
}

impl Instance {
    fn over(leases: Option<RedisLeases>) -> Self {
        let (clock, tasks) = (Arc::new(SystemClock::new()) as Arc<dyn Clock>, Tasks::new());
        let metrics = Arc::new(Metrics::new(0).expect("valid"));
        Self { flights: Arc::new(Flights::new(leases, clock, metrics, tasks.clone())), tasks }
    }

    fn alone() -> Self {
        Self::over(None)
    }

    /// On a Redis whose feed it hears.
    async fn on(server: &Redis) -> Self {
        let connection = server.connection().await;
        let instance = Self::deaf(connection.clone());
        let (flights, is_live) = (Arc::clone(&instance.flights), Arc::new(AtomicBool::new(false)));
        let live = Arc::clone(&is_live);
        drop(Feed::open(connection, move |event| match event {
            Event::Live => {
                flights.hears_others(true);
                live.store(true, Ordering::SeqCst);
            }
            Event::Lost => flights.hears_others(false),
            Event::Message(text) => {
                if let Some(("flight", flight)) = text.split_once(' ') {
                    flights.hear(flight);
                }
            }
        }));
        eventually(|| is_live.load(Ordering::SeqCst)).await;
        instance
    }

    /// On a Redis, without its feed.
    fn deaf(connection: Connection) -> Self {
        Self::over(Some(RedisLeases::new(connection, "tg:", LEASE)))
    }

    async fn join(&self, number: u8, wait: Duration) -> Joined {
        let patience = self.flights.patience(wait);
        self.flights.join(&key(number), &patience).await
    }

    async fn lead(&self, number: u8) -> Flight {
        match self.join(number, LONG).await {
            Joined::Go(flight) if flight.is_shared() && !flight.is_impatient() => flight,
            other => panic!("somebody else leads: {other:?}"),
        }
    }

    /// Requests that join; gives what they came to.
    fn crowd(&self, number: u8, size: usize, wait: Duration) -> JoinSet<Joined> {
        let mut crowd = JoinSet::new();
        for _ in 0..size {
            let flights = Arc::clone(&self.flights);
            let patience = flights.patience(wait);
            crowd.spawn(async move { flights.join(&key(number), &patience).await });
        }
        crowd
    }
}

/// Lets what was spawned come as far as it can without time passing.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

fn looks_again(joined: &[Joined]) -> usize {
    joined.iter().filter(|joined| matches!(joined, Joined::LookAgain)).count()
}

fn go_apart(joined: &[Joined]) -> usize {
    joined.iter().filter(|joined| matches!(joined, Joined::Go(flight) if !flight.is_shared())).count()
}

#[tokio::test]
async fn all_others_look_again_once_the_answer_is_stored() {
    let instance = Instance::alone();
    let leader = instance.lead(1).await;
    let crowd = instance.crowd(1, 20, LONG);
    settle().await;
    leader.stored(Written::at_once());
    assert_eq!(looks_again(&crowd.join_all().await), 20);
    assert!(instance.flights.is_empty(), "nothing is left behind");
}

#[tokio::test]
async fn keys_and_variants_do_not_wait_for_each_other() {
    let instance = Instance::alone();
    let _one = instance.lead(1).await;
    let _other = instance.lead(2).await;
    let variant = Variant::from_bytes([7; 32]);
    let of_variant = FlightKey::new(&Digest([1; 32]), variant);
    let joined = instance.flights.join(&of_variant, &instance.flights.patience(LONG)).await;
    assert!(matches!(joined, Joined::Go(flight) if flight.is_shared()));
}

#[tokio::test]
async fn a_leader_that_is_gone_is_followed_by_one_other() {
    let instance = Instance::alone();
    let leader = instance.lead(1).await;
    let mut crowd = instance.crowd(1, 5, LONG);
    settle().await;
    drop(leader);
    let Some(Ok(Joined::Go(second))) = crowd.join_next().await else { panic!("one leads") };
    settle().await;
    assert!(crowd.try_join_next().is_none(), "the others wait for it");
    second.stored(Written::at_once());
    assert_eq!(looks_again(&crowd.join_all().await), 4);
}

#[tokio::test]
async fn after_an_answer_that_may_not_be_stored_nobody_queues() {
    let instance = Instance::alone();
    let leader = instance.lead(1).await;
    let crowd = instance.crowd(1, 10, LONG);
    settle().await;
    leader.uncacheable();
    assert_eq!(go_apart(&crowd.join_all().await), 10);
    assert_eq!(go_apart(&instance.crowd(1, 10, LONG).join_all().await), 10);
    let Joined::Go(flight) = instance.join(1, LONG).await else { panic!("it goes") };
    flight.stored(Written::at_once());
    drop(instance.lead(1).await);
}

#[tokio::test]
async fn an_error_lets_those_go_who_wait_but_not_those_who_come() {
    let instance = Instance::alone();
    let leader = instance.lead(1).await;
    let crowd = instance.crowd(1, 10, LONG);
    settle().await;
    leader.unstored();
    assert_eq!(go_apart(&crowd.join_all().await), 10);
    drop(instance.lead(1).await);
}

#[tokio::test]
async fn whoever_waited_long_enough_goes_one_at_a_time() {
    let instance = Instance::alone();
    let leader = instance.lead(1).await;
    let mut crowd = instance.crowd(1, 5, Duration::from_millis(300));
    let Some(Ok(Joined::Go(lone))) = crowd.join_next().await else { panic!("one goes alone") };
    assert!(lone.is_impatient());
    lone.stored(Written::at_once());
    assert_eq!(looks_again(&crowd.join_all().await), 4, "its answer serves the others");
    leader.stored(Written::at_once());
    assert!(instance.flights.is_empty());
}

#[tokio::test]
async fn nobody_waits_longer_than_twice() {
    let instance = Instance::alone();
    let _leader = instance.lead(1).await;
    let began = Instant::now();
    let joined = instance.crowd(1, 5, Duration::from_millis(200)).join_all().await;
    assert!(joined.iter().all(|joined| matches!(joined, Joined::Go(_))));
    assert_eq!(go_apart(&joined), 4);
    assert!(began.elapsed() >= Duration::from_millis(400));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_three_instances_one_leads_and_all_others_are_told() {
    let server = Redis::start().await;
    let instances = [Instance::on(&server).await, Instance::on(&server).await, Instance::on(&server).await];
    let leader = instances[0].lead(1).await;
    let mut crowds = vec![instances[0].crowd(1, 10, LONG)];
    for instance in instances.iter().skip(1) {
        // Without the mark of the one before: each must have asked for the lease before it ends.
        let holder = server.cli(&["GET", &lease_of(1)]);
        server.cli(&["SET", &lease_of(1), holder.trim_end_matches('!'), "KEEPTTL"]);
        crowds.push(instance.crowd(1, 10, LONG));
        eventually(|| server.cli(&["GET", &lease_of(1)]).ends_with('!')).await;
    }
    let began = Instant::now();
    let (writing, written) = Written::pending();
    leader.stored(written);
    let mut crowds = crowds.into_iter();
    let own = crowds.next().expect("three").join_all().await;
    assert_eq!(looks_again(&own), 10, "memory has it");
    assert_eq!(server.cli(&["EXISTS", &lease_of(1)]), "1", "Redis has not");
    drop(writing);
    for crowd in crowds {
        assert_eq!(looks_again(&crowd.join_all().await), 10);
    }
    assert!(began.elapsed() < LEASE, "told, not looked for: {:?}", began.elapsed());
    eventually(|| instances.iter().all(|instance| instance.flights.is_empty())).await;
    eventually(|| instances[0].tasks.is_empty()).await;
    assert_eq!(server.cli(&["EXISTS", &lease_of(1)]), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_stored_is_told_to_the_fleet() {
    let server = Redis::start().await;
    let instances = [Instance::on(&server).await, Instance::on(&server).await];
    let leader = instances[0].lead(1).await;
    let crowd = instances[1].crowd(1, 10, LONG);
    eventually(|| server.cli(&["GET", &lease_of(1)]).ends_with('!')).await;
    leader.uncacheable();
    assert_eq!(go_apart(&crowd.join_all().await), 10);
    assert_eq!(go_apart(&instances[1].crowd(1, 10, LONG).join_all().await), 10, "and remembered there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_elsewhere_that_fails_is_followed_at_once() {
    let server = Redis::start().await;
    let instances = [Instance::on(&server).await, Instance::on(&server).await];
    let leader = instances[0].lead(1).await;
    let mut crowd = instances[1].crowd(1, 3, LONG);
    eventually(|| server.cli(&["GET", &lease_of(1)]).ends_with('!')).await;
    let began = Instant::now();
    drop(leader);
    let Some(Ok(Joined::Go(next))) = crowd.join_next().await else { panic!("one leads") };
    assert!(began.elapsed() < Duration::from_millis(1_500), "{:?}", began.elapsed());
    next.stored(Written::at_once());
    assert_eq!(looks_again(&crowd.join_all().await), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_lives_while_its_holder_does_and_no_longer() {
    let server = Redis::start().await;
    let (leading, other) = (Instance::on(&server).await, Instance::on(&server).await);
    let leader = leading.lead(1).await;
    let began = Instant::now();
    eventually(|| began.elapsed() > LEASE + Duration::from_millis(500)).await;
    assert_eq!(server.cli(&["EXISTS", &lease_of(1)]), "1", "it is renewed");
    // As an instance that is killed leaves it: nobody renews it, nobody tells.
    leading.tasks.drain(Duration::ZERO).await;
    let began = Instant::now();
    server.cli(&["SET", &lease_of(1), &"f".repeat(32), "PX", "1000"]);
    let next = other.lead(1).await;
    let took = began.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_secs(3)).contains(&took), "{took:?}");
    assert!(server.cli(&["EXISTS", &lease_of(1)]) == "1");
    drop((leader, next));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_feed_the_lease_is_looked_at() {
    let server = Redis::start().await;
    let (leading, other) =
        (Instance::deaf(server.connection().await), Instance::deaf(server.connection().await));
    let leader = leading.lead(1).await;
    let waiting = other.crowd(1, 1, LONG);
    eventually(|| server.cli(&["GET", &lease_of(1)]).ends_with('!')).await;
    let began = Instant::now();
    leader.stored(Written::at_once());
    let joined = waiting.join_all().await;
    assert!(matches!(&joined[..], [Joined::Go(flight)] if flight.is_shared()), "it looks again by itself");
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_dies_leaves_each_instance_to_itself() {
    let mut server = Redis::start().await;
    let (leading, other) = (Instance::on(&server).await, Instance::on(&server).await);
    let leader = leading.lead(1).await;
    let mut waiting = other.crowd(1, 5, LONG);
    eventually(|| server.cli(&["GET", &lease_of(1)]).ends_with('!')).await;
    let began = Instant::now();
    server.kill();
    let Some(Ok(Joined::Go(flight))) = waiting.join_next().await else { panic!("one goes") };
    assert!(began.elapsed() < Duration::from_millis(1_500), "{:?}", began.elapsed());
    flight.stored(Written::at_once());
    assert_eq!(looks_again(&waiting.join_all().await), 4);
    drop(leader);
    let began = Instant::now();
    drop(other.lead(2).await);
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "a time-out of a second at most: {:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_lies_under_a_lease_costs_no_answer() {
    let server = Redis::start().await;
    let instance = Instance::on(&server).await;
    server.cli(&["RPUSH", &lease_of(1), "x"]);
    drop(instance.lead(1).await);
    server.cli(&["SET", &lease_of(2), "without an end"]);
    drop(instance.lead(2).await);
    eventually(|| instance.tasks.is_empty()).await;
    assert_eq!(server.cli(&["DBSIZE"]), "0");
}

fn lease_of(number: u8) -> String {
    format!("tg:l:{{{}}}:-", Digest([number; 32]).short())
}
