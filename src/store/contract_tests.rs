//! The same questions to the embedded store and to Redis, and a sorted list as the oracle of both.
//!
//! Scenario numbers are those of the acceptance list in `docs/limits.md`.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cognitive_complexity,
    reason = "small numbers; a scenario reads as one piece"
)]

use crate::base::{Digest, ManualClock};
use crate::limit::{
    Charge, Decision, FieldStyle, LimitKey, Mode, OnStoreFailure, Per, Policy, Window, WindowState, Windows,
};
use crate::store::memory_limits::MemoryLimits;
use crate::store::redis::RedisLimits;
use crate::store::redis::limits::Operation;
use crate::store::testing::{Redis, eventually};
use crate::store::{Admission, LimitStore, Limiter, Source};
use std::sync::Arc;
use std::time::Duration;

const T0: u64 = 1_700_000_000_000;

/// Either store, with a clock that stands where the test puts it.
enum Store {
    Memory(MemoryLimits, Arc<ManualClock>),
    Redis(RedisLimits),
}

impl Store {
    fn memory() -> Self {
        let clock = Arc::new(ManualClock::at(T0));
        Self::Memory(MemoryLimits::new(Arc::clone(&clock) as _, 64 << 20), clock)
    }

    async fn redis(server: &Redis) -> Self {
        Self::Redis(RedisLimits::new(server.connection().await, "tg:"))
    }

    async fn run(&self, at_ms: u64, charges: &[Charge], operation: Operation) -> Vec<Decision> {
        match self {
            Self::Redis(redis) => {
                redis.decide_at_ms(T0 + at_ms, charges, operation).await.expect("it answers")
            }
            Self::Memory(memory, clock) => {
                clock.set(T0 + at_ms);
                match operation {
                    Operation::Consume => memory.decide(charges),
                    Operation::Force => memory.force(charges),
                    Operation::Refund { stamp_ms } => {
                        memory.refund(&charges[0], stamp_ms);
                        memory.decide(&[Charge { cost: 0, ..charges[0].clone() }])
                    }
                }
            }
        }
    }

    async fn ask(&self, at_ms: u64, charge: &Charge) -> Decision {
        self.run(at_ms, std::slice::from_ref(charge), Operation::Consume).await.remove(0)
    }
}

fn charge_of(name: &str, identity: u8, list: &[(u32, u32)], mode: Mode) -> Charge {
    let list = list.iter().map(|(seconds, limit)| Window { length_ms: seconds * 1_000, limit: *limit });
    let windows = Windows::new(list.collect()).expect("valid");
    let policy = Policy {
        name: name.into(),
        per: vec![Per::Ip],
        windows: windows.clone(),
        tiers: std::collections::BTreeMap::new(),
        cost: 1,
        mode,
        on_store_failure: OnStoreFailure::Local,
        fields: FieldStyle::Both,
        status: 429,
    };
    let key = LimitKey { identity: Digest([identity; 32]), policy: name.into() };
    Charge { policy: Arc::new(policy), key, windows, cost: 1 }
}

fn charge(list: &[(u32, u32)]) -> Charge {
    charge_of("p", 1, list, Mode::Enforce)
}

fn remaining(decision: &Decision) -> Vec<u32> {
    decision.windows.iter().map(|state| state.remaining).collect()
}

fn resets(decision: &Decision) -> Vec<u32> {
    decision.windows.iter().map(|state| state.reset_ms).collect()
}

const DAY: &[(u32, u32)] = &[(60, 60), (3_600, 1_000), (86_400, 10_000)];

async fn scenarios_1_and_2(store: &Store) {
    let day = charge(DAY);
    let first = store.ask(0, &day).await;
    assert!(first.admitted);
    assert_eq!(remaining(&first), [59, 999, 9_999]);
    assert_eq!(resets(&first), [60_000, 3_600_000, 86_400_000]);
    for _ in 0..59 {
        assert!(store.ask(0, &day).await.admitted);
    }
    let spent = store.ask(0, &day).await;
    assert_eq!((spent.admitted, spent.retry_ms), (false, Some(60_000)));
    assert_eq!(remaining(&spent), [0, 940, 9_940], "a denial costs nothing in the other windows");
}

async fn scenarios_3_to_6(store: &Store) {
    let three = charge_of("edge", 3, &[(10, 3)], Mode::Enforce);
    for (at, left, reset) in [(0, 2, 10_000), (3_000, 1, 7_000), (6_000, 0, 4_000)] {
        let decision = store.ask(at, &three).await;
        assert_eq!((remaining(&decision), resets(&decision)), (vec![left], vec![reset]));
    }
    assert_eq!(store.ask(9_999, &three).await.retry_ms, Some(1));
    let edge = store.ask(10_000, &three).await;
    assert_eq!((edge.admitted, remaining(&edge), resets(&edge)), (true, vec![0], vec![3_000]));

    let burst = charge_of("burst", 4, &[(60, 10)], Mode::Enforce);
    for at in 59_000..59_010 {
        assert!(store.ask(at, &burst).await.admitted);
    }
    assert_eq!(store.ask(60_000, &burst).await.retry_ms, Some(59_000), "a fixed window would admit");
    assert!(!store.ask(90_000, &burst).await.admitted, "a weighted counter would admit");
    assert_eq!(store.ask(118_999, &burst).await.retry_ms, Some(1));
    assert!(store.ask(119_000, &burst).await.admitted);

    let hammered = charge_of("hammer", 6, &[(60, 10)], Mode::Enforce);
    for _ in 0..10 {
        assert!(store.ask(0, &hammered).await.admitted);
    }
    for step in 0..100 {
        assert!(!store.ask(1_000 + step * 580, &hammered).await.admitted);
    }
    let mut admitted = 0;
    for _ in 0..11 {
        admitted += u32::from(store.ask(60_000, &hammered).await.admitted);
    }
    assert_eq!(admitted, 10, "hammering does not extend the ban");
}

async fn scenarios_7_to_10(store: &Store) {
    let two = charge_of("two", 7, &[(1, 2), (10, 3)], Mode::Enforce);
    let steps: [(u64, bool, u32, &[u32]); 9] = [
        (0, true, 0, &[1, 2]),
        (100, true, 0, &[0, 1]),
        (200, false, 800, &[0, 1]),
        (1_000, true, 0, &[0, 0]),
        (1_500, false, 8_500, &[1, 0]),
        (2_500, false, 7_500, &[2, 0]),
        (10_000, true, 0, &[1, 0]),
        (10_050, false, 50, &[1, 0]),
        (10_100, true, 0, &[0, 0]),
    ];
    for (at, admitted, retry_ms, left) in steps {
        let decision = store.ask(at, &two).await;
        assert_eq!(
            (decision.admitted, decision.retry_ms, remaining(&decision)),
            (admitted, Some(retry_ms), left.to_vec()),
            "at {at}"
        );
    }

    let ten = charge_of("cost", 8, &[(60, 10)], Mode::Enforce);
    let of = |cost: u32| Charge { cost, ..ten.clone() };
    assert_eq!(store.ask(0, &of(11)).await.retry_ms, None, "a cost above the limit never passes");
    assert_eq!(remaining(&store.ask(0, &of(7)).await), [3]);
    let too_much = store.ask(1_000, &of(5)).await;
    assert_eq!((too_much.retry_ms, remaining(&too_much)), (Some(59_000), vec![3]));
    assert_eq!(remaining(&store.ask(2_000, &of(3)).await), [0]);
    assert_eq!(store.ask(3_000, &of(1)).await.retry_ms, Some(57_000));

    let longest = charge_of("longest", 10, &[(10, 5), (60, 6)], Mode::Enforce);
    for _ in 0..5 {
        assert!(store.ask(0, &longest).await.admitted);
    }
    assert_eq!(remaining(&store.ask(10_000, &longest).await), [4, 0]);
    assert_eq!(store.ask(10_500, &longest).await.retry_ms, Some(49_500));
}

async fn scenario_12_a_clock_that_steps_back(store: &Store) {
    let three = charge_of("back", 12, &[(10, 3)], Mode::Enforce);
    for at in [5_000, 4_800, 4_900] {
        assert!(store.ask(at, &three).await.admitted);
    }
    assert_eq!(store.ask(4_950, &three).await.retry_ms, Some(10_000));
    assert_eq!(remaining(&store.ask(15_000, &three).await), [2]);
}

async fn scenario_13_all_or_nothing(store: &Store) {
    let endpoint = charge_of("endpoint", 13, &[(60, 10), (3_600, 100)], Mode::Enforce);
    let default = charge_of("default", 13, DAY, Mode::Enforce);
    let watched = charge_of("watched", 13, &[(60, 3)], Mode::Shadow);
    let all = [endpoint, default.clone(), watched.clone()];
    for _ in 0..10 {
        let decisions = store.run(0, &all, Operation::Consume).await;
        assert!(decisions[0].admitted && decisions[1].admitted);
    }
    for _ in 0..2 {
        let decisions = store.run(0, &all, Operation::Consume).await;
        assert!(!decisions[0].admitted && decisions[1].admitted);
        assert_eq!(remaining(&decisions[1]), [50, 990, 9_990]);
    }
    let look = Charge { cost: 0, ..watched };
    assert_eq!(remaining(&store.ask(0, &look).await), [0], "three passed, the would-be denials cost nothing");
    let look = Charge { cost: 0, ..default };
    assert_eq!(remaining(&store.ask(0, &look).await), [50, 990, 9_990]);
}

async fn scenarios_15_and_16_limits_changed_live(store: &Store) {
    let ten = charge_of("raised", 15, &[(60, 10)], Mode::Enforce);
    for _ in 0..10 {
        assert!(store.ask(0, &ten).await.admitted);
    }
    assert_eq!(store.ask(10_000, &ten).await.retry_ms, Some(50_000));
    let twenty = charge_of("raised", 15, &[(60, 20)], Mode::Enforce);
    assert_eq!(remaining(&store.ask(10_000, &twenty).await), [9]);

    let twenty = charge_of("lowered", 16, &[(60, 20)], Mode::Enforce);
    for at in 0..10 {
        assert!(store.ask(at * 1_000, &twenty).await.admitted);
    }
    let five = charge_of("lowered", 16, &[(60, 5)], Mode::Enforce);
    let lowered = store.ask(10_000, &five).await;
    assert_eq!(
        (lowered.retry_ms, remaining(&lowered), resets(&lowered)),
        (Some(55_000), vec![0], vec![50_000])
    );
    let with_hour = charge_of("lowered", 16, &[(10, 5), (60, 20)], Mode::Enforce);
    assert_eq!(remaining(&store.ask(10_000, &with_hour).await), [0, 10], "a new window knows the history");
}

async fn all_scenarios(store: &Store) {
    scenarios_1_and_2(store).await;
    scenarios_3_to_6(store).await;
    scenarios_7_to_10(store).await;
    scenario_12_a_clock_that_steps_back(store).await;
    scenario_13_all_or_nothing(store).await;
    scenarios_15_and_16_limits_changed_live(store).await;
}

#[tokio::test]
async fn memory_keeps_the_acceptance_list() {
    all_scenarios(&Store::memory()).await;
}

#[tokio::test]
async fn redis_keeps_the_acceptance_list() {
    let server = Redis::start().await;
    all_scenarios(&Store::redis(&server).await).await;
}

/// The simplest limiter there is: a list of stamps.
#[derive(Default)]
struct Oracle(Vec<u64>);

impl Oracle {
    fn judge(&self, now: u64, windows: &[Window], cost: u32) -> Decision {
        let now = self.0.last().map_or(now, |last| now.max(*last));
        let (mut admitted, mut retry_ms) = (true, Some(0));
        let mut states = Vec::new();
        for window in windows {
            let counted: Vec<u64> =
                self.0.iter().copied().filter(|at| now - at < u64::from(window.length_ms)).collect();
            let used = u32::try_from(counted.len()).expect("small");
            let leaves = |at: u64| u32::try_from(at + u64::from(window.length_ms) - now).expect("small");
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
        let now = self.0.last().map_or(now, |last| now.max(*last));
        self.0.extend(std::iter::repeat_n(now, cost as usize));
        Decision { admitted: true, retry_ms: Some(0), ..self.judge(now, windows, 0) }
    }

    fn refund(&mut self, stamp: u64, cost: u32) {
        for _ in 0..cost {
            if let Some(at) = self.0.iter().rposition(|at| *at == stamp) {
                self.0.remove(at);
            }
        }
    }
}

/// A small generator: the scripts must be the same for both stores.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Random scripts of consuming, looking, refunding, forcing and changed limits, with time that mostly goes on.
async fn agrees_with_the_oracle(store: &Store, seed: u64, steps: usize) {
    let mut random = Random(seed);
    let identity = u8::try_from(seed % 200).expect("small");
    let name = format!("oracle{seed}");
    let (mut oracle, mut now, mut stamps) = (Oracle::default(), 10_000_000_u64, Vec::<(u64, u32)>::new());
    let mut windows: Vec<(u32, u32)> = vec![(1, 3), (5, 8), (30, 20)];
    for step in 0..steps {
        match random.below(20) {
            // A clock that steps back behind a refunded unit is the one case in which the stores may differ: what has
            // left a window stays out in Redis. Scripts have either steps back or refunds.
            0 if seed.is_multiple_of(2) => now -= random.below(3_000),
            1 => now += random.below(40_000),
            2..=9 => now += random.below(900),
            _ => {}
        }
        if random.below(25) == 0 {
            windows = vec![
                (1, 1 + random.below(5) as u32),
                (2 + random.below(6) as u32, 4 + random.below(9) as u32),
                (30, 20),
            ];
        }
        let asked = charge_of(&name, identity, &windows, Mode::Enforce);
        let cost = [1, 1, 1, 2, 5, 0, 25][random.below(7) as usize];
        let asked = Charge { cost, ..asked };
        let list = asked.windows.as_slice().to_vec();
        let (got, want) = match random.below(12) {
            0 if !stamps.is_empty() && !seed.is_multiple_of(2) => {
                let (stamp, cost) = stamps.remove(random.below(stamps.len() as u64) as usize);
                let refunded = Charge { cost, ..asked };
                let got = store
                    .run(now, std::slice::from_ref(&refunded), Operation::Refund { stamp_ms: stamp })
                    .await;
                oracle.refund(stamp, cost);
                (got, oracle.judge(T0 + now, &list, 0))
            }
            1 if cost > 0 && cost < 20 => {
                let got = store.run(now, std::slice::from_ref(&asked), Operation::Force).await;
                (got, oracle.consume(T0 + now, &list, cost))
            }
            _ => {
                let got = store.run(now, std::slice::from_ref(&asked), Operation::Consume).await;
                let want = oracle.judge(T0 + now, &list, cost);
                let want =
                    if want.admitted && cost > 0 { oracle.consume(T0 + now, &list, cost) } else { want };
                if want.admitted && cost > 0 {
                    stamps.push((want.stamp_ms, cost));
                }
                (got, want)
            }
        };
        assert_eq!(got[0], want, "seed {seed}, step {step}, at {now}, cost {cost}, {windows:?}");
        stamps.retain(|(stamp, _)| (T0 + now).saturating_sub(*stamp) < 30_000);
    }
}

#[tokio::test]
async fn memory_agrees_with_the_oracle_on_every_step() {
    for seed in 0..60 {
        agrees_with_the_oracle(&Store::memory(), seed, 400).await;
    }
}

#[tokio::test]
async fn redis_agrees_with_the_oracle_on_every_step() {
    let server = Redis::start().await;
    let store = Store::redis(&server).await;
    for seed in 0..20 {
        agrees_with_the_oracle(&store, seed, 400).await;
    }
}

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
    let clock = crate::base::SystemClock::new();
    let mut admitted = 0;
    for _ in 0..20 {
        admitted +=
            u32::from(matches!(limiter.admit(&ten).await, Admission::Admitted { source: Source::Local, .. }));
    }
    assert_eq!(admitted, 6, "the fallback goes on from what was admitted before");
    assert!(
        crate::base::Clock::monotonic(&clock) < Duration::from_millis(500),
        "{:?}",
        crate::base::Clock::monotonic(&clock)
    );
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
    let clock = crate::base::SystemClock::new();
    for _ in 0..50 {
        assert!(matches!(limiter.admit(&ten).await, Admission::Admitted { source: Source::Local, .. }));
    }
    assert!(
        crate::base::Clock::monotonic(&clock) < Duration::from_millis(100),
        "the breaker is open: {:?}",
        crate::base::Clock::monotonic(&clock)
    );
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
