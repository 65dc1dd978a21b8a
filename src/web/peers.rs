//! How many connections each peer has: one alone cannot take all of a listener's.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// Connections by peer.
#[derive(Debug, Clone, Default)]
pub(super) struct Peers {
    connections: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One connection of a peer, until it is dropped.
#[derive(Debug)]
pub(super) struct OfPeer {
    peers: Peers,
    peer: IpAddr,
}

impl Peers {
    /// One more of this peer, unless it has `most` already.
    pub(super) fn admit(&self, peer: IpAddr, most: usize) -> Option<OfPeer> {
        let peer = whose(peer);
        let mut connections = self.connections.lock();
        let count = connections.get(&peer).copied().unwrap_or(0);
        if count >= most {
            return None;
        }
        connections.insert(peer, count + 1);
        Some(OfPeer { peers: self.clone(), peer })
    }
}

impl Drop for OfPeer {
    fn drop(&mut self) {
        let mut connections = self.peers.connections.lock();
        match connections.get_mut(&self.peer) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                connections.remove(&self.peer);
            }
        }
    }
}

/// IPv4 as it is; IPv6 by its /64, since one customer has at least that many addresses.
fn whose(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn one_peer_has_so_many_connections_and_leaves_the_rest_to_others() {
        let peers = Peers::default();
        let held = [peers.admit(ip("192.0.2.1"), 2), peers.admit(ip("::ffff:192.0.2.1"), 2)];
        assert!(held.iter().all(Option::is_some));
        assert!(peers.admit(ip("192.0.2.1"), 2).is_none());
        assert!(peers.admit(ip("192.0.2.2"), 2).is_some());
        let [first, _second] = held;
        drop(first);
        assert!(peers.admit(ip("192.0.2.1"), 2).is_some());
    }

    #[test]
    fn a_network_of_ipv6_is_one_peer_and_who_is_gone_is_forgotten() {
        let peers = Peers::default();
        let held = peers.admit(ip("2001:db8:0:1::7"), 1);
        assert!(held.is_some() && peers.admit(ip("2001:db8:0:1::8"), 1).is_none());
        assert!(peers.admit(ip("2001:db8:0:2::7"), 1).is_some());
        drop(held);
        assert!(peers.connections.lock().is_empty());
    }
}
