//! Migrations on SQLite: each step is a transaction that nobody else writes beside.

use crate::base::{Clock, SystemClock};
use crate::companion::data::fault::DatabaseFault;
use crate::companion::data::migrations::{Due, Known, Migrated, Migration, Outcome, Plan, Standing};
use crate::companion::data::sqlite::{BEGIN, Sqlite, steps};
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Row};

const LEDGER: &str = "CREATE TABLE IF NOT EXISTS tidegate_migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, \
    checksum TEXT NOT NULL, applied_at INTEGER NOT NULL DEFAULT (unixepoch() * 1000000), took_ms INTEGER NOT NULL) STRICT";
const LEDGER_EXISTS: &str =
    "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'tidegate_migrations'";
const NOTE: &str = "INSERT INTO tidegate_migrations (version, name, checksum, took_ms) VALUES (?1, ?2, ?3, ?4) \
    ON CONFLICT (version) DO UPDATE SET applied_at = excluded.applied_at, took_ms = excluded.took_ms";

impl Sqlite {
    pub(in crate::companion) async fn plan(&self) -> Result<Plan, DatabaseFault> {
        let mut connection = self.pool.acquire().await.map_err(|error| self.fault("opening it", &error))?;
        self.compare(&mut connection).await
    }

    pub(in crate::companion) async fn migrate(
        &self,
        told: &mut (dyn FnMut(&Outcome) + Send),
    ) -> Result<Migrated, DatabaseFault> {
        let opening = |error: sqlx::Error| self.fault("opening it", &error);
        let mut connection = self.pool.acquire().await.map_err(opening)?;
        sqlx::raw_sql(LEDGER).execute(&mut *connection).await.map_err(opening)?;
        let done = self.compare(&mut connection).await?.done;
        let mut migrated = Migrated { outcomes: Vec::new(), done };
        while let Some(outcome) = self.next(&mut connection).await? {
            told(&outcome);
            migrated.outcomes.push(outcome);
        }
        sqlx::raw_sql("PRAGMA optimize").execute(&mut *connection).await.map_err(opening)?;
        Ok(migrated)
    }

    /// Does the first step that is due. Another instance may have done some since the last look.
    async fn next(&self, connection: &mut SqliteConnection) -> Result<Option<Outcome>, DatabaseFault> {
        let failed = |error: sqlx::Error| self.fault("migrating", &error);
        let clock = SystemClock::new();
        let mut transaction = connection.begin_with(BEGIN).await.map_err(failed)?;
        let Some((step, due)) = self.compare(&mut transaction).await?.due.into_iter().next() else {
            return Ok(None);
        };
        let failed =
            |error: sqlx::Error| self.fault(&format!("migration {} ({})", step.version, step.name), &error);
        if due != Due::Adopt {
            sqlx::raw_sql(step.sql).execute(&mut *transaction).await.map_err(failed)?;
        }
        note(&step, &clock).execute(&mut *transaction).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(Some(Outcome { step, due, took_ms: clock.monotonic_ms(), failed: None }))
    }

    async fn compare(&self, connection: &mut SqliteConnection) -> Result<Plan, DatabaseFault> {
        let failed = |error: sqlx::Error| self.fault("reading what was migrated", &error);
        let mut known = Known::default();
        if sqlx::query(LEDGER_EXISTS).fetch_optional(&mut *connection).await.map_err(failed)?.is_some() {
            let rows = sqlx::query("SELECT version, checksum FROM tidegate_migrations");
            for row in rows.fetch_all(&mut *connection).await.map_err(failed)? {
                let version: i64 = row.try_get("version").map_err(failed)?;
                let version = u32::try_from(version).unwrap_or(u32::MAX);
                known.applied.insert(version, row.try_get("checksum").map_err(failed)?);
            }
        }
        let rows = sqlx::query(include_str!("queries/standing.sql")).fetch_all(connection).await;
        for row in rows.map_err(failed)? {
            known.indexes.insert(row.try_get("key").map_err(failed)?, Standing::Valid);
        }
        Plan::of(steps(), &known, &self.place)
    }
}

fn note<'q>(
    step: &'q Migration,
    clock: &SystemClock,
) -> sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments<'q>> {
    let took_ms = i64::try_from(clock.monotonic_ms()).unwrap_or(i64::MAX);
    sqlx::query(NOTE).bind(i64::from(step.version)).bind(step.name).bind(step.checksum()).bind(took_ms)
}
