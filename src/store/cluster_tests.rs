//! The limiter over a real Cluster and a real Sentinel set: shared, killed, hung, moved, flushed, cut in parts.

use crate::base::{Secret, SystemClock};
use crate::limit::{Charge, Mode};
use crate::store::contract_tests::all_scenarios;
use crate::store::memory_limits::MemoryLimits;
use crate::store::redis::{Connection, RedisLimits};
use crate::store::testing::cluster::Cluster;
use crate::store::testing::sentinel::Sentinel;
use crate::store::testing::wait::within;
use crate::store::testing::{
    Redis, Store, charge_of, connection, connection_within, eventually, limiter_over, surroundings,
};
use crate::store::{Admission, Limiter, Source};
use crate::telemetry::StoreName;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

/// What is promised, from the moment when the server's side is healthy.
const RECOVERY_MAX: Duration = Duration::from_secs(5);

/// For tests that count exactly: a call must not run into its time-out because the machine is busy.
const PATIENT: Duration = Duration::from_secs(1);

/// For servers that hang: some probes of so long must fail before another is looked for.
const HASTY: Duration = Duration::from_millis(500);

async fn up(url: &str, timeout: Duration) -> Connection {
    let connection = connection_within(url, timeout);
    eventually(|| connection.is_up()).await;
    connection
}

fn limiter(connection: Connection) -> Arc<Limiter> {
    let local = MemoryLimits::new(Arc::new(SystemClock::new()), 1 << 20);
    Arc::new(limiter_over(connection, local))
}

/// A charge whose log lies in a slot that primary `number` began with.
fn charge_at(cluster: &Cluster, number: usize, list: &[(u32, u32)]) -> Charge {
    let (first, last) = cluster.slots(number);
    let charges = (0..=u8::MAX).map(|identity| charge_of("c", identity, list, Mode::Enforce));
    let fits = |charge: &Charge| (first..=last).contains(&slot(cluster, charge));
    charges.into_iter().find(fits).expect("256 identities lie everywhere")
}

fn slot(cluster: &Cluster, charge: &Charge) -> u32 {
    cluster.slot_of(&charge.key.redis_key("tg:"))
}

fn is_by(admission: &Admission, by: Source) -> bool {
    matches!(admission, Admission::Admitted { source, .. } | Admission::Denied { source, .. } if *source == by)
}

/// Clients that go on asking until they are told to stop.
struct Load {
    goes_on: Arc<AtomicBool>,
    admitted: Arc<AtomicU32>,
    local: Arc<AtomicU32>,
    clients: JoinSet<()>,
}

impl Load {
    /// `clients` on each of `limiters`.
    fn of(limiters: &[Arc<Limiter>], clients: usize, charge: &Charge) -> Self {
        let mut load = Self {
            goes_on: Arc::new(AtomicBool::new(true)),
            admitted: Arc::default(),
            local: Arc::default(),
            clients: JoinSet::new(),
        };
        for limiter in limiters.iter().flat_map(|limiter| std::iter::repeat_n(limiter, clients)) {
            let (limiter, charge, goes_on) = (Arc::clone(limiter), charge.clone(), Arc::clone(&load.goes_on));
            let (admitted, local) = (Arc::clone(&load.admitted), Arc::clone(&load.local));
            load.clients.spawn(async move {
                while goes_on.load(Ordering::Relaxed) {
                    let admission = limiter.admit(std::slice::from_ref(&charge)).await;
                    local.fetch_add(u32::from(is_by(&admission, Source::Local)), Ordering::Relaxed);
                    let is_admitted = matches!(admission, Admission::Admitted { .. });
                    admitted.fetch_add(u32::from(is_admitted), Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            });
        }
        load
    }

    fn admitted(&self) -> u32 {
        self.admitted.load(Ordering::Relaxed)
    }

    /// How many decisions Redis has not made.
    fn local(&self) -> u32 {
        self.local.load(Ordering::Relaxed)
    }

    /// Ends it: how many were admitted, and how many decisions Redis has not made.
    async fn end(self) -> (u32, u32) {
        self.goes_on.store(false, Ordering::Relaxed);
        self.clients.join_all().await;
        (self.admitted.load(Ordering::Relaxed), self.local.load(Ordering::Relaxed))
    }
}

/// Redis decides again, and goes on doing so.
async fn decides_again(limiter: &Limiter, charge: &Charge) {
    let decides = async {
        while !is_by(&limiter.admit(std::slice::from_ref(charge)).await, Source::Store) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within(RECOVERY_MAX, "until Redis decides again", decides).await;
    eventually(|| limiter.is_connected()).await;
    for _ in 0..20 {
        assert!(is_by(&limiter.admit(std::slice::from_ref(charge)).await, Source::Store));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_keeps_the_acceptance_list() {
    let cluster = Cluster::start().await;
    let connection = up(&cluster.url(), PATIENT).await;
    assert!(connection.is_cluster());
    all_scenarios(&Store::Redis(RedisLimits::new(connection, "tg:"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn four_instances_on_a_cluster_admit_exactly_the_limit() {
    let cluster = Cluster::start().await;
    let mut limiters = Vec::new();
    for _ in 0..4 {
        limiters.push(limiter(up(&cluster.url(), PATIENT).await));
    }
    for number in 0..3 {
        let load = Load::of(&limiters, 2, &charge_at(&cluster, number, &[(60, 100), (3_600, 1_000)]));
        eventually(|| load.admitted() >= 100).await;
        cluster.ask_all(&["SCRIPT", "FLUSH"]);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(load.end().await, (100, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_primary_costs_the_others_nothing_and_its_replica_is_found() {
    let mut cluster = Cluster::start().await;
    let limiters = [limiter(up(&cluster.url(), PATIENT).await), limiter(up(&cluster.url(), PATIENT).await)];
    let healthy: Vec<Load> =
        [0, 1].map(|number| Load::of(&limiters, 2, &charge_at(&cluster, number, &[(3_600, 200)]))).into();
    let dead = charge_at(&cluster, 2, &[(3_600, 100_000)]);
    let fails = Load::of(&limiters, 2, &dead);
    eventually(|| fails.admitted() > 50).await;
    cluster.kill(2);
    eventually(|| fails.local() > 50).await;
    assert!(!limiters[0].is_connected(), "a part is away");
    cluster.failed_over(2).await;
    for limiter in &limiters {
        decides_again(limiter, &dead).await;
    }
    for load in healthy {
        assert_eq!(load.end().await, (200, 0), "exactly the limit, all of it decided by Redis");
    }
    fails.end().await;
    // What was dead comes back as a replica, and nobody is disturbed.
    cluster.restart(2);
    let load = Load::of(&limiters, 2, &charge_at(&cluster, 1, &[(3_600, 400)]));
    eventually(|| load.admitted() >= 200).await;
    assert_eq!(load.end().await, (200, 0), "200 more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_without_a_replica_takes_only_its_own_slots_away() {
    let mut cluster = Cluster::start_of(3, 0).await;
    let limiters = [limiter(up(&cluster.url(), PATIENT).await)];
    let dead = charge_at(&cluster, 2, &[(3_600, 100_000)]);
    cluster.kill(2);
    let load = Load::of(&limiters, 2, &charge_at(&cluster, 0, &[(3_600, 150)]));
    let fails = Load::of(&limiters, 2, &dead);
    // Well beyond the time after which the others call it dead.
    eventually(|| cluster.ask(0, &["CLUSTER", "NODES"]).contains(" master,fail ") || fails.local() > 5_000)
        .await;
    eventually(|| load.admitted() >= 150).await;
    assert_eq!(load.end().await, (150, 0));
    assert!(!limiters[0].is_connected());
    cluster.restart(2);
    decides_again(&limiters[0], &dead).await;
    fails.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_a_majority_is_away_until_it_is_whole_again() {
    let mut cluster = Cluster::start_of(3, 0).await;
    let limiter = limiter(up(&cluster.url(), HASTY).await);
    let charge = charge_at(&cluster, 0, &[(3_600, 100_000)]);
    cluster.kill(1);
    cluster.kill(2);
    let load = Load::of(&[Arc::clone(&limiter)], 2, &charge);
    eventually(|| load.local() > 100).await;
    cluster.restart(1);
    cluster.restart(2);
    eventually(|| {
        (0..3).all(|number| cluster.ask(number, &["CLUSTER", "INFO"]).contains("cluster_state:ok"))
    })
    .await;
    for number in 0..3 {
        decides_again(&limiter, &charge_at(&cluster, number, &[(3_600, 100_000)])).await;
    }
    load.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_primary_is_replaced_and_may_come_back() {
    let mut cluster = Cluster::start().await;
    let limiters = [limiter(up(&cluster.url(), PATIENT).await)];
    let hung = charge_at(&cluster, 1, &[(3_600, 100_000)]);
    let healthy = Load::of(&limiters, 2, &charge_at(&cluster, 0, &[(3_600, 200)]));
    let fails = Load::of(&limiters, 4, &hung);
    cluster.freeze(1);
    eventually(|| fails.local() > 20).await;
    cluster.failed_over(1).await;
    decides_again(&limiters[0], &hung).await;
    cluster.thaw(1);
    let before = fails.local();
    eventually(|| cluster.ask(1, &["ROLE"]).starts_with("slave")).await;
    decides_again(&limiters[0], &hung).await;
    assert_eq!(fails.end().await.1, before, "its return costs nothing");
    assert_eq!(healthy.end().await, (200, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_steps_down_costs_no_decision() {
    let cluster = Cluster::start().await;
    let limiters = [limiter(up(&cluster.url(), PATIENT).await), limiter(up(&cluster.url(), PATIENT).await)];
    let load = Load::of(&limiters, 2, &charge_at(&cluster, 0, &[(3_600, 400)]));
    eventually(|| load.admitted() > 50).await;
    assert_eq!(cluster.ask(3, &["CLUSTER", "FAILOVER"]), "OK");
    eventually(|| cluster.ask(0, &["ROLE"]).starts_with("slave")).await;
    eventually(|| load.admitted() >= 400).await;
    assert_eq!(load.end().await, (400, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_on_its_way_keeps_its_counts() {
    let cluster = Cluster::start().await;
    let limiters = [limiter(up(&cluster.url(), PATIENT).await), limiter(up(&cluster.url(), PATIENT).await)];
    let charge = charge_at(&cluster, 0, &[(3_600, 600)]);
    let moving = slot(&cluster, &charge);
    // A log that does not exist yet is begun at the node that takes over, which does not know the script.
    cluster.begin_to_move(moving, 0, 1);
    let load = Load::of(&limiters, 2, &charge);
    eventually(|| load.admitted() > 100).await;
    assert_eq!(cluster.ask(0, &["CLUSTER", "COUNTKEYSINSLOT", &moving.to_string()]), "0");
    cluster.end_move(moving, 0, 1);
    eventually(|| load.admitted() > 200).await;
    // And on, with a log.
    cluster.begin_to_move(moving, 1, 2);
    eventually(|| load.admitted() > 300).await;
    cluster.move_keys(moving, 1, 2);
    eventually(|| load.admitted() > 400).await;
    cluster.end_move(moving, 1, 2);
    eventually(|| load.admitted() >= 600).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(load.end().await, (600, 0));
    assert_eq!(cluster.owner(moving), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_which_some_have_moved_wait_for_the_others() {
    let cluster = Cluster::start().await;
    // Four processes are started while it waits.
    let limiter = limiter(up(&cluster.url(), 5 * PATIENT).await);
    let first = charge_at(&cluster, 0, &[(3_600, 600)]);
    let second = charge_of("d", first.key.identity.0[0], &[(3_600, 600)], Mode::Enforce);
    let (moving, both) = (slot(&cluster, &first), [first.clone(), second]);
    assert!(is_by(&limiter.admit(std::slice::from_ref(&first)).await, Source::Store));
    // One log stands at the old place, the other nowhere.
    cluster.begin_to_move(moving, 0, 1);
    let (asking, asked) = (Arc::clone(&limiter), both.clone());
    let mut client = JoinSet::new();
    client.spawn(async move { asking.admit(&asked).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    cluster.move_keys(moving, 0, 1);
    cluster.end_move(moving, 0, 1);
    let admission = client.join_next().await.expect("one client").expect("it ends");
    let Admission::Admitted { decisions, source: Source::Store } = admission else { panic!("{admission:?}") };
    let left: Vec<u32> = decisions.iter().map(|decision| decision.windows[0].remaining).collect();
    assert_eq!(left, [598, 599]);
    assert!(limiter.is_connected(), "nobody has failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_comes_later_is_found_and_one_seed_is_enough() {
    let mut cluster = Cluster::start().await;
    cluster.freeze(0);
    let seed = cluster.url().split('?').next().expect("a URL").to_owned();
    let limiter = limiter(connection(&seed));
    let charge = charge_at_any(1);
    assert!(is_by(&limiter.admit(std::slice::from_ref(&charge)).await, Source::Local));
    assert!(!limiter.is_connected());
    cluster.thaw(0);
    decides_again(&limiter, &charge).await;
}

fn charge_at_any(identity: u8) -> Charge {
    charge_of("any", identity, &[(3_600, 100_000)], Mode::Enforce)
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_lead_to_the_new_primary_after_a_death() {
    let mut set = Sentinel::start().await;
    let connection = up(&set.url(), HASTY).await;
    assert!(!connection.is_cluster());
    let limiter = limiter(connection);
    let charge = charge_at_any(1);
    let load = Load::of(&[Arc::clone(&limiter)], 4, &charge);
    eventually(|| load.admitted() > 50).await;
    assert_eq!(load.local(), 0);
    set.kill(0);
    set.failed_over(0).await;
    decides_again(&limiter, &charge).await;
    assert_eq!(load.clients.len(), 4, "nobody hangs");
    load.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_lead_to_the_new_primary_while_the_old_one_lives_or_hangs() {
    let mut set = Sentinel::start().await;
    let limiter = limiter(up(&set.url(), HASTY).await);
    let charge = charge_at_any(2);
    let load = Load::of(&[Arc::clone(&limiter)], 4, &charge);
    eventually(|| load.admitted() > 50).await;
    set.demote();
    set.failed_over(0).await;
    decides_again(&limiter, &charge).await;
    let second = set.primary().expect("a primary");
    set.signal(second, "STOP");
    eventually(|| set_has_another(&set, second)).await;
    decides_again(&limiter, &charge).await;
    set.signal(second, "CONT");
    eventually(|| set.ask(second, &["ROLE"]).starts_with("slave")).await;
    decides_again(&limiter, &charge).await;
    load.end().await;
}

fn set_has_another(set: &Sentinel, than: usize) -> bool {
    set.primary_but(than).is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_may_not_write_is_left_alone_until_it_may() {
    let set = Sentinel::start().await;
    let limiter = limiter(up(&set.url(), HASTY).await);
    let charge = charge_at_any(3);
    let load = Load::of(&[Arc::clone(&limiter)], 4, &charge);
    eventually(|| load.admitted() > 50).await;
    // It answers everything else, and a PING.
    assert_eq!(set.ask(0, &["CONFIG", "SET", "min-replicas-to-write", "9"]), "OK");
    eventually(|| load.local() > 50).await;
    assert!(!limiter.is_connected());
    assert_eq!(set.ask(0, &["CONFIG", "SET", "min-replicas-to-write", "0"]), "OK");
    decides_again(&limiter, &charge).await;
    load.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sentinel_that_hangs_does_not_stand_in_front_of_the_others() {
    let mut set = Sentinel::start().await;
    set.signal_sentinel(0, "STOP");
    let limiter = limiter(connection(&set.url()));
    eventually(|| limiter.is_connected()).await;
    set.signal_sentinel(0, "CONT");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_became_a_replica_is_left_until_it_is_a_primary_again() {
    let (server, other) = (Redis::start().await, Redis::start().await);
    let limiter = limiter(server.connection().await);
    let charge = charge_at_any(4);
    assert!(is_by(&limiter.admit(std::slice::from_ref(&charge)).await, Source::Store));
    server.cli(&["REPLICAOF", "127.0.0.1", &other.port.to_string()]);
    let load = Load::of(&[Arc::clone(&limiter)], 2, &charge);
    eventually(|| load.local() > 50).await;
    assert!(!limiter.is_connected());
    server.cli(&["REPLICAOF", "NO", "ONE"]);
    decides_again(&limiter, &charge).await;
    load.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_a_cluster_that_is_addressed_as_a_single_server_is_no_store() {
    let cluster = Cluster::start_of(3, 0).await;
    let url = cluster.url().replace("redis-cluster://", "redis://");
    let limiter = limiter(connection(url.split('?').next().expect("a URL")));
    eventually(|| limiter.is_connected()).await;
    let charge = charge_at(&cluster, 1, &[(60, 10)]);
    let told = limiter.peek(std::slice::from_ref(&charge)).await.expect_err("it lies elsewhere").to_string();
    assert!(told.contains("redis-cluster://"), "{told}");
}

#[test]
fn sentinels_without_the_name_of_a_primary_are_refused() {
    let around = surroundings(PATIENT);
    let url = Secret::new("redis-sentinel://:hunter2@127.0.0.1:1");
    let refused = Connection::open(StoreName::Redis, &url, around).err().expect("no name").to_string();
    assert!(refused.contains("sentinelServiceName") && !refused.contains("hunter2"), "{refused}");
}
