//! One client for one Redis, whatever its topology: every call is bounded in time, and none is made while the server
//! does not answer.
//!
//! fred alone would keep a command to a dead or hung server pending for ever; the time-out, the breaker and the prober
//! around it are ours. A call that timed out may still be executed later: for the limiter that charges without
//! admitting, which is the safe side.

use crate::base::{Clock, Secret, Tasks};
use crate::store::StoreFailure;
use crate::store::breaker::{Breaker, Change};
use crate::telemetry::{Metrics, StoreName};
use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::ClientLike;
use fred::types::Builder;
use fred::types::config::{Config, ReconnectPolicy, UnresponsiveConfig};
use parking_lot::Mutex;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// Between two probes of a server that does not answer.
const PROBE_EVERY: Duration = Duration::from_millis(500);

/// A connection on which nothing was heard for this long although something is due is dropped and made anew.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// Commands that may wait inside the client; more are refused at once.
const QUEUE_MAX: usize = 10_000;

/// What connections need from the rest of the process.
#[derive(Clone)]
pub struct Surroundings {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where calls and failures are counted.
    pub metrics: Arc<Metrics>,
    /// Where the prober lives.
    pub tasks: Tasks,
    /// Longest wait for one call.
    pub timeout: Duration,
}

/// A connection to one Redis. Clones share it.
#[derive(Clone)]
pub struct Connection {
    inner: Arc<Inner>,
}

struct Inner {
    name: StoreName,
    client: Client,
    breaker: Mutex<Breaker>,
    around: Surroundings,
}

impl Connection {
    /// Begins to connect, and keeps at it; returns at once even when nobody listens. `name` labels its metrics.
    ///
    /// # Errors
    /// A URL that cannot be read.
    pub fn open(name: StoreName, url: &Secret, around: Surroundings) -> Result<Self, StoreFailure> {
        let refused = |error: &Error| StoreFailure::Refused { reason: error.details().to_owned() };
        let mut config = Config::from_url(url.expose()).map_err(|error| refused(&error))?;
        // Otherwise a server that is down at the start would never be tried again.
        config.fail_fast = false;
        let client = Builder::from_config(config)
            .set_policy(ReconnectPolicy::new_exponential(0, 50, 1_000, 2))
            .with_connection_config(|connection| {
                connection.connection_timeout = Duration::from_secs(2);
                connection.internal_command_timeout = Duration::from_secs(2);
                connection.max_command_attempts = 1;
                connection.max_command_buffer_len = QUEUE_MAX;
                connection.reconnect_on_auth_error = true;
                connection.tcp.nodelay = Some(true);
                connection.unresponsive =
                    UnresponsiveConfig { max_timeout: Some(SILENCE_MAX), interval: Duration::from_secs(1) };
            })
            .build()
            .map_err(|error| refused(&error))?;
        drop(client.connect());
        let inner = Inner { name, client, breaker: Mutex::default(), around };
        let connection = Self { inner: Arc::new(inner) };
        connection.inner.around.tasks.spawn_until_stop("store prober", connection.clone().probe());
        Ok(connection)
    }

    /// Does the store answer, as far as is known?
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.inner.client.is_connected() && self.inner.breaker.lock().is_closed()
    }

    /// Makes one call within the time-out; none while the breaker is open or nothing is connected.
    ///
    /// # Errors
    /// [`StoreFailure`]: away, timed out, or refused by the server.
    ///
    /// Cancel safety: a dropped call may still be executed by the server.
    pub async fn call<T, F>(
        &self,
        operation: &'static str,
        call: impl FnOnce(Client) -> F,
    ) -> Result<T, StoreFailure>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let inner = &self.inner;
        if !inner.breaker.lock().is_closed() {
            return Err(StoreFailure::Away);
        }
        if !inner.client.is_connected() {
            self.record(Some(&StoreFailure::Away));
            return Err(StoreFailure::Away);
        }
        let began = inner.around.clock.monotonic();
        let answer = tokio::time::timeout(inner.around.timeout, call(inner.client.clone())).await;
        let took = inner.around.clock.monotonic().saturating_sub(began);
        inner.around.metrics.store_duration(inner.name, operation, took);
        let outcome = match answer {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(failure(&error, inner.around.timeout)),
            Err(_elapsed) => Err(StoreFailure::TimedOut { budget: inner.around.timeout }),
        };
        self.record(outcome.as_ref().err());
        outcome
    }

    fn record(&self, failure: Option<&StoreFailure>) {
        let inner = &self.inner;
        if let Some(failure) = failure {
            inner.around.metrics.store_error(inner.name, failure.kind());
        }
        // A server that refuses a command does answer.
        let is_success =
            matches!(failure, None | Some(StoreFailure::Refused { .. } | StoreFailure::Malformed { .. }));
        let change = inner.breaker.lock().record(is_success, inner.around.clock.monotonic_ms());
        self.announce(change);
    }

    fn announce(&self, change: Change) {
        let name = self.inner.name.as_str();
        match change {
            Change::None => {}
            Change::Opened => {
                tracing::warn!(store = name, "store away: it is not asked until it answers again");
            }
            Change::Closed => {
                tracing::info!(store = name, "store back");
            }
        }
    }

    /// Asks while the breaker is open, until the server answers again.
    async fn probe(self) {
        loop {
            tokio::time::sleep(PROBE_EVERY).await;
            if self.inner.breaker.lock().is_closed() {
                continue;
            }
            let is_success = self.inner.client.is_connected() && self.ping().await;
            let change = self.inner.breaker.lock().probed(is_success);
            self.announce(change);
        }
    }

    async fn ping(&self) -> bool {
        let ping = self.inner.client.ping::<String>(None);
        matches!(tokio::time::timeout(self.inner.around.timeout, ping).await, Ok(Ok(_)))
    }
}

fn failure(error: &Error, budget: Duration) -> StoreFailure {
    match error.kind() {
        ErrorKind::Timeout => StoreFailure::TimedOut { budget },
        ErrorKind::Unknown | ErrorKind::InvalidCommand | ErrorKind::InvalidArgument | ErrorKind::NotFound => {
            StoreFailure::Refused { reason: error.details().to_owned() }
        }
        ErrorKind::Parse => StoreFailure::Malformed { what: "a reply of another type" },
        _ => StoreFailure::Away,
    }
}
