//! An application's own tables with numbers for ids and nothing where we have something: both engines tell the same.

use crate::base::{DatabaseSettings, DatabaseUrl, IdType, Mapping, TableMapping};
use crate::companion::data::row::Ask;
use crate::companion::data::testing::{NOW_US, Postgres, settings};
use crate::companion::data::{
    Access, Activity, ActivityAsked, Database, FaultKind, Granularity, Metrics, MetricsAsked, RowsAsked,
    UsersPosition, Zone, periods,
};
use std::collections::{BTreeMap, BTreeSet};
use tempfile::TempDir;

const SCHOOL: &str = "5";
/// More than a chunk of an export, all made at once.
const MANY: i64 = 2_500;

/// `MOMENT` is the type of a moment, `NOW` one.
const TABLES: &[&str] = &[
    "CREATE TABLE schools (id bigint PRIMARY KEY, timezone text)",
    "CREATE TABLE accounts (id bigint PRIMARY KEY, school bigint, first_name text, last_name text, role text, \
        last_login_at MOMENT, created_at MOMENT)",
    "CREATE TABLE material (school bigint, content_type text, status text, created_at MOMENT)",
    "CREATE TABLE visits (school bigint, user_id bigint, started_at MOMENT, last_seen_at MOMENT, ended_at MOMENT, \
        duration_seconds integer)",
    "CREATE TABLE results (school bigint, completed_at MOMENT)",
    "CREATE TABLE events (id bigint PRIMARY KEY, school bigint, user_id bigint, activity_type text, entity_type text, \
        entity_id bigint, summary text, created_at MOMENT)",
    "INSERT INTO schools VALUES (5, NULL), (6, 'UTC')",
    "INSERT INTO accounts VALUES (7, 5, 'Ana', NULL, NULL, NULL, NOW), (8, 5, NULL, 'Bo', 'teacher', NULL, NOW), \
        (9, 5, ' ', NULL, 'unknown', NULL, NOW)",
    "WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < 2500) \
        INSERT INTO accounts SELECT n + 90, 6, 'A', 'B', 'student', NULL, NOW FROM up",
    "INSERT INTO material VALUES (5, NULL, NULL, NOW), (5, 'lesson', 'draft', NOW)",
    "INSERT INTO events VALUES (1, 5, 7, NULL, 'user', 8, NULL, NOW), (2, 5, 8, 'login', NULL, NULL, 'in', NOW), \
        (3, 5, 9, 'login', NULL, NULL, 'out', NOW), (4, 5, NULL, 'tick', NULL, NULL, '', NOW)",
];

/// `nulls` are columns that the application does not have.
fn mapping(nulls: &[&str]) -> Mapping {
    let column = |ours: &str, theirs: Option<&str>| (ours.to_owned(), theirs.map(str::to_owned));
    let table = |(ours, theirs, without): (&str, &str, &[&str])| {
        let mut columns: BTreeMap<_, _> = without.iter().map(|name| column(name, None)).collect();
        if ours != "organizations" {
            columns.extend([column("organization_id", Some("school"))]);
        }
        let of_table = |name: &&&str| name.split('.').next() == Some(ours);
        let missing = nulls.iter().filter(of_table).filter_map(|name| name.split('.').nth(1));
        columns.extend(missing.map(|name| column(name, None)));
        (ours.to_owned(), TableMapping { name: theirs.to_owned(), columns })
    };
    let tables: [(&str, &str, &[&str]); 6] = [
        ("organizations", "schools", &["deleted_at"]),
        ("users", "accounts", &["deleted_at"]),
        ("educational_content", "material", &["deleted_at"]),
        ("user_sessions", "visits", &[]),
        ("lesson_progress", "results", &["score"]),
        ("activity_log", "events", &[]),
    ];
    Mapping { id: IdType::Bigint, tables: tables.map(table).into() }
}

/// Makes the tables, and gives each test a database that may only read them.
async fn on_both(nulls: &[&str], test: impl AsyncFn(&Database)) {
    let server = Postgres::start().await;
    let folder = TempDir::new().expect("a folder");
    let file = format!("sqlite:{}", folder.path().join("a.db").display());
    for (url, moment, now) in [
        (server.database("app"), "timestamptz", format!("to_timestamp({NOW_US} / 1000000.0)")),
        (file, "INTEGER", NOW_US.to_string()),
    ] {
        let making = Database::open(&settings(&url), Access::Change).await.expect("it opens");
        for sql in TABLES {
            let sql: &str = Box::leak(sql.replace("MOMENT", moment).replace("NOW", &now).into());
            making.change(&[Ask::new("a test", (sql, sql), vec![])]).await.expect("it is made");
        }
        making.close().await;
        let url = DatabaseUrl::parse(&url).expect("a URL");
        let settings = DatabaseSettings { url, mapping: mapping(nulls), ..DatabaseSettings::default() };
        let database = Database::open(&settings, Access::Read).await.expect("it opens");
        test(&database).await;
        database.close().await;
    }
}

async fn metrics(database: &Database) -> Metrics {
    let zone = Zone::parse("UTC").expect("a zone");
    let asked = MetricsAsked { now_us: NOW_US, zone, compare_days: 14 };
    database.metrics(SCHOOL, &asked).await.expect("figures")
}

async fn by_status(database: &Database) -> BTreeMap<String, i64> {
    let zone = Zone::parse("UTC").expect("a zone");
    let spans = periods("2026-06-01", "2026-06-30", Granularity::Month, &zone).expect("a range");
    database.content_created(SCHOOL, &spans).await.expect("content").swap_remove(0).by_status
}

async fn feed(database: &Database, asked: ActivityAsked) -> Vec<Activity> {
    database.activity(SCHOOL, &ActivityAsked { limit: 10, ..asked }).await.expect("a page").items
}

fn counts(pairs: &[(&str, i64)]) -> BTreeMap<String, i64> {
    pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[tokio::test]
async fn what_is_empty_in_a_row_is_unknown_and_takes_no_figure_away() {
    on_both(&[], async |database| {
        let told = metrics(database).await;
        assert_eq!(
            told.users.by_role,
            counts(&[("teacher", 1), ("unknown", 2)]),
            "also one who is called so"
        );
        assert_eq!(told.content.by_status, counts(&[("draft", 1), ("unknown", 1)]));
        assert_eq!(told.content.by_type, counts(&[("lesson", 1), ("unknown", 1)]));
        assert_eq!(by_status(database).await, counts(&[("draft", 1), ("unknown", 1)]));
        let item = feed(database, ActivityAsked::default()).await.swap_remove(3);
        assert_eq!((item.id, item.activity_type.as_str(), item.summary.as_str()), (1, "unknown", ""));
        assert_eq!(database.tenant_zone(SCHOOL).await.expect("an answer"), None);
    })
    .await;
}

#[tokio::test]
async fn a_column_that_an_application_does_not_have_is_empty_in_every_row() {
    let nulls = &["users.role", "educational_content.status", "activity_log.summary", "users.last_name"];
    on_both(nulls, async |database| {
        let told = metrics(database).await;
        assert_eq!(told.users.by_role, counts(&[("unknown", 3)]));
        assert_eq!(told.content.by_status, counts(&[("unknown", 2)]));
        assert_eq!(by_status(database).await, counts(&[("unknown", 2)]));
        let feed = feed(database, ActivityAsked::default()).await;
        assert!(feed.iter().all(|item| item.summary.is_empty()), "{feed:?}");
        let names: Vec<Option<&str>> = feed.iter().map(|item| item.user_name.as_deref()).collect();
        assert_eq!(names, [None, None, None, Some("Ana")], "the only column with names");
    })
    .await;
}

#[tokio::test]
async fn somebody_with_one_name_has_that_name_in_the_feed_and_ids_that_are_numbers_are_told() {
    on_both(&[], async |database| {
        let told = |items: Vec<Activity>| {
            let told = |item: Activity| (item.id, item.user_id, item.user_name, item.entity_id);
            items.into_iter().map(told).collect::<Vec<_>>()
        };
        let text = |text: &str| Some(text.to_owned());
        let expected = [
            (4, None, None, None),
            (3, text("9"), None, None),
            (2, text("8"), text("Bo"), None),
            (1, text("7"), text("Ana"), text("8")),
        ];
        assert_eq!(told(feed(database, ActivityAsked::default()).await), expected);
        let of_user = ActivityAsked { user: text("8"), ..ActivityAsked::default() };
        assert_eq!(told(feed(database, of_user).await), expected[2..3]);
        let of_type = ActivityAsked { types: vec!["login".to_owned()], ..ActivityAsked::default() };
        assert_eq!(told(feed(database, of_type).await), expected[1..3]);
        let all = RowsAsked { since_us: 0, until_us: NOW_US + 1 };
        let mut moment = database.moment().await.expect("a moment");
        assert_eq!(told(moment.activity(SCHOOL, all, None).await.expect("rows")), expected);
        let users = moment.users(SCHOOL, all, None).await.expect("rows");
        let users: Vec<(&str, Option<&str>)> =
            users.iter().map(|user| (&*user.id, user.role.as_deref())).collect();
        assert_eq!(users, [("7", None), ("8", Some("teacher")), ("9", Some("unknown"))]);
    })
    .await;
}

#[tokio::test]
async fn of_users_that_were_made_at_once_none_is_lost_between_two_chunks() {
    on_both(&[], async |database| {
        let all = RowsAsked { since_us: 0, until_us: NOW_US + 1 };
        let mut moment = database.moment().await.expect("a moment");
        let (mut ids, mut after) = (Vec::new(), None);
        loop {
            let users = moment.users("6", all, after.as_ref()).await.expect("rows");
            let Some(last) = users.last() else { break };
            after = Some(UsersPosition { created_at_us: last.created_at_us, id: last.id.clone() });
            ids.extend(users.into_iter().map(|user| user.id.parse::<i64>().expect("a number")));
        }
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "none twice");
        assert_eq!(i64::try_from(ids.len()).expect("few"), MANY);
    })
    .await;
}

#[tokio::test]
async fn a_column_of_another_kind_is_no_missing_migration_and_is_named_to_the_operator() {
    let server = Postgres::start().await;
    let database = Database::open(&settings(&server.database("app")), Access::Read).await.expect("it opens");
    let ask = Ask::new("a test", ("SELECT NULL::text AS role", ""), vec![]);
    let fault = database.rows(&ask).await.expect("rows")[0].text("role").expect_err("nothing there");
    assert_eq!(fault.kind, FaultKind::Unreadable);
    assert!(fault.to_string().contains("\"role\""), "{fault}");
    database.close().await;
}
