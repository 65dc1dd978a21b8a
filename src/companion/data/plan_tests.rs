//! What PostgreSQL's planner makes of the questions: an index for each of them, and a question for each index.

use crate::base::{Clock, SystemClock};
use crate::companion::data::questions::{Asker, Question, questions};
use crate::companion::data::testing::{NOW_US, Postgres, SEED, filled, sqlite};
use crate::companion::data::{Database, Migration, SeedAsked, postgres};
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqlitePool;
use sqlx::{Connection, Row};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[path = "../../../benches/dashboard/plan.rs"]
#[expect(dead_code, reason = "times and blocks are for `benches/dashboard`")]
mod plan;

use plan::{Entry, PLACES, Plan, catalogue};

/// Smaller tables are read as a whole for good reasons, in blocks of 8 KiB. `benches/dashboard` has large ones only.
const BLOCKS: i64 = 50;

/// Whether the planner may read tables as a whole: among few rows an index is then often not the cheapest.
async fn scans(connection: &mut PgConnection, allowed: &str) {
    let set = format!("SET enable_seqscan = {allowed}");
    sqlx::raw_sql(&set).execute(connection).await.expect("it is set");
}

async fn explain(connection: &mut PgConnection, question: &Asked<'_>) -> Plan {
    let sql = match question {
        Asked::Own(question) => question.postgres(),
        Asked::Catalogue(entry) => &entry.sql,
    };
    let text = format!("EXPLAIN (FORMAT JSON) {sql}");
    let query = match question {
        Asked::Own(question) => question.bind(sqlx::query(&text)),
        Asked::Catalogue(_) => sqlx::query(&text),
    };
    let row = query.fetch_one(connection).await;
    // JSON in the binary format is its text.
    let plan: String = row.unwrap_or_else(|error| panic!("{sql}: {error}")).get_unchecked(0);
    Plan::of(&serde_json::from_str(&plan).expect("JSON"))
}

/// A question of the companion or of the catalogue.
enum Asked<'a> {
    Own(&'a Question),
    Catalogue(&'a Entry),
}

impl Asked<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Own(question) => question.name,
            Self::Catalogue(entry) => entry.name,
        }
    }
}

async fn connection(database: &Database) -> PoolConnection<sqlx::Postgres> {
    let Database::Postgres(postgres) = database else { panic!("not PostgreSQL") };
    postgres.server.pool.acquire().await.expect("a connection")
}

/// Does a question use the index where it is the only one of its table? Among few rows another may be cheaper by a hair.
async fn is_used_alone(connection: &mut PgConnection, step: &Migration, asked: &[Asked<'_>]) -> bool {
    let mut transaction = connection.begin().await.expect("begun");
    for other in postgres::steps() {
        if other.is_index() && other.table() == step.table() && other.name != step.name {
            let drop_it = format!("DROP INDEX {}", other.name);
            sqlx::raw_sql(&drop_it).execute(&mut *transaction).await.expect("it is there");
        }
    }
    for question in asked {
        if explain(&mut transaction, question).await.indexes.contains(step.name) {
            return true;
        }
    }
    false
}

/// A tenant by its place among them, by users, and what the catalogue wants of it.
fn tenant(server: &Postgres, rank: u32) -> (Asker, Vec<Entry>) {
    let by_users = "SELECT organization_id FROM users GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1 OFFSET";
    let tenant = server.ask("app", &format!("{by_users} {rank}"));
    let of = |finding: &str| server.ask("app", &finding.replace("{}", &format!("'{tenant}'")));
    let values: Vec<String> = PLACES.iter().map(|(_, finding)| of(finding)).collect();
    let user = of("SELECT id FROM users WHERE organization_id = {} AND deleted_at IS NULL LIMIT 1");
    (Asker { tenant, user, zone: "Europe/Berlin".to_owned(), now_us: now_us() }, catalogue(&values))
}

fn now_us() -> i64 {
    i64::try_from(SystemClock::new().wall_ms()).expect("small") * 1_000
}

/// Tables that are read as a whole though they are large.
async fn large(connection: &mut PgConnection) -> BTreeSet<String> {
    let sql = "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relpages > $1";
    let rows = sqlx::query(sql).bind(BLOCKS).fetch_all(connection).await.expect("there are tables");
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn every_index_is_used_by_a_named_question_and_no_large_table_is_read_as_a_whole() {
    let server = Postgres::start().await;
    let seed = SeedAsked { tenants: 40, users_per_tenant: 75, days: 200, now_us: now_us(), ..SEED };
    let database = filled(&server.database("app"), &seed).await;
    let (asker, entries) = tenant(&server, 20);
    let own = questions(&asker);
    assert!(entries.len() > 60 && own.len() > 20, "{} and {}", entries.len(), own.len());
    let asked: Vec<Asked<'_>> =
        own.iter().map(Asked::Own).chain(entries.iter().map(Asked::Catalogue)).collect();
    let mut connection = connection(&database).await;
    sqlx::raw_sql("VACUUM ANALYZE").execute(&mut *connection).await.expect("vacuumed");
    let large = large(&mut connection).await;
    assert!(large.len() >= 6, "{large:?}");

    // With the planner as it is: whoever reads a large table as a whole would do so in production.
    let mut faults = Vec::new();
    for question in &asked {
        let plan = explain(&mut connection, question).await;
        let whole: Vec<&String> = plan.scanned.intersection(&large).collect();
        if !whole.is_empty() {
            faults.push(format!("{}: {whole:?} is read as a whole", question.name()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));

    // As if the small tables were large too.
    scans(&mut connection, "off").await;
    let mut used = BTreeSet::new();
    for question in &asked {
        let plan = explain(&mut connection, question).await;
        let whole = plan.large();
        assert!(whole.is_empty(), "{}: {whole:?} can only be read as a whole", question.name());
        used.extend(plan.indexes);
    }
    let steps = postgres::steps();
    let rivals: Vec<&Migration> =
        steps.iter().filter(|step| step.is_index() && !used.contains(step.name)).collect();
    assert!(rivals.len() < 10, "not chosen even among few rows: {rivals:?}");
    let mut unused = Vec::new();
    for step in rivals {
        if !is_used_alone(&mut connection, step, &asked).await {
            unused.push(step.name);
        }
    }
    assert!(unused.is_empty(), "unused: {unused:?}");
    drop(connection);
    database.close().await;
}

/// Texts that no plan is looked at of, and why.
const WITHOUT: &[(&str, &str)] = &[
    ("largest_tenants", "it is asked by operators, of the whole of a seeded database"),
    ("any_user", "one row, whichever comes first"),
    ("indexes", "it reads the system's own tables"),
    ("standing", "it reads the system's own tables"),
    ("export_by_id", "one row by its key"),
    ("export_by_key", "one row by its key"),
    ("export_known", "rows by their keys"),
    ("export_forget_key", "it changes one row by its key"),
    ("export_lock", "it reads no table"),
    ("export_insert", "it adds a row; the catalogue has what it counts, as exports of a tenant"),
    ("export_claim", "it changes a row; the catalogue has how that is found"),
    ("export_expire", "it changes rows; the catalogue has how those are found"),
    ("export_beat", "it changes one row by its key"),
    ("export_done", "it changes one row by its key; the catalogue has those of a tenant"),
    ("export_left", "it changes one row by its key"),
    ("export_given_back", "it changes one row by its key"),
    (
        "export_place",
        "a row by its key; the catalogue has how those under way and those of a tenant are found",
    ),
    ("export_cancel", "it changes one row by its key"),
    ("export_bury", "it changes rows; the catalogue has how those are found"),
    ("export_forget", "once a minute, of the exports of a month"),
];

#[test]
fn every_text_is_among_the_questions_whose_plans_are_looked_at() {
    let asker = Asker { tenant: String::new(), user: String::new(), zone: "UTC".to_owned(), now_us: 0 };
    let all = questions(&asker);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/companion/data");
    for dialect in ["postgres", "sqlite"] {
        for entry in fs::read_dir(folder.join(dialect).join("queries")).expect("texts").flatten() {
            let path = entry.path();
            let name = path.file_stem().and_then(|name| name.to_str()).expect("a name");
            let text = fs::read_to_string(&path).expect("a text");
            let is_it = |question: &Question| {
                let own = if dialect == "postgres" { question.postgres() } else { question.sqlite() };
                question.name.split(',').next() == Some(name) && own == text
            };
            let is_known = all.iter().any(is_it) || WITHOUT.iter().any(|(without, _)| *without == name);
            assert!(is_known, "{}: name it in data/questions.rs", path.display());
        }
    }
}

#[tokio::test]
async fn sqlite_reads_no_large_table_as_a_whole_for_the_companions_own_questions() {
    let place = sqlite(&SeedAsked { tenants: 10, users_per_tenant: 60, days: 60, ..SEED }).await;
    let Database::Sqlite(file) = &place.database else { panic!("not SQLite") };
    let tenant = "SELECT organization_id, id FROM users WHERE deleted_at IS NULL LIMIT 1";
    let row = sqlx::query(tenant).fetch_one(&file.pool).await.expect("a user");
    let asker =
        Asker { tenant: row.get(0), user: row.get(1), zone: "Europe/Berlin".to_owned(), now_us: NOW_US };
    let mut faults = Vec::new();
    for question in questions(&asker) {
        let scans = sqlite_scans(&file.pool, question.sqlite()).await;
        faults.extend(scans.into_iter().map(|scan| format!("{}: {scan}", question.name)));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let planted = "SELECT count(*) FROM (SELECT 1 FROM users AS u WHERE u.first_name = 'Ana')";
    assert_eq!(sqlite_scans(&file.pool, planted).await, ["SCAN u"]);
    place.database.close().await;
}

/// Steps that read a large table, or an index of it, as a whole. The plan is made before there are arguments.
async fn sqlite_scans(pool: &SqlitePool, sql: &str) -> Vec<String> {
    let text = format!("EXPLAIN QUERY PLAN {sql}");
    let steps = sqlx::query(&text).fetch_all(pool).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let steps = steps.iter().map(|step| step.get::<String, _>("detail"));
    steps.filter(|step| step.starts_with("SCAN ") && is_large(step, sql)).collect()
}

/// Is what a step of SQLite's reads a table that grows? Steps tell aliases.
fn is_large(step: &str, sql: &str) -> bool {
    const LARGE: &[&str] = &[
        "users",
        "educational_content",
        "lessons",
        "lesson_progress",
        "user_sessions",
        "activity_log",
        "user_activity_days",
    ];
    let name = step.split(' ').nth(1).unwrap_or_default();
    let is_called =
        |table: &str| ["", "AS "].iter().any(|word| sql.contains(&format!("{table} {word}{name}")));
    LARGE.iter().any(|table| *table == name || is_called(table))
}
