//! The acceptance list, on the embedded store and on Redis; on a Cluster in `cluster_tests.rs`.
//!
//! Scenario numbers are those of the acceptance list in `docs/limits.md`.

use crate::limit::{Charge, Decision, Mode};
use crate::store::redis::limits::Operation;
use crate::store::testing::{Redis, Store, charge_of};

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
    for _ in 0..10 {
        assert!(!store.ask(90_000, &burst).await.admitted, "a weighted counter would admit");
    }
    assert_eq!(store.ask(118_999, &burst).await.retry_ms, Some(1));
    assert!(store.ask(119_000, &burst).await.admitted);
    assert_eq!(store.ask(119_000, &burst).await.retry_ms, Some(1), "the second of the burst leaves next");

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

async fn what_is_only_judged_denies_like_the_rest_and_costs_nothing(store: &Store) {
    let judged = Charge { consumes: false, ..charge_of("judged", 18, &[(60, 2)], Mode::Enforce) };
    let beside = charge_of("beside", 18, &[(60, 100)], Mode::Enforce);
    let both = [judged.clone(), beside];
    for left in [99, 98, 97] {
        let decisions = store.run(0, &both, Operation::Consume).await;
        assert_eq!((remaining(&decisions[0]), remaining(&decisions[1])), (vec![2], vec![left]));
    }
    let forced = store.run(0, &both[..1], Operation::Force).await.remove(0);
    assert_eq!(remaining(&forced), [1], "after the response it counts");
    let forced = store.run(0, &[Charge { cost: 5, ..judged }], Operation::Force).await.remove(0);
    assert_eq!((forced.admitted, remaining(&forced)), (true, vec![0]));
    let decisions = store.run(0, &both, Operation::Consume).await;
    assert_eq!((decisions[0].admitted, decisions[1].admitted), (false, true));
    assert_eq!(remaining(&decisions[1]), [97], "a denial by what is only judged costs nothing elsewhere");
}

async fn units_are_given_back_by_stamp_or_from_the_newest(store: &Store) {
    let five = charge_of("refund", 19, &[(60, 5)], Mode::Enforce);
    let of = |cost: u32| Charge { cost, ..five.clone() };
    let mut stamps = Vec::new();
    for (at, cost) in [(0, 1), (1_000, 2), (2_000, 2)] {
        stamps.push(store.ask(at, &of(cost)).await.stamp_ms);
    }
    assert!(!store.ask(3_000, &five).await.admitted);
    let (after, given) = store.refund(3_000, &of(9), Some(stamps[1])).await;
    assert_eq!((remaining(&after), given), (vec![2], 2), "no more than was consumed then");
    let (after, given) = store.refund(3_000, &of(9), Some(stamps[1])).await;
    assert_eq!((remaining(&after), given), (vec![2], 0), "once only");
    let (after, given) = store.refund(3_000, &of(2), None).await;
    assert_eq!((remaining(&after), resets(&after), given), (vec![4], vec![57_000], 2), "the oldest stays");
    let (after, given) = store.refund(3_000, &of(9), None).await;
    assert_eq!((remaining(&after), given), (vec![5], 1));
    assert_eq!(remaining(&store.ask(3_000, &of(5)).await), [0]);
    store.reset(&five.key).await;
    assert_eq!(remaining(&store.ask(3_000, &of(5)).await), [0]);
}

pub(super) async fn all_scenarios(store: &Store) {
    scenarios_1_and_2(store).await;
    scenarios_3_to_6(store).await;
    scenarios_7_to_10(store).await;
    scenario_12_a_clock_that_steps_back(store).await;
    scenario_13_all_or_nothing(store).await;
    scenarios_15_and_16_limits_changed_live(store).await;
    what_is_only_judged_denies_like_the_rest_and_costs_nothing(store).await;
    units_are_given_back_by_stamp_or_from_the_newest(store).await;
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

#[tokio::test]
async fn a_log_in_redis_takes_few_bytes() {
    let server = Redis::start().await;
    let store = Store::redis(&server).await;
    let day = charge(&[(60, 10_000), (3_600, 10_000), (86_400, 10_000)]);
    for (units, bytes_max) in [(10, 260), (1_000, 5_632), (10_000, 48_000)] {
        store.reset(&day.key).await;
        for at in 0..units {
            assert!(store.ask(at, &day).await.admitted);
        }
        let bytes: u32 =
            server.cli(&["MEMORY", "USAGE", &day.key.redis_key("tg:")]).parse().expect("a number");
        assert!(bytes <= bytes_max, "{bytes} bytes for {units} units");
    }
}

#[tokio::test]
async fn a_log_that_was_cut_off_counts_as_empty_wherever_that_is_found() {
    let server = Redis::start().await;
    let store = Store::redis(&server).await;
    let hundred = charge_of("cut", 22, &[(1, 50), (60, 100)], Mode::Enforce);
    let key = hundred.key.redis_key("tg:");
    let cut = "redis.call('SET', KEYS[1], redis.call('GETRANGE', KEYS[1], 0, 83))";
    // The ring is full and rewritten; a unit has left the short window; the wait is looked up.
    for (at, cost, remaining_after) in [(10, 1, [49, 99]), (1_001, 1, [49, 99]), (500, 45, [5, 55])] {
        store.reset(&hundred.key).await;
        for unit in 0..8 {
            assert!(store.ask(unit, &hundred).await.admitted);
        }
        server.cli(&["EVAL", cut, "1", &key]);
        let decision = store.ask(at, &Charge { cost, ..hundred.clone() }).await;
        assert_eq!((decision.admitted, remaining(&decision)), (true, remaining_after.to_vec()), "at {at}");
        let whole: u32 = server.cli(&["STRLEN", &key]).parse().expect("a number");
        assert_eq!(whole, if cost == 1 { 80 + 8 * 4 } else { 80 + 45 * 4 });
    }
}
