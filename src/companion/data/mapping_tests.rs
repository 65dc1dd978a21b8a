//! Figures of an application that calls everything otherwise, and may only be read.

use crate::base::{DatabaseSettings, DatabaseUrl, IdType, Mapping, TableMapping};
use crate::companion::data::testing::{NOW_US, Place, Postgres, SEED, filled, settings, sqlite};
use crate::companion::data::{
    Access, ActivityAsked, Database, FaultKind, Granularity, MetricsAsked, Zone, periods,
};

/// Its tables: ours with other names, without what is deleted, and without a score.
const LEGACY: &[(&str, &str, &str)] = &[
    ("organizations", "schools", "SELECT ID(id) AS uid, timezone AS tz FROM organizations"),
    (
        "users",
        "accounts",
        "SELECT ID(id) AS uid, ID(organization_id) AS \"school id\", first_name, last_name, role AS kind, last_login_at, \
            created_at AS made FROM users WHERE deleted_at IS NULL",
    ),
    (
        "educational_content",
        "material",
        "SELECT ID(organization_id) AS \"school id\", content_type, status, created_at FROM educational_content \
            WHERE deleted_at IS NULL",
    ),
    (
        "user_sessions",
        "visits",
        "SELECT ID(organization_id) AS \"school id\", ID(user_id) AS uid, started_at, last_seen_at, ended_at, duration_seconds \
            FROM user_sessions",
    ),
    (
        "lesson_progress",
        "results",
        "SELECT ID(organization_id) AS \"school id\", completed_at FROM lesson_progress",
    ),
    (
        "activity_log",
        "events",
        "SELECT id, ID(organization_id) AS \"school id\", ID(user_id) AS uid, activity_type, entity_type, entity_id, summary, \
            created_at FROM activity_log",
    ),
];

fn mapping(id: IdType, schema: &str) -> Mapping {
    let column = |ours: &str, theirs: Option<&str>| (ours.to_owned(), theirs.map(str::to_owned));
    let table = |(ours, theirs, _): &(&str, &str, &str)| {
        let mut columns = Vec::new();
        if *ours != "organizations" {
            columns.push(column("organization_id", Some("school id")));
        }
        match *ours {
            "organizations" => {
                let zone = column("timezone", Some("tz"));
                columns.extend([column("id", Some("uid")), zone, column("deleted_at", None)]);
            }
            "users" => columns.extend([
                column("id", Some("uid")),
                column("role", Some("kind")),
                column("created_at", Some("made")),
                column("deleted_at", None),
            ]),
            "educational_content" => columns.push(column("deleted_at", None)),
            "lesson_progress" => columns.push(column("score", None)),
            _ => columns.push(column("user_id", Some("uid"))),
        }
        let name = format!("{schema}{theirs}");
        ((*ours).to_owned(), TableMapping { name, columns: columns.into_iter().collect() })
    };
    Mapping { id, tables: LEGACY.iter().map(table).collect() }
}

/// What a tenant is told, but for scores, which the application does not have, and for ids.
async fn told(database: &Database, tenant: &str) -> String {
    let zone = Zone::parse("Asia/Kolkata").expect("a zone");
    let spans = periods("2026-05-01", "2026-06-16", Granularity::Week, &zone).expect("a range");
    let asked = MetricsAsked { now_us: NOW_US, zone, compare_days: 14 };
    let mut metrics = database.metrics(tenant, &asked).await.expect("figures");
    metrics.engagement.avg_score_30d = None;
    let growth = database.user_growth(tenant, &spans).await.expect("growth");
    let content = database.content_created(tenant, &spans).await.expect("content");
    let engagement = database.engagement(tenant, &spans).await.expect("engagement");
    let types = vec!["login".to_owned(), "user_created".to_owned()];
    let mut feed = Vec::new();
    for types in [Vec::new(), types] {
        let asked = ActivityAsked { types, limit: 50, ..ActivityAsked::default() };
        let page = database.activity(tenant, &asked).await.expect("a page");
        feed.extend(
            page.items.into_iter().map(|item| (item.id, item.activity_type, item.user_name, item.summary)),
        );
    }
    assert!(metrics.users.total > 0 && !feed.is_empty());
    let zone = database.tenant_zone(tenant).await.expect("an answer").expect("a zone");
    format!("{zone}\n{metrics:?}\n{growth:?}\n{content:?}\n{engagement:?}\n{feed:?}")
}

async fn legacy(url: DatabaseUrl, mapping: Mapping) -> Database {
    let settings = DatabaseSettings { url, mapping, read_only: true, ..DatabaseSettings::default() };
    Database::open(&settings, Access::Read).await.expect("it opens")
}

#[tokio::test]
async fn another_schema_with_other_ids_tells_the_same_to_somebody_who_may_only_read() {
    let server = Postgres::start().await;
    let ours = filled(&server.database("app"), &SEED).await;
    // Ids of another kind, roles of a type of its own.
    let number = "('x' || substr(ID::text, 1, 8))::bit(32)::bigint";
    let mut sql =
        "CREATE SCHEMA school; CREATE TYPE school.kind AS ENUM ('admin', 'teacher', 'student', 'parent');"
            .to_owned();
    for (_, theirs, select) in LEGACY {
        let select = select.replace("role AS kind", "role::school.kind AS kind");
        let select = ["id", "organization_id", "user_id"]
            .iter()
            .fold(select, |select, id| select.replace(&format!("ID({id})"), &number.replace("ID", id)));
        sql += &format!("CREATE TABLE school.{theirs} AS {select};");
    }
    sql += "CREATE ROLE reader LOGIN; GRANT USAGE ON SCHEMA school TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA school TO reader";
    server.ask("app", &sql);
    let tenant = server.ask("app", "SELECT id FROM organizations ORDER BY slug LIMIT 1");
    let theirs =
        server.ask("app", &format!("SELECT {} FROM (SELECT '{tenant}' AS id) t", number.replace("ID", "id")));
    let url = DatabaseUrl::parse(&server.url_as("reader", "app")).expect("a URL");
    let legacy = legacy(url, mapping(IdType::Bigint, "school.")).await;
    assert_eq!(told(&legacy, &theirs).await, told(&ours, &tenant).await);
    let zone = Zone::parse("UTC").expect("a zone");
    let asked = MetricsAsked { now_us: NOW_US, zone, compare_days: 14 };
    let refused = legacy.metrics(&tenant, &asked).await.expect_err("no number");
    assert!(refused.kind == FaultKind::UnknownTenant && refused.remedy.contains("mapping.id"), "{refused}");
    let refused =
        legacy.refresh_rollups("2026-06-01", "2026-06-02", "2026-06-01").await.expect_err("read-only");
    assert_eq!(refused.kind, FaultKind::Refused, "{refused}");
    ours.close().await;
    legacy.close().await;
}

#[tokio::test]
async fn a_file_under_other_names_tells_the_same() {
    let Place { database: ours, folder } = sqlite(&SEED).await;
    for (_, theirs, select) in LEGACY {
        let select = select.replace("ID(", "(");
        let ask = crate::companion::data::row::Ask::new(
            "a test",
            ("", Box::leak(format!("CREATE TABLE {theirs} AS {select}").into())),
            vec![],
        );
        ours.change(&[ask]).await.expect("it is made");
    }
    let url = DatabaseUrl::Sqlite(folder.path().join("a.db"));
    let legacy = legacy(url, mapping(IdType::Text, "")).await;
    let ask = crate::companion::data::row::Ask::new(
        "a test",
        ("", "SELECT id FROM organizations ORDER BY slug LIMIT 1"),
        vec![],
    );
    let tenant = ours.rows(&ask).await.expect("rows")[0].text("id").expect("a text");
    assert_eq!(told(&legacy, &tenant).await, told(&ours, &tenant).await);
}

#[tokio::test]
async fn figures_come_from_the_replica_and_everything_else_does_not() {
    let server = Postgres::start().await;
    let primary = server.database("app");
    filled(&primary, &SEED).await.close().await;
    let settings =
        DatabaseSettings { replica: DatabaseUrl::parse(&server.database("replica")), ..settings(&primary) };
    let database = Database::open(&settings, Access::Read).await.expect("it opens");
    let tenant = server.ask("app", "SELECT id FROM organizations LIMIT 1");
    // The replica of this test has no tables: whoever asks it is told so.
    let fault = database.activity(&tenant, &ActivityAsked { limit: 1, ..ActivityAsked::default() }).await;
    let fault = fault.expect_err("no table");
    assert!(fault.kind == FaultKind::NotMigrated && fault.place.ends_with("/replica"), "{fault}");
    assert!(!database.indexes().await.expect("of the primary").is_empty());
    database.close().await;
}
