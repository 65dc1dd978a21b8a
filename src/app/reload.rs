//! A new configuration, whole or not at all: the old one stays in force until the new one is built, and for good when
//! it cannot be. Counts and stored answers live elsewhere and stay.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::admin::{ReloadOrder, Reloaded};
use crate::app::origin::{Origin, Refused};
use crate::base::{Clock, Secret, StoreSettings, Tasks};
use crate::config::{Current, FileSeen, Listen, Loaded, Snapshot};
use crate::telemetry::{Metrics, ReloadResult};

/// How often the files are compared although nobody told us of a change: some mounts tell nothing, and certificates
/// and keys lie in folders that are not watched.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A change settles before it is read: editors and Kubernetes change more than one thing.
const SETTLE: Duration = Duration::from_millis(200);

/// What was fixed at the start: sockets are open, stores are connected. A new configuration cannot change it.
struct Fixed {
    listen: Vec<Listen>,
    admin: SocketAddr,
    token: Option<Secret>,
    store: StoreSettings,
}

/// A listener without what may change while it listens: whether it speaks TLS is fixed, with which certificates is not.
fn socket(listen: &Listen) -> (Listen, bool) {
    (Listen { tls: None, ..listen.clone() }, listen.tls.is_some())
}

/// The open sockets with what `wanted` says about the certificates of each; those that it does not name keep theirs.
/// Equal ones are kept as they are, and with them the tickets of their clients.
fn listeners(in_force: &[Listen], wanted: &[Listen]) -> Vec<Listen> {
    let renewed = |(index, old): (usize, &Listen)| {
        let is_same = |new: &&Listen| socket(new) == socket(old);
        let new = wanted.get(index).filter(is_same).or_else(|| wanted.iter().find(is_same));
        new.filter(|new| *new != old).unwrap_or(old).clone()
    };
    in_force.iter().enumerate().map(renewed).collect()
}

impl Fixed {
    fn of(snapshot: &Snapshot) -> Self {
        Self {
            listen: snapshot.server.listen.clone(),
            admin: snapshot.admin.listen,
            token: snapshot.admin.token.clone(),
            store: snapshot.store.clone(),
        }
    }

    /// Puts what is in force in place of what `snapshot` says, and tells what differs. `in_force` are the listeners
    /// with the certificates of the last configuration.
    fn keep_in(&self, snapshot: &mut Snapshot, in_force: &[Listen]) -> Vec<String> {
        let wanted = std::mem::take(&mut snapshot.server.listen);
        let differs = [
            ("server.listen", !self.listen.iter().map(socket).eq(wanted.iter().map(socket))),
            ("admin.listen", self.admin != snapshot.admin.listen),
            ("store", self.store != snapshot.store),
        ];
        snapshot.server.listen = listeners(in_force, &wanted);
        snapshot.admin.listen = self.admin;
        snapshot.store = self.store.clone();
        if snapshot.admin.is_open() {
            // The new address would need no token; the one that is still listened on does.
            snapshot.admin.token.clone_from(&self.token);
        }
        let told = differs.into_iter().filter(|(_, is_so)| *is_so);
        told.map(|(key, _)| format!("`{key}` has changed; it takes effect at the next start")).collect()
    }
}

/// Replaces the configuration in force.
pub struct Reloader {
    origin: Origin,
    current: Current,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    fixed: Fixed,
    /// Called after each new configuration.
    accepted: Box<dyn Fn() + Send + Sync>,
    /// Held over a whole reload: one after the other.
    seen: Mutex<Seen>,
}

/// What was looked at last, accepted or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The text of the configuration.
    pub text: String,
    /// The files beside it.
    pub files: Vec<FileSeen>,
}

impl Seen {
    /// The configuration, and the files that were read last time, as they are now. `None` while the configuration
    /// cannot be read.
    fn again(&self, path: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(path).ok()?;
        Some(Self { text, files: self.files.iter().map(FileSeen::again).collect() })
    }
}

impl Reloader {
    /// A reloader of `origin`, of which `seen` is in force.
    #[must_use]
    pub fn new(origin: Origin, seen: Seen, around: (Current, Arc<Metrics>, Arc<dyn Clock>)) -> Self {
        let (current, metrics, clock) = around;
        let fixed = Fixed::of(&current.load());
        let (accepted, seen) = (Box::new(|| ()), Mutex::new(seen));
        Self { origin, current, metrics, clock, fixed, accepted, seen }
    }

    /// The same, calling `accepted` after each new configuration.
    #[must_use]
    pub fn when_accepted(self, accepted: impl Fn() + Send + Sync + 'static) -> Self {
        Self { accepted: Box::new(accepted), ..self }
    }

    /// Loads again, whether anything has changed or not: that is what an order is for.
    pub fn reload(&self) -> Reloaded {
        self.reload_as_seen(&mut self.seen.lock())
    }

    /// Loads again when the configuration or a file beside it (certificate, key, secret) has changed. A file that is
    /// still being written may be refused; it is looked at again.
    fn reload_if_changed(&self) {
        let Some(path) = self.origin.path() else { return };
        let mut seen = self.seen.lock();
        let Some(now) = seen.again(path).filter(|now| *now != *seen) else { return };
        // Whatever comes of it, this is not looked at a second time.
        *seen = now;
        self.reload_as_seen(&mut seen);
    }

    fn reload_as_seen(&self, seen: &mut Seen) -> Reloaded {
        let generation = self.current.load().generation.saturating_add(1);
        match self.origin.load(generation) {
            Ok(loaded) => self.accept(loaded, seen),
            Err(refused) => {
                if let Refused::Faults(faults) = &refused {
                    *seen = Seen { text: faults.text.clone(), files: faults.files.clone() };
                }
                self.metrics.config_reload(ReloadResult::Failure, self.clock.wall_ms());
                let faults = refused.into_faults();
                tracing::error!("configuration refused, the one in force stays:\n{}", faults.brief());
                Reloaded::Refused { faults }
            }
        }
    }

    fn accept(&self, loaded: Loaded, seen: &mut Seen) -> Reloaded {
        let Loaded { mut snapshot, mut warnings, text, files } = loaded;
        *seen = Seen { text, files };
        warnings.extend(self.fixed.keep_in(&mut snapshot, &self.current.load().server.listen));
        let tell = |warning: &String| tracing::warn!("{warning}");
        warnings.iter().for_each(tell);
        let generation = snapshot.generation;
        self.current.store(Arc::new(snapshot));
        (self.accepted)();
        self.metrics.config_reload(ReloadResult::Success, self.clock.wall_ms());
        tracing::info!(generation, "configuration reloaded");
        Reloaded::Accepted { generation, warnings }
    }

    /// Obeys orders until nobody can give any.
    async fn obey(self: Arc<Self>, mut orders: mpsc::Receiver<ReloadOrder>) {
        while let Some(order) = orders.recv().await {
            // Whoever gave the order may be gone; it is carried out all the same.
            drop(order.send(self.reload()));
        }
    }

    /// Watches the files.
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

/// Starts obeying orders and watching the files.
pub fn start(reloader: &Arc<Reloader>, orders: mpsc::Receiver<ReloadOrder>, tasks: &Tasks) {
    tasks.spawn_until_stop("reload", Arc::clone(reloader).obey(orders));
    let Some(path) = reloader.origin.path() else { return };
    let (send, changes) = mpsc::channel(1);
    let watcher = crate::config::watch::watch(&directory(path), send.clone());
    let reloader = Arc::clone(reloader);
    tasks.spawn_until_stop("watch", async move {
        // Held as long as they are needed: dropping the watcher ends the events, dropping the last sender would turn
        // waiting for one into a busy loop.
        let _held = (watcher, send);
        reloader.watch(changes).await;
    });
}

/// Kubernetes swaps a link beside the file: the directory is watched, not the file.
fn directory(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    parent.map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::origin::Overrides;
    use crate::base::ManualClock;
    use crate::config::{Env, Source};
    use arc_swap::ArcSwap;

    const GOOD: &str = "upstreams: {backend: 127.0.0.1:9}\nroutes: [{path: /}]\n";

    struct Bench {
        dir: tempfile::TempDir,
        reloader: Reloader,
        current: Current,
        metrics: Arc<Metrics>,
    }

    impl Bench {
        fn new(text: &str) -> Self {
            Self::in_folder(tempfile::tempdir().expect("a directory"), text)
        }

        fn in_folder(dir: tempfile::TempDir, text: &str) -> Self {
            let path = dir.path().join("t.yaml");
            std::fs::write(&path, text).expect("is written");
            let origin =
                Origin { source: Source::File(path), env: Env::default(), overrides: Overrides::default() };
            let Loaded { snapshot, text, files, .. } = origin.load(1).expect("is valid");
            let current: Current = Arc::new(ArcSwap::from_pointee(snapshot));
            let metrics = Arc::new(Metrics::new(0).expect("is consistent"));
            let around: (Current, Arc<Metrics>, Arc<dyn Clock>) =
                (Arc::clone(&current), Arc::clone(&metrics), Arc::new(ManualClock::at(7_000)));
            Self { dir, reloader: Reloader::new(origin, Seen { text, files }, around), current, metrics }
        }

        fn write(&self, text: &str) {
            std::fs::write(self.dir.path().join("t.yaml"), text).expect("is written");
        }

        fn has_metric(&self, line: &str) -> bool {
            self.metrics.render().lines().any(|other| other == line)
        }
    }

    #[test]
    fn a_good_configuration_replaces_the_one_in_force() {
        let bench = Bench::new(GOOD);
        let before = bench.current.load_full();
        bench.write(&format!("{GOOD}server: {{drain: 3s}}\n"));
        let reloaded = bench.reloader.reload();
        assert_eq!(reloaded, Reloaded::Accepted { generation: 2, warnings: Vec::new() });
        assert_eq!(bench.current.load().server.drain, Duration::from_secs(3));
        assert_eq!(before.generation, 1, "who began with the old one keeps it");
        assert!(bench.has_metric("tidegate_config_last_reload_success 1"));
        assert!(bench.has_metric("tidegate_config_last_reload_timestamp_seconds 7"));
    }

    #[test]
    fn a_faulty_configuration_changes_nothing_and_every_fault_is_told() {
        let bench = Bench::new(GOOD);
        bench.write(
            "upstreams: {backend: 127.0.0.1:9}\nroutes: [{path: /, limit: nope}, {path: /b, cahce: x}]\n",
        );
        let Reloaded::Refused { faults } = bench.reloader.reload() else { panic!("was accepted") };
        let faults = faults.to_string();
        assert!(faults.contains("nope") && faults.contains("cahce"), "{faults}");
        assert_eq!(bench.current.load().generation, 1);
        assert!(bench.has_metric("tidegate_config_last_reload_success 0"));
    }

    #[test]
    fn a_change_is_looked_at_once_good_or_bad() {
        let bench = Bench::new(GOOD);
        bench.reloader.reload_if_changed();
        assert_eq!(bench.current.load().generation, 1);
        bench.write("routes: 7\n");
        bench.reloader.reload_if_changed();
        bench.reloader.reload_if_changed();
        assert!(
            bench.has_metric("tidegate_config_reloads_total{result=\"failure\"} 1"),
            "{}",
            bench.metrics.render()
        );
        bench.write(GOOD);
        bench.reloader.reload_if_changed();
        assert_eq!(bench.current.load().generation, 2);
    }

    /// A listener with the certificate in `a.pem` and `a.key`, which this makes anew.
    fn listener(bench: &Bench) -> String {
        let pair = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).expect("a certificate");
        let write =
            |name, text: String| std::fs::write(bench.dir.path().join(name), text).expect("is written");
        write("a.pem", pair.cert.pem());
        write("a.key", pair.signing_key.serialize_pem());
        format!(
            "{GOOD}server: {{listen: {{address: \"127.0.0.1:0\", tls: {{certificate: a.pem, key: a.key}}}}}}\n"
        )
    }

    #[test]
    fn a_renewed_certificate_is_taken_and_an_unchanged_one_keeps_its_tickets() {
        let dir = Bench::new(GOOD);
        let text = listener(&dir);
        let bench = Bench::in_folder(dir.dir, &text);
        let config = || bench.current.load().server.listen[0].tls.as_ref().expect("TLS").server_config();
        let first = config();
        bench.reloader.reload_if_changed();
        assert_eq!(bench.current.load().generation, 1, "nothing has changed");
        assert!(matches!(bench.reloader.reload(), Reloaded::Accepted { .. }));
        assert!(Arc::ptr_eq(&first, &config()), "the same files");
        listener(&bench);
        bench.reloader.reload_if_changed();
        assert_eq!(bench.current.load().generation, 3);
        assert!(!Arc::ptr_eq(&first, &config()), "other files");
        std::fs::write(bench.dir.path().join("a.key"), "half a k").expect("is written");
        let second = config();
        bench.reloader.reload_if_changed();
        bench.reloader.reload_if_changed();
        assert!(Arc::ptr_eq(&second, &config()));
        assert!(bench.has_metric("tidegate_config_reloads_total{result=\"failure\"} 1"), "looked at once");
        listener(&bench);
        bench.reloader.reload_if_changed();
        assert!(!Arc::ptr_eq(&second, &config()), "the key is whole");
        assert!(bench.has_metric("tidegate_config_last_reload_success 1"));
    }

    #[test]
    fn tls_is_neither_turned_on_nor_off_while_running_and_listeners_keep_their_certificates() {
        let dir = Bench::new(GOOD);
        let text = listener(&dir);
        let bench = Bench::in_folder(dir.dir, &text);
        for listen in
            ["\"127.0.0.1:0\"", "[{address: \"127.0.0.1:1\", tls: {certificate: a.pem, key: a.key}}]"]
        {
            bench.write(&format!("{GOOD}server: {{listen: {listen}}}\n"));
            let Reloaded::Accepted { warnings, .. } = bench.reloader.reload() else { panic!("was refused") };
            assert!(warnings[0].contains("server.listen"), "{warnings:?}");
            let listen = bench.current.load().server.listen.clone();
            assert!(
                listen.len() == 1 && listen[0].tls.is_some() && listen[0].address.port() == 0,
                "{listen:?}"
            );
        }
    }

    #[test]
    fn what_is_fixed_at_the_start_stays_and_is_told_each_time() {
        let bench = Bench::new(GOOD);
        bench.write(&format!("{GOOD}server: {{listen: 127.0.0.1:1}}\nstore: {{timeout: 9ms}}\n"));
        for generation in [2, 3] {
            let Reloaded::Accepted { generation: now, warnings } = bench.reloader.reload() else {
                panic!("was refused")
            };
            assert_eq!((now, warnings.len()), (generation, 2), "{warnings:?}");
        }
        assert_eq!(bench.current.load().store.timeout, Duration::from_millis(50));
    }

    #[test]
    fn an_open_admin_listener_keeps_its_token_when_the_next_address_would_need_none() {
        let bench = Bench::new(&format!("{GOOD}admin: {{listen: 0.0.0.0:9901, token: hush}}\n"));
        bench.write(GOOD);
        assert!(matches!(bench.reloader.reload(), Reloaded::Accepted { .. }));
        let snapshot = bench.current.load();
        assert_eq!(snapshot.admin.token.as_ref().map(Secret::expose), Some("hush"));
    }
}
