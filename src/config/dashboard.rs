//! The section `dashboard`: where the companion's database is. What serves it is not in force yet, and warned of.

use crate::base::{DatabaseSettings, DatabaseUrl};
use crate::config::reader::{Reader, Section, Taken};
use crate::config::server::not_in_force;
use crate::config::tree::Node;
use std::time::Duration;

/// Keys of the service, which this version does not have.
const OF_THE_SERVICE: &[&str] = &["listen", "replica_url", "mapping", "gateways", "export_dir", "jwt"];

/// Connections at most; a PostgreSQL server takes 100 where nobody has changed it.
const CONNECTIONS_MAX: u64 = 1_000;

/// Reads `dashboard`. `DATABASE_URL` is not looked at here: beside an application of another kind it may be of any
/// scheme, and the proxy must start none the less. The companion's commands put it in place of `database`.
pub(super) fn dashboard(reader: &mut Reader<'_>, node: &Node) -> DatabaseSettings {
    let mut settings = DatabaseSettings::default();
    let mut section = reader.section(node, "dashboard");
    let taken = section.take("database");
    let text = taken.and_then(|taken| Some((reader.text(&taken)?, taken)));
    if let Some((text, taken)) = text.filter(|(text, _)| !text.is_empty()) {
        match DatabaseUrl::parse(&text) {
            Some(url) => settings.url = url,
            // The text may hold a password: it is not repeated.
            None => {
                reader.fault(taken.node.at, &taken.path, "this is no URL of a database", DatabaseUrl::FORMS);
            }
        }
    }
    if let Some(read_only) = section.take("read_only").and_then(|taken| reader.flag(&taken)) {
        settings.read_only = read_only;
    }
    pool(reader, section.take("pool"), &mut settings);
    for name in OF_THE_SERVICE {
        if let Some(taken) = section.take(name) {
            not_in_force(reader, &taken, "the companion's service is not part of it");
        }
    }
    reader.finish(&section);
    settings
}

fn pool(reader: &mut Reader<'_>, taken: Option<Taken>, settings: &mut DatabaseSettings) {
    let Some(taken) = taken else { return };
    let mut section = reader.section(&taken.node, &taken.path);
    let connections = section.take("connections").and_then(|taken| reader.number(&taken, 1, CONNECTIONS_MAX));
    if let Some(connections) = connections.and_then(|connections| u32::try_from(connections).ok()) {
        settings.connections = connections;
    }
    if let Some(wait) = wait(reader, &mut section, "acquire_timeout") {
        settings.acquire_timeout = wait;
    }
    if let Some(wait) = wait(reader, &mut section, "statement_timeout") {
        settings.statement_timeout = wait;
    }
    reader.finish(&section);
}

/// A time-out that is neither nothing nor for ever.
fn wait(reader: &mut Reader<'_>, section: &mut Section, name: &'static str) -> Option<Duration> {
    let taken = section.take(name)?;
    let wait = reader.duration(&taken)?;
    if wait.is_zero() || wait > Duration::from_secs(600) {
        reader.fault(taken.node.at, &taken.path, "it takes 1ms to 10m", "write a duration in that range");
        return None;
    }
    Some(wait)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Env, Source, load};

    fn read(dashboard: &str) -> (DatabaseSettings, Vec<String>) {
        let text = format!("upstreams: {{b: 127.0.0.1:1}}\nroutes: [{{path: /}}]\ndashboard: {dashboard}\n");
        let env = Env::of(&[("DATABASE_URL", "mysql://ada:hunter2@db.example/app")]);
        let loaded = load(&Source::Text { name: "t".to_owned(), text }, &env, 1).expect("sound");
        (loaded.snapshot.database, loaded.warnings)
    }

    #[test]
    fn an_applications_own_database_url_does_not_keep_the_proxy_from_starting() {
        let (settings, warnings) = read("");
        assert_eq!(settings, DatabaseSettings::default());
        assert_eq!(settings.url.to_string(), "sqlite:tidegate-dashboard.db");
        assert_eq!(warnings, Vec::<String>::new());
    }

    #[test]
    fn the_database_and_its_bounds_are_read() {
        let (settings, _) =
            read("{database: 'sqlite:a.db', read_only: true, pool: {connections: 3, statement_timeout: 1m}}");
        assert_eq!((settings.url.to_string().as_str(), settings.connections), ("sqlite:a.db", 3));
        assert!(settings.read_only);
        assert_eq!(settings.statement_timeout, Duration::from_secs(60));
    }

    #[test]
    fn keys_of_the_service_are_warned_of_one_by_one() {
        let (_, warnings) = read("{listen: 127.0.0.1:8090, export_dir: /tmp}");
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings.iter().all(|warning| warning.contains("not in force")), "{warnings:?}");
    }

    #[test]
    fn a_password_in_a_refused_url_is_not_repeated() {
        let text = "dashboard: {database: 'mysql://ada:hunter2@db.example/app'}\n".to_owned();
        let source = Source::Text { name: "t".to_owned(), text };
        let faults = load(&source, &Env::default(), 1).expect_err("no such scheme");
        let told: Vec<String> = faults.list.iter().map(|fault| format!("{fault:?}")).collect();
        assert!(told.iter().any(|fault| fault.contains("dashboard.database")), "{told:?}");
        assert!(!told.join("").contains("hunter2"), "{told:?}");
    }
}
