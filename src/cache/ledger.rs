//! The ledger of purges: decides whether an entry that was born at some point has been purged since. Pure.
//!
//! All purges of a store stand in one order: each has a number greater than those before it, close to the microsecond in
//! which it was made. An entry carries the number up to which its filler had read the ledger **before** it asked the origin
//! (its birth), so a purge during a fetch reaches the answer of that fetch. Purging costs the same for one entry and for a
//! million, and nothing is searched for.
//!
//! A ledger that lost something says so: entries born before its floor are good no more. So what is forgotten makes entries
//! invalid and never brings one back.

use crate::cache::glob;
use crate::cache::label::{Label, Names, number, number_of, tenant_number};
use crate::cache::purge::{Mode, Purge, What, Whose};
use std::collections::HashMap;

/// How long an entry may live, in microseconds: purges are kept as long. 30 days.
pub const LIFE_MAX_US: u64 = 30 * 24 * 3_600 * 1_000_000;

/// Patterns that are looked at one by one; the oldest beyond it purge all of their tenant and namespace instead.
pub const GLOBS_MAX: usize = 256;

/// What the ledger says of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// No purge since its birth concerns it.
    Valid,
    /// Purged softly: it expired at this wall millisecond.
    Expired {
        /// When.
        at_ms: u64,
    },
    /// Purged.
    Gone,
}

/// Numbers of the last purges of one name.
#[derive(Debug, Clone, Copy, Default)]
struct Last {
    soft: u64,
    hard: u64,
}

impl Last {
    fn set(&mut self, mode: Mode, number: u64) {
        let place = match mode {
            Mode::Soft => &mut self.soft,
            Mode::Hard => &mut self.hard,
        };
        *place = (*place).max(number);
    }
}

/// A name that may be purged: tenant, namespace (`None`: each) and what of them.
type Subject = (Option<u64>, Option<u64>, u64);

#[derive(Debug, Clone)]
struct Pattern {
    at: u64,
    purge: Purge,
    glob: String,
}

/// The ledger.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    read_to: u64,
    /// The greatest number that was noted; above `read_to` while some before it are missing.
    newest: u64,
    floor: u64,
    subjects: HashMap<Subject, Last>,
    written: HashMap<u32, u64>,
    patterns: Vec<Pattern>,
}

impl Ledger {
    /// Up to which number it has been read: the birth of what is fetched from now on.
    #[must_use]
    pub fn read_to(&self) -> u64 {
        self.read_to
    }

    /// Does it begin earlier than `floor`?
    #[must_use]
    pub fn is_below(&self, floor: u64) -> bool {
        self.floor < floor
    }

    /// How many names, buckets and patterns it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.subjects.len() + self.written.len() + self.patterns.len()
    }

    /// Has nothing been purged?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many patterns are looked at for each entry.
    #[must_use]
    pub fn patterns(&self) -> usize {
        self.patterns.len()
    }

    /// Takes down a purge with its number. Purges may come twice and in any order.
    pub fn note(&mut self, at: u64, purge: &Purge) {
        self.newest = self.newest.max(at);
        let whose = match &purge.whose {
            Whose::All => None,
            Whose::Nobody => Some(tenant_number(None)),
            Whose::Tenant(tenant) => Some(tenant_number(Some(tenant))),
        };
        let namespace = purge.namespace.as_deref().map(|name| number_of("namespace", name));
        match &purge.what {
            What::Written(bucket) => {
                let place = self.written.entry(*bucket).or_default();
                *place = (*place).max(at);
            }
            What::Glob(glob) => self.note_pattern(at, purge, glob),
            what => self.subjects.entry((whose, namespace, number(what))).or_default().set(purge.mode, at),
        }
    }

    fn note_pattern(&mut self, at: u64, purge: &Purge, glob: &str) {
        match self.patterns.iter_mut().find(|known| known.purge == *purge) {
            Some(known) => known.at = known.at.max(at),
            None => self.patterns.push(Pattern { at, purge: purge.clone(), glob: glob.to_owned() }),
        }
        if self.patterns.len() > GLOBS_MAX {
            let oldest = self.patterns.iter().enumerate().min_by_key(|(_, pattern)| pattern.at);
            if let Some((place, _)) = oldest {
                let Pattern { at, purge, .. } = self.patterns.swap_remove(place);
                self.note(at, &Purge { what: What::All, ..purge });
            }
        }
    }

    /// Everything up to `read_to` has been noted, and nothing is known before `floor`. What is older than any entry may be
    /// is forgotten.
    pub fn advance(&mut self, read_to: u64, floor: u64) {
        self.read_to = self.read_to.max(read_to);
        self.floor = self.floor.max(floor);
        self.forget_to(self.read_to.saturating_sub(LIFE_MAX_US));
    }

    /// Forgets purges up to this number. Entries that one of them might have concerned are below the floor then.
    fn forget_to(&mut self, number: u64) {
        let mut floor = self.floor;
        let mut stays = |at: u64| {
            let stays = at > number;
            if !stays {
                floor = floor.max(at);
            }
            stays
        };
        self.subjects.retain(|_, last| stays(last.hard.max(last.soft)));
        self.written.retain(|_, at| stays(*at));
        self.patterns.retain(|pattern| stays(pattern.at));
        self.floor = floor;
    }

    /// Has an entry been purged since its birth?
    #[must_use]
    pub fn judge(&self, birth: u64, label: &Label, names: &Names) -> Standing {
        if birth < self.floor {
            return Standing::Gone;
        }
        if self.newest <= birth {
            return Standing::Valid;
        }
        let mut last = Last::default();
        for whose in [None, Some(names.tenant)] {
            for namespace in [None, Some(names.namespace)] {
                for what in &names.whats {
                    if let Some(found) = self.subjects.get(&(whose, namespace, *what)) {
                        last.set(Mode::Soft, found.soft);
                        last.set(Mode::Hard, found.hard);
                    }
                }
            }
        }
        last.set(Mode::Hard, self.written.get(&names.bucket).copied().unwrap_or(0));
        for pattern in self.patterns.iter().filter(|pattern| pattern.at > birth) {
            if concerns(&pattern.purge, label) && glob::matches(&pattern.glob, &label.target) {
                last.set(pattern.purge.mode, pattern.at);
            }
        }
        match last {
            Last { hard, .. } if hard > birth => Standing::Gone,
            Last { soft, .. } if soft > birth => Standing::Expired { at_ms: soft / 1_000 },
            _ => Standing::Valid,
        }
    }
}

/// Is the entry of the tenant and namespace that the purge names?
fn concerns(purge: &Purge, label: &Label) -> bool {
    let whose = match &purge.whose {
        Whose::All => true,
        Whose::Nobody => label.tenant.is_none(),
        Whose::Tenant(tenant) => label.tenant.as_deref() == Some(tenant),
    };
    whose && purge.namespace.as_deref().is_none_or(|name| *name == *label.namespace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::label::bucket;
    use proptest::prelude::*;

    fn label(tenant: &str, namespace: &str, target: &str, tag: &str) -> Label {
        Label {
            tenant: Some(tenant).filter(|name| !name.is_empty()).map(Into::into),
            namespace: namespace.into(),
            origin: "http://api.example".to_owned(),
            target: target.to_owned(),
            tags: Some(tag.to_owned()).filter(|tag| !tag.is_empty()).into_iter().collect(),
        }
    }

    fn judge(ledger: &Ledger, birth: u64, label: &Label) -> Standing {
        ledger.judge(birth, label, &label.names())
    }

    fn purge(whose: Whose, namespace: Option<&str>, what: What) -> Purge {
        Purge { mode: Mode::Hard, whose, namespace: namespace.map(str::to_owned), what }
    }

    fn after(list: &[Purge]) -> Ledger {
        let mut ledger = Ledger::default();
        for (purge, at) in list.iter().zip(1_000_u64..) {
            ledger.note(at, purge);
            ledger.advance(at, 0);
        }
        ledger
    }

    #[test]
    fn a_purge_meets_what_it_names_and_nothing_else() {
        let acme = || Whose::Tenant("acme".to_owned());
        let one = label("acme", "content", "/a/b?x=1", "t");
        for (purge, expected) in [
            (purge(Whose::All, None, What::All), Standing::Gone),
            (purge(acme(), None, What::All), Standing::Gone),
            (purge(Whose::Nobody, None, What::All), Standing::Valid),
            (purge(Whose::Tenant("other".to_owned()), None, What::All), Standing::Valid),
            (purge(acme(), Some("content"), What::All), Standing::Gone),
            (purge(acme(), Some("metrics"), What::All), Standing::Valid),
            (purge(Whose::All, None, What::Tag("t".to_owned())), Standing::Gone),
            (purge(Whose::All, None, What::Tag("u".to_owned())), Standing::Valid),
            (purge(Whose::All, None, What::Path("/a/b".to_owned())), Standing::Gone),
            (purge(Whose::All, None, What::Path("/a/b?x=1".to_owned())), Standing::Gone),
            (purge(Whose::All, None, What::Path("/a/b?x=2".to_owned())), Standing::Valid),
            (purge(Whose::All, None, What::prefix("/a/")), Standing::Gone),
            (purge(Whose::All, None, What::prefix("/b/")), Standing::Valid),
            (purge(Whose::All, None, What::prefix("/a/b?")), Standing::Gone),
            (purge(acme(), Some("content"), What::Glob("/*/b?x=*".to_owned())), Standing::Gone),
            (purge(Whose::Nobody, None, What::Glob("*".to_owned())), Standing::Valid),
            (purge(Whose::All, Some("metrics"), What::Glob("*".to_owned())), Standing::Valid),
            (purge(Whose::All, None, What::Written(bucket(Some("acme"), "/a/b"))), Standing::Gone),
            (purge(Whose::All, None, What::Written(bucket(None, "/a/b"))), Standing::Valid),
        ] {
            let ledger = after(std::slice::from_ref(&purge));
            assert_eq!(judge(&ledger, 999, &one), expected, "{purge:?}");
            assert_eq!(judge(&ledger, 1_000, &one), Standing::Valid, "born after {purge:?}");
        }
    }

    #[test]
    fn soft_says_when_and_hard_outweighs_it() {
        let one = label("acme", "content", "/a", "");
        let soft = Purge { mode: Mode::Soft, ..purge(Whose::All, None, What::All) };
        let ledger = after(std::slice::from_ref(&soft));
        assert_eq!(judge(&ledger, 999, &one), Standing::Expired { at_ms: 1 });
        for order in
            [[soft.clone(), purge(Whose::All, None, What::All)], [purge(Whose::All, None, What::All), soft]]
        {
            let ledger = after(&order);
            assert_eq!(judge(&ledger, 999, &one), Standing::Gone);
        }
    }

    #[test]
    fn a_purge_that_came_before_those_in_front_of_it_counts_at_once() {
        let mut ledger = Ledger::default();
        ledger.advance(1_000, 0);
        ledger.note(1_002, &purge(Whose::All, None, What::All));
        assert_eq!(
            (ledger.read_to(), judge(&ledger, 1_000, &label("", "n", "/", ""))),
            (1_000, Standing::Gone)
        );
    }

    #[test]
    fn what_was_born_below_the_floor_is_gone_and_what_is_forgotten_lifts_the_floor() {
        let one = label("acme", "content", "/a", "");
        let mut ledger = Ledger::default();
        ledger.advance(5_000, 4_000);
        assert_eq!(
            (judge(&ledger, 3_999, &one), judge(&ledger, 4_000, &one)),
            (Standing::Gone, Standing::Valid)
        );
        ledger.note(6_000, &purge(Whose::Tenant("other".to_owned()), None, What::All));
        ledger.advance(6_001 + LIFE_MAX_US, 0);
        assert!(ledger.is_empty());
        assert_eq!(
            (judge(&ledger, 5_999, &one), judge(&ledger, 6_000, &one)),
            (Standing::Gone, Standing::Valid)
        );
    }

    #[test]
    fn too_many_patterns_purge_more_and_never_less() {
        let patterns: Vec<Purge> = (0..=GLOBS_MAX)
            .map(|n| purge(Whose::Tenant("acme".to_owned()), None, What::Glob(format!("/{n}"))))
            .collect();
        let ledger = after(&patterns);
        assert_eq!(ledger.patterns(), GLOBS_MAX);
        assert_eq!(judge(&ledger, 999, &label("acme", "n", "/0", "")), Standing::Gone);
        assert_eq!(
            judge(&ledger, 999, &label("acme", "n", "/other", "")),
            Standing::Gone,
            "the price of room"
        );
        assert_eq!(judge(&ledger, 1_000, &label("acme", "n", "/0", "")), Standing::Valid);
        assert_eq!(judge(&ledger, 999, &label("other", "n", "/0", "")), Standing::Valid);
    }

    prop_compose! {
        fn purges()(
            mode in prop::sample::select(vec![Mode::Soft, Mode::Hard]),
            tenant in "[ab]?",
            whose in 0..3,
            namespace in prop::option::of("[mn]"),
            kind in 0..6,
            name in "[ab]",
        ) -> Purge {
            let whose = match whose { 0 => Whose::All, 1 => Whose::Nobody, _ => Whose::Tenant(tenant.clone()) };
            let path = format!("/{name}");
            let what = match kind {
                0 => What::All,
                1 => What::Tag(name),
                2 => What::Path(path),
                3 => What::Prefix(format!("{path}/")),
                4 => What::Glob(format!("*{name}*")),
                _ => What::Written(bucket(Some(tenant.as_str()).filter(|name| !name.is_empty()), &path)),
            };
            Purge { mode, whose, namespace, what }
        }
    }

    prop_compose! {
        fn labels()(tenant in "[ab]?", namespace in "[mn]", target in "/[ab](/[ab])?", tag in "[ab]?") -> Label {
            label(&tenant, &namespace, &target, &tag)
        }
    }

    /// Does the purge name the entry? Word for word.
    fn names(purge: &Purge, label: &Label) -> bool {
        let named = match &purge.what {
            What::All => true,
            What::Tag(tag) => label.tags.contains(tag),
            What::Path(path) => label.target == *path,
            What::Prefix(prefix) => label.target.starts_with(prefix.as_str()),
            What::Glob(glob) => glob::matches(glob, &label.target),
            What::Written(number) => return *number == bucket(label.tenant.as_deref(), &label.target),
        };
        named && concerns(purge, label)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]
        #[test]
        fn nothing_that_was_purged_comes_back(
            list in prop::collection::vec(purges(), 0..12),
            entries in prop::collection::vec((labels(), 0..14_u64), 1..8),
            forgotten in 0..14_u64,
            order in Just((0..12_usize).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let mut whole = Ledger::default();
            let mut lossy = Ledger::default();
            for place in order {
                if let Some(purge) = list.get(place) {
                    let at = u64::try_from(place).expect("small") + 1;
                    whole.note(at, purge);
                    lossy.note(at, purge);
                }
            }
            whole.advance(12, 0);
            lossy.advance(12, 0);
            lossy.forget_to(forgotten);
            for (label, birth) in &entries {
                let later = list.iter().zip(1_u64..).filter(|(purge, at)| at > birth && names(purge, label));
                let (mut hard, mut soft) = (false, false);
                for (purge, _) in later {
                    // A write always removes.
                    let is_hard = purge.mode == Mode::Hard || matches!(purge.what, What::Written(_));
                    if is_hard { hard = true } else { soft = true }
                }
                let said = judge(&whole, *birth, label);
                prop_assert_eq!(said == Standing::Gone, hard);
                prop_assert_eq!(matches!(said, Standing::Expired { .. }), soft && !hard);
                let careful = judge(&lossy, *birth, label);
                prop_assert!(careful == said || careful == Standing::Gone);
            }
        }
    }
}
