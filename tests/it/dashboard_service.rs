//! `tidegate dashboard serve`: what it is as a process, before any figure.

use crate::support::tokens::SECRET;
use crate::support::{Companion, Fetch, Gate, Seeded, eventually};
use reqwest::Method;
use serde_json::{Value, json};

const FEW: &[&str] = &["--tenants", "2", "--users-per-tenant", "10", "--days", "10"];

#[tokio::test(flavor = "multi_thread")]
async fn probes_need_no_token_and_refusals_say_what_is_wrong() {
    let seeded = Seeded::sqlite(FEW).await;
    let companion = Companion::start(&seeded.url, "").await;
    eventually("it is ready", async || companion.get("/readyz").fetch().await.status == 200).await;
    for path in ["/healthz", "/livez", "/metrics", "/openapi.json"] {
        assert_eq!(companion.get(path).send().await.expect("an answer").status(), 200, "{path}");
    }
    let answer = companion.get("/nowhere").header("X-Request-Id", "abc-1").send().await.expect("an answer");
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    assert_eq!(answer.headers()["x-request-id"], "abc-1");
    let problem: Value = answer.json().await.expect("JSON");
    assert_eq!(
        (&problem["code"], &problem["request_id"]),
        (&"not-found".into(), &"abc-1".into()),
        "{problem}"
    );
    assert_eq!(problem["instance"], "/nowhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_it_and_what_cannot_be_is_told_at_the_start() {
    let seeded = Seeded::sqlite(FEW).await;
    let mut companion = Companion::start(&seeded.url, "").await;
    companion.process.signal("TERM");
    assert!(companion.process.exit().await.success(), "{}", companion.process.stderr());
    let (code, _, stderr) = Gate::run_under(
        &["dashboard", "serve", "--listen", "127.0.0.1:0"],
        &[("DATABASE_URL", "sqlite:none.db")],
    )
    .await;
    assert!(code == Some(1) && stderr.contains("dashboard migrate"), "{code:?} {stderr}");
}

/// Exit code and complaint of a service with this section, over a file that is there.
async fn refused(seeded: &Seeded, settings: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("dashboard.yaml");
    let text = format!("dashboard: {{listen: \"127.0.0.1:0\", database: \"{}\", {settings}}}\n", seeded.url);
    std::fs::write(&file, text).expect("a folder of ours");
    let (code, _, stderr) = Gate::run(&["dashboard", "serve", "--config", &file.to_string_lossy()]).await;
    (code, stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_it_from_starting_is_told_with_its_reason() {
    let seeded = Seeded::sqlite(FEW).await;
    let place = tempfile::tempdir().expect("a folder");
    let file = place.path().join("a-file");
    std::fs::write(&file, "").expect("a folder of ours");
    let folder = file.join("exports");
    let (code, says) = refused(&seeded, &format!("export_dir: \"{}\"", folder.display())).await;
    assert_eq!(code, Some(1), "{says}");
    assert!(says.contains("dashboard.export_dir") && says.contains(&*folder.to_string_lossy()), "{says}");
    assert!(says.contains("Not a directory"), "{says}");
    let (code, says) = refused(&seeded, "timezone: Mars/Base").await;
    assert_eq!(code, Some(2), "{says}");
    assert!(says.contains("dashboard.timezone: there is no time zone `Mars/Base`"), "{says}");
    assert!(
        says.contains("dashboard.yaml:1:") && says.contains("Europe/Berlin"),
        "where, and what would do: {says}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_exports_is_made_before_the_database_that_stands_in_it() {
    let seeded = Seeded::sqlite(FEW).await;
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path().join("not/there/yet");
    let settings = format!("read_only: true, export_dir: \"{}\", ", folder.display());
    let companion = Companion::start(&seeded.url, &settings).await;
    let asked = companion.request(Method::POST, "/api/v1/dashboard/export");
    let asked =
        asked.bearer_auth(seeded.tenants[0].token()).json(&json!({"format": "csv", "report": "users"}));
    let answer = asked.fetch().await;
    assert_eq!((answer.status, &answer.json()["data"]["status"]), (200, &json!("done")), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_token_can_be_believed_the_answer_and_the_log_say_what_to_set() {
    let seeded = Seeded::sqlite(FEW).await;
    let says = "no token is believed here: set `dashboard.jwt` or `identity.jwt`";
    let section = format!("dashboard: {{listen: \"127.0.0.1:0\", database: \"{}\"}}\n", seeded.url);
    let companion = Companion::start_with(&section).await;
    eventually("the log says so", async || companion.process.stderr().contains(says)).await;
    let asked = || companion.get("/api/v1/dashboard/metrics");
    for asked in [asked(), asked().bearer_auth(seeded.tenants[0].token())] {
        let answer = asked.fetch().await;
        assert_eq!((answer.status, &answer.json()["detail"]), (401, &json!(says)), "{}", answer.text());
    }
    let section =
        section.replace("{listen", &format!("{{jwt: {{algorithms: [HS256], secret: \"{SECRET}\"}}, listen"));
    let companion = Companion::start_with(&section).await;
    assert_eq!(companion.figures(&seeded.tenants[0], "metrics").await.status, 200);
    assert!(!companion.process.stderr().contains(says), "{}", companion.process.stderr());
}
