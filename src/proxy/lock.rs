//! pingora's cache lock, for what our flights have not decided. pingora's own is of one process and cannot be awaited by a
//! look-up, so requests that miss are coalesced there (`proxy/lookup.rs`), and here each of them may write. What is
//! left is one background refresh at a time of a stale entry that is served meanwhile.

use crate::proxy::storage::KeyParts;
use http::Extensions;
use pingora::cache::key::CacheKey;
use pingora::cache::lock::{CacheKeyLock, CacheLock, LockStatus, Locked, WritePermit};
use std::time::Duration;

/// A background refresh that takes longer does not keep others from beginning.
const AGE_MAX: Duration = Duration::from_secs(60);

/// Marks permits that no lock stands behind.
#[derive(Clone)]
struct Free;

/// The lock.
pub(super) struct FlightLock {
    refreshes: CacheLock,
}

impl FlightLock {
    /// Nothing is locked.
    #[must_use]
    pub(super) fn new() -> Self {
        Self { refreshes: CacheLock::new(AGE_MAX) }
    }
}

impl CacheKeyLock for FlightLock {
    fn lock(&self, key: &CacheKey, stale_writer: bool) -> Locked {
        let parts = key.extensions.get::<KeyParts>();
        // A background request finds the lock of the request that began it, and pingora gives it that one's permit.
        let is_decided = parts.is_some_and(|parts| !parts.is_background && parts.part.asks());
        if stale_writer && !is_decided {
            return self.refreshes.lock(key, stale_writer);
        }
        let mut mark = Extensions::new();
        mark.insert(Free);
        let (permit, _nobody_reads) = WritePermit::new(AGE_MAX, stale_writer, mark);
        Locked::Write(permit)
    }

    fn release(&self, key: &CacheKey, mut permit: WritePermit, reason: LockStatus) {
        // As soon as the origin has failed, before the client has its error or a stale answer.
        if reason == LockStatus::TransientError
            && let Some(parts) = key.extensions.get::<KeyParts>()
        {
            parts.part.failed();
        }
        if permit.extensions().get::<Free>().is_some() {
            permit.unlock(reason);
        } else {
            self.refreshes.release(key, permit, reason);
        }
    }
}
