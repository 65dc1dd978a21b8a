//! The limiter that the proxy asks: one store, and what happens when it does not answer.

use crate::limit::{Charge, Decision, LimitKey, Mode, OnStoreFailure, is_denied};
use crate::store::StoreFailure;
use crate::store::memory_limits::MemoryLimits;
use crate::store::redis::RedisLimits;
use crate::store::redis::limits::Operation;
use crate::telemetry::StoreName;
use std::sync::Arc;

/// Where counts live.
pub enum LimitStore {
    /// In this process.
    Memory,
    /// In Redis, shared by all instances.
    Redis(RedisLimits),
}

/// Who decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The configured store.
    Store,
    /// This instance alone, because the store is away.
    Local,
}

/// The answer to a request's charges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Goes on; the charges are consumed.
    Admitted {
        /// One decision a charge; [`Decision::unasked`] for a policy with `allow` while the store is away.
        decisions: Vec<Decision>,
        /// Who decided.
        source: Source,
    },
    /// Refused; nothing was consumed.
    Denied {
        /// One decision a charge; at least one enforced one is not admitted.
        decisions: Vec<Decision>,
        /// Who decided.
        source: Source,
    },
    /// Goes on uncounted: the store is away and every policy says `allow`.
    Degraded,
    /// Refused with 503: the store is away and this policy says `deny`.
    Unavailable {
        /// The policy.
        policy: Arc<str>,
    },
}

/// Decides with the configured store, and with this instance's own counts when it is away. The own counts are fed
/// with everything that the store admits through this instance, so that a fallback goes on from there.
pub struct Limiter {
    store: LimitStore,
    local: MemoryLimits,
}

impl Limiter {
    /// A limiter over `store`.
    #[must_use]
    pub fn new(store: LimitStore, local: MemoryLimits) -> Self {
        Self { store, local }
    }

    /// Decides all charges of a request together. Never fails and never waits longer than the store's time-out.
    ///
    /// Cancel safety: dropping the future may leave the charges consumed, never a part of them.
    pub async fn admit(&self, charges: &[Charge]) -> Admission {
        let LimitStore::Redis(redis) = &self.store else {
            return admission(charges, self.local.decide(charges), Source::Store);
        };
        if charges.is_empty() {
            return admission(charges, Vec::new(), Source::Store);
        }
        match redis.decide(charges, Operation::Consume).await {
            Ok(decisions) => {
                if !is_denied(charges, &decisions) {
                    self.learn(charges, &decisions);
                }
                admission(charges, decisions, Source::Store)
            }
            Err(failure) => {
                tracing::debug!(%failure, "limit decided without the store");
                self.without_store(charges)
            }
        }
    }

    /// Notes here what the store has admitted, where this instance would have to go on from it.
    fn learn(&self, charges: &[Charge], decisions: &[Decision]) {
        for (charge, decision) in charges.iter().zip(decisions) {
            if decision.admitted && charge.cost > 0 && charge.policy.on_store_failure == OnStoreFailure::Local
            {
                self.local.force(charge);
            }
        }
    }

    /// An enforced policy with `deny` refuses; otherwise those with `local` decide and the others are not asked.
    fn without_store(&self, charges: &[Charge]) -> Admission {
        let denies = |charge: &&Charge| {
            charge.policy.mode == Mode::Enforce && charge.policy.on_store_failure == OnStoreFailure::Deny
        };
        if let Some(charge) = charges.iter().find(denies) {
            return Admission::Unavailable { policy: Arc::clone(&charge.policy.name) };
        }
        let is_local = |charge: &&Charge| charge.policy.on_store_failure == OnStoreFailure::Local;
        let local: Vec<Charge> = charges.iter().filter(is_local).cloned().collect();
        if local.is_empty() {
            return Admission::Degraded;
        }
        let mut decisions = self.local.decide(&local).into_iter();
        let decide = |charge| if is_local(&charge) { decisions.next() } else { None };
        let decisions = charges.iter().map(decide).map(|decided| decided.unwrap_or_else(Decision::unasked));
        admission(charges, decisions.collect(), Source::Local)
    }

    /// Where the charges stand; nothing is consumed.
    ///
    /// # Errors
    /// [`StoreFailure`] when the store does not answer.
    pub async fn peek(&self, charges: &[Charge]) -> Result<Vec<Decision>, StoreFailure> {
        let looking: Vec<Charge> =
            charges.iter().cloned().map(|charge| Charge { cost: 0, ..charge }).collect();
        match &self.store {
            LimitStore::Memory => Ok(self.local.decide(&looking)),
            LimitStore::Redis(redis) => redis.decide(&looking, Operation::Consume).await,
        }
    }

    /// Gives back up to `charge.cost` units: those consumed at `stamp_ms`, or with `None` the newest. Returns how many
    /// were still in the log.
    ///
    /// # Errors
    /// [`StoreFailure`] when the store does not answer.
    pub async fn refund(&self, charge: &Charge, stamp_ms: Option<u64>) -> Result<u32, StoreFailure> {
        match &self.store {
            LimitStore::Memory => Ok(self.local.refund(charge, stamp_ms)),
            LimitStore::Redis(redis) => redis.refund(charge, stamp_ms).await,
        }
    }

    /// Forgets a log, here and in the store.
    ///
    /// # Errors
    /// [`StoreFailure`] when the store does not answer.
    pub async fn reset(&self, key: &LimitKey) -> Result<(), StoreFailure> {
        self.local.reset(key);
        match &self.store {
            LimitStore::Memory => Ok(()),
            LimitStore::Redis(redis) => redis.reset(key).await,
        }
    }

    /// Does the store answer, as far as is known?
    #[must_use]
    pub fn is_connected(&self) -> bool {
        match &self.store {
            LimitStore::Memory => true,
            LimitStore::Redis(redis) => redis.is_up(),
        }
    }

    /// The store's name in metrics.
    #[must_use]
    pub fn store_name(&self) -> StoreName {
        match &self.store {
            LimitStore::Memory => StoreName::Memory,
            LimitStore::Redis(_) => StoreName::Redis,
        }
    }

    /// This instance's own counts, for gauges and the sweep.
    #[must_use]
    pub fn local(&self) -> &MemoryLimits {
        &self.local
    }
}

fn admission(charges: &[Charge], decisions: Vec<Decision>, source: Source) -> Admission {
    if is_denied(charges, &decisions) {
        Admission::Denied { decisions, source }
    } else {
        Admission::Admitted { decisions, source }
    }
}
