//! What requests of one instance hold, by identity and policy. Pure: whoever owns it locks it.

use crate::limit::{LimitKey, Mode, Slot};
use crate::store::slots::{Lease, Place, Standing};
use std::collections::{HashMap, HashSet};

/// Leaving places that one request takes along at most: more are on their way by themselves.
const TAKEN_ALONG_MAX: usize = 16;

/// Places that are held, and those that Redis still believes to be. An entry exists only while it has one of either.
#[derive(Default)]
pub(super) struct Here(HashMap<LimitKey, Holding>);

/// The places of one identity under one policy.
#[derive(Default)]
struct Holding {
    /// Those in Redis.
    leases: HashSet<u128>,
    /// Those in this process only.
    unleased: u32,
    /// Free again, but Redis has not said yet that it knows. No more than were held when it stopped answering.
    leaving: HashSet<u128>,
}

impl Holding {
    fn count(&self) -> u32 {
        u32::try_from(self.leases.len()).unwrap_or(u32::MAX).saturating_add(self.unleased)
    }
}

impl Here {
    /// Places held.
    pub(super) fn count(&self, key: &LimitKey) -> u32 {
        self.0.get(key).map_or(0, Holding::count)
    }

    /// Is nothing held, and nothing leaving?
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first enforced slot of which this instance alone holds all places.
    pub(super) fn full<'s>(&self, slots: &'s [Slot]) -> Option<&'s Slot> {
        slots.iter().find(|slot| slot.policy.mode == Mode::Enforce && self.count(&slot.key) >= slot.limit)
    }

    /// A request begins to hold a place.
    pub(super) fn take(&mut self, place: &Place) {
        let Standing::Taken { .. } = place.standing else { return };
        let holding = self.0.entry(place.slot.key.clone()).or_default();
        match place.lease {
            Some(id) => drop(holding.leases.insert(id)),
            None => holding.unleased = holding.unleased.saturating_add(1),
        }
    }

    /// A request has ended: its place is free here, and leaves Redis.
    pub(super) fn free(&mut self, place: &Place) {
        let Standing::Taken { .. } = place.standing else { return };
        let Some(holding) = self.0.get_mut(&place.slot.key) else { return };
        match place.lease {
            Some(id) => {
                holding.leases.remove(&id);
                holding.leaving.insert(id);
            }
            None => holding.unleased = holding.unleased.saturating_sub(1),
        }
        self.tidy(&place.slot.key);
    }

    /// These were asked for in vain: if Redis has them, they leave.
    pub(super) fn leave(&mut self, leases: &[Lease]) {
        for lease in leases {
            self.0.entry(lease.key.clone()).or_default().leaving.insert(lease.id);
        }
    }

    /// Redis knows that these are free.
    pub(super) fn left(&mut self, leases: &[Lease]) {
        for lease in leases {
            if let Some(holding) = self.0.get_mut(&lease.key) {
                holding.leaving.remove(&lease.id);
            }
            self.tidy(&lease.key);
        }
    }

    /// Some of the places of `key` that are leaving.
    pub(super) fn leaving(&self, key: &LimitKey) -> Vec<u128> {
        let leaving = self.0.get(key).map(|holding| holding.leaving.iter().copied().take(TAKEN_ALONG_MAX));
        leaving.map(Iterator::collect).unwrap_or_default()
    }

    /// All places that are leaving, those of one key in a row.
    pub(super) fn all_leaving(&self) -> Vec<Lease> {
        let of = |(key, holding): (&LimitKey, &Holding)| -> Vec<Lease> {
            holding.leaving.iter().map(|id| Lease { key: key.clone(), id: *id }).collect()
        };
        self.0.iter().flat_map(of).collect()
    }

    /// All places in Redis, by key.
    pub(super) fn leases(&self) -> Vec<(LimitKey, Vec<u128>)> {
        let leased = self.0.iter().filter(|(_, holding)| !holding.leases.is_empty());
        leased.map(|(key, holding)| (key.clone(), holding.leases.iter().copied().collect())).collect()
    }

    fn tidy(&mut self, key: &LimitKey) {
        if self.0.get(key).is_some_and(|holding| holding.count() == 0 && holding.leaving.is_empty()) {
            self.0.remove(key);
        }
    }
}
