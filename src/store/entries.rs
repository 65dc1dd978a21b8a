//! The cache's store: memory alone, or memory in front of Redis. A client never waits for a write, and a store that
//! does not answer is never taken for an empty one.

use crate::base::{Clock, Digest, Tasks};
use crate::cache::Entry;
use crate::store::memory_entries::MemoryEntries;
use crate::store::redis::RedisEntries;
use crate::telemetry::{Metrics, StoreName};
use http::HeaderMap;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// How long the memory tier may answer for Redis before it asks again: another instance may have replaced the entry.
const MEMORY_LIFE_MS: u64 = 5_000;

/// Writes to Redis under way at most; further ones are dropped and counted.
const WRITES_MAX: usize = 256;

/// Where an entry was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// In this process.
    Memory,
    /// In Redis.
    Redis,
}

/// The outcome of a look-up.
#[derive(Debug, Clone)]
pub enum Lookup {
    /// Found, fresh or not.
    Hit(Arc<Entry>, Found),
    /// Not there.
    Miss,
    /// The store did not answer.
    Unavailable,
}

/// The cache's store.
pub enum EntryStore {
    /// In this process only.
    Memory(MemoryEntries),
    /// Memory in front of Redis.
    Tiered(TieredEntries),
}

/// Memory in front of Redis.
pub struct TieredEntries {
    memory: MemoryEntries,
    redis: RedisEntries,
    writes: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    tasks: Tasks,
}

impl EntryStore {
    /// The entry that `request` selects under `key`. Bounded by the store's time-out; never fails.
    pub async fn lookup(&self, key: &Digest, request: &HeaderMap) -> Lookup {
        match self {
            Self::Memory(memory) => {
                memory.get(key, request).map_or(Lookup::Miss, |e| Lookup::Hit(e, Found::Memory))
            }
            Self::Tiered(tiered) => tiered.lookup(key, request).await,
        }
    }

    /// Stores an entry. Returns at once; Redis is written in the background.
    pub fn put(&self, key: &Digest, request: &HeaderMap, entry: Entry) {
        let entry = Arc::new(entry);
        match self {
            Self::Memory(memory) => memory.put(key, request, entry),
            Self::Tiered(tiered) => tiered.put(key, request, entry),
        }
    }

    /// Forgets what is under `key`, variants included. `false`: Redis did not answer, only memory forgot.
    pub async fn remove(&self, key: &Digest) -> bool {
        self.memory().remove(key);
        match self {
            Self::Memory(_) => true,
            Self::Tiered(tiered) => tiered.redis.remove(key).await.is_ok(),
        }
    }

    /// Does the store answer, as far as is known?
    #[must_use]
    pub fn is_connected(&self) -> bool {
        match self {
            Self::Memory(_) => true,
            Self::Tiered(tiered) => tiered.redis.is_up(),
        }
    }

    /// The memory tier: entries, bytes, evictions.
    #[must_use]
    pub fn gauges(&self) -> (u64, u64, u64) {
        self.memory().gauges()
    }

    fn memory(&self) -> &MemoryEntries {
        match self {
            Self::Memory(memory) => memory,
            Self::Tiered(tiered) => &tiered.memory,
        }
    }
}

impl TieredEntries {
    /// `redis` behind `memory`.
    #[must_use]
    pub fn new(
        memory: MemoryEntries,
        redis: RedisEntries,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        tasks: Tasks,
    ) -> Self {
        Self { memory, redis, writes: Arc::new(Semaphore::new(WRITES_MAX)), clock, metrics, tasks }
    }

    async fn lookup(&self, key: &Digest, request: &HeaderMap) -> Lookup {
        let now_ms = self.clock.wall_ms();
        let known = self.memory.get(key, request);
        if let Some(entry) = &known
            && now_ms <= entry.lifetime.fresh_until_ms
            && now_ms.saturating_sub(entry.stored_ms) <= MEMORY_LIFE_MS
        {
            return Lookup::Hit(Arc::clone(entry), Found::Memory);
        }
        match self.redis.get(key, request).await {
            Ok(Some(entry)) => {
                // The memory tier's clock starts now, not when another instance stored the entry.
                let entry = Arc::new(Entry { stored_ms: now_ms, ..entry });
                self.memory.put(key, request, Arc::clone(&entry));
                Lookup::Hit(entry, Found::Redis)
            }
            Ok(None) => Lookup::Miss,
            // Better an answer that another instance may have replaced than a storm of misses.
            Err(_) => known.map_or(Lookup::Unavailable, |entry| Lookup::Hit(entry, Found::Memory)),
        }
    }

    fn put(&self, key: &Digest, request: &HeaderMap, entry: Arc<Entry>) {
        self.memory.put(key, request, Arc::clone(&entry));
        let Ok(permit) = Arc::clone(&self.writes).try_acquire_owned() else {
            self.metrics.store_error(StoreName::RedisCache, "dropped");
            return;
        };
        let (redis, key, now_ms) = (self.redis.clone(), *key, self.clock.wall_ms());
        let request = request.clone();
        self.tasks.spawn("cache write", async move {
            if let Err(failure) = redis.put(&key, &request, &entry, now_ms).await {
                tracing::debug!(%failure, "response not stored in Redis");
            }
            drop(permit);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::SystemClock;
    use crate::cache::Lifetime;
    use crate::store::testing::{Redis, eventually};
    use http::{HeaderName, HeaderValue};

    fn entry(body: &'static str, selecting: &[HeaderName]) -> Entry {
        let now = SystemClock::new().wall_ms();
        Entry {
            status: 200,
            headers: HeaderMap::new(),
            body: body.into(),
            lifetime: Lifetime {
                age_base_ms: now,
                fresh_until_ms: now + 60_000,
                swr_s: 0,
                sie_s: 0,
                keep_s: 0,
                ours: true,
            },
            selecting: selecting.to_vec(),
            namespace: "n".into(),
            stored_ms: now,
        }
    }

    fn accept(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(http::header::ACCEPT, HeaderValue::from_static(value))])
    }

    async fn body(store: &EntryStore, key: u8, request: &HeaderMap) -> Option<String> {
        match store.lookup(&Digest([key; 32]), request).await {
            Lookup::Hit(entry, _) => Some(String::from_utf8_lossy(&entry.body).into_owned()),
            _ => None,
        }
    }

    fn memory() -> MemoryEntries {
        MemoryEntries::new(Arc::new(SystemClock::new()), 1 << 20)
    }

    async fn tiered(server: &Redis) -> EntryStore {
        let redis = RedisEntries::new(server.connection().await, "tg:");
        let metrics = Arc::new(Metrics::new(0).expect("valid"));
        EntryStore::Tiered(TieredEntries::new(
            memory(),
            redis,
            Arc::new(SystemClock::new()),
            metrics,
            Tasks::new(),
        ))
    }

    async fn keeps_entries_and_variants(store: &EntryStore) {
        let key = Digest([1; 32]);
        store.put(&key, &accept("a"), entry("plain", &[]));
        assert_eq!(body(store, 1, &accept("b")).await.as_deref(), Some("plain"));
        assert_eq!(body(store, 2, &accept("b")).await, None);
        let by_accept = [http::header::ACCEPT];
        store.put(&key, &accept("a"), entry("for a", &by_accept));
        store.put(&key, &accept("b"), entry("for b", &by_accept));
        assert_eq!(body(store, 1, &accept("a")).await.as_deref(), Some("for a"));
        assert_eq!(body(store, 1, &accept("b")).await.as_deref(), Some("for b"));
        assert_eq!(body(store, 1, &accept("c")).await, None);
        assert!(store.remove(&key).await);
        assert_eq!(body(store, 1, &accept("a")).await, None);
    }

    #[tokio::test]
    async fn memory_keeps_entries_and_variants() {
        keeps_entries_and_variants(&EntryStore::Memory(memory())).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn redis_shows_an_entry_to_another_instance_and_survives_damage() {
        let server = Redis::start().await;
        let (one, other) = (tiered(&server).await, tiered(&server).await);
        let by_accept = [http::header::ACCEPT];
        one.put(&Digest([1; 32]), &accept("a"), entry("shared", &by_accept));
        let found = async || {
            for _ in 0..200 {
                if let Some(found) = body(&other, 1, &accept("a")).await {
                    return Some(found);
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            None
        };
        assert_eq!(found().await.as_deref(), Some("shared"));
        assert_eq!(body(&other, 1, &accept("b")).await, None);
        let key = format!("tg:o:{{{}}}:-", Digest([9; 32]).short());
        let done = std::process::Command::new("redis-cli")
            .args(["-p", &server.port.to_string(), "SET", &key, "TGE garbage"])
            .output();
        assert!(done.expect("redis-cli runs").status.success());
        assert_eq!(body(&other, 9, &accept("a")).await, None, "garbage is a miss");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn without_redis_a_known_entry_is_served_and_an_unknown_one_is_no_miss() {
        let mut server = Redis::start().await;
        let store = tiered(&server).await;
        store.put(&Digest([1; 32]), &accept("a"), entry("known", &[]));
        server.kill();
        eventually(|| !store.is_connected()).await;
        assert_eq!(body(&store, 1, &accept("a")).await.as_deref(), Some("known"));
        assert!(matches!(store.lookup(&Digest([2; 32]), &accept("a")).await, Lookup::Unavailable));
    }
}
