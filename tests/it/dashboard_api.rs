//! The dashboard's figures over HTTP: each is what counting in SQL by another program gives.

use crate::support::engines::on_both_engines;
use crate::support::{Engine, Tenant};
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
    totals_are_of_the_whole_range_and_of_as_many_days_before,
    weeks_and_months_are_made_of_their_days,
    ranges_and_time_zones_that_cannot_be_are_refused,
    a_range_of_the_first_years_is_refused_and_not_a_failure_of_the_engine,
);

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn whole(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("no whole number: {value}"))
}

/// So much of the begin of a text in ASCII.
fn head(text: &str, length: usize) -> &str {
    text.split_at_checked(length).expect("long enough").0
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

/// Another way to a tenant's figures than ours.
struct Counted<'e> {
    engine: &'e Engine,
    tenant: &'e Tenant,
    now: i64,
    midnight: i64,
}

impl Counted<'_> {
    fn of(&self, what: &str, table: &str, rest: &str) -> String {
        format!("SELECT {what} FROM {table} WHERE organization_id = '{}' AND {rest}", self.tenant.id)
    }

    fn count(&self, table: &str, rest: &str) -> i64 {
        self.engine.number(&self.of("count(*)", table, rest))
    }

    /// Nothing where there is no row with a value.
    fn average(&self, column: &str, table: &str, rest: &str) -> String {
        let what = format!("'a' || coalesce(cast(avg({column}) AS text), '')");
        self.engine.ask(&self.of(&what, table, rest))[0].trim_start_matches('a').to_owned()
    }

    /// By the values of a column.
    fn by(&self, column: &str, table: &str) -> Value {
        let rest = format!("deleted_at IS NULL GROUP BY {column}");
        counts(&self.engine.ask(&self.of(&format!("{column}, count(*)"), table, &rest)))
    }

    fn since(&self, column: &str, micros: i64) -> String {
        format!("{} >= {micros}", self.engine.micros(column))
    }

    fn within_days(&self, column: &str, days: i64) -> String {
        self.since(column, self.now - days * DAY_US)
    }

    fn users(&self, told: &Value) {
        let count = |rest: &str| self.count("users", &format!("deleted_at IS NULL AND {rest}"));
        assert!(self.tenant.users > 5 && whole(&told["total"]) == self.tenant.users, "{told}");
        assert_eq!(whole(&told["total"]), count("1 = 1"));
        assert_eq!(whole(&told["active_today"]), count(&self.since("last_login_at", self.midnight)));
        assert_eq!(whole(&told["active_week"]), count(&self.within_days("last_login_at", 7)));
        assert_eq!(whole(&told["new_30d"]), count(&self.within_days("created_at", 30)));
        let new = count(&self.within_days("created_at", 14));
        let before = count(&self.within_days("created_at", 28)) - new;
        let expected = if before == 0 { String::new() } else { ((new - before) * 100 / before).to_string() };
        let growth = told["growth_rate"].as_f64().map_or(String::new(), |rate| format!("{}", rate.trunc()));
        assert_eq!(growth.replace("-0", "0"), expected, "{new} after {before}");
        assert_eq!(told["by_role"], self.by("role", "users"));
    }

    fn content(&self, told: &Value) {
        let table = "educational_content";
        let count = |rest: &str| self.count(table, &format!("deleted_at IS NULL AND {rest}"));
        assert_eq!(whole(&told["total"]), count("1 = 1"));
        let statuses = ["published", "draft", "review", "archived"];
        for (name, status) in ["published", "draft", "in_review", "archived"].iter().zip(statuses) {
            assert_eq!(whole(&told[name]), count(&format!("status = '{status}'")), "{name}");
        }
        assert_eq!(told["by_type"], self.by("content_type", table));
    }

    fn engagement(&self, told: &Value) {
        let (table, week) = ("user_sessions", self.within_days("started_at", 7));
        assert_eq!(
            whole(&told["sessions_today"]),
            self.count(table, &self.since("started_at", self.midnight))
        );
        assert_eq!(whole(&told["sessions_week"]), self.count(table, &week));
        let users = |rest: &str| self.engine.number(&self.of("count(DISTINCT user_id)", table, rest));
        assert_eq!(whole(&told["active_users_week"]), users(&week));
        assert!(
            is_near(&told["avg_session_seconds"], &self.average("duration_seconds", table, &week)),
            "{told}"
        );
        let seen = self.since("last_seen_at", self.now - 300_000_000);
        assert_eq!(whole(&told["online_now"]), users(&format!("ended_at IS NULL AND {seen}")));
        let (table, month) = ("lesson_progress", self.within_days("completed_at", 30));
        assert_eq!(whole(&told["lessons_completed_30d"]), self.count(table, &month));
        assert!(is_near(&told["avg_score_30d"], &self.average("score", table, &month)), "{told}");
    }
}

async fn the_figures_of_the_first_page_are_those_of_counting(engine: Engine) {
    let companion = engine.companion("gateways: [], ").await;
    for tenant in &engine.seeded.tenants {
        let answer = companion.figures(tenant, "metrics?compare=14d&tz=Asia/Kolkata").await.json();
        let (data, metadata) = (&answer["data"], &answer["metadata"]);
        let now = parse_us(text(&metadata["timestamp"])).expect("a moment");
        let midnight = (now + KOLKATA_US) / DAY_US * DAY_US - KOLKATA_US;
        let counted = Counted { engine: &engine, tenant, now, midnight };
        counted.users(&data["users"]);
        counted.content(&data["content"]);
        counted.engagement(&data["engagement"]);
        assert_eq!(metadata["organization_id"], tenant.id.as_str());
        let system = &data["system"];
        assert_eq!((&system["status"], &system["uptime_seconds"]), (&json!("unknown"), &Value::Null));
    }
}

/// Rows of a table by the number of the day in Kolkata in which `column` lies.
fn by_day(
    engine: &Engine,
    tenant: &Tenant,
    what: &str,
    (table, column): (&str, &str),
) -> BTreeMap<i64, String> {
    let day = format!("({} + {KOLKATA_US}) / {DAY_US}", engine.micros(column));
    let live = if table == "user_sessions" { "" } else { " AND deleted_at IS NULL" };
    let sql =
        format!("SELECT {day}, {what} FROM {table} WHERE organization_id = '{}'{live} GROUP BY 1", tenant.id);
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
        let users = by_day(&engine, tenant, "count(*)", ("users", "created_at"));
        let content = by_day(&engine, tenant, "count(*)", ("educational_content", "created_at"));
        let figures = "count(*) || ' ' || count(DISTINCT user_id) || ' ' || coalesce(cast(avg(duration_seconds) AS text), '')";
        let sessions = by_day(&engine, tenant, figures, ("user_sessions", "started_at"));
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
    }
}

async fn totals_are_of_the_whole_range_and_of_as_many_days_before(engine: Engine) {
    let companion = engine.companion("").await;
    for tenant in &engine.seeded.tenants {
        let data = companion.data(tenant, "statistics?tz=Asia/Kolkata").await;
        let rows = |name: &str| data["series"][name].as_array().expect("a series").clone();
        let sum = |name: &str, figure: &str| rows(name).iter().map(|row| whole(&row[figure])).sum::<i64>();
        let totals = &data["totals"];
        assert_eq!(whole(&totals["users"]["new"]), sum("user_growth", "new"));
        assert_eq!(totals["users"]["total"], rows("user_growth")[29]["total"]);
        assert_eq!(whole(&totals["content"]["total"]), sum("content_created", "total"));
        assert_eq!(whole(&totals["engagement"]["sessions"]), sum("engagement", "sessions"));
        let begin = day_number(&data["from"]);
        let counted = |what: &str, table: &str, column: &str, from: i64| {
            let column = engine.micros(column);
            let (from, to) = (from * DAY_US - KOLKATA_US, (from + 30) * DAY_US - KOLKATA_US);
            engine.number(&format!(
                "SELECT {what} FROM {table} WHERE organization_id = '{}' AND {column} >= {from} AND {column} < {to}",
                tenant.id
            ))
        };
        let active = |from: i64| counted("count(DISTINCT user_id)", "user_sessions", "started_at", from);
        assert_eq!(whole(&totals["engagement"]["active_users"]), active(begin), "not the sum of the days'");
        let compare = &data["compare"];
        assert_eq!((day_number(&compare["from"]), day_number(&compare["to"])), (begin - 30, begin - 1));
        assert_eq!(whole(&compare["engagement"]["active_users"]), active(begin - 30));
        let live = "count(*) FILTER (WHERE deleted_at IS NULL)";
        assert_eq!(whole(&compare["users"]["new"]), counted(live, "users", "created_at", begin - 30));
        let made = counted(live, "educational_content", "created_at", begin - 30);
        assert_eq!(whole(&compare["content"]["total"]), made);
    }
}

async fn weeks_and_months_are_made_of_their_days(engine: Engine) {
    let companion = engine.companion("").await;
    let [tenant, _] = engine.two();
    let zone = "tz=Europe/Berlin&metrics=users,engagement";
    let now = head(text(&companion.figures(tenant, "metrics").await.json()["metadata"]["timestamp"]), 10)
        .to_owned();
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
    day_number(&json!(format!("{}-01", head(text(date), 7))))
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
        ("statistics?to=0000-01-01", 422, vec!["to"]),
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

async fn a_range_of_the_first_years_is_refused_and_not_a_failure_of_the_engine(engine: Engine) {
    let companion = engine.companion("").await;
    let [tenant, _] = engine.two();
    for (asked, fields) in [
        ("from=0001-01-01&to=0001-01-31", vec!["from", "to"]),
        ("from=0000-01-01&to=0000-01-31", vec!["from", "to"]),
        ("to=0001-01-05", vec!["to"]),
        ("from=1899-12-31&to=1900-01-31", vec!["from"]),
    ] {
        let answer = companion.figures(tenant, &format!("statistics?{asked}")).await;
        assert_eq!(answer.status, 422, "{asked}: {}", answer.text());
        let problem = answer.json();
        let told: Vec<&str> =
            problem["errors"].as_array().expect("errors").iter().map(|it| text(&it["field"])).collect();
        assert_eq!(told, fields, "{asked}");
    }
    for (asked, from, before) in [
        ("to=1900-01-05", "1900-01-01", "1900-01-01"),
        ("from=1900-01-11&to=1900-02-10", "1900-01-11", "1900-01-01"),
    ] {
        for zone in ["UTC", "Asia/Kolkata", "America/New_York"] {
            let data = companion.data(tenant, &format!("statistics?{asked}&tz={zone}")).await;
            assert_eq!(
                (text(&data["from"]), text(&data["compare"]["from"])),
                (from, before),
                "{asked} {zone}"
            );
            assert_eq!(data["totals"]["engagement"]["sessions"], 0);
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
        let (from, to) = (head(&counted[0], 10), head(&counted[counted.len() - 1], 10));
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
