//! Single flight: of the requests that want the same answer one asks the origin, the others wait for what comes of it.
//! In this process by a table; across the fleet by leases in Redis, each taken by one request of an instance for all
//! of that instance.
//!
//! An optimisation and nothing more: a flight that is lost, or a Redis that does not answer, costs requests to the
//! origin, never a wrong answer. Nobody waits without an end.

use crate::base::{BoundedMap, Clock, Digest, Tasks};
use crate::cache::Variant;
use crate::store::flight::{Ending, Flight, Role};
use crate::store::redis::RedisLeases;
use crate::store::written::Written;
use crate::telemetry::{FlightResult, Metrics};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// How long the lease of a holder that is gone keeps the others waiting.
pub const LEASE: Duration = Duration::from_secs(2);

/// Between two looks at another's lease while the feed brings no messages.
const POLL_EVERY: Duration = Duration::from_millis(100);

/// Redis drops a lease at the first look after its end, and our clock may be coarser.
const LEASE_MARGIN: Duration = Duration::from_millis(5);

/// How long a key whose answer was not storable does not queue.
const UNCACHEABLE_MS: u64 = 10_000;

/// Flights under way at once; beyond that requests go to the origin uncoalesced. Keys that do not queue: the oldest is
/// forgotten.
const FLIGHTS_MAX: usize = 16_384;

/// What a flight is for: a key and, as far as its selecting fields are known, a variant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FlightKey(Arc<str>);

impl FlightKey {
    /// The flight for `variant` of `key`.
    #[must_use]
    pub fn new(key: &Digest, variant: Variant) -> Self {
        Self(format!("{}:{variant}", key.short()).into())
    }

    /// Its name for the fleet.
    pub(super) fn name(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

/// How long a request waits for others, over all its flights.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Then it goes itself, unless another one of this instance does so already; monotonic.
    until: Duration,
    /// Then it goes in any case.
    at_most: Duration,
}

/// What joining led to.
#[derive(Debug)]
pub enum Joined {
    /// Ask the origin, after another look at the store where [`Flight::is_shared`]. Whoever waits, waits for this guard.
    Go(Flight),
    /// Another request's answer is in the store.
    LookAgain,
}

/// A flight under way.
#[derive(Debug)]
pub(super) struct Record {
    /// Told once, when it ends.
    ending: watch::Sender<Option<Ending>>,
    /// What the fleet says of it; `None`: look at the lease again.
    heard: watch::Sender<Option<Ending>>,
}

#[derive(Debug)]
struct Entry {
    record: Arc<Record>,
    /// Guards that may still end it well.
    flying: u32,
    /// Does one of them go alone?
    has_lone: bool,
}

/// All flights of this process.
pub struct Flights {
    table: Mutex<HashMap<FlightKey, Entry>>,
    /// Keys that do not queue, until when (monotonic milliseconds).
    uncacheable: Mutex<BoundedMap<FlightKey, u64>>,
    leases: Option<RedisLeases>,
    hears: AtomicBool,
    /// Holders of leases are told apart by it: random where the process begins.
    next_holder: AtomicU64,
    process: u64,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    tasks: Tasks,
}

enum Entered {
    Lead(Flight),
    Follow(Arc<Record>),
    Apart(FlightResult),
}

impl Flights {
    /// No flights yet. `leases`: those of the fleet, where entries are shared.
    #[must_use]
    pub fn new(
        leases: Option<RedisLeases>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        tasks: Tasks,
    ) -> Self {
        Self {
            table: Mutex::default(),
            uncacheable: Mutex::new(BoundedMap::new(FLIGHTS_MAX)),
            leases,
            hears: AtomicBool::new(false),
            next_holder: AtomicU64::new(0),
            process: rand::random(),
            clock,
            metrics,
            tasks,
        }
    }

    /// A request begins that waits at most `wait` before it goes itself, and as long once more while another one of
    /// this instance does.
    #[must_use]
    pub fn patience(&self, wait: Duration) -> Patience {
        let until = self.clock.monotonic().saturating_add(wait);
        Patience { until, at_most: until.saturating_add(wait) }
    }

    /// Joins the flight for `key`, or begins it.
    ///
    /// Cancel safe: who leaves while it leads lets the next one lead.
    pub async fn join(self: &Arc<Self>, key: &FlightKey, patience: &Patience) -> Joined {
        let (result, joined) = loop {
            match self.enter(key) {
                Entered::Apart(result) => break (result, self.apart(key)),
                Entered::Lead(flight) => break self.lead(flight, patience).await,
                Entered::Follow(record) => {
                    if let Some(joined) = self.follow(key, &record, patience).await {
                        break joined;
                    }
                }
            }
        };
        self.metrics.cache_flight(result);
        joined
    }

    fn enter(self: &Arc<Self>, key: &FlightKey) -> Entered {
        let now_ms = self.clock.monotonic_ms();
        if self.uncacheable.lock().get(key).is_some_and(|until_ms| now_ms < *until_ms) {
            return Entered::Apart(FlightResult::Uncacheable);
        }
        let mut table = self.table.lock();
        if let Some(entry) = table.get(key) {
            return Entered::Follow(Arc::clone(&entry.record));
        }
        if table.len() >= FLIGHTS_MAX {
            return Entered::Apart(FlightResult::Crowded);
        }
        let record = Arc::new(Record { ending: watch::Sender::new(None), heard: watch::Sender::new(None) });
        table.insert(key.clone(), Entry { record: Arc::clone(&record), flying: 1, has_lone: false });
        Entered::Lead(self.guard(key, Role::Leader, Some(record)))
    }

    fn guard(self: &Arc<Self>, key: &FlightKey, role: Role, record: Option<Arc<Record>>) -> Flight {
        Flight { flights: Arc::clone(self), key: key.clone(), role, record, lease: None }
    }

    fn apart(self: &Arc<Self>, key: &FlightKey) -> Joined {
        Joined::Go(self.guard(key, Role::Apart, None))
    }

    /// Waits for the one that leads; `None`: it failed.
    async fn follow(
        self: &Arc<Self>,
        key: &FlightKey,
        record: &Arc<Record>,
        patience: &Patience,
    ) -> Option<(FlightResult, Joined)> {
        for until in [patience.until, patience.at_most] {
            let mut ending = record.ending.subscribe();
            let ended = timeout(self.left(until), ending.wait_for(Option::is_some)).await;
            match ended.map(|ending| ending.ok().and_then(|ending| *ending)) {
                Ok(Some(Ending::Stored)) => return Some((FlightResult::Waited, Joined::LookAgain)),
                Ok(Some(Ending::Uncacheable | Ending::Unstored)) => {
                    return Some((FlightResult::Uncacheable, self.apart(key)));
                }
                Ok(Some(Ending::Failed) | None) => return None,
                Err(_elapsed) => {
                    if let Some(flight) = self.go_alone(key, record) {
                        return Some((FlightResult::TimedOut, Joined::Go(flight)));
                    }
                }
            }
        }
        Some((FlightResult::TimedOut, self.apart(key)))
    }

    /// Whoever has waited long enough, unless one does already.
    fn go_alone(self: &Arc<Self>, key: &FlightKey, record: &Arc<Record>) -> Option<Flight> {
        let mut table = self.table.lock();
        let entry = table.get_mut(key).filter(|entry| Arc::ptr_eq(&entry.record, record))?;
        if entry.has_lone {
            return None;
        }
        entry.has_lone = true;
        entry.flying = entry.flying.saturating_add(1);
        Some(self.guard(key, Role::Lone, Some(Arc::clone(record))))
    }

    fn left(&self, until: Duration) -> Duration {
        until.saturating_sub(self.clock.monotonic())
    }

    /// Leads this process; for the fleet too once it has the lease.
    async fn lead(self: &Arc<Self>, mut flight: Flight, patience: &Patience) -> (FlightResult, Joined) {
        let (Some(leases), Some(record)) = (&self.leases, flight.record.clone()) else {
            return (FlightResult::Led, Joined::Go(flight));
        };
        let mut heard = record.heard.subscribe();
        let number = self.next_holder.fetch_add(1, Ordering::Relaxed);
        let holder = u128::from(self.process) << 64 | u128::from(number);
        loop {
            heard.mark_unchanged();
            match leases.acquire(&flight.key.0, holder).await {
                Ok(None) => {
                    flight.hold(leases.clone(), holder);
                    return (FlightResult::Led, Joined::Go(flight));
                }
                // Redis away or slow: each instance asks once.
                Err(_failure) => return (FlightResult::Led, Joined::Go(flight)),
                Ok(Some(lease_left)) => {
                    let left = self.left(patience.until);
                    if left.is_zero() {
                        flight.turn_alone();
                        return (FlightResult::TimedOut, Joined::Go(flight));
                    }
                    let look = if self.hears.load(Ordering::Acquire) {
                        lease_left.saturating_add(LEASE_MARGIN)
                    } else {
                        POLL_EVERY
                    };
                    let word = match timeout(look.min(left), heard.changed()).await {
                        Ok(Ok(())) => *heard.borrow(),
                        Ok(Err(_)) | Err(_) => None,
                    };
                    match word {
                        Some(Ending::Stored) => {
                            flight.end(Ending::Stored, Written::at_once());
                            return (FlightResult::Waited, Joined::LookAgain);
                        }
                        Some(ending @ (Ending::Uncacheable | Ending::Unstored)) => {
                            let apart = self.apart(&flight.key);
                            flight.end(ending, Written::at_once());
                            return (FlightResult::Uncacheable, apart);
                        }
                        Some(Ending::Failed) | None => {}
                    }
                }
            }
        }
    }

    /// Hears how a flight of another instance ended, or one of this instance: `{digest}:{variant} {word}`.
    pub(super) fn hear(&self, text: &str) {
        let Some((name, word)) = text.split_once(' ') else { return };
        let Some(ending) = Ending::ALL.into_iter().find(|ending| ending.word() == word) else { return };
        let key = FlightKey(name.into());
        if ending == Ending::Uncacheable {
            self.mark(&key);
        }
        if let Some(entry) = self.table.lock().get(&key) {
            entry.record.heard.send_replace(Some(ending));
        }
    }

    /// Messages arrive from now on, or not any more: whoever waits for one looks at the lease again.
    pub(super) fn hears_others(&self, hears: bool) {
        self.hears.store(hears, Ordering::Release);
        for entry in self.table.lock().values() {
            entry.record.heard.send_replace(None);
        }
    }

    /// Nobody queues for it.
    pub(super) fn mark(&self, key: &FlightKey) {
        let until_ms = self.clock.monotonic_ms().saturating_add(UNCACHEABLE_MS);
        self.uncacheable.lock().insert(key.clone(), until_ms);
    }

    /// It was storable after all.
    pub(super) fn unmark(&self, key: &FlightKey) {
        let mut uncacheable = self.uncacheable.lock();
        if uncacheable.get(key).is_some() {
            uncacheable.insert(key.clone(), 0);
        }
    }

    /// One guard less; tells those who wait unless the flight failed and another guard is still on its way.
    pub(super) fn leave(&self, key: &FlightKey, record: &Arc<Record>, ending: Ending, role: Role) {
        let mut table = self.table.lock();
        if let Some(entry) = table.get_mut(key)
            && Arc::ptr_eq(&entry.record, record)
        {
            entry.flying = entry.flying.saturating_sub(1);
            entry.has_lone &= role != Role::Lone;
            if ending == Ending::Failed && entry.flying > 0 {
                return;
            }
            table.remove(key);
        }
        drop(table);
        record.ending.send_if_modified(|told| told.is_none() && told.replace(ending).is_none());
    }

    /// The guard of the flight for `key` goes alone.
    pub(super) fn has_lone(&self, key: &FlightKey) {
        if let Some(entry) = self.table.lock().get_mut(key) {
            entry.has_lone = true;
        }
    }

    /// Those of the fleet.
    pub(super) fn leases(&self) -> Option<&RedisLeases> {
        self.leases.as_ref()
    }

    /// Where leases are kept.
    pub(super) fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.table.lock().is_empty()
    }
}

impl std::fmt::Debug for Flights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flights").field("hears", &self.hears).finish_non_exhaustive()
    }
}
