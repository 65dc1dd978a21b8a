//! Counts in this process: ring logs in shards, bounded by bytes, all charges of a request decided in one critical
//! section.
//!
//! When the bound is reached, logs that nothing counts any more leave first, then those that were idle longest;
//! a log that is at its limit is kept to the last, or newcomers could set an offender free.

use crate::base::Clock;
use crate::limit::{Charge, Decision, LimitKey, Mode, RingLog};
use hashbrown::HashMap;
use parking_lot::{Mutex, MutexGuard};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const SHARDS: usize = 64;

/// Bytes of a log without its ring: key, head, table slot (measured with 10 units a key: 230 B in all).
const LOG_BYTES: usize = 190;

/// How many neighbours are compared when one must leave.
const SAMPLE: usize = 16;

/// One identity's log and how long its units can count.
#[derive(Debug, Default)]
struct Kept {
    log: RingLog,
    longest_ms: u32,
    smallest_limit: u32,
}

impl Kept {
    fn bytes(&self) -> usize {
        LOG_BYTES.saturating_add(self.log.heap_bytes())
    }

    fn is_spent(&self, now_ms: u64) -> bool {
        let last = self.log.last_ms().unwrap_or(0);
        self.log.is_empty() || last.saturating_add(u64::from(self.longest_ms)) <= now_ms
    }

    /// How much harm forgetting it does: full logs first, then recent ones.
    fn worth(&self) -> (usize, u64) {
        let limit = usize::try_from(self.smallest_limit).unwrap_or(usize::MAX).max(1);
        let fill = self.log.len().saturating_mul(8).checked_div(limit).unwrap_or(0).min(8);
        (fill, self.log.last_ms().unwrap_or(0))
    }
}

type Shard = HashMap<LimitKey, Kept, RandomState>;

/// The embedded limiter. Time is monotonic milliseconds of the clock it was made with.
pub struct MemoryLimits {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    clock: Arc<dyn Clock>,
    bytes_max: usize,
    bytes: AtomicUsize,
    evicted: AtomicU64,
    next_sweep: AtomicUsize,
}

impl MemoryLimits {
    /// An empty limiter that may use `bytes_max` bytes.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, bytes_max: u64) -> Self {
        Self {
            shards: std::iter::repeat_with(Mutex::default).take(SHARDS).collect(),
            hasher: RandomState::new(),
            clock,
            bytes_max: usize::try_from(bytes_max).unwrap_or(usize::MAX),
            bytes: AtomicUsize::new(0),
            evicted: AtomicU64::new(0),
            next_sweep: AtomicUsize::new(0),
        }
    }

    /// Decides all charges together: if every enforced one passes they are consumed, otherwise nothing is. A shadow
    /// charge is consumed when it passes itself and the request goes on.
    pub fn decide(&self, charges: &[Charge]) -> Vec<Decision> {
        let mut shards = self.lock(charges);
        let now_ms = self.clock.monotonic_ms();
        let judged: Vec<Decision> =
            charges.iter().map(|charge| self.judge(&mut shards, charge, now_ms)).collect();
        let is_denied =
            charges.iter().zip(&judged).any(|(charge, d)| !d.admitted && charge.policy.mode == Mode::Enforce);
        if is_denied {
            return judged;
        }
        let consume = |(charge, decision): (&Charge, Decision)| {
            if decision.admitted && charge.cost > 0 {
                self.consume(&mut shards, charge, now_ms)
            } else {
                decision
            }
        };
        charges.iter().zip(judged).map(consume).collect()
    }

    /// Consumes whatever the limits say: what another store admitted is known here too.
    pub fn force(&self, charges: &[Charge]) -> Vec<Decision> {
        let mut shards = self.lock(charges);
        let now_ms = self.clock.monotonic_ms();
        charges.iter().map(|charge| self.consume(&mut shards, charge, now_ms)).collect()
    }

    /// Gives back what a charge consumed at `stamp_ms`.
    pub fn refund(&self, charge: &Charge, stamp_ms: u64) {
        let mut shards = self.lock(std::slice::from_ref(charge));
        if let Some(kept) = self.shard(&mut shards, &charge.key).and_then(|shard| shard.get_mut(&charge.key))
        {
            kept.log.refund(stamp_ms, charge.cost);
        }
    }

    /// Forgets a log.
    pub fn reset(&self, key: &LimitKey) {
        if let Some(shard) = self.shards.get(self.index(key))
            && let Some(kept) = shard.lock().remove(key)
        {
            self.bytes.fetch_sub(kept.bytes(), Ordering::Relaxed);
        }
    }

    /// Logs kept.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Bytes in use, by estimate.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Logs that had to leave although they still counted.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// Drops what no window counts any more from the next shard; call it now and then.
    pub fn sweep(&self) {
        let next = self.next_sweep.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let Some(shard) = self.shards.get(next) else { return };
        self.drop_spent(&mut shard.lock(), self.clock.monotonic_ms());
    }

    fn index(&self, key: &LimitKey) -> usize {
        usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0)
    }

    /// Locks the shards of all charges, lowest first: two requests can never wait for each other.
    fn lock(&self, charges: &[Charge]) -> Vec<(usize, MutexGuard<'_, Shard>)> {
        let mut indices: Vec<usize> = charges.iter().map(|charge| self.index(&charge.key)).collect();
        indices.sort_unstable();
        indices.dedup();
        indices.into_iter().filter_map(|index| Some((index, self.shards.get(index)?.lock()))).collect()
    }

    fn shard<'a>(
        &self,
        shards: &'a mut [(usize, MutexGuard<'_, Shard>)],
        key: &LimitKey,
    ) -> Option<&'a mut Shard> {
        let index = self.index(key);
        shards.iter_mut().find(|(of, _)| *of == index).map(|(_, shard)| &mut **shard)
    }

    fn judge(&self, shards: &mut [(usize, MutexGuard<'_, Shard>)], charge: &Charge, now_ms: u64) -> Decision {
        let kept = self.shard(shards, &charge.key).and_then(|shard| shard.get(&charge.key));
        match kept {
            Some(kept) => kept.log.judge(now_ms, &charge.windows, charge.cost),
            None => RingLog::default().judge(now_ms, &charge.windows, charge.cost),
        }
    }

    fn consume(
        &self,
        shards: &mut [(usize, MutexGuard<'_, Shard>)],
        charge: &Charge,
        now_ms: u64,
    ) -> Decision {
        let Some(shard) = self.shard(shards, &charge.key) else {
            return RingLog::default().judge(now_ms, &charge.windows, charge.cost);
        };
        if self.bytes() > self.bytes_max {
            self.make_room(shard, now_ms, &charge.key);
        }
        let is_new = !shard.contains_key(&charge.key);
        let kept = shard.entry(charge.key.clone()).or_default();
        let before = if is_new { 0 } else { kept.bytes() };
        kept.longest_ms = kept.longest_ms.max(charge.windows.longest_ms());
        kept.smallest_limit = charge.windows.as_slice().iter().map(|window| window.limit).min().unwrap_or(0);
        let decision = kept.log.consume(now_ms, &charge.windows, charge.cost);
        let after = kept.bytes();
        self.bytes.fetch_add(after, Ordering::Relaxed);
        self.bytes.fetch_sub(before, Ordering::Relaxed);
        decision
    }

    fn drop_spent(&self, shard: &mut Shard, now_ms: u64) {
        let mut freed = 0_usize;
        shard.retain(|_, kept| {
            let is_spent = kept.is_spent(now_ms);
            if is_spent {
                freed = freed.saturating_add(kept.bytes());
            }
            !is_spent
        });
        self.bytes.fetch_sub(freed, Ordering::Relaxed);
    }

    /// Makes the least harmful of a sample leave, until the bound is kept or the shard has nothing to give.
    fn make_room(&self, shard: &mut Shard, now_ms: u64, keep: &LimitKey) {
        self.drop_spent(shard, now_ms);
        while self.bytes() > self.bytes_max {
            let sample = shard.iter().filter(|(key, _)| *key != keep).take(SAMPLE);
            let Some(victim) = sample.min_by_key(|(_, kept)| kept.worth()).map(|(key, _)| key.clone()) else {
                return;
            };
            if let Some(kept) = shard.remove(&victim) {
                self.bytes.fetch_sub(kept.bytes(), Ordering::Relaxed);
                self.evicted.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
