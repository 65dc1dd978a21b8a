//! Answers on the admin listener: health, metrics, statistics, configuration, limits. Its own thread: it answers
//! while the data plane drains or is overwhelmed.

mod guard;
mod limits;
mod routes;

use crate::base::Clock;
use crate::config::Current;
use crate::store::Stores;
use crate::telemetry::Metrics;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{mpsc, oneshot};

/// What became of a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reloaded {
    /// A new configuration is in force.
    Accepted {
        /// Its generation.
        generation: u64,
        /// What is worth a look.
        warnings: Vec<String>,
    },
    /// The text is the same; nothing was done.
    Unchanged,
    /// The old configuration stays.
    Refused {
        /// Every fault, rendered.
        faults: String,
    },
}

/// A wish for a reload, with where to send the outcome.
pub type ReloadOrder = oneshot::Sender<Reloaded>;

/// Is the process ready for requests?
#[derive(Debug, Default)]
pub struct Readiness {
    draining: AtomicBool,
}

impl Readiness {
    /// From now on the process says that it goes.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    /// Does it go?
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }
}

/// What the answers are made of.
pub struct AdminParts {
    /// The configuration in force.
    pub current: Current,
    /// Counts and entries.
    pub stores: Arc<Stores>,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Readiness.
    pub readiness: Arc<Readiness>,
    /// Where reloads are ordered.
    pub reload: mpsc::Sender<ReloadOrder>,
}

/// Serves until the process ends, on a thread of its own.
///
/// # Errors
/// When the thread or its runtime cannot be made.
pub fn serve(listener: TcpListener, parts: AdminParts) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let address = listener.local_addr()?;
    let router = routes::router(Arc::new(parts), address);
    std::thread::Builder::new().name("admin".to_owned()).spawn(move || {
        runtime.block_on(async move {
            let served = async { axum::serve(tokio::net::TcpListener::from_std(listener)?, router).await };
            if let Err(error) = served.await {
                tracing::error!(%error, "the admin listener failed");
            }
        });
    })?;
    Ok(())
}
