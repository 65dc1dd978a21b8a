//! What comes of the figures: questions that are asked together, and what grows with what.

use crate::asked::Size;
use crate::verdict::Pair;
use serde_json::{Value, json};

/// The companion's questions of the first page, all of them for one tenant.
const FIRST_PAGE: &[&str] =
    &["users", "content_by_status", "content_by_type", "sessions", "online", "completions"];

/// Prints comparisons, and gives them as JSON.
pub(crate) fn print(pairs: &[Pair]) -> Value {
    let of =
        |name: &str, size: Size| pairs.iter().find(|pair| pair.name.starts_with(name) && pair.size == size);
    let after = |name: &str, size: Size| of(name, size).map_or(0.0, |pair| pair.after.ms);
    println!("\nms                                       large  middling     small");
    let line = |name: &str, ms: &dyn Fn(Size) -> f64| {
        let cells: Vec<f64> = Size::TENANTS.iter().map(|size| ms(*size)).collect();
        let text: String = cells.iter().map(|ms| format!("{ms:>10.3}")).collect();
        println!("  {name:<34}{text}");
        json!({"what": name, "ms": cells})
    };
    let page = |size: Size, ms: fn(&Pair) -> f64| {
        pairs
            .iter()
            .filter(|pair| pair.size == size && FIRST_PAGE.contains(&pair.name.as_str()))
            .map(ms)
            .sum()
    };
    json!([
        line("the first page's figures, before", &|size| page(size, |pair| pair.before.ms)),
        line("the first page's figures, after", &|size| page(size, |pair| pair.after.ms)),
        line("a year of sessions, counted", &|size| after("engagement, 365 days", size)),
        line("the same from the roll-up", &|size| after("S4b ", size)),
        line("the feed's first page", &|size| after("activity", size)),
        line("the feed 300 days back", &|size| after("activity, 300 days back", size)),
        line("a page by OFFSET 5000", &|size| after("A5 ", size)),
    ])
}
