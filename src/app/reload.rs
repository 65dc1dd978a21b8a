//! A new configuration, whole or not at all: the old one stays in force until the new one is built, and for good when
//! it cannot be.

use crate::admin::{ReloadOrder, Reloaded};
use crate::base::{Clock, Tasks};
use crate::config::{Current, Env, Listen, Loaded, Snapshot, Source, load};
use crate::telemetry::{Metrics, ReloadResult};
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How often the file is compared although nobody told us of a change: some mounts tell nothing.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// A change settles before it is read: editors and Kubernetes change more than one thing.
const SETTLE: Duration = Duration::from_millis(200);

/// What the command line says in place of the configuration.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// The data listener.
    pub listen: Option<SocketAddr>,
    /// The admin listener.
    pub admin: Option<SocketAddr>,
}

impl Overrides {
    /// Puts them into a configuration.
    pub fn apply(&self, snapshot: &mut Snapshot) {
        if let Some(address) = self.listen {
            snapshot.server.listen = vec![Listen { address, tls: None, http2: false }];
        }
        if let Some(address) = self.admin {
            snapshot.admin.listen = address;
        }
    }
}

/// Where a configuration comes from, with everything that plays a part in it.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The file or text.
    pub source: Source,
    /// The environment.
    pub env: Env,
    /// The command line.
    pub overrides: Overrides,
}

/// What reloading needs.
pub struct Reloader {
    source: Source,
    env: Env,
    current: Current,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    overrides: Overrides,
    /// The text that was looked at last, accepted or not.
    seen: Mutex<String>,
}

impl Reloader {
    /// A reloader of `source`, whose text in force is `text`.
    #[must_use]
    pub fn new(origin: Origin, text: String, around: (Current, Arc<Metrics>, Arc<dyn Clock>)) -> Self {
        let (current, metrics, clock) = around;
        let Origin { source, env, overrides } = origin;
        Self { source, env, current, metrics, clock, overrides, seen: Mutex::new(text) }
    }

    /// Loads again. Files beside the configuration (keys, certificates) may have changed although it has not, so an
    /// order loads whatever the text is.
    pub fn reload(&self) -> Reloaded {
        let generation = self.current.load().generation.saturating_add(1);
        match load(&self.source, &self.env, generation) {
            Ok(Loaded { mut snapshot, warnings, text }) => {
                self.overrides.apply(&mut snapshot);
                *self.seen.lock() = text;
                for warning in warnings.iter().cloned().chain(needs_restart(&self.current.load(), &snapshot))
                {
                    tracing::warn!("{warning}");
                }
                self.current.store(Arc::new(snapshot));
                self.metrics.config_reload(ReloadResult::Success, self.clock.wall_ms());
                tracing::info!(generation, "configuration reloaded");
                Reloaded::Accepted { generation, warnings }
            }
            Err(faults) => {
                self.seen.lock().clone_from(&faults.text);
                self.metrics.config_reload(ReloadResult::Failure, self.clock.wall_ms());
                let faults = faults.to_string();
                tracing::error!("configuration refused, the one in force stays:\n{faults}");
                Reloaded::Refused { faults }
            }
        }
    }

    /// Loads again when the text has changed.
    fn reload_if_changed(&self) {
        let Source::File(path) = &self.source else { return };
        let is_changed = std::fs::read_to_string(path).is_ok_and(|text| text != *self.seen.lock());
        if is_changed {
            self.reload();
        }
    }

    /// Obeys orders until nobody can give any.
    async fn obey(self: Arc<Self>, mut orders: mpsc::Receiver<ReloadOrder>) {
        while let Some(order) = orders.recv().await {
            // Whoever gave the order may be gone; it is carried out all the same.
            drop(order.send(self.reload()));
        }
    }

    /// Watches the file.
    async fn watch(self: Arc<Self>, mut changes: mpsc::Receiver<()>) {
        loop {
            // An event, or the time to look all the same.
            drop(tokio::time::timeout(LOOK_EVERY, changes.recv()).await);
            tokio::time::sleep(SETTLE).await;
            while changes.try_recv().is_ok() {}
            self.reload_if_changed();
        }
    }
}

/// Starts obeying orders and watching the file.
pub fn start(reloader: &Arc<Reloader>, orders: mpsc::Receiver<ReloadOrder>, tasks: &Tasks) {
    tasks.spawn_until_stop("reload", Arc::clone(reloader).obey(orders));
    let Source::File(path) = &reloader.source else { return };
    let (send, changes) = mpsc::channel(1);
    let reloader = Arc::clone(reloader);
    let watcher = crate::config::watch::watch(&directory(path), send);
    tasks.spawn_until_stop("watch", async move {
        // Held as long as it is needed: dropping it ends the events.
        let _watcher = watcher;
        reloader.watch(changes).await;
    });
}

/// Kubernetes swaps a link beside the file: the directory is watched, not the file.
fn directory(path: &Path) -> PathBuf {
    path.parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// What changed but is only read at the start.
fn needs_restart(old: &Snapshot, new: &Snapshot) -> Vec<String> {
    let pairs = [
        ("server.listen", old.server.listen != new.server.listen),
        ("admin.listen", old.admin.listen != new.admin.listen),
        ("store", old.store != new.store),
    ];
    let changed = pairs.into_iter().filter(|(_, is_changed)| *is_changed);
    changed.map(|(key, _)| format!("`{key}` has changed; it takes effect at the next start")).collect()
}
