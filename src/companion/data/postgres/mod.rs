//! PostgreSQL: the pool, its terms, and how a question is put to it.

mod migrate;
mod server;

use crate::base::{DatabaseSettings, DatabaseUrl, IdType, Mapping, Secret};
use crate::companion::data::database::Access;
use crate::companion::data::fault::{DatabaseFault, FaultKind};
use crate::companion::data::mapping::{Dialect, mapped};
use crate::companion::data::migrations::{Migration, script};
use crate::companion::data::row::{Ask, Row, bind_postgres};
use server::{Server, connect_once};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Transaction};
use std::str::FromStr;

/// The texts of all migrations, in their order.
pub(super) const SCRIPTS: &[&str] = &[include_str!("schema.sql"), include_str!("indexes.sql")];

/// All migrations.
#[must_use]
pub fn steps() -> Vec<Migration> {
    script(SCRIPTS)
}

/// A PostgreSQL database.
#[derive(Debug)]
pub struct Postgres {
    pub(super) server: Box<Server>,
    /// Where figures are read, if not there.
    replica: Option<Box<Server>>,
    mapping: Mapping,
}

impl Postgres {
    pub(super) async fn open(
        settings: &DatabaseSettings,
        url: &Secret,
        access: Access,
    ) -> Result<Self, DatabaseFault> {
        let server = pooled(settings, url, access).await?;
        let replica = match &settings.replica {
            Some(DatabaseUrl::Postgres(replica)) => Some(pooled(settings, replica, Access::Read).await?),
            Some(DatabaseUrl::Sqlite(_)) | None => None,
        };
        Ok(Self { server, replica, mapping: settings.mapping.clone() })
    }

    pub(super) async fn rows(&self, ask: &Ask) -> Result<Vec<Row>, DatabaseFault> {
        let query = bind_postgres(sqlx::query(ask.postgres), &ask.args);
        let mut connection = self.server.acquire(ask.doing).await?;
        let rows = query.fetch_all(&mut *connection).await.map_err(|error| self.fault(ask.doing, &error))?;
        Ok(rows.into_iter().map(Row::Postgres).collect())
    }

    /// Rows of the application's tables, which may have other names.
    pub(super) async fn figures(&self, ask: &Ask) -> Result<Vec<Row>, DatabaseFault> {
        let sql = mapped(ask.postgres, &self.mapping, Dialect::Postgres);
        let query = bind_postgres(sqlx::query(&sql), &ask.args);
        let server = self.reading();
        let mut connection = server.acquire(ask.doing).await?;
        let rows =
            query.fetch_all(&mut *connection).await.map_err(|error| server.fault(ask.doing, &error))?;
        Ok(rows.into_iter().map(Row::Postgres).collect())
    }

    /// Ends all connections.
    pub(super) async fn close(&self) {
        self.server.pool.close().await;
        if let Some(replica) = &self.replica {
            replica.pool.close().await;
        }
    }

    /// Of what kind ids of tenants and users are.
    pub(super) fn id_type(&self) -> IdType {
        self.mapping.id
    }

    /// What the application calls its tables.
    pub(super) fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    pub(super) async fn changed(&self, asks: &[Ask]) -> Result<Vec<Row>, DatabaseFault> {
        let doing = "changing it";
        let mut transaction = self.server.begin(doing, "BEGIN").await?;
        let mut rows = Vec::new();
        for ask in asks {
            let query = bind_postgres(sqlx::query(ask.postgres), &ask.args);
            let changed = query.fetch_all(&mut *transaction).await;
            rows = changed.map_err(|error| self.fault(ask.doing, &error))?;
        }
        transaction.commit().await.map_err(|error| self.fault(doing, &error))?;
        Ok(rows.into_iter().map(Row::Postgres).collect())
    }

    /// A moment of the figures that stays as it is: nothing is written in it.
    pub(super) async fn moment(&self) -> Result<Transaction<'static, sqlx::Postgres>, DatabaseFault> {
        const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        self.reading().begin("beginning to read", BEGIN).await
    }

    /// Rows of the application's tables at that moment.
    pub(super) async fn at_moment(
        &self,
        moment: &mut Transaction<'static, sqlx::Postgres>,
        ask: &Ask,
    ) -> Result<Vec<Row>, DatabaseFault> {
        let sql = mapped(ask.postgres, &self.mapping, Dialect::Postgres);
        let query = bind_postgres(sqlx::query(&sql), &ask.args);
        let rows = query.fetch_all(&mut **moment).await;
        let rows = rows.map_err(|error| self.reading().fault(ask.doing, &error))?;
        Ok(rows.into_iter().map(Row::Postgres).collect())
    }

    /// Where figures are read.
    fn reading(&self) -> &Server {
        self.replica.as_deref().unwrap_or(&self.server)
    }

    pub(super) fn fault(&self, doing: &str, error: &sqlx::Error) -> DatabaseFault {
        self.server.fault(doing, error)
    }
}

/// A server that was there, and a pool for it.
async fn pooled(
    settings: &DatabaseSettings,
    url: &Secret,
    access: Access,
) -> Result<Box<Server>, DatabaseFault> {
    let place = DatabaseUrl::Postgres(url.clone()).to_string();
    let options = options(settings, url, access).ok_or_else(|| {
        // What sqlx says about a URL may repeat it.
        let says = "the URL cannot be read";
        DatabaseFault::new(FaultKind::Refused, &place, "connecting", says, DatabaseUrl::FORMS)
    })?;
    connect_once(&options, settings.acquire_timeout, &place).await?;
    let pool = PgPoolOptions::new()
        .max_connections(settings.pooled())
        .acquire_timeout(settings.acquire_timeout)
        .connect_lazy_with(options);
    Ok(Box::new(Server::new(pool, place)))
}

fn options(settings: &DatabaseSettings, url: &Secret, access: Access) -> Option<PgConnectOptions> {
    let options = PgConnectOptions::from_str(url.expose()).ok()?.application_name("tidegate");
    let statement_ms = if access == Access::Change { 0 } else { settings.statement_timeout.as_millis() };
    let read_only = if access == Access::Read { "on" } else { "off" };
    let terms = [
        ("statement_timeout", statement_ms.to_string()),
        ("default_transaction_read_only", read_only.to_owned()),
        // A tenant may have ten rows or a million: a plan for the average tenant is wrong for both.
        ("plan_cache_mode", "force_custom_plan".to_owned()),
        // How many spans are asked for is guessed too high: compiling such a plan took longer (26 ms) than carrying it out.
        ("jit", "off".to_owned()),
    ];
    Some(options.options(terms).disable_statement_logging())
}
