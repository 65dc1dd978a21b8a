//! Who asks most and who is denied most, on this instance, within the last hour or two.
//!
//! Two generations of lists: when the younger is an hour old the older one goes. What was counted never mixes into a
//! metric, since no identity is a label there.

use crate::limit::{Charge, Decision, Seen, Top};
use parking_lot::Mutex;
use std::time::Duration;

/// Places in each list: who makes up more than the 256th part of all requests is in it for certain.
pub const PLACES: usize = 256;

/// The age at which the younger generation becomes the older one.
pub const GENERATION: Duration = Duration::from_secs(3_600);

/// Which list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ranking {
    /// Who was asked about most, admitted or not.
    Busiest,
    /// Who was denied most.
    Denied,
}

/// One generation.
struct Lists {
    busiest: Top,
    denied: Top,
}

impl Lists {
    fn new() -> Self {
        Self { busiest: Top::new(PLACES), denied: Top::new(PLACES) }
    }

    fn of(&self, ranking: Ranking) -> &Top {
        match ranking {
            Ranking::Busiest => &self.busiest,
            Ranking::Denied => &self.denied,
        }
    }
}

/// The lists of this instance.
pub struct TopLists {
    /// The younger generation, then the older.
    generations: Mutex<[Lists; 2]>,
}

impl Default for TopLists {
    fn default() -> Self {
        Self { generations: Mutex::new([Lists::new(), Lists::new()]) }
    }
}

impl TopLists {
    /// Counts a request's charges with what was decided about each; one that nobody decided is left out. Takes some
    /// 100 ns for each charge.
    pub fn record(&self, charges: &[Charge], decisions: &[Decision]) {
        let mut generations = self.generations.lock();
        let [young, _] = &mut *generations;
        for (charge, decision) in charges.iter().zip(decisions).filter(|(_, decision)| decision.is_asked()) {
            young.busiest.record(&charge.key, &charge.subject);
            if !decision.admitted {
                young.denied.record(&charge.key, &charge.subject);
            }
        }
    }

    /// The first `count` of a list, the highest first.
    #[must_use]
    pub fn most(&self, ranking: Ranking, count: usize) -> Vec<Seen> {
        let generations = self.generations.lock();
        let [young, old] = &*generations;
        young.of(ranking).most(old.of(ranking), count)
    }

    /// Begins a new generation; to be called every [`GENERATION`].
    pub fn turn(&self) {
        let mut generations = self.generations.lock();
        let [young, old] = &mut *generations;
        *old = std::mem::replace(young, Lists::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::{Mode, WindowState};
    use crate::store::testing::charge_of;

    fn decision(admitted: bool) -> Decision {
        let windows = vec![WindowState { remaining: 0, reset_ms: 0 }];
        Decision { admitted, windows, ..Decision::unasked() }
    }

    #[test]
    fn only_those_who_were_denied_are_in_the_list_of_denied() {
        let top = TopLists::default();
        let charges =
            [1, 2].map(|who| charge_of(&format!("p{who}"), who, &[(60, 5)], Mode::Enforce)).to_vec();
        top.record(&charges, &[decision(true), decision(false)]);
        top.record(&charges, &[Decision::unasked(), decision(true)]);
        let names = |ranking| -> Vec<(String, u64)> {
            let list = top.most(ranking, 10);
            list.iter().map(|seen| (seen.key.policy.to_string(), seen.count)).collect()
        };
        assert_eq!(names(Ranking::Denied), [("p2".to_owned(), 1)]);
        assert_eq!(names(Ranking::Busiest), [("p2".to_owned(), 2), ("p1".to_owned(), 1)]);
        top.turn();
        assert_eq!(names(Ranking::Denied), [("p2".to_owned(), 1)], "the hour before still counts");
        top.turn();
        assert!(names(Ranking::Busiest).is_empty());
    }
}
