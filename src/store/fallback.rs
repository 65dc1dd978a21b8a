//! Deciding without the shared store: this instance's part of each limit, from its own exact log; what it admits is told
//! to the store when it is back.

use crate::base::Clock;
use crate::limit::{Charge, Decision, LimitKey, Mode, OnStoreFailure};
use crate::store::backlog::Backlog;
use crate::store::memory_limits::MemoryLimits;
use crate::store::redis::RedisLimits;
use crate::store::redis::limits::Operation;
use parking_lot::Mutex;
use std::sync::Arc;

/// Logs that one call repays, where one call may name several.
const REPAID_AT_ONCE: usize = 64;

/// What became of charges without the store.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Decided here; [`Decision::unasked`] for policies with `allow`.
    Decided(Vec<Decision>),
    /// An enforced policy says `deny`.
    Unavailable(Arc<str>),
}

/// The own counts of an instance whose store is shared, and what it owes.
pub(super) struct Fallback {
    local: MemoryLimits,
    backlog: Mutex<Backlog>,
    clock: Arc<dyn Clock>,
}

impl Fallback {
    pub(super) fn new(local: MemoryLimits, clock: Arc<dyn Clock>) -> Self {
        Self { local, backlog: Mutex::default(), clock }
    }

    /// The own counts.
    pub(super) fn local(&self) -> &MemoryLimits {
        &self.local
    }

    /// Notes here what the store has admitted, where this instance would have to go on from it.
    pub(super) fn learn(&self, charges: &[Charge], decisions: &[Decision]) {
        for (charge, decision) in charges.iter().zip(decisions) {
            if charge.was_consumed(decision) && is_local(charge) {
                self.local.force(charge);
            }
        }
    }

    /// Decides charges that the store did not answer, against this instance's part among `instances`. An enforced
    /// policy with `deny` refuses; otherwise those with `local` decide and those with `allow` are not asked.
    pub(super) fn decide(&self, charges: &[Charge], instances: u32) -> Verdict {
        let denies = |charge: &&Charge| {
            charge.policy.mode == Mode::Enforce && charge.policy.on_store_failure == OnStoreFailure::Deny
        };
        if let Some(charge) = charges.iter().find(denies) {
            return Verdict::Unavailable(Arc::clone(&charge.policy.name));
        }
        let share = |charge: &Charge| Charge {
            windows: charge.windows.share(instances, charge.cost),
            ..charge.clone()
        };
        let asked: Vec<Charge> = charges.iter().filter(|charge| is_local(charge)).map(share).collect();
        let decided = self.local.decide(&asked);
        if !crate::limit::is_denied(&asked, &decided) {
            self.owe(&asked, &decided);
        }
        let mut decided = decided.into_iter();
        let mut answer = |charge| if is_local(charge) { decided.next() } else { None };
        Verdict::Decided(
            charges.iter().map(|charge| answer(charge).unwrap_or_else(Decision::unasked)).collect(),
        )
    }

    fn owe(&self, charges: &[Charge], decisions: &[Decision]) {
        let now_ms = self.clock.monotonic_ms();
        let mut backlog = self.backlog.lock();
        for (charge, decision) in charges.iter().zip(decisions) {
            if charge.was_consumed(decision) {
                backlog.add(charge, now_ms);
            }
        }
    }

    /// Consumes here what the store could not be told now.
    pub(super) fn force(&self, charge: &Charge) {
        if is_local(charge) {
            self.local.force(charge);
            self.backlog.lock().add(charge, self.clock.monotonic_ms());
        }
    }

    /// Gives back what was admitted here, or what was learnt.
    pub(super) fn give_back(&self, charge: &Charge) {
        if is_local(charge) {
            self.local.refund(charge, None);
        }
    }

    /// Gives back what is owed to the store but not told yet.
    pub(super) fn forgive(&self, charge: &Charge) {
        self.backlog.lock().give_back(&charge.key, charge.cost);
    }

    /// Forgets a log here.
    pub(super) fn reset(&self, key: &LimitKey) {
        self.local.reset(key);
        self.backlog.lock().forget(key);
    }

    /// Is something owed?
    pub(super) fn is_in_debt(&self) -> bool {
        !self.backlog.lock().is_empty()
    }

    /// Logs to which something is owed.
    pub(super) fn owed(&self) -> u64 {
        u64::try_from(self.backlog.lock().len()).unwrap_or(u64::MAX)
    }

    /// Admissions that will never be told, for lack of room.
    pub(super) fn let_go(&self) -> u64 {
        self.backlog.lock().let_go()
    }

    /// Tells the store what was admitted without it. What it does not take stays owed.
    ///
    /// Cancel safety: what is under way when the future is dropped is lost.
    pub(super) async fn repay(&self, redis: &RedisLimits) {
        let due = self.backlog.lock().take(self.clock.monotonic_ms());
        let at_once = if redis.is_cluster() { 1 } else { REPAID_AT_ONCE };
        let (mut repaid, mut left) = (0_usize, 0_usize);
        for charges in due.chunks(at_once) {
            // After the first failure the store is left alone: the next turn goes on.
            let is_paid = left == 0 && redis.decide(charges, Operation::Force).await.is_ok();
            if is_paid {
                repaid = repaid.saturating_add(charges.len());
                continue;
            }
            left = left.saturating_add(charges.len());
            let now_ms = self.clock.monotonic_ms();
            let mut backlog = self.backlog.lock();
            charges.iter().for_each(|charge| backlog.add(charge, now_ms));
        }
        if repaid > 0 {
            tracing::info!(logs = repaid, left, "what was admitted without the store is counted there now");
        }
    }
}

fn is_local(charge: &Charge) -> bool {
    charge.policy.on_store_failure == OnStoreFailure::Local
}
