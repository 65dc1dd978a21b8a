//! Before and after: does every question gain enough, does every index serve one, is no large table read as a whole?

use crate::asked::{Asked, Size};
use crate::measure::{Figure, median};
use std::collections::BTreeSet;
use tidegate::companion::postgres;

/// Every question is to lose at least this part of its time.
pub(crate) const CUT: f64 = 0.5;

/// Questions that indexes cannot make faster, and why; a question is meant by how its name begins.
const EXEMPT: &[(&str, &str)] = &[
    ("S4 ", BY_KEY),
    ("S4b ", BY_KEY),
    ("rollup_forget_users", BY_KEY),
    ("rollup_forget_days", BY_KEY),
    ("tenant_zone", BY_KEY),
    ("rolled_days", BY_KEY),
    ("rolled_users", BY_KEY),
    ("lease", "reads one row of a table of a few"),
    ("mark", "reads one row of a table of a few"),
    ("oldest_organization", "reads a row of every tenant, whatever there is"),
    ("zones", "reads a row of every tenant, whatever there is"),
    ("any_organization", "reads one row, whichever"),
];

const BY_KEY: &str = "reads by the primary key, which stands before too";

/// A question before and after.
pub(crate) struct Pair {
    pub(crate) group: &'static str,
    pub(crate) name: String,
    pub(crate) size: Size,
    pub(crate) before: Figure,
    pub(crate) after: Figure,
}

impl Pair {
    /// Which part of its time is gone.
    pub(crate) fn cut(&self) -> f64 {
        if self.before.ms > 0.0 { 1.0 - self.after.ms / self.before.ms } else { 0.0 }
    }

    /// Why it is not judged.
    pub(crate) fn exempt(&self) -> Option<&'static str> {
        EXEMPT.iter().find(|(name, _)| self.name.starts_with(name)).map(|(_, reason)| *reason)
    }
}

/// What many pairs come to.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    pub(crate) pairs: usize,
    pub(crate) before_ms: f64,
    pub(crate) after_ms: f64,
    pub(crate) least: f64,
    pub(crate) median: f64,
}

impl Sum {
    /// Of those that are judged.
    pub(crate) fn of(pairs: &[&Pair]) -> Self {
        let judged: Vec<&Pair> = pairs.iter().copied().filter(|pair| pair.exempt().is_none()).collect();
        Self {
            pairs: judged.len(),
            before_ms: judged.iter().map(|pair| pair.before.ms).sum(),
            after_ms: judged.iter().map(|pair| pair.after.ms).sum(),
            least: judged.iter().map(|pair| pair.cut()).fold(1.0, f64::min),
            median: median(judged.iter().map(|pair| pair.cut())),
        }
    }

    /// Which part of the time of all is gone.
    pub(crate) fn cut(&self) -> f64 {
        if self.before_ms > 0.0 { 1.0 - self.after_ms / self.before_ms } else { 0.0 }
    }
}

pub(crate) fn pairs(asked: &[Asked], before: &[Figure], after: &[Figure]) -> Vec<Pair> {
    let figures = before.iter().zip(after);
    let pair = |(asked, (before, after)): (&Asked, (&Figure, &Figure))| Pair {
        group: asked.group,
        name: asked.name.clone(),
        size: asked.size,
        before: before.clone(),
        after: after.clone(),
    };
    asked.iter().zip(figures).map(pair).collect()
}

/// Everything that is not as it should be.
pub(crate) fn faults(pairs: &[Pair]) -> Vec<String> {
    let mut faults = Vec::new();
    for pair in pairs {
        let who = format!("{} ({})", pair.name, pair.size.as_str());
        if pair.cut() < CUT && pair.exempt().is_none() {
            let (before, after) = (pair.before.ms, pair.after.ms);
            faults.push(format!("{who}: {before:.3} ms became {after:.3} ms, less than half is gone"));
        }
        if !pair.after.scanned.is_empty() {
            faults.push(format!("{who}: reads {} as a whole", pair.after.scanned.join(", ")));
        }
    }
    let used: BTreeSet<&String> = pairs.iter().flat_map(|pair| &pair.after.indexes).collect();
    let steps = postgres::steps();
    let unused = steps.iter().filter(|step| step.is_index() && !used.iter().any(|name| *name == step.name));
    faults.extend(unused.map(|step| format!("index {}: no question uses it", step.name)));
    faults
}
