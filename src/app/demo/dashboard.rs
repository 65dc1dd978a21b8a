//! The demo's companion: in this process, over a SQLite file with synthetic tenants that goes when the demo ends.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::app::dashboard::serve::Companion;
use crate::app::demo::guide;
use crate::app::origin::Origin;
use crate::base::{Clock, DatabaseSettings, Secret, SystemClock, clock};
use crate::companion::{Access, Database, SeedAsked};
use crate::config::Purpose;
use crate::telemetry::Logging;

const CONFIG: &str = include_str!("dashboard.yaml");

/// How often the demo's folder is removed, should it be filled meanwhile.
const REMOVALS: u32 = 100;

/// The pause between two attempts.
const BETWEEN_REMOVALS: Duration = Duration::from_millis(20);

/// The companion, ready to answer.
pub(super) struct Dashboard {
    companion: Companion,
    tenants: Vec<String>,
    /// Removed when this is dropped.
    _folder: Folder,
}

impl Dashboard {
    /// Makes and fills the database, and opens the service on a free port.
    pub(super) async fn open(secret: &Secret, logging: &Logging) -> anyhow::Result<Self> {
        let folder = Folder::make().context("no folder for the dashboard's database")?;
        let place = |name: &str| folder.0.join(name).display().to_string();
        let text = CONFIG
            .replace("@database@", &place("dashboard.db"))
            .replace("@exports@", &place("exports"))
            .replace("@secret@", secret.expose());
        let snapshot = Origin::text("dashboard.yaml", text).load_for(Purpose::Companion, 1)?.snapshot;
        let tenants = fill(&snapshot.dashboard.database).await?;
        let companion = Companion::open(&snapshot, logging).await?;
        Ok(Self { companion, tenants, _folder: folder })
    }

    /// The two largest.
    pub(super) fn tenants(&self) -> [&str; 2] {
        let [first, second] = guide::TENANTS;
        let name = |index: usize, other| self.tenants.get(index).map_or(other, String::as_str);
        [name(0, first), name(1, second)]
    }

    /// Where it listens.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        Some(self.companion.address())
    }

    /// Answers for ever, from when the gateway is there whose health it tells.
    pub(super) async fn serve(self, admin: oneshot::Receiver<SocketAddr>) {
        let Self { companion, _folder, .. } = self;
        match admin.await {
            Ok(admin) => companion.of_gateways(vec![admin.to_string()]).serve(CancellationToken::new()).await,
            // The proxy has ended, and the demo with it.
            Err(_gone) => std::future::pending().await,
        }
    }
}

/// Tables, indexes and two organisations that have used the application for a quarter of a year.
async fn fill(settings: &DatabaseSettings) -> anyhow::Result<Vec<String>> {
    let database = Database::open(settings, Access::Change).await?;
    database.migrate(&mut |_| {}).await?;
    let now_us = clock::micros(SystemClock::new().wall_ms());
    let asked = SeedAsked { tenants: 2, users_per_tenant: 300, days: 120, seed: 1, append: false, now_us };
    database.seed(&asked, &mut |_, _| {}).await?;
    let tenants = database.largest_tenants(2).await?;
    database.close().await;
    Ok(tenants.into_iter().map(|tenant| tenant.id).collect())
}

/// A folder of this process alone.
struct Folder(PathBuf);

impl Folder {
    fn make() -> std::io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let path = std::env::temp_dir().join(format!("tidegate-demo-{:016x}", rand::random::<u64>()));
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let path: &Path = &self.0;
        // SQLite's threads finish what they are at, and may make a file while all are being removed.
        for _ in 0..REMOVALS {
            match std::fs::remove_dir_all(path) {
                Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => {
                    std::thread::sleep(BETWEEN_REMOVALS);
                }
                Err(error) => {
                    tracing::warn!(%error, path = %path.display(), "the demo's folder stays behind");
                    return;
                }
                Ok(()) => return,
            }
        }
        tracing::warn!(path = %path.display(), "the demo's folder stays behind: somebody fills it");
    }
}
