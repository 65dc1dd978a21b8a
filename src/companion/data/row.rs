//! Arguments and rows, the same for both engines.

use crate::companion::data::fault::{DatabaseFault, FaultKind};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Postgres, Row as _, Sqlite};

/// What is told where an application has left a role, a status or a type empty, or has no such column.
const UNKNOWN: &str = "unknown";

/// A value behind a `$n` of a statement.
#[derive(Debug, Clone)]
pub(super) enum Arg {
    Text(String),
    /// A text, or NULL.
    MaybeText(Option<String>),
    Integer(i64),
    /// A list: an array for PostgreSQL, JSON for SQLite (`json_each`).
    Texts(Vec<String>),
}

/// One question in both dialects. Both texts take the same arguments in the same order.
#[derive(Debug)]
pub(super) struct Ask {
    /// What it is for, in messages.
    pub doing: &'static str,
    pub postgres: &'static str,
    pub sqlite: &'static str,
    pub args: Vec<Arg>,
}

impl Ask {
    pub(super) fn new(
        doing: &'static str,
        (postgres, sqlite): (&'static str, &'static str),
        args: Vec<Arg>,
    ) -> Self {
        Self { doing, postgres, sqlite, args }
    }
}

/// The two texts of a question by the name of their files.
macro_rules! dialects {
    ($name:literal) => {
        (
            include_str!(concat!("postgres/queries/", $name, ".sql")),
            include_str!(concat!("sqlite/queries/", $name, ".sql")),
        )
    };
}
pub(super) use dialects;

pub(super) type PostgresQuery<'q> = Query<'q, Postgres, PgArguments>;
pub(super) type SqliteQuery<'q> = Query<'q, Sqlite, SqliteArguments<'q>>;

pub(super) fn bind_postgres<'q>(query: PostgresQuery<'q>, args: &'q [Arg]) -> PostgresQuery<'q> {
    args.iter().fold(query, |query, arg| match arg {
        Arg::Text(text) => query.bind(text),
        Arg::MaybeText(text) => query.bind(text),
        Arg::Integer(number) => query.bind(number),
        Arg::Texts(texts) => query.bind(texts),
    })
}

pub(super) fn bind_sqlite<'q>(query: SqliteQuery<'q>, args: &'q [Arg]) -> SqliteQuery<'q> {
    args.iter().fold(query, |query, arg| match arg {
        Arg::Text(text) => query.bind(text),
        Arg::MaybeText(text) => query.bind(text),
        Arg::Integer(number) => query.bind(number),
        Arg::Texts(texts) => query.bind(serde_json::Value::from(texts.clone()).to_string()),
    })
}

/// A row of either engine.
pub(super) enum Row {
    Postgres(PgRow),
    Sqlite(SqliteRow),
}

/// Defines how a value of a type is taken out of a row, by the column's name.
macro_rules! getter {
    ($name:ident, $kind:ty) => {
        pub(super) fn $name(&self, column: &str) -> Result<$kind, DatabaseFault> {
            let got = match self {
                Self::Postgres(row) => row.try_get::<$kind, _>(column),
                Self::Sqlite(row) => row.try_get::<$kind, _>(column),
            };
            // sqlx names the column.
            got.map_err(|error| {
                let remedy =
                    "what the column holds is not what `dashboard.mapping` or the question takes it for";
                let doing = "reading an answer";
                DatabaseFault::new(FaultKind::Unreadable, "the database", doing, error.to_string(), remedy)
            })
        }
    };
}

impl Row {
    getter!(integer, i64);
    getter!(maybe_integer, Option<i64>);
    getter!(text, String);
    getter!(maybe_text, Option<String>);
    getter!(maybe_real, Option<f64>);

    /// A text; [`UNKNOWN`] where there is none.
    pub(super) fn text_or_unknown(&self, column: &str) -> Result<String, DatabaseFault> {
        Ok(self.maybe_text(column)?.unwrap_or_else(|| UNKNOWN.to_owned()))
    }
}
