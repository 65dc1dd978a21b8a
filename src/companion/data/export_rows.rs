//! Rows by the thousand, for exports: all of them as they were at one moment, in chunks that each cost the same.

use crate::companion::data::activity::{Activity, ActivityAsked, FeedPosition, activity, ask_rows};
use crate::companion::data::database::Database;
use crate::companion::data::fault::DatabaseFault;
use crate::companion::data::row::{Arg, Ask, Row, dialects};
use sqlx::{Postgres, Sqlite, Transaction};

/// Rows of a chunk at most. Several are held at once; measured, fewer cost more questions and more cost memory.
pub const CHUNK_ROWS: usize = 2_000;

/// Rows that were made in a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowsAsked {
    /// From this moment on, in microseconds since 1970.
    pub since_us: i64,
    /// Before this one.
    pub until_us: i64,
}

/// A place among users: behind one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsersPosition {
    /// When that one was made, in microseconds since 1970.
    pub created_at_us: i64,
    /// Its id.
    pub id: String,
}

/// A user, as much of one as figures know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRow {
    /// Its id.
    pub id: String,
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// Role.
    pub role: Option<String>,
    /// When it was made, in microseconds since 1970.
    pub created_at_us: i64,
    /// When it last logged in.
    pub last_login_at_us: Option<i64>,
}

/// The application's database as it was when the first row was read. It holds a connection until it is dropped; what
/// others write meanwhile is not seen, and nobody waits for it.
#[derive(Debug)]
pub struct Moment<'d> {
    database: &'d Database,
    open: Open,
}

#[derive(Debug)]
enum Open {
    Postgres(Transaction<'static, Postgres>),
    Sqlite(Transaction<'static, Sqlite>),
}

impl Database {
    /// Takes hold of this moment, where figures are read.
    ///
    /// # Errors
    /// [`DatabaseFault`].
    pub async fn moment(&self) -> Result<Moment<'_>, DatabaseFault> {
        let open = match self {
            Self::Postgres(database) => Open::Postgres(database.moment().await?),
            Self::Sqlite(database) => Open::Sqlite(database.moment().await?),
        };
        Ok(Moment { database: self, open })
    }

    /// How many users of a tenant were made in a span, counted up to `most`. Those that are deleted do not count.
    ///
    /// # Errors
    /// [`DatabaseFault`].
    pub async fn count_users(&self, tenant: &str, asked: RowsAsked, most: i64) -> Result<i64, DatabaseFault> {
        self.check_tenant(tenant)?;
        self.counted(&users_count(tenant, asked, most)).await
    }

    /// How much happened to a tenant in a span, counted up to `most`.
    ///
    /// # Errors
    /// [`DatabaseFault`].
    pub async fn count_activity(
        &self,
        tenant: &str,
        asked: RowsAsked,
        most: i64,
    ) -> Result<i64, DatabaseFault> {
        self.check_tenant(tenant)?;
        self.counted(&activity_count(tenant, asked, most)).await
    }

    async fn counted(&self, ask: &Ask) -> Result<i64, DatabaseFault> {
        let rows = self.figures(ask).await?;
        rows.first().map_or(Ok(0), |row| row.integer("total"))
    }
}

impl Moment<'_> {
    /// The next users, newest first, at most [`CHUNK_ROWS`]; fewer are the last.
    ///
    /// # Errors
    /// [`DatabaseFault`].
    pub async fn users(
        &mut self,
        tenant: &str,
        asked: RowsAsked,
        after: Option<&UsersPosition>,
    ) -> Result<Vec<UserRow>, DatabaseFault> {
        self.database.check_tenant(tenant)?;
        self.rows(&users(tenant, asked, after)).await?.iter().map(user).collect()
    }

    /// The next entries of the feed, newest first, at most [`CHUNK_ROWS`]; fewer are the last.
    ///
    /// # Errors
    /// [`DatabaseFault`].
    pub async fn activity(
        &mut self,
        tenant: &str,
        asked: RowsAsked,
        after: Option<FeedPosition>,
    ) -> Result<Vec<Activity>, DatabaseFault> {
        self.database.check_tenant(tenant)?;
        self.rows(&activities(tenant, asked, after)).await?.iter().map(activity).collect()
    }

    async fn rows(&mut self, ask: &Ask) -> Result<Vec<Row>, DatabaseFault> {
        match (self.database, &mut self.open) {
            (Database::Postgres(database), Open::Postgres(open)) => database.at_moment(open, ask).await,
            (Database::Sqlite(database), Open::Sqlite(open)) => database.at_moment(open, ask).await,
            // A moment is opened by its own database only.
            (Database::Postgres(_), Open::Sqlite(_)) | (Database::Sqlite(_), Open::Postgres(_)) => {
                Ok(Vec::new())
            }
        }
    }
}

/// Every question behind the rows, by the name of its text.
pub(super) fn asks(tenant: &str, asked: RowsAsked) -> Vec<(&'static str, Ask)> {
    let far = FeedPosition { occurred_at_us: asked.until_us, id: i64::MAX };
    vec![
        ("export_users", users(tenant, asked, None)),
        ("activity, a chunk of an export", activities(tenant, asked, Some(far))),
        ("export_users_count", users_count(tenant, asked, 5_001)),
        ("export_activity_count", activity_count(tenant, asked, 5_001)),
    ]
}

fn chunk_rows() -> i64 {
    i64::try_from(CHUNK_ROWS).unwrap_or(i64::MAX)
}

fn users(tenant: &str, asked: RowsAsked, after: Option<&UsersPosition>) -> Ask {
    let args = vec![
        Arg::Text(tenant.to_owned()),
        Arg::Integer(asked.since_us),
        Arg::Integer(after.map_or(asked.until_us, |after| after.created_at_us)),
        Arg::MaybeText(after.map(|after| after.id.clone())),
        Arg::Integer(chunk_rows()),
    ];
    Ask::new("reading users", dialects!("export_users"), args)
}

fn activities(tenant: &str, asked: RowsAsked, after: Option<FeedPosition>) -> Ask {
    let asked = ActivityAsked {
        since_us: Some(asked.since_us),
        until_us: Some(asked.until_us),
        after,
        ..ActivityAsked::default()
    };
    ask_rows(tenant, &asked, chunk_rows())
}

fn users_count(tenant: &str, asked: RowsAsked, most: i64) -> Ask {
    Ask::new("counting users", dialects!("export_users_count"), count_args(tenant, asked, most))
}

fn activity_count(tenant: &str, asked: RowsAsked, most: i64) -> Ask {
    Ask::new("counting the feed", dialects!("export_activity_count"), count_args(tenant, asked, most))
}

fn count_args(tenant: &str, asked: RowsAsked, most: i64) -> Vec<Arg> {
    let span = [asked.since_us, asked.until_us, most].map(Arg::Integer);
    [Arg::Text(tenant.to_owned())].into_iter().chain(span).collect()
}

fn user(row: &Row) -> Result<UserRow, DatabaseFault> {
    Ok(UserRow {
        id: row.text("id")?,
        first_name: row.maybe_text("first_name")?,
        last_name: row.maybe_text("last_name")?,
        role: row.maybe_text("role")?,
        created_at_us: row.integer("created_at_us")?,
        last_login_at_us: row.maybe_integer("last_login_at_us")?,
    })
}
