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
use arc_swap::ArcSwap;
use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::{ClientLike, EventInterface, KeysInterface};
use fred::types::config::{Config, ReconnectPolicy, Server};
use fred::types::{Builder, Expiration};
use parking_lot::Mutex;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

/// Between two probes of a server that does not answer.
const PROBE_EVERY: Duration = Duration::from_millis(500);

/// After so many probes in a row without an answer the socket itself is given up: its peer may be gone without a word,
/// and TCP would believe in it for a quarter of an hour.
const SILENT_PROBES_MAX: u32 = 4;

/// Longest wait for a socket with TLS, and for each answer of the handshake.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// Longest pause between two attempts to connect, in milliseconds.
const RECONNECT_MS_MAX: u32 = 1_000;

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
    /// In front of every key.
    pub prefix: String,
}

/// A connection to one Redis. Clones share it.
#[derive(Clone)]
pub struct Connection {
    inner: Arc<Inner>,
}

struct Inner {
    name: StoreName,
    client: ArcSwap<Client>,
    breaker: Mutex<Breaker>,
    trouble: Mutex<Trouble>,
    around: Surroundings,
}

/// Why connecting fails.
#[derive(Default)]
struct Trouble {
    /// The server's or the system's word; never holds a secret.
    reason: Option<String>,
    is_auth_told: bool,
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
            .set_policy(ReconnectPolicy::new_exponential(0, 50, RECONNECT_MS_MAX, 2))
            .with_connection_config(|connection| {
                connection.connection_timeout = CONNECT_MAX;
                connection.internal_command_timeout = CONNECT_MAX;
                connection.max_command_attempts = 1;
                connection.max_command_buffer_len = QUEUE_MAX;
                connection.reconnect_on_auth_error = true;
                connection.tcp.nodelay = Some(true);
            })
            .build()
            .map_err(|error| refused(&error))?;
        let client = ArcSwap::from_pointee(client);
        let inner = Inner { name, client, breaker: Mutex::default(), trouble: Mutex::default(), around };
        let connection = Self { inner: Arc::new(inner) };
        connection.inner.around.tasks.spawn_until_stop("store connection", connection.clone().tend());
        Ok(connection)
    }

    /// Does the store answer, as far as is known?
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.inner.client.load().is_connected() && self.inner.breaker.lock().is_closed()
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
        let client = Client::clone(&inner.client.load());
        if !client.is_connected() {
            self.record(Some(&StoreFailure::Away));
            return Err(StoreFailure::Away);
        }
        let began = inner.around.clock.monotonic();
        let answer = tokio::time::timeout(inner.around.timeout, call(client)).await;
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
        let is_success = match failure {
            None | Some(StoreFailure::Malformed { .. }) => true,
            Some(StoreFailure::Refused { reason }) => !is_unfit(reason),
            Some(StoreFailure::TimedOut { .. } | StoreFailure::Away) => false,
        };
        let change = inner.breaker.lock().record(is_success, inner.around.clock.monotonic_ms());
        self.announce(change);
    }

    fn announce(&self, change: Change) {
        let store = self.inner.name.as_str();
        match change {
            Change::None => {}
            Change::Opened => {
                let trouble = self.inner.trouble.lock();
                let reason = trouble.reason.as_deref().unwrap_or("no answer in time");
                tracing::warn!(store, reason, "store away: it is not asked until it answers again");
            }
            Change::Closed => tracing::info!(store, "store back"),
        }
    }

    /// Keeps the connection: makes it, asks while the breaker is open until the server answers again, and makes it anew
    /// when it has ended or fallen silent.
    async fn tend(self) {
        let mut line = Line::begin(&self.inner.client.load());
        let mut silent_probes = 0_u32;
        loop {
            tokio::select! {
                () = tokio::time::sleep(PROBE_EVERY) => {}
                () = line.listen(&self.inner) => {}
            }
            if line.task.is_finished() || silent_probes >= SILENT_PROBES_MAX {
                // A new client: what the old one had queued would keep this one from flushing.
                let client = self.inner.client.load().clone_new();
                line = Line::begin(&client);
                self.inner.client.store(Arc::new(client));
                silent_probes = 0;
            }
            if self.inner.breaker.lock().is_closed() {
                silent_probes = 0;
                continue;
            }
            let client = self.inner.client.load_full();
            let is_success = client.is_connected() && self.probe(&client).await;
            let is_silent = client.is_connected() && !is_success;
            silent_probes = if is_silent { silent_probes.saturating_add(1) } else { 0 };
            let change = self.inner.breaker.lock().probed(is_success);
            self.announce(change);
        }
    }

    /// A write, since a full or demoted server still answers a PING.
    async fn probe(&self, client: &Client) -> bool {
        let around = &self.inner.around;
        let life = Some(Expiration::PX(1_000));
        let write = client.set::<(), _, _>(format!("{}probe", around.prefix), 1, life, None, false);
        matches!(tokio::time::timeout(around.timeout, write).await, Ok(Ok(())))
    }
}

/// The client's own task and what it has to tell; ends with this.
struct Line {
    task: JoinHandle<Result<(), Error>>,
    errors: Receiver<(Error, Option<Server>)>,
    reconnects: Receiver<Server>,
}

impl Line {
    fn begin(client: &Client) -> Self {
        let (errors, reconnects) = (client.error_rx(), client.reconnect_rx());
        Self { task: client.connect(), errors, reconnects }
    }

    /// Remembers why connecting fails; never ends.
    async fn listen(&mut self, inner: &Inner) {
        loop {
            tokio::select! {
                error = self.errors.recv() => match error {
                    Ok((error, _)) => inner.note(&error),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => std::future::pending().await,
                },
                server = self.reconnects.recv() => if server.is_ok() {
                    *inner.trouble.lock() = Trouble::default();
                }
            }
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Inner {
    /// Refused credentials are told at once, and once: they will not mend by themselves.
    fn note(&self, error: &Error) {
        let mut trouble = self.trouble.lock();
        let (store, reason) = (self.name.as_str(), error.details());
        if *error.kind() == ErrorKind::Auth && !trouble.is_auth_told {
            trouble.is_auth_told = true;
            tracing::error!(store, reason, "store refuses the credentials in its URL");
        }
        trouble.reason = Some(reason.to_owned());
    }
}

/// Does the server say that it cannot work now? Other refusals concern one command; a server that refuses that does
/// answer.
fn is_unfit(reason: &str) -> bool {
    const STATES: [&str; 12] = [
        "LOADING",
        "READONLY",
        "MASTERDOWN",
        "CLUSTERDOWN",
        "OOM",
        "MISCONF",
        "NOAUTH",
        "WRONGPASS",
        "NOPERM",
        "BUSY",
        "TRYAGAIN",
        "NOREPLICAS",
    ];
    STATES.iter().any(|state| reason.starts_with(state))
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
