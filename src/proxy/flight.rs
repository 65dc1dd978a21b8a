//! One request's part in single flight: shared by the key that pingora carries and the request's context, because the
//! flight begins in the look-up and ends wherever its answer is known.

use crate::store::{Flight, Written};
use parking_lot::Mutex;
use std::sync::Arc;

/// One request's part. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Part(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// The guard, until the answer is known.
    flight: Option<Flight>,
    /// Does it ask the origin, for itself or for others?
    asks: bool,
    /// Did it wait for another's answer and got it?
    is_collapsed: bool,
    /// Does somebody else refresh what it would?
    is_elsewhere: bool,
    /// The store, when it was asked.
    store: Store,
}

#[derive(Default, PartialEq, Eq)]
enum Store {
    #[default]
    Answers,
    Away,
}

impl Part {
    /// It asks the origin; with a guard where others may wait for it.
    pub(super) fn ask(&self, flight: Option<Flight>) {
        let mut state = self.0.lock();
        state.asks = true;
        state.flight = flight;
    }

    /// It asks in the background: pingora has a lock of its own around that.
    pub(super) fn refresh(&self, flight: Flight) {
        self.0.lock().flight = Some(flight);
    }

    /// It was answered by what another request stored.
    pub(super) fn collapse(&self) {
        self.0.lock().is_collapsed = true;
    }

    /// Another instance refreshes already.
    pub(super) fn leave_to_others(&self) {
        self.0.lock().is_elsewhere = true;
    }

    /// The store did not answer, and this process had nothing either.
    pub(super) fn store_away(&self) {
        self.0.lock().store = Store::Away;
    }

    /// Did the store not answer?
    pub(super) fn is_store_away(&self) -> bool {
        self.0.lock().store == Store::Away
    }

    /// Does it ask the origin, by our decision?
    pub(super) fn asks(&self) -> bool {
        self.0.lock().asks
    }

    /// Was it answered by what another request stored?
    pub(super) fn is_collapsed(&self) -> bool {
        self.0.lock().is_collapsed
    }

    /// Does another instance refresh already?
    pub(super) fn is_elsewhere(&self) -> bool {
        self.0.lock().is_elsewhere
    }

    /// The answer is in memory and will be in Redis.
    pub(super) fn stored(&self, written: Written) {
        if let Some(flight) = self.take() {
            flight.stored(written);
        }
    }

    /// The answer will not be stored. That of an error says nothing of the next one.
    pub(super) fn not_storable(&self, status: u16) {
        match self.take() {
            Some(flight) if status >= 500 => flight.unstored(),
            Some(flight) => flight.uncacheable(),
            None => {}
        }
    }

    /// There is no answer, or not the whole of it.
    pub(super) fn failed(&self) {
        drop(self.take());
    }

    fn take(&self) -> Option<Flight> {
        self.0.lock().flight.take()
    }
}
