//! Stored responses in this process: decoded, bounded by bytes; what is used often outlives what is scanned once.

use crate::base::{Clock, Digest};
use crate::cache::{Entry, Ledger, Standing, Variant, VaryRecord};
use crate::store::purges::Purges;
use http::HeaderMap;
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The mean entry assumed when the table is laid out; it only sizes the table.
const ENTRY_BYTES_MEAN: u64 = 4_096;

/// The cache is split into shards, each with its part of the bytes and a lock. No entry can be larger than a shard.
const SHARD_BYTES_MIN: u64 = 32 << 20;

/// An entry and since when it has been in this process.
#[derive(Debug, Clone)]
pub struct Held {
    /// The entry.
    pub entry: Arc<Entry>,
    /// When it came here, monotonic milliseconds.
    pub since_ms: u64,
    /// The edition of the ledger of purges at which it was last found valid.
    valid_at: Arc<AtomicU64>,
    /// What the entry weighed when it was put here: the cache adds up what it was told, so this must not change in place.
    weight: u64,
}

/// No edition of the ledger.
const NEVER: u64 = u64::MAX;

/// What stands in a place: a response, or the record of a key that has variants.
#[derive(Debug, Clone)]
enum Slot {
    Response(Held),
    Record(Arc<VaryRecord>),
}

/// A key, and which of its responses. [`Variant::SINGLE`] is the key's root: its only response, or its record.
type Place = (Digest, Variant);

#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<Place, Slot> for Bytes {
    fn weight(&self, _place: &Place, slot: &Slot) -> u64 {
        match slot {
            Slot::Response(held) => held.weight,
            Slot::Record(record) => record.weight(),
        }
    }
}

/// Counts what leaves for want of room.
#[derive(Debug, Clone, Default)]
struct Evictions(Arc<AtomicU64>);

impl Lifecycle<Place, Slot> for Evictions {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _place: Place, _slot: Slot) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The embedded cache.
pub struct MemoryEntries {
    cache: Cache<Place, Slot, Bytes, DefaultHashBuilder, Evictions>,
    evictions: Evictions,
    clock: Arc<dyn Clock>,
    purges: Arc<Purges>,
    /// Held while a key's record is read, changed and written.
    records: Mutex<()>,
}

impl MemoryEntries {
    /// An empty cache of at most `bytes_max`, whose entries `purges` may make invalid.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, purges: Arc<Purges>, bytes_max: u64) -> Self {
        let items = usize::try_from(bytes_max / ENTRY_BYTES_MEAN).unwrap_or(usize::MAX).max(16);
        let shards = usize::try_from(bytes_max / SHARD_BYTES_MIN).unwrap_or(usize::MAX).clamp(1, 64);
        let evictions = Evictions::default();
        let options = OptionsBuilder::new()
            .estimated_items_capacity(items)
            .weight_capacity(bytes_max)
            .shards(shards)
            .build();
        let (hasher, counted) = (DefaultHashBuilder::default(), evictions.clone());
        let cache = match options {
            Ok(options) => Cache::with_options(options, Bytes, hasher, counted),
            // Both capacities are given above; this arm only satisfies the type.
            Err(_) => Cache::with(items, bytes_max, Bytes, hasher, counted),
        };
        Self { cache, evictions, clock, purges, records: Mutex::new(()) }
    }

    /// The entry that `request` selects under `key`, while it is good for anything.
    #[must_use]
    pub fn get(&self, key: &Digest, request: &HeaderMap) -> Option<Held> {
        let now_ms = self.clock.wall_ms();
        let mut place = (*key, Variant::SINGLE);
        let slot = match self.cache.get(&place)? {
            Slot::Record(record) => {
                place.1 = record.select(request)?;
                self.cache.get(&place)?
            }
            response @ Slot::Response(_) => response,
        };
        let Slot::Response(held) = slot else { return None };
        let held = self.judged(&place, held)?;
        if now_ms < held.entry.head.lifetime.useful_until_ms() {
            return Some(held);
        }
        self.drop_entry(&place, &held);
        None
    }

    /// What the purges leave of an entry: all of it, its stale windows, or nothing. A few nanoseconds while nobody purges.
    fn judged(&self, place: &Place, held: Held) -> Option<Held> {
        let edition = self.purges.edition();
        if held.valid_at.load(Ordering::Relaxed) == edition {
            return Some(held);
        }
        match self.purges.with(|ledger| held.entry.standing(ledger)) {
            Standing::Valid => {
                held.valid_at.store(edition, Ordering::Relaxed);
                Some(held)
            }
            Standing::Expired { at_ms } => Some(Held { entry: Arc::new(held.entry.expired(at_ms)), ..held }),
            Standing::Gone => {
                self.drop_entry(place, &held);
                None
            }
        }
    }

    /// Only if nobody has put a better one there meanwhile.
    fn drop_entry(&self, place: &Place, held: &Held) {
        let is_same =
            |slot: &Slot| matches!(slot, Slot::Response(other) if Arc::ptr_eq(&other.entry, &held.entry));
        self.cache.remove_if(place, is_same);
    }

    /// The record of a key with variants, as far as this process knows.
    #[must_use]
    pub fn record(&self, key: &Digest) -> Option<Arc<VaryRecord>> {
        match self.cache.get(&(*key, Variant::SINGLE))? {
            Slot::Record(record) => Some(record),
            Slot::Response(_) => None,
        }
    }

    /// Stores an entry, in the place of the one that the same request selects. `false`: the key has too many variants.
    pub fn put(&self, key: &Digest, request: &HeaderMap, entry: Arc<Entry>) -> bool {
        let _only_one = self.records.lock();
        let before = self.record(key);
        if before.is_none() && entry.head.selecting.is_empty() {
            self.insert((*key, Variant::SINGLE), entry);
            return true;
        }
        let (until_ms, now_ms) = (entry.head.lifetime.useful_until_ms(), self.clock.wall_ms());
        let selecting = &entry.head.selecting;
        let Some((record, variant)) =
            VaryRecord::admit(before.as_deref(), selecting, request, until_ms, now_ms)
        else {
            return false;
        };
        self.cache.insert((*key, Variant::SINGLE), Slot::Record(Arc::new(record)));
        self.insert((*key, variant), entry);
        true
    }

    /// Takes over what the store behind has: a key's record and one of its variants, or its only response.
    pub fn load(&self, key: &Digest, record: Option<(VaryRecord, Variant)>, entry: Arc<Entry>) {
        let variant = match record {
            Some((record, variant)) => {
                self.cache.insert((*key, Variant::SINGLE), Slot::Record(Arc::new(record)));
                variant
            }
            None => Variant::SINGLE,
        };
        self.insert((*key, variant), entry);
    }

    /// Weighs an entry again, if it is still the one that `request` selects.
    pub fn reweigh(&self, key: &Digest, request: &HeaderMap, entry: &Arc<Entry>) {
        let mut place = (*key, Variant::SINGLE);
        if let Some(Slot::Record(record)) = self.cache.get(&place) {
            let Some(variant) = record.select(request) else { return };
            place.1 = variant;
        }
        if let Some(Slot::Response(held)) = self.cache.get(&place)
            && Arc::ptr_eq(&held.entry, entry)
        {
            self.cache.insert(place, Slot::Response(Held { weight: entry.weight(), ..held }));
        }
    }

    /// Takes over the record of a key that the store behind has, where this process knows none.
    pub fn learn(&self, key: &Digest, record: VaryRecord) {
        let _only_one = self.records.lock();
        if self.record(key).is_none() {
            self.cache.insert((*key, Variant::SINGLE), Slot::Record(Arc::new(record)));
        }
    }

    /// Forgets what `request` selects under the key.
    pub fn forget(&self, key: &Digest, request: &HeaderMap) {
        let variant = match self.cache.get(&(*key, Variant::SINGLE)) {
            Some(Slot::Record(record)) => record.select(request),
            Some(Slot::Response(_)) | None => Some(Variant::SINGLE),
        };
        if let Some(variant) = variant {
            self.cache.remove(&(*key, variant));
        }
    }

    /// Forgets the key with all its variants.
    pub fn remove(&self, key: &Digest) {
        if let Some((_, Slot::Record(record))) = self.cache.remove(&(*key, Variant::SINGLE)) {
            for variant in record.variants() {
                self.cache.remove(&(*key, variant));
            }
        }
    }

    /// The entry that `request` selects under `key`, whatever it is good for. Leaves everything as it is.
    #[must_use]
    pub fn peek(&self, key: &Digest, request: &HeaderMap) -> Option<Arc<Entry>> {
        let slot = match self.cache.peek(&(*key, Variant::SINGLE))? {
            Slot::Record(record) => self.cache.peek(&(*key, record.select(request)?))?,
            response @ Slot::Response(_) => response,
        };
        match slot {
            Slot::Response(held) => Some(held.entry),
            Slot::Record(_) => None,
        }
    }

    /// How many entries that are good for something `imagined` would not leave as they are.
    #[must_use]
    pub fn count_matching(&self, imagined: &Ledger) -> u64 {
        let now_ms = self.clock.wall_ms();
        let meets = |slot: &Slot| {
            let Slot::Response(Held { entry, .. }) = slot else { return false };
            now_ms < entry.head.lifetime.useful_until_ms()
                && entry.standing(imagined) != Standing::Valid
                && self.purges.with(|ledger| entry.standing(ledger)) != Standing::Gone
        };
        let count = self.cache.iter().filter(|(_, slot)| meets(slot)).count();
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// Gives all its memory back; what leaves is counted as pushed out.
    pub fn shed(&self) {
        let entries = u64::try_from(self.cache.len()).unwrap_or(u64::MAX);
        self.evictions.0.fetch_add(entries, Ordering::Relaxed);
        self.cache.clear();
    }

    /// Responses and records, their bytes, and how many left for want of room.
    #[must_use]
    pub fn gauges(&self) -> (u64, u64, u64) {
        let entries = u64::try_from(self.cache.len()).unwrap_or(u64::MAX);
        (entries, self.cache.weight(), self.evictions.0.load(Ordering::Relaxed))
    }

    fn insert(&self, place: Place, entry: Arc<Entry>) {
        let (since_ms, valid_at) = (self.clock.monotonic_ms(), Arc::new(AtomicU64::new(NEVER)));
        let weight = entry.weight();
        self.cache.insert(place, Slot::Response(Held { entry, since_ms, valid_at, weight }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ManualClock;
    use crate::store::entries::tests::entry;
    use http::HeaderValue;
    use http::header::ACCEPT;
    use std::time::Duration;

    fn accept(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, HeaderValue::from_str(value).expect("a value"))])
    }

    fn memory(bytes_max: u64) -> (MemoryEntries, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(1_000));
        let purges = Arc::new(Purges::new(None, clock.clone()));
        (MemoryEntries::new(clock.clone(), purges, bytes_max), clock)
    }

    fn body(memory: &MemoryEntries, key: u8, request: &HeaderMap) -> Option<String> {
        let held = memory.get(&Digest([key; 32]), request)?;
        Some(String::from_utf8_lossy(&held.entry.body).into_owned())
    }

    #[test]
    fn bytes_stay_within_the_bound_and_what_left_is_counted() {
        let (memory, _) = memory(64 << 10);
        for key in 0..=255 {
            memory.put(&Digest([key; 32]), &HeaderMap::new(), Arc::new(entry(1_000, "x".repeat(1_000), &[])));
        }
        let (entries, bytes, evictions) = memory.gauges();
        assert!(bytes <= 64 << 10 && entries > 20, "{bytes} bytes in {entries} entries");
        assert_eq!(entries + evictions, 256);
    }

    #[test]
    fn an_entry_larger_than_the_cache_is_not_kept() {
        let (memory, _) = memory(64 << 10);
        memory.put(&Digest([1; 32]), &HeaderMap::new(), Arc::new(entry(1_000, "x".repeat(65 << 10), &[])));
        assert_eq!((body(&memory, 1, &HeaderMap::new()), memory.gauges().1), (None, 0));
    }

    #[test]
    fn what_is_good_for_nothing_is_not_returned_and_leaves() {
        let (memory, clock) = memory(1 << 20);
        memory.put(&Digest([1; 32]), &HeaderMap::new(), Arc::new(entry(1_000, "x".to_owned(), &[])));
        clock.advance(Duration::from_millis(60_000));
        assert!(
            body(&memory, 1, &HeaderMap::new()).is_some(),
            "stale, but its validator is worth asking with"
        );
        clock.advance(Duration::from_millis(599_999));
        assert!(body(&memory, 1, &HeaderMap::new()).is_some());
        clock.advance(Duration::from_millis(1));
        assert!(body(&memory, 1, &HeaderMap::new()).is_none());
        assert_eq!(memory.gauges(), (0, 0, 0));
    }

    #[test]
    fn variants_share_a_key_and_leave_with_it() {
        let (memory, _) = memory(1 << 20);
        let put = |value: &str, selecting| {
            memory.put(&Digest([1; 32]), &accept(value), Arc::new(entry(1_000, value.to_owned(), selecting)))
        };
        assert!(put("plain", &[]));
        assert_eq!(body(&memory, 1, &accept("b")).as_deref(), Some("plain"));
        assert!(put("a", &[ACCEPT]) && put("b", &[ACCEPT]) && put("c", &[]));
        for value in ["a", "b", "c"] {
            assert_eq!(
                body(&memory, 1, &accept(value)).as_deref(),
                Some(value),
                "no Vary does not undo Vary"
            );
        }
        assert_eq!(body(&memory, 1, &accept("plain")), None);
        memory.remove(&Digest([1; 32]));
        assert_eq!((body(&memory, 1, &accept("a")), memory.gauges().0), (None, 0));
        assert!(put("d", &[ACCEPT]));
        assert_eq!(body(&memory, 1, &accept("a")), None, "a removed variant does not come back");
    }

    #[test]
    fn what_has_become_heavier_counts_with_its_new_weight() {
        let (memory, _) = memory(1 << 20);
        let mut entry = entry(1_000, "text ".repeat(2_000), &[]);
        entry.head.headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        let (key, entry, any) = (Digest([1; 32]), Arc::new(entry), HeaderMap::new());
        memory.put(&key, &any, Arc::clone(&entry));
        let before = memory.gauges().1;
        let levels = crate::cache::Levels { gzip: Some(6), ..Default::default() };
        let coded = entry.make_coded(crate::cache::Coding::Gzip, &levels).expect("it saves much");
        assert_eq!(memory.gauges().1, before, "not in place");
        memory.reweigh(&key, &any, &entry);
        assert_eq!(memory.gauges().1, before + coded.len() as u64);
        memory.remove(&key);
        assert_eq!(memory.gauges().1, 0);
    }

    #[test]
    fn a_key_has_at_most_sixteen_variants() {
        let (memory, _) = memory(1 << 20);
        let stored = (0..40).filter(|n| {
            let value = n.to_string();
            memory.put(&Digest([1; 32]), &accept(&value), Arc::new(entry(1_000, value.clone(), &[ACCEPT])))
        });
        assert_eq!(stored.count(), 16);
    }
}
