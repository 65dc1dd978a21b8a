//! The cache's store: memory alone, or memory in front of Redis.

use crate::base::Digest;
use crate::cache::{Entry, Variant, variant};
use crate::store::memory_entries::MemoryEntries;
use crate::store::tiered::TieredEntries;
use crate::store::written::Written;
use http::HeaderMap;
use std::sync::Arc;

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
    /// The store did not answer, and this process has nothing either.
    Unavailable,
}

/// The cache's store.
pub enum EntryStore {
    /// In this process only.
    Memory(MemoryEntries),
    /// Memory in front of Redis.
    Tiered(TieredEntries),
}

impl EntryStore {
    /// The entry that `request` selects under `key`, as long as it is good for anything: the caller looks at its
    /// lifetime. Bounded by the store's time-out (twice, where `Vary` needs a second call); never fails.
    ///
    /// Cancel safe.
    pub async fn lookup(&self, key: &Digest, request: &HeaderMap) -> Lookup {
        match self {
            Self::Memory(memory) => {
                memory.get(key, request).map_or(Lookup::Miss, |held| Lookup::Hit(held.entry, Found::Memory))
            }
            Self::Tiered(tiered) => tiered.lookup(key, request).await,
        }
    }

    /// Stores an entry. Returns at once; Redis is written in the background, and [`Written`] tells when.
    pub fn put(&self, key: &Digest, request: &Arc<HeaderMap>, entry: Entry) -> Written {
        let entry = Arc::new(entry);
        match self {
            Self::Memory(memory) => {
                memory.put(key, request, entry);
                Written::at_once()
            }
            Self::Tiered(tiered) => tiered.put(key, request, entry),
        }
    }

    /// The entry that `request` selects has become heavier: bodies in other codings were made for it.
    pub fn reweigh(&self, key: &Digest, request: &HeaderMap, entry: &Arc<Entry>) {
        match self {
            Self::Memory(memory) => memory.reweigh(key, request, entry),
            Self::Tiered(tiered) => tiered.memory.reweigh(key, request, entry),
        }
    }

    /// The variant of `key` that `request` wants, stored or not, by the selecting fields that this process knows of.
    #[must_use]
    pub fn wanted(&self, key: &Digest, request: &HeaderMap) -> Variant {
        let memory = match self {
            Self::Memory(memory) => memory,
            Self::Tiered(tiered) => &tiered.memory,
        };
        memory.record(key).map_or(Variant::SINGLE, |record| variant(record.fields(), request))
    }

    /// Does the store answer, as far as is known?
    #[must_use]
    pub fn is_connected(&self) -> bool {
        match self {
            Self::Memory(_) => true,
            Self::Tiered(tiered) => tiered.is_up(),
        }
    }

    /// The memory tier: entries, bytes, evictions.
    #[must_use]
    pub fn gauges(&self) -> (u64, u64, u64) {
        self.memory().gauges()
    }

    pub(super) fn memory(&self) -> &MemoryEntries {
        match self {
            Self::Memory(memory) => memory,
            Self::Tiered(tiered) => &tiered.memory,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::base::{Clock, ManualClock, SystemClock, Tasks};
    use crate::cache::{EntryHead, Label, Lifetime, Purge, encode};
    use crate::store::purges::{Purges, Reach};
    use crate::store::redis::{RedisEntries, RedisPurges};
    use crate::store::testing::{Redis, eventually};
    use crate::telemetry::Metrics;
    use http::header::{ACCEPT, ORIGIN};
    use http::{HeaderName, HeaderValue};
    use std::io::Write;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    /// An entry stored at `now_ms`: fresh for a minute, kept ten more for its validator.
    pub(in crate::store) fn entry(now_ms: u64, body: String, selecting: &[HeaderName]) -> Entry {
        let lifetime = Lifetime {
            age_base_ms: now_ms,
            fresh_until_ms: now_ms + 60_000,
            swr_s: 0,
            sie_s: 0,
            keep_s: 600,
            ours: true,
            strict: false,
        };
        let label = Label {
            tenant: Some("acme".into()),
            namespace: "n".into(),
            origin: "http://api.example".to_owned(),
            target: "/a".to_owned(),
            tags: Vec::new(),
        };
        let head = EntryHead {
            owner: Digest([0; 32]),
            label: label.into(),
            status: 200,
            headers: HeaderMap::new(),
            lifetime,
            selecting: selecting.to_vec(),
            stored_ms: now_ms,
            birth: 0,
            cost_ms: 0,
        };
        Entry::new(head, body.into())
    }

    const KEY: Digest = Digest([1; 32]);

    /// An instance of Tidegate's store whose clock is moved by the test.
    struct Instance {
        store: EntryStore,
        purges: Arc<Purges>,
        clock: Arc<ManualClock>,
        tasks: Tasks,
    }

    impl Instance {
        fn embedded() -> Self {
            let clock = Arc::new(ManualClock::at(SystemClock::new().wall_ms()));
            let purges = Arc::new(Purges::new(None, clock.clone()));
            let store = EntryStore::Memory(MemoryEntries::new(clock.clone(), purges.clone(), 1 << 20));
            Self { store, purges, clock, tasks: Tasks::new() }
        }

        async fn on(server: &Redis) -> Self {
            let clock = Arc::new(ManualClock::at(SystemClock::new().wall_ms()));
            let redis = RedisEntries::new(server.connection().await, "tg:");
            let ledger = RedisPurges::new(server.connection().await, "tg:");
            let purges = Arc::new(Purges::new(Some(ledger), clock.clone()));
            purges.read().await.expect("it answers");
            let tasks = Tasks::new();
            let tiers = (MemoryEntries::new(clock.clone(), purges.clone(), 4 << 20), redis);
            let metrics = Arc::new(Metrics::new(0).expect("valid"));
            let tiered = TieredEntries::new(tiers, purges.clone(), clock.clone(), metrics, tasks.clone());
            Self { store: EntryStore::Tiered(tiered), purges, clock, tasks }
        }

        /// Stores and waits until Redis has it.
        async fn put(&self, request: &HeaderMap, body: &str, selecting: &[HeaderName]) {
            let mut entry = entry(self.clock.wall_ms(), body.to_owned(), selecting);
            entry.head.birth = self.purges.birth();
            self.store.put(&KEY, &Arc::new(request.clone()), entry);
            eventually(|| self.tasks.is_empty()).await;
        }

        async fn lookup(&self, request: &HeaderMap) -> Lookup {
            self.store.lookup(&KEY, request).await
        }

        async fn body(&self, request: &HeaderMap) -> Option<String> {
            match self.lookup(request).await {
                Lookup::Hit(entry, _) => Some(String::from_utf8_lossy(&entry.body).into_owned()),
                Lookup::Miss | Lookup::Unavailable => None,
            }
        }

        async fn tier(&self, request: &HeaderMap) -> Option<Found> {
            match self.lookup(request).await {
                Lookup::Hit(_, tier) => Some(tier),
                Lookup::Miss | Lookup::Unavailable => None,
            }
        }
    }

    fn with(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    fn cli(server: &Redis, words: &[&str]) -> String {
        let port = server.port.to_string();
        let done =
            Command::new("redis-cli").args(["-p", &port]).args(words).output().expect("redis-cli runs");
        String::from_utf8(done.stdout).expect("text").trim().to_owned()
    }

    /// Sets a key to any bytes.
    fn plant(server: &Redis, key: &str, bytes: &[u8]) {
        let port = server.port.to_string();
        let mut command = Command::new("redis-cli");
        command.args(["-p", &port, "-x", "SET", key]).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().expect("redis-cli runs");
        child.stdin.take().expect("piped").write_all(bytes).expect("it reads");
        assert!(child.wait().expect("it ends").success());
    }

    /// What requests that accept `a`, `b` and `c` are answered.
    async fn answers(one: &Instance) -> [Option<String>; 3] {
        [
            one.body(&with(ACCEPT, "a")).await,
            one.body(&with(ACCEPT, "b")).await,
            one.body(&with(ACCEPT, "c")).await,
        ]
    }

    async fn keeps_entries_and_variants(one: &Instance) {
        let text = |body: &str| Some(body.to_owned());
        one.put(&with(ACCEPT, "a"), "plain", &[]).await;
        assert_eq!(answers(one).await, [text("plain"), text("plain"), text("plain")]);
        one.put(&with(ACCEPT, "a"), "for a", &[ACCEPT]).await;
        one.put(&with(ACCEPT, "b"), "for b", &[ACCEPT]).await;
        assert_eq!(answers(one).await, [text("for a"), text("for b"), None]);
        assert_eq!(one.purges.purge(&[Purge::everything()]).await, Reach::Fleet);
        assert_eq!(answers(one).await, [None, None, None]);
        one.put(&with(ACCEPT, "c"), "for c", &[ACCEPT]).await;
        assert_eq!(answers(one).await, [None, None, text("for c")], "what was removed does not come back");
    }

    #[tokio::test]
    async fn memory_keeps_entries_and_variants() {
        keeps_entries_and_variants(&Instance::embedded()).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn redis_keeps_entries_and_variants() {
        let server = Redis::start().await;
        let one = Instance::on(&server).await;
        keeps_entries_and_variants(&one).await;
        // The same again where every look-up has to ask Redis.
        one.clock.advance(Duration::from_secs(5));
        assert_eq!(answers(&one).await, [None, None, Some("for c".to_owned())]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_entry_of_one_instance_is_found_by_another_with_its_variants() {
        let server = Redis::start().await;
        let (one, other) = (Instance::on(&server).await, Instance::on(&server).await);
        let (a, b) = (with(ACCEPT, "a"), with(ACCEPT, "b"));
        one.put(&a, "for a", &[ACCEPT]).await;
        assert_eq!(other.body(&a).await.as_deref(), Some("for a"));
        assert_eq!(other.body(&b).await, None);
        other.put(&b, "for b", &[ACCEPT]).await;
        assert_eq!(one.body(&b).await.as_deref(), Some("for b"));
        let same = with(ORIGIN, "x");
        one.put(&same, "cross-origin", &[ORIGIN]).await;
        assert_eq!(other.body(&same).await.as_deref(), Some("cross-origin"), "the fields of both unite");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn memory_answers_for_five_seconds_and_then_asks_redis() {
        let server = Redis::start().await;
        let (one, other, any) = (Instance::on(&server).await, Instance::on(&server).await, HeaderMap::new());
        one.put(&any, "old", &[]).await;
        other.put(&any, "new", &[]).await;
        one.clock.advance(Duration::from_millis(4_999));
        assert_eq!(
            (one.body(&any).await.as_deref(), one.tier(&any).await),
            (Some("old"), Some(Found::Memory))
        );
        one.clock.advance(Duration::from_millis(1));
        assert_eq!(one.tier(&any).await, Some(Found::Redis));
        assert_eq!(
            (one.body(&any).await.as_deref(), one.tier(&any).await),
            (Some("new"), Some(Found::Memory))
        );
        assert_eq!(other.purges.purge(&[Purge::everything()]).await, Reach::Fleet);
        one.clock.advance(Duration::from_secs(5));
        assert_eq!(one.body(&any).await, None);
        assert_eq!(one.store.gauges().0, 0, "what was removed elsewhere leaves memory too");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_stale_entry_is_kept_in_redis_for_its_validator() {
        let server = Redis::start().await;
        let one = Instance::on(&server).await;
        one.put(&HeaderMap::new(), "x", &[]).await;
        let key = format!("tg:o:{{{}}}:-", KEY.short());
        let ttl_ms: i64 = cli(&server, &["PTTL", &key]).parse().expect("a number");
        assert!((655_000..=660_000).contains(&ttl_ms), "freshness and keep: {ttl_ms}");
        one.clock.advance(Duration::from_secs(61));
        let Lookup::Hit(entry, Found::Redis) = one.lookup(&HeaderMap::new()).await else { panic!("gone") };
        assert!(!entry.head.lifetime.is_fresh(one.clock.wall_ms()));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn every_key_has_a_ttl_and_the_prefix() {
        let server = Redis::start().await;
        let one = Instance::on(&server).await;
        one.put(&with(ACCEPT, "a"), "for a", &[ACCEPT]).await;
        one.put(&with(ACCEPT, "b"), "for b", &[ACCEPT]).await;
        let keys = cli(&server, &["KEYS", "*"]);
        assert_eq!(keys.lines().count(), 4, "two variants, their record and the ledger's head: {keys}");
        for key in keys.lines().filter(|key| !key.starts_with("tg:g:")) {
            assert!(key.starts_with("tg:o:{") || key.starts_with("tg:v:{"), "{key}");
            assert_ne!(cli(&server, &["PTTL", key]), "-1", "{key}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn bytes_that_are_no_entry_of_the_key_are_a_miss() {
        let server = Redis::start().await;
        let (one, any) = (Instance::on(&server).await, HeaderMap::new());
        let (response, record) = (format!("tg:o:{{{}}}:-", KEY.short()), format!("tg:v:{{{}}}", KEY.short()));
        let foreign = entry(one.clock.wall_ms(), "not yours".to_owned(), &[]);
        for bytes in [
            bytes::Bytes::from_static(b""),
            bytes::Bytes::from_static(b"TGE garbage"),
            encode(&foreign, &Digest([2; 32])).value,
            encode(&foreign, &KEY).value.slice(..120),
        ] {
            plant(&server, &response, &bytes);
            assert!(matches!(one.lookup(&any).await, Lookup::Miss));
        }
        one.put(&any, "good", &[]).await;
        one.clock.advance(Duration::from_secs(5));
        assert_eq!(one.body(&any).await.as_deref(), Some("good"));
        cli(&server, &["SET", &record, "no record"]);
        one.clock.advance(Duration::from_secs(5));
        assert!(matches!(one.lookup(&any).await, Lookup::Miss));
        cli(&server, &["DEL", &record, &response]);
        cli(&server, &["LPUSH", &response, "a list"]);
        assert!(matches!(one.lookup(&any).await, Lookup::Miss), "MGET has no value for another type");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn without_redis_what_is_known_is_served_and_the_rest_is_no_miss() {
        let mut server = Redis::start().await;
        let (one, any) = (Instance::on(&server).await, HeaderMap::new());
        one.put(&any, "known", &[]).await;
        server.kill();
        eventually(|| !one.store.is_connected()).await;
        one.clock.advance(Duration::from_secs(50));
        assert_eq!(one.body(&any).await.as_deref(), Some("known"));
        assert!(matches!(one.store.lookup(&Digest([2; 32]), &any).await, Lookup::Unavailable));
        one.put(&any, "newer", &[]).await;
        assert_eq!(one.body(&any).await.as_deref(), Some("newer"));
        assert_eq!(one.purges.purge(&[Purge::everything()]).await, Reach::Local, "Redis did not hear of it");
        assert!(matches!(one.lookup(&any).await, Lookup::Unavailable), "here it counts");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn writes_beyond_the_bound_are_dropped_and_nobody_waits() {
        let server = Redis::start().await;
        let one = Instance::on(&server).await;
        server.signal("STOP");
        for n in 0..2_000_u16 {
            let [high, low] = n.to_be_bytes();
            let mut key = [0; 32];
            (key[0], key[1]) = (high, low);
            let mut stored = entry(one.clock.wall_ms(), "x".to_owned(), &[]);
            stored.head.birth = one.purges.birth();
            one.store.put(&Digest(key), &Arc::default(), stored);
        }
        assert!(one.tasks.len() <= 512, "{} writes under way", one.tasks.len());
        assert_eq!(one.store.gauges().0.min(500), 500, "memory has them");
        server.signal("CONT");
        eventually(|| one.tasks.is_empty()).await;
    }
}
