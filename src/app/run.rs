//! Puts the process together. Read top to bottom, it is the diagram: configuration → metrics → stores → listeners →
//! admin → data plane → signals → drain.

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, watch};

use crate::admin::{self, AdminParts, Readiness};
use crate::app::bind::{BindFault, listen};
use crate::app::drain::connections_ended;
use crate::app::files;
use crate::app::origin::{Origin, Refused};
use crate::app::panics;
use crate::app::reload::{self, Reloader, Seen};
use crate::app::signals::{Order, Signals};
use crate::base::{Clock, SystemClock, Tasks};
use crate::config::{Current, Loaded, Snapshot};
use crate::proxy::{DataPlane, Parts, ProxyFault, Warmer};
use crate::store::{StoreFailure, Stores};
use crate::telemetry::{Logging, Metrics, MetricsFault, Reading};

/// How long background writes may take at the end.
const TASKS_BUDGET: Duration = Duration::from_secs(1);

/// How long the start waits for the stores before it goes on without them.
const STORE_BUDGET: Duration = Duration::from_millis(500);

/// Reload orders that may wait; more are refused with 503.
const ORDERS_MAX: usize = 4;

/// Why the process cannot start, or ended other than it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum RunFault {
    /// The configuration is refused.
    #[error("{0}")]
    Refused(#[from] Refused),
    /// An address cannot be listened on.
    #[error("{0}")]
    Bind(#[from] BindFault),
    /// A store's URL cannot be used.
    #[error("store: {0}")]
    Store(#[from] StoreFailure),
    /// The data plane cannot be built.
    #[error("{0}")]
    Proxy(#[from] ProxyFault),
    /// The system refuses a thread, socket or signal.
    #[error("{0}")]
    System(#[from] std::io::Error),
    /// Metrics cannot be registered: a bug.
    #[error("{0}")]
    Metrics(#[from] MetricsFault),
    /// The listeners closed although nobody asked for it: a bug, and nothing would be served any more.
    #[error("the data plane ended by itself")]
    Ended,
    /// A second signal cut short what was under way.
    #[error("a second signal ended it at once")]
    CutShort,
}

/// Where things listen once they do. Shows as the line that programs wait for.
#[derive(Debug, Clone)]
pub struct Listening {
    /// The data listeners, in the order of the configuration; at least one.
    pub http: Vec<SocketAddr>,
    /// The admin listener.
    pub admin: SocketAddr,
}

impl fmt::Display for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let http: Vec<String> = self.http.iter().map(ToString::to_string).collect();
        write!(f, "listening http={} admin={}", http.join(","), self.admin)
    }
}

/// Runs until a signal says stop; `ready` is called once everything listens. Needs a tokio runtime of several threads.
///
/// # Errors
/// [`RunFault`].
pub async fn run(origin: Origin, logging: &Logging, ready: impl FnOnce(&Listening)) -> Result<(), RunFault> {
    let Loaded { snapshot, mut warnings, text, files: beside } = origin.load(1)?;
    warnings.extend(files::shortage(files::raise_limit(), snapshot.server.connections.max));
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));

    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let metrics = metrics(&*clock, logging)?;
    panics::install_hook(Arc::clone(&metrics));

    let tasks = Tasks::new();
    let stores = Stores::open(&snapshot.store, &clock, &metrics, &tasks)?;
    measure(&stores, &metrics);
    if !stores.connected(STORE_BUDGET).await {
        tracing::warn!("the store does not answer; until it does, this instance counts and caches alone");
    }

    let sockets = Sockets::open(&snapshot)?;
    let listening = sockets.addresses()?;
    let current: Current = Arc::new(ArcSwap::from_pointee(snapshot));
    watch_expiry(&current, &metrics);
    let readiness = Arc::<Readiness>::default();
    let (reload, orders) = mpsc::channel(ORDERS_MAX);
    let parts = AdminParts {
        current: Arc::clone(&current),
        stores: Arc::clone(&stores),
        metrics: Arc::clone(&metrics),
        clock: Arc::clone(&clock),
        readiness: Arc::clone(&readiness),
        reload,
    };
    // To the very end: probes and metrics are answered while everything else drains.
    let _admin = admin::serve(sockets.admin, parts)?;

    let around = (Arc::clone(&current), Arc::clone(&metrics), Arc::clone(&clock));
    let counts = Arc::clone(&stores);
    let reloader = Reloader::new(origin, Seen { text, files: beside }, around).when_accepted(move || {
        // A remembered denial was a verdict under limits that may be others now.
        counts.limiter.forget_all_denials();
        counts.warming.reloaded();
    });
    let reloader = Arc::new(reloader);
    reload::start(&reloader, orders, &tasks);
    let parts = Parts {
        current: Arc::clone(&current),
        stores: Arc::clone(&stores),
        metrics,
        clock,
        tasks: tasks.clone(),
    };
    let plane = DataPlane::prepare(sockets.data, parts)?;

    let signals = Signals::install()?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "{listening}");
    ready(&listening);
    let warmer = plane.warmer();
    warmer.start();
    Running { current, stores, readiness, reloader, warmer, tasks }.serve(plane, signals).await
}

fn metrics(clock: &dyn Clock, logging: &Logging) -> Result<Arc<Metrics>, MetricsFault> {
    let metrics = Arc::new(Metrics::new(clock.wall_ms())?);
    let dropped = logging.dropped();
    metrics.add_source(move |readings| readings.push(Reading::LogLinesDropped(dropped())));
    metrics.config_loaded(clock.wall_ms());
    Ok(metrics)
}

/// Lets each scrape ask the stores; weakly, because they hold the metrics.
fn measure(stores: &Arc<Stores>, metrics: &Metrics) {
    let stores = Arc::downgrade(stores);
    metrics.add_source(move |readings| {
        if let Some(stores) = stores.upgrade() {
            stores.readings(readings);
        }
    });
}

/// Lets each scrape see when the certificates in force expire.
fn watch_expiry(current: &Current, metrics: &Metrics) {
    let current = Arc::clone(current);
    metrics.add_source(move |readings| {
        for listen in &current.load().server.listen {
            for certificate in listen.tls.iter().flat_map(|tls| &tls.certificates) {
                readings.push(Reading::CertificateExpiry {
                    listener: listen.address.to_string(),
                    name: certificate.title(),
                    not_after_s: certificate.not_after_s,
                });
            }
        }
    });
}

/// Every listening socket, before anything is built on them: a taken port ends the start.
struct Sockets {
    admin: TcpListener,
    data: Vec<TcpListener>,
}

impl Sockets {
    fn open(snapshot: &Snapshot) -> Result<Self, BindFault> {
        let open = |settings: &crate::config::Listen| listen(settings.address, "server.listen");
        let data = snapshot.server.listen.iter().map(open).collect::<Result<_, BindFault>>()?;
        Ok(Self { admin: listen(snapshot.admin.listen, "admin.listen")?, data })
    }

    fn addresses(&self) -> std::io::Result<Listening> {
        let http = self.data.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
        Ok(Listening { http, admin: self.admin.local_addr()? })
    }
}

/// What the running process is steered by.
struct Running {
    current: Current,
    stores: Arc<Stores>,
    readiness: Arc<Readiness>,
    reloader: Arc<Reloader>,
    warmer: Arc<Warmer>,
    tasks: Tasks,
}

impl Running {
    /// Serves until told to stop, then leaves.
    async fn serve(self, plane: DataPlane, mut signals: Signals) -> Result<(), RunFault> {
        let connections = plane.connections();
        let (shutdown, receiver) = watch::channel(false);
        let mut plane = std::pin::pin!(plane.run(receiver));
        loop {
            tokio::select! {
                () = &mut plane => return Err(RunFault::Ended),
                order = signals.next() => match order {
                    Order::Reload => drop(self.reloader.reload()),
                    Order::Stop => break,
                },
            }
        }
        self.readiness.drain();
        // Nobody waits for it.
        self.warmer.stop();
        let budget = self.current.load().server.drain;
        tracing::info!(connections = connections.live(), ?budget, "stopping: what is under way finishes");
        // An error would say that the plane has ended just now, which is what is asked for.
        shutdown.send(true).ok();
        let closed = async {
            plane.await;
            connections_ended(|| connections.live(), budget).await
        };
        tokio::select! {
            closed = tokio::time::timeout(budget, closed) => {
                let left = closed.unwrap_or_else(|_elapsed| connections.live());
                if left > 0 {
                    tracing::warn!(connections = left, "time is up, connections are cut");
                }
            }
            () = second_stop(&mut signals) => return Err(RunFault::CutShort),
        }
        self.stores.leave().await;
        self.tasks.drain(TASKS_BUDGET).await;
        // Blocks this thread: there is nothing left that it could do meanwhile.
        self.stores.save();
        tracing::info!("stopped");
        Ok(())
    }
}

async fn second_stop(signals: &mut Signals) {
    while signals.next().await != Order::Stop {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_names_every_listener() {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let listening = Listening { http: vec![at(1), at(2)], admin: at(3) };
        assert_eq!(listening.to_string(), "listening http=127.0.0.1:1,127.0.0.1:2 admin=127.0.0.1:3");
    }
}
