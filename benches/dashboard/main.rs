//! What the indexes of the dashboard's database are worth, and what they cost.
//!
//! `cargo bench --bench dashboard` starts a PostgreSQL of its own, fills it with more than a million rows of 200 tenants,
//! and asks every question of the companion and of the catalogue for a large, a middling and a small tenant: with
//! primary keys alone, then with all indexes, under the planner as it is. Then what writing costs with and without them,
//! and the companion's questions on SQLite. It ends with 1 where a question gains less than half, an index serves no
//! question, or a large table is read as a whole. `-- --quick` is a smoke run on fewer rows, which judges nothing;
//! `-- --json FILE` writes the figures.

#![expect(clippy::print_stdout, reason = "a bench prints what it found")]
#![expect(clippy::cast_precision_loss, reason = "counts, bytes and times of a short run stay far below 2^53")]

mod asked;
mod extras;
mod measure;
mod plan;
mod report;
mod server;
mod sqlite;
mod standing;
mod verdict;
mod writes;

use crate::asked::Size;
use crate::standing::Standing;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> Result<ExitCode> {
    let options = Options::read()?;
    // One thread: the server ends with the one that has started it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (figures, faults) = runtime.block_on(run(&options))?;
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&figures)?;
        std::fs::write(path, text + "\n").with_context(|| path.display().to_string())?;
    }
    if options.quick {
        println!("\nA smoke run: so few rows are often read as a whole, and nothing is judged.");
        return Ok(ExitCode::SUCCESS);
    }
    faults.iter().for_each(|fault| println!("FAULT: {fault}"));
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn run(options: &Options) -> Result<(Value, Vec<String>)> {
    let scale = standing::scale(options.quick);
    let mut standing = Standing::start(&scale).await?;
    let mut askers = Vec::new();
    for size in Size::TENANTS {
        askers.push((size, asked::asker(&mut standing, size).await?));
    }
    let asked = asked::all(&mut standing, &askers).await?;

    let before = measure::all(&mut standing, &asked).await?;
    let writes_before = writes::measure(&mut standing).await?;
    standing.index().await?;
    let after = measure::all(&mut standing, &asked).await?;
    let pairs = verdict::pairs(&asked, &before, &after);
    report::table(&pairs);
    let extras = extras::print(&pairs);
    let writes = writes::print(&writes_before, &writes::measure(&mut standing).await?);
    let sizes = writes::sizes(&mut standing).await?;
    standing.database.close().await;

    let sqlite = sqlite::measure(&scale, &askers).await?;
    let faults = verdict::faults(&pairs);
    let figures = json!({
        "server": standing.version, "rows": standing.rows, "postgres": report::json(&pairs), "extras": extras,
        "writes": writes, "bytes": sizes, "sqlite": sqlite, "faults": faults,
    });
    Ok((figures, faults))
}

/// What was said on the command line.
struct Options {
    quick: bool,
    json: Option<PathBuf>,
}

impl Options {
    fn read() -> Result<Self> {
        let mut options = Self { quick: false, json: None };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--quick" => options.quick = true,
                "--json" => options.json = Some(words.next().context("--json wants a file")?.into()),
                // Cargo says so by itself.
                "--bench" => {}
                other => bail!("`{other}` is no option: --quick, --json FILE"),
            }
        }
        Ok(options)
    }
}
