//! Denials remembered, so that a client that keeps trying costs no call to a shared store.
//!
//! Exact, because of what a denial is: it names the first moment at which the log, as it is, could admit its cost.
//! Admissions only push that moment back, so until then every request of at least that cost is denied. Four rules keep
//! it so (each left out gave wrong denials in a simulation of four instances):
//! - the wait counts from when the question was *sent*, since the store answered some time after that;
//! - only a cost at least as large as the denied one is denied, and only at the same windows;
//! - what gives units back or changes limits (refund, reset, override, reload) makes the denial forgotten;
//! - a denial that was asked for before something was forgotten is not remembered: the two may have crossed on the way.
//!
//! Pure: time comes in as monotonic milliseconds.

use crate::limit::verdict::{Charge, Decision, LimitKey, WindowState};
use crate::limit::windows::Windows;
use std::collections::HashMap;
use std::sync::Arc;

/// What the two clocks may drift apart, as a part of the wait: one thousandth, ten times what quartz does.
const DRIFT: u32 = 1_000;

/// How a log is told apart here: the part of its identity that stands in a store's key and in its messages.
type Name = ([u8; 16], Arc<str>);

/// One denial.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Denial {
    cost: u32,
    windows: Windows,
    /// As they were at `sent_ms`.
    states: Vec<WindowState>,
    sent_ms: u64,
    /// From here on the store has to be asked again.
    until_ms: u64,
    /// When the cost could be admitted; `None`: never.
    free_ms: Option<u64>,
}

/// When the store was asked, and what was known to be forgotten by then.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    /// When it was sent.
    pub sent_ms: u64,
    /// [`Denials::epoch`] at that time.
    pub epoch: u64,
}

/// Denials of some logs, bounded: two generations, of which the older leaves when the younger is full.
#[derive(Debug)]
pub struct Denials {
    young: HashMap<Name, Denial>,
    old: HashMap<Name, Denial>,
    generation_max: usize,
    epoch: u64,
}

impl Denials {
    /// Remembers at most `entries` denials; 0 remembers nothing.
    #[must_use]
    pub fn new(entries: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), generation_max: entries.div_ceil(2), epoch: 0 }
    }

    /// Counts up whenever something is forgotten; read it before the store is asked.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The denial of `charge`, if one is known to hold at `now_ms`. Other windows of the policy are shown as they were
    /// when it was denied.
    #[must_use]
    pub fn find(&self, charge: &Charge, now_ms: u64) -> Option<Decision> {
        let name = name(&charge.key);
        let denial = self.young.get(&name).or_else(|| self.old.get(&name))?;
        let holds =
            now_ms < denial.until_ms && charge.cost >= denial.cost && charge.windows == denial.windows;
        if !holds {
            return None;
        }
        let passed = u32::try_from(now_ms.saturating_sub(denial.sent_ms)).unwrap_or(u32::MAX);
        let later = |state: &WindowState| WindowState {
            remaining: state.remaining,
            reset_ms: state.reset_ms.saturating_sub(passed),
        };
        let wait = |free_ms: u64| u32::try_from(free_ms.saturating_sub(now_ms)).unwrap_or(u32::MAX);
        let fits = charge.windows.as_slice().iter().all(|window| charge.cost <= window.limit);
        Some(Decision {
            admitted: false,
            retry_ms: denial.free_ms.filter(|_| fits).map(wait),
            stamp_ms: 0,
            windows: denial.states.iter().map(later).collect(),
        })
    }

    /// Remembers that `decision` denied `charge`, for at most `life_ms`.
    pub fn note(&mut self, charge: &Charge, decision: &Decision, question: Question, life_ms: u64) {
        let Question { sent_ms, epoch } = question;
        if decision.admitted || charge.cost == 0 || epoch != self.epoch || self.generation_max == 0 {
            return;
        }
        let end_of_life = sent_ms.saturating_add(life_ms);
        let free_ms = decision.retry_ms.map(|retry_ms| sent_ms.saturating_add(retry_ms.into()));
        // One more for the parts of a millisecond that both clocks leave out.
        let early = decision.retry_ms.map_or(0, |retry_ms| u64::from(retry_ms / DRIFT).saturating_add(1));
        let until_ms = free_ms.map_or(end_of_life, |free| free.saturating_sub(early).min(end_of_life));
        if until_ms <= sent_ms {
            return;
        }
        if self.young.len() >= self.generation_max {
            self.old = std::mem::take(&mut self.young);
        }
        let (windows, states) = (charge.windows.clone(), decision.windows.clone());
        let denial = Denial { cost: charge.cost, windows, states, sent_ms, until_ms, free_ms };
        self.young.insert(name(&charge.key), denial);
    }

    /// Forgets the denials of one log.
    pub fn forget(&mut self, identity: [u8; 16], policy: &str) {
        self.epoch = self.epoch.wrapping_add(1);
        let name = (identity, Arc::from(policy));
        self.young.remove(&name);
        self.old.remove(&name);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        self.young.clear();
        self.old.clear();
    }

    /// How many are remembered, holding or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.young.len().saturating_add(self.old.len())
    }

    /// Is none remembered?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn name(key: &LimitKey) -> Name {
    (key.identity.head(), Arc::clone(&key.policy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Digest;
    use crate::limit::{Policy, RingLog, Subject, Window};
    use proptest::prelude::*;

    const LIFE: u64 = 60_000;

    fn charge(list: &[(u32, u32)], cost: u32) -> Charge {
        let list = list.iter().map(|(length_ms, limit)| Window { length_ms: *length_ms, limit: *limit });
        let windows = Windows::new(list.collect()).expect("valid");
        Charge {
            policy: Arc::new(Policy::new("p", windows.clone())),
            key: LimitKey { identity: Digest([7; 32]), policy: "p".into() },
            windows,
            cost,
            consumes: true,
            subject: Arc::new(Subject::parse("global").expect("valid")),
        }
    }

    fn denied(retry_ms: Option<u32>) -> Decision {
        let windows = vec![WindowState { remaining: 0, reset_ms: 500 }];
        Decision { admitted: false, retry_ms, stamp_ms: 9, windows }
    }

    #[test]
    fn a_denial_holds_until_just_before_its_wait_is_over_and_counts_down() {
        let (mut denials, one) = (Denials::new(10), charge(&[(60_000, 10)], 1));
        denials.note(&one, &denied(Some(30_000)), Question { sent_ms: 1_000, epoch: 0 }, LIFE);
        let at = |now| denials.find(&one, now).map(|decision| decision.retry_ms);
        assert_eq!(at(1_000), Some(Some(30_000)));
        assert_eq!(at(30_000), Some(Some(1_000)));
        assert_eq!((at(30_968), at(30_969)), (Some(Some(32)), None), "a thousandth and one early");
        assert_eq!(denials.find(&one, 1_400).expect("it holds").windows[0].reset_ms, 100);
    }

    #[test]
    fn a_smaller_cost_or_other_windows_ask_the_store() {
        let (mut denials, three) = (Denials::new(10), charge(&[(60_000, 10)], 3));
        denials.note(&three, &denied(Some(5_000)), Question { sent_ms: 0, epoch: 0 }, LIFE);
        assert!(denials.find(&charge(&[(60_000, 10)], 2), 1).is_none());
        assert!(denials.find(&charge(&[(60_000, 20)], 3), 1).is_none());
        assert!(denials.find(&charge(&[(60_000, 10)], 4), 1).is_some());
        let never = denials.find(&charge(&[(60_000, 10)], 11), 1).expect("it holds");
        assert_eq!(never.retry_ms, None, "more than the limit");
    }

    #[test]
    fn life_is_capped_and_so_is_a_denial_for_good() {
        let (mut denials, one) = (Denials::new(10), charge(&[(60_000, 10)], 1));
        denials.note(&one, &denied(Some(30_000)), Question { sent_ms: 0, epoch: 0 }, 1_000);
        assert!(denials.find(&one, 999).is_some() && denials.find(&one, 1_000).is_none());
        denials.note(&one, &denied(None), Question { sent_ms: 5_000, epoch: 0 }, 1_000);
        assert_eq!(denials.find(&one, 5_999).expect("it holds").retry_ms, None);
        assert!(denials.find(&one, 6_000).is_none());
    }

    #[test]
    fn what_was_asked_before_something_was_forgotten_is_not_remembered() {
        let (mut denials, one) = (Denials::new(10), charge(&[(60_000, 10)], 1));
        let epoch = denials.epoch();
        denials.forget(one.key.identity.head(), "p");
        denials.note(&one, &denied(Some(30_000)), Question { sent_ms: 0, epoch }, LIFE);
        assert!(denials.is_empty());
        denials.note(&one, &denied(Some(30_000)), Question { sent_ms: 0, epoch: denials.epoch() }, LIFE);
        assert!(denials.find(&one, 1).is_some());
        denials.forget(one.key.identity.head(), "other");
        assert!(denials.find(&one, 1).is_some());
        denials.forget(one.key.identity.head(), "p");
        assert!(denials.find(&one, 1).is_none());
    }

    #[test]
    fn it_never_holds_more_than_it_may() {
        let mut denials = Denials::new(100);
        for number in 0..1_000_u32 {
            let mut one = charge(&[(60_000, 10)], 1);
            one.key.identity.0[..4].copy_from_slice(&number.to_le_bytes());
            denials.note(&one, &denied(Some(30_000)), Question { sent_ms: 0, epoch: 0 }, LIFE);
            assert!(denials.len() <= 100);
            assert!(denials.find(&one, 1).is_some());
        }
        let mut off = Denials::new(0);
        off.note(&charge(&[(60_000, 10)], 1), &denied(Some(30_000)), Question { sent_ms: 0, epoch: 0 }, LIFE);
        assert!(off.is_empty());
    }

    /// One request: pause before it, one-way delay to the store, cost; then perhaps a refund, a reset or other limits.
    fn step() -> impl Strategy<Value = (u64, u64, u32, u8)> {
        (prop_oneof![0_u64..40, 200_u64..3_000], 0_u64..5, 1_u32..5, 0_u8..30)
    }

    proptest! {
        /// Whatever is denied from memory, the shared log would have denied at that very moment.
        #[test]
        fn it_never_denies_what_the_log_would_admit(script in prop::collection::vec(step(), 1..200)) {
            let (mut log, mut denials, mut now) = (RingLog::default(), Denials::new(64), 1_000_000_u64);
            let mut lists = [&[(1_000, 4), (5_000, 9)], &[(1_000, 6), (5_000, 12)]].into_iter().cycle();
            let mut list = lists.next().expect("a list");
            for (pause, delay, cost, event) in script {
                now += pause;
                let asked = charge(list, cost);
                if denials.find(&asked, now).is_some() {
                    prop_assert!(!log.judge(now, &asked.windows, cost).admitted, "at {}", now);
                    continue;
                }
                let (sent, epoch) = (now, denials.epoch());
                now += delay;
                let judged = log.judge(now, &asked.windows, cost);
                if judged.admitted {
                    log.consume(now, &asked.windows, cost);
                }
                match event {
                    0 => {
                        log.refund(Some(judged.stamp_ms), cost);
                        denials.forget(asked.key.identity.head(), "p");
                    }
                    1 => {
                        log = RingLog::default();
                        denials.clear();
                    }
                    2 => list = lists.next().expect("a list"),
                    3 => drop(log.consume(now, &asked.windows, cost)),
                    _ => {}
                }
                now += delay;
                denials.note(&asked, &judged, Question { sent_ms: sent, epoch }, LIFE);
            }
        }
    }
}
