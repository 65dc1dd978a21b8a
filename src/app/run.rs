//! Puts the process together. Read top to bottom, it is the diagram: configuration → metrics → stores → listeners →
//! admin → data plane → signals → drain.

use crate::admin::{self, AdminParts, Readiness};
use crate::app::bind::{BindFault, listen};
use crate::app::drain::connections_ended;
use crate::app::reload::{self, Origin, Reloader};
use crate::app::signals::{Order, Signals};
use crate::base::{Clock, SystemClock, Tasks};
use crate::config::{Current, Faults, Loaded, load};
use crate::proxy::{Bound, DataPlane, Parts, ProxyFault};
use crate::store::{StoreFailure, Stores};
use crate::telemetry::{Logging, Metrics, Reading};
use arc_swap::ArcSwap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How long background writes may take at the end.
const TASKS_BUDGET: Duration = Duration::from_secs(1);

/// How long the start waits for the stores before it goes on without them.
const STORE_BUDGET: Duration = Duration::from_millis(500);

/// Reload orders that may wait.
const ORDERS_MAX: usize = 4;

/// Why the process cannot start, or ended on its own.
#[derive(Debug, thiserror::Error)]
pub enum RunFault {
    /// The configuration is refused.
    #[error("{0}")]
    Config(#[from] Faults),
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
    Metrics(#[from] crate::telemetry::MetricsFault),
    /// The data plane ended although nobody asked it to.
    #[error("the data plane ended by itself")]
    Ended,
}

/// Where things listen once they do.
#[derive(Debug, Clone, Copy)]
pub struct Listening {
    /// The first data listener.
    pub http: SocketAddr,
    /// The admin listener.
    pub admin: SocketAddr,
}

/// Runs until a signal says stop; `ready` is called once everything listens. Needs a tokio runtime of several threads.
///
/// # Errors
/// [`RunFault`].
pub async fn run(origin: Origin, logging: &Logging, ready: impl FnOnce(Listening)) -> Result<(), RunFault> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let metrics = Arc::new(Metrics::new(clock.wall_ms())?);
    crate::app::panics::install_hook(Arc::clone(&metrics));
    let dropped = logging.dropped();
    metrics.add_source(move |readings| readings.push(Reading::LogLinesDropped(dropped())));
    let Loaded { mut snapshot, warnings, text } = load(&origin.source, &origin.env, 1)?;
    origin.overrides.apply(&mut snapshot);
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    metrics.config_loaded(clock.wall_ms());

    let tasks = Tasks::new();
    let stores = Stores::open(&snapshot.store, &clock, &metrics, &tasks)?;
    let measured = Arc::clone(&stores);
    metrics.add_source(move |readings| measured.readings(readings));

    if !stores.connected(STORE_BUDGET).await {
        tracing::warn!("the store does not answer; until it does, this instance counts and caches alone");
    }

    let admin_listener = listen(snapshot.admin.listen, "admin.listen")?;
    let bound = bind(&snapshot.server.listen)?;
    let listening = Listening {
        http: bound.first().map_or(Ok(snapshot.admin.listen), |bound| bound.listener.local_addr())?,
        admin: admin_listener.local_addr()?,
    };
    let current: Current = Arc::new(ArcSwap::from_pointee(snapshot));
    let readiness = Arc::<Readiness>::default();
    let (order, orders) = mpsc::channel(ORDERS_MAX);
    start_admin(admin_listener, &current, (&stores, &metrics, &clock), &readiness, order)?;

    let reload_parts = (Arc::clone(&current), Arc::clone(&metrics), Arc::clone(&clock));
    let reloader = Arc::new(Reloader::new(origin, text, reload_parts));
    reload::start(&reloader, orders, &tasks);
    let parts = Parts { current: Arc::clone(&current), stores, metrics, clock, tasks: tasks.clone() };
    let plane = DataPlane::prepare(bound, parts)?;
    let signals = Signals::install()?;
    ready(listening);
    serve(plane, signals, Watched { current, readiness, reloader, tasks }).await
}

fn bind(listeners: &[crate::config::Listen]) -> Result<Vec<Bound>, BindFault> {
    let bind = |settings: &crate::config::Listen| {
        Ok(Bound { listener: listen(settings.address, "server.listen")?, settings: settings.clone() })
    };
    listeners.iter().map(bind).collect()
}

fn start_admin(
    listener: TcpListener,
    current: &Current,
    (stores, metrics, clock): (&Arc<Stores>, &Arc<Metrics>, &Arc<dyn Clock>),
    readiness: &Arc<Readiness>,
    reload: mpsc::Sender<admin::ReloadOrder>,
) -> std::io::Result<()> {
    let parts = AdminParts {
        current: Arc::clone(current),
        stores: Arc::clone(stores),
        metrics: Arc::clone(metrics),
        clock: Arc::clone(clock),
        readiness: Arc::clone(readiness),
        reload,
    };
    admin::serve(listener, parts)
}

/// What the running process is steered by.
struct Watched {
    current: Current,
    readiness: Arc<Readiness>,
    reloader: Arc<Reloader>,
    tasks: Tasks,
}

/// Serves until told to stop, then leaves: no new connections, what is under way finishes within `server.drain`.
async fn serve(plane: DataPlane, mut signals: Signals, watched: Watched) -> Result<(), RunFault> {
    let connections = plane.connections();
    let (shutdown, receiver) = watch::channel(false);
    let mut running = std::pin::pin!(plane.run(receiver));
    loop {
        tokio::select! {
            () = &mut running => return Err(RunFault::Ended),
            order = signals.next() => match order {
                Order::Reload => drop(watched.reloader.reload()),
                Order::Stop => break,
            },
        }
    }
    watched.readiness.drain();
    let budget = watched.current.load().server.drain;
    tracing::info!(connections = connections.live(), ?budget, "stopping: what is under way finishes");
    // Nobody listens to it any more when the plane has ended by itself just now.
    shutdown.send(true).ok();
    let leave = async {
        running.await;
        connections_ended(|| connections.live(), budget).await
    };
    tokio::select! {
        left = tokio::time::timeout(budget, leave) => {
            let left = left.unwrap_or_else(|_elapsed| connections.live());
            if left > 0 {
                tracing::warn!(connections = left, "stopped with connections open");
            }
        }
        () = second_stop(&mut signals) => tracing::warn!("stopped at once"),
    }
    watched.tasks.drain(TASKS_BUDGET).await;
    Ok(())
}

async fn second_stop(signals: &mut Signals) {
    while signals.next().await != Order::Stop {}
}
