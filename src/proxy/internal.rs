//! The door through which this process asks itself: a listener on loopback that answers requests of ours alone.
//!
//! A request of ours carries a secret that is drawn at the start and told to nobody. The field is taken away before anything
//! else looks at the request, wherever it came from, so that no backend learns it; from any other listener it means nothing.

use crate::base::{Digest, Digester};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::net::SocketAddr;

/// Carries the secret, the scheme to key by and the errand.
pub(super) const FIELD: HeaderName = HeaderName::from_static("tidegate-internal");

/// What a request of ours is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Errand {
    /// To have an answer stored that is fresh for long enough.
    Warm,
    /// To have an answer stored that is newer than the request.
    Refresh,
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Arrival {
    /// From a client.
    #[default]
    Client,
    /// Through the internal listener, and not from us.
    Stray,
    /// From us.
    Ours {
        /// What it is for.
        errand: Errand,
        /// The scheme to key by.
        scheme: &'static str,
    },
}

/// What the field says to those who know the secret.
#[derive(Clone)]
pub(super) struct Key {
    secret: String,
    digest: Digest,
}

impl Key {
    /// A new one.
    #[must_use]
    pub(super) fn draw() -> Self {
        let secret = format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
        let digest = digest(secret.as_bytes());
        Self { secret, digest }
    }

    /// The field's value.
    #[must_use]
    pub(super) fn field(&self, scheme: &str, errand: Errand) -> Option<HeaderValue> {
        let errand = match errand {
            Errand::Warm => "warm",
            Errand::Refresh => "refresh",
        };
        let mut value = HeaderValue::try_from(format!("{} {scheme} {errand}", self.secret)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// The listener and its key.
#[derive(Clone)]
pub(super) struct Door {
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// What opens it.
    pub(super) key: Key,
}

impl Door {
    /// Where a request comes from that arrived at the listener `at`.
    #[must_use]
    pub(super) fn arrival(&self, at: Option<SocketAddr>, headers: &HeaderMap) -> Arrival {
        if at != Some(self.address) {
            return Arrival::Client;
        }
        self.read(headers).unwrap_or(Arrival::Stray)
    }

    fn read(&self, headers: &HeaderMap) -> Option<Arrival> {
        let mut lines = headers.get_all(FIELD).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else { return None };
        let mut words = line.to_str().ok()?.split(' ');
        // Digests are compared: where they differ first tells nothing of how much of a guess is right.
        let is_ours = digest(words.next()?.as_bytes()) == self.key.digest;
        let scheme = ["http", "https"].into_iter().find(|scheme| words.clone().next() == Some(scheme))?;
        let errand = match words.nth(1)? {
            "warm" => Errand::Warm,
            "refresh" => Errand::Refresh,
            _ => return None,
        };
        is_ours.then_some(Arrival::Ours { errand, scheme })
    }
}

fn digest(secret: &[u8]) -> Digest {
    Digester::new("tidegate internal request 1").part(secret).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(values: &[HeaderValue]) -> HeaderMap {
        values.iter().map(|value| (FIELD, value.clone())).collect()
    }

    #[test]
    fn only_the_secret_at_the_internal_listener_makes_a_request_ours() {
        let at = |port| Some(SocketAddr::from(([127, 0, 0, 1], port)));
        let door = Door { address: SocketAddr::from(([127, 0, 0, 1], 7)), key: Key::draw() };
        let value = door.key.field("https", Errand::Refresh).expect("a value");
        let ours = Arrival::Ours { errand: Errand::Refresh, scheme: "https" };
        assert_eq!(door.arrival(at(7), &with(std::slice::from_ref(&value))), ours);
        assert_eq!(door.arrival(at(8), &with(std::slice::from_ref(&value))), Arrival::Client);
        assert_eq!(door.arrival(None, &with(std::slice::from_ref(&value))), Arrival::Client);
        let foreign = Key::draw().field("https", Errand::Refresh).expect("a value");
        let half =
            HeaderValue::try_from(door.key.secret.chars().take(32).collect::<String>()).expect("a value");
        let bare = HeaderValue::try_from(&door.key.secret).expect("a value");
        let odd = HeaderValue::try_from(format!("{} ftp warm", door.key.secret)).expect("a value");
        for fields in [vec![], vec![foreign], vec![half], vec![bare], vec![odd], vec![value.clone(), value]] {
            assert_eq!(door.arrival(at(7), &with(&fields)), Arrival::Stray, "{}", fields.len());
        }
    }
}
