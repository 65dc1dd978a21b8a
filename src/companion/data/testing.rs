//! What the tests of this module share: databases of both engines with the same data.

use crate::base::{DatabaseSettings, DatabaseUrl};
use crate::companion::data::row::{Arg, Ask};
use crate::companion::{Access, Database, SeedAsked};
use tempfile::TempDir;

#[expect(dead_code, reason = "sessions and other users are for `tests/it`")]
#[path = "../../../tests/it/support/postgres.rs"]
mod postgres;
use crate::base::testing::{process, wait};
pub(in crate::companion) use postgres::Postgres;

/// 15 June 2026, 12:34:56 UTC: of no meaning, but the same in every run.
pub(in crate::companion) const NOW_US: i64 = 1_781_526_896_000_000;

/// A few tenants over seven weeks, in which clocks do not change.
pub(in crate::companion) const SEED: SeedAsked =
    SeedAsked { tenants: 4, users_per_tenant: 60, days: 50, seed: 7, append: false, now_us: NOW_US };

/// A migrated database, and what it stands on.
pub(in crate::companion) struct Place {
    pub(in crate::companion) database: Database,
    pub(in crate::companion) folder: TempDir,
}

/// The settings for a URL.
pub(in crate::companion) fn settings(url: &str) -> DatabaseSettings {
    let url = DatabaseUrl::parse(url).expect("a URL");
    DatabaseSettings { url, connections: 4, ..DatabaseSettings::default() }
}

/// Opens, migrates and fills a database.
pub(in crate::companion) async fn filled(url: &str, seed: &SeedAsked) -> Database {
    let database = Database::open(&settings(url), Access::Change).await.expect("it opens");
    let migrated = database.migrate(&mut |_| {}).await.expect("it migrates");
    assert_eq!(migrated.failed().count(), 0, "{:?}", migrated.failed().collect::<Vec<_>>());
    database.seed(seed, &mut |_, _| {}).await.expect("it is filled");
    database
}

/// A filled file.
pub(in crate::companion) async fn sqlite(seed: &SeedAsked) -> Place {
    let folder = TempDir::new().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("a.db").display());
    Place { database: filled(&url, seed).await, folder }
}

/// What tests outside this module do to a database by hand.
impl Database {
    /// Texts in a column `it`.
    pub(in crate::companion) async fn texts(&self, sql: &'static str) -> Vec<String> {
        let rows = self.rows(&Ask::new("a test", (sql, sql), Vec::new())).await.expect("an answer");
        rows.iter().map(|row| row.text("it").expect("a text")).collect()
    }

    /// A statement of the same text for both engines.
    pub(in crate::companion) async fn by_hand(&self, sql: &'static str) {
        self.change(&[Ask::new("a test", (sql, sql), Vec::new())]).await.expect("it is done");
    }

    /// All leases have run out.
    pub(in crate::companion) async fn expire_leases(&self) {
        let texts = (
            "UPDATE companion_leases SET expires_at = expires_at - interval '1 hour'",
            "UPDATE companion_leases SET expires_at = expires_at - 3600000000",
        );
        self.change(&[Ask::new("a test", texts, Vec::new())]).await.expect("it is done");
    }

    /// Sessions of a tenant's first user, a minute each, from `begin_us` on.
    pub(in crate::companion) async fn add_sessions(&self, tenant: &str, begin_us: i64, count: i64) {
        let texts = (
            "INSERT INTO user_sessions (organization_id, user_id, started_at, last_seen_at, duration_seconds) \
                SELECT $1::uuid, (SELECT id FROM users WHERE organization_id = $1::uuid ORDER BY username LIMIT 1), \
                to_timestamp(($2 + n) / 1000000.0), to_timestamp(($2 + n) / 1000000.0), 60 \
                FROM generate_series(1, $3) AS n",
            "INSERT INTO user_sessions (organization_id, user_id, started_at, last_seen_at, duration_seconds) \
                SELECT ?1, (SELECT id FROM users WHERE organization_id = ?1 ORDER BY username LIMIT 1), ?2, ?2, 60 \
                FROM (WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < ?3) SELECT n FROM up)",
        );
        let args = vec![Arg::Text(tenant.to_owned()), Arg::Integer(begin_us), Arg::Integer(count)];
        self.change(&[Ask::new("a test", texts, args)]).await.expect("it is done");
    }
}
