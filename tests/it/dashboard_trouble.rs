//! When the database does not do what it should: what clients are told, and that it is not what the database says.

use crate::dashboard_api::SEED;
use crate::support::tokens::{in_seconds, signed};
use crate::support::{Answer, Companion, Engine, Fetch, Postgres, Seeded, eventually, ports};
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

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
    let cache = "cache: {namespaces: {dashboard: {ttl: 1s, stale_if_error: 1h}, metrics: {ttl: 1h}}}\n";
    let settings = "pool: {acquire_timeout: 2s}, ";
    let companion = Companion::start_beside(cache, &engine.seeded.url, settings).await;
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

/// A server's socket behind a port, for as long as it lives; then connections end, and others are refused.
struct Door(JoinHandle<()>);

impl Door {
    async fn open(port: u16, socket: PathBuf) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a free port");
        Self(tokio::spawn(async move {
            let mut visitors = JoinSet::new();
            while let Ok((mut visitor, _)) = listener.accept().await {
                let mut server = UnixStream::connect(&socket).await.expect("the server is there");
                visitors.spawn(async move { drop(copy_bidirectional(&mut visitor, &mut server).await) });
            }
        }))
    }

    async fn shut(self) {
        self.0.abort();
        assert!(self.0.await.is_err_and(|ended| ended.is_cancelled()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_port_is_no_busy_database_nobody_waits_for_it_and_it_is_found_again() {
    // Six waits, one after the other, would be three times as long.
    const QUICK: Duration = Duration::from_secs(30);
    let engine = Engine::postgres(SEED).await;
    let [tenant, other] = engine.two();
    let (_, folder) = engine.seeded.url.split_once("?host=").expect("a folder");
    let socket = PathBuf::from(folder).join(".s.PGSQL.5432");
    let port = ports::free();
    let door = Door::open(port, socket.clone()).await;
    let url = format!("postgres://tidegate@127.0.0.1:{port}/app");
    let settings = "pool: {acquire_timeout: 15s}, cache: {metrics: none, activity: none, statistics: none}, ";
    let companion = Companion::start(&url, settings).await;
    assert_eq!(companion.figures(tenant, "metrics").await.status, 200);
    door.shut().await;
    let begun = Instant::now();
    let first = companion.figures(tenant, "metrics").await;
    assert_eq!(unavailable(&first), "database-unreachable");
    for target in ["metrics", "activity", "statistics", "metrics"] {
        let (one, two) = tokio::join!(companion.figures(tenant, target), companion.figures(other, target));
        let told = [&one, &two].map(unavailable);
        assert_eq!(told, ["database-unreachable", "database-unreachable"], "{target}");
    }
    let ready = companion.get("/readyz").fetch().await;
    assert_eq!(
        (ready.status, ready.json()),
        (503, json!({"status": "unavailable", "database": "unreachable"}))
    );
    assert!(begun.elapsed() < QUICK, "{:?}: the pool would try for 15 s each time", begun.elapsed());
    let log = companion.process.stderr();
    assert!(log.contains("refused") && log.contains("is the address right?"), "{log}");
    let _door = Door::open(port, socket).await;
    eventually("figures are told again", async || companion.figures(tenant, "metrics").await.status == 200)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_ended_by_somebody_is_no_failure_of_ours() {
    let engine = Engine::postgres(SEED).await;
    let companion = engine.companion("pool: {statement_timeout: 1m}, ").await;
    let [tenant, _] = engine.two();
    let _held = hold(&engine).await;
    let of_ours = "FROM pg_stat_activity WHERE application_name = 'tidegate' AND wait_event_type = 'Lock'";
    let ended = async {
        let waiting = format!("SELECT count(*) {of_ours}");
        eventually("it waits for the table", async || engine.number(&waiting) == 1).await;
        engine.ask(&format!("SELECT pg_terminate_backend(pid) {of_ours}"))
    };
    let (answer, ended) = tokio::join!(companion.figures(tenant, "metrics"), ended);
    assert_eq!(ended, ["t"]);
    assert_eq!(unavailable(&answer), "database-unreachable");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_tables_is_not_ready() {
    let server = Postgres::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.db");
    std::fs::write(&file, "").expect("a folder of ours");
    for url in [server.database("app"), format!("sqlite:{}", file.display())] {
        let companion = Companion::start(&url, "").await;
        let expected = json!({"status": "unavailable", "database": "not-migrated"});
        eventually("it is said that it is not migrated", async || {
            let answer = companion.get("/readyz").fetch().await;
            assert_eq!(answer.status, 503, "{url}");
            answer.json() == expected
        })
        .await;
        assert_eq!(companion.get("/livez").fetch().await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_lost_what_is_its_own_is_not_ready() {
    let server = Postgres::start().await;
    let seeded = Seeded::postgres(&server, "app", SEED).await;
    let settings = format!("read_only: true, own_database: \"{}\", ", server.database("own"));
    let companion = Companion::start(&seeded.url, &settings).await;
    let status = async || companion.get("/readyz").fetch().await.status;
    eventually("it is ready", async || status().await == 200).await;
    server.ask("postgres", "DROP DATABASE own WITH (FORCE)");
    eventually("it is not ready", async || status().await == 503).await;
    assert_eq!(companion.figures(&seeded.tenants[0], "metrics").await.status, 200, "figures are told on");
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
