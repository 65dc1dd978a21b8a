//! What the configuration says about the companion's database.

use crate::base::Secret;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// The file of the embedded database where nothing else is said, in the working directory.
pub const DATABASE_FILE: &str = "tidegate-dashboard.db";

/// Where a database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL URL (`postgres://`, `postgresql://`); it may carry a password.
    Postgres(Secret),
}

/// The settings of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseSettings {
    /// Where it is.
    pub url: DatabaseUrl,
    /// Where figures are read; `None`: there too.
    pub replica: Option<DatabaseUrl>,
    /// Nothing is ever written to it.
    pub read_only: bool,
    /// What the application calls its tables and columns.
    pub mapping: Mapping,
    /// Connections at once.
    pub connections: u32,
    /// Longest wait for a free or a new connection.
    pub acquire_timeout: Duration,
    /// Longest time that one statement may take; migrations and `seed` excepted.
    pub statement_timeout: Duration,
}

impl DatabaseSettings {
    /// Connections of a pool: never only one, which an export would keep to itself for as long as it reads.
    #[must_use]
    pub fn pooled(&self) -> u32 {
        self.connections.max(2)
    }
}

/// What figures are made of: tables, and their columns with the type that PostgreSQL takes where one is left out.
pub const FIGURE_TABLES: &[(&str, &[(&str, &str)])] = &[
    ("organizations", &[("id", "text"), ("timezone", "text"), ("deleted_at", "timestamptz")]),
    (
        "users",
        &[
            ("id", "text"),
            ("organization_id", "text"),
            ("first_name", "text"),
            ("last_name", "text"),
            ("role", "text"),
            ("last_login_at", "timestamptz"),
            ("created_at", "timestamptz"),
            ("deleted_at", "timestamptz"),
        ],
    ),
    (
        "educational_content",
        &[
            ("organization_id", "text"),
            ("content_type", "text"),
            ("status", "text"),
            ("created_at", "timestamptz"),
            ("deleted_at", "timestamptz"),
        ],
    ),
    (
        "user_sessions",
        &[
            ("organization_id", "text"),
            ("user_id", "text"),
            ("started_at", "timestamptz"),
            ("last_seen_at", "timestamptz"),
            ("ended_at", "timestamptz"),
            ("duration_seconds", "integer"),
        ],
    ),
    (
        "lesson_progress",
        &[("organization_id", "text"), ("completed_at", "timestamptz"), ("score", "double precision")],
    ),
    (
        "activity_log",
        &[
            ("id", "bigint"),
            ("organization_id", "text"),
            ("user_id", "text"),
            ("activity_type", "text"),
            ("entity_type", "text"),
            ("entity_id", "text"),
            ("summary", "text"),
            ("created_at", "timestamptz"),
        ],
    ),
];

/// How an application's ids of tenants and users look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IdType {
    /// UUIDs, as in our own tables.
    #[default]
    Uuid,
    /// Whole numbers.
    Bigint,
    /// Any text.
    Text,
}

impl IdType {
    /// Its name, which is that of PostgreSQL's type.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Uuid => "uuid",
            Self::Bigint => "bigint",
            Self::Text => "text",
        }
    }
}

/// What an application calls what we ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mapping {
    /// Of what kind ids are.
    pub id: IdType,
    /// By our name for a table. Those that are not here are called as we do.
    pub tables: BTreeMap<String, TableMapping>,
}

/// A table of the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableMapping {
    /// Its name, with its schema in front if need be: `school.accounts`.
    pub name: String,
    /// Its columns by our name for them; `None`: it has no such column. Those that are not here are called as we do.
    pub columns: BTreeMap<String, Option<String>>,
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        Self {
            url: DatabaseUrl::Sqlite(PathBuf::from(DATABASE_FILE)),
            replica: None,
            read_only: false,
            mapping: Mapping::default(),
            connections: 10,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(5),
        }
    }
}

impl DatabaseUrl {
    /// What can be written, for messages.
    pub const FORMS: &str = "write sqlite:FILE or postgres://USER:PASSWORD@HOST:PORT/DATABASE";

    /// Reads a URL as it is written in `database` and `DATABASE_URL`; `None` for any other scheme.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return (!path.is_empty() && !path.contains('?')).then(|| Self::Sqlite(PathBuf::from(path)));
        }
        let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"))?;
        (!rest.is_empty()).then(|| Self::Postgres(Secret::new(text)))
    }
}

impl std::fmt::Display for DatabaseUrl {
    /// Without user, password and parameters, any of which may be a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => {
                let rest = url.expose().split_once("://").map_or("", |(_, rest)| rest);
                let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
                write!(f, "postgres://{}", rest.rsplit_once('@').map_or(rest, |(_, host)| host))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_anything_secret() {
        let shown = |text: &str| DatabaseUrl::parse(text).map(|url| url.to_string());
        let full = "postgresql://ada:p%40ss@w0rd@db.example:5433/app?password=s3cret&sslmode=require";
        assert_eq!(shown(full).as_deref(), Some("postgres://db.example:5433/app"));
        assert_eq!(shown("sqlite:a/b.db").as_deref(), Some("sqlite:a/b.db"));
        assert_eq!(shown("sqlite:///var/a.db").as_deref(), Some("sqlite:/var/a.db"));
        let debug = DatabaseUrl::parse(full).map(|url| format!("{url:?}")).unwrap_or_default();
        assert!(!debug.contains("ss@w0rd") && !debug.contains("s3cret"), "{debug}");
    }

    #[test]
    fn other_schemes_and_empty_places_are_no_database() {
        for odd in ["mysql://a/b", "postgres://", "sqlite:", "sqlite:a.db?mode=ro", "tidegate.db", ""] {
            assert_eq!(DatabaseUrl::parse(odd), None, "{odd}");
        }
    }
}
