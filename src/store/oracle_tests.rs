//! Random scripts against a sorted list of stamps, the simplest limiter there is, and the two stores against each other.

#![expect(clippy::cast_possible_truncation, reason = "small numbers")]

use crate::limit::{Charge, Decision, Mode, Window, WindowState};
use crate::store::redis::limits::Operation;
use crate::store::testing::{Redis, Store, T0, charge_of};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::sync::atomic::{AtomicU32, Ordering};

/// Every stamp that was ever consumed and not refunded, and the newest ever: time never runs back behind it.
#[derive(Default)]
struct Oracle {
    stamps: Vec<u64>,
    newest: u64,
}

impl Oracle {
    fn judge(&self, now: u64, windows: &[Window], cost: u32) -> Decision {
        let now = now.max(self.newest);
        let (mut admitted, mut retry_ms) = (true, Some(0));
        let mut states = Vec::new();
        for window in windows {
            let counted: Vec<u64> =
                self.stamps.iter().copied().filter(|at| now - at < u64::from(window.length_ms)).collect();
            let used = counted.len() as u32;
            let leaves = |at: u64| (at + u64::from(window.length_ms) - now) as u32;
            if used + cost > window.limit {
                admitted = false;
                let wait = (cost <= window.limit).then(|| {
                    counted.get((used + cost - window.limit) as usize - 1).map_or(0, |at| leaves(*at))
                });
                retry_ms = retry_ms.zip(wait).map(|(a, b)| a.max(b));
            }
            let reset_ms = counted.first().map_or(0, |at| leaves(*at));
            states.push(WindowState { remaining: window.limit.saturating_sub(used), reset_ms });
        }
        Decision { admitted, retry_ms, stamp_ms: now, windows: states }
    }

    fn consume(&mut self, now: u64, windows: &[Window], cost: u32) -> Decision {
        self.newest = now.max(self.newest);
        self.stamps.extend(std::iter::repeat_n(self.newest, cost as usize));
        Decision { admitted: true, retry_ms: Some(0), ..self.judge(now, windows, 0) }
    }

    /// Returns how many there were.
    fn refund(&mut self, stamp: Option<u64>, cost: u32) -> u32 {
        let mut given = 0;
        for _ in 0..cost {
            let is_meant = |at: &u64| stamp.is_none_or(|stamp| *at == stamp);
            let Some(at) = self.stamps.iter().rposition(is_meant) else { break };
            self.stamps.remove(at);
            given += 1;
        }
        given
    }

    /// Units younger than `length_ms`.
    fn younger(&self, now: u64, length_ms: u64) -> u32 {
        let now = now.max(self.newest);
        self.stamps.iter().filter(|at| now - **at < length_ms).count() as u32
    }
}

#[derive(Debug, Clone)]
enum Act {
    Consume(u32),
    /// Judged at its cost, consumed never.
    Peek(u32),
    Force(u32),
    /// Some earlier consumption, and how many units of it; more than there were, at times.
    Refund(usize, u32),
    RefundNewest(u32),
    Reset,
    Windows(Vec<(u32, u32)>),
}

#[derive(Debug, Clone)]
struct Step {
    /// Milliseconds that pass before it; negative when the clock steps back.
    pass: i64,
    act: Act,
}

fn pass() -> impl Strategy<Value = i64> {
    prop_oneof![6 => Just(0_i64), 8 => 1_i64..900, 2 => 900_i64..40_000, 1 => -3_000_i64..0]
}

/// Lists with the longest window `longest_s`, and one to three more.
fn lists(longest_s: impl Strategy<Value = u32>) -> impl Strategy<Value = Vec<(u32, u32)>> {
    let shorter = prop::collection::btree_map(1_u32..5, 0_u32..9, 0..3);
    (shorter, longest_s, 1_u32..40)
        .prop_map(|(shorter, longest_s, limit)| shorter.into_iter().chain([(longest_s, limit)]).collect())
}

fn steps(longest_s: impl Strategy<Value = u32> + 'static) -> impl Strategy<Value = Vec<Step>> {
    let act = prop_oneof![
        12 => prop_oneof![4 => Just(1_u32), 1 => Just(0_u32), 1 => Just(50_u32), 2 => 2_u32..7].prop_map(Act::Consume),
        2 => prop_oneof![4 => Just(1_u32), 1 => 0_u32..50].prop_map(Act::Peek),
        1 => (1_u32..12).prop_map(Act::Force),
        2 => (any::<usize>(), 1_u32..7).prop_map(|(which, units)| Act::Refund(which, units)),
        1 => (0_u32..9).prop_map(Act::RefundNewest),
        1 => Just(Act::Reset),
        1 => lists(longest_s).prop_map(Act::Windows),
    ];
    prop::collection::vec((pass(), act).prop_map(|(pass, act)| Step { pass, act }), 1..150)
}

/// A log that no other case has used.
fn fresh(list: &[(u32, u32)]) -> Charge {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    charge_of(&format!("case{}", NEXT.fetch_add(1, Ordering::Relaxed)), 1, list, Mode::Enforce)
}

/// The same log at other windows.
fn with(charge: &Charge, list: &[(u32, u32)]) -> Charge {
    let name = charge.key.policy.to_string();
    charge_of(&name, 1, list, Mode::Enforce)
}

/// One store that follows a script.
struct Run<'s> {
    store: &'s Store,
    charge: Charge,
    now: u64,
    /// Stamps of what was consumed.
    consumed: Vec<u64>,
}

/// What a store was asked in one step, and what it answered.
struct Asked {
    charge: Charge,
    operation: Operation,
    decision: Decision,
    given: u32,
}

impl<'s> Run<'s> {
    fn new(store: &'s Store, charge: Charge) -> Self {
        Self { store, charge, now: 10_000_000, consumed: Vec::new() }
    }

    /// Does one step; `None` when there is nothing to ask.
    async fn step(&mut self, step: &Step) -> Option<Asked> {
        self.now = self.now.saturating_add_signed(step.pass);
        let of = |cost: u32| Charge { cost, ..self.charge.clone() };
        let (charge, operation) = match &step.act {
            Act::Consume(cost) => (of(*cost), Operation::Consume),
            Act::Peek(cost) => (Charge { consumes: false, ..of(*cost) }, Operation::Consume),
            // What is forced counts, also what otherwise is only judged.
            Act::Force(cost) => (Charge { consumes: cost % 2 == 0, ..of(*cost) }, Operation::Force),
            Act::Refund(which, units) => {
                let stamp_ms = *self.consumed.get(which % self.consumed.len().max(1))?;
                (of(*units), Operation::Refund { stamp_ms: Some(stamp_ms) })
            }
            Act::RefundNewest(units) => (of(*units), Operation::Refund { stamp_ms: None }),
            Act::Reset => {
                self.store.reset(&self.charge.key).await;
                return None;
            }
            Act::Windows(list) => {
                self.charge = with(&self.charge, list);
                return None;
            }
        };
        let (decision, given) = if let Operation::Refund { stamp_ms } = operation {
            self.store.refund(self.now, &charge, stamp_ms).await
        } else {
            (self.store.run(self.now, std::slice::from_ref(&charge), operation).await.remove(0), 0)
        };
        let consumes = operation == Operation::Force || operation == Operation::Consume && charge.consumes;
        if consumes && decision.admitted {
            self.consumed.push(decision.stamp_ms);
        }
        Some(Asked { charge, operation, decision, given })
    }
}

/// Runs a script on a store and on the oracle; they must agree on everything after each step.
async fn agrees(store: &Store, script: &[Step]) -> Result<(), TestCaseError> {
    let mut run = Run::new(store, fresh(&[(1, 3), (5, 8), (30, 20)]));
    let mut oracle = Oracle::default();
    for (number, step) in script.iter().enumerate() {
        let asked = run.step(step).await;
        if matches!(step.act, Act::Reset) {
            oracle = Oracle::default();
        }
        let Some(Asked { charge, operation, decision, given }) = asked else { continue };
        let (at, list) = (T0 + run.now, charge.windows.as_slice());
        let want = match operation {
            Operation::Force => oracle.consume(at, list, charge.cost),
            Operation::Refund { stamp_ms } => {
                // What counts nowhere may be forgotten; the oracle forgets nothing.
                let counted = oracle.younger(at, 30_000);
                let is_young = |stamp| at.max(oracle.newest).saturating_sub(stamp) < 30_000;
                let is_sure = stamp_ms.is_some_and(is_young);
                let most = oracle.refund(stamp_ms, charge.cost);
                let least = match stamp_ms {
                    Some(_) => {
                        if is_sure {
                            most
                        } else {
                            0
                        }
                    }
                    None => counted.min(charge.cost),
                };
                prop_assert!((least..=most).contains(&given), "step {number}: {given} of {least} to {most}");
                oracle.judge(at, list, 0)
            }
            Operation::Consume => {
                let judged = oracle.judge(at, list, charge.cost);
                let consumes = judged.admitted && charge.consumes && charge.cost > 0;
                if consumes { oracle.consume(at, list, charge.cost) } else { judged }
            }
        };
        prop_assert_eq!(&decision, &want, "step {}: {:?} at {}", number, step, run.now);
        // What was overwritten long ago cannot be refunded.
        run.consumed.retain(|stamp| at.saturating_sub(*stamp) < 30_000);
    }
    Ok(())
}

/// Both stores on one script: equal in everything, also where history was lost to shorter windows.
async fn agree_with_each_other(memory: &Store, redis: &Store, script: &[Step]) -> Result<(), TestCaseError> {
    let charge = fresh(&[(1, 3), (20, 12)]);
    let (mut one, mut other) = (Run::new(memory, charge.clone()), Run::new(redis, charge));
    for (number, step) in script.iter().enumerate() {
        let (one, other) = (one.step(step).await, other.step(step).await);
        let told = |asked: Option<Asked>| asked.map(|asked| (asked.decision, asked.given));
        prop_assert_eq!(told(one), told(other), "step {}: {:?}", number, step);
    }
    Ok(())
}

/// What each of three charges costs and whether it is consumed, after some milliseconds.
type Several = (i64, [(u32, bool); 3]);

/// Three policies in one call, one of them shadowed, against three oracles.
async fn several_agree(store: &Store, script: &[Several]) -> Result<(), TestCaseError> {
    let shadow = {
        let name = fresh(&[(3, 4)]).key.policy.to_string();
        charge_of(&name, 2, &[(3, 4)], Mode::Shadow)
    };
    let charges = [fresh(&[(2, 5), (30, 30)]), shadow, fresh(&[(1, 3), (10, 12)])];
    let mut oracles: [Oracle; 3] = Default::default();
    let mut now = 10_000_000_u64;
    for (pass, costs) in script {
        now = now.saturating_add_signed(*pass);
        let asked: Vec<Charge> = charges
            .iter()
            .zip(costs)
            .map(|(charge, (cost, consumes))| Charge { cost: *cost, consumes: *consumes, ..charge.clone() })
            .collect();
        let got = store.run(now, &asked, Operation::Consume).await;
        let judged: Vec<Decision> = asked
            .iter()
            .zip(&oracles)
            .map(|(charge, oracle)| oracle.judge(T0 + now, charge.windows.as_slice(), charge.cost))
            .collect();
        let is_denied = !judged[0].admitted || !judged[2].admitted;
        for (index, judged) in judged.into_iter().enumerate() {
            let charge = &asked[index];
            let want = if !is_denied && judged.admitted && charge.consumes && charge.cost > 0 {
                oracles[index].consume(T0 + now, charge.windows.as_slice(), charge.cost)
            } else {
                judged
            };
            prop_assert_eq!(&got[index], &want, "charge {} at {}", index, now);
        }
    }
    Ok(())
}

/// Replays what was admitted: in no stretch of a window's length is more than its limit.
async fn never_exceeds(store: &Store, script: &[(i64, u32)]) -> Result<(), TestCaseError> {
    let charge = fresh(&[(1, 3), (4, 7), (30, 25)]);
    let (mut now, mut stamps) = (10_000_000_u64, Vec::new());
    for (pass, cost) in script {
        now = now.saturating_add_signed(*pass);
        let decision = store.ask(now, &Charge { cost: *cost, ..charge.clone() }).await;
        if decision.admitted {
            stamps.extend(std::iter::repeat_n(decision.stamp_ms, *cost as usize));
        }
    }
    for window in charge.windows.as_slice() {
        for (last, end) in stamps.iter().enumerate() {
            let inside = stamps[..=last].iter().filter(|at| end - *at < u64::from(window.length_ms)).count();
            prop_assert!(inside <= window.limit as usize, "{inside} within {window:?} up to {end}");
        }
    }
    Ok(())
}

/// Runs `test` on `cases` values, all on one runtime.
fn check<S: Strategy>(
    cases: u32,
    strategy: &S,
    runtime: &tokio::runtime::Runtime,
    test: impl AsyncFn(S::Value) -> Result<(), TestCaseError>,
) {
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(strategy, |value| runtime.block_on(test(value)));
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

fn all_properties(store: &Store, runtime: &tokio::runtime::Runtime, cases: u32) {
    check(cases, &steps(Just(30)), runtime, async |script| agrees(store, &script).await);
    let costs = prop_oneof![4 => Just(1_u32), 1 => Just(0_u32), 1 => 2_u32..6];
    let charge = || (costs.clone(), prop::bool::weighted(0.8));
    let several = prop::collection::vec((pass(), [charge(), charge(), charge()]), 1..80);
    check(cases, &several, runtime, async |script| several_agree(store, &script).await);
    let one = prop::collection::vec((pass(), costs), 1..120);
    check(cases, &one, runtime, async |script| never_exceeds(store, &script).await);
}

#[test]
fn memory_agrees_with_the_oracle_on_every_step() {
    all_properties(&Store::memory(), &runtime(), 256);
}

#[test]
fn redis_agrees_with_the_oracle_on_every_step() {
    let runtime = runtime();
    let server = runtime.block_on(Redis::start());
    let store = runtime.block_on(Store::redis(&server));
    all_properties(&store, &runtime, 48);
}

#[test]
fn both_stores_forget_the_same_when_windows_grow_and_shrink() {
    let runtime = runtime();
    let server = runtime.block_on(Redis::start());
    let (memory, redis) = (Store::memory(), runtime.block_on(Store::redis(&server)));
    let scripts = steps(prop_oneof![Just(20_u32), Just(40), Just(300), Just(10)]);
    check(64, &scripts, &runtime, async |script| agree_with_each_other(&memory, &redis, &script).await);
}

/// A burst that grows the ring, then months of a few requests an hour: growth, shrinking and rebased offsets.
#[test]
fn both_stores_agree_over_months_and_through_a_burst() {
    let runtime = runtime();
    let server = runtime.block_on(Redis::start());
    let (memory, redis) = (Store::memory(), runtime.block_on(Store::redis(&server)));
    let charge = fresh(&[(3_600, 2_000), (31 * 86_400, 3_000)]);
    runtime.block_on(async {
        let same = async |at: u64, cost: u32| {
            let asked = Charge { cost, ..charge.clone() };
            let one = memory.ask(at, &asked).await;
            assert_eq!(one, redis.ask(at, &asked).await, "at {at}");
        };
        for at in 0..1_500 {
            same(at, 1).await;
        }
        same(2_000, 400).await;
        for step in 1..2_500_u64 {
            same(step * 3_600_000, 1 + (step % 3) as u32).await;
        }
    });
}
