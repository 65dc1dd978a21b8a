//! `dashboard indexes`: which indexes there are, and which earn what they cost.

use std::collections::BTreeMap;

use serde_json::json;

use crate::app::dashboard::Printed;
use crate::app::table::table;
use crate::base::DatabaseSettings;
use crate::base::units::format_size;
use crate::companion::{Access, Database, IndexReport, IndexState};

pub(super) async fn run(settings: &DatabaseSettings, json: bool) -> anyhow::Result<Printed> {
    let database = Database::open(settings, Access::Read).await?;
    let indexes = database.indexes().await;
    database.close().await;
    let (place, indexes) = (database.place().to_owned(), indexes?);
    let data = if json {
        format!("{:#}\n", json!({"database": place, "states": states(&indexes), "indexes": indexes}))
    } else {
        text(&place, &indexes)
    };
    Ok(Printed { data, failure: None })
}

fn states(indexes: &[IndexReport]) -> BTreeMap<&'static str, usize> {
    let mut states = BTreeMap::new();
    for index in indexes {
        *states.entry(index.state.as_str()).or_insert(0) += 1;
    }
    states
}

fn text(place: &str, indexes: &[IndexReport]) -> String {
    let unknown = || "-".to_owned();
    let row = |index: &IndexReport| {
        vec![
            index.table.clone(),
            index.name.clone(),
            index.category.map_or("other", crate::companion::Category::as_str).to_owned(),
            index.state.as_str().to_owned(),
            index.scans.map_or_else(unknown, |scans| scans.to_string()),
            index.bytes.and_then(|bytes| u64::try_from(bytes).ok()).map_or_else(unknown, size),
        ]
    };
    let rows: Vec<Vec<String>> = indexes.iter().map(row).collect();
    let told: Vec<String> = states(indexes).iter().map(|(state, count)| format!("{count} {state}")).collect();
    let mut text = format!("{place}: {} indexes: {}\n", indexes.len(), told.join(", "));
    text += &table(&["TABLE", "INDEX", "CATEGORY", "STATE", "SCANS", "SIZE"], &rows);
    if indexes.iter().any(|index| matches!(index.state, IndexState::Missing | IndexState::Invalid)) {
        text += "`tidegate dashboard migrate` builds what is missing or invalid\n";
    }
    text
}

/// Rounded to what is read at a glance.
fn size(bytes: u64) -> String {
    format_size(if bytes < 10 << 20 { bytes >> 10 << 10 } else { bytes >> 20 << 20 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_stands_out_and_unknown_figures_are_not_invented() {
        let index = |name: &str, state, scans, bytes| IndexReport {
            name: name.to_owned(),
            table: "users".to_owned(),
            category: None,
            purpose: None,
            state,
            scans,
            bytes,
            is_constraint: false,
        };
        let told = text(
            "here",
            &[
                index("a", IndexState::Missing, None, None),
                index("b", IndexState::Used, Some(7), Some(16_384)),
            ],
        );
        assert!(told.starts_with("here: 2 indexes: 1 missing, 1 used\n"), "{told}");
        assert!(told.contains("users  a      other     missing  -      -\n"), "{told}");
        assert!(told.contains("used     7      16KiB\n"), "{told}");
        assert!(told.ends_with("builds what is missing or invalid\n"), "{told}");
    }
}
