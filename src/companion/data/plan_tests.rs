//! What PostgreSQL's planner makes of the questions: an index for each of them, and a question for each index.

use crate::base::{Clock, SystemClock};
use crate::companion::data::row::{Ask, bind_postgres};
use crate::companion::data::testing::{NOW_US, Postgres, SEED, filled};
use crate::companion::data::{
    ActivityAsked, Database, Granularity, MetricsAsked, Migration, SeedAsked, Zone, activity, engagement,
    metrics, periods, postgres, statistics,
};
use serde_json::Value;
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Row};
use std::collections::BTreeSet;

/// Tables that stay small whatever happens.
const SMALL: &[&str] = &["organizations"];

/// Relation scans and indexes of a plan.
#[derive(Default)]
struct Seen {
    scanned: BTreeSet<String>,
    indexes: BTreeSet<String>,
}

impl Seen {
    fn of(plan: &Value) -> Self {
        let mut seen = Self::default();
        seen.walk(plan);
        seen
    }

    fn walk(&mut self, node: &Value) {
        match node {
            Value::Object(map) => {
                let word = |key: &str| map.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
                if word("Node Type") == "Seq Scan" {
                    self.scanned.insert(word("Relation Name"));
                }
                if map.contains_key("Index Name") {
                    self.indexes.insert(word("Index Name"));
                }
                map.values().for_each(|inner| self.walk(inner));
            }
            Value::Array(items) => items.iter().for_each(|inner| self.walk(inner)),
            _ => {}
        }
    }
}

/// Plans as they are where tables are large: a few thousand rows would be read as a whole.
async fn explain(connection: &mut PgConnection, ask: &Ask, sql: &str) -> Seen {
    sqlx::raw_sql("SET enable_seqscan = off").execute(&mut *connection).await.expect("it is set");
    let text = format!("EXPLAIN (FORMAT JSON) {sql}");
    let row = bind_postgres(sqlx::query(&text), &ask.args).fetch_one(&mut *connection).await;
    // JSON in the binary format is its text.
    let plan: String = row.unwrap_or_else(|error| panic!("{sql}: {error}")).get_unchecked(0);
    Seen::of(&serde_json::from_str(&plan).expect("JSON"))
}

async fn connection(database: &Database) -> PoolConnection<sqlx::Postgres> {
    let Database::Postgres(postgres) = database else { panic!("not PostgreSQL") };
    postgres.pool.acquire().await.expect("a connection")
}

/// Does a question use the index where it is the only one of its table? Among few rows another may be cheaper by a hair.
async fn is_used_alone(
    connection: &mut PgConnection,
    step: &Migration,
    catalogue: &[(String, String)],
) -> bool {
    let mut transaction = connection.begin().await.expect("begun");
    for other in postgres::steps() {
        if other.is_index() && other.table() == step.table() && other.name != step.name {
            let drop_it = format!("DROP INDEX {}", other.name);
            sqlx::raw_sql(&drop_it).execute(&mut *transaction).await.expect("it is there");
        }
    }
    for (_, sql) in catalogue {
        if explain(&mut transaction, &plain("a test"), sql).await.indexes.contains(step.name) {
            return true;
        }
    }
    false
}

fn one(server: &Postgres, sql: &str) -> String {
    server.ask("app", sql)
}

/// The catalogue with somebody's ids in it: name and text.
fn catalogue(server: &Postgres) -> Vec<(String, String)> {
    let tenant = one(server, "SELECT organization_id FROM users GROUP BY 1 ORDER BY count(*) DESC LIMIT 1");
    let of = |table: &str| {
        format!("SELECT id FROM {table} WHERE organization_id = '{tenant}' AND deleted_at IS NULL LIMIT 1")
    };
    let (user, content) = (one(server, &of("users")), one(server, &of("educational_content")));
    let (lesson, class) = (one(server, &of("lessons")), one(server, &of("classes")));
    let values = [
        (":cl", class.as_str()),
        (":o", &tenant),
        (":u", &user),
        (":e", "user1.1@example1.test"),
        (":k", "\\x00"),
        (":c", &content),
        (":l", &lesson),
    ];
    let text = include_str!("postgres/catalogue.sql");
    let lines: Vec<&str> = text.lines().skip(2).collect();
    let fill = |sql: &str| {
        values.iter().fold(sql.to_owned(), |sql, (name, value)| sql.replace(name, &format!("'{value}'")))
    };
    lines.chunks(2).map(|pair| (pair[0].to_owned(), fill(pair[1].trim_end_matches(';')))).collect()
}

fn plain(doing: &'static str) -> Ask {
    Ask::new(doing, ("", ""), Vec::new())
}

#[tokio::test]
async fn every_index_is_used_by_a_named_question_and_no_large_table_is_read_as_a_whole() {
    let server = Postgres::start().await;
    let now_us = i64::try_from(SystemClock::new().wall_ms()).expect("small") * 1_000;
    let seed = SeedAsked { tenants: 20, users_per_tenant: 100, days: 60, now_us, ..SEED };
    let database = filled(&server.database("app"), &seed).await;
    let catalogue = catalogue(&server);
    assert!(catalogue.len() > 60, "{}", catalogue.len());
    let mut connection = connection(&database).await;
    let mut used = BTreeSet::new();
    let mut faults = Vec::new();
    for (name, sql) in &catalogue {
        let seen = explain(&mut connection, &plain("a test"), sql).await;
        faults.extend(whole(name, &seen));
        used.extend(seen.indexes);
    }
    let mut rivals = 0;
    let mut unused = Vec::new();
    for step in postgres::steps().iter().filter(|step| step.is_index() && !used.contains(step.name)) {
        rivals += 1;
        if !is_used_alone(&mut connection, step, &catalogue).await {
            unused.push(step.name);
        }
    }
    assert!(rivals < 10, "{rivals} of the indexes are not chosen even among few rows");
    assert!(unused.is_empty() && faults.is_empty(), "unused: {unused:?}\n{}", faults.join("\n"));
    drop(connection);
    database.close().await;
}

#[tokio::test]
async fn the_companions_own_questions_read_no_large_table_as_a_whole() {
    let server = Postgres::start().await;
    let database = filled(&server.database("app"), &SEED).await;
    let tenant = one(&server, "SELECT id FROM organizations ORDER BY slug LIMIT 1");
    let zone = Zone::parse("Europe/Berlin").expect("a zone");
    let spans = periods("2026-05-01", "2026-06-15", Granularity::Day, &zone).expect("a range");
    let mut asks = metrics::asks(&tenant, &MetricsAsked { now_us: NOW_US, zone, compare_days: 30 });
    asks.extend(statistics::asks(&tenant, &spans));
    asks.extend(engagement::asks(&tenant, &spans));
    let feed = ActivityAsked { limit: 20, ..ActivityAsked::default() };
    let types = vec!["login".to_owned(), "settings_changed".to_owned()];
    asks.push(activity::ask(&tenant, &feed));
    asks.push(activity::ask(&tenant, &ActivityAsked { types, ..feed.clone() }));
    asks.push(activity::ask(&tenant, &ActivityAsked { user: Some(tenant.clone()), ..feed }));
    let mut faults = Vec::new();
    let mut connection = connection(&database).await;
    for ask in &asks {
        let seen = explain(&mut connection, ask, ask.postgres).await;
        assert!(!seen.indexes.is_empty(), "{ask:?}");
        faults.extend(whole(ask.postgres, &seen));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    drop(connection);
    database.close().await;
}

fn whole(name: &str, seen: &Seen) -> Option<String> {
    let large: Vec<&String> = seen.scanned.iter().filter(|table| !SMALL.contains(&table.as_str())).collect();
    (!large.is_empty()).then(|| format!("{name}: {large:?} is read as a whole"))
}
