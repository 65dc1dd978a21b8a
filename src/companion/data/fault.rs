//! What can go wrong with a database: what was tried, where, what it says, and what to do. Never a password.

use sqlx::Error;
use sqlx::error::DatabaseError;

/// What kind of trouble it is: what a caller does next depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// Nobody answers, or nobody lets us in. It may be better later.
    Unreachable,
    /// Every connection is in use. It may be better later.
    Busy,
    /// A statement took longer than it may.
    Slow,
    /// The database has not been migrated, or not by this version.
    NotMigrated,
    /// An answer holds something else than its question was for: a column of the application's of another type, or empty.
    Unreadable,
    /// It must not be written to.
    ReadOnly,
    /// The tenant cannot be one of this database.
    UnknownTenant,
    /// What was asked for cannot be.
    Refused,
    /// Everything else that a database says.
    Failed,
}

/// A failure of the database.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{place}: {doing}: {says}{}{remedy}", if remedy.is_empty() { "" } else { "; " })]
pub struct DatabaseFault {
    /// Which kind.
    pub kind: FaultKind,
    /// Which database, without anything secret.
    pub place: String,
    /// What was tried.
    pub doing: String,
    /// What went wrong.
    pub says: String,
    /// What to do about it; may be empty.
    pub remedy: String,
}

impl DatabaseFault {
    /// A failure that is ours to name.
    pub fn new(kind: FaultKind, place: &str, doing: &str, says: impl Into<String>, remedy: &str) -> Self {
        Self {
            kind,
            place: place.to_owned(),
            doing: doing.to_owned(),
            says: says.into(),
            remedy: remedy.to_owned(),
        }
    }

    /// What sqlx reports, in our words.
    pub(super) fn of(place: &str, doing: &str, error: &Error) -> Self {
        let (kind, remedy) = match error {
            Error::Database(told) => of_database(told.as_ref()),
            Error::PoolTimedOut => {
                (FaultKind::Busy, "try again, or raise `dashboard.pool.connections` or `acquire_timeout`")
            }
            Error::Io(_) => (FaultKind::Unreachable, "is it running, and is the address right?"),
            Error::Tls(_) => {
                (FaultKind::Unreachable, "`?sslmode=` and `sslrootcert=` say how it is encrypted")
            }
            _ => (FaultKind::Failed, ""),
        };
        let says = match error {
            Error::Database(told) => told.message().to_owned(),
            Error::Io(told) => told.to_string(),
            other => other.to_string(),
        };
        Self::new(kind, place, doing, says, remedy)
    }
}

/// By the code: SQLSTATE of PostgreSQL (its manual, appendix A), or SQLite's result code.
fn of_database(told: &dyn DatabaseError) -> (FaultKind, &'static str) {
    let code = told.code().unwrap_or_default();
    match &*code {
        "28P01" | "28000" => (FaultKind::Unreachable, "check the user and the password of the URL"),
        "3D000" => (FaultKind::Unreachable, "make the database first (`createdb NAME`), or correct its name"),
        "53300" => (FaultKind::Busy, "try again; fewer `dashboard.pool.connections` help"),
        // It stops, it starts, or somebody has ended the session (57P05 and 25P0x: one that was idle for long).
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25P04" => (FaultKind::Unreachable, "try again"),
        code if code.starts_with("08") => (FaultKind::Unreachable, "try again"),
        // Others were in its way: a deadlock, or a replica that had to go on.
        "40001" | "40P01" => (FaultKind::Busy, "try again"),
        "57014" => (FaultKind::Slow, "raise `dashboard.pool.statement_timeout`, or run `dashboard indexes`"),
        "55P03" => {
            (FaultKind::Busy, "another session holds the table; nothing was changed, run it again later")
        }
        "42P01" | "42703" => (FaultKind::NotMigrated, MIGRATE),
        "25006" | "8" => {
            (FaultKind::ReadOnly, "it is read-only; `dashboard.read_only` and the file's mode say so")
        }
        "42501" => (FaultKind::Refused, "the user of the URL lacks the right: grant it, or name another"),
        "58P01" => {
            (FaultKind::Failed, "install the extension on the server (Debian: in `postgresql`; else contrib)")
        }
        "23505" => (
            FaultKind::Failed,
            "rows that are there contradict it: docs/dashboard.md, Duplicates; or take another `--seed`",
        ),
        "1555" | "2067" => (
            FaultKind::Failed,
            "rows that are there contradict it: docs/dashboard.md, Duplicates; or take another `--seed`",
        ),
        "14" => (FaultKind::Unreachable, "the folder must exist, and this user must be able to write there"),
        "5" | "6" => (FaultKind::Busy, "another process is writing to the file: try again"),
        "26" => (FaultKind::Refused, "name another file"),
        "1" if told.message().contains("no such table") => (FaultKind::NotMigrated, MIGRATE),
        _ => (FaultKind::Failed, ""),
    }
}

const MIGRATE: &str = "run `tidegate dashboard migrate`";
