//! Large exports, from their begin to the end of their files, and what happens to them on the way.

use super::{PATH, SEED, SIGNING, ask, bytes, column, ended, look, on_both, problem, records, text, told};
use crate::support::process::Process;
use crate::support::{Companion, Postgres, Seeded, eventually};
use reqwest::{Method, header};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_large_export_is_a_job_that_says_how_far_it_is() {
    on_both("exports: {at_once_rows: 10}, ", async |companion, seeded| {
        let tenant = &seeded.tenants[0];
        let answer = ask(companion, tenant, &json!({"format": "csv", "report": "activity"})).await;
        assert_eq!(answer.status(), 202);
        let location = answer.headers()[header::LOCATION].to_str().expect("text").to_owned();
        let data = told(answer).await;
        assert_eq!(location, format!("{PATH}/{}", text(&data["export_id"])));
        assert_eq!((&data["download_url"], &data["rows"]), (&Value::Null, &Value::Null), "not yet");
        let done = ended(companion, tenant, &data).await;
        assert_eq!((&done["status"], &done["progress"]), (&json!("done"), &json!(100)));
        let csv = records(&bytes(companion, &done).await);
        assert_eq!(done["rows"].as_u64(), u64::try_from(csv.len() - 1).ok());
        assert!(column(&csv, "occurred_at").is_sorted_by(|newer, older| newer >= older));
    })
    .await;
}

/// Holds what statistics read until it is dropped.
fn hold(server: &Postgres) -> Process {
    server.session(
        "app",
        "BEGIN; LOCK TABLE educational_content IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(120);",
    )
}

/// Holds what exports of users read, and count before.
fn hold_users(server: &Postgres) -> Process {
    let sql = "BEGIN; LOCK TABLE users, educational_content IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(120);";
    server.session("app", sql)
}

/// Whoever holds it lets go: the server would sleep on without its client.
fn release(server: &Postgres) {
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()";
    server.ask("app", sql);
}

async fn held(server: &Postgres) {
    let sql = "SELECT count(*) FROM pg_locks WHERE relation = 'educational_content'::regclass AND mode = 'AccessExclusiveLock' AND granted";
    eventually("the table is held", async || server.ask("app", sql) == "1").await;
}

const SLOW: &str = "pool: {statement_timeout: 2m}, exports: {per_tenant: 1}, ";

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_waits_for_its_place_and_a_running_export_can_be_ended() {
    let server = Postgres::start().await;
    let seeded = Seeded::postgres(&server, "app", SEED).await;
    let companion = Companion::start(&seeded.url, SLOW).await;
    let (tenant, other) = (&seeded.tenants[0], &seeded.tenants[1]);
    let _holding = hold(&server);
    held(&server).await;
    let statistics = json!({"format": "xlsx", "report": "statistics"});
    let answer = ask(&companion, tenant, &statistics).await;
    assert_eq!(answer.status(), 202, "it takes longer than a client waits");
    let data = told(answer).await;
    assert_eq!(data["status"], "running");
    let users = json!({"format": "csv", "report": "users"});
    let full = ask(&companion, tenant, &users).await;
    assert!(full.headers().contains_key(header::RETRY_AFTER));
    assert_eq!(problem(full).await, (429, "too-many-exports".to_owned()));
    let theirs = told(ask(&companion, other, &users).await).await;
    assert_eq!(theirs["status"], "done", "another tenant has places of its own");
    let path = format!("{PATH}/{}", text(&data["export_id"]));
    let asked = companion.request(Method::DELETE, &path).bearer_auth(tenant.token());
    let data = told(asked.send().await.expect("an answer")).await;
    assert_eq!(data["cancelling"], true);
    assert_eq!(ended(&companion, tenant, &data).await["status"], "cancelled");
    release(&server);
    let next = told(ask(&companion, tenant, &users).await).await;
    assert_eq!(next["status"], "done", "there is room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_whose_session_was_ended_by_somebody_is_made_with_another() {
    let server = Postgres::start().await;
    let seeded = Seeded::postgres(&server, "app", SEED).await;
    let companion = Companion::start(&seeded.url, SLOW).await;
    let tenant = &seeded.tenants[0];
    let _holding = hold(&server);
    held(&server).await;
    let data = told(ask(&companion, tenant, &json!({"format": "csv", "report": "statistics"})).await).await;
    assert_eq!(data["status"], "running");
    let of_ours = "FROM pg_stat_activity WHERE application_name = 'tidegate' AND wait_event_type = 'Lock'";
    eventually("it waits for the table", async || {
        server.ask("app", &format!("SELECT count(*) {of_ours}")) == "1"
    })
    .await;
    assert_eq!(server.ask("app", &format!("SELECT pg_terminate_backend(pid) {of_ours}")), "t");
    release(&server);
    let done = ended(&companion, tenant, &data).await;
    assert_eq!((&done["status"], &done["error"]), (&json!("done"), &Value::Null), "{done}");
    assert_eq!(server.ask("app", "SELECT tries FROM export_jobs WHERE request IS NOT NULL"), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_whose_worker_was_killed_is_made_by_the_next() {
    let server = Postgres::start().await;
    let seeded = Seeded::postgres(&server, "app", SEED).await;
    let exports = tempfile::tempdir().expect("a folder");
    let settings = format!("export_dir: \"{}\", {SLOW}", exports.path().display());
    let mut companion = Companion::start(&seeded.url, &settings).await;
    let tenant = &seeded.tenants[0];
    let _holding = hold(&server);
    held(&server).await;
    let data = told(ask(&companion, tenant, &json!({"format": "csv", "report": "statistics"})).await).await;
    assert_eq!(data["status"], "running");
    companion.process.kill();
    release(&server);
    let left = |suffix: &str| {
        let names = std::fs::read_dir(exports.path()).expect("a folder");
        names
            .filter(|name| name.as_ref().expect("a name").file_name().to_string_lossy().ends_with(suffix))
            .count()
    };
    assert_eq!(left(".part"), 1, "it was in the middle of it");
    let companion = Companion::start_in(companion.folder).await;
    let done = ended(&companion, tenant, &data).await;
    assert_eq!(done["status"], "done", "{done}");
    assert!(records(&bytes(&companion, &done).await).len() > 30);
    // What the first has left goes with the next look at the folder: at a start, or a minute later.
    drop(companion);
    let companion = Companion::start(&seeded.url, &settings).await;
    eventually("what was left is gone", async || left(".part") == 0).await;
    assert_eq!(left(".csv"), 1);
    assert!(!bytes(&companion, &look(&companion, tenant, &text(&done["export_id"])).await).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_this_users_alone_and_go_when_their_time_is_over() {
    use std::os::unix::fs::PermissionsExt;
    let server = Postgres::start().await;
    let seeded = Seeded::postgres(&server, "app", SEED).await;
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path().join("exports");
    let settings = format!("export_dir: \"{}\", signing_secret: \"{SIGNING}\", ", folder.display());
    let companion = Companion::start(&seeded.url, &settings).await;
    let tenant = &seeded.tenants[0];
    let data = told(ask(&companion, tenant, &json!({"format": "csv", "report": "users"})).await).await;
    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    let files = || -> Vec<_> {
        std::fs::read_dir(&folder).expect("a folder").map(|file| file.expect("a file").path()).collect()
    };
    assert_eq!((mode(&folder), files().len(), mode(&files()[0])), (0o700, 1, 0o600));
    let metrics = companion.get("/metrics").send().await.expect("an answer").text().await.expect("text");
    let counted = "tidegate_dashboard_exports_total{format=\"csv\",outcome=\"done\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
    server.ask("app", "UPDATE export_jobs SET expires_at = now() WHERE status = 'done'");
    let standing = look(&companion, tenant, &text(&data["export_id"])).await;
    assert_eq!((&standing["status"], &standing["download_url"]), (&json!("expired"), &Value::Null));
    drop(companion.process);
    let companion = Companion::start_in(companion.folder).await;
    eventually("the file is gone", async || files().is_empty()).await;
    let answer = companion.get(&text(&data["download_url"])).send().await.expect("an answer");
    assert_eq!(problem(answer).await, (410, "export-expired".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_without_a_place_is_told_so_before_anything_is_counted() {
    let server = Postgres::start().await;
    let seeded = Seeded::postgres(&server, "app", SEED).await;
    let settings =
        "pool: {statement_timeout: 2m, acquire_timeout: 1s, connections: 4}, exports: {per_tenant: 1}, ";
    let companion = Companion::start(&seeded.url, settings).await;
    let (tenant, other) = (&seeded.tenants[0], &seeded.tenants[1]);
    let _holding = hold_users(&server);
    held(&server).await;
    let keyed = async || {
        let request = companion.request(Method::POST, PATH).bearer_auth(tenant.token());
        let request = request.header("Idempotency-Key", "k");
        request.json(&json!({"format": "csv", "report": "statistics"})).send().await.expect("an answer")
    };
    let first = told(keyed().await).await;
    assert_eq!(first["status"], "running");
    // A count would wait for the table. The other tenant's do, behind each other.
    let users = json!({"format": "csv", "report": "users"});
    let post = || companion.request(Method::POST, PATH).bearer_auth(other.token()).json(&users).send();
    let waiting: Vec<_> = (0..8).map(|_| tokio::spawn(post())).collect();
    eventually("somebody counts", async || {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%AS counted%'";
        server.ask("app", sql) == "1"
    })
    .await;
    for _ in 0..20 {
        assert_eq!(
            problem(ask(&companion, tenant, &users).await).await,
            (429, "too-many-exports".to_owned())
        );
        assert_eq!(told(keyed().await).await["export_id"], first["export_id"]);
    }
    let ready = companion.get("/readyz").send().await.expect("an answer").status();
    assert_eq!(ready, 200, "one request counts, and not all eight");
    release(&server);
    let mut statuses = Vec::new();
    for answer in waiting {
        statuses.push(answer.await.expect("no panic").expect("an answer").status().as_u16());
    }
    assert!(statuses.iter().all(|status| matches!(status, 200 | 202 | 429)), "{statuses:?}");
    assert_eq!(ended(&companion, tenant, &first).await["status"], "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_leave_a_connection_for_everybody_else() {
    let server = Postgres::start().await;
    let seeded = Seeded::postgres(&server, "app", SEED).await;
    for connections in [1, 2] {
        let settings =
            format!("pool: {{statement_timeout: 2m, acquire_timeout: 1s, connections: {connections}}}, ");
        let companion = Companion::start(&seeded.url, &settings).await;
        let _holding = hold(&server);
        held(&server).await;
        let mut exports = Vec::new();
        for tenant in &seeded.tenants {
            for _ in 0..2 {
                let answer = ask(&companion, tenant, &json!({"format": "csv", "report": "statistics"})).await;
                exports.push((tenant, told(answer).await));
            }
        }
        let ready = companion.get("/readyz").send().await.expect("an answer").status();
        assert_eq!(ready, 200, "{connections}");
        let feed = companion.figures(&seeded.tenants[0], "activity").await;
        assert_eq!(feed.status, 200, "{connections}: {}", feed.text());
        // Whoever works, or waits for its turn, can say so.
        let silent = "SELECT count(*) FROM export_jobs WHERE status = 'running' AND heartbeat_at < now() - interval '4 s'";
        assert_eq!(server.ask("app", silent), "0");
        release(&server);
        for (tenant, data) in exports {
            assert_eq!(ended(&companion, tenant, &data).await["status"], "done", "{connections}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_stops_takes_no_attempt_from_an_export() {
    let server = Postgres::start().await;
    let seeded = Seeded::postgres(&server, "app", SEED).await;
    let mut companion = Companion::start(&seeded.url, SLOW).await;
    let tenant = &seeded.tenants[0];
    let _holding = hold(&server);
    held(&server).await;
    let data = told(ask(&companion, tenant, &json!({"format": "csv", "report": "statistics"})).await).await;
    let standing =
        || server.ask("app", "SELECT status || ' ' || tries FROM export_jobs WHERE request IS NOT NULL");
    for _restart in 0..4 {
        eventually("somebody is at it", async || standing() == "running 1").await;
        companion.process.signal("TERM");
        assert!(companion.process.exit().await.success());
        assert_eq!(standing(), "queued 0");
        companion = Companion::start_in(companion.folder).await;
    }
    eventually("somebody is at it", async || standing() == "running 1").await;
    release(&server);
    assert_eq!(ended(&companion, tenant, &data).await["status"], "done");
}
