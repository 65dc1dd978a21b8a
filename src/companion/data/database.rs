//! A database of either engine, and what both can do.

use crate::base::{DatabaseSettings, DatabaseUrl, IdType, Mapping};
use crate::companion::data::fault::{DatabaseFault, FaultKind};
use crate::companion::data::migrations::{Migrated, Outcome, Plan};
use crate::companion::data::postgres::Postgres;
use crate::companion::data::row::{Arg, Ask, Row, dialects};
use crate::companion::data::sqlite::Sqlite;

/// What a database is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To read figures, each statement within its time.
    Read,
    /// To read and write, each statement within its time.
    Write,
    /// To change it in ways that take as long as they take: migrations and `seed`. A SQLite file is made if need be.
    Change,
}

/// The application's database.
#[derive(Debug)]
pub enum Database {
    /// A PostgreSQL server.
    Postgres(Postgres),
    /// A file of our own.
    Sqlite(Sqlite),
}

impl Database {
    /// Connects once, to say at once what is wrong, and keeps a pool.
    ///
    /// # Errors
    /// [`DatabaseFault`]: nobody answers or lets us in, no such file, or `read_only` forbids the access.
    pub async fn open(settings: &DatabaseSettings, access: Access) -> Result<Self, DatabaseFault> {
        if settings.read_only && access != Access::Read {
            let remedy = "set `dashboard.read_only: false`, or name a database of your own";
            let place = settings.url.to_string();
            let says = "`dashboard.read_only` is on";
            return Err(DatabaseFault::new(
                FaultKind::ReadOnly,
                &place,
                "opening it to change it",
                says,
                remedy,
            ));
        }
        match &settings.url {
            DatabaseUrl::Postgres(url) => Ok(Self::Postgres(Postgres::open(settings, url, access).await?)),
            DatabaseUrl::Sqlite(path) => Ok(Self::Sqlite(Sqlite::open(settings, path, access).await?)),
        }
    }

    /// Which database, without anything secret.
    #[must_use]
    pub fn place(&self) -> &str {
        match self {
            Self::Postgres(database) => &database.server.place,
            Self::Sqlite(database) => &database.place,
        }
    }

    /// Connections at once, at most: two or more.
    #[must_use]
    pub fn connections(&self) -> u32 {
        match self {
            Self::Postgres(database) => database.server.pool.options().get_max_connections(),
            Self::Sqlite(database) => database.pool.options().get_max_connections(),
        }
    }

    /// What migrations would do now.
    ///
    /// # Errors
    /// [`DatabaseFault`]: also where an applied migration is another one in this build.
    pub async fn plan(&self) -> Result<Plan, DatabaseFault> {
        match self {
            Self::Postgres(database) => database.plan().await,
            Self::Sqlite(database) => database.plan().await,
        }
    }

    /// Brings the schema and the indexes up to date, `told` of each step. May be ended at any time and begun anew.
    /// One instance at a time: others wait. A failed index keeps none of the others from being built.
    ///
    /// # Errors
    /// [`DatabaseFault`] where the schema cannot be brought up to date.
    pub async fn migrate(&self, told: &mut (dyn FnMut(&Outcome) + Send)) -> Result<Migrated, DatabaseFault> {
        match self {
            Self::Postgres(database) => database.migrate(told).await,
            Self::Sqlite(database) => database.migrate(told).await,
        }
    }

    /// Does it answer, and has it the tables?
    ///
    /// # Errors
    /// [`DatabaseFault`].
    pub async fn ping(&self) -> Result<(), DatabaseFault> {
        // Of an application that calls everything otherwise, users are what there is in any case.
        let texts = if self.is_mapped() { dialects!("any_user") } else { dialects!("any_organization") };
        self.figures(&Ask::new("looking whether it answers", texts, Vec::new())).await.map(drop)
    }

    /// May `text` be the id of a row? PostgreSQL fails where it is none (RFC 9562 section 4), SQLite takes any text.
    pub(super) fn is_id(&self, text: &str) -> bool {
        let is_part = |(index, byte): (usize, u8)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        };
        match self {
            Self::Postgres(database) => match database.id_type() {
                IdType::Uuid => text.len() == 36 && text.bytes().enumerate().all(is_part),
                IdType::Bigint => text.parse::<i64>().is_ok(),
                IdType::Text => true,
            },
            Self::Sqlite(_) => true,
        }
    }

    /// Has the application names of its own for its tables? Nothing of ours stands beside them then.
    #[must_use]
    pub fn is_mapped(&self) -> bool {
        self.mapping() != &Mapping::default()
    }

    fn mapping(&self) -> &Mapping {
        match self {
            Self::Postgres(database) => database.mapping(),
            Self::Sqlite(database) => database.mapping(),
        }
    }

    /// The time zone of a tenant, as its row says; `None` where it says none, or where the application's tables are mapped and
    /// `organizations` is none of them.
    ///
    /// # Errors
    /// [`DatabaseFault`], of [`FaultKind::UnknownTenant`] where there is no such tenant, or it is deleted.
    pub async fn tenant_zone(&self, tenant: &str) -> Result<Option<String>, DatabaseFault> {
        self.check_tenant(tenant)?;
        if self.is_mapped() && !self.mapping().tables.contains_key("organizations") {
            return Ok(None);
        }
        let args = vec![Arg::Text(tenant.to_owned())];
        let rows = self.figures(&Ask::new("reading the time zone", dialects!("tenant_zone"), args)).await?;
        rows.first().map_or_else(
            || Err(self.unknown_tenant("the database has no such organisation, or has it no longer")),
            |row| row.maybe_text("timezone"),
        )
    }

    fn unknown_tenant(&self, says: &str) -> DatabaseFault {
        let remedy = "tenants of tokens must be the ids of its organisations; `dashboard.mapping.id` says how they look";
        DatabaseFault::new(FaultKind::UnknownTenant, self.place(), "asking for a tenant", says, remedy)
    }

    /// A tenant that cannot be one is said so: an empty answer would look like a tenant without data.
    pub(super) fn check_tenant(&self, tenant: &str) -> Result<(), DatabaseFault> {
        if self.is_id(tenant) {
            return Ok(());
        }
        Err(self.unknown_tenant("the tenant cannot be an id of this database"))
    }

    /// All rows of an answer.
    pub(super) async fn rows(&self, ask: &Ask) -> Result<Vec<Row>, DatabaseFault> {
        match self {
            Self::Postgres(database) => database.rows(ask).await,
            Self::Sqlite(database) => database.rows(ask).await,
        }
    }

    /// All rows of an answer from the application's tables: by its names for them, from the replica where there is one.
    pub(super) async fn figures(&self, ask: &Ask) -> Result<Vec<Row>, DatabaseFault> {
        match self {
            Self::Postgres(database) => database.figures(ask).await,
            Self::Sqlite(database) => database.figures(ask).await,
        }
    }

    /// Statements that change something, all or none of them.
    pub(super) async fn change(&self, asks: &[Ask]) -> Result<(), DatabaseFault> {
        match self {
            Self::Postgres(database) => database.changed(asks).await.map(drop),
            Self::Sqlite(database) => database.changed(asks).await.map(drop),
        }
    }

    /// The same, and the rows that the last of them gives.
    pub(super) async fn changed(&self, asks: &[Ask]) -> Result<Vec<Row>, DatabaseFault> {
        match self {
            Self::Postgres(database) => database.changed(asks).await,
            Self::Sqlite(database) => database.changed(asks).await,
        }
    }

    /// Ends all connections. Without it they end when the last owner is gone, a little later.
    pub async fn close(&self) {
        match self {
            Self::Postgres(database) => database.close().await,
            Self::Sqlite(database) => database.pool.close().await,
        }
    }
}
