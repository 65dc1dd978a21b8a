//! The limiter that the proxy asks: one store, and what happens when it does not answer.

use crate::limit::{Charge, Decision, LimitKey, Mode, OnStoreFailure};
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
        /// One decision a charge.
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
            return verdict(charges, self.local.decide(charges), Source::Store);
        };
        match redis.decide(charges, Operation::Consume).await {
            Ok(decisions) => {
                let admission = verdict(charges, decisions, Source::Store);
                if matches!(admission, Admission::Admitted { .. }) {
                    self.local.force(charges);
                }
                admission
            }
            Err(failure) => {
                tracing::debug!(%failure, "limit decided without the store");
                self.without_store(charges)
            }
        }
    }

    /// One `deny` refuses; otherwise the `local` ones decide and the `allow` ones are skipped.
    fn without_store(&self, charges: &[Charge]) -> Admission {
        let says = |charge: &Charge, rule: OnStoreFailure| charge.policy.on_store_failure == rule;
        let enforced = |charge: &&Charge| charge.policy.mode == Mode::Enforce;
        if let Some(charge) = charges.iter().filter(enforced).find(|c| says(c, OnStoreFailure::Deny)) {
            return Admission::Unavailable { policy: Arc::clone(&charge.policy.name) };
        }
        if charges.iter().any(|charge| says(charge, OnStoreFailure::Allow)) {
            let local: Vec<Charge> =
                charges.iter().filter(|charge| says(charge, OnStoreFailure::Local)).cloned().collect();
            let decisions = self.local.decide(&local);
            return match verdict(&local, decisions, Source::Local) {
                Admission::Denied { decisions, source } => {
                    Admission::Denied { decisions: spread(charges, &local, decisions), source }
                }
                _ => Admission::Degraded,
            };
        }
        verdict(charges, self.local.decide(charges), Source::Local)
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

    /// Gives back what `charge` consumed at `stamp_ms`.
    ///
    /// # Errors
    /// [`StoreFailure`] when the store does not answer.
    pub async fn refund(&self, charge: &Charge, stamp_ms: u64) -> Result<(), StoreFailure> {
        match &self.store {
            LimitStore::Memory => self.local.refund(charge, stamp_ms),
            LimitStore::Redis(redis) => {
                let refund = Operation::Refund { stamp_ms };
                drop(redis.decide(std::slice::from_ref(charge), refund).await?);
            }
        }
        Ok(())
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

fn verdict(charges: &[Charge], decisions: Vec<Decision>, source: Source) -> Admission {
    let is_denied = charges
        .iter()
        .zip(&decisions)
        .any(|(charge, decision)| !decision.admitted && charge.policy.mode == Mode::Enforce);
    if is_denied {
        Admission::Denied { decisions, source }
    } else {
        Admission::Admitted { decisions, source }
    }
}

/// Puts decisions on some charges beside all charges; those that were not asked refuse nothing and show nothing.
fn spread(charges: &[Charge], asked: &[Charge], decisions: Vec<Decision>) -> Vec<Decision> {
    let mut decisions = asked.iter().zip(decisions);
    let mut next = decisions.next();
    let unasked = || Decision { admitted: true, retry_ms: Some(0), stamp_ms: 0, windows: Vec::new() };
    charges
        .iter()
        .map(|charge| match next.take() {
            Some((of, decision)) if of.key == charge.key => {
                next = decisions.next();
                decision
            }
            other => {
                next = other;
                unasked()
            }
        })
        .collect()
}
