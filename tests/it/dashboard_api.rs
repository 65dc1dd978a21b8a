//! The dashboard's figures over HTTP: each is what counting in SQL by another program gives, and each answer is as
//! `openapi.json` says.

use crate::support::engines::on_both_engines;
use crate::support::{Answer, Companion, Engine, Fetch, Seeded, Tenant};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tidegate::companion::parse_us;

pub(super) const SEED: &[&str] = &["--tenants", "3", "--users-per-tenant", "40", "--days", "70"];
const DAY_US: i64 = 86_400_000_000;
/// Kolkata is so far from UTC, all year.
const KOLKATA_US: i64 = 19_800_000_000;

on_both_engines!(SEED;
    the_figures_of_the_first_page_are_those_of_counting,
    figures_over_time_are_those_of_counting_day_by_day,
    weeks_and_months_are_made_of_their_days,
    ranges_and_time_zones_that_cannot_be_are_refused,
    answers_are_as_the_document_says,
);

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn whole(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("no whole number: {value}"))
}

/// Both are missing, or both are nearly the same.
fn is_near(told: &Value, counted: &str) -> bool {
    match told.as_f64() {
        None => counted.is_empty(),
        Some(told) => (told - counted.parse::<f64>().expect("a number")).abs() < 1e-6 * told.abs().max(1.0),
    }
}

/// `SELECT name, count` as an object.
fn counts(rows: &[String]) -> Value {
    let pair = |row: &String| {
        let (name, count) = row.split_once('|').expect("two columns");
        (name.to_owned(), json!(count.parse::<i64>().expect("a number")))
    };
    Value::Object(rows.iter().map(pair).collect())
}

async fn the_figures_of_the_first_page_are_those_of_counting(engine: Engine) {
    let companion = engine.companion("gateways: [], ").await;
    for tenant in &engine.seeded.tenants {
        let answer = companion.figures(tenant, "metrics?compare=14d&tz=Asia/Kolkata").await.json();
        let (data, metadata) = (&answer["data"], &answer["metadata"]);
        let now = parse_us(text(&metadata["timestamp"])).expect("a moment");
        let midnight = (now + KOLKATA_US) / DAY_US * DAY_US - KOLKATA_US;
        assert_eq!(
            (&metadata["organization_id"], &metadata["timezone"]),
            (&json!(tenant.id), &json!("Asia/Kolkata"))
        );
        let of = |table: &str, rest: &str| {
            format!("FROM {table} WHERE organization_id = '{}' AND {rest}", tenant.id)
        };
        let count = |table: &str, rest: &str| engine.number(&format!("SELECT count(*) {}", of(table, rest)));
        let after = |column: &str, from: i64| format!("{} >= {from}", engine.micros(column));
        let users = |rest: &str| count("users", &format!("deleted_at IS NULL AND {rest}"));
        let told = &data["users"];
        assert!(whole(&told["total"]) > 5, "{told}");
        assert_eq!(whole(&told["total"]), users("1 = 1"));
        assert_eq!(whole(&told["active_today"]), users(&after("last_login_at", midnight)));
        assert_eq!(whole(&told["active_week"]), users(&after("last_login_at", now - 7 * DAY_US)));
        assert_eq!(whole(&told["new_30d"]), users(&after("created_at", now - 30 * DAY_US)));
        let new = users(&after("created_at", now - 14 * DAY_US));
        let before = users(&after("created_at", now - 28 * DAY_US)) - new;
        let growth = if before == 0 { String::new() } else { format!("{}", (new - before) * 100 / before) };
        let told_growth =
            told["growth_rate"].as_f64().map_or(String::new(), |rate| format!("{}", rate.trunc()));
        assert_eq!(told_growth.replace("-0", "0"), growth, "{new} after {before}");
        let by_role = of("users", "deleted_at IS NULL GROUP BY role");
        assert_eq!(told["by_role"], counts(&engine.ask(&format!("SELECT role, count(*) {by_role}"))));
        let told = &data["content"];
        let content = |rest: &str| count("educational_content", &format!("deleted_at IS NULL AND {rest}"));
        assert_eq!(whole(&told["total"]), content("1 = 1"));
        for (name, status) in [
            ("published", "published"),
            ("draft", "draft"),
            ("in_review", "review"),
            ("archived", "archived"),
        ] {
            assert_eq!(whole(&told[name]), content(&format!("status = '{status}'")), "{name}");
        }
        let by_type = of("educational_content", "deleted_at IS NULL GROUP BY content_type");
        assert_eq!(told["by_type"], counts(&engine.ask(&format!("SELECT content_type, count(*) {by_type}"))));
        let told = &data["engagement"];
        let week = after("started_at", now - 7 * DAY_US);
        assert_eq!(whole(&told["sessions_today"]), count("user_sessions", &after("started_at", midnight)));
        assert_eq!(whole(&told["sessions_week"]), count("user_sessions", &week));
        let distinct = of("user_sessions", &week);
        let users = engine.number(&format!("SELECT count(DISTINCT user_id) {distinct}"));
        assert_eq!(whole(&told["active_users_week"]), users);
        let average = engine
            .ask(&format!("SELECT 'a' || coalesce(cast(avg(duration_seconds) AS text), '') {distinct}"));
        assert!(is_near(&told["avg_session_seconds"], &average[0][1..]), "{told} {average:?}");
        let online = format!("ended_at IS NULL AND {}", after("last_seen_at", now - 300_000_000));
        let online = format!("SELECT count(DISTINCT user_id) {}", of("user_sessions", &online));
        assert_eq!(whole(&told["online_now"]), engine.number(&online));
        let completed = after("completed_at", now - 30 * DAY_US);
        assert_eq!(whole(&told["lessons_completed_30d"]), count("lesson_progress", &completed));
        let score = format!(
            "SELECT 'a' || coalesce(cast(avg(score) AS text), '') {}",
            of("lesson_progress", &completed)
        );
        assert!(is_near(&told["avg_score_30d"], &engine.ask(&score)[0][1..]), "{told}");
        let system = &data["system"];
        assert_eq!(
            (&system["status"], &system["uptime_seconds"]),
            (&json!("unknown"), &Value::Null),
            "nobody to ask"
        );
    }
}

/// Rows of a statement by the number of the day in Kolkata.
fn by_day(
    engine: &Engine,
    tenant: &Tenant,
    what: &str,
    table: &str,
    column: &str,
    rest: &str,
) -> BTreeMap<i64, String> {
    let day = format!("({} + {KOLKATA_US}) / {DAY_US}", engine.micros(column));
    let sql = format!(
        "SELECT {day}, {what} FROM {table} WHERE organization_id = '{}' AND {rest} GROUP BY 1",
        tenant.id
    );
    let row = |row: String| {
        let (day, rest) = row.split_once('|').expect("two columns");
        (day.parse().expect("a day"), rest.to_owned())
    };
    engine.ask(&sql).into_iter().map(row).collect()
}

/// The day's number since 1970.
fn day_number(date: &Value) -> i64 {
    parse_us(&format!("{}T00:00:00Z", text(date))).expect("a day") / DAY_US
}

async fn figures_over_time_are_those_of_counting_day_by_day(engine: Engine) {
    let companion = engine.companion("").await;
    for tenant in &engine.seeded.tenants {
        let data = companion.data(tenant, "statistics?tz=Asia/Kolkata").await;
        let series = &data["series"];
        let rows = |name: &str| series[name].as_array().expect("a series").clone();
        for name in ["user_growth", "content_created", "engagement"] {
            let days: Vec<i64> = rows(name).iter().map(|row| day_number(&row["date"])).collect();
            assert_eq!(days.len(), 30, "the last thirty days by default");
            assert!(days.windows(2).all(|two| two[1] == two[0] + 1), "{name}: {days:?}");
        }
        let users = by_day(&engine, tenant, "count(*)", "users", "created_at", "deleted_at IS NULL");
        let is_live = "deleted_at IS NULL";
        let content = by_day(&engine, tenant, "count(*)", "educational_content", "created_at", is_live);
        let figures = "count(*) || ' ' || count(DISTINCT user_id) || ' ' || coalesce(cast(avg(duration_seconds) AS text), '')";
        let sessions = by_day(&engine, tenant, figures, "user_sessions", "started_at", "1 = 1");
        let number = |days: &BTreeMap<i64, String>, day: i64| -> i64 {
            days.get(&day).map_or(0, |count| count.parse().expect("a number"))
        };
        for row in rows("user_growth") {
            let day = day_number(&row["date"]);
            assert_eq!(whole(&row["new"]), number(&users, day), "{row}");
            let total: i64 = users.range(..=day).map(|(day, _)| number(&users, *day)).sum();
            assert_eq!(whole(&row["total"]), total, "{row}");
        }
        for row in rows("content_created") {
            assert_eq!(whole(&row["total"]), number(&content, day_number(&row["date"])), "{row}");
            let by_status = row["by_status"].as_object().expect("an object");
            assert_eq!(by_status.values().map(whole).sum::<i64>(), whole(&row["total"]));
        }
        for row in rows("engagement") {
            let counted = sessions.get(&day_number(&row["date"])).map_or("0 0 ", String::as_str);
            let [count, users, average] = counted.splitn(3, ' ').collect::<Vec<_>>()[..] else {
                panic!("{counted}")
            };
            assert_eq!(
                format!("{} {}", row["sessions"], row["active_users"]),
                format!("{count} {users}"),
                "{row}"
            );
            assert!(is_near(&row["avg_session_seconds"], average), "{row} {average}");
        }
        let sum = |name: &str, figure: &str| rows(name).iter().map(|row| whole(&row[figure])).sum::<i64>();
        let totals = &data["totals"];
        assert_eq!(whole(&totals["users"]["new"]), sum("user_growth", "new"));
        assert_eq!(totals["users"]["total"], rows("user_growth")[29]["total"]);
        assert_eq!(whole(&totals["content"]["total"]), sum("content_created", "total"));
        assert_eq!(whole(&totals["engagement"]["sessions"]), sum("engagement", "sessions"));
        let begin = day_number(&data["from"]);
        let active = |from: i64| {
            let column = engine.micros("started_at");
            let (from, to) = (from * DAY_US - KOLKATA_US, (from + 30) * DAY_US - KOLKATA_US);
            engine.number(&format!(
                "SELECT count(DISTINCT user_id) FROM user_sessions WHERE organization_id = '{}' AND {column} >= {from} AND {column} < {to}",
                tenant.id
            ))
        };
        assert_eq!(whole(&totals["engagement"]["active_users"]), active(begin));
        let compare = &data["compare"];
        assert_eq!((day_number(&compare["from"]), day_number(&compare["to"])), (begin - 30, begin - 1));
        assert_eq!(whole(&compare["engagement"]["active_users"]), active(begin - 30));
        let before: i64 = users.range(begin - 30..begin).map(|(day, _)| number(&users, *day)).sum();
        assert_eq!(whole(&compare["users"]["new"]), before);
    }
}

async fn weeks_and_months_are_made_of_their_days(engine: Engine) {
    let companion = engine.companion("").await;
    let [tenant, _] = engine.two();
    let zone = "tz=Europe/Berlin&metrics=users,engagement";
    let now =
        text(&companion.figures(tenant, "metrics").await.json()["metadata"]["timestamp"])[..10].to_owned();
    let from =
        companion.data(tenant, &format!("statistics?to={now}&{zone}")).await["compare"]["from"].clone();
    let asked = format!("from={}&to={now}&{zone}", text(&from));
    let days = companion.data(tenant, &format!("statistics?{asked}")).await;
    for (granularity, of) in [("week", monday as fn(&Value) -> i64), ("month", first)] {
        let data = companion.data(tenant, &format!("statistics?granularity={granularity}&{asked}")).await;
        assert_eq!(data["totals"], days["totals"], "the same range");
        assert!(data["series"].get("content_created").is_none() && data["totals"].get("content").is_none());
        for (name, figure) in [("user_growth", "new"), ("engagement", "sessions")] {
            let mut sums = BTreeMap::new();
            for row in days["series"][name].as_array().expect("a series") {
                *sums.entry(of(&row["date"])).or_insert(0) += whole(&row[figure]);
            }
            let rows = data["series"][name].as_array().expect("a series");
            let told: BTreeMap<i64, i64> =
                rows.iter().map(|row| (day_number(&row["date"]), whole(&row[figure]))).collect();
            assert_eq!(told, sums, "{granularity} {name}");
        }
    }
}

/// The number of the Monday before; day 0 was a Thursday.
fn monday(date: &Value) -> i64 {
    (day_number(date) + 3).div_euclid(7) * 7 - 3
}

fn first(date: &Value) -> i64 {
    day_number(&json!(format!("{}-01", &text(date)[..7])))
}

async fn ranges_and_time_zones_that_cannot_be_are_refused(engine: Engine) {
    let companion = engine.companion("").await;
    let [tenant, _] = engine.two();
    for (target, status, fields) in [
        ("statistics?from=2024-01-01&to=2025-12-31", 200, vec![]),
        ("statistics?from=2024-01-01&to=2026-01-01", 422, vec!["from"]),
        ("statistics?from=2026-01-02&to=2026-01-01", 422, vec!["to"]),
        ("statistics?from=2026-02-30", 422, vec!["from"]),
        ("statistics?from=9999-12-31&to=9999-12-31", 422, vec!["from"]),
        ("statistics?to=0000-01-01", 422, vec!["from"]),
        ("statistics?granularity=hour&metrics=users,cats&tz=Mars", 422, vec!["granularity", "metrics", "tz"]),
        ("metrics?tz=", 422, vec!["tz"]),
        ("metrics?compare=366d", 422, vec!["compare"]),
        ("metrics?compare=365d&tz=america/new_york", 200, vec![]),
        ("metrics?organization_id=x&compare=1", 400, vec!["organization_id", "compare"]),
        ("activity?limit=101", 422, vec!["limit"]),
        ("activity?limit=1&limit=2", 400, vec!["limit"]),
        ("activity?type=a%00b", 422, vec!["type"]),
    ] {
        let answer = companion.figures(tenant, target).await;
        assert_eq!(answer.status, status, "{target}: {}", answer.text());
        if status != 200 {
            answer.problem();
            let problem = answer.json();
            let told: Vec<&str> =
                problem["errors"].as_array().expect("errors").iter().map(|it| text(&it["field"])).collect();
            assert_eq!(told, fields, "{target}");
        }
    }
    let zone =
        companion.figures(tenant, "metrics?tz=america/new_york").await.json()["metadata"]["timezone"].take();
    assert_eq!(zone, "America/New_York");
}

/// The document's schema of that name.
pub(super) fn schema(document: &Value, name: &str) -> jsonschema::Validator {
    let schema =
        json!({"$ref": format!("#/components/schemas/{name}"), "components": document["components"]});
    jsonschema::validator_for(&schema).expect("a schema")
}

async fn answers_are_as_the_document_says(engine: Engine) {
    let companion = engine.companion("").await;
    let [tenant, _] = engine.two();
    let document = companion.get("/openapi.json").fetch().await.json();
    let check = |answer: &Answer, name: &str| {
        let body = answer.json();
        let faults: Vec<String> =
            schema(&document, name).iter_errors(&body).map(|it| it.to_string()).collect();
        assert!(faults.is_empty(), "{name}: {faults:?} in {body}");
    };
    for (target, name) in [
        ("metrics", "Metrics"),
        ("metrics?compare=1d&tz=UTC", "Metrics"),
        ("activity", "Activity"),
        ("activity?limit=100&type=login,content_published", "Activity"),
        ("activity?user_id=nobody", "Activity"),
        ("statistics", "Statistics"),
        ("statistics?granularity=month&metrics=engagement", "Statistics"),
        ("metrics?tz=Mars", "Problem"),
        ("activity?cursor=abc", "Problem"),
    ] {
        check(&companion.figures(tenant, target).await, name);
    }
    check(&companion.get("/api/v1/dashboard/metrics").fetch().await, "Problem");
    for (path, name) in
        [("/healthz", "Alive"), ("/livez", "Alive"), ("/readyz", "Ready"), ("/nowhere", "Problem")]
    {
        check(&companion.get(path).fetch().await, name);
    }
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let ok = &operation["responses"]["200"]["content"]["application/json"];
            if let (Some(example), Some(name)) = (ok.get("example"), ok["schema"]["$ref"].as_str()) {
                let name = name.rsplit('/').next().expect("a name");
                assert!(schema(&document, name).is_valid(example), "the example of {method} {path}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn days_of_a_zone_whose_clocks_change_are_those_of_postgresql() {
    let engine = Engine::postgres(&["--tenants", "2", "--users-per-tenant", "60", "--days", "300"]).await;
    let companion = engine.companion("").await;
    let [tenant, _] = engine.two();
    for zone in ["Europe/Berlin", "America/New_York", "Australia/Adelaide"] {
        let local = format!("(started_at AT TIME ZONE '{zone}')::date");
        let sql = format!(
            "SELECT {local}, count(*), count(DISTINCT user_id) FROM user_sessions WHERE organization_id = '{}' GROUP BY 1 ORDER BY 1",
            tenant.id
        );
        let counted = engine.ask(&sql);
        let (from, to) = (&counted[0][..10], &counted[counted.len() - 1][..10]);
        let data = companion
            .data(tenant, &format!("statistics?from={from}&to={to}&tz={zone}&metrics=engagement"))
            .await;
        let rows = data["series"]["engagement"].as_array().expect("a series");
        let told = rows.iter().filter(|row| row["sessions"] != 0);
        let told: Vec<String> = told
            .map(|row| format!("{}|{}|{}", text(&row["date"]), row["sessions"], row["active_users"]))
            .collect();
        assert_eq!(told, counted, "{zone}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_is_in_the_document_and_every_reference_leads_somewhere() {
    let seeded = Seeded::sqlite(&["--tenants", "1", "--users-per-tenant", "10", "--days", "5"]).await;
    let companion = Companion::start(&seeded.url, "").await;
    let text = companion.get("/openapi.json").fetch().await.text();
    let document: Value = serde_json::from_str(&text).expect("JSON");
    for reference in text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
    let routes = tidegate::companion::service::ROUTES;
    let mut listed = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for method in methods.as_object().expect("methods").keys() {
            listed.push((method.to_uppercase(), path.clone()));
            let request = companion.request(method.to_uppercase().parse().expect("a method"), path);
            let status = request.fetch().await.status;
            assert!(![404, 405].contains(&status), "{method} {path} answers {status}");
        }
    }
    let mut routes: Vec<(String, String)> =
        routes.iter().map(|(method, path)| ((*method).to_owned(), (*path).to_owned())).collect();
    routes.sort();
    listed.sort();
    assert_eq!(listed, routes);
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_tell_the_length_and_requests_are_counted_and_logged() {
    let seeded = Seeded::sqlite(&["--tenants", "1", "--users-per-tenant", "10", "--days", "5"]).await;
    let companion = Companion::start(&seeded.url, "").await;
    let tenant = &seeded.tenants[0];
    companion.figures(tenant, "statistics").await;
    let got = companion.figures(tenant, "statistics").await;
    let path = "/api/v1/dashboard/statistics";
    let head = companion.request(reqwest::Method::HEAD, path).bearer_auth(tenant.token()).fetch().await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    for name in ["content-length", "content-type", "etag", "vary"] {
        assert_eq!(head.header(name), got.header(name), "{name}");
    }
    assert_eq!(got.header("vary"), "Authorization");
    assert_eq!(got.header("x-content-type-options"), "nosniff");
    let counted = |method: &'static str| {
        let labels = [("route", path), ("method", method), ("status", "200")];
        let companion = &companion;
        async move { companion.metric("tidegate_requests_total", &labels).await }
    };
    assert_eq!((counted("GET").await, counted("HEAD").await), (2.0, 1.0));
    let wrong = companion.request(reqwest::Method::POST, path).fetch().await;
    assert_eq!((wrong.problem().0, wrong.header("allow")), (405, "GET,HEAD"));
    let log = companion.process.stderr();
    let line = log.lines().find(|line| line.contains(path) && line.contains("GET")).expect("a line");
    assert!(line.contains(&tenant.id) && line.contains(&tenant.admin) && line.contains("cache"), "{line}");
}
