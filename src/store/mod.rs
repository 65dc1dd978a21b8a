//! Where counts and entries live: this process, or Redis. Both may fail; neither may take traffic down.

pub mod aside;
mod backlog;
pub mod breaker;
mod denials;
pub mod entries;
mod fallback;
pub mod flight;
pub mod flights;
pub mod inspection;
pub mod limiter;
pub mod memory_entries;
pub mod memory_limits;
mod open;
pub mod overrides;
mod parts;
mod places;
pub mod purges;
pub mod receipt;
pub mod redis;
pub mod slots;
pub mod snapshot;
pub mod tiered;
pub mod top;
mod totals;
pub mod turns;
pub mod warming;
mod written;

#[cfg(test)]
mod aside_tests;
#[cfg(test)]
mod cluster_tests;
#[cfg(test)]
mod contract_tests;
#[cfg(test)]
mod fleet_tests;
#[cfg(test)]
mod flights_tests;
#[cfg(test)]
mod oracle_tests;
#[cfg(test)]
mod outage_tests;
#[cfg(test)]
mod overrides_tests;
#[cfg(test)]
mod purges_tests;
#[cfg(test)]
mod slots_tests;
#[cfg(test)]
mod testing;

pub use aside::{Cached, Question};
pub use entries::{EntryStore, Found, Lookup};
pub use flight::Flight;
pub use flights::{FlightKey, Flights, Joined, Patience};
pub use inspection::{AtRest, Inspection, Seen};
pub use limiter::{Admission, LimitStore, Limiter, Source};
pub use overrides::{LiveOverride, LiveOverrides, NotSet};
pub use purges::{Purges, Reach};
pub use receipt::Receipt;
pub use slots::{Held, SlotRefusal, Slots};
pub use tiered::TieredEntries;
pub use top::{Ranking, TopLists};
pub use turns::Turns;
pub use warming::Warming;
pub use written::Written;

use crate::base::Tasks;
use crate::limit::Overrides;
use crate::store::aside::Aside;
use crate::store::redis::{Connection, Event, Feed, RedisTotals};
use crate::telemetry::{Reading, StoreName, Tier};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Between two sweeps of one shard of the embedded counts.
const SWEEP_EVERY: Duration = Duration::from_millis(250);

/// Between two looks whether something is owed to the store.
const REPAY_EVERY: Duration = Duration::from_millis(100);

/// Between two looks at a store that the start waits for.
const SHORT: Duration = Duration::from_millis(5);

/// The pauses before the looks at the store: short ones while the start may wait for the first that succeeds, then longer and
/// longer ones up to `most`.
fn pauses(most: Duration) -> impl Iterator<Item = Duration> {
    let longer = std::iter::successors(Some(SHORT), move |pause| Some(pause.saturating_mul(2).min(most)));
    std::iter::repeat_n(SHORT, 120).chain(longer)
}

/// The stores of a process.
pub struct Stores {
    /// Counts.
    pub limiter: Limiter,
    /// Places of requests under way.
    pub slots: Slots,
    /// Stored responses.
    pub entries: EntryStore,
    /// What of them is good no more.
    pub purges: Arc<Purges>,
    /// Who fetches what for whom.
    pub flights: Arc<Flights>,
    /// What is to be asked for before clients do.
    pub warming: Warming,
    /// Who does what all instances would do.
    pub turns: Turns,
    /// Limits that single identities were given while running.
    pub live_overrides: LiveOverrides,
    /// Who asks most and who is denied most.
    pub top: TopLists,
    /// What the other instances have counted, where there is a store between them.
    totals: Option<RedisTotals>,
    /// What [`Stores::cached`] needs.
    aside: Aside,
    /// Where the counts of this process outlive it.
    snapshot: Option<PathBuf>,
    /// Somebody has changed the overrides.
    told: Notify,
    /// Something was purged that this process has not heard of.
    missed: Notify,
}

impl Stores {
    /// Starts what has to be done now and then.
    fn start(self: &Arc<Self>, tasks: &Tasks) {
        let swept = Arc::clone(self);
        tasks.spawn_until_stop("sweep", async move {
            loop {
                tokio::time::sleep(SWEEP_EVERY).await;
                swept.limiter.local().sweep();
            }
        });
        let owing = Arc::clone(self);
        tasks.spawn_until_stop("repay", async move {
            loop {
                tokio::time::sleep(REPAY_EVERY).await;
                owing.limiter.repay().await;
            }
        });
        let looking = Arc::clone(self);
        tasks.spawn_until_stop("overrides", async move {
            for pause in pauses(overrides::POLL_EVERY) {
                // Told, or the time to look all the same: a message may be lost.
                drop(tokio::time::timeout(pause, looking.told.notified()).await);
                match looking.live_overrides.refresh().await {
                    Ok(true) => looking.limiter.forget_all_denials(),
                    Ok(false) => {}
                    Err(failure) => tracing::trace!(%failure, "overrides not read"),
                }
            }
        });
        let reading = Arc::clone(self);
        tasks.spawn_until_stop("purges", async move {
            for pause in pauses(purges::READ_EVERY) {
                // A Redis that was never reached has not failed: such looks would open its breaker at every start.
                let answers = reading.limiter.is_connected() && reading.entries.is_connected();
                if answers && let Err(failure) = reading.purges.read().await {
                    tracing::trace!(%failure, "purges not read");
                }
                drop(tokio::time::timeout(pause, reading.missed.notified()).await);
            }
        });
        let turning = Arc::clone(self);
        tasks.spawn_until_stop("top", async move {
            loop {
                tokio::time::sleep(top::GENERATION).await;
                turning.top.turn();
            }
        });
    }

    /// Hears what other instances have to tell.
    fn listen(self: &Arc<Self>, connection: Connection) {
        let stores = Arc::downgrade(self);
        let hear = move |event| {
            if let Some(stores) = stores.upgrade() {
                stores.hear(event);
            }
        };
        drop(Feed::open(connection, hear));
    }

    fn hear(&self, event: Event) {
        match event {
            Event::Live => {
                self.limiter.hears_others(true);
                self.flights.hears_others(true);
                self.told.notify_one();
                self.missed.notify_one();
            }
            Event::Lost => {
                self.limiter.hears_others(false);
                self.flights.hears_others(false);
            }
            Event::Message(text) => self.hear_message(&text),
        }
    }

    fn hear_message(&self, text: &str) {
        match text.split_once(' ') {
            Some(("forget", log)) => self.limiter.hear_of_log(log),
            Some(("purge", purge)) => {
                if !self.purges.hear(purge) {
                    self.missed.notify_one();
                }
            }
            Some(("flight", flight)) => self.flights.hear(flight),
            _ if text == redis::overrides::MESSAGE => self.told.notify_one(),
            // Of a later version: whatever it means, nothing that is remembered survives it.
            _ => self.limiter.forget_all_denials(),
        }
    }

    /// Leaves the fleet, once nothing is served any more.
    pub async fn leave(&self) {
        if let Some(totals) = &self.totals {
            // Else the others notice within five seconds.
            drop(totals.leave().await);
        }
        self.limiter.leave().await;
    }

    /// The limits that single identities were given while running.
    #[must_use]
    pub fn overrides(&self) -> Arc<Overrides> {
        self.live_overrides.current()
    }

    /// Writes the counts of this process to their file, if there is to be one. Blocks; call it when nothing is served any
    /// more.
    pub fn save(&self) {
        let Some(path) = &self.snapshot else { return };
        let file = path.display();
        match self.limiter.local().save(path) {
            Ok(logs) => tracing::info!(logs, %file, "counts saved"),
            Err(error) => {
                tracing::error!(%error, %file, "counts are not saved, the next start knows none of them");
            }
        }
    }

    /// Waits until the stores answer, at most `budget`: requests before that would be counted by this instance alone.
    pub async fn connected(&self, budget: Duration) -> bool {
        let connected = async {
            // What is fetched before the first look into the ledger of purges cannot be judged later, and is dropped.
            let is_ready = || {
                let answers = self.limiter.is_connected() && self.entries.is_connected();
                answers && self.live_overrides.is_loaded() && self.purges.is_trusted()
            };
            while !is_ready() {
                tokio::time::sleep(SHORT).await;
            }
        };
        tokio::time::timeout(budget, connected).await.is_ok()
    }

    /// What the stores hold and whether they answer, for the gauges.
    pub fn readings(&self, readings: &mut Vec<Reading>) {
        let (entries, bytes, evictions) = self.entries.gauges();
        readings.push(Reading::CacheTier { tier: Tier::Memory, entries, bytes, evictions });
        let (local, count) = (self.limiter.local(), |number| u64::try_from(number).unwrap_or(u64::MAX));
        let (held, patterns) = self.purges.with(|ledger| (ledger.len(), ledger.patterns()));
        let names = held.saturating_sub(patterns);
        readings.push(Reading::CacheLedger { names: count(names), patterns: count(patterns) });
        readings.push(Reading::LimitMemory {
            keys: count(local.keys()),
            bytes: count(local.bytes()),
            expired: local.expired(),
            evicted: local.evicted(),
        });
        readings.extend(self.limiter.fleet());
        readings.push(Reading::StoreUp { store: self.limiter.store_name(), up: self.limiter.is_connected() });
        if matches!(self.entries, EntryStore::Tiered(_)) {
            readings.push(Reading::StoreUp { store: StoreName::RedisCache, up: self.entries.is_connected() });
        }
    }
}

/// A store could not be asked or gave no answer that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreFailure {
    /// No answer within the budget; what was asked may or may not have happened.
    #[error("no answer from the store within {} ms", budget.as_millis())]
    TimedOut {
        /// How long was waited.
        budget: Duration,
    },
    /// Not connected, or left alone by the breaker; nothing was asked.
    #[error("the store is away")]
    Away,
    /// The server refused the command, or the URL cannot be used.
    #[error("the store refuses: {reason}")]
    Refused {
        /// Its words.
        reason: String,
    },
    /// The answer is not what was asked for.
    #[error("the store answers nonsense: {what}")]
    Malformed {
        /// What was expected.
        what: &'static str,
    },
}

impl StoreFailure {
    /// A word for metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::TimedOut { .. } => "timeout",
            Self::Away => "away",
            Self::Refused { .. } => "refused",
            Self::Malformed { .. } => "malformed",
        }
    }
}
