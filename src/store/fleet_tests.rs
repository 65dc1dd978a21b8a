//! Instances that share a Redis or a Cluster: exact together, each with its part of a limit while the store is away, and
//! what they admitted then is counted when it is back.

use crate::base::{SystemClock, Tasks};
use crate::limit::{Charge, Mode, Per, Subject};
use crate::store::memory_limits::MemoryLimits;
use crate::store::redis::{Connection, Roll};
use crate::store::testing::cluster::Cluster;
use crate::store::testing::{Redis, charge_of, connection_within, eventually, limiter_over};
use crate::store::{Admission, Limiter, Source};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

fn local() -> MemoryLimits {
    MemoryLimits::new(Arc::new(SystemClock::new()), 1 << 20)
}

fn is_admitted(admission: &Admission) -> bool {
    matches!(admission, Admission::Admitted { .. })
}

async fn admitted(limiter: &Limiter, charge: &Charge, times: u32) -> u32 {
    let mut admitted = 0;
    for _ in 0..times {
        admitted += u32::from(is_admitted(&limiter.admit(std::slice::from_ref(charge)).await));
    }
    admitted
}

async fn remaining(limiter: &Limiter, charge: &Charge) -> Option<u32> {
    let decisions = limiter.peek(std::slice::from_ref(charge)).await.ok()?;
    Some(decisions.first()?.windows.first()?.remaining)
}

/// Instances of a fleet on one server, each of which knows how many there are.
async fn fleet(server: &Redis, size: u32) -> (Vec<Limiter>, Tasks) {
    let (mut limiters, tasks) = (Vec::new(), Tasks::new());
    for _ in 0..size {
        let connection = server.connection().await;
        let roll = Roll::open(connection.clone(), "tg:", &tasks);
        limiters.push(limiter_over(connection, local()).with_roll(Some(roll)));
    }
    eventually(|| limiters.iter().all(|limiter| limiter.instances() == size)).await;
    (limiters, tasks)
}

/// 18, with `local`.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_store_each_instance_has_its_part_and_what_it_admits_is_counted_afterwards() {
    let mut server = Redis::start().await;
    let (limiters, _tasks) = fleet(&server, 2).await;
    let ten = charge_of("part", 18, &[(3_600, 10)], Mode::Enforce);
    assert_eq!(admitted(&limiters[0], &ten, 3).await, 3);
    server.kill();
    assert_eq!(admitted(&limiters[0], &ten, 20).await, 2, "five are its part, three it had admitted");
    assert_eq!(admitted(&limiters[1], &ten, 20).await, 5);
    server.restart().await;
    eventually(|| limiters.iter().all(Limiter::is_connected)).await;
    for limiter in &limiters {
        limiter.repay().await;
    }
    assert_eq!(remaining(&limiters[0], &ten).await, Some(3), "a Redis that forgot all knows the seven");
    assert_eq!(admitted(&limiters[1], &ten, 20).await, 3);
    for limiter in &limiters {
        limiter.repay().await;
    }
    assert_eq!(remaining(&limiters[0], &ten).await, Some(0), "nothing is told twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_charged_or_given_back_in_an_outage_is_counted_afterwards() {
    let mut server = Redis::start().await;
    let (limiters, _tasks) = fleet(&server, 1).await;
    let limiter = &limiters[0];
    let hundred = charge_of("after", 19, &[(3_600, 100)], Mode::Enforce);
    server.kill();
    eventually(|| !limiter.is_connected()).await;
    let Admission::Admitted { decisions, source } = limiter.admit(std::slice::from_ref(&hundred)).await
    else {
        panic!("it has room")
    };
    assert_eq!(source, Source::Local);
    limiter.give_back(&hundred, &decisions[0], source).await;
    assert_eq!(limiter.charge_afterwards(&Charge { cost: 40, ..hundred.clone() }).await, None);
    server.restart().await;
    eventually(|| limiter.is_connected()).await;
    limiter.repay().await;
    assert_eq!(remaining(limiter, &hundred).await, Some(60));
}

/// One round: every client of every instance asks twice, under both policies at once.
async fn round(limiters: &[Arc<Limiter>], charges: &[Charge]) -> usize {
    let mut clients = JoinSet::new();
    for limiter in limiters {
        for _ in 0..8 {
            let (limiter, charges) = (Arc::clone(limiter), charges.to_vec());
            clients.spawn(async move {
                let first = limiter.admit(&charges).await;
                let second = limiter.admit(&charges).await;
                usize::from(is_admitted(&first)) + usize::from(is_admitted(&second))
            });
        }
    }
    clients.join_all().await.into_iter().sum()
}

fn two_policies(number: u8, breadths: [Per; 2]) -> Vec<Charge> {
    let limits = [("narrow", 1, &[(60, 40), (3_600, 1_000)]), ("wide", 2, &[(60, 50), (86_400, 45)])];
    let charge = |((name, log, list), per): ((&str, u8, &[(u32, u32); 2]), Per)| Charge {
        subject: Arc::new(Subject { per, value: number.to_string().into() }),
        ..charge_of(&format!("{name}{number}"), log, list, Mode::Enforce)
    };
    limits.into_iter().zip(breadths).map(charge).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn four_instances_with_eight_clients_each_admit_exactly_the_limit_a_hundred_times() {
    let server = Redis::start().await;
    let mut limiters = Vec::new();
    for _ in 0..4 {
        let connection =
            connection_within(&format!("redis://127.0.0.1:{}", server.port), Duration::from_secs(1));
        eventually(|| connection.is_up()).await;
        limiters.push(Arc::new(limiter_over(connection, local())));
    }
    for number in 0..100 {
        let charges = two_policies(number, [Per::User, Per::Global]);
        assert_eq!(round(&limiters, &charges).await, 40, "round {number}");
        assert_eq!(remaining(&limiters[0], &charges[1]).await, Some(10), "round {number}");
    }
}

async fn on(cluster: &Cluster) -> Arc<Limiter> {
    let connection: Connection = connection_within(&cluster.url(), Duration::from_secs(1));
    eventually(|| connection.is_up()).await;
    Arc::new(limiter_over(connection, local()))
}

/// 25.
#[tokio::test(flavor = "multi_thread")]
async fn a_denial_in_one_slot_of_a_cluster_costs_nothing_in_another() {
    let cluster = Cluster::start().await;
    let limiter = on(&cluster).await;
    let of = |per, identity, limit| {
        let subject = Arc::new(Subject { per, value: "x".into() });
        Charge { subject, ..charge_of("p", identity, &[(3_600, limit)], Mode::Enforce) }
    };
    let charges = [of(Per::Global, 3, 100), of(Per::Ip, 2, 5), of(Per::User, 1, 50)];
    for _ in 0..5 {
        assert!(is_admitted(&limiter.admit(&charges).await));
    }
    for _ in 0..3 {
        let Admission::Denied { decisions, .. } = limiter.admit(&charges).await else {
            panic!("it is spent")
        };
        assert!(!decisions[1].admitted && decisions[0].admitted && decisions[2].admitted);
    }
    let left = limiter.peek(&charges).await.expect("it answers");
    let left: Vec<u32> = left.iter().map(|decision| decision.windows[0].remaining).collect();
    assert_eq!(left, [95, 0, 45]);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_cluster_refusals_are_undone_however_many_ask_at_once() {
    let cluster = Cluster::start().await;
    let mut limiters = Vec::new();
    for _ in 0..4 {
        limiters.push(on(&cluster).await);
    }
    for number in 0..20 {
        // The wide one refuses, after the narrow one has consumed.
        let mut charges = two_policies(number, [Per::Global, Per::User]);
        charges.reverse();
        let admitted = round(&limiters, &charges).await;
        assert!(admitted <= 40, "round {number}: {admitted}");
        // A unit that is about to be given back may have refused somebody: there is room for those now.
        let mut after = 0;
        while is_admitted(&limiters[0].admit(&charges).await) {
            after += 1;
        }
        assert_eq!(admitted + after, 40, "round {number}");
        let left = limiters[0].peek(&charges).await.expect("it answers");
        let left: Vec<u32> = left.iter().map(|decision| decision.windows[0].remaining).collect();
        assert_eq!(left, [10, 0], "round {number}: every refusal was undone");
    }
}
