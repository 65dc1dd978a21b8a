//! Memory in front of Redis. A client never waits for a write, and a Redis that does not answer is never taken for an
//! empty one.

use crate::base::{Clock, Digest, Tasks};
use crate::cache::{Entry, Standing, Variant, VaryRecord};
use crate::store::entries::{Found, Lookup};
use crate::store::memory_entries::{Held, MemoryEntries};
use crate::store::purges::Purges;
use crate::store::redis::{RedisEntries, Stored};
use crate::store::written::Written;
use crate::telemetry::{Metrics, StoreName};
use http::HeaderMap;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// How long the memory tier may answer for Redis before it asks again: another instance may have replaced the entry.
const MEMORY_LIFE_MS: u64 = 5_000;

/// Writes under way are bounded together by 512 of these: 32 MiB of bodies, or 512 small entries. What does not fit is
/// dropped and counted; the memory tier has it all the same.
const WRITE_UNIT_BYTES: u64 = 64 << 10;
const WRITE_UNITS: usize = 512;

/// Memory in front of Redis.
pub struct TieredEntries {
    pub(super) memory: MemoryEntries,
    redis: RedisEntries,
    purges: Arc<Purges>,
    writes: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    tasks: Tasks,
}

impl TieredEntries {
    /// `redis` behind `memory`; `purges` may make the entries of both invalid.
    #[must_use]
    pub fn new(
        (memory, redis): (MemoryEntries, RedisEntries),
        purges: Arc<Purges>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        tasks: Tasks,
    ) -> Self {
        let writes = Arc::new(Semaphore::new(WRITE_UNITS));
        Self { memory, redis, purges, writes, clock, metrics, tasks }
    }

    /// Does Redis answer, as far as is known?
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.redis.is_up()
    }

    /// The tier behind memory.
    pub(super) fn redis(&self) -> &RedisEntries {
        &self.redis
    }

    /// What came to memory less than 5 seconds ago answers while it is fresh; then Redis is asked.
    pub(super) async fn lookup(&self, key: &Digest, request: &HeaderMap) -> Lookup {
        if self.purges.trust().await.is_err() {
            // Nobody can purge either: what this process has is as good as it was. What is in Redis may have been purged.
            return self.memory.get(key, request).as_ref().map_or(Lookup::Unavailable, hit);
        }
        let held = self.memory.get(key, request);
        let recent = held.as_ref().filter(|held| self.is_recent(held));
        if let Some(recent) = recent
            && recent.entry.head.lifetime.is_fresh(self.clock.wall_ms())
        {
            return hit(recent);
        }
        let known = self.memory.record(key);
        match self.redis.get(key, request, known.as_deref()).await {
            Ok(Stored::Response(entry, record)) => match recent {
                // Our own newer one may still be on its way.
                Some(recent) if recent.entry.head.stored_ms > entry.head.stored_ms => hit(recent),
                _ => self.found(key, entry, record).unwrap_or_else(|| self.gone(recent, key, request)),
            },
            Ok(Stored::NoVariant(record)) => {
                // Which fields select, all instances should know: requests for one variant then wait for each other only.
                self.memory.learn(key, record);
                self.gone(recent, key, request)
            }
            Ok(nothing) => self.nothing(&nothing, recent, key),
            // Better an answer that another instance may have replaced than a storm of misses.
            Err(_) => held.as_ref().map_or(Lookup::Unavailable, hit),
        }
    }

    fn is_recent(&self, held: &Held) -> bool {
        self.clock.monotonic_ms().saturating_sub(held.since_ms) < MEMORY_LIFE_MS
    }

    /// What is recent may still be on its way to Redis. Anything else was removed by somebody, and this process must
    /// not bring it back when Redis fails.
    fn nothing(&self, stored: &Stored, recent: Option<&Held>, key: &Digest) -> Lookup {
        if matches!(stored, Stored::Damaged) {
            self.metrics.store_error(StoreName::RedisCache, "damaged");
        }
        if let Some(recent) = recent {
            return hit(recent);
        }
        self.memory.remove(key);
        Lookup::Miss
    }

    /// The same where the key has other variants.
    fn gone(&self, recent: Option<&Held>, key: &Digest, request: &HeaderMap) -> Lookup {
        if let Some(recent) = recent {
            return hit(recent);
        }
        self.memory.forget(key, request);
        Lookup::Miss
    }

    fn found(
        &self,
        key: &Digest,
        entry: Arc<Entry>,
        record: Option<(VaryRecord, Variant)>,
    ) -> Option<Lookup> {
        let entry = match self.purges.with(|ledger| entry.standing(ledger)) {
            Standing::Valid => entry,
            Standing::Expired { at_ms } => Arc::new(entry.expired(at_ms)),
            Standing::Gone => return None,
        };
        // Its TTL has been measured by Redis; instances whose clocks differ may still see the end differently.
        if entry.head.lifetime.useful_until_ms() <= self.clock.wall_ms() {
            return None;
        }
        self.memory.load(key, record, Arc::clone(&entry));
        Some(Lookup::Hit(entry, Found::Redis))
    }

    /// Memory at once, Redis in the background.
    pub(super) fn put(&self, key: &Digest, request: &Arc<HeaderMap>, entry: Arc<Entry>) -> Written {
        let units = u32::try_from(entry.weight() / WRITE_UNIT_BYTES + 1).unwrap_or(u32::MAX);
        self.memory.put(key, request, Arc::clone(&entry));
        let Ok(permit) = Arc::clone(&self.writes).try_acquire_many_owned(units) else {
            self.metrics.store_error(StoreName::RedisCache, "dropped");
            return Written::at_once();
        };
        let (redis, key, now_ms) = (self.redis.clone(), *key, self.clock.wall_ms());
        // The selecting fields are not known before the record has been read.
        let request = Arc::clone(request);
        let (writing, written) = Written::pending();
        self.tasks.spawn("cache write", async move {
            if let Err(failure) = redis.put(&key, &request, &entry, now_ms).await {
                tracing::debug!(%failure, "response not stored in Redis");
            }
            drop(permit);
            drop(writing);
        });
        written
    }
}

fn hit(held: &Held) -> Lookup {
    Lookup::Hit(Arc::clone(&held.entry), Found::Memory)
}
