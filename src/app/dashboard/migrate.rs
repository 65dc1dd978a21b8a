//! `dashboard migrate`: what is due, or what came of it.

use serde_json::{Value, json};

use crate::app::dashboard::Printed;
use crate::app::dashboard::progress::Steps;
use crate::app::table::table;
use crate::base::{DatabaseSettings, DatabaseUrl};
use crate::companion::{Access, Database, Due, Migrated, Migration, Outcome, Plan};

pub(super) async fn run(settings: &DatabaseSettings, dry_run: bool, json: bool) -> anyhow::Result<Printed> {
    if dry_run {
        let plan = planned(settings).await?;
        let place = settings.url.to_string();
        let data = if json { plan_json(&place, &plan) } else { plan_text(&place, &plan) };
        return Ok(Printed { data, failure: None });
    }
    let database = Database::open(settings, Access::Change).await?;
    let due = database.plan().await?.due.len();
    let bar = Steps::new(due);
    bar.say("migrating");
    let mut told = |outcome: &Outcome| {
        bar.say(outcome.step.name);
        bar.advance(1);
    };
    let migrated = database.migrate(&mut told).await;
    drop(bar);
    database.close().await;
    let (place, migrated) = (database.place().to_owned(), migrated?);
    let failed: Vec<String> = migrated.failed().map(|(_, says)| says.to_owned()).collect();
    let failure = (!failed.is_empty()).then(|| {
        format!("{} of {} steps failed:\n  {}", failed.len(), migrated.outcomes.len(), failed.join("\n  "))
    });
    let data = if json { migrated_json(&place, &migrated) } else { migrated_text(&place, &migrated) };
    Ok(Printed { data, failure })
}

/// A file that is not there yet is not made by looking.
async fn planned(settings: &DatabaseSettings) -> anyhow::Result<Plan> {
    if let DatabaseUrl::Sqlite(path) = &settings.url
        && !path.exists()
    {
        return Ok(Plan::of_nothing(crate::companion::data::sqlite::steps()));
    }
    let database = Database::open(settings, Access::Read).await?;
    let plan = database.plan().await;
    database.close().await;
    Ok(plan?)
}

fn word(due: Due) -> &'static str {
    match due {
        Due::New => "new",
        Due::Adopt => "adopt",
        Due::Repair => "repair",
        Due::Missing => "missing",
    }
}

fn step_cells(step: &Migration, due: Due) -> Vec<String> {
    [&step.version.to_string(), word(due), step.category.as_str(), step.name].map(str::to_owned).into()
}

fn plan_text(place: &str, plan: &Plan) -> String {
    if plan.due.is_empty() {
        return format!("{place}: nothing to do, {} steps are in place\n", plan.done);
    }
    let rows: Vec<Vec<String>> = plan.due.iter().map(|(step, due)| step_cells(step, *due)).collect();
    let head = format!("{place}: {} steps to do, {} in place\n", plan.due.len(), plan.done);
    head + &table(&["VERSION", "WHY", "CATEGORY", "NAME"], &rows)
}

fn migrated_text(place: &str, migrated: &Migrated) -> String {
    if migrated.outcomes.is_empty() {
        return format!("{place}: nothing to do, {} steps are in place\n", migrated.done);
    }
    let row = |outcome: &Outcome| {
        let mut cells = step_cells(&outcome.step, outcome.due);
        cells.push(outcome.took_ms.to_string());
        cells.push(if outcome.failed.is_some() { "failed" } else { "done" }.to_owned());
        cells
    };
    let rows: Vec<Vec<String>> = migrated.outcomes.iter().map(row).collect();
    let head = format!("{place}: {} steps, {} were in place\n", rows.len(), migrated.done);
    head + &table(&["VERSION", "WHY", "CATEGORY", "NAME", "MS", "RESULT"], &rows)
}

fn step_json(step: &Migration, due: Due) -> Value {
    json!({
        "version": step.version,
        "why": due,
        "category": step.category,
        "name": step.name,
        "purpose": step.purpose,
    })
}

fn plan_json(place: &str, plan: &Plan) -> String {
    let due: Vec<Value> = plan.due.iter().map(|(step, due)| step_json(step, *due)).collect();
    format!("{:#}\n", json!({"database": place, "dry_run": true, "in_place": plan.done, "steps": due}))
}

fn migrated_json(place: &str, migrated: &Migrated) -> String {
    let outcome = |outcome: &Outcome| {
        let mut value = step_json(&outcome.step, outcome.due);
        if let Value::Object(map) = &mut value {
            map.insert("took_ms".to_owned(), Value::from(outcome.took_ms));
            map.insert("failed".to_owned(), json!(outcome.failed));
        }
        value
    };
    let steps: Vec<Value> = migrated.outcomes.iter().map(outcome).collect();
    format!("{:#}\n", json!({"database": place, "dry_run": false, "in_place": migrated.done, "steps": steps}))
}
