//! A PostgreSQL that is asked: filled with synthetic data, first with primary keys alone, then with all indexes.

use crate::server::Postgres;
use anyhow::{Context, Result, ensure};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Row};
use std::time::Duration;
use tidegate::base::{Clock, DatabaseSettings, DatabaseUrl, SystemClock};
use tidegate::companion::{Access, Database, Migration, SeedAsked, postgres};

/// As for a server with a gigabyte to spare; the planner's own settings are the defaults. No checkpoint falls into what
/// is measured.
const SETTINGS: &[&str] = &[
    "shared_buffers=1GB",
    "max_wal_size=8GB",
    "checkpoint_timeout=1h",
    "autovacuum=off",
    "maintenance_work_mem=256MB",
    "work_mem=16MB",
];

/// Days are counted while the database is filled, which would take hours without these.
const FOR_FILLING: &[&str] = &["users_org_created", "content_org_created", "sessions_org_started"];

/// Tenants that have left, without anything of theirs: a platform has more of them than of those that are there. They are
/// of a time zone of their own, so that nobody counts their days.
const LEFT: &str = "INSERT INTO organizations (name, slug, status, timezone)
    SELECT 'Left ' || n, 'left-' || n, CASE WHEN n % 20 = 0 THEN 'suspended' ELSE 'closed' END, 'Atlantic/Azores'
    FROM generate_series(1, 5000) AS n";

/// How much data.
pub(crate) fn scale(quick: bool) -> SeedAsked {
    let now_us = i64::try_from(SystemClock::new().wall_ms()).unwrap_or(0) * 1_000;
    let (tenants, users_per_tenant, days) = if quick { (40, 50, 100) } else { (200, 200, 400) };
    SeedAsked { tenants, users_per_tenant, days, seed: 7, append: false, now_us }
}

/// Opens a database to change it; no statement is given up.
pub(crate) async fn open(url: &str) -> Result<Database> {
    let url = DatabaseUrl::parse(url).context("no URL of a database")?;
    let statement_timeout = Duration::from_secs(3_600);
    let settings = DatabaseSettings { url, statement_timeout, ..DatabaseSettings::default() };
    Ok(Database::open(&settings, Access::Change).await?)
}

/// Statements that drop indexes: those that filling can do without, and the others.
pub(crate) fn drops(steps: &[Migration]) -> (Vec<String>, Vec<String>) {
    let indexes = steps.iter().filter(|step| step.is_index());
    let (kept, dropped): (Vec<_>, Vec<_>) = indexes.partition(|step| FOR_FILLING.contains(&step.name));
    let text =
        |steps: Vec<&Migration>| steps.iter().map(|step| format!("DROP INDEX {}", step.name)).collect();
    (text(dropped), text(kept))
}

/// Makes tables and indexes that are missing.
pub(crate) async fn migrate(database: &Database) -> Result<()> {
    let migrated = database.migrate(&mut |_| {}).await?;
    let failed: Vec<&str> = migrated.failed().map(|(_, says)| says).collect();
    ensure!(failed.is_empty(), "migrations failed: {failed:?}");
    Ok(())
}

/// The server, its database, and a session of our own.
pub(crate) struct Standing {
    pub(crate) database: Database,
    pub(crate) session: PgConnection,
    pub(crate) clock: SystemClock,
    pub(crate) scale: SeedAsked,
    /// What the server says it is.
    pub(crate) version: String,
    /// Rows of all tables.
    pub(crate) rows: i64,
    _server: Postgres,
}

impl Standing {
    /// Starts a server and fills it; only primary keys stand then.
    pub(crate) async fn start(scale: &SeedAsked) -> Result<Self> {
        let server = Postgres::start_with(SETTINGS).await;
        let url = server.database("bench");
        let database = open(&url).await?;
        migrate(&database).await?;
        let mut session = PgConnection::connect(&url).await?;
        let (dropped, kept) = drops(&postgres::steps());
        run(&mut session, &dropped).await?;
        database.seed(scale, &mut |_, _| {}).await?;
        run(&mut session, &kept).await?;
        run(&mut session, &[LEFT]).await?;
        // As the companion's own sessions have it.
        run(&mut session, &["SET plan_cache_mode = force_custom_plan", "SET jit = off", "VACUUM ANALYZE"])
            .await?;
        let version = one(&mut session, "SELECT split_part(version(), ' on ', 1)").await?;
        let mut standing = Self {
            database,
            session,
            clock: SystemClock::new(),
            scale: *scale,
            version,
            rows: 0,
            _server: server,
        };
        standing.describe().await?;
        Ok(standing)
    }

    /// Builds all indexes, as `tidegate dashboard migrate` does.
    pub(crate) async fn index(&mut self) -> Result<()> {
        let began = self.clock.monotonic();
        migrate(&self.database).await?;
        let took = self.clock.monotonic() - began;
        println!("all indexes built in {:.1} s", took.as_secs_f64());
        run(&mut self.session, &["VACUUM ANALYZE"]).await
    }

    async fn describe(&mut self) -> Result<()> {
        let tables =
            "SELECT relname::text, n_live_tup, pg_table_size(relid) FROM pg_stat_user_tables ORDER BY 2 DESC";
        println!("{}: {} tenants", self.version, self.scale.tenants);
        for row in sqlx::query(tables).fetch_all(&mut self.session).await? {
            let (name, rows, bytes): (String, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            println!("{name:>24} {rows:>9} rows {:>7.1} MB", bytes as f64 / 1e6);
            self.rows += rows;
        }
        println!("{:>24} {:>9} rows\n", "together", self.rows);
        Ok(())
    }
}

/// Statements one after the other.
pub(crate) async fn run(session: &mut PgConnection, statements: &[impl AsRef<str>]) -> Result<()> {
    for statement in statements {
        let statement = statement.as_ref();
        let done = sqlx::raw_sql(statement).execute(&mut *session).await;
        done.with_context(|| statement.to_owned())?;
    }
    Ok(())
}

/// The one value of an answer, as text.
pub(crate) async fn one(session: &mut PgConnection, sql: &str) -> Result<String> {
    let text = format!("SELECT it::text FROM ({sql}) AS found (it)");
    let row: PgRow = sqlx::query(&text).fetch_one(session).await.with_context(|| text.clone())?;
    Ok(row.try_get(0)?)
}
