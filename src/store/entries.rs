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

    /// Gives the memory of the memory tier back. What is in Redis stays.
    pub fn shed(&self) {
        self.memory().shed();
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
#[path = "entries_tests.rs"]
pub(super) mod tests;
