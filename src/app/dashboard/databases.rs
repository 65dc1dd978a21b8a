//! The service's databases: the application's, and the one for what is the companion's own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;

use crate::base::{DatabaseSettings, DatabaseUrl, Mapping, ServiceSettings};
use crate::companion::{Access, Database};

/// The file for what is our own, where nothing of ours may stand in the application's database.
const OWN_FILE: &str = "tidegate-dashboard-own.db";

/// Both, open.
pub(super) struct Databases {
    /// Where figures come from.
    pub figures: Arc<Database>,
    /// Where exports are noted; the same where that may be.
    pub own: Arc<Database>,
}

impl Databases {
    /// Opens them. The one of our own is made and migrated if need be: nobody else uses it.
    ///
    /// # Errors
    /// Either cannot be opened, or that of our own cannot be brought up to date.
    pub(super) async fn open(settings: &DatabaseSettings, service: &ServiceSettings) -> anyhow::Result<Self> {
        let is_theirs = settings.read_only || settings.mapping != Mapping::default();
        let access = if is_theirs { Access::Read } else { Access::Write };
        let figures = Arc::new(Database::open(settings, access).await?);
        let url = match &service.own {
            Some(url) => url.clone(),
            None if is_theirs => beside(&settings.url, service.exports.dir.as_deref()),
            None => return Ok(Self { own: Arc::clone(&figures), figures }),
        };
        let own = open_own(settings, url).await.context("dashboard.own_database")?;
        Ok(Self { figures, own: Arc::new(own) })
    }
}

async fn open_own(settings: &DatabaseSettings, url: DatabaseUrl) -> anyhow::Result<Database> {
    let settings = DatabaseSettings {
        url,
        replica: None,
        read_only: false,
        mapping: Mapping::default(),
        ..settings.clone()
    };
    let changed = Database::open(&settings, Access::Change).await?;
    let migrated = changed.migrate(&mut |_| {}).await;
    changed.close().await;
    if let Some((outcome, failure)) = migrated?.failed().next() {
        anyhow::bail!("migration {} ({}): {failure}", outcome.step.version, outcome.step.name);
    }
    Ok(Database::open(&settings, Access::Write).await?)
}

/// Where files of exports are, since that folder may be written to; else in the folder of the application's file, or in the
/// working directory where that is no file.
fn beside(url: &DatabaseUrl, exports: Option<&Path>) -> DatabaseUrl {
    DatabaseUrl::Sqlite(match (exports, url) {
        (Some(folder), _) => folder.join(OWN_FILE),
        (None, DatabaseUrl::Sqlite(path)) => path.with_file_name(OWN_FILE),
        (None, DatabaseUrl::Postgres(_)) => PathBuf::from(OWN_FILE),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    async fn filled() -> (TempDir, DatabaseSettings) {
        let folder = TempDir::new().expect("a folder");
        let url = DatabaseUrl::Sqlite(folder.path().join("a.db"));
        let settings = DatabaseSettings { url, ..DatabaseSettings::default() };
        let database = Database::open(&settings, Access::Change).await.expect("it opens");
        database.migrate(&mut |_| {}).await.expect("it migrates");
        database.close().await;
        (folder, settings)
    }

    #[tokio::test]
    async fn what_is_our_own_stands_beside_a_database_that_is_not_ours() {
        let (folder, settings) = filled().await;
        let file = folder.path().join(OWN_FILE);
        let service = ServiceSettings::default();
        let both = Databases::open(&settings, &service).await.expect("they open");
        assert!(Arc::ptr_eq(&both.figures, &both.own) && !file.exists());
        let read_only = DatabaseSettings { read_only: true, ..settings };
        for _ in 0..2 {
            let both = Databases::open(&read_only, &service).await.expect("they open");
            assert!(!Arc::ptr_eq(&both.figures, &both.own) && file.exists());
            assert!(
                both.own.take_lease("a", "b", std::time::Duration::ZERO).await.expect("it may be written to")
            );
            assert!(both.figures.take_lease("a", "b", std::time::Duration::ZERO).await.is_err());
        }
        let mut elsewhere = service.clone();
        let exports = folder.path().join("exports");
        std::fs::create_dir(&exports).expect("a folder of ours");
        elsewhere.exports.dir = Some(exports.clone());
        Databases::open(&read_only, &elsewhere).await.expect("they open");
        assert!(exports.join(OWN_FILE).exists(), "the folder that may be written to");
        let named = folder.path().join("named.db");
        let service = ServiceSettings { own: Some(DatabaseUrl::Sqlite(named.clone())), ..service };
        Databases::open(&read_only, &service).await.expect("they open");
        assert!(named.exists());
    }
}
