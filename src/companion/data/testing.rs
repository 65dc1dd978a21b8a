//! What the tests of this module share: databases of both engines with the same data.

use crate::base::{DatabaseSettings, DatabaseUrl};
use crate::companion::{Access, Database, SeedAsked};
use tempfile::TempDir;

#[expect(dead_code, reason = "sessions and other users are for `tests/it`")]
#[path = "../../../tests/it/support/postgres.rs"]
mod postgres;
use crate::base::testing::{process, wait};
pub(super) use postgres::Postgres;

/// 15 June 2026, 12:34:56 UTC: of no meaning, but the same in every run.
pub(super) const NOW_US: i64 = 1_781_526_896_000_000;

/// A few tenants over seven weeks, in which clocks do not change.
pub(super) const SEED: SeedAsked =
    SeedAsked { tenants: 4, users_per_tenant: 60, days: 50, seed: 7, append: false, now_us: NOW_US };

/// A migrated database, and what it stands on.
pub(super) struct Place {
    pub(super) database: Database,
    pub(super) folder: TempDir,
}

/// The settings for a URL.
pub(super) fn settings(url: &str) -> DatabaseSettings {
    let url = DatabaseUrl::parse(url).expect("a URL");
    DatabaseSettings { url, connections: 4, ..DatabaseSettings::default() }
}

/// Opens, migrates and fills a database.
pub(super) async fn filled(url: &str, seed: &SeedAsked) -> Database {
    let database = Database::open(&settings(url), Access::Change).await.expect("it opens");
    let migrated = database.migrate(&mut |_| {}).await.expect("it migrates");
    assert_eq!(migrated.failed().count(), 0, "{:?}", migrated.failed().collect::<Vec<_>>());
    database.seed(seed, &mut |_, _| {}).await.expect("it is filled");
    database
}

/// A filled file.
pub(super) async fn sqlite(seed: &SeedAsked) -> Place {
    let folder = TempDir::new().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("a.db").display());
    Place { database: filled(&url, seed).await, folder }
}
