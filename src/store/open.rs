//! Opens the stores: which connections there are, what stands on which of them.

use crate::base::{Clock, Secret, StoreSettings, StoreUrl, Tasks};
use crate::store::aside::Aside;
use crate::store::limiter::{LimitStore, Limiter};
use crate::store::memory_entries::MemoryEntries;
use crate::store::memory_limits::MemoryLimits;
use crate::store::overrides::OVERRIDES_MAX;
use crate::store::redis::{
    Connection, RedisEntries, RedisLeases, RedisLimits, RedisOverrides, RedisPurges, RedisSlots, RedisTotals,
    Roll, Surroundings,
};
use crate::store::{
    EntryStore, Flights, LiveOverrides, Purges, Slots, StoreFailure, Stores, TieredEntries, TopLists, Turns,
    Warming, flights, slots,
};
use crate::telemetry::{Metrics, StoreName};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Notify;

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
        let around = surroundings(settings, clock, metrics, tasks);
        let open = |name, url: &Secret| Connection::open(name, url, around.clone());
        let shared = match &settings.url {
            StoreUrl::Memory => None,
            StoreUrl::Redis(url) => Some(open(StoreName::Redis, url)?),
        };
        let (counts, slots, live_overrides) = counting(shared.as_ref(), settings, clock, tasks);
        let roll = shared.clone().map(|connection| Roll::open(connection, &settings.prefix, tasks));
        let local = MemoryLimits::new(Arc::clone(clock), settings.memory_limits_bytes);
        // What is in Redis needs none: there the counts of this process are a fallback, and soon out of date.
        let snapshot = settings.memory_snapshot.clone().filter(|_| settings.url == StoreUrl::Memory);
        if let Some(path) = &snapshot {
            read_back(&local, path);
        }
        // A connection of its own: a large body must not stand in front of a decision.
        let cache = match settings.cache_url.as_ref().unwrap_or(&settings.url) {
            StoreUrl::Memory => None,
            StoreUrl::Redis(url) => Some(open(StoreName::RedisCache, url)?),
        };
        // With the counts where they are shared too: that Redis must not evict anything anyway.
        let common = shared.or_else(|| cache.clone());
        let beside = cache.as_ref().and(common.clone());
        let turns = Turns::new(beside.clone(), &settings.prefix);
        let leases = beside.clone().map(|common| RedisLeases::new(common, &settings.prefix, flights::LEASE));
        let flights = Flights::new(leases, Arc::clone(clock), Arc::clone(metrics), tasks.clone());
        let ledger = beside.map(|connection| RedisPurges::new(connection, &settings.prefix));
        let purges = Arc::new(Purges::new(ledger, Arc::clone(clock)));
        let memory = MemoryEntries::new(Arc::clone(clock), Arc::clone(&purges), settings.memory_cache_bytes);
        let entries = entries_in(cache, memory, &purges, &around);
        let limiter = Limiter::new(counts, local, clock, settings).with_roll(roll);
        let totals = common.clone().map(|connection| RedisTotals::new(connection, &settings.prefix));
        let stores = Arc::new(Self {
            limiter,
            slots,
            entries,
            purges,
            flights: Arc::new(flights),
            warming: Warming::default(),
            turns,
            live_overrides,
            top: TopLists::default(),
            totals,
            aside: Aside::new(clock, metrics, tasks),
            snapshot,
            told: Notify::new(),
            missed: Notify::new(),
        });
        stores.start(tasks);
        stores.tell_totals(metrics, tasks);
        if let Some(connection) = common {
            stores.listen(connection);
        }
        Ok(stores)
    }
}

fn surroundings(
    settings: &StoreSettings,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
    tasks: &Tasks,
) -> Surroundings {
    let (clock, metrics, tasks) = (Arc::clone(clock), Arc::clone(metrics), tasks.clone());
    Surroundings { clock, metrics, tasks, timeout: settings.timeout, prefix: settings.prefix.clone() }
}

/// What is counted, where: in this process, or in Redis.
fn counting(
    shared: Option<&Connection>,
    settings: &StoreSettings,
    clock: &Arc<dyn Clock>,
    tasks: &Tasks,
) -> (LimitStore, Slots, LiveOverrides) {
    let Some(connection) = shared else {
        let overrides = LiveOverrides::memory(Arc::clone(clock), OVERRIDES_MAX);
        return (LimitStore::Memory, Slots::memory(), overrides);
    };
    let leases = RedisSlots::new(connection.clone(), &settings.prefix, slots::LEASE);
    let overrides = RedisOverrides::new(connection.clone(), &settings.prefix);
    let counts = LimitStore::Redis(RedisLimits::new(connection.clone(), &settings.prefix));
    let overrides = LiveOverrides::shared(overrides, Arc::clone(clock), OVERRIDES_MAX);
    (counts, Slots::shared(leases, tasks), overrides)
}

/// Memory alone, or in front of Redis.
fn entries_in(
    redis: Option<Connection>,
    memory: MemoryEntries,
    purges: &Arc<Purges>,
    around: &Surroundings,
) -> EntryStore {
    let Some(connection) = redis else { return EntryStore::Memory(memory) };
    let Surroundings { clock, metrics, tasks, prefix, .. } = around.clone();
    let tiers = (memory, RedisEntries::new(connection, &prefix));
    EntryStore::Tiered(TieredEntries::new(tiers, Arc::clone(purges), clock, metrics, tasks))
}

/// Counts of the process before this one. Without them every quota is whole again, which is no reason not to start.
fn read_back(limits: &MemoryLimits, path: &Path) {
    let file = path.display();
    match limits.load(path) {
        Ok(logs) => tracing::info!(logs, %file, "counts read back"),
        Err(fault) => {
            tracing::warn!(%fault, %file, "store.memory.snapshot is not used: all counts begin at 0");
        }
    }
}
