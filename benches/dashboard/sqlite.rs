//! The companion's own questions on SQLite, on the same data.

use crate::asked::Size;
use crate::measure::median;
use crate::standing::{drops, migrate, open};
use anyhow::Result;
use serde_json::{Value, json};
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use tidegate::base::{Clock, SystemClock};
use tidegate::companion::questions::{Asker, Part, Question, questions};
use tidegate::companion::{Database, SeedAsked, sqlite};

/// A question is asked so often, the first time to warm up; a slow one once.
const TIMES: usize = 9;
const SLOW_MS: f64 = 500.0;

/// Fills a file and asks, without and with indexes; `askers` are those of PostgreSQL, since a seed makes the same
/// tenants everywhere.
pub(crate) async fn measure(scale: &SeedAsked, askers: &[(Size, Asker)]) -> Result<Value> {
    let folder = tempfile::tempdir()?;
    let url = format!("sqlite:{}", folder.path().join("bench.db").display());
    let database = open(&url).await?;
    migrate(&database).await?;
    let (dropped, kept) = drops(&sqlite::steps());
    run(&url, &dropped).await?;
    database.seed(scale, &mut |_, _| {}).await?;
    run(&url, &kept).await?;
    run(&url, &["ANALYZE".to_owned()]).await?;
    let asked: Vec<(Size, Question)> =
        askers.iter().flat_map(|(size, asker)| own(asker).map(|question| (*size, question))).collect();
    let before = times(&database, &asked).await?;
    migrate(&database).await?;
    run(&url, &["ANALYZE".to_owned()]).await?;
    let after = times(&database, &asked).await?;
    database.close().await;
    let bytes = std::fs::metadata(folder.path().join("bench.db"))?.len();
    let asked: Vec<(Size, &str)> = asked.iter().map(|(size, question)| (*size, question.name)).collect();
    Ok(print(&asked, &before, &after, bytes))
}

fn own(asker: &Asker) -> impl Iterator<Item = Question> {
    questions(asker).into_iter().filter(|question| !matches!(question.part, Part::RollUp | Part::Other))
}

async fn run(url: &str, statements: &[String]) -> Result<()> {
    let mut connection = SqliteConnection::connect(url).await?;
    for statement in statements {
        sqlx::raw_sql(statement).execute(&mut connection).await?;
    }
    Ok(connection.close().await?)
}

/// Milliseconds of each, with the way to the file's thread and back.
async fn times(database: &Database, asked: &[(Size, Question)]) -> Result<Vec<f64>> {
    let clock = SystemClock::new();
    let mut medians = Vec::new();
    for (_, question) in asked {
        let mut times = Vec::new();
        while times.len() <= TIMES && times.first().is_none_or(|first| *first < SLOW_MS) {
            let began = clock.monotonic();
            question.rows(database).await?;
            times.push((clock.monotonic() - began).as_secs_f64() * 1e3);
        }
        let warm = if times.len() > 1 { 1 } else { 0 };
        medians.push(median(times.into_iter().skip(warm)));
    }
    Ok(medians)
}

fn print(asked: &[(Size, &str)], before: &[f64], after: &[f64], bytes: u64) -> Value {
    println!("\nSQLite, {:.0} MB, ms before → after", bytes as f64 / 1e6);
    let all: Vec<(Size, &str, f64, f64)> = asked
        .iter()
        .zip(before.iter().zip(after))
        .map(|((size, name), (before, after))| (*size, *name, *before, *after))
        .collect();
    for (_, name, ..) in all.iter().filter(|(size, ..)| *size == Size::Large) {
        let same = all.iter().filter(|(_, other, ..)| other == name);
        let cells: Vec<String> = same
            .map(|(_, _, before, after)| {
                let times = format!("{before:.3} → {after:.3}");
                format!("{times:>19} {:>5.1} %", (1.0 - after / before) * 100.0)
            })
            .collect();
        println!("  {name:<34} {}", cells.join(" | "));
    }
    let entry = |(size, name, before, after): &(Size, &str, f64, f64)| json!({"question": name, "tenant": size.as_str(), "before_ms": before, "after_ms": after});
    json!({"bytes": bytes, "questions": all.iter().map(entry).collect::<Value>()})
}
