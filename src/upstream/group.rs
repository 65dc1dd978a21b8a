//! The servers of one upstream as a state machine: whose turn it is, who is healthy, whose breaker is open, and how
//! many further attempts the whole may make. Time and randomness are arguments.

use super::breaker::{Breaker, Outcome};
use super::budget::RetryBudget;
use super::health::Health;
use super::settings::{Balance, UpstreamSettings};

#[derive(Debug, Clone)]
struct Server {
    health: Health,
    breaker: Breaker,
    under_way: u32,
}

/// The servers of one upstream. Times are monotonic milliseconds.
#[derive(Debug, Clone)]
pub struct Group {
    servers: Vec<Server>,
    balance: Balance,
    /// Where the next round begins.
    turn: usize,
    budget: RetryBudget,
}

impl Group {
    /// All servers healthy, nothing asked yet.
    #[must_use]
    pub fn new(settings: &UpstreamSettings) -> Self {
        let server =
            Server { health: Health::new(), breaker: Breaker::new(settings.breaker.as_ref()), under_way: 0 };
        Self {
            servers: vec![server; settings.servers.len()],
            balance: settings.balance,
            turn: 0,
            budget: RetryBudget::default(),
        }
    }

    /// The server for the next attempt, by its place; counts the attempt, which must end in [`Group::report`] or
    /// [`Group::abandon`]. `tried`: the servers of this request's earlier attempts.
    ///
    /// A server whose breaker is open is never asked; `None` when all are. Among the others the first that exists
    /// counts: healthy and not tried, healthy, not tried, any. So a sick server is asked only when no healthy one can
    /// be: when checks say that all are sick, the checks are the likelier fault (Envoy's panic mode).
    pub fn pick(&mut self, now_ms: u64, random: u64, tried: &[usize]) -> Option<usize> {
        if tried.is_empty() {
            self.budget.request(now_ms);
        }
        let chosen = [(true, true), (true, false), (false, true), (false, false)].into_iter().find_map(
            |(must_be_healthy, must_be_new)| {
                self.choose(random, |at, server| {
                    server.breaker.allows(now_ms)
                        && (!must_be_healthy || server.health.is_healthy())
                        && (!must_be_new || !tried.contains(&at))
                })
            },
        )?;
        if self.balance == Balance::RoundRobin {
            self.turn = chosen.wrapping_add(1);
        }
        let server = self.servers.get_mut(chosen)?;
        server.under_way = server.under_way.saturating_add(1);
        server.breaker.begin(now_ms);
        Some(chosen)
    }

    fn choose(&self, random: u64, fits: impl Fn(usize, &Server) -> bool) -> Option<usize> {
        let fitting = || self.servers.iter().enumerate().filter(|(at, server)| fits(*at, server));
        match self.balance {
            Balance::RoundRobin => {
                let next = fitting().find(|(at, _)| *at >= self.turn);
                next.or_else(|| fitting().next()).map(|(at, _)| at)
            }
            Balance::LeastRequests => {
                let (first, second) = two_of(fitting().count(), random)?;
                let (one, other) = (fitting().nth(first)?, fitting().nth(second)?);
                Some(if other.1.under_way < one.1.under_way { other.0 } else { one.0 })
            }
        }
    }

    /// An attempt has ended.
    pub fn end(&mut self, at: usize, outcome: Outcome, now_ms: u64) {
        if let Some(server) = self.servers.get_mut(at) {
            server.under_way = server.under_way.saturating_sub(1);
            server.breaker.end(outcome, now_ms);
        }
    }

    /// An active check has ended; says whether the server counts as healthy now.
    pub fn checked(&mut self, at: usize, is_success: bool) -> bool {
        self.servers.get_mut(at).is_some_and(|server| server.health.note(is_success))
    }

    /// Is there budget for another attempt? Counts it when there is.
    pub fn may_retry(&mut self, now_ms: u64) -> bool {
        self.budget.retry(now_ms)
    }

    /// How many servers may not be asked now because of their breakers.
    #[must_use]
    pub fn open_count(&self, now_ms: u64) -> u64 {
        let open = self.servers.iter().filter(|server| !server.breaker.allows(now_ms));
        u64::try_from(open.count()).unwrap_or(u64::MAX)
    }

    /// Does a server count as healthy by its active checks?
    #[must_use]
    pub fn is_healthy(&self, at: usize) -> bool {
        self.servers.get(at).is_some_and(|server| server.health.is_healthy())
    }
}

/// Two different places below `count`, each equally likely; twice the same when there is one only.
fn two_of(count: usize, random: u64) -> Option<(usize, usize)> {
    let draw = |bits: u64, below: usize| {
        let below = u64::try_from(below).ok().filter(|below| *below > 0)?;
        usize::try_from(bits % below).ok()
    };
    let first = draw(random & u64::from(u32::MAX), count)?;
    let Some(step) = draw(random >> 32, count.saturating_sub(1)) else { return Some((first, first)) };
    Some((first, (first + 1 + step) % count))
}

#[cfg(test)]
mod tests {
    use super::super::{BreakerSettings, ServerAddress};
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn group(servers: usize, balance: Balance) -> Group {
        let server = ServerAddress { host: "127.0.0.1".into(), port: 1 };
        Group::new(&UpstreamSettings {
            name: "u".into(),
            servers: vec![server; servers],
            balance,
            connect_timeout: Duration::from_secs(1),
            response_timeout: Duration::from_secs(1),
            health: None,
            breaker: Some(BreakerSettings { failures: 2, open: Duration::from_secs(10) }),
            retries: 1,
            tls: None,
            http2: false,
            idle_timeout: Duration::from_secs(1),
        })
    }

    fn sicken(group: &mut Group, at: usize) {
        while group.checked(at, false) {}
    }

    fn open(group: &mut Group, at: usize) {
        group.end(at, Outcome::Failure, 0);
        group.end(at, Outcome::Failure, 0);
    }

    #[test]
    fn servers_take_turns() {
        let mut group = group(3, Balance::RoundRobin);
        let picks: Vec<_> = (0..7).filter_map(|_| group.pick(0, 0, &[])).collect();
        assert_eq!(picks, [0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn turns_stay_even_when_one_is_left_out() {
        let mut group = group(3, Balance::RoundRobin);
        sicken(&mut group, 1);
        let picks: Vec<_> = (0..4).filter_map(|_| group.pick(0, 0, &[])).collect();
        assert_eq!(picks, [0, 2, 0, 2]);
    }

    #[test]
    fn a_second_attempt_goes_elsewhere_and_only_to_the_same_server_when_there_is_no_other() {
        let mut group = group(3, Balance::RoundRobin);
        for _ in 0..9 {
            assert!(group.pick(0, 0, &[1]).is_some_and(|at| at != 1));
        }
        assert!(group.pick(0, 0, &[0, 1, 2]).is_some());
        sicken(&mut group, 0);
        sicken(&mut group, 1);
        assert_eq!(group.pick(0, 0, &[2]), Some(2), "healthy and tried goes before sick");
    }

    #[test]
    fn an_open_breaker_lets_one_probe_through_when_its_rest_is_over() {
        let mut group = group(1, Balance::RoundRobin);
        for _ in 0..2 {
            assert_eq!(group.pick(0, 0, &[]), Some(0));
            group.end(0, Outcome::Failure, 0);
        }
        assert_eq!((group.pick(9_999, 0, &[]), group.open_count(9_999)), (None, 1));
        assert_eq!(group.pick(10_000, 0, &[]), Some(0), "the probe");
        assert_eq!(group.pick(10_000, 0, &[]), None, "only one");
        group.end(0, Outcome::Success, 10_001);
        assert_eq!((group.pick(10_001, 0, &[]), group.open_count(10_001)), (Some(0), 0));
    }

    #[test]
    fn an_abandoned_attempt_opens_nothing() {
        let mut group = group(1, Balance::RoundRobin);
        for _ in 0..9 {
            assert_eq!(group.pick(0, 0, &[]), Some(0));
            group.end(0, Outcome::Abandoned, 0);
        }
        assert_eq!(group.open_count(0), 0);
    }

    #[test]
    fn the_sick_are_passed_over_until_all_are_sick() {
        let mut group = group(2, Balance::LeastRequests);
        sicken(&mut group, 0);
        assert!((0..20).all(|draw| group.pick(0, draw * 7_919, &[]) == Some(1)));
        sicken(&mut group, 1);
        assert!(group.pick(0, 3, &[]).is_some(), "all sick: any is asked");
        assert!(!group.checked(0, true) && group.checked(0, true) && group.is_healthy(0));
    }

    #[test]
    fn a_sick_server_is_better_than_an_open_breaker() {
        let mut group = group(2, Balance::RoundRobin);
        sicken(&mut group, 0);
        open(&mut group, 1);
        assert_eq!(group.pick(0, 0, &[]), Some(0));
        open(&mut group, 0);
        assert_eq!(group.pick(0, 0, &[]), None, "all open");
    }

    #[test]
    fn the_less_busy_of_two_is_taken() {
        let mut group = group(2, Balance::LeastRequests);
        let first = group.pick(0, 0, &[]).expect("server");
        for random in [0, 1, 1 << 32, u64::MAX] {
            let mut group = group.clone();
            assert_eq!(group.pick(0, random, &[]), Some(1 - first), "{random}");
        }
    }

    #[test]
    fn nobody_is_picked_from_nobody() {
        assert_eq!(group(0, Balance::RoundRobin).pick(0, 0, &[]), None);
        assert_eq!(group(0, Balance::LeastRequests).pick(0, 7, &[]), None);
        group(0, Balance::RoundRobin).end(3, Outcome::Success, 0);
    }

    #[test]
    fn further_attempts_are_not_counted_as_requests() {
        let mut group = group(1, Balance::RoundRobin);
        for _ in 0..1_000 {
            group.pick(0, 0, &[0]);
        }
        assert_eq!((0..100).filter(|_| group.may_retry(0)).count(), 10);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Wait(u64),
        Pick(u64, Vec<usize>),
        End(usize, u8),
        Check(usize, bool),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0_u64..8_000).prop_map(Step::Wait),
            (any::<u64>(), prop::collection::vec(0_usize..4, 0..4))
                .prop_map(|(random, tried)| Step::Pick(random, tried)),
            (0_usize..4, 0_u8..3).prop_map(|(at, how)| Step::End(at, how)),
            (0_usize..4, any::<bool>()).prop_map(|(at, good)| Step::Check(at, good)),
        ];
        prop::collection::vec(step, 1..120)
    }

    proptest! {
        #[test]
        fn picks_keep_their_promises(steps in steps(), least in any::<bool>()) {
            let mut group = group(4, if least { Balance::LeastRequests } else { Balance::RoundRobin });
            let mut now_ms = 0;
            for step in steps {
                match step {
                    Step::Wait(ms) => now_ms += ms,
                    Step::End(at, how) => match how {
                        0 => group.end(at, Outcome::Success, now_ms),
                        1 => group.end(at, Outcome::Failure, now_ms),
                        _ => group.end(at, Outcome::Abandoned, now_ms),
                    },
                    Step::Check(at, is_good) => {
                        group.checked(at, is_good);
                    }
                    Step::Pick(random, tried) => {
                        let allowed: Vec<usize> = (0..4).filter(|at| group.servers[*at].breaker.allows(now_ms)).collect();
                        let healthy: Vec<usize> = allowed.iter().copied().filter(|at| group.is_healthy(*at)).collect();
                        let fresh: Vec<usize> = healthy.iter().copied().filter(|at| !tried.contains(at)).collect();
                        match group.pick(now_ms, random, &tried) {
                            None => prop_assert!(allowed.is_empty()),
                            Some(at) => {
                                prop_assert!(allowed.contains(&at));
                                prop_assert!(healthy.is_empty() || healthy.contains(&at));
                                prop_assert!(fresh.is_empty() || fresh.contains(&at));
                            }
                        }
                    }
                }
            }
        }

        #[test]
        fn every_round_asks_every_server_once(servers in 1_usize..8, rounds in 1_usize..5) {
            let mut group = group(servers, Balance::RoundRobin);
            for _ in 0..rounds {
                let mut round: Vec<_> = (0..servers).filter_map(|_| group.pick(0, 0, &[])).collect();
                round.sort_unstable();
                prop_assert_eq!(round, (0..servers).collect::<Vec<_>>());
            }
        }

        #[test]
        fn two_draws_differ_and_reach_everybody(count in 2_usize..9) {
            let mut seen = vec![0; count];
            for random in 0..200_u64 {
                let (first, second) = two_of(count, random | (random << 32)).expect("two");
                prop_assert!(first != second && first < count && second < count);
                seen[first] += 1;
                seen[second] += 1;
            }
            prop_assert!(seen.iter().all(|times| *times > 0));
        }

        #[test]
        fn load_stays_even_under_least_of_two(seed in any::<u64>()) {
            let mut group = group(4, Balance::LeastRequests);
            let mut random = seed;
            for _ in 0..400 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                group.pick(0, random ^ (random >> 29), &[]);
            }
            let busy: Vec<u32> = group.servers.iter().map(|server| server.under_way).collect();
            prop_assert!(busy.iter().max().zip(busy.iter().min()).is_some_and(|(most, least)| most - least <= 12), "{:?}", busy);
        }
    }
}
