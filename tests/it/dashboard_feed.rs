//! The feed page by page: the whole of it, once, whatever is added in front.

use crate::dashboard_api::SEED;
use crate::support::engines::on_both_engines;
use crate::support::{Companion, Engine, Tenant};
use serde_json::{Value, json};
use tidegate::companion::parse_us;

on_both_engines!(SEED;
    pages_are_the_feed_and_nothing_is_lost_or_told_twice_while_rows_are_added,
    a_filter_tells_what_counting_gives,
    a_cursor_is_good_for_its_tenant_and_its_filter_only,
);

/// The ids of a feed from page to page; `between` is called before each next one.
async fn walk(companion: &Companion, tenant: &Tenant, asked: &str, mut between: impl FnMut()) -> Vec<i64> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = companion.figures(tenant, &format!("activity?{asked}{cursor}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let page = answer.json();
        let items = page["data"]["items"].as_array().expect("items");
        assert!(
            items.len()
                <= usize::try_from(page["pagination"]["limit"].as_u64().expect("a limit")).expect("small")
        );
        ids.extend(items.iter().map(|item| item["id"].as_i64().expect("a number")));
        let Some(next) = page["pagination"]["next_cursor"].as_str() else {
            assert_eq!(page["pagination"]["has_more"], false);
            return ids;
        };
        assert_eq!(page["pagination"]["has_more"], true);
        cursor = format!("&cursor={next}");
        between();
    }
}

/// The ids of a tenant's feed as counted in SQL.
fn counted(engine: &Engine, tenant: &Tenant, rest: &str) -> Vec<i64> {
    let sql = format!(
        "SELECT id FROM activity_log WHERE organization_id = '{}' AND {rest} ORDER BY created_at DESC, id DESC",
        tenant.id
    );
    engine.ask(&sql).iter().map(|id| id.parse().expect("a number")).collect()
}

async fn pages_are_the_feed_and_nothing_is_lost_or_told_twice_while_rows_are_added(engine: Engine) {
    // Nothing is kept: the second walk sees what the first has added.
    let companion = engine.companion("cache: {activity: none}, ").await;
    let [tenant, other] = engine.two();
    let whole = counted(&engine, tenant, "1 = 1");
    assert!(whole.len() > 30, "{}", whole.len());
    assert_eq!(walk(&companion, tenant, "limit=100", || {}).await, whole);
    let mut added = 0;
    let walked = walk(&companion, tenant, "limit=7", || {
        added += 1;
        let later = engine.moment(4_000_000_000_000_000 + added);
        engine.ask(&format!(
            "INSERT INTO activity_log (organization_id, activity_type, summary, created_at) VALUES ('{}', 'login', 'new', {later})",
            tenant.id
        ));
    })
    .await;
    assert_eq!(walked, whole);
    assert!(added > 3);
    let now = walk(&companion, tenant, "limit=100", || {}).await;
    assert_eq!(now.len(), whole.len() + usize::try_from(added).expect("small"));
    assert_eq!(walk(&companion, other, "limit=20", || {}).await, counted(&engine, other, "1 = 1"));
}

async fn a_filter_tells_what_counting_gives(engine: Engine) {
    let companion = engine.companion("").await;
    let [tenant, _] = engine.two();
    let item = &companion.data(tenant, "activity?limit=1").await["items"][0];
    let (user, kind) = (item["actor"]["id"].as_str().expect("an id"), item["type"].as_str().expect("a type"));
    let row = engine
        .ask(&format!("SELECT activity_type, summary, user_id FROM activity_log WHERE id = {}", item["id"]));
    assert_eq!(row, [format!("{kind}|{}|{user}", item["summary"].as_str().expect("words"))]);
    let name = format!("SELECT first_name || ' ' || last_name FROM users WHERE CAST(id AS text) = '{user}'");
    assert_eq!(json!(engine.ask(&name)[0]), item["actor"]["name"]);
    let since = item["occurred_at"].as_str().expect("a moment");
    let us = parse_us(since).expect("a moment");
    let column = engine.micros("created_at");
    assert_eq!(engine.number(&format!("SELECT {column} FROM activity_log WHERE id = {}", item["id"])), us);
    let of_user = format!("CAST(user_id AS text) = '{user}'");
    let week = us - 7 * 86_400_000_000;
    let until = tidegate::companion::format_us(week);
    for (asked, rest) in [
        (format!("type={kind}"), format!("activity_type = '{kind}'")),
        (format!("type={kind},login&limit=3"), format!("activity_type IN ('{kind}', 'login')")),
        (format!("user_id={user}&limit=2"), of_user.clone()),
        (format!("user_id={user}&type={kind}"), format!("{of_user} AND activity_type = '{kind}'")),
        (format!("since={since}"), format!("{column} >= {us}")),
        (format!("until={until}&limit=50"), format!("{column} < {week}")),
        ("type=nothing".to_owned(), "1 = 0".to_owned()),
    ] {
        assert_eq!(walk(&companion, tenant, &asked, || {}).await, counted(&engine, tenant, &rest), "{asked}");
    }
}

async fn a_cursor_is_good_for_its_tenant_and_its_filter_only(engine: Engine) {
    let companion = engine.companion("").await;
    let [tenant, other] = engine.two();
    let page = companion.figures(tenant, "activity?limit=2").await.json();
    let cursor = page["pagination"]["next_cursor"].as_str().expect("more").to_owned();
    let status = async |whose: &Tenant, asked: &str| {
        let answer = companion.figures(whose, &format!("activity?{asked}")).await;
        let code = if answer.status == 200 { Value::Null } else { answer.json()["code"].take() };
        (answer.status, code)
    };
    let invalid = (400, json!("invalid-cursor"));
    assert_eq!(status(tenant, &format!("limit=50&cursor={cursor}")).await, (200, Value::Null));
    assert_eq!(status(tenant, &format!("type=login&cursor={cursor}")).await, invalid, "another filter");
    assert_eq!(status(other, &format!("cursor={cursor}")).await, invalid, "another tenant");
    let (first, rest) = cursor.split_at_checked(1).expect("a cursor");
    let flipped = if first == "A" { "B" } else { "A" };
    assert_eq!(status(tenant, &format!("cursor={flipped}{rest}")).await, invalid, "forged");
    assert_eq!(status(tenant, "cursor=").await, invalid);
    let elsewhere =
        Companion::start(&engine.seeded.url, "signing_secret: \"another one of at least 32 bytes\", ").await;
    let answer = elsewhere.figures(tenant, &format!("activity?cursor={cursor}")).await;
    assert_eq!(answer.status, 400, "signed with another key");
    drop(companion.process);
    let again = Companion::start_in(companion.folder).await;
    let answer = again.figures(tenant, &format!("activity?cursor={cursor}")).await;
    assert_eq!(answer.status, 200, "another process with the same configuration");
}
