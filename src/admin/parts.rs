//! What the answers are made of.

use crate::admin::configuration::ReloadOrder;
use crate::admin::health::Readiness;
use crate::base::Clock;
use crate::config::Current;
use crate::store::Stores;
use crate::telemetry::Metrics;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Everything that the admin listener reads or may ask for. Clones share it.
#[derive(Clone)]
pub struct AdminParts {
    /// The configuration in force; also says which token is asked for.
    pub current: Current,
    /// Counts and entries.
    pub stores: Arc<Stores>,
    /// All metrics and the cache's statistics.
    pub metrics: Arc<Metrics>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Does this instance take traffic?
    pub readiness: Arc<Readiness>,
    /// Whoever loads configurations. Bound it to a few: a full channel is answered with 503.
    pub reload: mpsc::Sender<ReloadOrder>,
}
