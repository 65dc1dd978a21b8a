//! Takes rows into a database, in one transaction: COPY on PostgreSQL, one statement for thousands of rows on SQLite.

use crate::companion::data::database::Database;
use crate::companion::data::fault::DatabaseFault;
use crate::companion::data::seed::cells::{Cell, Table, copy_text, json};
use sqlx::{Postgres, Sqlite, Transaction};

enum Open {
    Postgres(Transaction<'static, Postgres>),
    Sqlite(Transaction<'static, Sqlite>),
}

pub(super) struct Loader<'d> {
    database: &'d Database,
    open: Open,
}

impl<'d> Loader<'d> {
    pub(super) async fn begin(database: &'d Database) -> Result<Self, DatabaseFault> {
        let open = match database {
            Database::Postgres(postgres) => postgres.server.pool.begin().await.map(Open::Postgres),
            Database::Sqlite(sqlite) => sqlite.pool.begin().await.map(Open::Sqlite),
        };
        let open = open.map_err(|error| DatabaseFault::of(database.place(), "seeding", &error))?;
        Ok(Self { database, open })
    }

    pub(super) async fn insert(&mut self, table: &Table, rows: &[Vec<Cell>]) -> Result<(), DatabaseFault> {
        let done = match &mut self.open {
            Open::Postgres(transaction) => copy(transaction, table, rows).await,
            Open::Sqlite(transaction) => {
                let insert = table.insert();
                sqlx::query(&insert).bind(json(rows)).execute(&mut **transaction).await.map(drop)
            }
        };
        done.map_err(|error| {
            DatabaseFault::of(self.database.place(), &format!("filling {}", table.name), &error)
        })
    }

    /// Keeps what was taken in, and has the planner know of it.
    pub(super) async fn commit(self) -> Result<(), DatabaseFault> {
        let fault = |error: sqlx::Error| DatabaseFault::of(self.database.place(), "seeding", &error);
        match self.open {
            Open::Postgres(transaction) => transaction.commit().await.map_err(fault)?,
            Open::Sqlite(transaction) => transaction.commit().await.map_err(fault)?,
        }
        let analyzed = match self.database {
            Database::Postgres(postgres) => {
                sqlx::raw_sql("ANALYZE").execute(&postgres.server.pool).await.map(drop)
            }
            Database::Sqlite(sqlite) => sqlx::raw_sql("ANALYZE").execute(&sqlite.pool).await.map(drop),
        };
        analyzed.map_err(fault)
    }
}

async fn copy(
    transaction: &mut Transaction<'static, Postgres>,
    table: &Table,
    rows: &[Vec<Cell>],
) -> Result<(), sqlx::Error> {
    let mut copying = transaction.copy_in_raw(&table.copy()).await?;
    let sent = copying.send(copy_text(rows).as_bytes()).await.map(drop);
    match sent {
        Ok(()) => copying.finish().await.map(drop),
        Err(error) => {
            copying.abort("broken off").await?;
            Err(error)
        }
    }
}
