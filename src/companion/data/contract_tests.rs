//! Both engines with the same data give the same answers, and these are what counting row by row gives.

use crate::base::calendar::DAY_US;
use crate::companion::data::row::{Arg, Ask};
use crate::companion::data::testing::{NOW_US, Place, Postgres, SEED, filled, sqlite};
use crate::companion::data::{
    Activity, ActivityAsked, Database, FaultKind, FeedPosition, Granularity, Metrics, MetricsAsked, Period,
    SeedAsked, Zone, periods,
};
use std::collections::{BTreeMap, BTreeSet};

const ZONES: &[&str] = &["UTC", "America/New_York", "Asia/Kolkata"];

fn zone(name: &str) -> Zone {
    Zone::parse(name).expect("a zone")
}

fn asked(name: &str) -> MetricsAsked {
    MetricsAsked { now_us: NOW_US, zone: zone(name), compare_days: 14 }
}

fn spans(granularity: Granularity, name: &str) -> Vec<Period> {
    periods("2026-04-20", "2026-06-16", granularity, &zone(name)).expect("a range")
}

/// The same text for both engines.
async fn texts(database: &Database, sql: &'static str, args: Vec<Arg>) -> Vec<String> {
    let ask = Ask::new("a test", (sql, sql), args);
    let rows = database.rows(&ask).await.expect("an answer");
    rows.iter().map(|row| row.text("it").expect("a text")).collect()
}

async fn tenants(database: &Database) -> Vec<String> {
    texts(database, "SELECT CAST(id AS text) AS it FROM organizations ORDER BY slug", vec![]).await
}

/// Everything that a tenant can be told.
async fn told(database: &Database, tenant: &str) -> String {
    let mut told = String::new();
    for name in ZONES {
        let metrics = database.metrics(tenant, &asked(name)).await.expect("figures");
        told += &rounded(&metrics);
        for granularity in [Granularity::Day, Granularity::Week, Granularity::Month] {
            let spans = spans(granularity, name);
            let growth = database.user_growth(tenant, &spans).await.expect("growth");
            let content = database.content_created(tenant, &spans).await.expect("content");
            told += &format!("{growth:?}\n{content:?}\n");
            for span in database.engagement(tenant, &spans).await.expect("engagement") {
                let average = span.avg_session_seconds.map(|average| format!("{average:.6}"));
                told += &format!("{} {} {} {average:?}\n", span.date, span.sessions, span.active_users);
            }
        }
    }
    for asked in feeds(database, tenant).await {
        told += &format!("{:?}\n", walk(database, tenant, &asked).await);
    }
    told
}

/// Averages are sums in another order: the last digits may differ.
fn rounded(metrics: &Metrics) -> String {
    let mut metrics = metrics.clone();
    let round = |value: Option<f64>| value.map(|value| (value * 1e6).round() / 1e6);
    metrics.engagement.avg_session_seconds = round(metrics.engagement.avg_session_seconds);
    metrics.engagement.avg_score_30d = round(metrics.engagement.avg_score_30d);
    format!("{metrics:?}\n")
}

async fn feeds(database: &Database, tenant: &str) -> Vec<ActivityAsked> {
    let sql =
        "SELECT CAST(id AS text) AS it FROM users WHERE CAST(organization_id AS text) = $1 ORDER BY username";
    let user = texts(database, sql, vec![Arg::Text(tenant.to_owned())]).await.swap_remove(0);
    let all = ActivityAsked { limit: 100, ..ActivityAsked::default() };
    let range = ActivityAsked {
        since_us: Some(NOW_US - 20 * DAY_US),
        until_us: Some(NOW_US - 3 * DAY_US),
        ..all.clone()
    };
    let types = |types: &[&str]| types.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>();
    vec![
        all.clone(),
        ActivityAsked { limit: 7, ..range.clone() },
        ActivityAsked { types: types(&["login"]), limit: 20, ..all.clone() },
        ActivityAsked {
            types: types(&["settings_changed", "user_created", "user_created"]),
            limit: 3,
            ..range
        },
        ActivityAsked { types: types(&["nothing of the kind"]), ..all.clone() },
        ActivityAsked { user: Some(user.clone()), limit: 2, ..all.clone() },
        ActivityAsked { user: Some(user), types: types(&["login"]), ..all.clone() },
        ActivityAsked { user: Some("nobody".to_owned()), ..all },
    ]
}

/// All pages of a feed, one after the other.
async fn walk(database: &Database, tenant: &str, asked: &ActivityAsked) -> Vec<Activity> {
    let mut asked = asked.clone();
    let mut all = Vec::new();
    loop {
        let page = database.activity(tenant, &asked).await.expect("a page");
        assert!(page.items.len() <= usize::from(asked.limit));
        all.extend(page.items);
        let Some(next) = page.next else { return all };
        asked.after = Some(next);
    }
}

#[tokio::test]
async fn both_engines_answer_every_question_in_the_same_way() {
    let server = Postgres::start().await;
    let postgres = filled(&server.database("app"), &SEED).await;
    let sqlite = sqlite(&SEED).await;
    let tenants = tenants(&postgres).await;
    assert_eq!(tenants.len(), 4);
    for tenant in &tenants {
        assert_eq!(told(&postgres, tenant).await, told(&sqlite.database, tenant).await);
    }
    let rollups = "SELECT organization_id || ' ' || day || ' ' || new_users || ' ' || content_created || ' ' || content_published \
        || ' ' || sessions || ' ' || active_users || ' ' || session_seconds AS it FROM metrics_daily ORDER BY it";
    let rolled = texts(&postgres, rollups, vec![]).await;
    assert_eq!(rolled, texts(&sqlite.database, rollups, vec![]).await);
    assert!(rolled.len() > 4 * 50, "{}", rolled.len());
    let users =
        "SELECT organization_id || ' ' || day || ' ' || user_id AS it FROM user_activity_days ORDER BY it";
    assert_eq!(texts(&postgres, users, vec![]).await, texts(&sqlite.database, users, vec![]).await);
    postgres.close().await;
}

/// Rows of a tenant as texts, to count by hand.
async fn rows(place: &Place, tenant: &str, sql: &'static str) -> Vec<Vec<String>> {
    let rows = texts(&place.database, sql, vec![Arg::Text(tenant.to_owned())]).await;
    rows.iter().map(|row| row.split(' ').map(str::to_owned).collect()).collect()
}

fn number(text: &str) -> i64 {
    text.parse().expect("a number")
}

#[tokio::test]
async fn figures_are_what_counting_row_by_row_gives() {
    let place = sqlite(&SEED).await;
    for tenant in tenants(&place.database).await {
        let sql = "SELECT role || ' ' || created_at || ' ' || coalesce(last_login_at, -1) AS it FROM users \
            WHERE organization_id = ?1 AND deleted_at IS NULL";
        let users = rows(&place, &tenant, sql).await;
        let metrics = place.database.metrics(&tenant, &asked("Asia/Kolkata")).await.expect("figures");
        // 12:34:56 UTC is 18:04:56 in Kolkata.
        let midnight_us = NOW_US - (18 * 3_600 + 4 * 60 + 56) * 1_000_000;
        let count =
            |is: &dyn Fn(&Vec<String>) -> bool| i64::try_from(users.iter().filter(|user| is(user)).count());
        let within = |at: i64, from: i64, to: i64| at >= from && at < to;
        let expected = [
            count(&|_| true),
            count(&|user| number(&user[2]) >= midnight_us),
            count(&|user| number(&user[2]) >= NOW_US - 7 * DAY_US),
            count(&|user| number(&user[1]) >= NOW_US - 30 * DAY_US),
            count(&|user| number(&user[1]) >= NOW_US - 14 * DAY_US),
            count(&|user| within(number(&user[1]), NOW_US - 28 * DAY_US, NOW_US - 14 * DAY_US)),
        ];
        let told = &metrics.users;
        let told = [told.total, told.active_today, told.active_week, told.new_30d, told.new, told.new_before];
        assert_eq!(told, expected.map(|count| count.expect("small")));
        assert!(told[0] > 0 && metrics.users.by_role.values().sum::<i64>() == told[0]);

        let sql = "SELECT user_id || ' ' || started_at || ' ' || coalesce(duration_seconds, -1) AS it \
            FROM user_sessions WHERE organization_id = ?1";
        let sessions = rows(&place, &tenant, sql).await;
        let spans = spans(Granularity::Day, "America/New_York");
        let engagement = place.database.engagement(&tenant, &spans).await.expect("engagement");
        for (span, figures) in spans.iter().zip(&engagement) {
            let begun: Vec<&Vec<String>> =
                sessions.iter().filter(|row| within(number(&row[1]), span.begins_us, span.ends_us)).collect();
            let users: BTreeSet<&String> = begun.iter().map(|row| &row[0]).collect();
            let expected = (span.date.as_str(), begun.len(), users.len());
            let told = (figures.date.as_str(), figures.sessions, figures.active_users);
            assert_eq!(
                (told.0, usize::try_from(told.1), usize::try_from(told.2)),
                (expected.0, Ok(expected.1), Ok(expected.2))
            );
            assert_eq!(figures.avg_session_seconds.is_some(), begun.iter().any(|row| row[2] != "-1"));
        }
        let total: i64 = engagement.iter().map(|span| span.sessions).sum();
        assert_eq!(usize::try_from(total), Ok(sessions.len()), "every session is in one day");

        let growth = place.database.user_growth(&tenant, &spans).await.expect("growth");
        assert_eq!(growth.last().map(|span| span.total), Some(metrics.users.total));
        let content = place.database.content_created(&tenant, &spans).await.expect("content");
        assert_eq!(content.iter().map(|span| span.total).sum::<i64>(), metrics.content.total);
        let mut by_status = BTreeMap::new();
        for (status, count) in content.iter().flat_map(|span| &span.by_status) {
            *by_status.entry(status.clone()).or_insert(0) += count;
        }
        assert_eq!(by_status, metrics.content.by_status);
    }
}

#[tokio::test]
async fn pages_of_the_feed_are_the_feed_whatever_comes_in_meanwhile() {
    let place = sqlite(&SEED).await;
    let tenant = tenants(&place.database).await.swap_remove(0);
    let sql = "SELECT id || ' ' || created_at || ' ' || activity_type || ' ' || user_id AS it FROM activity_log \
        WHERE organization_id = ?1 ORDER BY created_at DESC, id DESC";
    for asked in feeds(&place.database, &tenant).await {
        let (since, until) = (asked.since_us.unwrap_or(0), asked.until_us.unwrap_or(i64::MAX));
        let is_wanted = |row: &Vec<String>| {
            let at = number(&row[1]);
            let is_type = asked.types.is_empty() || asked.types.contains(&row[2]);
            at >= since && at < until && is_type && asked.user.as_ref().is_none_or(|user| *user == row[3])
        };
        let all = rows(&place, &tenant, sql).await;
        let expected: Vec<i64> = all.iter().filter(|row| is_wanted(row)).map(|row| number(&row[0])).collect();
        let told: Vec<i64> =
            walk(&place.database, &tenant, &asked).await.iter().map(|item| item.id).collect();
        assert_eq!(told, expected, "{asked:?}");
    }
    let asked = ActivityAsked { limit: 5, ..ActivityAsked::default() };
    let first = place.database.activity(&tenant, &asked).await.expect("a page");
    let behind = ActivityAsked { after: first.next, ..asked.clone() };
    let before = place.database.activity(&tenant, &behind).await.expect("a page");
    let insert = "INSERT INTO activity_log (organization_id, activity_type, summary, created_at) VALUES (?1, 'login', 'new', ?2)";
    let args = vec![Arg::Text(tenant.clone()), Arg::Integer(NOW_US + 1)];
    place.database.change(&[Ask::new("a test", ("", insert), args)]).await.expect("it is written");
    assert_eq!(place.database.activity(&tenant, &behind).await.expect("a page"), before);
    assert_eq!(place.database.activity(&tenant, &asked).await.expect("a page").items[0].summary, "new");
}

#[tokio::test]
async fn a_tenant_is_told_the_same_whatever_others_have() {
    let place = sqlite(&SEED).await;
    let tenants = tenants(&place.database).await;
    let mut before = Vec::new();
    for tenant in &tenants {
        before.push(told(&place.database, tenant).await);
    }
    let more = SeedAsked { seed: 8, append: true, ..SEED };
    place.database.seed(&more, &mut |_, _| {}).await.expect("it is filled");
    for (tenant, before) in tenants.iter().zip(before) {
        assert_eq!(told(&place.database, tenant).await, before);
    }
    let nobody = "00000000-0000-4000-8000-000000000000";
    let told = place.database.metrics(nobody, &asked("UTC")).await.expect("figures");
    assert_eq!(told, Metrics::default(), "a tenant that is not there has nothing");
}

#[tokio::test]
async fn a_row_that_names_another_tenants_user_tells_nothing_about_them() {
    let server = Postgres::start().await;
    let postgres = filled(&server.database("app"), &SEED).await;
    let sqlite = sqlite(&SEED).await;
    for database in [&postgres, &sqlite.database] {
        let tenants = tenants(database).await;
        let sql = "SELECT CAST(id AS text) AS it FROM users WHERE CAST(organization_id AS text) = $1";
        let stranger = texts(database, sql, vec![Arg::Text(tenants[1].clone())]).await.swap_remove(0);
        let texts = (
            "INSERT INTO activity_log (organization_id, user_id, activity_type, summary, created_at) \
                VALUES ($1::uuid, $2::uuid, 'login', 'crossed', to_timestamp($3 / 1000000.0))",
            "INSERT INTO activity_log (organization_id, user_id, activity_type, summary, created_at) \
                VALUES (?1, ?2, 'login', 'crossed', ?3)",
        );
        let args = vec![Arg::Text(tenants[0].clone()), Arg::Text(stranger.clone()), Arg::Integer(NOW_US + 5)];
        database.change(&[Ask::new("a test", texts, args)]).await.expect("it is written");
        let asked = ActivityAsked { limit: 1, ..ActivityAsked::default() };
        let page = database.activity(&tenants[0], &asked).await.expect("a page");
        assert_eq!((page.items[0].summary.as_str(), &page.items[0].user_name), ("crossed", &None));
        let asked = ActivityAsked { user: Some(stranger), limit: 100, ..ActivityAsked::default() };
        let page = database.activity(&tenants[0], &asked).await.expect("a page");
        let told: Vec<&str> = page.items.iter().map(|item| item.summary.as_str()).collect();
        assert_eq!(told, ["crossed"], "of the stranger's own feed nothing");
    }
    let refused = postgres.metrics("acme' OR true --", &asked("UTC")).await.expect_err("no id");
    assert_eq!(refused.kind, FaultKind::UnknownTenant, "{refused}");
    let told = sqlite.database.metrics("acme' OR true --", &asked("UTC")).await.expect("nobody");
    assert_eq!(told, Metrics::default());
    postgres.close().await;
}

#[tokio::test]
async fn counting_days_anew_changes_nothing_and_follows_what_was_deleted() {
    let place = sqlite(&SEED).await;
    let all = "SELECT organization_id || ' ' || day || ' ' || sessions || ' ' || active_users || ' ' || session_seconds AS it \
        FROM metrics_daily ORDER BY it";
    let before = texts(&place.database, all, vec![]).await;
    place.database.refresh_rollups("2026-05-01", "2026-06-15", "2026-06-13").await.expect("counted");
    assert_eq!(texts(&place.database, all, vec![]).await, before);
    let delete =
        Ask::new("a test", ("", "DELETE FROM user_sessions WHERE started_at >= ?1"), vec![Arg::Integer(0)]);
    place.database.change(&[delete]).await.expect("it is written");
    place.database.refresh_rollups("2026-05-01", "2026-06-15", "2026-06-13").await.expect("counted");
    let left = "SELECT CAST(count(*) AS TEXT) AS it FROM metrics_daily WHERE day >= '2026-05-01' AND day <= '2026-06-15' AND \
        (sessions > 0 OR active_users > 0)";
    assert_eq!(texts(&place.database, left, vec![]).await, ["0"]);
    let outside =
        "SELECT CAST(count(*) AS TEXT) AS it FROM metrics_daily WHERE day < '2026-05-01' AND sessions > 0";
    assert_ne!(texts(&place.database, outside, vec![]).await, ["0"], "other days stay");
    let fault = place
        .database
        .refresh_rollups("2026-06-15", "2026-05-01", "2026-06-13")
        .await
        .expect_err("backwards");
    assert_eq!(fault.kind, FaultKind::Refused);
}

#[tokio::test]
async fn the_same_seed_makes_the_same_data() {
    let (one, two) = (sqlite(&SEED).await, sqlite(&SEED).await);
    let other = sqlite(&SeedAsked { seed: 9, ..SEED }).await;
    let tenant = tenants(&one.database).await.swap_remove(0);
    assert_eq!(told(&one.database, &tenant).await, told(&two.database, &tenant).await);
    assert_ne!(tenants(&one.database).await, tenants(&other.database).await);
    let again = one.database.seed(&SEED, &mut |_, _| {}).await.expect_err("there is data");
    assert_eq!(again.kind, FaultKind::Refused);
    assert!(FeedPosition { occurred_at_us: 1, id: 9 } < FeedPosition { occurred_at_us: 2, id: 0 });
}

/// A statement without an answer.
async fn change(database: &Database, sql: &'static str, args: Vec<Arg>) {
    database.change(&[Ask::new("a test", (sql, sql), args)]).await.expect("it is written");
}

/// Sessions of every tenant by every granularity, in its own zone and in another.
async fn engagements(database: &Database) -> String {
    let mut told = String::new();
    for tenant in tenants(database).await {
        let own = database.tenant_zone(&tenant).await.expect("an answer").expect("a zone");
        for name in [own.as_str(), "Pacific/Auckland"] {
            for granularity in [Granularity::Day, Granularity::Week, Granularity::Month] {
                let told_of = database.engagement(&tenant, &spans(granularity, name)).await;
                told += &format!("{tenant} {name} {:?}\n", told_of.expect("engagement"));
            }
        }
    }
    told
}

#[tokio::test]
async fn settled_days_are_read_from_rollups_and_the_answer_is_that_of_counting() {
    let server = Postgres::start().await;
    let postgres = filled(&server.database("app"), &SEED).await;
    let sqlite = sqlite(&SEED).await;
    let mut answers = BTreeSet::new();
    for database in [&postgres, &sqlite.database] {
        let rolled = engagements(database).await;
        // What is not settled yet is not read, whatever is there.
        change(database, "UPDATE metrics_daily SET sessions = sessions + 1000 WHERE NOT settled", vec![])
            .await;
        assert_eq!(engagements(database).await, rolled);
        let settled = "SELECT CAST(max(day) AS text) AS it FROM metrics_daily WHERE settled";
        assert_eq!(texts(database, settled, vec![]).await, ["2026-06-13"], "two days before the fifteenth");
        change(database, "UPDATE metrics_daily SET sessions = sessions + 1000 WHERE settled", vec![]).await;
        let read = engagements(database).await;
        assert!(read != rolled && read.contains("sessions: 100"), "settled days are read");
        change(database, "DELETE FROM user_activity_days", vec![]).await;
        assert_ne!(engagements(database).await, read, "so are their users");
        change(database, "DELETE FROM metrics_daily", vec![]).await;
        assert_eq!(engagements(database).await, rolled, "counting alone gives the same");
        // A tenant that moves has other days.
        database.refresh_rollups("2026-04-20", "2026-06-16", "2026-06-13").await.expect("counted");
        change(database, "UPDATE metrics_daily SET sessions = 9, timezone = 'Pacific/Apia'", vec![]).await;
        assert_eq!(engagements(database).await, rolled, "days of another zone are not read");
        answers.insert(rolled);
    }
    assert_eq!(answers.len(), 1, "both engines tell the same");
    postgres.close().await;
}

#[tokio::test]
async fn a_session_that_was_ended_and_a_conflict_are_worth_another_try() {
    let server = Postgres::start().await;
    let database = filled(&server.database("app"), &SEED).await;
    for (code, kind) in [
        ("57P01", FaultKind::Unreachable),
        ("57P02", FaultKind::Unreachable),
        ("25P03", FaultKind::Unreachable),
        ("08006", FaultKind::Unreachable),
        ("08P01", FaultKind::Unreachable),
        ("40001", FaultKind::Busy),
        ("40P01", FaultKind::Busy),
        ("53300", FaultKind::Busy),
        ("57014", FaultKind::Slow),
        ("22012", FaultKind::Failed),
    ] {
        let raise = format!("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{code}'; END $$");
        let ask = Ask::new("a test", (Box::leak(raise.into()), ""), vec![]);
        let fault = database.change(&[ask]).await.expect_err("it is raised");
        assert_eq!(fault.kind, kind, "{code}: {fault}");
    }
    database.close().await;
}
