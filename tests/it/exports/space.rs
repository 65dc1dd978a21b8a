//! The room that finished exports of a tenant take together.

use super::{PATH, ask, bytes, ended, on_both, problem, text, told};
use crate::support::{Companion, Tenant};
use reqwest::{Method, Response, header};
use serde_json::{Value, json};

/// As much as may be configured at least.
const ROOM: u64 = 64 << 10;

fn activity(format: &str) -> Value {
    json!({"format": format, "report": "activity"})
}

/// Exports until one is refused: those that are done, and the refusal.
async fn fill(companion: &Companion, tenant: &Tenant) -> (Vec<Value>, Response) {
    let mut done = Vec::new();
    loop {
        let answer = ask(companion, tenant, &activity("json")).await;
        if answer.status() != 200 {
            return (done, answer);
        }
        done.push(told(answer).await);
        assert!(done.len() <= 100, "never refused");
    }
}

async fn delete(companion: &Companion, tenant: &Tenant, export: &Value) -> Value {
    let path = format!("{PATH}/{}", text(&export["export_id"]));
    let asked = companion.request(Method::DELETE, &path).bearer_auth(tenant.token());
    told(asked.send().await.expect("an answer")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn finished_exports_of_a_tenant_take_no_more_of_the_disk_than_they_may() {
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path().join("exports");
    let settings =
        format!("export_dir: \"{}\", exports: {{bytes_per_tenant: 64KiB, lifetime: 1h}}, ", folder.display());
    on_both(&settings, async |companion, seeded| {
        let (tenant, other) = (&seeded.tenants[0], &seeded.tenants[1]);
        let on_disk = || -> u64 {
            let files = std::fs::read_dir(&folder).expect("a folder");
            files.map(|file| file.expect("a file").metadata().expect("there").len()).sum()
        };
        let before = on_disk();
        let (mut done, refused) = fill(companion, tenant).await;
        assert!(done.len() > 1, "{done:?}");
        assert!(on_disk() - before <= ROOM, "{} bytes", on_disk() - before);
        let wait: u64 =
            refused.headers()[header::RETRY_AFTER].to_str().expect("text").parse().expect("a number");
        assert!((3_000..=3_600).contains(&wait), "until the oldest goes: {wait}");
        assert_eq!(problem(refused).await, (429, "export-space".to_owned()));
        let theirs = told(ask(companion, other, &activity("csv")).await).await;
        assert_eq!(theirs["status"], "done", "another tenant has room of its own");
        bytes(companion, &theirs).await;

        let gone = done.swap_remove(0);
        assert_eq!(delete(companion, tenant, &gone).await["status"], "expired");
        let again = told(ask(companion, tenant, &activity("json")).await).await;
        assert_eq!(again["status"], "done", "what was deleted has made room at once");
        bytes(companion, &again).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_finds_no_room_fails_and_says_what_to_do() {
    let settings = "exports: {bytes_per_tenant: 64KiB, at_once_rows: 10}, ";
    on_both(settings, async |companion, seeded| {
        let tenant = &seeded.tenants[0];
        let mut last = Value::Null;
        for format in ["json", "json", "csv", "json", "xlsx", "json", "json", "json", "json", "json"] {
            let answer = ask(companion, tenant, &activity(format)).await;
            last = ended(companion, tenant, &told(answer).await).await;
            if last["status"] != "done" {
                break;
            }
        }
        assert_eq!(last["status"], "failed", "{last}");
        assert!(text(&last["error"]).contains("delete one"), "{last}");
        assert_eq!((&last["bytes"], &last["download_url"]), (&Value::Null, &Value::Null));
    })
    .await;
}
