//! Requests under way: at most so many of one identity at once, in this process or, with Redis, in all instances
//! together.
//!
//! With Redis each place is a lease that this instance renews while the request lasts, so that the places of a dead
//! instance are free again when their leases end. What this instance holds is counted here as well: that is what it goes
//! on from when the store does not answer, and when it alone holds all places nobody has to be asked.
//!
//! Bounds: an entry exists only while a request holds a place, and requests are bounded by connections.

use crate::base::Tasks;
use crate::limit::{LimitKey, Mode, OnStoreFailure, Policy, Slot};
use crate::store::places::Here;
use crate::store::redis::RedisSlots;
use crate::store::redis::slots::LEASES_MAX;
use crate::store::{Source, StoreFailure};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;

/// How long a lease lasts unless it is renewed: the longest that a dead instance's places stay taken.
pub const LEASE: Duration = Duration::from_secs(30);

/// A lease is renewed so many times in its length: two calls may fail in a row.
const RENEWALS_PER_LEASE: u32 = 3;

/// Renewals under way at once.
const RENEWALS_AT_ONCE: usize = 64;

/// Hands out places.
pub struct Slots(Arc<Inner>);

struct Inner {
    here: Mutex<Here>,
    shared: Option<Shared>,
}

/// What is needed to hold places in Redis.
struct Shared {
    redis: RedisSlots,
    tasks: Tasks,
}

/// A place in Redis: a member of the set of `key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Whose place, under which policy.
    pub key: LimitKey,
    /// Random, so that no two places in the fleet are mistaken for each other.
    pub id: u128,
}

/// Why a request gets no place; it holds none then, under no policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlotRefusal {
    /// All places are taken.
    Full {
        /// The policy.
        policy: Arc<Policy>,
        /// How many places it gives the identity, in all instances together.
        limit: u32,
        /// Who decided.
        source: Source,
    },
    /// The store is away and this policy says `deny`.
    Unavailable {
        /// The policy.
        policy: Arc<Policy>,
    },
}

/// How a request stands under one policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It holds a place; so many are left, at the moment when it was taken.
    Taken {
        /// Places left; of this instance's share while the store is away.
        remaining: u32,
    },
    /// It holds none: a policy in shadow would have refused it.
    WouldRefuse,
    /// It holds none: the store is away and the policy does not count without it.
    Uncounted,
}

/// One slot of a request, and how it stands.
#[derive(Debug)]
pub struct Place {
    /// What was asked for.
    pub slot: Slot,
    /// What came of it.
    pub standing: Standing,
    /// The place in Redis, if it is held there.
    pub(super) lease: Option<u128>,
}

/// The places of one request. All are free again when this is dropped, be it after an answer, an error or a panic.
pub struct Held {
    inner: Arc<Inner>,
    places: Vec<Place>,
    /// What Redis was asked for and has not confirmed. A caller that is gone by then gives it back.
    asked: Vec<Lease>,
    source: Source,
}

impl Slots {
    /// Places of this process.
    #[must_use]
    pub fn memory() -> Self {
        Self(Arc::new(Inner { here: Mutex::default(), shared: None }))
    }

    /// Places of all instances that use the same Redis. Renews in `tasks`, until they are told to stop.
    #[must_use]
    pub fn shared(redis: RedisSlots, tasks: &Tasks) -> Self {
        let shared = Some(Shared { redis, tasks: tasks.clone() });
        let inner = Arc::new(Inner { here: Mutex::default(), shared });
        tasks.spawn_until_stop("lease renewal", Arc::clone(&inner).keep_renewing());
        Self(inner)
    }

    /// Takes a place for each slot: all or none. Never waits longer than the store's time-out for each identity among
    /// them, and no more once it was in vain. `share` is the number of live instances, 1 if that is not known: without the
    /// store each gives out its part of the places, rounded up.
    ///
    /// # Errors
    /// [`SlotRefusal`]; a policy in shadow never refuses, see [`Held::shadow_refused`].
    ///
    /// Cancel safety: dropping the future gives back what it has taken.
    pub async fn acquire(&self, slots: &[Slot], share: u32) -> Result<Held, SlotRefusal> {
        let (inner, places) = (Arc::clone(&self.0), Vec::with_capacity(slots.len()));
        let mut held = Held { inner, places, asked: Vec::new(), source: Source::Store };
        let Some(shared) = &self.0.shared else {
            held.take_here(slots, 1, |_| true)?;
            return Ok(held);
        };
        for group in slots.chunk_by(|left, right| left.key.identity == right.key.identity) {
            if held.source == Source::Store {
                match held.take_shared(&shared.redis, group).await {
                    Ok(refused) => {
                        refused?;
                        continue;
                    }
                    Err(failure) => tracing::debug!(%failure, "places given without the store"),
                }
            }
            held.take_without_store(group, share)?;
        }
        Ok(held)
    }

    /// Places that requests of this instance hold in `key` now.
    #[must_use]
    pub fn held(&self, key: &LimitKey) -> u32 {
        self.0.here.lock().count(key)
    }

    /// Is nothing held, and does Redis know?
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.0.here.lock().is_empty()
    }
}

impl Held {
    /// Every slot in the order in which it was asked for, and how it stands.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// Places left under each policy, in the same order; `None` where none is held.
    pub fn remaining(&self) -> impl Iterator<Item = Option<u32>> {
        self.places.iter().map(|place| match place.standing {
            Standing::Taken { remaining } => Some(remaining),
            Standing::WouldRefuse | Standing::Uncounted => None,
        })
    }

    /// Policies in shadow that would have refused.
    pub fn shadow_refused(&self) -> impl Iterator<Item = &Arc<Policy>> {
        let refused = |place: &&Place| place.standing == Standing::WouldRefuse;
        self.places.iter().filter(refused).map(|place| &place.slot.policy)
    }

    /// Who decided.
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// Does the request pass uncounted under some policy, because the store is away?
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.places.iter().any(|place| place.standing == Standing::Uncounted)
    }

    /// Takes places of this process in one critical section, where `is_counted`: each policy has its limit divided by
    /// `share`.
    fn take_here(
        &mut self,
        slots: &[Slot],
        share: u32,
        is_counted: impl Fn(&Slot) -> bool,
    ) -> Result<(), SlotRefusal> {
        let mut here = self.inner.here.lock();
        let before = self.places.len();
        for slot in slots {
            let left = slot.limit.div_ceil(share.max(1)).saturating_sub(here.count(&slot.key));
            let standing = match left.checked_sub(1) {
                _ if !is_counted(slot) => Standing::Uncounted,
                Some(remaining) => Standing::Taken { remaining },
                None if slot.policy.mode == Mode::Enforce => {
                    // Before anybody else looks: these places were never taken.
                    for place in self.places.drain(before..) {
                        here.free(&place);
                    }
                    return Err(full(slot, self.source));
                }
                None => Standing::WouldRefuse,
            };
            let place = Place { slot: slot.clone(), standing, lease: None };
            here.take(&place);
            self.places.push(place);
        }
        Ok(())
    }

    /// Takes places of all instances. The slots are of one identity.
    async fn take_shared(
        &mut self,
        redis: &RedisSlots,
        slots: &[Slot],
    ) -> Result<Result<(), SlotRefusal>, StoreFailure> {
        let leaving: Vec<Vec<u128>> = {
            let here = self.inner.here.lock();
            if let Some(slot) = here.full(slots) {
                return Ok(Err(full(slot, Source::Store)));
            }
            slots.iter().map(|slot| here.leaving(&slot.key)).collect()
        };
        let lease = |slot: &Slot| Lease { key: slot.key.clone(), id: rand::random() };
        self.asked = slots.iter().map(lease).collect();
        let answer = redis.acquire(slots, &self.asked, &leaving).await;
        let asked = std::mem::take(&mut self.asked);
        let left = match answer {
            Ok(left) => left,
            Err(failure) => {
                // It may still be executed, unless nothing was sent.
                if failure != StoreFailure::Away {
                    self.inner.here.lock().leave(&asked);
                    self.inner.give_back(asked);
                }
                return Err(failure);
            }
        };
        let is_refused =
            |(slot, left): &(&Slot, &Option<u32>)| left.is_none() && slot.policy.mode == Mode::Enforce;
        if let Some((slot, _)) = slots.iter().zip(&left).find(is_refused) {
            return Ok(Err(full(slot, Source::Store)));
        }
        let mut here = self.inner.here.lock();
        if let Some(slot) = here.full(slots) {
            // Redis has lost what this instance holds: it alone must not exceed the limit.
            here.leave(&asked);
            drop(here);
            self.inner.give_back(asked);
            return Ok(Err(full(slot, Source::Store)));
        }
        for ((slot, lease), left) in slots.iter().zip(asked).zip(left) {
            let standing = left.map_or(Standing::WouldRefuse, |remaining| Standing::Taken { remaining });
            let place = Place { slot: slot.clone(), standing, lease: left.map(|_| lease.id) };
            here.take(&place);
            self.places.push(place);
        }
        Ok(Ok(()))
    }

    /// An enforced policy with `deny` refuses; those with `local` are counted in this process, the others not at all.
    fn take_without_store(&mut self, slots: &[Slot], share: u32) -> Result<(), SlotRefusal> {
        self.source = Source::Local;
        let denies = |slot: &&Slot| {
            slot.policy.mode == Mode::Enforce && slot.policy.on_store_failure == OnStoreFailure::Deny
        };
        if let Some(slot) = slots.iter().find(denies) {
            return Err(SlotRefusal::Unavailable { policy: Arc::clone(&slot.policy) });
        }
        self.take_here(slots, share, |slot| slot.policy.on_store_failure == OnStoreFailure::Local)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut leases = std::mem::take(&mut self.asked);
        {
            let mut here = self.inner.here.lock();
            here.leave(&leases);
            for place in self.places.drain(..) {
                here.free(&place);
                leases.extend(place.lease.map(|id| Lease { key: place.slot.key, id }));
            }
        }
        self.inner.give_back(leases);
    }
}

fn full(slot: &Slot, source: Source) -> SlotRefusal {
    SlotRefusal::Full { policy: Arc::clone(&slot.policy), limit: slot.limit, source }
}

impl Inner {
    /// Frees places in Redis without keeping anybody waiting. They are noted in `here` as leaving until Redis says that
    /// they have left: a request that asks sooner takes them along, and what fails is tried again with the next renewal.
    fn give_back(self: &Arc<Self>, leases: Vec<Lease>) {
        // Outside of a runtime nothing can be sent: the process is ending.
        if leases.is_empty() || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let Some(Shared { redis, tasks }) = &self.shared else { return };
        let (inner, redis) = (Arc::clone(self), redis.clone());
        tasks.spawn("lease release", async move {
            let groups = leases.chunk_by(|left, right| left.key.identity == right.key.identity);
            for leases in groups.flat_map(|group| group.chunks(LEASES_MAX)) {
                match redis.give_back(leases).await {
                    Ok(_) => inner.here.lock().left(leases),
                    Err(failure) => tracing::debug!(%failure, "places are not given back yet"),
                }
            }
        });
    }

    async fn keep_renewing(self: Arc<Self>) {
        let Some(Shared { redis, tasks }) = &self.shared else { return };
        let every = redis.length().checked_div(RENEWALS_PER_LEASE).unwrap_or(redis.length());
        let mut turns = tokio::time::interval(every.max(Duration::from_millis(1)));
        turns.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let lanes = Arc::new(Semaphore::new(RENEWALS_AT_ONCE));
        loop {
            turns.tick().await;
            // Copies: the lock is not held while Redis is asked.
            let (leased, leaving) = {
                let here = self.here.lock();
                (here.leases(), here.all_leaving())
            };
            self.give_back(leaving);
            for (key, ids) in leased {
                let Ok(lane) = Arc::clone(&lanes).acquire_owned().await else { return };
                let redis = redis.clone();
                tasks.spawn("lease renewal", async move {
                    for ids in ids.chunks(LEASES_MAX) {
                        if let Err(failure) = redis.renew(&key, ids).await {
                            tracing::debug!(%failure, "leases are not renewed");
                        }
                    }
                    drop(lane);
                });
            }
        }
    }
}
