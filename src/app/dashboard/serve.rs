//! `dashboard serve`: puts the companion's service together. Read top to bottom: metrics → stores → database → listener →
//! service → signals.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::bind::listen;
use crate::app::dashboard::databases::Databases;
use crate::app::panics;
use crate::app::signals::{Order, Signals};
use crate::base::{Clock, Digester, ExportSettings, ServiceSettings, SystemClock, Tasks};
use crate::companion::Zone;
use crate::companion::exports::{ExportParts, Exports, make_folder};
use crate::companion::gateways::Gateways;
use crate::companion::service::{
    FigureNamespaces, NO_VERIFIER, Ready, SERVICE_BOUNDS, ServiceParts, Zones, serve,
};
use crate::companion::upkeep::Rollups;
use crate::config::{DashboardSettings, Snapshot};
use crate::store::Stores;
use crate::telemetry::{Logging, Metrics, Reading};
use crate::web::Bounds;

const EXPORT_DIR: &str = "dashboard.export_dir";

/// How long background work may take at the end.
const TASKS_BUDGET: Duration = Duration::from_secs(5);

/// The service, ready to answer.
pub(crate) struct Companion {
    listener: TcpListener,
    address: SocketAddr,
    parts: ServiceParts,
}

impl Companion {
    /// Opens everything that it needs. Needs a tokio runtime of several threads.
    ///
    /// # Errors
    /// A taken port, a database that cannot be opened, a time zone that nobody knows.
    pub(crate) async fn open(snapshot: &Snapshot, logging: &Logging) -> anyhow::Result<Self> {
        let DashboardSettings { database, service, identifier, kept } = &snapshot.dashboard;
        Zone::parse(&service.timezone).context("dashboard.timezone")?;
        if !identifier.has_verifier() {
            tracing::warn!("{NO_VERIFIER}: every request for figures is refused until then");
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let metrics = Arc::new(Metrics::new(clock.wall_ms())?);
        let dropped = logging.dropped();
        metrics.add_source(move |readings| readings.push(Reading::LogLinesDropped(dropped())));
        let tasks = Tasks::new();
        let stores = Stores::open(&snapshot.store, &clock, &metrics, &tasks)?;
        let read = Arc::downgrade(&stores);
        metrics.add_source(move |readings| {
            if let Some(stores) = read.upgrade() {
                stores.readings(readings);
            }
        });
        // First of all: the database of our own may stand in it.
        exports_folder(&service.exports)?;
        let Databases { figures, own } = Databases::open(database, service).await?;
        let listener = listen(service.listen, "dashboard.listen")?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let signing_key = signing_key(&snapshot.dashboard);
        let exports = Exports::open(ExportParts {
            database: Arc::clone(&figures),
            own: Arc::clone(&own),
            settings: service.exports.clone(),
            timezone: service.timezone.clone(),
            signing_key: signing_key.clone(),
            metrics: Arc::clone(&metrics),
            clock: Arc::clone(&clock),
            tasks: tasks.clone(),
        });
        let exports = exports.context(EXPORT_DIR)?;
        let parts = ServiceParts {
            database: figures,
            own,
            gateways: gateways(service, &clock, &tasks),
            identifier: identifier.clone(),
            settings: service.clone(),
            zones: Zones::default(),
            namespaces: FigureNamespaces {
                metrics: kept.metrics.clone(),
                activity: kept.activity.clone(),
                statistics: kept.statistics.clone(),
            },
            stores,
            metrics,
            clock,
            tasks,
            signing_key,
            bounds: Bounds { stop_timeout: snapshot.server.drain, ..SERVICE_BOUNDS },
            ready: Ready::default(),
            exports,
        };
        Ok(Self { listener, address, parts })
    }

    /// Where it listens, with the port that was picked.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same, which tells the health of these gateways.
    pub(crate) fn of_gateways(mut self, gateways: Vec<String>) -> Self {
        self.parts.settings.gateways = gateways;
        let parts = &self.parts;
        self.parts.gateways = self::gateways(&parts.settings, &parts.clock, &parts.tasks);
        self
    }

    /// Answers until a signal says stop.
    pub(crate) async fn serve_until_signal(self) -> anyhow::Result<()> {
        panics::install_hook(Arc::clone(&self.parts.metrics));
        let mut signals = Signals::install()?;
        let stop = CancellationToken::new();
        let mut serving = std::pin::pin!(self.serve(stop.clone()));
        loop {
            tokio::select! {
                () = &mut serving => return Ok(()),
                order = signals.next() => match order {
                    Order::Reload => tracing::warn!("the companion reads its configuration at its start only"),
                    Order::Stop if stop.is_cancelled() => anyhow::bail!("a second signal ended it at once"),
                    Order::Stop => stop.cancel(),
                },
            }
        }
    }

    /// Answers until `stop`, then finishes what is under way.
    pub(crate) async fn serve(self, stop: CancellationToken) {
        let Self { listener, address, parts } = self;
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            "the dashboard is at http://{address}/dashboard/"
        );
        let (tasks, stores) = (parts.tasks.clone(), Arc::clone(&parts.stores));
        let (database, own) = (Arc::clone(&parts.database), Arc::clone(&parts.own));
        parts.exports.start();
        keep_up(&parts);
        serve(listener, parts, stop).await;
        stores.leave().await;
        tasks.drain(TASKS_BUDGET).await;
        database.close().await;
        own.close().await;
        tracing::info!("stopped");
    }
}

/// Makes the folder for files of exports, where there is none.
fn exports_folder(settings: &ExportSettings) -> anyhow::Result<()> {
    make_folder(settings).with_context(|| match &settings.dir {
        Some(folder) => format!("{EXPORT_DIR}: {} cannot be used", folder.display()),
        None => EXPORT_DIR.to_owned(),
    })
}

fn gateways(settings: &ServiceSettings, clock: &Arc<dyn Clock>, tasks: &Tasks) -> Gateways {
    let token = settings.gateway_token.clone();
    Gateways::new(&settings.gateways, token, Arc::clone(clock), tasks.clone())
}

/// What goes on whether anybody asks or not. Days are counted where they can be written down beside what they are counted from.
fn keep_up(parts: &ServiceParts) {
    parts.gateways.keep_sampling();
    if Arc::ptr_eq(&parts.database, &parts.own) {
        let (clock, metrics) = (Arc::clone(&parts.clock), Arc::clone(&parts.metrics));
        let rollups = Rollups::new(Arc::clone(&parts.own), parts.settings.rollups, clock, metrics);
        rollups.start(&parts.tasks);
    } else {
        tracing::info!(
            own = parts.own.place(),
            "figures over time are counted each time: docs/dashboard.md, Roll-ups"
        );
    }
}

/// What cursors and links are signed with: the same in every instance that has the same configuration.
fn signing_key(dashboard: &DashboardSettings) -> Vec<u8> {
    if let Some(secret) = &dashboard.service.signing_secret {
        return Digester::new("tidegate dashboard signing 1")
            .part(secret.expose().as_bytes())
            .finish()
            .0
            .into();
    }
    if let Some(derived) = dashboard.identifier.derived_key() {
        return Digester::new("tidegate dashboard signing 1").part(&derived.0).finish().0.into();
    }
    tracing::warn!(
        "`dashboard.signing_secret` is not set: links to downloads and cursors are good in this process only"
    );
    rand::random::<[u8; 32]>().into()
}
