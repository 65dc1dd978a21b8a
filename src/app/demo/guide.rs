//! What the demo prints: addresses, tokens and requests to paste, or the same facts as one JSON object.

use std::net::SocketAddr;

use serde_json::json;

use super::token::{self, Person};
use crate::base::Secret;

const GUIDE: &str = include_str!("guide.txt");
const CONFIG: &str = include_str!("demo.yaml");

const ADA: Person = Person { user: "ada", tenant: "acme", role: "admin" };
const BOB: Person = Person { user: "bob", tenant: "acme", role: "member" };
const CLEO: Person = Person { user: "cleo", tenant: "globex", role: "admin" };

/// Where the demo's configuration has to be filled in.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// The proxy's listener; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The admin listener; port 0 picks a free one.
    pub admin: SocketAddr,
    /// The sample backend.
    pub backend: SocketAddr,
    /// The key that tokens are verified with.
    pub secret: &'a Secret,
}

/// The demo's configuration as text.
#[must_use]
pub fn configuration(places: Places<'_>) -> String {
    CONFIG
        .replace("@listen@", &places.listen.to_string())
        .replace("@admin@", &places.admin.to_string())
        .replace("@backend@", &places.backend.to_string())
        .replace("@secret@", places.secret.expose())
}

/// Tokens of everybody in the demo.
#[derive(Debug, Clone)]
pub struct Tokens {
    ada: String,
    bob: String,
    cleo: String,
    forged: String,
}

impl Tokens {
    /// Signs all with `secret`, but for the forged one. `now_s` is Unix time in seconds.
    #[must_use]
    pub fn issue(secret: &Secret, now_s: u64) -> Self {
        Self {
            ada: token::sign(ADA, secret, now_s),
            bob: token::sign(BOB, secret, now_s),
            cleo: token::sign(CLEO, secret, now_s),
            forged: token::sign(ADA, &token::random_secret(), now_s),
        }
    }
}

/// Where things are once they run.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// The proxy.
    pub http: SocketAddr,
    /// The admin listener.
    pub admin: SocketAddr,
    /// The sample backend.
    pub backend: SocketAddr,
}

/// Text for people: what to paste and what to see.
#[must_use]
pub fn text(at: Addresses, tokens: &Tokens) -> String {
    GUIDE
        .replace("@http@", &url(at.http))
        .replace("@admin@", &url(at.admin))
        .replace("@backend@", &url(at.backend))
        .replace("@ada@", &tokens.ada)
        .replace("@bob@", &tokens.bob)
        .replace("@cleo@", &tokens.cleo)
        .replace("@forged@", &tokens.forged)
}

/// The same for programs: one JSON object on one line.
#[must_use]
pub fn json(at: Addresses, tokens: &Tokens) -> String {
    let facts = json!({
        "http": url(at.http),
        "admin": url(at.admin),
        "backend": url(at.backend),
        "tokens": {
            "ada": tokens.ada,
            "bob": tokens.bob,
            "cleo": tokens.cleo,
            "forged": tokens.forged,
        },
    });
    format!("{facts}\n")
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn every_place_is_filled_in() {
        let secret = token::random_secret();
        let places = Places { listen: at(0), admin: at(0), backend: at(3), secret: &secret };
        let tokens = Tokens::issue(&secret, 1_800_000_000);
        let addresses = Addresses { http: at(1), admin: at(2), backend: at(3) };
        for filled in [configuration(places), text(addresses, &tokens)] {
            let left = filled.lines().find(|line| line.contains('@') && !line.starts_with('#'));
            assert_eq!(left, None);
        }
    }

    #[test]
    fn programs_get_one_line_of_json() {
        let tokens = Tokens::issue(&token::random_secret(), 1_800_000_000);
        let line = json(Addresses { http: at(1), admin: at(2), backend: at(3) }, &tokens);
        let facts: serde_json::Value = serde_json::from_str(&line).expect("is JSON");
        assert_eq!((line.lines().count(), &facts["http"]), (1, &json!("http://127.0.0.1:1")));
        assert_ne!(facts["tokens"]["ada"], facts["tokens"]["forged"]);
    }
}
