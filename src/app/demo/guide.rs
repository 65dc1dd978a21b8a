//! What the demo prints: addresses, tokens and requests to paste, or the same facts as one JSON object.

use std::net::SocketAddr;

use serde_json::json;

use super::token::{self, Person};
use crate::base::Secret;

const GUIDE: &str = include_str!("guide.txt");
const DASHBOARD: &str = include_str!("dashboard.txt");
const CONFIG: &str = include_str!("demo.yaml");

/// What the organisations are called where there is no dashboard that knows them.
pub const TENANTS: [&str; 2] = ["acme", "globex"];

/// Where the demo's configuration has to be filled in.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// The proxy's listener; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The admin listener; port 0 picks a free one.
    pub admin: SocketAddr,
    /// The sample backend.
    pub backend: SocketAddr,
    /// The companion; the backend where there is none.
    pub dashboard: SocketAddr,
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
        .replace("@dashboard@", &places.dashboard.to_string())
        .replace("@secret@", places.secret.expose())
}

/// Tokens of everybody in the demo.
#[derive(Debug, Clone)]
pub struct Tokens {
    tenant: String,
    ada: String,
    bob: String,
    cleo: String,
    forged: String,
}

impl Tokens {
    /// Signs all with `secret`, but for the forged one. `now_s` is Unix time in seconds. Ada and Bob belong to the first of
    /// `tenants`, Cleo to the second.
    #[must_use]
    pub fn issue(secret: &Secret, tenants: [&str; 2], now_s: u64) -> Self {
        let [first, second] = tenants;
        let ada = Person { user: "ada", tenant: first, role: "admin" };
        let bob = Person { user: "bob", tenant: first, role: "member" };
        let cleo = Person { user: "cleo", tenant: second, role: "admin" };
        Self {
            tenant: first.to_owned(),
            ada: token::sign(ada, secret, now_s),
            bob: token::sign(bob, secret, now_s),
            cleo: token::sign(cleo, secret, now_s),
            forged: token::sign(ada, &token::random_secret(), now_s),
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
    /// Is there a dashboard?
    pub has_dashboard: bool,
}

/// Text for people: what to paste and what to see.
#[must_use]
pub fn text(at: Addresses, tokens: &Tokens) -> String {
    let dashboard = if at.has_dashboard { DASHBOARD } else { "" };
    GUIDE
        .replace("@of the dashboard@\n", dashboard)
        .replace("@http@", &url(at.http))
        .replace("@admin@", &url(at.admin))
        .replace("@backend@", &url(at.backend))
        .replace("@tenant@", &tokens.tenant)
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
        "dashboard": at.has_dashboard.then(|| format!("{}/dashboard/", url(at.http))),
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
    use crate::app::origin::Origin;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn every_place_is_filled_in() {
        let secret = token::random_secret();
        let places =
            Places { listen: at(0), admin: at(0), backend: at(3), dashboard: at(4), secret: &secret };
        let tokens = Tokens::issue(&secret, TENANTS, 1_800_000_000);
        let addresses = Addresses { http: at(1), admin: at(2), backend: at(3), has_dashboard: true };
        for filled in [configuration(places), text(addresses, &tokens)] {
            let left = filled.lines().find(|line| line.contains('@') && !line.starts_with('#'));
            assert_eq!(left, None);
        }
    }

    #[test]
    fn the_demo_believes_its_own_tokens_and_no_forged_one() {
        let secret = token::random_secret();
        let places =
            Places { listen: at(0), admin: at(0), backend: at(3), dashboard: at(4), secret: &secret };
        let loaded = Origin::text("demo.yaml", configuration(places)).load(1).expect("is valid");
        assert_eq!(loaded.warnings, Vec::<String>::new());
        let (tokens, now_s) = (Tokens::issue(&secret, TENANTS, 1_800_000_000), 1_800_000_001);
        let verified = |token| loaded.snapshot.identifier.verify(token, now_s);
        let cleo = verified(&tokens.cleo).expect("is signed by us");
        assert_eq!((cleo.user.as_deref(), cleo.tenant.as_deref()), (Some("cleo"), Some("globex")));
        assert!(verified(&tokens.ada).is_ok() && verified(&tokens.bob).is_ok());
        assert!(verified(&tokens.forged).is_err());
        let later_s = now_s + token::LIFETIME_S + 3_600;
        assert!(loaded.snapshot.identifier.verify(&tokens.ada, later_s).is_err(), "it ends");
    }

    #[test]
    fn programs_get_one_line_of_json() {
        let tokens = Tokens::issue(&token::random_secret(), TENANTS, 1_800_000_000);
        let line =
            json(Addresses { http: at(1), admin: at(2), backend: at(3), has_dashboard: true }, &tokens);
        let facts: serde_json::Value = serde_json::from_str(&line).expect("is JSON");
        assert_eq!((line.lines().count(), &facts["http"]), (1, &json!("http://127.0.0.1:1")));
        assert_ne!(facts["tokens"]["ada"], facts["tokens"]["forged"]);
    }
}
