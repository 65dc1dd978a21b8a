//! `EXPLAIN (ANALYZE)` of every question, again and again.

use crate::asked::{Asked, Form};
use crate::plan::Plan;
use crate::standing::{Standing, run};
use anyhow::{Context, Result};
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgConnection;
use std::collections::BTreeSet;

/// A question is asked so often, the first time to warm up.
const TIMES: std::ops::RangeInclusive<usize> = 3..=15;
/// Slow ones are not asked any more after so much time.
const ENOUGH_MS: f64 = 400.0;
/// Slower ones are asked once: nobody wants to know them exactly.
const SLOW_MS: f64 = 1_000.0;
/// A roll-up changes something, and is rolled back each time.
const ROLL_UPS: usize = 5;

/// What was measured of a question; times are medians.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figure {
    pub(crate) ms: f64,
    pub(crate) planning_ms: f64,
    pub(crate) blocks: u64,
    /// Large tables that were read as a whole.
    pub(crate) scanned: Vec<String>,
    pub(crate) indexes: BTreeSet<String>,
}

impl Figure {
    fn of(plans: &[Plan]) -> Self {
        let mut scanned: Vec<String> =
            plans.iter().flat_map(|plan| plan.large().into_iter().map(str::to_owned)).collect();
        scanned.sort();
        scanned.dedup();
        Self {
            ms: median(plans.iter().map(|plan| plan.execution_ms)),
            planning_ms: median(plans.iter().map(|plan| plan.planning_ms)),
            blocks: plans.last().map_or(0, |plan| plan.blocks),
            scanned,
            indexes: plans.iter().flat_map(|plan| plan.indexes.clone()).collect(),
        }
    }
}

/// The middle one.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// One figure for each of `asked`.
pub(crate) async fn all(standing: &mut Standing, asked: &[Asked]) -> Result<Vec<Figure>> {
    let mut roll_ups = roll_ups(&mut standing.session, asked).await?.into_iter();
    let mut figures = Vec::new();
    for question in asked {
        figures.push(if question.is_roll_up() {
            roll_ups.next().context("a roll-up was not measured")?
        } else {
            figure(&mut standing.session, question).await?
        });
    }
    Ok(figures)
}

async fn figure(session: &mut PgConnection, asked: &Asked) -> Result<Figure> {
    let first = explain(session, asked).await?;
    let mut spent_ms = first.execution_ms;
    if spent_ms > SLOW_MS {
        return Ok(Figure::of(&[first]));
    }
    let mut plans = Vec::new();
    while plans.len() < *TIMES.start() || plans.len() < *TIMES.end() && spent_ms < ENOUGH_MS {
        let plan = explain(session, asked).await?;
        spent_ms += plan.execution_ms;
        plans.push(plan);
    }
    Ok(Figure::of(&plans))
}

/// The steps of a roll-up, each in the state that the ones before it have made.
async fn roll_ups(session: &mut PgConnection, asked: &[Asked]) -> Result<Vec<Figure>> {
    let steps: Vec<&Asked> = asked.iter().filter(|question| question.is_roll_up()).collect();
    let mut plans: Vec<Vec<Plan>> = steps.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROLL_UPS {
        run(session, &["BEGIN"]).await?;
        for (step, plans) in steps.iter().zip(&mut plans) {
            plans.push(explain(session, step).await?);
        }
        run(session, &["ROLLBACK"]).await?;
    }
    Ok(plans.iter().map(|plans| Figure::of(plans)).collect())
}

async fn explain(session: &mut PgConnection, asked: &Asked) -> Result<Plan> {
    let sql = match &asked.form {
        Form::Own(question) => question.postgres(),
        Form::Catalogue(sql) => sql,
    };
    let text = format!("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {sql}");
    let query = sqlx::query(&text).persistent(false);
    let query = match &asked.form {
        Form::Own(question) => question.bind(query),
        Form::Catalogue(_) => query,
    };
    let row = query.fetch_one(session).await.with_context(|| asked.to_string())?;
    // JSON in the binary format is its text.
    let plan: String = row.try_get_unchecked(0)?;
    let plan: Value = serde_json::from_str(&plan)?;
    Ok(Plan::of(&plan))
}
