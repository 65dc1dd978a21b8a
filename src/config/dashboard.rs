//! The section `dashboard`: the companion's database; its service is read beside it.

use crate::base::{DatabaseSettings, DatabaseUrl, FIGURE_TABLES, IdType, Mapping, TableMapping};
use crate::cache::Namespace;
use crate::config::dashboard_service;
use crate::config::fault::hint;
use crate::config::identify::token_identifier;
use crate::config::reader::{Reader, Section, Taken};
use crate::config::snapshot::DashboardSettings;
use crate::config::tree::{Kind, Node};
use crate::identity::Identifier;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Connections at most; a PostgreSQL server takes 100 where nobody has changed it.
const CONNECTIONS_MAX: u64 = 1_000;

/// Reads `dashboard`. `DATABASE_URL` is not looked at here: beside an application of another kind it may be of any
/// scheme, and the proxy must start none the less. The companion's commands put it in place of `database`.
pub(super) fn dashboard(
    reader: &mut Reader<'_>,
    node: &Node,
    identifier: &Identifier,
    namespaces: &[Arc<Namespace>],
) -> DashboardSettings {
    let mut section = reader.section(node, "dashboard");
    let database = database(reader, &mut section);
    let service = dashboard_service::service(reader, &mut section, &database);
    let kept = dashboard_service::kept(reader, section.take("cache"), namespaces);
    let own = section.take("jwt").map(|taken| token_identifier(reader, &taken));
    reader.finish(&section);
    DashboardSettings { database, service, identifier: own.unwrap_or_else(|| identifier.clone()), kept }
}

fn database(reader: &mut Reader<'_>, section: &mut Section) -> DatabaseSettings {
    let mut settings = DatabaseSettings::default();
    if let Some(taken) = section.take("database")
        && let Some(url) = url(reader, &taken)
    {
        settings.url = url;
    }
    if let Some(read_only) = section.take("read_only").and_then(|taken| reader.flag(&taken)) {
        settings.read_only = read_only;
    }
    pool(reader, section.take("pool"), &mut settings);
    if let Some(taken) = section.take("replica_url") {
        settings.replica = replica(reader, &taken, &settings.url);
    }
    if let Some(taken) = section.take("mapping") {
        settings.mapping = mapping(reader, &taken);
    }
    settings
}

/// A database by its URL; an empty text is none.
pub(super) fn url(reader: &mut Reader<'_>, taken: &Taken) -> Option<DatabaseUrl> {
    let text = reader.text(taken).filter(|text| !text.is_empty())?;
    let url = DatabaseUrl::parse(&text);
    if url.is_none() {
        // The text may hold a password: it is not repeated.
        reader.fault(taken.node.at, &taken.path, "this is no URL of a database", DatabaseUrl::FORMS);
    }
    url
}

/// A server that follows the one of `database`.
fn replica(reader: &mut Reader<'_>, taken: &Taken, primary: &DatabaseUrl) -> Option<DatabaseUrl> {
    let text = reader.text(taken).filter(|text| !text.is_empty())?;
    let url = DatabaseUrl::parse(&text).filter(|url| matches!(url, DatabaseUrl::Postgres(_)));
    if url.is_none() || matches!(primary, DatabaseUrl::Sqlite(_)) {
        let says = "a replica is a PostgreSQL server that follows the one of `database`";
        let remedy = "write postgres://USER:PASSWORD@HOST:PORT/DATABASE in both, or leave it out";
        reader.fault(taken.node.at, &taken.path, says, remedy);
        return None;
    }
    url
}

/// What the application calls its tables.
fn mapping(reader: &mut Reader<'_>, taken: &Taken) -> Mapping {
    let mut section = reader.section(&taken.node, &taken.path);
    let words = [IdType::Uuid, IdType::Bigint, IdType::Text].map(|kind| (kind.as_str(), kind));
    let id = section.take("id").and_then(|taken| reader.choice(&taken, &words)).unwrap_or_default();
    let mut tables = BTreeMap::new();
    if let Some(taken) = section.take("tables") {
        for (key, taken) in reader.section(&taken.node, &taken.path).take_all() {
            let known: Vec<&str> = FIGURE_TABLES.iter().map(|(table, _)| *table).collect();
            match FIGURE_TABLES.iter().find(|(table, _)| *table == key.name) {
                Some((name, columns)) => {
                    tables.insert(key.name, table(reader, &taken, name, columns));
                }
                None => {
                    reader.fault(key.at, &taken.path, "figures need no such table", hint(&key.name, &known));
                }
            }
        }
    }
    reader.finish(&section);
    Mapping { id, tables }
}

/// A table: its name alone, or with its columns.
fn table(reader: &mut Reader<'_>, taken: &Taken, name: &str, known: &[(&str, &str)]) -> TableMapping {
    let mut own = TableMapping { name: name.to_owned(), columns: BTreeMap::new() };
    if let Kind::Scalar(_) = taken.node.kind {
        own.name = reader.name(taken).unwrap_or_default();
        return own;
    }
    let mut section = reader.section(&taken.node, &taken.path);
    if let Some(name) = section.take("name").and_then(|taken| reader.name(&taken)) {
        own.name = name;
    }
    if let Some(columns) = section.take("columns") {
        for (key, taken) in reader.section(&columns.node, &columns.path).take_all() {
            if !known.iter().any(|(column, _)| *column == key.name) {
                let known: Vec<&str> = known.iter().map(|(column, _)| *column).collect();
                reader.fault(key.at, &taken.path, "figures need no such column", hint(&key.name, &known));
                continue;
            }
            let theirs =
                if taken.node.kind == Kind::Null { Some(None) } else { reader.name(&taken).map(Some) };
            if let Some(theirs) = theirs {
                own.columns.insert(key.name, theirs);
            }
        }
    }
    reader.finish(&section);
    own
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
        (loaded.snapshot.dashboard.database, loaded.warnings)
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
    fn an_applications_names_are_read_and_those_that_nobody_needs_refused() {
        let (settings, warnings) = read(
            "{database: 'postgres://a/b', replica_url: 'postgres://u:hunter2@c/b', mapping: {id: bigint, tables: \
             {users: {name: app.accounts, columns: {organization_id: school_id, deleted_at: null}}, activity_log: events}}}",
        );
        assert_eq!(settings.replica.map(|url| url.to_string()).as_deref(), Some("postgres://c/b"));
        assert_eq!((settings.mapping.id, settings.mapping.tables.len()), (IdType::Bigint, 2));
        let users = &settings.mapping.tables["users"];
        assert_eq!(users.name, "app.accounts");
        assert_eq!(
            (&users.columns["organization_id"], &users.columns["deleted_at"]),
            (&Some("school_id".to_owned()), &None)
        );
        assert_eq!(settings.mapping.tables["activity_log"].name, "events");
        assert_eq!(warnings, Vec::<String>::new());
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
