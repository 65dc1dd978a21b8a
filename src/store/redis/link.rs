//! One server, alone or as a node of a Cluster: its client, its breaker, and the task that keeps both.
//!
//! fred alone would keep a command to a dead or hung server pending for ever; the time-out, the breaker and the prober
//! around it are ours. A call that timed out may still be executed later: for the limiter that charges without
//! admitting, which is the safe side.

use crate::store::StoreFailure;
use crate::store::breaker::{Breaker, Change};
use crate::store::redis::Surroundings;
use crate::store::redis::dial::{self, Line};
use crate::store::redis::keyspace::{Redirect, redirect};
use crate::telemetry::StoreName;
use arc_swap::ArcSwap;
use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::{ClientLike, KeysInterface};
use fred::types::config::Config;
use fred::types::{CustomCommand, Expiration, Value};
use parking_lot::Mutex;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Sleep;

/// Between two probes of a server that does not answer.
pub(super) const PROBE_EVERY: Duration = Duration::from_millis(500);

/// After so many probes in a row without an answer the socket itself is given up: its peer may be gone without a word,
/// and TCP would believe in it for a quarter of an hour. After so many without a connection the next sentinel is asked.
const SILENT_PROBES_MAX: u32 = 4;

/// Between two looks at a connection that is being made.
pub(super) const CONNECT_LOOK: Duration = Duration::from_millis(2);

/// What came of one attempt.
pub(super) enum Attempt<T> {
    /// An answer.
    Done(T),
    /// No answer, or a refusal.
    Failed(StoreFailure),
    /// Nothing was asked: the breaker is open.
    Barred,
    /// Nothing was done: the key is at another node.
    Elsewhere(Redirect),
}

/// A server. Clones share it; when the last is dropped, the connection is closed within [`PROBE_EVERY`].
#[derive(Clone)]
pub(super) struct Link {
    inner: Arc<Inner>,
}

struct Inner {
    name: StoreName,
    /// Its address, where there are several.
    node: Option<String>,
    config: Config,
    client: ArcSwap<Client>,
    /// For keys that are being moved: ASKING holds for the one command that comes next on a connection, so such calls
    /// have one of their own, lent to one at a time.
    asking: Mutex<Option<Arc<(Client, Line)>>>,
    asking_turn: Semaphore,
    breaker: Mutex<Breaker>,
    trouble: Mutex<Trouble>,
    probe_key: Mutex<String>,
    around: Surroundings,
}

/// Why connecting fails.
#[derive(Default)]
struct Trouble {
    /// The server's or the system's word; never holds a secret.
    reason: Option<String>,
    is_auth_told: bool,
}

/// What a probe finds.
#[derive(PartialEq, Eq)]
enum Probe {
    Good,
    Bad,
    /// Connected, but without an answer.
    Silent,
    /// A replica: another server is the primary now.
    Demoted,
}

impl Link {
    /// Begins to connect, and keeps at it; returns at once even when nobody listens. `node` is told in the log.
    ///
    /// # Errors
    /// A configuration that fred refuses.
    pub(super) fn open(
        name: StoreName,
        node: Option<String>,
        config: Config,
        around: &Surroundings,
    ) -> Result<Self, Error> {
        let client = dial::client(&config, 0)?;
        let line = Line::begin(&client);
        let inner = Inner {
            name,
            node,
            config,
            client: ArcSwap::from_pointee(client),
            asking: Mutex::default(),
            asking_turn: Semaphore::new(1),
            breaker: Mutex::default(),
            trouble: Mutex::default(),
            probe_key: Mutex::new(format!("{}probe", around.prefix)),
            around: around.clone(),
        };
        let inner = Arc::new(inner);
        around.tasks.spawn_until_stop("store connection", tend(Arc::downgrade(&inner), line));
        Ok(Self { inner })
    }

    /// Does the server answer, as far as is known?
    pub(super) fn is_up(&self) -> bool {
        self.is_connected() && self.inner.breaker.lock().is_closed()
    }

    /// Is there a socket?
    pub(super) fn is_connected(&self) -> bool {
        self.inner.client.load().is_connected()
    }

    /// Is it the same server and connection?
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// The client of this moment, for what is no call.
    pub(super) fn client(&self) -> Client {
        Client::clone(&self.inner.client.load())
    }

    /// The key that a probe writes; it has to lie in the part of the keyspace that this server owns.
    pub(super) fn probe_key(&self) -> String {
        self.inner.probe_key.lock().clone()
    }

    /// Changes [`Self::probe_key`].
    pub(super) fn set_probe_key(&self, key: String) {
        *self.inner.probe_key.lock() = key;
    }

    /// Waits for a connection that is being made, until `deadline`.
    pub(super) async fn connected(&self, mut deadline: Pin<&mut Sleep>) {
        while !self.is_connected() && self.inner.breaker.lock().is_closed() && !deadline.is_elapsed() {
            tokio::select! {
                () = tokio::time::sleep(CONNECT_LOOK) => {}
                () = deadline.as_mut() => {}
            }
        }
    }

    /// Asks once, until `deadline`; not at all while the breaker is open or nothing is connected.
    pub(super) async fn attempt<T, F>(
        &self,
        deadline: Pin<&mut Sleep>,
        call: impl FnOnce(Client) -> F,
    ) -> Attempt<T>
    where
        F: Future<Output = Result<T, Error>>,
    {
        if !self.inner.breaker.lock().is_closed() {
            return Attempt::Barred;
        }
        let client = self.client();
        if !client.is_connected() {
            return self.judge(Err(StoreFailure::Away));
        }
        self.within(deadline, pin!(call(client))).await
    }

    /// The same for a key that is on its way to this server.
    pub(super) async fn attempt_asking<T, F>(
        &self,
        deadline: Pin<&mut Sleep>,
        call: impl FnOnce(Client) -> F,
    ) -> Attempt<T>
    where
        F: Future<Output = Result<T, Error>>,
    {
        if !self.inner.breaker.lock().is_closed() {
            return Attempt::Barred;
        }
        let ask = async {
            // Closed never, hence always lent.
            let _turn = self.inner.asking_turn.acquire().await;
            let lent = self.inner.asking()?;
            let client = lent.0.clone();
            while !client.is_connected() {
                tokio::time::sleep(CONNECT_LOOK).await;
            }
            let asking = CustomCommand::new_static("ASKING", None::<u16>, false);
            client.custom::<Value, Value>(asking, Vec::new()).await?;
            call(client).await
        };
        self.within(deadline, pin!(ask)).await
    }

    /// `ask` is pinned where it is made: each hand that a future of fred's goes through doubles its many kilobytes.
    async fn within<T>(
        &self,
        mut deadline: Pin<&mut Sleep>,
        ask: Pin<&mut impl Future<Output = Result<T, Error>>>,
    ) -> Attempt<T> {
        let budget = self.inner.around.timeout;
        if deadline.is_elapsed() {
            // Spent on the way here: nothing is known of this server.
            return Attempt::Failed(StoreFailure::TimedOut { budget });
        }
        tokio::select! {
            biased;
            answer = ask => match answer {
                Ok(value) => {
                    self.record(true);
                    Attempt::Done(value)
                }
                Err(error) => match redirect(error.details()) {
                    Some(redirect) => {
                        self.record(true);
                        Attempt::Elsewhere(redirect)
                    }
                    None => self.judge(Err(failure(&error, budget))),
                },
            },
            () = deadline.as_mut() => self.judge(Err(StoreFailure::TimedOut { budget })),
        }
    }

    fn judge<T>(&self, failed: Result<T, StoreFailure>) -> Attempt<T> {
        match failed {
            Ok(value) => Attempt::Done(value),
            Err(failure) => {
                self.record(is_answer(&failure));
                Attempt::Failed(failure)
            }
        }
    }

    fn record(&self, is_success: bool) {
        let change = self.inner.breaker.lock().record(is_success, self.inner.around.clock.monotonic_ms());
        self.inner.announce(change);
    }
}

impl Inner {
    fn announce(&self, change: Change) {
        let (store, node) = (self.name.as_str(), self.node.as_deref());
        match change {
            Change::None => {}
            Change::Opened => {
                let trouble = self.trouble.lock();
                let reason = trouble.reason.as_deref().unwrap_or("no answer in time");
                tracing::warn!(store, node, reason, "store away: it is not asked until it answers again");
            }
            Change::Closed => tracing::info!(store, node, "store back"),
        }
    }

    /// Refused credentials are told at once, and once: they will not mend by themselves.
    fn note(&self, error: &Error) {
        let mut trouble = self.trouble.lock();
        let (store, node, reason) = (self.name.as_str(), self.node.as_deref(), error.details());
        if *error.kind() == ErrorKind::Auth && !trouble.is_auth_told {
            trouble.is_auth_told = true;
            tracing::error!(store, node, reason, "store refuses the credentials in its URL");
        }
        trouble.reason = Some(reason.to_owned());
    }

    /// The connection for keys that are being moved; made when it is first needed.
    fn asking(&self) -> Result<Arc<(Client, Line)>, Error> {
        let mut asking = self.asking.lock();
        if let Some(made) = asking.as_ref().filter(|made| !made.1.has_ended()) {
            return Ok(Arc::clone(made));
        }
        let client = dial::client(&self.config, 0)?;
        let line = Line::begin(&client);
        Ok(Arc::clone(asking.insert(Arc::new((client, line)))))
    }

    /// A write, since a full or demoted server still answers a PING.
    async fn probe(&self) -> Probe {
        let client = Client::clone(&self.client.load());
        if !client.is_connected() {
            return Probe::Bad;
        }
        let life = Some(Expiration::PX(1_000));
        let write = client.set::<(), _, _>(self.probe_key.lock().clone(), 1, life, None, false);
        match tokio::time::timeout(self.around.timeout, write).await {
            Ok(Ok(())) => Probe::Good,
            // The server works; that the key is no longer its own is found out by the next call.
            Ok(Err(error)) if self.node.is_some() && redirect(error.details()).is_some() => Probe::Good,
            Ok(Err(error)) if error.details().starts_with("READONLY") => Probe::Demoted,
            Ok(Err(_)) => Probe::Bad,
            Err(_elapsed) => Probe::Silent,
        }
    }
}

/// Keeps the connection: asks while the breaker is open until the server answers again, and makes the connection anew
/// when it has ended, fallen silent, or leads to a server that is no primary any more.
async fn tend(link: Weak<Inner>, mut line: Line) {
    let (mut silent, mut apart, mut turn) = (0_u32, 0_u32, 0_usize);
    loop {
        tokio::select! {
            () = tokio::time::sleep(PROBE_EVERY) => {}
            () = listen(&mut line, &link) => {}
        }
        let Some(link) = link.upgrade() else { return };
        let mut is_demoted = false;
        apart = if link.client.load().is_connected() { 0 } else { apart.saturating_add(1) };
        if link.breaker.lock().is_closed() {
            silent = 0;
        } else {
            let probe = link.probe().await;
            is_demoted = probe == Probe::Demoted;
            silent = if probe == Probe::Silent { silent.saturating_add(1) } else { 0 };
            let change = link.breaker.lock().probed(probe == Probe::Good);
            link.announce(change);
        }
        // fred asks the sentinels in one order, and one that hangs would stand in front of the others for ever.
        let is_stuck = link.config.server.is_sentinel() && apart >= SILENT_PROBES_MAX;
        if line.has_ended() || silent >= SILENT_PROBES_MAX || is_demoted || is_stuck {
            turn = turn.wrapping_add(1);
            // A new client: what the old one had queued would keep this one from flushing.
            if let Ok(client) = dial::client(&link.config, turn) {
                line = Line::begin(&client);
                link.client.store(Arc::new(client));
            }
            (silent, apart) = (0, 0);
        }
    }
}

/// Remembers why connecting fails; never ends.
async fn listen(line: &mut Line, link: &Weak<Inner>) {
    loop {
        let event = line.next().await;
        let Some(link) = link.upgrade() else { return };
        match event {
            dial::Event::Failed(error) => link.note(&error),
            dial::Event::Connected => *link.trouble.lock() = Trouble::default(),
        }
    }
}

/// Does the server answer, whatever it says? Refusals that concern one command do not count against it.
fn is_answer(failure: &StoreFailure) -> bool {
    /// The server says that it cannot work now.
    const STATES: [&str; 11] = [
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
        "NOREPLICAS",
    ];
    match failure {
        StoreFailure::Malformed { .. } => true,
        StoreFailure::Refused { reason } => !STATES.iter().any(|state| reason.starts_with(state)),
        StoreFailure::TimedOut { .. } | StoreFailure::Away => false,
    }
}

fn failure(error: &Error, budget: Duration) -> StoreFailure {
    let reason = error.details();
    // A server's refusal begins with a word in capitals; the client says the same kind of its own troubles.
    let is_refusal = reason.bytes().next().is_some_and(|first| first.is_ascii_uppercase())
        && reason.bytes().take_while(|byte| *byte != b' ').all(|byte| !byte.is_ascii_lowercase());
    match error.kind() {
        ErrorKind::Timeout => StoreFailure::TimedOut { budget },
        ErrorKind::Unknown if !is_refusal => StoreFailure::Away,
        ErrorKind::Unknown
        | ErrorKind::Cluster
        | ErrorKind::InvalidCommand
        | ErrorKind::InvalidArgument
        | ErrorKind::NotFound => StoreFailure::Refused { reason: reason.to_owned() },
        ErrorKind::Parse => StoreFailure::Malformed { what: "a reply of another type" },
        _ => StoreFailure::Away,
    }
}
