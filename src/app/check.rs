//! `tidegate check`: what a valid configuration will do, as tables or as JSON.

use serde_json::json;
use std::sync::Arc;

use crate::app::table::table;
use crate::base::units::format_duration;
use crate::cache::{Namespace, Scope, TtlMode};
use crate::config::{Certificate, Listen, Loaded, Route, Snapshot, Target};
use crate::limit::{Per, Policy, Windows};

/// Routes, policies and namespaces, a table each.
#[must_use]
pub fn summary(snapshot: &Snapshot) -> String {
    let routes: Vec<Vec<String>> =
        snapshot.routes.iter().map(|(_, route)| route_row(snapshot, route)).collect();
    let policies: Vec<Vec<String>> = snapshot.policies.iter().map(|policy| policy_row(policy)).collect();
    let spaces: Vec<Vec<String>> = snapshot.namespaces.iter().map(|space| namespace_row(space)).collect();
    let listeners: Vec<Vec<String>> = snapshot.server.listen.iter().flat_map(listener_rows).collect();
    let tables = [
        table(&["LISTENER", "CERTIFICATE FOR", "EXPIRES", "CLIENTS SHOW"], &listeners),
        table(&["ROUTE", "UPSTREAM", "LIMITS", "CACHE", "LINE"], &routes),
        table(&["POLICY", "COUNTS BY", "ADMITS", "MODE"], &policies),
        table(&["NAMESPACE", "SHARED BY", "FRESH FOR", "TAGS"], &spaces),
    ];
    let counts = [routes.len(), policies.len(), spaces.len()];
    let rows = [listeners.len()].into_iter().chain(counts);
    let filled = tables.into_iter().zip(rows).filter(|(_, rows)| *rows > 0);
    let tables = filled.map(|(table, _)| table).collect::<Vec<String>>().join("\n");
    let (upstreams, [routes, policies, spaces]) = (snapshot.upstreams.len(), counts);
    format!(
        "{tables}\nok: {upstreams} upstreams, {routes} routes, {policies} policies, {spaces} namespaces\n"
    )
}

/// The same for programs: the configuration as it works, secrets left out, with the warnings.
#[must_use]
pub fn summary_json(loaded: &Loaded) -> String {
    let facts = json!({"warnings": loaded.warnings, "config": crate::config::effective(&loaded.snapshot)});
    format!("{facts:#}\n")
}

/// A row for each certificate; none for a listener without TLS.
fn listener_rows(listen: &Listen) -> Vec<Vec<String>> {
    let Some(tls) = &listen.tls else { return Vec::new() };
    let clients = match &tls.client {
        None => "nothing".to_owned(),
        Some(client) => {
            let word = if client.is_required { "a certificate" } else { "a certificate, if they have one" };
            format!("{word} of {}", client.authority.display())
        }
    };
    let row = |(index, certificate): (usize, &Arc<Certificate>)| {
        let mut names = certificate.names.clone();
        if index == 0 {
            names.push("any other name".to_owned());
        }
        vec![listen.address.to_string(), names.join(", "), certificate.expires_on(), clients.clone()]
    };
    tls.certificates.iter().enumerate().map(row).collect()
}

fn route_row(snapshot: &Snapshot, route: &Route) -> Vec<String> {
    let upstream = match route.target {
        Target::CacheStats => "(cache statistics)".to_owned(),
        Target::Upstream(index) => {
            snapshot.upstreams.get(index).map_or_else(String::new, |upstream| upstream.name.to_string())
        }
    };
    let limits: Vec<&str> = route.policies.iter().map(|policy| &*policy.name).collect();
    let limits = if limits.is_empty() { "none".to_owned() } else { limits.join(" + ") };
    let cache = route.namespace.as_ref().map_or("none", |space| &*space.name);
    vec![route.name.to_string(), upstream, limits, cache.to_owned(), route.line.to_string()]
}

fn policy_row(policy: &Policy) -> Vec<String> {
    let per: Vec<String> = policy.per.iter().map(per_word).collect();
    let tiers = policy.tiers.iter().map(|(tier, windows)| format!("; {tier}: {}", windows_words(windows)));
    let admits = windows_words(&policy.windows) + &tiers.collect::<String>();
    vec![policy.name.to_string(), per.join(", else "), admits, policy.mode.as_str().to_owned()]
}

fn per_word(per: &Per) -> String {
    match per {
        Per::User => "user".to_owned(),
        Per::ApiKey => "API key".to_owned(),
        Per::Tenant => "tenant".to_owned(),
        Per::Ip => "address".to_owned(),
        Per::Global => "everybody".to_owned(),
        Per::Header(name) => format!("field {name}"),
        Per::Together(parts) => parts.iter().map(per_word).collect::<Vec<String>>().join(" with "),
    }
}

fn windows_words(windows: &Windows) -> String {
    let word =
        |window: &crate::limit::Window| format!("{} in {}", window.limit, format_duration(window.length()));
    windows.as_slice().iter().map(word).collect::<Vec<String>>().join(", ")
}

fn namespace_row(space: &Namespace) -> Vec<String> {
    let shared = match space.scope {
        Scope::Tenant => "tenant",
        Scope::User => "user",
        Scope::Public => "everybody",
    };
    let ttl = space.ttl.map(format_duration);
    let fresh = match (ttl, space.mode) {
        (None, _) => "what the origin says".to_owned(),
        (Some(ttl), TtlMode::Respect) => format!("{ttl}, or what the origin says"),
        (Some(ttl), TtlMode::Cap) => format!("at most {ttl}"),
        (Some(ttl), TtlMode::Override) => format!("{ttl}, whatever the origin says"),
    };
    vec![space.name.to_string(), shared.to_owned(), fresh, space.tags.join(", ")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::origin::Origin;

    const TEXT: &str = "upstreams: {backend: 127.0.0.1:9}
limits:
  default: {per: [user, ip], windows: {1m: 60, 1h: 1000}}
cache: {namespaces: {pages: {ttl: 5m, scope: public, tags: [content]}}}
routes:
  - {path: /pages/, cache: pages}
  - {path: /open, limit: none}
";

    #[test]
    fn the_tables_say_what_each_route_gets() {
        let loaded = Origin::text("t", TEXT.to_owned()).load(1).expect("is valid");
        let tables = summary(&loaded.snapshot);
        let words = |line: &str| {
            line.split("  ").map(str::trim).filter(|w| !w.is_empty()).map(str::to_owned).collect()
        };
        let lines: Vec<Vec<String>> = tables.lines().map(words).collect();
        let has = |row: &[&str]| assert!(lines.iter().any(|line| line == row), "{row:?} not in\n{tables}");
        has(&["/pages/", "backend", "default", "pages", "6"]);
        has(&["/open", "backend", "none", "none", "7"]);
        has(&["default", "user, else address", "60 in 1m, 1000 in 1h", "enforce"]);
        has(&["pages", "everybody", "5m, or what the origin says", "content"]);
    }

    #[test]
    fn programs_get_the_configuration_as_it_works() {
        let loaded = Origin::text("t", TEXT.to_owned()).load(1).expect("is valid");
        let facts: serde_json::Value = serde_json::from_str(&summary_json(&loaded)).expect("is JSON");
        assert!(facts["config"]["routes"].is_array() && facts["warnings"].is_array());
    }
}
