//! Which refreshes after writes are due: each target once a second at most, and once more after its last write. Pure: time
//! is an argument.

use crate::base::BoundedMap;
use crate::cache::warm::Site;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Refreshes that may wait. More are not made: the next client's request does it then.
pub const WAITING_MAX: usize = 1_000;

/// The same target is not asked for again sooner than this.
const APART_MS: u64 = 1_000;

/// What is to be asked for again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Refresh {
    /// Whose write it was: a credential of the same tenant asks.
    pub tenant: Option<Arc<str>>,
    /// Where.
    pub site: Site,
    /// Path, with `?query` where there is one.
    pub target: Arc<str>,
}

/// What became of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// It will be made.
    Planned,
    /// One that waits already begins after this write, too.
    Joined,
    /// There are too many.
    Full,
}

/// What to do now. Times are milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Make this one.
    Now(Refresh),
    /// Look again after so long.
    In(u64),
    /// Nothing waits.
    Nothing,
}

/// The refreshes that wait.
#[derive(Debug)]
pub struct Refreshes {
    waiting: BTreeMap<(u64, u64), Refresh>,
    known: HashSet<Refresh>,
    /// When each was last begun.
    begun: BoundedMap<Refresh, u64>,
    turn: u64,
}

impl Default for Refreshes {
    fn default() -> Self {
        let begun = BoundedMap::new(WAITING_MAX);
        Self { waiting: BTreeMap::new(), known: HashSet::new(), begun, turn: 0 }
    }
}

impl Refreshes {
    /// A write at `now_ms` calls for it.
    pub fn ask(&mut self, refresh: &Refresh, now_ms: u64) -> Asked {
        if self.known.contains(refresh) {
            return Asked::Joined;
        }
        if self.waiting.len() >= WAITING_MAX {
            return Asked::Full;
        }
        let due_ms = self.begun.get(refresh).map_or(now_ms, |begun_ms| now_ms.max(begun_ms + APART_MS));
        self.turn += 1;
        self.waiting.insert((due_ms, self.turn), refresh.clone());
        self.known.insert(refresh.clone());
        Asked::Planned
    }

    /// What is due at `now_ms`.
    pub fn next(&mut self, now_ms: u64) -> Next {
        let Some(first) = self.waiting.first_entry() else { return Next::Nothing };
        let (due_ms, _) = *first.key();
        if due_ms > now_ms {
            return Next::In(due_ms - now_ms);
        }
        let refresh = first.remove();
        self.known.remove(&refresh);
        self.begun.remove(&refresh);
        self.begun.insert(refresh.clone(), now_ms);
        Next::Now(refresh)
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Does none wait?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refresh(tenant: &str, target: &str) -> Refresh {
        let site = Site { scheme: "http", authority: "api.example".into() };
        Refresh { tenant: Some(tenant.into()), site, target: target.into() }
    }

    #[test]
    fn the_first_write_refreshes_at_once_and_those_within_a_second_once_more_at_its_end() {
        let (mut refreshes, one) = (Refreshes::default(), refresh("a", "/1"));
        assert_eq!(refreshes.ask(&one, 5_000), Asked::Planned);
        assert_eq!(refreshes.next(5_000), Next::Now(one.clone()));
        assert_eq!(refreshes.ask(&one, 5_100), Asked::Planned);
        assert_eq!(refreshes.ask(&one, 5_900), Asked::Joined);
        assert_eq!(refreshes.next(5_900), Next::In(100));
        assert_eq!(refreshes.next(6_000), Next::Now(one.clone()));
        assert_eq!((refreshes.next(6_000), refreshes.is_empty()), (Next::Nothing, true));
        assert_eq!(refreshes.ask(&one, 9_000), Asked::Planned);
        assert_eq!(refreshes.next(9_000), Next::Now(one));
    }

    #[test]
    fn tenants_and_targets_do_not_wait_for_each_other() {
        let mut refreshes = Refreshes::default();
        for one in [refresh("a", "/1"), refresh("b", "/1"), refresh("a", "/2")] {
            assert_eq!(refreshes.ask(&one, 1), Asked::Planned);
        }
        let firsts: Vec<Next> = (0..3).map(|_| refreshes.next(1)).collect();
        assert!(firsts.iter().all(|next| matches!(next, Next::Now(_))), "{firsts:?}");
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut refreshes = Refreshes::default();
        for number in 0..WAITING_MAX {
            assert_eq!(refreshes.ask(&refresh("a", &number.to_string()), 1), Asked::Planned);
        }
        assert_eq!(refreshes.ask(&refresh("a", "more"), 1), Asked::Full);
        assert_eq!((refreshes.ask(&refresh("a", "7"), 1), refreshes.len()), (Asked::Joined, WAITING_MAX));
    }
}
