//! When the database does not do what it should: what clients are told, and that it is not what the database says.

use crate::dashboard_api::SEED;
use crate::support::tokens::{SECRET, in_seconds, signed};
use crate::support::{Answer, Companion, Engine, Fetch, eventually};
use serde_json::json;

/// Code of a 503 that says when to ask again and nothing of the database.
fn unavailable(answer: &Answer) -> String {
    assert_eq!(answer.problem().0, 503, "{}", answer.text());
    assert!(answer.number("retry-after") >= 1);
    let text = answer.text();
    assert!(
        ["postgres", "user_sessions", "relation", "/tmp", "sqlite"].iter().all(|word| !text.contains(word)),
        "{text}"
    );
    answer.json()["code"].as_str().expect("a code").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_takes_too_long_is_ended_and_told() {
    let engine = Engine::postgres(SEED).await;
    let companion = engine.companion("pool: {statement_timeout: 1s}, ").await;
    let [tenant, _] = engine.two();
    let _held = hold(&engine).await;
    assert_eq!(unavailable(&companion.figures(tenant, "metrics").await), "database-slow");
    assert_eq!(companion.figures(tenant, "activity?user_id=nobody").await.status, 200, "other tables answer");
    eventually("the log tells", async || {
        let log = companion.process.stderr();
        log.contains("statement_timeout") && log.contains("statement timeout")
    })
    .await;
    assert_eq!(companion.metric("tidegate_refusals_total", &[("reason", "database-slow")]).await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_is_used_up_is_busy() {
    let engine = Engine::postgres(SEED).await;
    let companion = engine.companion("pool: {connections: 1, acquire_timeout: 1s}, ").await;
    let [tenant, other] = engine.two();
    let _held = hold(&engine).await;
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    // A pool has two connections at least.
    let (slow, slower) = (companion.figures(tenant, "metrics"), companion.figures(tenant, "statistics"));
    let busy = async {
        eventually("both connections wait", async || engine.number(waiting) == 2).await;
        companion.figures(other, "metrics").await
    };
    let (slow, slower, busy) = tokio::join!(slow, slower, busy);
    let told = [unavailable(&slow), unavailable(&slower), unavailable(&busy)];
    assert_eq!(told, ["database-slow", "database-slow", "database-busy"]);
}

/// Keeps everybody from `users` for as long as it lives.
async fn hold(engine: &Engine) -> crate::support::process::Process {
    let held = engine
        .server()
        .session("app", "BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(60);");
    let locked = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = 'users'::regclass";
    eventually("the table is held", async || engine.number(locked) == 1).await;
    held
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_gone_is_told_so_and_what_was_kept_is_told_on() {
    let mut engine = Engine::postgres(SEED).await;
    let config = format!(
        "identity: {{jwt: {{algorithms: [HS256], secret: \"{SECRET}\"}}}}\n\
         cache: {{namespaces: {{dashboard: {{ttl: 1s, stale_if_error: 1h}}, metrics: {{ttl: 1h}}}}}}\n\
         dashboard: {{listen: \"127.0.0.1:0\", database: \"{}\", pool: {{acquire_timeout: 2s}}}}\n",
        engine.seeded.url
    );
    let companion = Companion::start_with(&config).await;
    let [tenant, other] = engine.two().map(Clone::clone);
    let first = companion.figures(&tenant, "metrics").await.json();
    let feed = companion.data(&tenant, "activity").await;
    assert_eq!(first["metadata"].get("stale"), None);
    engine.stop();
    let code = unavailable(&companion.figures(&other, "metrics").await);
    assert!(["database-unreachable", "database-busy"].contains(&code.as_str()), "{code}");
    eventually("it is not ready", async || companion.get("/readyz").fetch().await.status == 503).await;
    assert_eq!(companion.get("/livez").fetch().await.status, 200);
    let mut stale = None;
    eventually("the figures are old", async || {
        let answer = companion.figures(&tenant, "metrics").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        stale = Some(answer);
        stale.as_ref().is_some_and(|answer| answer.json()["metadata"]["stale"] == true)
    })
    .await;
    let stale = stale.expect("an answer");
    assert_eq!(stale.header("cache-control"), "private, max-age=0");
    let told = stale.json();
    assert_eq!(
        (&told["metadata"]["cached"], &told["data"]["users"]),
        (&json!(true), &first["data"]["users"])
    );
    assert_eq!(told["metadata"]["timestamp"], first["metadata"]["timestamp"], "no younger than they are");
    assert_eq!(companion.data(&tenant, "activity").await, feed, "what is fresh needs no database");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_are_missing_are_the_operators_business() {
    let engine = Engine::postgres(SEED).await;
    let companion = engine.companion("").await;
    let [tenant, _] = engine.two();
    engine.ask("DROP TABLE user_sessions");
    let answer = companion.figures(tenant, "statistics").await;
    assert_eq!(answer.problem().0, 503);
    assert_eq!(answer.json()["code"], "database-not-migrated");
    assert_eq!(
        companion.figures(tenant, "statistics?metrics=users").await.status,
        200,
        "other figures are told"
    );
    engine.ask("ALTER TABLE educational_content ALTER COLUMN created_at TYPE text");
    let answer = companion.figures(tenant, "statistics?metrics=content").await;
    assert_eq!((answer.problem().0, &answer.json()["code"]), (500, &json!("database-failed")));
    assert!(!answer.text().contains("operator"), "PostgreSQL's words stay in the log");
    engine.ask("ALTER TABLE users RENAME COLUMN role TO part");
    let answer = companion.figures(tenant, "metrics").await;
    assert_eq!(answer.json()["code"], "database-not-migrated");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_cannot_be_one_of_the_database_is_forbidden() {
    let engine = Engine::postgres(SEED).await;
    let companion = engine.companion("").await;
    for tenant in ["acme", "' OR true --", "00000000-0000-4000-8000-00000000000", "ÄÖÜ"] {
        let token =
            signed(&json!({"sub": "a", "organization_id": tenant, "role": "admin", "exp": in_seconds(60)}));
        for target in ["metrics", "activity", "statistics"] {
            let answer =
                companion.get(&format!("/api/v1/dashboard/{target}")).bearer_auth(&token).fetch().await;
            assert_eq!(answer.problem().0, 403, "{tenant}");
            assert_eq!(answer.json()["code"], "unknown-tenant");
        }
    }
}
