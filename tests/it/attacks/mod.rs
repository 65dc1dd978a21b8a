//! Attacks on a shared cache and on its tenants, byte by byte: what one client sends never shows in what another gets.
//!
//! Each test names its cases, c1–c62 and t1–t12; `docs/caching.md` ("Attacks and where they are tested") lists them.
//! Attacker, victim and backend speak through raw sockets, because ordinary clients refuse to send half of this.

mod commands;
mod credentials;
mod deception;
mod framing;
mod keys;
mod stored;
mod tenants;
mod unkeyed;
mod variants;

use crate::support::tokens::HS256;
use crate::support::{Answer, Gate, Origin, Reply, Seen, Setup, Wire, eventually, token};

/// A way to set up a cached route, and with it a host name.
#[derive(Clone, Copy)]
struct Profile {
    host: &'static str,
    /// Are its clients members of one tenant, rather than anybody?
    has_tenant: bool,
}

/// The defaults, for everybody.
const PUBLIC: Profile = Profile { host: "public.test", has_tenant: false };
/// The defaults.
const TENANT: Profile = Profile { host: "tenant.test", has_tenant: true };
/// Everything that an operator may loosen, for everybody.
const LOOSE: Profile = Profile { host: "loose.test", has_tenant: false };
/// The same by tenant.
const LOOSE_TENANT: Profile = Profile { host: "loose-tenant.test", has_tenant: true };

const DEFAULTS: [Profile; 2] = [PUBLIC, TENANT];
const ALL: [Profile; 4] = [PUBLIC, TENANT, LOOSE, LOOSE_TENANT];

/// A route of each profile; any other host is one of [`PUBLIC`].
const SECTIONS: &str = "cache:
  namespaces:
    public: {scope: public}
    tenant: {}
    loose: {scope: public, ttl: 1h, mode: override, stale_while_revalidate: 1h, stale_if_error: 1d,
      negative_ttl: 6m, cookies: ignore, set_cookie: store, error_statuses: true, heuristic: true,
      client_directives: obey, client_max_age: 1h}
    loose_tenant: {ttl: 1h, mode: override, stale_while_revalidate: 1h, stale_if_error: 1d,
      negative_ttl: 6m, cookies: ignore, set_cookie: store, error_statuses: true, heuristic: true,
      client_directives: obey, client_max_age: 1h}
routes:
  - {path: /, cache: public}
  - {path: /, host: tenant.test, cache: tenant}
  - {path: /, host: loose.test, cache: loose}
  - {path: /, host: loose-tenant.test, cache: loose_tenant}";

/// A backend under the test's script and the gate in front of it.
struct Arena {
    origin: Origin,
    gate: Gate,
}

impl Arena {
    /// With a route of each profile.
    async fn start(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::with(SECTIONS, script).await
    }

    /// With these sections.
    async fn with(sections: &str, script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::of(|setup| setup.with(HS256).with(sections), script).await
    }

    /// With this set-up.
    async fn of(
        change: impl FnOnce(Setup) -> Setup,
        script: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let origin = Origin::start(script).await;
        let gate = Gate::start(&change(Setup::new(origin.address()))).await;
        Self { origin, gate }
    }

    /// Waits until Redis answers for counts and for stored responses alike.
    async fn connected(&self) {
        eventually("it is connected", async || {
            let counts = self.gate.metric("tidegate_store_up", &[("store", "redis")]).await;
            let responses = self.gate.metric("tidegate_store_up", &[("store", "redis_cache")]).await;
            counts > 0.0 && responses > 0.0
        })
        .await;
    }

    /// Purges through the admin listener, on all instances.
    async fn purge(&self, body: &str) {
        let length = body.len();
        let head =
            format!("POST /api/v1/cache/purge HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}");
        let bytes = format!("{head}\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{body}");
        let answer = Wire::exchange(self.gate.admin, bytes).await.expect("an answer");
        assert_eq!((answer.status, answer.json()["applied"].as_str()), (200, Some("fleet")), "{answer:?}");
    }

    /// These bytes on a connection of their own. `None`: closed without an answer.
    async fn raw(&self, bytes: impl AsRef<[u8]>) -> Option<Answer> {
        Wire::exchange(self.gate.http, bytes).await
    }

    /// A client of this profile asks for `target`; `fields` are whole lines without their end.
    async fn get(&self, profile: Profile, target: &str, fields: &[&str]) -> Answer {
        self.raw(request(profile, target, fields)).await.expect("an answer")
    }
}

/// The bytes of a GET by an ordinary client of this profile.
fn request(profile: Profile, target: &str, fields: &[&str]) -> String {
    let bearer = if profile.has_tenant { bearer("ada", "acme") } else { String::new() };
    let own = Some(bearer.as_str()).filter(|line| !line.is_empty());
    let lines = own.into_iter().chain(fields.iter().copied());
    let lines: String = lines.flat_map(|line| [line, "\r\n"]).collect();
    format!("GET {target} HTTP/1.1\r\nHost: {}\r\n{lines}\r\n", profile.host)
}

/// The field with the token of a user.
fn bearer(user: &str, tenant: &str) -> String {
    format!("Authorization: Bearer {}", token(user, tenant))
}

/// A backend that repeats the head that it got, and says that everybody may have it.
fn reflect(seen: &Seen) -> Reply {
    Reply::ok(&seen.head).header("Cache-Control", "public, max-age=60")
}
