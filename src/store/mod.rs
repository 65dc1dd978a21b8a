//! Where counts and entries live: this process, or Redis. Both may fail; neither may take traffic down.

pub mod breaker;
pub mod entries;
pub mod limiter;
pub mod memory_entries;
pub mod memory_limits;
pub mod redis;
pub mod tiered;

#[cfg(test)]
mod cluster_tests;
#[cfg(test)]
mod contract_tests;
#[cfg(test)]
mod oracle_tests;
#[cfg(test)]
mod outage_tests;
#[cfg(test)]
mod testing;

pub use entries::{EntryStore, Found, Lookup};
pub use limiter::{Admission, LimitStore, Limiter, Source};
pub use tiered::TieredEntries;

use crate::base::{Clock, Secret, StoreSettings, StoreUrl, Tasks};
use crate::store::memory_entries::MemoryEntries;
use crate::store::memory_limits::MemoryLimits;
use crate::store::redis::{Connection, RedisEntries, RedisLimits, Surroundings};
use crate::telemetry::{Metrics, Reading, StoreName, Tier};
use std::sync::Arc;
use std::time::Duration;

/// Between two sweeps of one shard of the embedded counts.
const SWEEP_EVERY: Duration = Duration::from_millis(250);

/// Between two looks at a connection that is being made.
const CONNECT_LOOK: Duration = Duration::from_millis(5);

/// Both stores of a process.
pub struct Stores {
    /// Counts.
    pub limiter: Limiter,
    /// Stored responses.
    pub entries: EntryStore,
}

impl Stores {
    /// Opens them and returns at once, also while Redis is down: until it answers, this process decides alone.
    ///
    /// # Errors
    /// [`StoreFailure::Refused`] for a URL that cannot be read.
    pub fn open(
        settings: &StoreSettings,
        clock: &Arc<dyn Clock>,
        metrics: &Arc<Metrics>,
        tasks: &Tasks,
    ) -> Result<Arc<Self>, StoreFailure> {
        let around = Surroundings {
            clock: Arc::clone(clock),
            metrics: Arc::clone(metrics),
            tasks: tasks.clone(),
            timeout: settings.timeout,
            prefix: settings.prefix.clone(),
        };
        let open = |name, url: &Secret| Connection::open(name, url, around.clone());
        let counts = match &settings.url {
            StoreUrl::Memory => LimitStore::Memory,
            StoreUrl::Redis(url) => {
                LimitStore::Redis(RedisLimits::new(open(StoreName::Redis, url)?, &settings.prefix))
            }
        };
        let local = MemoryLimits::new(Arc::clone(clock), settings.memory_limits_bytes);
        let memory = MemoryEntries::new(Arc::clone(clock), settings.memory_cache_bytes);
        // A connection of its own: a large body must not stand in front of a decision.
        let entries = match settings.cache_url.as_ref().unwrap_or(&settings.url) {
            StoreUrl::Memory => EntryStore::Memory(memory),
            StoreUrl::Redis(url) => {
                let redis = RedisEntries::new(open(StoreName::RedisCache, url)?, &settings.prefix);
                let (clock, metrics) = (Arc::clone(clock), Arc::clone(metrics));
                EntryStore::Tiered(TieredEntries::new(memory, redis, clock, metrics, tasks.clone()))
            }
        };
        let stores = Arc::new(Self { limiter: Limiter::new(counts, local), entries });
        let swept = Arc::clone(&stores);
        tasks.spawn_until_stop("sweep", async move {
            loop {
                tokio::time::sleep(SWEEP_EVERY).await;
                swept.limiter.local().sweep();
            }
        });
        Ok(stores)
    }

    /// Waits until the stores answer, at most `budget`: requests before that would be counted by this instance alone.
    pub async fn connected(&self, budget: Duration) -> bool {
        let connected = async {
            while !(self.limiter.is_connected() && self.entries.is_connected()) {
                tokio::time::sleep(CONNECT_LOOK).await;
            }
        };
        tokio::time::timeout(budget, connected).await.is_ok()
    }

    /// What the stores hold and whether they answer, for the gauges.
    pub fn readings(&self, readings: &mut Vec<Reading>) {
        let (entries, bytes, evictions) = self.entries.gauges();
        readings.push(Reading::CacheTier { tier: Tier::Memory, entries, bytes, evictions });
        let (local, count) = (self.limiter.local(), |number| u64::try_from(number).unwrap_or(u64::MAX));
        readings.push(Reading::LimitMemory {
            keys: count(local.keys()),
            bytes: count(local.bytes()),
            evictions: local.evicted(),
        });
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
