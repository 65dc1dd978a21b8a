//! Remembered denials in front of a shared store, in shards: a flood of refused requests is answered from here.

use crate::base::Clock;
use crate::limit::{Charge, Decision, Denials, Mode, Question};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const SHARDS: usize = 16;

/// The longest life of a denial while nobody would tell of a reset elsewhere.
const LIFE_UNTOLD: Duration = Duration::from_secs(1);

/// What was read before the store was asked; [`RememberedDenials::note`] wants it back.
#[derive(Debug)]
pub(super) struct Asked {
    sent_ms: u64,
    /// One for each charge.
    epochs: Vec<u64>,
}

/// The denials of this instance.
pub(super) struct RememberedDenials {
    shards: Vec<Mutex<Denials>>,
    clock: Arc<dyn Clock>,
    life: Duration,
    /// Do messages of other instances reach this one?
    is_told: AtomicBool,
}

impl RememberedDenials {
    /// At most `entries` of them, none longer than `life`.
    pub(super) fn new(clock: Arc<dyn Clock>, entries: usize, life: Duration) -> Self {
        let of_shard = if life.is_zero() { 0 } else { entries.div_ceil(SHARDS) };
        let shards = std::iter::repeat_with(|| Mutex::new(Denials::new(of_shard))).take(SHARDS).collect();
        Self { shards, clock, life, is_told: AtomicBool::new(false) }
    }

    /// The decisions on a request of which some enforced charge is known to be denied. What is not known is not asked.
    pub(super) fn find(&self, charges: &[Charge]) -> Option<Vec<Decision>> {
        let now_ms = self.clock.monotonic_ms();
        let find = |charge: &Charge| {
            let is_enforced = charge.policy.mode == Mode::Enforce;
            self.shard(charge.key.identity.head()).filter(|_| is_enforced)?.lock().find(charge, now_ms)
        };
        // The first known one decides; only then are the others looked at for what they have to say.
        let first = charges.iter().position(|charge| find(charge).is_some())?;
        let known =
            charges.iter().enumerate().map(|(at, charge)| if at < first { None } else { find(charge) });
        let decisions: Vec<Decision> = known.map(|found| found.unwrap_or_else(Decision::unasked)).collect();
        // It may have run out between the two looks.
        decisions.iter().any(|decision| !decision.admitted).then_some(decisions)
    }

    /// To be called before the store is asked.
    pub(super) fn ask(&self, charges: &[Charge]) -> Asked {
        let epoch =
            |charge: &Charge| self.shard(charge.key.identity.head()).map_or(0, |shard| shard.lock().epoch());
        Asked { sent_ms: self.clock.monotonic_ms(), epochs: charges.iter().map(epoch).collect() }
    }

    /// Remembers what the store denied.
    pub(super) fn note(&self, charges: &[Charge], decisions: &[Decision], asked: &Asked) {
        let life = if self.is_told.load(Ordering::Relaxed) { self.life } else { self.life.min(LIFE_UNTOLD) };
        let life_ms = crate::base::clock::millis(life);
        for ((charge, decision), epoch) in charges.iter().zip(decisions).zip(&asked.epochs) {
            if !decision.admitted
                && charge.policy.mode == Mode::Enforce
                && let Some(shard) = self.shard(charge.key.identity.head())
            {
                shard.lock().note(
                    charge,
                    decision,
                    Question { sent_ms: asked.sent_ms, epoch: *epoch },
                    life_ms,
                );
            }
        }
    }

    /// Forgets the denials of one log.
    pub(super) fn forget(&self, identity: [u8; 16], policy: &str) {
        if let Some(shard) = self.shard(identity) {
            shard.lock().forget(identity, policy);
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        self.shards.iter().for_each(|shard| shard.lock().clear());
    }

    /// Do messages of other instances arrive from now on? What was remembered before may be out of date either way.
    pub(super) fn told(&self, is_told: bool) {
        self.is_told.store(is_told, Ordering::Relaxed);
        self.clear();
    }

    /// Do they?
    pub(super) fn is_told(&self) -> bool {
        self.is_told.load(Ordering::Relaxed)
    }

    /// How many are remembered, holding or not.
    pub(super) fn len(&self) -> u64 {
        let count: usize = self.shards.iter().map(|shard| shard.lock().len()).sum();
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    fn shard(&self, identity: [u8; 16]) -> Option<&Mutex<Denials>> {
        self.shards.get(usize::from(identity[0]) % SHARDS)
    }
}
