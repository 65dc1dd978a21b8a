//! Counts in this process: ring logs in shards, bounded by bytes, all charges of a request decided in one critical
//! section.
//!
//! When a shard is full, logs that nothing counts any more leave first, then those that hold the fewest units, idle ones
//! before busy ones: forgetting a log admits at most its units again. A log that bars its owner now leaves only when no
//! other is left, or newcomers could set an offender free.

use crate::base::Clock;
use crate::limit::{Charge, Decision, LimitKey, RingLog, is_denied};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use parking_lot::{Mutex, MutexGuard};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const SHARDS_MAX: usize = 256;

/// A shard is not smaller than this, so that a dozen logs of 10,000 units fit. Nor should it be much larger: making room
/// looks at all logs of a shard while its lock is held.
const SHARD_BYTES_MIN: usize = 512 << 10;

/// One identity's log and what its worth is judged by.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) key: LimitKey,
    pub(super) log: RingLog,
    /// The longest window that ever counted its units.
    pub(super) longest_ms: u32,
    /// When it was last asked for.
    pub(super) seen_ms: u64,
    /// Until then it denies.
    pub(super) barred_until_ms: u64,
}

impl Kept {
    fn new(key: LimitKey) -> Self {
        Self { key, log: RingLog::default(), longest_ms: 0, seen_ms: 0, barred_until_ms: 0 }
    }

    /// A table slot at the usual load, and the ring.
    fn bytes(&self) -> usize {
        const SLOT: usize = size_of::<Kept>() * 3 / 2;
        SLOT.saturating_add(self.log.heap_bytes())
    }

    /// Does no window count any of its units?
    pub(super) fn is_spent(&self, now_ms: u64) -> bool {
        self.log.newest_ms().saturating_add(u64::from(self.longest_ms)) <= now_ms
    }

    /// What forgetting it gives away; the least leaves first.
    fn worth(&self, now_ms: u64) -> (bool, usize, u64) {
        (self.barred_until_ms > now_ms, self.log.len(), self.seen_ms)
    }

    fn note(&mut self, charge: &Charge, decision: &Decision, now_ms: u64) {
        self.seen_ms = now_ms;
        let spent = decision.windows.iter().filter(|state| state.remaining < charge.cost.max(1));
        let bars_ms = spent.map(|state| state.reset_ms).max().unwrap_or(0);
        self.barred_until_ms = now_ms.saturating_add(u64::from(bars_ms));
    }
}

/// The embedded limiter. Its time is wall milliseconds, read once when it is made, and monotonic milliseconds since: it
/// never runs back, and says of units that were consumed before the process began how old they are.
pub struct MemoryLimits {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    clock: Arc<dyn Clock>,
    /// The clock's monotonic reading at the start.
    began_ms: u64,
    /// The time at that moment.
    base_ms: AtomicU64,
    shard_bytes_max: usize,
    evicted: AtomicU64,
    expired: AtomicU64,
    next_sweep: AtomicUsize,
}

/// Where a charge's log belongs.
#[derive(Clone, Copy)]
struct Place {
    hash: u64,
    shard: usize,
}

impl MemoryLimits {
    /// An empty limiter that may use about `bytes_max` bytes. A log that alone is larger than its shard's part is kept
    /// nevertheless; the largest one takes 4 MB.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, bytes_max: u64) -> Self {
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        let shards = bytes_max.checked_div(SHARD_BYTES_MIN).unwrap_or(1).clamp(1, SHARDS_MAX);
        Self {
            shards: std::iter::repeat_with(Mutex::default).take(shards).collect(),
            hasher: RandomState::new(),
            began_ms: clock.monotonic_ms(),
            base_ms: AtomicU64::new(clock.wall_ms()),
            clock,
            shard_bytes_max: bytes_max.checked_div(shards).unwrap_or(bytes_max),
            evicted: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            next_sweep: AtomicUsize::new(0),
        }
    }

    /// Decides all charges together: if every enforced one passes they are consumed, otherwise nothing is. A shadow
    /// charge is consumed when it passes itself and the request goes on. No two charges have the same key.
    pub fn decide(&self, charges: &[Charge]) -> Vec<Decision> {
        let places = self.places(charges);
        let mut locked = self.lock(&places);
        // Read under the locks: two requests on one log then see time in the order in which they are decided.
        let now_ms = self.now_ms();
        let asked = || charges.iter().zip(&places);
        let mut decisions: Vec<Decision> =
            asked().map(|(charge, place)| locked.shard(*place).judge(place.hash, charge, now_ms)).collect();
        if !is_denied(charges, &decisions) {
            for ((charge, place), decision) in asked().zip(&mut decisions) {
                if decision.admitted && charge.consumes && charge.cost > 0 {
                    *decision = self.consume(locked.shard(*place), place.hash, charge, now_ms);
                }
            }
        }
        decisions
    }

    /// Consumes whatever the limits say: what another store admitted is known here too.
    pub fn force(&self, charge: &Charge) -> Decision {
        let place = self.place(&charge.key);
        let mut locked = self.lock(&[place]);
        let now_ms = self.now_ms();
        self.consume(locked.shard(place), place.hash, charge, now_ms)
    }

    /// Gives back up to `charge.cost` units: those consumed at `stamp_ms`, or with `None` the newest. Returns how many
    /// were still in the log.
    pub fn refund(&self, charge: &Charge, stamp_ms: Option<u64>) -> u32 {
        let place = self.place(&charge.key);
        let mut locked = self.lock(&[place]);
        let kept = locked.shard(place).find(place.hash, &charge.key);
        kept.map_or(0, |kept| kept.log.refund(stamp_ms, charge.cost))
    }

    /// Forgets a log.
    pub fn reset(&self, key: &LimitKey) {
        let place = self.place(key);
        self.lock(&[place]).shard(place).remove(place.hash, key);
    }

    /// Logs kept.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().table.len()).sum()
    }

    /// Bytes in use, by estimate.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().bytes).sum()
    }

    /// Logs that had to leave although they still counted.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// Logs that left because no window counted them any more.
    #[must_use]
    pub fn expired(&self) -> u64 {
        self.expired.load(Ordering::Relaxed)
    }

    /// Drops what no window counts any more from the next shard; call it now and then.
    pub fn sweep(&self) {
        let turn = self.next_sweep.fetch_add(1, Ordering::Relaxed);
        if let Some(shard) = self.shards.get(turn % self.shards.len()) {
            let left = shard.lock().drop_spent(self.now_ms(), &self.hasher);
            self.expired.fetch_add(left, Ordering::Relaxed);
        }
    }

    /// The time by which units are stamped.
    pub(super) fn now_ms(&self) -> u64 {
        let since_ms = self.clock.monotonic_ms().saturating_sub(self.began_ms);
        self.base_ms.load(Ordering::Relaxed).saturating_add(since_ms)
    }

    /// Lets the time be `at_ms` or later: where logs say that it was, it must not run back.
    pub(super) fn not_before(&self, at_ms: u64) {
        self.base_ms.fetch_add(at_ms.saturating_sub(self.now_ms()), Ordering::Relaxed);
    }

    /// Shows all logs, some at a time.
    pub(super) fn each<E>(&self, mut show: impl FnMut(&Kept) -> Result<(), E>) -> Result<(), E> {
        self.shards.iter().try_for_each(|shard| shard.lock().table.iter().try_for_each(&mut show))
    }

    /// Forgets all logs.
    pub(super) fn clear(&self) {
        self.shards.iter().for_each(|shard| *shard.lock() = Shard::default());
    }

    /// Puts a log in place of the one with the same key. Something else leaves when there is no room.
    pub(super) fn restore(&self, kept: Kept) {
        let place = self.place(&kept.key);
        let mut locked = self.lock(&[place]);
        let shard = locked.shard(place);
        self.make_room(shard, &kept.key, self.now_ms());
        shard.remove(place.hash, &kept.key);
        shard.bytes = shard.bytes.saturating_add(kept.bytes());
        shard.table.insert_unique(place.hash, kept, |kept| self.hasher.hash_one(&kept.key));
    }

    fn place(&self, key: &LimitKey) -> Place {
        let hash = self.hasher.hash_one(key);
        // Neither the low bits nor the top seven: the table in the shard lives by those.
        let middle = usize::try_from((hash >> 24) & 0xFFFF).unwrap_or(0);
        Place { hash, shard: middle % self.shards.len() }
    }

    fn places(&self, charges: &[Charge]) -> Vec<Place> {
        charges.iter().map(|charge| self.place(&charge.key)).collect()
    }

    /// Locks the shards of all places, lowest first: two requests can never wait for each other.
    fn lock(&self, places: &[Place]) -> Locked<'_> {
        let mut wanted: Vec<usize> = places.iter().map(|place| place.shard).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let lock = |index: usize| Some((index, self.shards.get(index)?.lock()));
        Locked(wanted.into_iter().filter_map(lock).collect())
    }

    fn consume(&self, shard: &mut Shard, hash: u64, charge: &Charge, now_ms: u64) -> Decision {
        self.make_room(shard, &charge.key, now_ms);
        shard.consume(hash, charge, now_ms, &self.hasher)
    }

    /// Lets logs leave a shard that is full; never `keep`.
    fn make_room(&self, shard: &mut Shard, keep: &LimitKey, now_ms: u64) {
        if shard.bytes <= self.shard_bytes_max {
            return;
        }
        self.expired.fetch_add(shard.drop_spent(now_ms, &self.hasher), Ordering::Relaxed);
        let left = shard.drop_least(self.shard_bytes_max, now_ms, keep);
        let before = self.evicted.fetch_add(left, Ordering::Relaxed);
        let after = before.saturating_add(left);
        // Once for each doubling: it is to be noticed, not to fill the log.
        if before.checked_ilog2() != after.checked_ilog2() {
            tracing::warn!(
                evicted = after,
                "store.memory.limits is full: logs that still counted were dropped"
            );
        }
    }
}

/// The shards of one request, held together.
struct Locked<'a>(Vec<(usize, MutexGuard<'a, Shard>)>);

impl Locked<'_> {
    #[expect(clippy::expect_used, reason = "the shards of all places were locked")]
    fn shard(&mut self, place: Place) -> &mut Shard {
        self.0
            .iter_mut()
            .find(|(index, _)| *index == place.shard)
            .map(|(_, shard)| &mut **shard)
            .expect("locked")
    }
}

/// Some of the logs.
#[derive(Default)]
struct Shard {
    table: HashTable<Kept>,
    bytes: usize,
}

impl Shard {
    fn find(&mut self, hash: u64, key: &LimitKey) -> Option<&mut Kept> {
        self.table.find_mut(hash, |kept| kept.key == *key)
    }

    fn remove(&mut self, hash: u64, key: &LimitKey) {
        if let Ok(found) = self.table.find_entry(hash, |kept| kept.key == *key) {
            let (kept, _) = found.remove();
            self.bytes = self.bytes.saturating_sub(kept.bytes());
        }
    }

    fn judge(&mut self, hash: u64, charge: &Charge, now_ms: u64) -> Decision {
        let Some(kept) = self.find(hash, &charge.key) else {
            return RingLog::default().judge(now_ms, &charge.windows, charge.cost);
        };
        let decision = kept.log.judge(now_ms, &charge.windows, charge.cost);
        kept.note(charge, &decision, now_ms);
        decision
    }

    fn consume(&mut self, hash: u64, charge: &Charge, now_ms: u64, hasher: &RandomState) -> Decision {
        let found = self.table.entry(hash, |kept| kept.key == charge.key, |kept| hasher.hash_one(&kept.key));
        let (kept, before) = match found {
            Entry::Occupied(entry) => {
                let kept = entry.into_mut();
                let bytes = kept.bytes();
                (kept, bytes)
            }
            Entry::Vacant(entry) => (entry.insert(Kept::new(charge.key.clone())).into_mut(), 0),
        };
        kept.longest_ms = kept.longest_ms.max(charge.windows.longest_ms());
        let decision = kept.log.consume(now_ms, &charge.windows, charge.cost);
        kept.note(charge, &decision, now_ms);
        self.bytes = self.bytes.saturating_add(kept.bytes()).saturating_sub(before);
        decision
    }

    /// Drops what no window counts any more. Returns how many left.
    fn drop_spent(&mut self, now_ms: u64, hasher: &RandomState) -> u64 {
        let left = self.drop_if(|kept| kept.is_spent(now_ms));
        if self.table.len().saturating_mul(4) < self.table.capacity() {
            self.table.shrink_to(self.table.len().saturating_mul(2), |kept| hasher.hash_one(&kept.key));
        }
        left
    }

    /// Empties the shard to seven eighths, so that the next time is far away: it looks at all logs. Returns how many
    /// left that still counted. `keep` stays: it is being charged.
    fn drop_least(&mut self, bytes_max: usize, now_ms: u64, keep: &LimitKey) -> u64 {
        let surplus = self.bytes.saturating_sub(bytes_max.saturating_sub(bytes_max / 8));
        let mut by_worth: Vec<_> = self.table.iter().map(|kept| (kept.worth(now_ms), kept.bytes())).collect();
        by_worth.sort_unstable();
        let mut freed = 0_usize;
        let leaving = by_worth.iter().take_while(|(_, bytes)| {
            let is_wanted = freed < surplus;
            freed = freed.saturating_add(*bytes);
            is_wanted
        });
        let Some((last, _)) = leaving.last().copied() else { return 0 };
        let mut freed = 0_usize;
        self.drop_if(|kept| {
            let leaves = freed < surplus && kept.worth(now_ms) <= last && kept.key != *keep;
            if leaves {
                freed = freed.saturating_add(kept.bytes());
            }
            leaves
        })
    }

    fn drop_if(&mut self, mut leaves: impl FnMut(&Kept) -> bool) -> u64 {
        let (mut left, mut freed) = (0_u64, 0_usize);
        self.table.retain(|kept| {
            let leaves = leaves(kept);
            if leaves {
                left = left.saturating_add(1);
                freed = freed.saturating_add(kept.bytes());
            }
            !leaves
        });
        self.bytes = self.bytes.saturating_sub(freed);
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{ManualClock, SystemClock};
    use crate::limit::Mode;
    use crate::store::testing::charge_of;
    use std::time::Duration;

    fn limits(bytes_max: u64) -> (MemoryLimits, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(1_000_000));
        (MemoryLimits::new(Arc::clone(&clock) as _, bytes_max), clock)
    }

    /// The log of newcomer `number`.
    fn newcomer(number: u32) -> Charge {
        let mut charge = charge_of("p", 0, &[(60, 10)], Mode::Enforce);
        charge.key.identity.0[..4].copy_from_slice(&number.to_le_bytes());
        charge.key.identity.0[31] = 1;
        charge
    }

    fn admits(limits: &MemoryLimits, charge: &Charge) -> bool {
        limits.decide(std::slice::from_ref(charge))[0].admitted
    }

    #[test]
    fn a_flood_of_newcomers_sets_no_offender_free_and_keeps_to_its_bytes() {
        let (limits, clock) = limits(1 << 20);
        let offender = charge_of("p", 7, &[(60, 10)], Mode::Enforce);
        assert_eq!((0..20).filter(|_| admits(&limits, &offender)).count(), 10);
        let mut peak = 0;
        for number in 0..50_000 {
            assert!(admits(&limits, &newcomer(number)));
            peak = peak.max(limits.bytes());
            if number % 1_000 == 0 {
                clock.advance(Duration::from_millis(1));
                assert!(!admits(&limits, &offender), "after {number} newcomers");
            }
        }
        assert!(peak <= (1 << 20) + 4_096, "{peak}");
        assert!(limits.evicted() > 40_000, "{}", limits.evicted());
    }

    #[test]
    fn what_counts_no_more_leaves_first() {
        let (limits, clock) = limits(1 << 20);
        for number in 0..3_000 {
            assert!(admits(&limits, &newcomer(number)));
        }
        clock.advance(Duration::from_secs(60));
        for number in 10_000..13_000 {
            assert!(admits(&limits, &newcomer(number)));
        }
        assert_eq!(limits.evicted(), 0);
        assert!(
            !(10_000..13_000).any(|number| limits.decide(&[newcomer(number)])[0].windows[0].remaining != 8)
        );
    }

    #[test]
    fn a_log_with_many_units_outlives_those_with_few() {
        let (limits, clock) = limits(1 << 20);
        let busy = Charge { cost: 9, ..charge_of("p", 7, &[(60, 10)], Mode::Enforce) };
        assert!(admits(&limits, &busy));
        clock.advance(Duration::from_millis(10));
        for number in 0..20_000 {
            limits.decide(&[newcomer(number)]);
        }
        let look = Charge { cost: 0, ..busy };
        assert_eq!(limits.decide(&[look])[0].windows[0].remaining, 1);
    }

    #[test]
    fn sweeping_drops_what_is_spent_and_denials_leave_no_trace() {
        let (limits, clock) = limits(64 << 20);
        for number in 0..1_000 {
            limits.decide(&[newcomer(number)]);
            limits.decide(&[Charge { cost: 11, ..newcomer(100_000 + number) }]);
            limits.decide(&[Charge { cost: 0, ..newcomer(200_000 + number) }]);
        }
        assert_eq!(limits.keys(), 1_000);
        clock.advance(Duration::from_secs(60));
        for _ in 0..SHARDS_MAX {
            limits.sweep();
        }
        assert_eq!((limits.keys(), limits.bytes()), (0, 0));
        assert_eq!((limits.evicted(), limits.expired()), (0, 1_000));
    }

    #[test]
    fn reset_and_refund_keep_the_books() {
        let (limits, _) = limits(1 << 20);
        let one = newcomer(1);
        let stamp_ms = Some(limits.decide(std::slice::from_ref(&one))[0].stamp_ms);
        assert_eq!((limits.refund(&one, stamp_ms), limits.refund(&one, stamp_ms)), (1, 0));
        limits.reset(&one.key);
        limits.reset(&one.key);
        assert_eq!((limits.keys(), limits.bytes()), (0, 0));
    }

    #[test]
    fn eight_threads_on_two_policies_admit_exactly_the_limit() {
        let limits = MemoryLimits::new(Arc::new(SystemClock::new()), 64 << 20);
        let of = |name, identity, limit| charge_of(name, identity, &[(60, limit)], Mode::Enforce);
        // Every thread holds the shared log and one of its own, in either order.
        let admitted: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8_u8)
                .map(|thread| {
                    let limits = &limits;
                    let mut charges = vec![of("shared", 99, 500), of("own", thread, 1_000)];
                    if thread % 2 == 0 {
                        charges.reverse();
                    }
                    let ask = move |_: &u32| !crate::limit::is_denied(&charges, &limits.decide(&charges));
                    scope.spawn(move || (0..200_u32).filter(ask).count())
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("it ends")).sum()
        });
        assert_eq!(admitted, 500);
        let own: u32 = (0..8_u8)
            .map(|thread| {
                let look = Charge { cost: 0, ..of("own", thread, 1_000) };
                1_000 - limits.decide(&[look])[0].windows[0].remaining
            })
            .sum();
        assert_eq!(own, 500, "what the shared policy refused cost nothing");
    }
}
