//! How the indexes are doing: those of this version, and those that somebody else has made.

use crate::companion::data::database::Database;
use crate::companion::data::fault::DatabaseFault;
use crate::companion::data::migrations::{Category, Migration};
use crate::companion::data::row::{Ask, Row, dialects};
use crate::companion::data::{postgres, sqlite};
use serde::Serialize;

/// Whether an index earns what it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexState {
    /// This version wants it, and it is not there.
    Missing,
    /// It is written to and never read: building it was broken off.
    Invalid,
    /// Nobody has read it since the figures began.
    Unused,
    /// Somebody has.
    Used,
    /// It is there; the database does not count who reads it.
    Unknown,
}

impl IndexState {
    /// Its name, as JSON has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Invalid => "invalid",
            Self::Unused => "unused",
            Self::Used => "used",
            Self::Unknown => "unknown",
        }
    }
}

/// One index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IndexReport {
    /// Its name.
    pub name: String,
    /// Its table.
    pub table: String,
    /// `None`: it is not one of this version's.
    pub category: Option<Category>,
    /// What it is for, where it is one of this version's.
    pub purpose: Option<&'static str>,
    /// How it is doing.
    pub state: IndexState,
    /// How often it was read since the figures began; `None`: nobody counts.
    pub scans: Option<i64>,
    /// Bytes; `None`: nobody knows.
    pub bytes: Option<i64>,
    /// Does it keep a rule, such as a primary key? It is not to be dropped then, used or not.
    pub is_constraint: bool,
}

impl Database {
    /// All indexes of the schema, by table and name, the missing ones too.
    ///
    /// # Errors
    /// [`DatabaseFault`].
    pub async fn indexes(&self) -> Result<Vec<IndexReport>, DatabaseFault> {
        let steps = match self {
            Self::Postgres(_) => postgres::steps(),
            Self::Sqlite(_) => sqlite::steps(),
        };
        let wanted: Vec<Migration> = steps.into_iter().filter(Migration::is_index).collect();
        let rows = self.rows(&Ask::new("looking at the indexes", dialects!("indexes"), Vec::new())).await?;
        let mut reports = rows
            .iter()
            .map(|row| report(row, &wanted))
            .collect::<Result<Vec<IndexReport>, DatabaseFault>>()?;
        for step in &wanted {
            if !reports.iter().any(|found| found.name == step.name && found.table == step.table()) {
                reports.push(missing(step));
            }
        }
        reports.sort_by(|one, other| (&one.table, &one.name).cmp(&(&other.table, &other.name)));
        Ok(reports)
    }
}

fn report(row: &Row, wanted: &[Migration]) -> Result<IndexReport, DatabaseFault> {
    let (name, table) = (row.text("name")?, row.text("table_name")?);
    let step = wanted.iter().find(|step| step.name == name && step.table() == table);
    let scans = row.maybe_integer("scans")?;
    let state = match (row.integer("is_valid")?, scans) {
        (0, _) => IndexState::Invalid,
        (_, None) => IndexState::Unknown,
        (_, Some(0)) => IndexState::Unused,
        (_, Some(_)) => IndexState::Used,
    };
    Ok(IndexReport {
        name,
        table,
        category: step.map(|step| step.category),
        purpose: step.map(|step| step.purpose),
        state,
        scans,
        bytes: row.maybe_integer("bytes")?,
        is_constraint: row.integer("is_constraint")? != 0,
    })
}

fn missing(step: &Migration) -> IndexReport {
    IndexReport {
        name: step.name.to_owned(),
        table: step.table().to_owned(),
        category: Some(step.category),
        purpose: Some(step.purpose),
        state: IndexState::Missing,
        scans: None,
        bytes: None,
        is_constraint: step.category == Category::Unique,
    }
}
