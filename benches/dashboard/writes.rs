//! What indexes cost: time and log of writes, and bytes.

use crate::measure::median;
use crate::standing::{Standing, one, run};
use anyhow::Result;
use serde_json::{Value, json};
use tidegate::base::Clock;
use tidegate::companion::postgres;

/// Each is done so often; the middle one counts.
const TIMES: usize = 5;

/// What is written: rows like those that were there last, and users who log in.
const WRITES: &[(&str, &str)] = &[
    (
        "insert 20,000 rows of activity",
        "INSERT INTO activity_log (organization_id, user_id, activity_type, entity_type, entity_id, summary, metadata, created_at)
         SELECT organization_id, user_id, activity_type, entity_type, entity_id, summary, metadata, now()
         FROM activity_log ORDER BY id DESC LIMIT 20000",
    ),
    (
        "insert 20,000 sessions",
        "INSERT INTO user_sessions (organization_id, user_id, started_at, last_seen_at, ip, user_agent)
         SELECT organization_id, user_id, now(), now(), ip, user_agent FROM user_sessions ORDER BY id DESC LIMIT 20000",
    ),
    (
        "insert 5,000 pieces of content",
        "INSERT INTO educational_content (organization_id, author_id, title, description, content_type, status)
         SELECT organization_id, author_id, title, description, content_type, status FROM educational_content LIMIT 5000",
    ),
    (
        "update 10,000 last_login_at",
        "UPDATE users SET last_login_at = now() WHERE id IN (SELECT id FROM logged_in)",
    ),
    (
        "update 10,000 view_count",
        "UPDATE educational_content SET view_count = view_count + 1 WHERE id IN (SELECT id FROM viewed)",
    ),
];

/// What a write takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Write {
    ms: f64,
    wal_mb: f64,
}

/// Each of [`WRITES`], rolled back, so that the next one finds the same.
pub(crate) async fn measure(standing: &mut Standing) -> Result<Vec<Write>> {
    let some = |table: &str, of: &str| {
        format!("CREATE TEMPORARY TABLE {table} AS SELECT id FROM {of} ORDER BY md5(id::text) LIMIT 10000")
    };
    run(&mut standing.session, &[some("logged_in", "users"), some("viewed", "educational_content")]).await?;
    run(&mut standing.session, &["ANALYZE logged_in", "ANALYZE viewed"]).await?;
    let mut writes = Vec::new();
    for (_, sql) in WRITES {
        // The first one also writes the pages' images after the last checkpoint, as each first one does.
        let mut measured = Vec::new();
        for _ in 0..TIMES {
            measured.push(write(standing, sql).await?);
            run(&mut standing.session, &["VACUUM"]).await?;
        }
        writes.push(Write {
            ms: median(measured.iter().map(|write| write.ms)),
            wal_mb: median(measured.iter().map(|write| write.wal_mb)),
        });
    }
    run(&mut standing.session, &["DROP TABLE logged_in, viewed", "VACUUM ANALYZE"]).await?;
    Ok(writes)
}

async fn write(standing: &mut Standing, sql: &str) -> Result<Write> {
    run(&mut standing.session, &["BEGIN"]).await?;
    let from = one(&mut standing.session, "SELECT pg_current_wal_insert_lsn()").await?;
    let began = standing.clock.monotonic();
    run(&mut standing.session, &[sql]).await?;
    let took = standing.clock.monotonic() - began;
    let written = format!("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '{from}')");
    let bytes: f64 = one(&mut standing.session, &written).await?.parse()?;
    run(&mut standing.session, &["ROLLBACK"]).await?;
    Ok(Write { ms: took.as_secs_f64() * 1e3, wal_mb: bytes / 1e6 })
}

/// Prints both, and gives them as JSON.
pub(crate) fn print(before: &[Write], after: &[Write]) -> Value {
    println!("\nwrites, median of {TIMES}              without: ms    log MB     with: ms    log MB");
    let line = |((name, _), (before, after)): (&(&str, &str), (&Write, &Write))| {
        println!(
            "  {name:<36} {:>9.0} {:>9.1} {:>12.0} {:>9.1}",
            before.ms, before.wal_mb, after.ms, after.wal_mb
        );
        json!({"write": name, "before_ms": before.ms, "before_wal_mb": before.wal_mb, "after_ms": after.ms,
            "after_wal_mb": after.wal_mb})
    };
    WRITES.iter().zip(before.iter().zip(after)).map(line).collect()
}

/// Bytes of tables, of primary keys and of our indexes.
pub(crate) async fn sizes(standing: &mut Standing) -> Result<Value> {
    let session = &mut standing.session;
    let ours: Vec<String> = postgres::steps()
        .iter()
        .filter(|step| step.is_index())
        .map(|step| format!("'{}'", step.name))
        .collect();
    let of = |filter: String| {
        format!(
            "SELECT coalesce(sum(pg_relation_size(indexrelid)), 0) FROM pg_stat_user_indexes WHERE {filter}"
        )
    };
    let tables = one(session, "SELECT sum(pg_table_size(relid)) FROM pg_stat_user_tables").await?;
    let keys = one(session, &of(format!("indexrelname NOT IN ({})", ours.join(",")))).await?;
    let indexes = one(session, &of(format!("indexrelname IN ({})", ours.join(",")))).await?;
    let mb = |text: &str| text.parse::<f64>().map(|bytes| bytes / 1e6);
    let (tables, keys, indexes) = (mb(&tables)?, mb(&keys)?, mb(&indexes)?);
    println!(
        "\ntables {tables:.0} MB, primary keys {keys:.0} MB, the {} indexes {indexes:.0} MB",
        ours.len()
    );
    Ok(json!({"tables_mb": tables, "primary_keys_mb": keys, "indexes_mb": indexes}))
}
