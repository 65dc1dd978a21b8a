//! The limiter that the proxy asks: remembered denials, then the store, then what happens when it does not answer.

use crate::base::{Clock, Digest, StoreSettings};
use crate::limit::{Charge, Decision, LimitKey, is_denied};
use crate::store::StoreFailure;
use crate::store::denials::RememberedDenials;
use crate::store::fallback::{Fallback, Verdict};
use crate::store::memory_limits::MemoryLimits;
use crate::store::parts::{self, Part};
use crate::store::redis::limits::Operation;
use crate::store::redis::{RedisLimits, Roll};
use crate::telemetry::{Reading, StoreName};
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
    /// This instance, from a denial of the store that still holds.
    Remembered,
    /// This instance alone, wholly or in part, because the store is away.
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
        /// One decision a charge; at least one enforced one is not admitted. [`Decision::unasked`] where another had
        /// denied before.
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
    fallback: Fallback,
    denials: RememberedDenials,
    /// The instances that share the store.
    roll: Option<Roll>,
}

impl Limiter {
    /// A limiter over `store`.
    #[must_use]
    pub fn new(
        store: LimitStore,
        local: MemoryLimits,
        clock: &Arc<dyn Clock>,
        settings: &StoreSettings,
    ) -> Self {
        let (entries, life) = (settings.deny_cache_entries, settings.deny_cache_life);
        Self {
            store,
            fallback: Fallback::new(local, Arc::clone(clock)),
            denials: RememberedDenials::new(Arc::clone(clock), entries, life),
            roll: None,
        }
    }

    /// The same, knowing how many instances share the store: without it each goes on alone with its part of a limit.
    #[must_use]
    pub fn with_roll(self, roll: Option<Roll>) -> Self {
        Self { roll, ..self }
    }

    /// Decides all charges of a request together. Never fails and never waits longer than the store's time-out for each
    /// identity among them.
    ///
    /// Cancel safety: dropping the future may leave charges consumed; where a Cluster keeps them in several places, some.
    pub async fn admit(&self, charges: &[Charge]) -> Admission {
        let LimitStore::Redis(redis) = &self.store else {
            return admission(charges, self.fallback.local().decide(charges), Source::Store);
        };
        if charges.is_empty() {
            return admission(charges, Vec::new(), Source::Store);
        }
        if let Some(denied) = self.remembered(charges) {
            return denied;
        }
        if redis.is_cluster() && !parts::is_one_identity(charges) {
            // Boxed: every decision would carry the space for what only a Cluster does.
            return Box::pin(self.admit_in_parts(redis, charges)).await;
        }
        match self.decide(redis, charges).await {
            Ok((decisions, source)) => {
                if source == Source::Store && !is_denied(charges, &decisions) {
                    self.fallback.learn(charges, &decisions);
                }
                admission(charges, decisions, source)
            }
            Err(policy) => Admission::Unavailable { policy },
        }
    }

    /// The denial of these charges, if one of the shared store still holds: then it need not be asked.
    #[must_use]
    pub fn remembered(&self, charges: &[Charge]) -> Option<Admission> {
        // Nothing is ever noted about a store of this process: it is as quick to ask.
        let decisions = self.denials.find(charges)?;
        Some(Admission::Denied { decisions, source: Source::Remembered })
    }

    /// One call for each identity; a later denial gives back what earlier ones consumed.
    async fn admit_in_parts(&self, redis: &RedisLimits, charges: &[Charge]) -> Admission {
        let mut done: Vec<Part> = Vec::new();
        for places in parts::by_identity(charges) {
            let of_part = parts::select(charges, &places);
            match self.decide(redis, &of_part).await {
                Ok((decisions, source)) => {
                    let is_denied = is_denied(&of_part, &decisions);
                    if is_denied {
                        self.undo(redis, &done).await;
                    }
                    done.push(Part { places, charges: of_part, decisions, source });
                    if is_denied {
                        break;
                    }
                }
                Err(policy) => {
                    self.undo(redis, &done).await;
                    return Admission::Unavailable { policy };
                }
            }
        }
        let is_local = done.iter().any(|part| part.source == Source::Local);
        if !done.iter().any(|part| is_denied(&part.charges, &part.decisions)) {
            for part in done.iter().filter(|part| part.source == Source::Store) {
                self.fallback.learn(&part.charges, &part.decisions);
            }
        }
        let parts = done.into_iter().map(|part| (part.places, part.decisions));
        let decisions = parts::in_order(charges.len(), parts);
        admission(charges, decisions, if is_local { Source::Local } else { Source::Store })
    }

    /// Decides one part with the store or without it; `Err` names an enforced policy that then says `deny`.
    async fn decide(
        &self,
        redis: &RedisLimits,
        charges: &[Charge],
    ) -> Result<(Vec<Decision>, Source), Arc<str>> {
        let asked = self.denials.ask(charges);
        match redis.decide(charges, Operation::Consume).await {
            Ok(decisions) => {
                self.denials.note(charges, &decisions, &asked);
                Ok((decisions, Source::Store))
            }
            Err(failure) => {
                tracing::debug!(%failure, "limit decided without the store");
                match self.fallback.decide(charges, self.instances()) {
                    Verdict::Decided(decisions) => Ok((decisions, Source::Local)),
                    Verdict::Unavailable(policy) => Err(policy),
                }
            }
        }
    }

    /// Gives back what the parts before a denial consumed.
    async fn undo(&self, redis: &RedisLimits, done: &[Part]) {
        for part in done {
            for (charge, decision) in part.consumed() {
                if part.source == Source::Local {
                    self.fallback.give_back(charge);
                    self.fallback.forgive(charge);
                } else if let Err(failure) = redis.refund(charge, Some(decision.stamp_ms)).await {
                    let policy = &*charge.policy.name;
                    tracing::warn!(policy, %failure, "a refused request stays counted under this policy");
                } else {
                    self.forget_denials(&charge.key);
                }
            }
        }
    }

    /// Consumes whatever the limits say: what a request cost is known only after its answer. Gives where the log stands
    /// then, unless the store is away; then this instance remembers it and tells later.
    pub async fn charge_afterwards(&self, charge: &Charge) -> Option<Decision> {
        let LimitStore::Redis(redis) = &self.store else { return Some(self.fallback.local().force(charge)) };
        match redis.decide(std::slice::from_ref(charge), Operation::Force).await {
            Ok(decisions) => {
                self.fallback.learn(&[Charge { consumes: true, ..charge.clone() }], &decisions);
                decisions.into_iter().next()
            }
            Err(failure) => {
                tracing::debug!(%failure, "charged without the store");
                self.fallback.force(charge);
                None
            }
        }
    }

    /// Gives back what a request consumed: its answer is one that is not counted. A store that is away keeps the units.
    pub async fn give_back(&self, charge: &Charge, decision: &Decision, source: Source) {
        match &self.store {
            LimitStore::Memory => {
                self.fallback.local().refund(charge, Some(decision.stamp_ms));
            }
            LimitStore::Redis(redis) => {
                let is_store = source == Source::Store;
                let part = Part {
                    places: Vec::new(),
                    charges: vec![charge.clone()],
                    decisions: vec![decision.clone()],
                    source,
                };
                self.undo(redis, &[part]).await;
                if is_store {
                    self.fallback.give_back(charge);
                }
            }
        }
    }

    /// Where the charges stand, judged at their costs; nothing is consumed.
    ///
    /// # Errors
    /// [`StoreFailure`] when the store does not answer.
    pub async fn peek(&self, charges: &[Charge]) -> Result<Vec<Decision>, StoreFailure> {
        let looking: Vec<Charge> =
            charges.iter().cloned().map(|charge| Charge { consumes: false, ..charge }).collect();
        let LimitStore::Redis(redis) = &self.store else { return Ok(self.fallback.local().decide(&looking)) };
        if !redis.is_cluster() {
            return redis.decide(&looking, Operation::Consume).await;
        }
        let mut decided = Vec::new();
        for places in parts::by_identity(&looking) {
            let part = parts::select(&looking, &places);
            decided.push((places, redis.decide(&part, Operation::Consume).await?));
        }
        Ok(parts::in_order(looking.len(), decided))
    }

    /// Gives back up to `charge.cost` units: those of one stamp, or the newest. Returns how many there were.
    ///
    /// # Errors
    /// [`StoreFailure`] when the store does not answer.
    pub async fn refund(&self, charge: &Charge, stamp_ms: Option<u64>) -> Result<u32, StoreFailure> {
        let LimitStore::Redis(redis) = &self.store else {
            return Ok(self.fallback.local().refund(charge, stamp_ms));
        };
        let given = redis.refund(charge, stamp_ms).await?;
        self.forget_denials(&charge.key);
        self.fallback.give_back(&Charge { cost: given, ..charge.clone() });
        Ok(given)
    }

    /// Forgets a log, here and in the store.
    ///
    /// # Errors
    /// [`StoreFailure`] when the store does not answer.
    pub async fn reset(&self, key: &LimitKey) -> Result<(), StoreFailure> {
        self.fallback.reset(key);
        if let LimitStore::Redis(redis) = &self.store {
            redis.reset(key).await?;
        }
        self.forget_denials(key);
        Ok(())
    }

    /// Forgets every remembered denial: limits may have changed.
    pub fn forget_all_denials(&self) {
        self.denials.clear();
    }

    /// Another instance says that a log was reset or given units: `{digest}:{policy}`.
    pub fn hear_of_log(&self, name: &str) {
        match name.split_once(':').and_then(|(digest, policy)| Some((Digest::parse_short(digest)?, policy))) {
            Some((identity, policy)) => self.denials.forget(identity, policy),
            // A message that is not understood may be about anything.
            None => self.denials.clear(),
        }
    }

    /// Are resets and refunds of other instances heard from now on?
    pub fn hears_others(&self, is_so: bool) {
        self.denials.told(is_so);
    }

    /// Leaves the roll of instances, at the end of the process.
    pub async fn leave(&self) {
        let Some(roll) = &self.roll else { return };
        if let Err(failure) = roll.leave().await {
            tracing::debug!(%failure, "the others notice later that this instance is gone");
        }
    }

    fn forget_denials(&self, key: &LimitKey) {
        self.denials.forget(key.identity.head(), &key.policy);
    }

    /// How many instances share the store, as far as is known; at least 1.
    #[must_use]
    pub fn instances(&self) -> u32 {
        self.roll.as_ref().map_or(1, Roll::live)
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
        self.fallback.local()
    }

    /// How this instance stands to the others, for the gauges; `None` when its counts are its own.
    #[must_use]
    pub fn fleet(&self) -> Option<Reading> {
        matches!(self.store, LimitStore::Redis(_)).then(|| Reading::LimitFleet {
            instances: self.instances().into(),
            feed_up: self.denials.is_told(),
            denials: self.denials.len(),
            owed: self.fallback.owed(),
            owed_dropped: self.fallback.let_go(),
        })
    }

    /// Tells the store what was admitted without it, once it answers again; call it now and then.
    pub async fn repay(&self) {
        if let LimitStore::Redis(redis) = &self.store
            && self.fallback.is_in_debt()
            && redis.is_up()
        {
            self.fallback.repay(redis).await;
        }
    }
}

fn admission(charges: &[Charge], decisions: Vec<Decision>, source: Source) -> Admission {
    if is_denied(charges, &decisions) {
        Admission::Denied { decisions, source }
    } else if charges.is_empty() || decisions.iter().any(Decision::is_asked) {
        Admission::Admitted { decisions, source }
    } else {
        Admission::Degraded
    }
}
