//! The companion over HTTP: the dashboard's API and its page.
//!
//! Tenant, user and role come from the verified token and from nowhere else; no handler is without a [`Principal`] that
//! answers with a tenant's data.

mod activity;
mod around;
pub mod auth;
mod awaited;
mod cursor;
mod figures;
mod health;
mod metrics;
mod openapi;
mod query;
pub mod refusal;
mod router;
mod statistics;
mod zones;

use crate::base::{Clock, ServiceSettings, Tasks};
use crate::cache::Namespace;
use crate::companion::Database;
use crate::companion::exports::Exports;
use crate::companion::gateways::Gateways;
use crate::identity::Identifier;
use crate::store::Stores;
use crate::telemetry::Metrics;
use crate::web::{self, Bounds};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use auth::{Exporter, NO_VERIFIER, Principal};
pub use health::Ready;
pub use refusal::{FieldFault, Refusal};
pub use router::ROUTES;
pub use zones::{Zones, zone_of};

/// How much the service takes on; how long its end waits is the configuration's (`server.drain`).
pub const SERVICE_BOUNDS: Bounds = Bounds {
    connections: 1_024,
    // The gate in front of it is one peer.
    connections_of_peer: 512,
    first_head_timeout: Duration::from_secs(10),
    head_timeout: Duration::from_secs(60),
    answer_timeout: Duration::from_secs(30),
    write_timeout: Duration::from_secs(30),
    head_bytes: 32 << 10,
    stop_timeout: Duration::from_secs(5),
};

/// The namespaces in which figures are kept, each of scope tenant; `None`: they are not kept.
#[derive(Debug, Clone)]
pub struct FigureNamespaces {
    /// Those of the first page.
    pub metrics: Option<Arc<Namespace>>,
    /// The feed.
    pub activity: Option<Arc<Namespace>>,
    /// Those over time.
    pub statistics: Option<Arc<Namespace>>,
}

/// What the service is made of.
pub struct ServiceParts {
    /// The application's database.
    pub database: Arc<Database>,
    /// Where the companion keeps what is its own: exports. The same, unless that is read-only or has other names.
    pub own: Arc<Database>,
    /// How the gateways do.
    pub gateways: Gateways,
    /// Whose tokens are believed.
    pub identifier: Identifier,
    /// Its settings.
    pub settings: ServiceSettings,
    /// Whose days tenants have.
    pub zones: Zones,
    /// How figures are kept.
    pub namespaces: FigureNamespaces,
    /// Where they are kept.
    pub stores: Arc<Stores>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Background work.
    pub tasks: Tasks,
    /// What cursors and links are signed with, 32 bytes or more.
    pub signing_key: Vec<u8>,
    /// How much it takes on.
    pub bounds: Bounds,
    /// Does the database answer?
    pub ready: Ready,
    /// Exports.
    pub exports: Exports,
}

/// What handlers get.
pub(in crate::companion) type ServiceState = Arc<ServiceParts>;

/// Answers on `listener` until `stop`, then for a few seconds what is under way.
pub async fn serve(listener: TcpListener, parts: ServiceParts, stop: CancellationToken) {
    let bounds = parts.bounds;
    web::serve(bounds, listener, router::router(Arc::new(parts)), stop).await;
}
