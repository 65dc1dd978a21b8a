//! `tidegate dashboard serve`: what it is as a process, before any figure.

use crate::support::{Companion, Fetch, Gate, Seeded, eventually};
use serde_json::Value;

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
