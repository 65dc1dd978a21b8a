//! SQLite in a file: the pool, its terms, and how a question is put to it.

mod migrate;

use crate::base::{DatabaseSettings, DatabaseUrl, Mapping};
use crate::companion::data::database::Access;
use crate::companion::data::fault::{DatabaseFault, FaultKind};
use crate::companion::data::mapping::{Dialect, mapped};
use crate::companion::data::migrations::{Migration, script};
use crate::companion::data::row::{Ask, Row, bind_sqlite};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, Transaction};
use std::future::Future;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// The texts of all migrations, in their order.
pub(super) const SCRIPTS: &[&str] = &[include_str!("schema.sql"), include_str!("indexes.sql")];

/// Takes the one place of a writer at once, so that what is read in it stays true.
const BEGIN: &str = "BEGIN IMMEDIATE";

/// Rows that SQLite's thread is ahead of whoever takes them.
const ROWS_AHEAD: usize = 1_000;

/// All migrations.
#[must_use]
pub fn steps() -> Vec<Migration> {
    script(SCRIPTS)
}

/// A SQLite database.
#[derive(Debug)]
pub struct Sqlite {
    pub(super) pool: SqlitePool,
    pub(super) place: String,
    statement_timeout: Duration,
    mapping: Mapping,
}

impl Sqlite {
    pub(super) async fn open(
        settings: &DatabaseSettings,
        path: &Path,
        access: Access,
    ) -> Result<Self, DatabaseFault> {
        let place = DatabaseUrl::Sqlite(path.to_owned()).to_string();
        if access != Access::Change && !path.exists() {
            let remedy = "make it with `tidegate dashboard migrate`, or name another in `dashboard.database`";
            let says = "there is no such file";
            return Err(DatabaseFault::new(FaultKind::NotMigrated, &place, "opening it", says, remedy));
        }
        if access == Access::Change {
            // Whatever comes of it is said when SQLite opens it, which gives the files beside it the same mode.
            drop(std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path));
        }
        let mut options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(access == Access::Change)
            .read_only(access == Access::Read)
            .foreign_keys(true)
            .busy_timeout(settings.acquire_timeout)
            .synchronous(SqliteSynchronous::Normal)
            // Rows come from another thread: with few between the two, each waits for the other all the time.
            .row_buffer_size(ROWS_AHEAD)
            .disable_statement_logging();
        if access != Access::Read {
            // Readers and one writer go side by side. The file remembers it.
            options = options.journal_mode(SqliteJournalMode::Wal);
        }
        let fault = |error: sqlx::Error| DatabaseFault::of(&place, "opening it", &error);
        options.connect().await.map_err(fault)?.close().await.map_err(fault)?;
        let pool = SqlitePoolOptions::new()
            .max_connections(settings.pooled())
            .acquire_timeout(settings.acquire_timeout)
            .connect_lazy_with(options);
        let mapping = settings.mapping.clone();
        Ok(Self { pool, place, statement_timeout: settings.statement_timeout, mapping })
    }

    pub(super) async fn rows(&self, ask: &Ask) -> Result<Vec<Row>, DatabaseFault> {
        let query = bind_sqlite(sqlx::query(ask.sqlite), &ask.args);
        let rows = self.within(ask.doing, query.fetch_all(&self.pool)).await?;
        Ok(rows.into_iter().map(Row::Sqlite).collect())
    }

    /// Rows of the application's tables, which may have other names.
    pub(super) async fn figures(&self, ask: &Ask) -> Result<Vec<Row>, DatabaseFault> {
        let sql = mapped(ask.sqlite, &self.mapping, Dialect::Sqlite);
        let query = bind_sqlite(sqlx::query(&sql), &ask.args);
        let rows = self.within(ask.doing, query.fetch_all(&self.pool)).await?;
        Ok(rows.into_iter().map(Row::Sqlite).collect())
    }

    /// What the application calls its tables.
    pub(super) fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// Without a time-out: a change that nobody waits for any longer would be made all the same.
    pub(super) async fn changed(&self, asks: &[Ask]) -> Result<Vec<Row>, DatabaseFault> {
        let failed = |error: sqlx::Error| self.fault("changing it", &error);
        let mut transaction = self.pool.begin_with(BEGIN).await.map_err(failed)?;
        let mut rows = Vec::new();
        for ask in asks {
            let query = bind_sqlite(sqlx::query(ask.sqlite), &ask.args);
            let changed = query.fetch_all(&mut *transaction).await;
            rows = changed.map_err(|error| self.fault(ask.doing, &error))?;
        }
        transaction.commit().await.map_err(failed)?;
        Ok(rows.into_iter().map(Row::Sqlite).collect())
    }

    /// A moment of the figures that stays as it is, from the first row that is read on: writers go on beside it.
    pub(super) async fn moment(&self) -> Result<Transaction<'static, sqlx::Sqlite>, DatabaseFault> {
        self.pool.begin().await.map_err(|error| self.fault("beginning to read", &error))
    }

    /// Rows of the application's tables at that moment.
    pub(super) async fn at_moment(
        &self,
        moment: &mut Transaction<'static, sqlx::Sqlite>,
        ask: &Ask,
    ) -> Result<Vec<Row>, DatabaseFault> {
        let sql = mapped(ask.sqlite, &self.mapping, Dialect::Sqlite);
        let query = bind_sqlite(sqlx::query(&sql), &ask.args);
        let rows = self.within(ask.doing, query.fetch_all(&mut **moment)).await?;
        Ok(rows.into_iter().map(Row::Sqlite).collect())
    }

    /// SQLite has no time-out of statements: nobody waits for one any longer, and it ends with its next row.
    async fn within<T>(
        &self,
        doing: &str,
        asked: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, DatabaseFault> {
        let Ok(answered) = tokio::time::timeout(self.statement_timeout, asked).await else {
            let says = "it took longer than `dashboard.pool.statement_timeout`";
            let remedy = "raise it, or run `tidegate dashboard indexes`";
            return Err(DatabaseFault::new(FaultKind::Slow, &self.place, doing, says, remedy));
        };
        answered.map_err(|error| self.fault(doing, &error))
    }

    pub(super) fn fault(&self, doing: &str, error: &sqlx::Error) -> DatabaseFault {
        DatabaseFault::of(&self.place, doing, error)
    }
}
