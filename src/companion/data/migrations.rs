//! The steps from an empty database to the one that this version needs: what they are, which are due, what came of them.
//!
//! sqlx's own runner is not used: it puts steps into transactions or not by a comment, knows nothing of an index that a
//! broken `CREATE INDEX CONCURRENTLY` has left invalid, and waits for its lock in one statement, for which such an index
//! would wait in turn.

use crate::base::Digester;
use crate::companion::data::fault::{DatabaseFault, FaultKind};
use serde::Serialize;
use std::collections::BTreeMap;

/// What a step is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Tables.
    Schema,
    /// Indexes for what must be there once.
    Unique,
    /// Indexes that begin with the tenant.
    Tenant,
    /// Indexes for all tenants' rows by time.
    Timestamp,
    /// Indexes for the few rows that wait for something.
    Queue,
    /// Indexes that deletions look at, from the other side of a reference.
    ForeignKey,
    /// Indexes for words and parts of words.
    Search,
    /// Indexes for what is to be purged.
    SoftDelete,
}

impl Category {
    const NAMES: &[(&str, Self)] = &[
        ("schema", Self::Schema),
        ("unique", Self::Unique),
        ("tenant", Self::Tenant),
        ("timestamp", Self::Timestamp),
        ("queue", Self::Queue),
        ("foreign_key", Self::ForeignKey),
        ("search", Self::Search),
        ("soft_delete", Self::SoftDelete),
    ];

    /// Its name, as JSON has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Its place in the order; never given twice.
    pub version: u32,
    /// What it is about.
    pub category: Category,
    /// Its name; that of the index where it makes one.
    pub name: &'static str,
    /// What it is for, in words.
    pub purpose: &'static str,
    /// What it says.
    pub sql: &'static str,
}

impl Migration {
    /// Does it make an index?
    #[must_use]
    pub fn is_index(&self) -> bool {
        self.category != Category::Schema
    }

    /// By what an applied step is known to be this one.
    #[must_use]
    pub fn checksum(&self) -> String {
        Digester::new("tidegate migration 1").part(self.sql.trim().as_bytes()).finish().short()
    }

    /// As [`Known::indexes`] names its index: a name alone may belong to an index of another table.
    #[must_use]
    pub(super) fn key(&self) -> String {
        format!("{}.{}", self.table(), self.name)
    }

    /// The table of the index.
    #[must_use]
    pub fn table(&self) -> &'static str {
        let after = self.sql.split_once(" ON ").map_or("", |(_, rest)| rest);
        after.split([' ', '(']).next().unwrap_or("")
    }
}

/// Reads steps: each begins with `-- migration VERSION CATEGORY NAME: PURPOSE`. What does not is left out, and a test says so.
#[must_use]
pub fn script(texts: &[&'static str]) -> Vec<Migration> {
    let steps = texts.iter().flat_map(|text| text.split("-- migration ").skip(1));
    steps.filter_map(step).collect()
}

fn step(text: &'static str) -> Option<Migration> {
    let (head, sql) = text.split_once('\n')?;
    let (head, purpose) = head.split_once(": ")?;
    let mut words = head.split(' ');
    let (version, category, name) = (words.next()?, words.next()?, words.next()?);
    let (_, category) = Category::NAMES.iter().find(|(known, _)| *known == category)?;
    Some(Migration { version: version.parse().ok()?, category: *category, name, purpose, sql: sql.trim() })
}

/// How an index stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It can be used.
    Valid,
    /// It is written to, but never used: building it was broken off.
    Invalid,
}

/// What a database tells about itself.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Checksums of the steps that were applied, by version.
    pub applied: BTreeMap<u32, String>,
    /// Its indexes as `table.name`.
    pub indexes: BTreeMap<String, Standing>,
}

/// Why a step is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Due {
    /// It was never applied.
    New,
    /// The index is there, but was never noted: it is noted now.
    Adopt,
    /// The index is there, but invalid: it is built anew.
    Repair,
    /// The index was dropped after it had been made.
    Missing,
}

/// What is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// In this order.
    pub due: Vec<(Migration, Due)>,
    /// Steps that need nothing.
    pub done: usize,
}

impl Plan {
    /// For a database that does not exist: everything.
    #[must_use]
    pub fn of_nothing(steps: Vec<Migration>) -> Self {
        Self { due: steps.into_iter().map(|step| (step, Due::New)).collect(), done: 0 }
    }

    /// Compares what is known with what this build wants.
    pub(super) fn of(steps: Vec<Migration>, known: &Known, place: &str) -> Result<Self, DatabaseFault> {
        let refuse = |says: String, remedy: &str| {
            Err(DatabaseFault::new(FaultKind::Refused, place, "comparing migrations", says, remedy))
        };
        if let Some((newer, _)) =
            known.applied.iter().find(|(v, _)| !steps.iter().any(|step| step.version == **v))
        {
            let says =
                format!("migration {newer} was applied, and this version of Tidegate does not know it");
            return refuse(says, "use the version that applied it, or a newer one");
        }
        let mut plan = Self { due: Vec::new(), done: 0 };
        for step in steps {
            let applied = known.applied.get(&step.version);
            if applied.is_some_and(|checksum| *checksum != step.checksum()) {
                let says = format!("migration {} ({}) was applied in another form", step.version, step.name);
                let remedy = "an applied migration never changes: use the version of Tidegate that applied it; if the \
                    database is right as it is, delete the row from `tidegate_migrations`, and it is compared anew";
                return refuse(says, remedy);
            }
            let standing = known.indexes.get(&step.key()).filter(|_| step.is_index());
            match (applied, standing) {
                (_, Some(Standing::Invalid)) => plan.due.push((step, Due::Repair)),
                (None, Some(Standing::Valid)) => plan.due.push((step, Due::Adopt)),
                (None, None) => plan.due.push((step, Due::New)),
                (Some(_), None) if step.is_index() => plan.due.push((step, Due::Missing)),
                (Some(_), _) => plan.done += 1,
            }
        }
        Ok(plan)
    }
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Which.
    pub step: Migration,
    /// Why it was due.
    pub due: Due,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// What went wrong.
    pub failed: Option<String>,
}

/// What came of all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Migrated {
    /// One for each that was due.
    pub outcomes: Vec<Outcome>,
    /// Steps that needed nothing.
    pub done: usize,
}

impl Migrated {
    /// Those that failed.
    pub fn failed(&self) -> impl Iterator<Item = (&Outcome, &str)> {
        self.outcomes.iter().filter_map(|outcome| Some((outcome, outcome.failed.as_deref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::companion::data::{postgres, sqlite};

    const TEXT: &str = "-- migration 1 schema one: first\nCREATE TABLE a (b);\n\n-- migration 2 tenant a_b: b\nCREATE INDEX a_b ON a (b);\n";

    fn known(applied: &[&Migration], indexes: &[(&str, Standing)]) -> Known {
        Known {
            applied: applied.iter().map(|step| (step.version, step.checksum())).collect(),
            indexes: indexes.iter().map(|(name, standing)| ((*name).to_owned(), *standing)).collect(),
        }
    }

    #[test]
    fn every_step_of_both_dialects_is_read_once_and_in_order() {
        for (steps, texts) in [(postgres::steps(), postgres::SCRIPTS), (sqlite::steps(), sqlite::SCRIPTS)] {
            let heads: usize = texts.iter().map(|text| text.matches("-- migration").count()).sum();
            assert_eq!(steps.len(), heads);
            assert!(steps.is_sorted_by(|one, next| one.version < next.version));
            for step in steps.iter().filter(|step| step.is_index()) {
                assert!(step.sql.contains(&format!(" {} ON {}", step.name, step.table())), "{step:?}");
                assert!(step.sql.ends_with(';') && step.sql.matches(';').count() == 1, "{step:?}");
                assert_eq!(step.sql.contains("UNIQUE"), step.category == Category::Unique, "{step:?}");
            }
        }
        let indexes = postgres::steps().iter().filter(|step| step.is_index()).count();
        assert!(indexes > 50, "{indexes}");
        let concurrent =
            |step: &Migration| !step.is_index() || step.sql.contains(" CONCURRENTLY IF NOT EXISTS ");
        assert!(postgres::steps().iter().all(concurrent), "none locks a table against writers");
    }

    #[test]
    fn what_is_due_is_told_by_what_was_applied_and_what_is_there() {
        let steps = script(&[TEXT]);
        let plan = |known: &Known| {
            let plan = Plan::of(script(&[TEXT]), known, "here").expect("sound");
            (plan.due.iter().map(|(step, due)| (step.version, *due)).collect::<Vec<_>>(), plan.done)
        };
        assert_eq!(plan(&Known::default()), (vec![(1, Due::New), (2, Due::New)], 0));
        let valid = [("a.a_b", Standing::Valid)];
        assert_eq!(plan(&known(&[&steps[0], &steps[1]], &valid)), (vec![], 2));
        assert_eq!(plan(&known(&[&steps[0]], &valid)), (vec![(2, Due::Adopt)], 1));
        let invalid = known(&[&steps[0], &steps[1]], &[("a.a_b", Standing::Invalid)]);
        assert_eq!(plan(&invalid), (vec![(2, Due::Repair)], 1));
        assert_eq!(plan(&known(&[&steps[0], &steps[1]], &[])), (vec![(2, Due::Missing)], 1));
    }

    #[test]
    fn a_changed_or_unknown_applied_step_is_refused_with_what_to_do() {
        let mut known = known(&[&script(&[TEXT])[0]], &[]);
        known.applied.insert(1, "another".to_owned());
        let says = Plan::of(script(&[TEXT]), &known, "here").expect_err("changed").to_string();
        assert!(says.contains("migration 1 (one)") && says.contains("tidegate_migrations"), "{says}");
        known.applied = [(9, String::new())].into();
        let says = Plan::of(script(&[TEXT]), &known, "here").expect_err("newer").to_string();
        assert!(says.contains("migration 9") && says.contains("newer"), "{says}");
    }
}
