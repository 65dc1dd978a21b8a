//! What this instance admitted while the shared store was away, owed to it until it is back.

use crate::limit::{Charge, LimitKey};
use std::collections::{HashMap, VecDeque};

/// Logs that may be owed to; more are let go, which admits their units again.
const LOGS_MAX: usize = 100_000;

/// What is owed to one log.
#[derive(Debug)]
struct Debt {
    charge: Charge,
    /// When, and how many units; oldest first.
    units: VecDeque<(u64, u32)>,
    total: u32,
}

impl Debt {
    fn drop_oldest(&mut self) -> bool {
        let Some((_, units)) = self.units.pop_front() else { return false };
        self.total = self.total.saturating_sub(units);
        true
    }
}

/// All that is owed. Time is monotonic milliseconds.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    debts: HashMap<LimitKey, Debt>,
    let_go: u64,
}

impl Backlog {
    /// `charge` was admitted here at `now_ms`.
    pub(super) fn add(&mut self, charge: &Charge, now_ms: u64) {
        if charge.cost == 0 {
            return;
        }
        let room = self.debts.len() < LOGS_MAX;
        let debt = match self.debts.get_mut(&charge.key) {
            Some(debt) => debt,
            None if room => self.debts.entry(charge.key.clone()).or_insert_with(|| Debt {
                charge: charge.clone(),
                units: VecDeque::new(),
                total: 0,
            }),
            None => {
                self.let_go = self.let_go.saturating_add(1);
                return;
            }
        };
        match debt.units.back_mut().filter(|(at, _)| *at == now_ms) {
            Some((_, units)) => *units = units.saturating_add(charge.cost),
            None => debt.units.push_back((now_ms, charge.cost)),
        }
        debt.total = debt.total.saturating_add(charge.cost);
        // More than the largest limit changes no verdict.
        let most = charge.windows.as_slice().iter().map(|window| window.limit).max().unwrap_or(0);
        while debt.total > most && debt.units.len() > 1 && debt.drop_oldest() {}
    }

    /// The newest `units` of a log were given back here.
    pub(super) fn give_back(&mut self, key: &LimitKey, mut units: u32) {
        let Some(debt) = self.debts.get_mut(key) else { return };
        while units > 0
            && let Some((_, newest)) = debt.units.back_mut()
        {
            let taken = units.min(*newest);
            *newest = newest.saturating_sub(taken);
            units = units.saturating_sub(taken);
            debt.total = debt.total.saturating_sub(taken);
            if *newest == 0 {
                debt.units.pop_back();
            }
        }
        if debt.units.is_empty() {
            self.debts.remove(key);
        }
    }

    /// A log was reset: nothing is owed to it any more.
    pub(super) fn forget(&mut self, key: &LimitKey) {
        self.debts.remove(key);
    }

    /// Takes everything that some window still counts, one charge a log.
    pub(super) fn take(&mut self, now_ms: u64) -> Vec<Charge> {
        let debts = std::mem::take(&mut self.debts);
        let due = debts.into_values().filter_map(|mut debt| {
            let longest = u64::from(debt.charge.windows.longest_ms());
            while debt.units.front().is_some_and(|(at, _)| at.saturating_add(longest) <= now_ms) {
                debt.drop_oldest();
            }
            (debt.total > 0).then_some(Charge { cost: debt.total, ..debt.charge })
        });
        due.collect()
    }

    /// Logs to which something is owed.
    pub(super) fn len(&self) -> usize {
        self.debts.len()
    }

    /// Is nothing owed?
    pub(super) fn is_empty(&self) -> bool {
        self.debts.is_empty()
    }

    /// Admissions for which there was no room.
    pub(super) fn let_go(&self) -> u64 {
        self.let_go
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::Mode;
    use crate::store::testing::charge_of;

    #[test]
    fn what_still_counts_is_owed_once() {
        let mut backlog = Backlog::default();
        let minute = charge_of("p", 1, &[(60, 10)], Mode::Enforce);
        backlog.add(&minute, 0);
        backlog.add(&Charge { cost: 3, ..minute.clone() }, 1_000);
        backlog.add(&minute, 1_000);
        backlog.give_back(&minute.key, 2);
        let due = backlog.take(60_000);
        assert_eq!(
            due.iter().map(|charge| charge.cost).collect::<Vec<_>>(),
            [2],
            "the first is a minute old"
        );
        assert!(backlog.is_empty() && backlog.take(60_000).is_empty());
    }

    #[test]
    fn a_log_is_owed_no_more_than_its_largest_limit_and_the_number_of_logs_is_bounded() {
        let mut backlog = Backlog::default();
        let ten = charge_of("p", 1, &[(60, 10)], Mode::Enforce);
        (0..100).for_each(|at| backlog.add(&ten, at));
        assert_eq!(backlog.take(100)[0].cost, 10);
        for number in 0..u32::try_from(LOGS_MAX).expect("small") + 5 {
            let mut other = ten.clone();
            other.key.identity.0[..4].copy_from_slice(&number.to_le_bytes());
            backlog.add(&other, 0);
        }
        assert_eq!((backlog.let_go(), backlog.take(0).len()), (5, LOGS_MAX));
    }

    #[test]
    fn nothing_is_owed_for_what_was_reset_or_given_back() {
        let mut backlog = Backlog::default();
        let one = charge_of("p", 1, &[(60, 10)], Mode::Enforce);
        backlog.add(&one, 0);
        backlog.give_back(&one.key, 5);
        assert!(backlog.is_empty());
        backlog.add(&one, 0);
        backlog.forget(&one.key);
        assert!(backlog.is_empty());
    }
}
