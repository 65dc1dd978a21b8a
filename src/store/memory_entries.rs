//! Stored responses in this process: decoded, bounded by bytes; what is used often outlives what is scanned once.

use crate::base::{Clock, Digest};
use crate::cache::{Entry, variant};
use http::{HeaderMap, HeaderName};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The mean entry assumed when the table is laid out; it only sizes the table.
const ENTRY_BYTES_MEAN: u64 = 4_096;

/// What stands under a key: the entry itself, or which request fields choose among variants.
#[derive(Debug, Clone)]
enum Slot {
    Entry(Arc<Entry>),
    Variants(Arc<[HeaderName]>),
}

/// A key and, for a variant, which.
type Place = (Digest, Option<Digest>);

#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<Place, Slot> for Bytes {
    fn weight(&self, _place: &Place, slot: &Slot) -> u64 {
        match slot {
            Slot::Entry(entry) => entry.weight() as u64,
            Slot::Variants(fields) => 128 + 64 * fields.len() as u64,
        }
    }
}

/// The embedded cache.
pub struct MemoryEntries {
    cache: Cache<Place, Slot, Bytes, DefaultHashBuilder, DefaultLifecycle<Place, Slot>>,
    clock: Arc<dyn Clock>,
    inserted: AtomicU64,
    removed: AtomicU64,
}

impl MemoryEntries {
    /// An empty cache of at most `bytes_max`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, bytes_max: u64) -> Self {
        let options = OptionsBuilder::new()
            .estimated_items_capacity(
                usize::try_from(bytes_max / ENTRY_BYTES_MEAN).unwrap_or(usize::MAX).max(16),
            )
            .weight_capacity(bytes_max)
            .build();
        let cache = match options {
            Ok(options) => Cache::with_options(
                options,
                Bytes,
                DefaultHashBuilder::default(),
                DefaultLifecycle::default(),
            ),
            // Both capacities are given above; this arm only satisfies the type.
            Err(_) => {
                Cache::with(16, bytes_max, Bytes, DefaultHashBuilder::default(), DefaultLifecycle::default())
            }
        };
        Self { cache, clock, inserted: AtomicU64::new(0), removed: AtomicU64::new(0) }
    }

    /// The entry that `request` selects under `key`, while it is good for anything.
    #[must_use]
    pub fn get(&self, key: &Digest, request: &HeaderMap) -> Option<Arc<Entry>> {
        let entry = match self.cache.get(&(*key, None))? {
            Slot::Entry(entry) => entry,
            Slot::Variants(fields) => match self.cache.get(&(*key, Some(variant(&fields, request))))? {
                Slot::Entry(entry) => entry,
                Slot::Variants(_) => return None,
            },
        };
        (self.clock.wall_ms() <= entry.lifetime.useful_until_ms()).then_some(entry)
    }

    /// Stores an entry, in the place of the one that the same request selects.
    pub fn put(&self, key: &Digest, request: &HeaderMap, entry: Arc<Entry>) {
        self.inserted.fetch_add(1, Ordering::Relaxed);
        if entry.selecting.is_empty() {
            self.cache.insert((*key, None), Slot::Entry(entry));
            return;
        }
        let of = variant(&entry.selecting, request);
        self.cache.insert((*key, None), Slot::Variants(entry.selecting.clone().into()));
        self.cache.insert((*key, Some(of)), Slot::Entry(entry));
    }

    /// Forgets the key and with it all its variants.
    pub fn remove(&self, key: &Digest) {
        if self.cache.remove(&(*key, None)).is_some() {
            self.removed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Entries, bytes, and how many left for want of room or were replaced.
    #[must_use]
    pub fn gauges(&self) -> (u64, u64, u64) {
        let entries = self.cache.len() as u64;
        let gone = self.inserted.load(Ordering::Relaxed).saturating_sub(entries);
        (entries, self.cache.weight(), gone.saturating_sub(self.removed.load(Ordering::Relaxed)))
    }
}
