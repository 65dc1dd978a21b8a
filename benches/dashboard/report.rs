//! The tables that are printed, and the same as JSON.

use crate::asked::Size;
use crate::verdict::{Pair, Sum};
use serde_json::{Value, json};

const GROUPS: &[&str] = &["metrics", "activity", "statistics", "exports", "look-ups", "others", "roll-ups"];

/// A line a question: milliseconds before and after, and the part that is gone, for each size.
pub(crate) fn table(pairs: &[Pair]) {
    println!("ms before → after, blocks before → after, part of the time that is gone");
    for group in GROUPS {
        println!("\n{group}");
        let of_group: Vec<&Pair> = pairs.iter().filter(|pair| pair.group == *group).collect();
        for first in of_group.iter().filter(|pair| matches!(pair.size, Size::Large | Size::All)) {
            let same = of_group.iter().filter(|pair| pair.name == first.name);
            let cells: Vec<String> = same.map(|pair| cell(pair)).collect();
            let name: String = first.name.chars().take(46).collect();
            println!("  {name:<46} {}", cells.join(" | "));
        }
    }
    println!("\n                       questions   before ms    after ms    gone   least  median");
    for group in GROUPS {
        let of_group: Vec<&Pair> = pairs.iter().filter(|pair| pair.group == *group).collect();
        line(group, &Sum::of(&of_group));
    }
    line("all", &Sum::of(&pairs.iter().collect::<Vec<&Pair>>()));
    let planning = |of: fn(&Pair) -> f64| pairs.iter().map(of).sum::<f64>() / pairs.len().max(1) as f64;
    println!(
        "planning, on average: {:.3} ms before, {:.3} ms after",
        planning(|pair| pair.before.planning_ms),
        planning(|pair| pair.after.planning_ms)
    );
    for pair in pairs.iter().filter(|pair| pair.size == Size::Large || pair.size == Size::All) {
        if let Some(reason) = pair.exempt() {
            println!("not judged: {}: {reason}", pair.name);
        }
    }
}

fn cell(pair: &Pair) -> String {
    let times = format!("{:.3} → {:.3}", pair.before.ms, pair.after.ms);
    let blocks = format!("{} → {}", pair.before.blocks, pair.after.blocks);
    format!("{times:>18} {blocks:>15} {:>5.1} %", pair.cut() * 100.0)
}

/// What many pairs come to, in a line.
pub(crate) fn line(name: &str, sum: &Sum) {
    println!(
        "{name:<22} {:>9} {:>11.1} {:>11.1} {:>5.1} % {:>5.1} % {:>5.1} %",
        sum.pairs,
        sum.before_ms,
        sum.after_ms,
        sum.cut() * 100.0,
        sum.least * 100.0,
        sum.median * 100.0
    );
}

/// All pairs.
pub(crate) fn json(pairs: &[Pair]) -> Value {
    let pair = |pair: &Pair| {
        json!({
            "group": pair.group, "question": pair.name, "tenant": pair.size.as_str(),
            "before_ms": pair.before.ms, "after_ms": pair.after.ms, "cut": pair.cut(),
            "before_blocks": pair.before.blocks, "after_blocks": pair.after.blocks,
            "before_planning_ms": pair.before.planning_ms, "after_planning_ms": pair.after.planning_ms,
            "indexes": pair.after.indexes, "not_judged": pair.exempt(),
        })
    };
    pairs.iter().map(pair).collect()
}
