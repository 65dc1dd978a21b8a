//! Places of requests under way: in this process, and on a real Redis that is shared, damaged, hung and killed.

use crate::base::{Digest, Tasks};
use crate::limit::{LimitKey, Mode, OnStoreFailure, Per, Policy, Slot, Subject, Windows};
use crate::store::redis::{Connection, RedisSlots};
use crate::store::slots::{Held, LEASE, SlotRefusal, Slots, Standing};
use crate::store::testing::{Redis, eventually};
use crate::store::{Source, StoreFailure};
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

fn slot(name: &str, identity: u8, limit: u32) -> Slot {
    let key = LimitKey { identity: Digest([identity; 32]), policy: name.into() };
    let subject = Arc::new(Subject { per: Per::User, value: identity.to_string().into() });
    let policy = Policy { in_flight: Some(limit), ..Policy::new(name, Windows::none()) };
    Slot { policy: Arc::new(policy), key, subject, limit }
}

fn changed(slot: Slot, change: impl FnOnce(&mut Policy)) -> Slot {
    let mut policy = Policy::clone(&slot.policy);
    change(&mut policy);
    Slot { policy: Arc::new(policy), ..slot }
}

fn shadow(slot: Slot) -> Slot {
    changed(slot, |policy| policy.mode = Mode::Shadow)
}

fn failing(slot: Slot, rule: OnStoreFailure) -> Slot {
    changed(slot, |policy| policy.on_store_failure = rule)
}

async fn take(slots: &Slots, wanted: &[&Slot]) -> Result<Held, SlotRefusal> {
    let wanted: Vec<Slot> = wanted.iter().copied().cloned().collect();
    slots.acquire(&wanted, 1).await
}

/// Asks until it is given what `is_so`, at most ten seconds.
async fn until(slots: &Slots, wanted: &[&Slot], is_so: impl Fn(&Held) -> bool) -> Held {
    for _ in 0..1_000 {
        if let Some(held) = take(slots, wanted).await.ok().filter(&is_so) {
            return held;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never happened");
}

fn left(held: &Held) -> Vec<Option<u32>> {
    held.remaining().collect()
}

fn refused(outcome: Result<Held, SlotRefusal>) -> SlotRefusal {
    outcome.err().expect("no place is left")
}

fn full(slot: &Slot, source: Source) -> SlotRefusal {
    SlotRefusal::Full { policy: Arc::clone(&slot.policy), limit: slot.limit, source }
}

/// One instance on `server`, and what ends it.
async fn instance(server: &Redis, length: Duration) -> (Slots, Tasks) {
    over(server.connection().await, length)
}

fn over(connection: Connection, length: Duration) -> (Slots, Tasks) {
    let tasks = Tasks::new();
    (Slots::shared(RedisSlots::new(connection, "tg:", length), &tasks), tasks)
}

/// The set of `slot` in Redis.
fn set(slot: &Slot) -> String {
    format!("tg:if:{{{}}}:{}", slot.key.identity.short(), slot.key.policy)
}

/// Waits until nothing is held in Redis.
async fn all_free(server: &Redis, slot: &Slot) {
    eventually(|| server.cli(&["EXISTS", &set(slot)]) == "0").await;
}

async fn contract(slots: &Slots) {
    let (two, other) = (slot("two", 1, 2), slot("two", 2, 2));
    let first = take(slots, &[&two]).await.expect("a place");
    let second = take(slots, &[&two]).await.expect("a place");
    assert_eq!((left(&first), left(&second), first.source()), (vec![Some(1)], vec![Some(0)], Source::Store));
    assert_eq!(refused(take(slots, &[&two]).await), full(&two, Source::Store));
    assert!(take(slots, &[&other]).await.is_ok(), "another identity has places of its own");
    let watched = take(slots, &[&shadow(two.clone())]).await.expect("shadow never refuses");
    assert_eq!((left(&watched), slots.held(&two.key)), (vec![None], 2));
    assert_eq!(watched.shadow_refused().map(|policy| &*policy.name).collect::<Vec<_>>(), ["two"]);
    drop(watched);

    let (wide, more) = (slot("wide", 1, 9), shadow(slot("more", 1, 9)));
    assert_eq!(refused(take(slots, &[&wide, &more, &two]).await), full(&two, Source::Store));
    assert_eq!((slots.held(&wide.key), slots.held(&more.key)), (0, 0), "all or none");
    drop(second);
    let all = take(slots, &[&wide, &more, &two]).await.expect("one has gone");
    assert_eq!(left(&all), [Some(8), Some(8), Some(0)], "a refusal held nothing");
    drop((first, all));
    let none = slot("none", 1, 0);
    assert_eq!(refused(take(slots, &[&none]).await), full(&none, Source::Store));
    assert_eq!(left(&take(slots, &[]).await.expect("nothing is asked")), []);
    for slot in [&two, &other, &wide, &more] {
        assert_eq!(slots.held(&slot.key), 0);
    }
}

#[tokio::test]
async fn memory_gives_each_identity_its_places_all_or_none() {
    contract(&Slots::memory()).await;
}

#[tokio::test]
async fn redis_gives_each_identity_its_places_all_or_none() {
    let server = Redis::start().await;
    let (slots, _tasks) = instance(&server, LEASE).await;
    contract(&slots).await;
    eventually(|| server.cli(&["DBSIZE"]) == "0").await;
}

#[tokio::test]
async fn the_same_slot_twice_takes_two_places() {
    let server = Redis::start().await;
    for slots in [Slots::memory(), instance(&server, LEASE).await.0] {
        let three = slot("three", 1, 3);
        let held = take(&slots, &[&three, &three]).await.expect("two places");
        assert_eq!((left(&held), slots.held(&three.key)), (vec![Some(2), Some(1)], 2));
        assert_eq!(refused(take(&slots, &[&three, &three]).await), full(&three, Source::Store));
        assert_eq!(left(&take(&slots, &[&three]).await.expect("one is left")), [Some(0)]);
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// Asks for the policies of this bit set.
    Acquire(u8),
    /// Ends one of the requests.
    Release(prop::sample::Index),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let acquire = (0_u8..8).prop_map(Step::Acquire);
    let release = any::<prop::sample::Index>().prop_map(Step::Release);
    prop::collection::vec(prop_oneof![3 => acquire, 2 => release], 0..80)
}

proptest! {
    #[test]
    fn memory_counts_as_a_plain_counter_does(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (slots, mut counts) = (Slots::memory(), HashMap::<usize, u32>::new());
        let policies = [slot("a", 1, 1), slot("b", 1, 3), shadow(slot("c", 2, 2))];
        let mut under_way: Vec<(Held, Vec<usize>)> = Vec::new();
        for step in steps {
            match step {
                Step::Acquire(set) => {
                    let wanted: Vec<usize> = (0..3).filter(|bit| set & (1 << bit) != 0).collect();
                    let has_room = |index: &usize| counts.get(index).copied().unwrap_or(0) < policies[*index].limit;
                    let passes = wanted.iter().all(|index| *index == 2 || has_room(index));
                    let taken: Vec<usize> = wanted.iter().copied().filter(has_room).collect();
                    let asked: Vec<&Slot> = wanted.iter().map(|index| &policies[*index]).collect();
                    let outcome = runtime.block_on(take(&slots, &asked));
                    prop_assert_eq!(outcome.is_ok(), passes);
                    if let Ok(held) = outcome {
                        taken.iter().for_each(|index| *counts.entry(*index).or_default() += 1);
                        prop_assert_eq!(held.remaining().flatten().count(), taken.len());
                        under_way.push((held, taken));
                    }
                }
                Step::Release(which) if !under_way.is_empty() => {
                    let (held, taken) = under_way.swap_remove(which.index(under_way.len()));
                    drop(held);
                    taken.iter().for_each(|index| *counts.entry(*index).or_default() -= 1);
                }
                Step::Release(_) => {}
            }
            for (index, slot) in policies.iter().enumerate() {
                prop_assert_eq!(slots.held(&slot.key), counts.get(&index).copied().unwrap_or(0));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn four_instances_never_have_more_under_way_than_the_limit_and_all_places_come_back() {
    let server = Redis::start().await;
    let (under_way, highest) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let five = slot("fleet", 1, 5);
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let slots = Arc::new(instance(&server, LEASE).await.0);
        for _ in 0..8 {
            let (slots, five) = (Arc::clone(&slots), five.clone());
            let (under_way, highest) = (Arc::clone(&under_way), Arc::clone(&highest));
            clients.spawn(async move {
                let mut passed = 0_u32;
                for _ in 0..50 {
                    let Ok(held) = take(&slots, &[&five]).await else { continue };
                    assert_eq!(held.source(), Source::Store);
                    highest.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    under_way.fetch_sub(1, Ordering::SeqCst);
                    passed += 1;
                    drop(held);
                }
                passed
            });
        }
    }
    let passed: u32 = clients.join_all().await.into_iter().sum();
    assert_eq!(highest.load(Ordering::SeqCst), 5, "{passed} passed");
    assert!(passed < 4 * 8 * 50, "somebody was refused");
    all_free(&server, &five).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn places_of_a_dead_instance_are_free_when_its_leases_end() {
    let server = Redis::start().await;
    let (dead, tasks) = instance(&server, Duration::from_secs(1)).await;
    let (alive, _tasks) = instance(&server, Duration::from_secs(1)).await;
    let two = slot("dead", 1, 2);
    let lost = [take(&dead, &[&two]).await.expect("a place"), take(&dead, &[&two]).await.expect("a place")];
    assert_eq!(refused(take(&alive, &[&two]).await), full(&two, Source::Store));
    // It dies: nothing is renewed and nothing is given back.
    tasks.drain(Duration::from_secs(1)).await;
    lost.into_iter().for_each(std::mem::forget);
    all_free(&server, &two).await;
    assert_eq!(left(&take(&alive, &[&two]).await.expect("a place")), [Some(1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_request_keeps_its_place_beyond_its_first_lease() {
    let server = Redis::start().await;
    let (slots, _tasks) = instance(&server, Duration::from_secs(1)).await;
    let (other, _others) = instance(&server, Duration::from_secs(1)).await;
    let one = slot("long", 1, 1);
    let held = take(&slots, &[&one]).await.expect("a place");
    let end = |which: &str| {
        let text = server.cli(&["ZRANGE", &set(&one), "0", "-1", "WITHSCORES"]);
        text.lines().last().and_then(|score| score.parse::<u64>().ok()).expect(which)
    };
    let first = end("a lease");
    let now = || {
        let time = server.cli(&["TIME"]);
        time.lines().next().and_then(|seconds| seconds.parse::<u64>().ok()).expect("a time") * 1_000
    };
    eventually(|| now() > first + 1_000).await;
    assert!(end("still there") > now());
    assert_eq!(refused(take(&other, &[&one]).await), full(&one, Source::Store));
    drop(held);
    all_free(&server, &one).await;
    assert!(take(&other, &[&one]).await.is_ok());
}

#[tokio::test]
async fn a_renewal_brings_nothing_back_to_life() {
    let server = Redis::start().await;
    let redis = RedisSlots::new(server.connection().await, "tg:", LEASE);
    let gone = slot("gone", 1, 1).key;
    assert_eq!(redis.renew(&gone, &[7]).await, Ok::<u64, StoreFailure>(0));
    assert_eq!(server.cli(&["DBSIZE"]), "0");
}

#[tokio::test]
async fn a_forgotten_script_is_sent_again_and_a_foreign_value_replaced() {
    let server = Redis::start().await;
    let (slots, _tasks) = instance(&server, LEASE).await;
    let one = slot("flush", 1, 1);
    server.cli(&["SET", &set(&one), "not a set"]);
    let held = take(&slots, &[&one]).await.expect("a place");
    assert_eq!(held.source(), Source::Store);
    server.cli(&["SCRIPT", "FLUSH"]);
    drop(held);
    all_free(&server, &one).await;
    server.cli(&["SCRIPT", "FLUSH"]);
    assert_eq!(take(&slots, &[&one]).await.expect("a place").source(), Source::Store);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_lost_its_data_lets_no_instance_exceed_the_limit() {
    let server = Redis::start().await;
    let (slots, _tasks) = instance(&server, LEASE).await;
    let (slots, five) = (Arc::new(slots), slot("lost", 1, 5));
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(take(&slots, &[&five]).await.expect("a place"));
    }
    server.cli(&["FLUSHALL"]);
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (slots, five) = (Arc::clone(&slots), five.clone());
        clients.spawn(async move { take(&slots, &[&five]).await });
    }
    let late = clients.join_all().await;
    assert_eq!((late.iter().filter(|outcome| outcome.is_ok()).count(), slots.held(&five.key)), (2, 5));
    drop((held, late));
    eventually(|| slots.is_idle()).await;
    all_free(&server, &five).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_one_after_the_other_never_meets_himself() {
    let server = Redis::start().await;
    let (slots, _tasks) = instance(&server, LEASE).await;
    let one = slot("turns", 1, 1);
    for turn in 0..500 {
        assert!(take(&slots, &[&one]).await.is_ok(), "turn {turn}");
    }
    eventually(|| slots.is_idle()).await;
    all_free(&server, &one).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn places_that_end_while_redis_hangs_leave_it_when_it_goes_on() {
    let server = Redis::start().await;
    let hasty = server.connection_within(Duration::from_millis(200)).await;
    let (slots, _tasks) = over(hasty, Duration::from_secs(6));
    let (other, _others) = instance(&server, Duration::from_secs(6)).await;
    let one = slot("hung", 1, 1);
    let held = take(&slots, &[&one]).await.expect("a place");
    server.signal("STOP");
    for _ in 0..5 {
        drop(take(&slots, &[&slot("opens the breaker", 2, 9)]).await);
    }
    drop(held);
    assert!(!slots.is_idle(), "Redis does not know yet");
    server.signal("CONT");
    eventually(|| slots.is_idle()).await;
    assert!(take(&other, &[&one]).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_an_instance_goes_on_from_what_it_holds_within_its_share() {
    let mut server = Redis::start().await;
    let (slots, _tasks) = instance(&server, LEASE).await;
    let five = slot("killed", 1, 5);
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(take(&slots, &[&five]).await.expect("a place"));
    }
    server.kill();
    let third = slots.acquire(std::slice::from_ref(&five), 2).await.expect("half of five is three");
    assert_eq!((left(&third), third.source()), (vec![Some(0)], Source::Local));
    held.push(third);
    assert_eq!(refused(slots.acquire(std::slice::from_ref(&five), 2).await), full(&five, Source::Local));
    for _ in 0..2 {
        held.push(slots.acquire(std::slice::from_ref(&five), 1).await.expect("alone it has all five"));
    }
    assert_eq!(refused(take(&slots, &[&five]).await), full(&five, Source::Store), "it has them all");

    let free = failing(five.clone(), OnStoreFailure::Allow);
    held.push(take(&slots, &[&failing(slot("free", 1, 5), OnStoreFailure::Allow)]).await.expect("uncounted"));
    assert!(held[5].is_degraded() && held[5].places()[0].standing == Standing::Uncounted);
    let strict = failing(slot("strict", 1, 5), OnStoreFailure::Deny);
    let unavailable = SlotRefusal::Unavailable { policy: Arc::clone(&strict.policy) };
    let wide = slot("wide", 1, 5);
    assert_eq!(refused(take(&slots, &[&wide, &strict]).await), unavailable);
    assert_eq!(slots.held(&wide.key), 0, "all or none");
    assert!(take(&slots, &[&shadow(strict)]).await.expect("shadow never refuses").is_degraded());

    held.clear();
    assert_eq!((slots.held(&five.key), slots.held(&free.key)), (0, 0));
    server.restart().await;
    let again = until(&slots, &[&five], |held| held.source() == Source::Store).await;
    assert_eq!((again.source(), left(&again)), (Source::Store, vec![Some(4)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_of_a_hung_redis_in_vain_is_given_back() {
    let server = Redis::start().await;
    let (slots, _tasks) = instance(&server, LEASE).await;
    let (late, gone) = (slot("late", 1, 5), slot("gone", 2, 5));
    // The script is known, so that the calls below are executed once Redis goes on.
    drop(take(&slots, &[&late]).await.expect("a place"));
    all_free(&server, &late).await;
    server.signal("STOP");
    let held = take(&slots, &[&late]).await.expect("a place here");
    assert_eq!((held.source(), slots.held(&late.key)), (Source::Local, 1));
    let dropped = tokio::time::timeout(Duration::from_millis(50), take(&slots, &[&gone])).await;
    assert!(dropped.is_err(), "the client went away while Redis was asked");
    server.signal("CONT");
    let executed = || {
        let stats = server.cli(&["INFO", "commandstats"]);
        let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
        line.and_then(|rest| rest.split(',').next()?.parse::<u32>().ok()).unwrap_or(0)
    };
    eventually(|| executed() >= 6).await;
    all_free(&server, &late).await;
    all_free(&server, &gone).await;
    assert_eq!((slots.held(&late.key), slots.held(&gone.key)), (1, 0));
}
