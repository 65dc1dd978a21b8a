//! How many connections there are, in all and from each address.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts live connections, in all and by address.
#[derive(Debug, Default)]
pub struct Connections {
    total: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

impl Connections {
    /// How many connections are open.
    #[must_use]
    pub fn live(&self) -> usize {
        self.total.load(Ordering::SeqCst)
    }

    /// Takes a place among at most `most`, or says no.
    pub(super) fn enter(self: &Arc<Self>, most: usize) -> Option<Place> {
        let place = Place { connections: Arc::clone(self), address: None };
        let before = self.total.fetch_add(1, Ordering::SeqCst);
        // Dropping `place` gives the count back.
        (before < most).then_some(place)
    }
}

/// One counted connection; dropping it frees the place.
#[derive(Debug)]
pub(super) struct Place {
    connections: Arc<Connections>,
    address: Option<IpAddr>,
}

impl Place {
    /// Counts it among those of `address` too, of which there may be `most`. Is there room?
    #[must_use]
    pub(super) fn claim(&mut self, address: IpAddr, most: usize) -> bool {
        self.leave();
        self.address = Some(address);
        let mut by_address = self.connections.by_address.lock();
        let count = by_address.entry(address).or_insert(0);
        *count = count.saturating_add(1);
        *count <= most
    }

    fn leave(&mut self) {
        let Some(address) = self.address.take() else { return };
        let mut by_address = self.connections.by_address.lock();
        let left = by_address.get(&address).copied().unwrap_or(0).saturating_sub(1);
        if left == 0 {
            by_address.remove(&address);
        } else {
            by_address.insert(address, left);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.total.fetch_sub(1, Ordering::SeqCst);
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_given_back() {
        let connections = Arc::new(Connections::default());
        let address = IpAddr::from([127, 0, 0, 1]);
        let mut first = connections.enter(2).expect("free");
        assert!(first.claim(address, 1));
        let mut second = connections.enter(2).expect("free");
        assert!(!second.claim(address, 1), "one per address");
        assert!(connections.enter(2).is_none(), "two in all");
        drop((first, second));
        assert_eq!(connections.live(), 0);
        assert!(connections.by_address.lock().is_empty());
        assert!(connections.enter(2).expect("free").claim(address, 1));
    }
}
