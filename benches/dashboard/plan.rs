//! What `EXPLAIN` tells about a question, and the catalogue of named questions; shared with the tests of plans.

use serde_json::Value;
use std::collections::BTreeSet;

/// Tables that stay small whatever happens: a row a tenant.
pub(crate) const SMALL: &[&str] = &["organizations", "companion_marks"];

/// A plan as `EXPLAIN (FORMAT JSON)` tells it; times and blocks with `ANALYZE, BUFFERS`.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Tables that are read as a whole.
    pub(crate) scanned: BTreeSet<String>,
    /// Indexes that are read.
    pub(crate) indexes: BTreeSet<String>,
    /// Time of execution in milliseconds, without planning.
    pub(crate) execution_ms: f64,
    /// Time of planning in milliseconds.
    pub(crate) planning_ms: f64,
    /// Blocks of 8 KiB that were looked at, in memory or not.
    pub(crate) blocks: u64,
}

impl Plan {
    pub(crate) fn of(explained: &Value) -> Self {
        let mut plan = Self::default();
        plan.walk(explained);
        let top = explained.get(0);
        let time = |key: &str| top.and_then(|top| top.get(key)).and_then(Value::as_f64).unwrap_or_default();
        let node = top.and_then(|top| top.get("Plan"));
        let blocks = |key: &str| node.and_then(|node| node.get(key)).and_then(Value::as_u64).unwrap_or(0);
        plan.execution_ms = time("Execution Time");
        plan.planning_ms = time("Planning Time");
        plan.blocks = blocks("Shared Hit Blocks") + blocks("Shared Read Blocks");
        plan
    }

    fn walk(&mut self, node: &Value) {
        match node {
            Value::Object(map) => {
                let word = |key: &str| map.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
                if word("Node Type") == "Seq Scan" {
                    self.scanned.insert(word("Relation Name"));
                }
                if map.contains_key("Index Name") {
                    self.indexes.insert(word("Index Name"));
                }
                map.values().for_each(|inner| self.walk(inner));
            }
            Value::Array(items) => items.iter().for_each(|inner| self.walk(inner)),
            _ => {}
        }
    }

    /// Tables that are read as a whole and do not stay small.
    pub(crate) fn large(&self) -> Vec<&str> {
        let large = self.scanned.iter().map(String::as_str);
        large.filter(|table| !SMALL.contains(table)).collect()
    }
}

/// A question of the catalogue.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) sql: String,
    /// Is it about a tenant or something of a tenant's?
    pub(crate) is_of_tenant: bool,
}

/// What stands for a tenant and what belongs to it in the catalogue, and the statement that finds it; the first is the
/// tenant. `{}` is the tenant.
pub(crate) const PLACES: &[(&str, &str)] = &[
    (":cl", "SELECT id FROM classes WHERE organization_id = {} AND deleted_at IS NULL ORDER BY id LIMIT 1"),
    (":o", "SELECT {}"),
    (":u", "SELECT id FROM users WHERE organization_id = {} AND deleted_at IS NULL ORDER BY id LIMIT 1"),
    (
        ":n",
        "SELECT username FROM users WHERE organization_id = {} AND deleted_at IS NULL ORDER BY id LIMIT 1",
    ),
    (
        ":e",
        "SELECT lower(email) FROM users WHERE organization_id = {} AND deleted_at IS NULL ORDER BY id LIMIT 1",
    ),
    (":s", "SELECT slug FROM organizations WHERE id = {}"),
    (":k", "SELECT key_hash FROM api_keys ORDER BY organization_id = {} DESC, id LIMIT 1"),
    (
        ":c",
        "SELECT id FROM educational_content WHERE organization_id = {} AND deleted_at IS NULL ORDER BY id LIMIT 1",
    ),
    (":l", "SELECT lesson_id FROM lesson_progress WHERE organization_id = {} ORDER BY id LIMIT 1"),
];

/// The catalogue, with what stands in [`PLACES`] filled in: `values` are in the same order.
pub(crate) fn catalogue(values: &[String]) -> Vec<Entry> {
    let text = include_str!("../../src/companion/data/postgres/catalogue.sql");
    let questions = text.split("\n-- ").skip(2);
    let entry = |question: &'static str| {
        let (name, sql) = question.split_once('\n')?;
        let sql = sql.trim().trim_end_matches(';');
        let is_of_tenant = PLACES.iter().any(|(place, _)| sql.contains(&format!("={place}")));
        let filled = PLACES.iter().zip(values).fold(sql.to_owned(), |sql, ((place, _), value)| {
            sql.replace(&format!("={place}"), &format!("='{value}'"))
        });
        Some(Entry { name, sql: filled, is_of_tenant })
    };
    questions.filter_map(entry).collect()
}
