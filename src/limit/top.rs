//! Who is seen most, out of any number of identities, in bounded room: the space-saving algorithm (Metwally, Agrawal
//! and El Abbadi, "Efficient computation of frequent and top-k elements in data streams", ICDT 2005).
//!
//! When all places are taken, a newcomer takes that of the least seen and inherits its count, as an overestimate that is
//! told. Whoever was seen more often than the n-th part of all times, of n places, is in the list for certain.

use crate::limit::subject::Subject;
use crate::limit::verdict::LimitKey;
use hashbrown::HashTable;
use std::sync::Arc;

/// One of the most seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The log.
    pub key: LimitKey,
    /// Whose it is.
    pub subject: Arc<Subject>,
    /// How often it was seen, at most.
    pub count: u64,
    /// By how much `count` may be too high.
    pub overestimate: u64,
}

/// A row with its place in [`Top::rows_of`], which stays when the row moves.
#[derive(Debug)]
struct Row {
    seen: Seen,
    number: usize,
}

/// The most seen pairs of policy and identity.
#[derive(Debug)]
pub struct Top {
    /// By count, the highest first.
    rows: Vec<Row>,
    /// The number of each known log, by [`hash`].
    numbers: HashTable<usize>,
    /// Where the row of each number stands now: a row that moves costs no hashing.
    rows_of: Vec<usize>,
    places: usize,
}

impl Top {
    /// A list with so many places, at least one.
    #[must_use]
    pub fn new(places: usize) -> Self {
        Self { rows: Vec::new(), numbers: HashTable::new(), rows_of: Vec::new(), places: places.max(1) }
    }

    /// Counts one more time.
    pub fn record(&mut self, key: &LimitKey, subject: &Arc<Subject>) {
        let hash = hash(key);
        let at = self.place(hash, key).unwrap_or_else(|| self.admit(hash, key, subject));
        self.raise(at);
    }

    /// Where the row of a log stands.
    fn place(&self, hash: u64, key: &LimitKey) -> Option<usize> {
        let row_at = |number: &usize| self.rows_of.get(*number).copied();
        let is_its = |number: &usize| {
            row_at(number).and_then(|at| self.rows.get(at)).is_some_and(|row| row.seen.key == *key)
        };
        self.numbers.find(hash, is_its).and_then(row_at)
    }

    /// Gives a newcomer a place at the end and returns where that is.
    fn admit(&mut self, key_hash: u64, key: &LimitKey, subject: &Arc<Subject>) -> usize {
        let newcomer = |least: u64| Seen {
            key: key.clone(),
            subject: Arc::clone(subject),
            count: least,
            overestimate: least,
        };
        let mut at = self.rows.len();
        let number = if at < self.places {
            self.rows.push(Row { seen: newcomer(0), number: at });
            self.rows_of.push(at);
            at
        } else {
            at = at.saturating_sub(1);
            let Some(last) = self.rows.last_mut() else { return at };
            if let Ok(entry) = self.numbers.find_entry(hash(&last.seen.key), |number| *number == last.number)
            {
                entry.remove();
            }
            last.seen = newcomer(last.seen.count);
            last.number
        };
        let Self { numbers, rows, rows_of, .. } = self;
        let rehash = |number: &usize| {
            rows_of.get(*number).and_then(|at| rows.get(*at)).map_or(0, |row| hash(&row.seen.key))
        };
        numbers.insert_unique(key_hash, number, rehash);
        at
    }

    /// One more for the row at `at`: it changes places with the first of its equals, so that the order holds.
    fn raise(&mut self, at: usize) {
        let Some(count) = self.rows.get(at).map(|row| row.seen.count) else { return };
        let first = self.rows.partition_point(|row| row.seen.count > count);
        self.rows.swap(first, at);
        for place in [at, first] {
            let Some(row) = self.rows.get(place) else { continue };
            if let Some(now) = self.rows_of.get_mut(row.number) {
                *now = place;
            }
        }
        if let Some(row) = self.rows.get_mut(first) {
            row.seen.count = row.seen.count.saturating_add(1);
        }
    }

    /// The most that somebody who is not in the list can have been seen.
    fn unseen_max(&self) -> u64 {
        let is_full = self.rows.len() >= self.places;
        self.rows.last().filter(|_| is_full).map_or(0, |row| row.seen.count)
    }

    fn find(&self, key: &LimitKey) -> Option<&Seen> {
        self.rows.get(self.place(hash(key), key)?).map(|row| &row.seen)
    }

    /// The `count` most seen of two lists together, the highest count first.
    #[must_use]
    pub fn most(&self, other: &Self, count: usize) -> Vec<Seen> {
        let only_theirs = other.rows.iter().filter(|row| self.find(&row.seen.key).is_none());
        let mut all: Vec<Seen> = self
            .rows
            .iter()
            .map(|row| (row, other))
            .chain(only_theirs.map(|row| (row, self)))
            .map(|(row, beside)| {
                let unseen = beside.unseen_max();
                let (more, over) = beside
                    .find(&row.seen.key)
                    .map_or((unseen, unseen), |seen| (seen.count, seen.overestimate));
                Seen {
                    count: row.seen.count.saturating_add(more),
                    overestimate: row.seen.overestimate.saturating_add(over),
                    ..row.seen.clone()
                }
            })
            .collect();
        all.sort_by(|left, right| {
            right.count.cmp(&left.count).then(left.overestimate.cmp(&right.overestimate))
        });
        all.truncate(count);
        all
    }
}

/// An identity is a digest, so a part of it is hash enough; whoever makes parts alike slows one list of some hundred
/// rows down to a walk over them.
fn hash(key: &LimitKey) -> u64 {
    let identity = u64::from_le_bytes(key.identity.head());
    key.policy
        .bytes()
        .fold(identity, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn someone(name: &str) -> (LimitKey, Arc<Subject>) {
        let subject = Subject::parse(&format!("user:{name}")).expect("an identity");
        (LimitKey { identity: subject.digest(), policy: "p".into() }, Arc::new(subject))
    }

    fn record(top: &mut Top, name: &str, times: u32) {
        let (key, subject) = someone(name);
        (0..times).for_each(|_| top.record(&key, &subject));
    }

    fn names(list: &[Seen]) -> Vec<(String, u64, u64)> {
        list.iter().map(|seen| (seen.subject.value.to_string(), seen.count, seen.overestimate)).collect()
    }

    #[test]
    fn a_list_with_room_is_exact() {
        let mut top = Top::new(4);
        for (name, times) in [("a", 3), ("b", 9), ("c", 1), ("a", 4)] {
            record(&mut top, name, times);
        }
        let list = top.most(&Top::new(4), 2);
        assert_eq!(names(&list), [("b".to_owned(), 9, 0), ("a".to_owned(), 7, 0)]);
    }

    #[test]
    fn a_newcomer_takes_the_place_of_the_least_seen_and_says_so() {
        let mut top = Top::new(2);
        for (name, times) in [("a", 5), ("b", 2), ("c", 1)] {
            record(&mut top, name, times);
        }
        let list = top.most(&Top::new(2), 9);
        assert_eq!(names(&list), [("a".to_owned(), 5, 0), ("c".to_owned(), 3, 2)]);
    }

    #[test]
    fn two_lists_are_added_up_and_the_absent_may_have_been_seen() {
        let (mut old, mut young) = (Top::new(2), Top::new(2));
        for (name, times) in [("a", 5), ("b", 2)] {
            record(&mut old, name, times);
        }
        record(&mut young, "a", 1);
        record(&mut young, "c", 4);
        let list = young.most(&old, 9);
        assert_eq!(
            names(&list),
            [("a".to_owned(), 6, 0), ("c".to_owned(), 6, 2), ("b".to_owned(), 3, 1)],
            "`c` may have been seen twice before, `b` once since"
        );
    }

    proptest! {
        #[test]
        fn counts_are_never_too_low_and_too_high_by_no_more_than_is_told(stream in prop::collection::vec(0_u8..40, 0..600)) {
            let mut top = Top::new(8);
            let mut exact: HashMap<String, u64> = HashMap::new();
            for who in &stream {
                record(&mut top, &who.to_string(), 1);
                *exact.entry(who.to_string()).or_default() += 1;
            }
            let list = top.most(&Top::new(8), 100);
            prop_assert!(list.len() <= 8);
            prop_assert!(list.iter().zip(list.iter().skip(1)).all(|(left, right)| left.count >= right.count));
            for seen in &list {
                let truth = exact[&*seen.subject.value];
                prop_assert!(seen.count >= truth && seen.count - seen.overestimate <= truth);
            }
            let total = u64::try_from(stream.len()).expect("small");
            for (name, _) in exact.iter().filter(|(_, count)| **count > total / 8) {
                prop_assert!(list.iter().any(|seen| *seen.subject.value == **name), "{name} was seen often");
            }
        }
    }
}
