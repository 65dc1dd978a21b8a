//! Migrations on a PostgreSQL that may be in use: indexes are built without keeping anybody from writing.

use crate::base::{Clock, SystemClock};
use crate::companion::data::fault::{DatabaseFault, FaultKind};
use crate::companion::data::migrations::{Due, Known, Migrated, Migration, Outcome, Plan, Standing};
use crate::companion::data::postgres::{Postgres, steps};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Row};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Whoever migrates holds this advisory lock. The number says nothing; it is the same in every version.
const LOCK: i64 = 0x7469_6465_6761_7465;

/// How often another instance is asked whether it is done.
const LOCK_POLL: Duration = Duration::from_millis(250);

/// Tables are made and changed within this time or not at all: who waits for a lock makes everybody else wait behind it.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '5s'";

const LEDGER: &str = "CREATE TABLE IF NOT EXISTS tidegate_migrations (version bigint PRIMARY KEY, name text NOT NULL, \
    checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now(), took_ms bigint NOT NULL)";
const LEDGER_EXISTS: &str = "SELECT to_regclass('tidegate_migrations') IS NOT NULL AS found";
const NOTE: &str = "INSERT INTO tidegate_migrations (version, name, checksum, took_ms) VALUES ($1, $2, $3, $4) \
    ON CONFLICT (version) DO UPDATE SET applied_at = now(), took_ms = excluded.took_ms";

impl Postgres {
    pub(in crate::companion) async fn plan(&self) -> Result<Plan, DatabaseFault> {
        let mut connection =
            self.server.pool.acquire().await.map_err(|error| self.fault("connecting", &error))?;
        self.compare(&mut connection).await
    }

    pub(in crate::companion) async fn migrate(
        &self,
        told: &mut (dyn FnMut(&Outcome) + Send),
    ) -> Result<Migrated, DatabaseFault> {
        // One connection for all: the lock belongs to its session, and goes with it should we be killed.
        let pooled = self.server.pool.acquire().await.map_err(|error| self.fault("connecting", &error))?;
        let mut connection = pooled.detach();
        self.lock(&mut connection).await?;
        let done = self.migrate_locked(&mut connection, told).await;
        // The session ends here, and the lock with it, whatever came of it.
        drop(connection.close().await);
        done
    }

    /// Waits until nobody else migrates. Asks again and again: `CREATE INDEX CONCURRENTLY` of the other would wait for the
    /// end of a statement that waits for the lock.
    async fn lock(&self, connection: &mut PgConnection) -> Result<(), DatabaseFault> {
        let doing = "waiting for another instance that migrates";
        loop {
            let asked = sqlx::query("SELECT pg_try_advisory_lock($1) AS got").bind(LOCK);
            let row = asked.fetch_one(&mut *connection).await.map_err(|error| self.fault(doing, &error))?;
            if row.try_get::<bool, _>("got").map_err(|error| self.fault(doing, &error))? {
                return Ok(());
            }
            tokio::time::sleep(LOCK_POLL).await;
        }
    }

    async fn migrate_locked(
        &self,
        connection: &mut PgConnection,
        told: &mut (dyn FnMut(&Outcome) + Send),
    ) -> Result<Migrated, DatabaseFault> {
        self.run(connection, "making the table of migrations", LEDGER).await?;
        let plan = self.compare(connection).await?;
        let mut migrated = Migrated { outcomes: Vec::new(), done: plan.done };
        let mut touched = BTreeSet::new();
        for (step, due) in plan.due {
            let clock = SystemClock::new();
            let is_index = step.is_index();
            let applied = if is_index {
                self.build(connection, &step, due, &clock).await
            } else {
                self.apply(connection, &step, &clock).await
            };
            // Without a table nothing after it makes sense. Indexes stand alone.
            if !is_index && applied.is_err() {
                applied?;
                break;
            }
            if is_index && due != Due::Adopt && applied.is_ok() {
                touched.insert(step.table());
            }
            let failed = applied.err().map(|fault| fault.to_string());
            let outcome = Outcome { step, due, took_ms: clock.monotonic_ms(), failed };
            told(&outcome);
            migrated.outcomes.push(outcome);
        }
        for table in touched {
            // An index on an expression has statistics only after this.
            self.run(connection, "gathering statistics", &format!("ANALYZE {table}")).await?;
        }
        Ok(migrated)
    }

    /// A step that is applied whole or not at all.
    async fn apply(
        &self,
        connection: &mut PgConnection,
        step: &Migration,
        clock: &SystemClock,
    ) -> Result<(), DatabaseFault> {
        let doing = format!("migration {} ({})", step.version, step.name);
        let failed = |error: sqlx::Error| self.fault(&doing, &error);
        let mut transaction = connection.begin().await.map_err(failed)?;
        sqlx::raw_sql(LOCK_TIMEOUT).execute(&mut *transaction).await.map_err(failed)?;
        sqlx::raw_sql(step.sql).execute(&mut *transaction).await.map_err(failed)?;
        note(step, clock).execute(&mut *transaction).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    /// An index, outside of any transaction. What a broken-off attempt has left is taken away first.
    async fn build(
        &self,
        connection: &mut PgConnection,
        step: &Migration,
        due: Due,
        clock: &SystemClock,
    ) -> Result<(), DatabaseFault> {
        let doing = format!("index {}", step.name);
        let drop_it = format!("DROP INDEX CONCURRENTLY IF EXISTS {}", step.name);
        if due == Due::Repair {
            self.run(connection, &doing, &drop_it).await?;
        }
        if due != Due::Adopt {
            let built = self.run(connection, &doing, step.sql).await;
            if built.is_err() && self.indexes(connection).await?.get(&step.key()) == Some(&Standing::Invalid)
            {
                // It would cost every write and serve no query.
                self.run(connection, &doing, &drop_it).await?;
            }
            built?;
            if self.indexes(connection).await?.get(&step.key()) != Some(&Standing::Valid) {
                let says = format!("the name {} belongs to an index of another table", step.name);
                let remedy = "rename that one (`ALTER INDEX … RENAME TO …`)";
                return Err(DatabaseFault::new(FaultKind::Refused, &self.server.place, &doing, says, remedy));
            }
        }
        note(step, clock).execute(connection).await.map_err(|error| self.fault(&doing, &error))?;
        Ok(())
    }

    async fn run(&self, connection: &mut PgConnection, doing: &str, sql: &str) -> Result<(), DatabaseFault> {
        let done = sqlx::raw_sql(sql).execute(connection).await;
        done.map(drop).map_err(|error| self.fault(doing, &error))
    }

    async fn compare(&self, connection: &mut PgConnection) -> Result<Plan, DatabaseFault> {
        let doing = "reading what was migrated";
        let failed = |error: sqlx::Error| self.fault(doing, &error);
        let found = sqlx::query(LEDGER_EXISTS).fetch_one(&mut *connection).await.map_err(failed)?;
        let mut known = Known::default();
        if found.try_get("found").map_err(failed)? {
            let rows = sqlx::query("SELECT version, checksum FROM tidegate_migrations");
            for row in rows.fetch_all(&mut *connection).await.map_err(failed)? {
                let version: i64 = row.try_get("version").map_err(failed)?;
                let version = u32::try_from(version).unwrap_or(u32::MAX);
                known.applied.insert(version, row.try_get("checksum").map_err(failed)?);
            }
        }
        known.indexes = self.indexes(connection).await?;
        Plan::of(steps(), &known, &self.server.place)
    }

    /// The indexes of our schema, each under its table.
    async fn indexes(
        &self,
        connection: &mut PgConnection,
    ) -> Result<BTreeMap<String, Standing>, DatabaseFault> {
        let failed = |error: sqlx::Error| self.fault("looking at the indexes", &error);
        let rows = sqlx::query(include_str!("queries/standing.sql")).fetch_all(connection).await;
        let standing = |row: &sqlx::postgres::PgRow| {
            let standing = if row.try_get("is_valid")? { Standing::Valid } else { Standing::Invalid };
            Ok((row.try_get("key")?, standing))
        };
        rows.map_err(failed)?.iter().map(standing).collect::<Result<_, _>>().map_err(failed)
    }
}

fn note<'q>(
    step: &'q Migration,
    clock: &SystemClock,
) -> sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments> {
    let took_ms = i64::try_from(clock.monotonic_ms()).unwrap_or(i64::MAX);
    sqlx::query(NOTE).bind(i64::from(step.version)).bind(step.name).bind(step.checksum()).bind(took_ms)
}
