//! Exports of the dashboard: asked for over HTTP, fetched by their links, and read again by other libraries.

use crate::support::tokens::in_seconds;
use crate::support::{Companion, Postgres, Seeded, Tenant, eventually};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use calamine::{Data, Reader, Xlsx, open_workbook_from_rs};
use hmac::{Hmac, Mac};
use reqwest::{Method, Response, header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::io::Cursor;
use tidegate::base::Digester;

const SEED: &[&str] = &["--tenants", "3", "--users-per-tenant", "40", "--days", "40"];
const PATH: &str = "/api/v1/dashboard/export";
const SIGNING: &str = "a secret for links, long enough for HMAC";

/// The same test on both engines, each with a service of its own.
async fn on_both(settings: &str, test: impl AsyncFn(&Companion, &Seeded)) {
    let seeded = Seeded::sqlite(SEED).await;
    test(&Companion::start(&seeded.url, settings).await, &seeded).await;
    let server = Postgres::start().await;
    let seeded = Seeded::postgres(&server, "app", SEED).await;
    test(&Companion::start(&seeded.url, settings).await, &seeded).await;
}

async fn ask(companion: &Companion, tenant: &Tenant, body: &Value) -> Response {
    let request = companion.request(Method::POST, PATH).bearer_auth(tenant.token());
    request.json(body).send().await.expect("an answer")
}

/// What is told of an export.
async fn told(answer: Response) -> Value {
    let status = answer.status();
    let body: Value = answer.json().await.expect("JSON");
    assert!(status.is_success(), "{status} {body}");
    assert_eq!(body["status"], "success");
    body["data"].clone()
}

async fn problem(answer: Response) -> (u16, String) {
    let status = answer.status().as_u16();
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let body: Value = answer.json().await.expect("JSON");
    (status, body["code"].as_str().unwrap_or_default().to_owned())
}

async fn look(companion: &Companion, tenant: &Tenant, id: &str) -> Value {
    let asked = companion.get(&format!("{PATH}/{id}")).bearer_auth(tenant.token());
    told(asked.send().await.expect("an answer")).await
}

/// Waits until there is nothing to wait for. Progress never goes back.
async fn ended(companion: &Companion, tenant: &Tenant, data: &Value) -> Value {
    let id = text(&data["export_id"]);
    let (mut last, mut progress) = (Value::Null, 0);
    eventually("the export is over", async || {
        last = look(companion, tenant, &id).await;
        let now = last["progress"].as_i64().expect("a number");
        assert!(now >= progress, "{now} after {progress}");
        progress = now;
        !["queued", "running"].contains(&last["status"].as_str().expect("a text"))
    })
    .await;
    last
}

/// The bytes of a finished export, compared with what was told of them.
async fn bytes(companion: &Companion, data: &Value) -> Vec<u8> {
    let answer = companion.get(&text(&data["download_url"])).send().await.expect("an answer");
    assert_eq!(answer.status(), 200, "{data}");
    let bytes = answer.bytes().await.expect("a body").to_vec();
    assert_eq!(data["bytes"].as_u64(), u64::try_from(bytes.len()).ok());
    let digits: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(data["sha256"], digits);
    bytes
}

async fn made(companion: &Companion, tenant: &Tenant, body: &Value) -> Vec<u8> {
    let data = told(ask(companion, tenant, body).await).await;
    assert_eq!(data["status"], "done", "{data}");
    bytes(companion, &data).await
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// Records of a CSV file, as csv-core reads them.
fn records(bytes: &[u8]) -> Vec<Vec<String>> {
    let (mut reader, mut input) = (csv_core::Reader::new(), bytes);
    let (mut records, mut ends, mut out) = (Vec::new(), vec![0; 32], vec![0; 1 << 16]);
    loop {
        let (result, taken, written, fields) = reader.read_record(input, &mut out, &mut ends);
        input = &input[taken..];
        match result {
            csv_core::ReadRecordResult::End => return records,
            csv_core::ReadRecordResult::InputEmpty if fields == 0 => {}
            _ => {
                let begins = std::iter::once(&0).chain(&ends[..fields]);
                let field =
                    |(from, to): (&usize, &usize)| String::from_utf8_lossy(&out[*from..*to]).into_owned();
                assert!(written < out.len());
                records.push(begins.zip(&ends[..fields]).map(field).collect());
            }
        }
    }
}

fn column<'r>(records: &'r [Vec<String>], name: &str) -> Vec<&'r str> {
    let place = records[0].iter().position(|column| column == name).expect("a column");
    records[1..].iter().map(|record| record[place].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_export_is_there_at_once_and_the_same_in_three_formats() {
    on_both("", async |companion, seeded| {
        let tenant = &seeded.tenants[0];
        let order = |format: &str| json!({"format": format, "report": "users", "columns": ["id", "name", "created_at"]});
        let csv = records(&made(companion, tenant, &order("csv")).await);
        assert_eq!(csv[0], ["id", "name", "created_at"]);
        let users = usize::try_from(tenant.users).expect("a count");
        assert_eq!(csv.len(), users + 1);
        let ids: BTreeSet<&str> = column(&csv, "id").into_iter().collect();
        assert_eq!(ids.len(), users);

        let json: Value = serde_json::from_slice(&made(companion, tenant, &order("json")).await).expect("JSON");
        assert_eq!((&json["metadata"]["organization_id"], &json["rows"]), (&json!(tenant.id), &json!(users)));
        let of_json = json["users"].as_array().expect("a list");
        let same = |(record, user): (&Vec<String>, &Value)| {
            record[0] == text(&user["id"]) && record[1] == text(&user["name"]) && record[2] == text(&user["created_at"])
        };
        assert!(of_json.len() == users && csv[1..].iter().zip(of_json).all(same), "{of_json:?}");

        let xlsx = made(companion, tenant, &order("xlsx")).await;
        let mut book: Xlsx<_> = open_workbook_from_rs(Cursor::new(xlsx)).expect("a workbook");
        assert_eq!(book.sheet_names(), ["Summary", "Users"]);
        let sheet = book.worksheet_range("Users").expect("a sheet");
        assert_eq!(sheet.height(), users + 1);
        for (row, record) in sheet.rows().zip(&csv).skip(1) {
            assert_eq!((row[0].to_string(), row[1].to_string()), (record[0].clone(), record[1].clone()));
            assert!(matches!(row[2], Data::DateTime(_)), "a real date: {:?}", row[2]);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_report_is_told_in_every_format() {
    on_both("", async |companion, seeded| {
        let tenant = &seeded.tenants[0];
        for report in ["metrics", "activity", "statistics", "users"] {
            for format in ["csv", "json", "xlsx"] {
                let has_history = format != "csv" || report == "metrics";
                let order =
                    json!({"format": format, "report": report, "include_history": has_history, "bom": true});
                let bytes = made(companion, tenant, &order).await;
                match format {
                    "csv" => {
                        assert!(bytes.starts_with("\u{feff}".as_bytes()));
                        let records = records(&bytes);
                        assert!(
                            records.len() > 5
                                && records.iter().all(|record| record.len() == records[0].len())
                        );
                    }
                    "json" => {
                        let json: Value = serde_json::from_slice(&bytes).expect("JSON");
                        assert_eq!(json["metadata"]["report"], report);
                        assert!(json["activity"].as_array().is_some_and(|items| !items.is_empty()), "{json}");
                    }
                    _ => {
                        let mut book: Xlsx<_> =
                            open_workbook_from_rs(Cursor::new(bytes)).expect("a workbook");
                        let sheets = book.sheet_names();
                        assert_eq!(
                            (sheets[0].as_str(), sheets.last().map(String::as_str)),
                            ("Summary", Some("Activity"))
                        );
                        assert_eq!(
                            sheets.len(),
                            if matches!(report, "metrics" | "statistics") {
                                5
                            } else {
                                2 + usize::from(report == "users")
                            }
                        );
                        for sheet in sheets {
                            assert!(book.worksheet_formula(&sheet).expect("a sheet").is_empty());
                        }
                    }
                }
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_users_write_is_never_a_formula_for_whoever_opens_the_file() {
    let server = Postgres::start().await;
    let seeded = Seeded::postgres(&server, "app", SEED).await;
    let tenant = &seeded.tenants[0];
    let odd = "=HYPERLINK(\"http://a.test/\",\"x\")";
    let of_tenant = format!("organization_id = '{}' AND deleted_at IS NULL", tenant.id);
    let somebody = server.ask("app", &format!("SELECT id FROM users WHERE {of_tenant} LIMIT 1"));
    let rename = format!("UPDATE users SET first_name = '{odd}', last_name = '-2+3' WHERE id = '{somebody}'");
    server.ask("app", &rename);
    let companion = Companion::start(&seeded.url, "").await;
    let order = |format: &str| json!({"format": format, "report": "users", "columns": ["id", "first_name", "last_name"]});
    let csv = records(&made(&companion, tenant, &order("csv")).await);
    let record = csv.iter().find(|record| record[0] == somebody).expect("the user");
    assert_eq!(record[1..], [format!("'{odd}"), "'-2+3".to_owned()]);
    let xlsx = made(&companion, tenant, &order("xlsx")).await;
    let mut book: Xlsx<_> = open_workbook_from_rs(Cursor::new(xlsx)).expect("a workbook");
    assert!(book.worksheet_formula("Users").expect("a sheet").is_empty());
    let sheet = book.worksheet_range("Users").expect("a sheet");
    let row = sheet.rows().find(|row| row[0].to_string() == somebody).expect("the user");
    assert_eq!((row[1].to_string().as_str(), row[2].to_string().as_str()), (odd, "-2+3"));
}

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

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_fetched_in_parts_and_for_its_name() {
    on_both("", async |companion, seeded| {
        let data =
            told(ask(companion, &seeded.tenants[0], &json!({"format": "json", "report": "users"})).await)
                .await;
        let (url, whole) = (text(&data["download_url"]), bytes(companion, &data).await);
        let answer = companion.request(Method::HEAD, &url).send().await.expect("an answer");
        let field =
            |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert_eq!(field("content-length"), whole.len().to_string());
        assert_eq!(field("content-type"), "application/json");
        assert_eq!(field("content-disposition"), "attachment; filename=\"tidegate-users.json\"");
        assert_eq!(
            (field("cache-control"), field("x-content-type-options")),
            ("private, no-store", "nosniff")
        );
        let answer = companion.get(&url).header("Range", "bytes=10-19").send().await.expect("an answer");
        assert_eq!(answer.status(), 206);
        assert_eq!(answer.headers()["content-range"], format!("bytes 10-19/{}", whole.len()));
        assert_eq!(answer.bytes().await.expect("a body"), whole[10..20]);
        let answer = companion.get(&url).header("Range", "bytes=99999999-").send().await.expect("an answer");
        assert_eq!(problem(answer).await, (416, "invalid-range".to_owned()));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_without_the_right_token_or_link_gets_anything() {
    let settings = format!("signing_secret: \"{SIGNING}\", ");
    on_both(&settings, async |companion, seeded| {
        let (tenant, other) = (&seeded.tenants[0], &seeded.tenants[1]);
        let order = json!({"format": "csv", "report": "users"});
        let post = |token: Option<String>| {
            let request = companion.request(Method::POST, PATH).json(&order);
            if let Some(token) = token { request.bearer_auth(token) } else { request }
        };
        let status = async |token| post(token).send().await.expect("an answer").status().as_u16();
        assert_eq!(status(None).await, 401);
        assert_eq!(status(Some("no.token.atall".to_owned())).await, 401);
        assert_eq!(status(Some(tenant.token_as("teacher"))).await, 403);
        let data = told(ask(companion, tenant, &order).await).await;
        let (id, url) = (text(&data["export_id"]), text(&data["download_url"]));
        for method in [Method::GET, Method::DELETE] {
            let asked = companion.request(method, &format!("{PATH}/{id}")).bearer_auth(other.token());
            assert_eq!(problem(asked.send().await.expect("an answer")).await, (404, "not-found".to_owned()));
        }
        let theirs = told(ask(companion, other, &order).await).await;
        let stolen = url.replace(&id, &text(&theirs["export_id"]));
        let (link, signature) = url.split_once("&sig=").expect("its form");
        let later = format!("{link}9&sig={signature}");
        let odd = format!("{PATH}/a%00b");
        let asked = companion.get(&odd).bearer_auth(tenant.token()).send().await.expect("an answer");
        assert_eq!(problem(asked).await, (404, "not-found".to_owned()));
        for forged in [stolen, later, format!("{link}&sig="), format!("{link}&sig=AAAA"), format!("{url}A")] {
            let answer = companion.get(&forged).send().await.expect("an answer");
            assert_eq!(problem(answer).await, (403, "invalid-link".to_owned()), "{forged}");
        }
        // A link of our own making, as the service makes them, but an hour late.
        let key = Digester::new("tidegate dashboard signing 1").part(SIGNING.as_bytes()).finish();
        let expires = in_seconds(-3_600);
        let mut mac = Hmac::<Sha256>::new_from_slice(&key.0).expect("a key");
        mac.update(format!("export|{id}|{}|{expires}", tenant.id).as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
        let late = format!("{PATH}/{id}/download?exp={expires}&sig={signature}");
        let answer = companion.get(&late).send().await.expect("an answer");
        assert_eq!(problem(answer).await, (410, "export-expired".to_owned()));
        assert_eq!(
            companion.get(&url).send().await.expect("an answer").status(),
            200,
            "the true one is good"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_is_told_member_by_member() {
    let seeded = Seeded::sqlite(SEED).await;
    let companion = Companion::start(&seeded.url, "exports: {rows_max: 5, at_once_rows: 1}, ").await;
    let tenant = &seeded.tenants[0];
    let odd = json!({"format": "pdf", "repot": "users", "columns": ["email"], "from": "yesterday"});
    let answer = ask(&companion, tenant, &odd).await;
    assert_eq!(answer.status(), 422);
    let body: Value = answer.json().await.expect("JSON");
    let fields: Vec<&Value> =
        body["errors"].as_array().expect("a list").iter().map(|error| &error["field"]).collect();
    assert_eq!(fields, ["format", "columns", "from", "repot"], "{body}");
    let large = ask(&companion, tenant, &json!({"format": "csv", "report": "users"})).await;
    assert_eq!(problem(large).await, (422, "unprocessable".to_owned()), "more rows than may be");
    let post = |body: String| companion.request(Method::POST, PATH).bearer_auth(tenant.token()).body(body);
    let answer = post("{".to_owned()).send().await.expect("an answer");
    assert_eq!(problem(answer).await, (400, "invalid-body".to_owned()));
    let answer = post(" ".repeat(20_000)).send().await.expect("an answer");
    assert_eq!(problem(answer).await, (413, "invalid-body".to_owned()));
    let answer = post("{}".to_owned()).header("Idempotency-Key", "a b").send().await.expect("an answer");
    assert_eq!(problem(answer).await, (400, "invalid-idempotency-key".to_owned()));
    let asked = companion.get(&format!("{PATH}/x?tenant=other")).bearer_auth(tenant.token());
    assert_eq!(problem(asked.send().await.expect("an answer")).await, (400, "invalid-query".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_is_the_same_export() {
    on_both("exports: {per_tenant: 1}, ", async |companion, seeded| {
        let (tenant, other) = (&seeded.tenants[0], &seeded.tenants[1]);
        let ask = async |tenant: &Tenant, body: &str| {
            let request = companion.request(Method::POST, PATH).bearer_auth(tenant.token());
            request.header("Idempotency-Key", "k-1").body(body.to_owned()).send().await.expect("an answer")
        };
        let first = told(ask(tenant, r#"{"format": "csv", "report": "users"}"#).await).await;
        let again = told(ask(tenant, r#"{"report":"users","format":"csv"}"#).await).await;
        assert_eq!(first["export_id"], again["export_id"]);
        let another = ask(tenant, r#"{"format": "json", "report": "users"}"#).await;
        assert_eq!(problem(another).await, (422, "idempotency-key-reused".to_owned()));
        let theirs = told(ask(other, r#"{"format": "csv", "report": "users"}"#).await).await;
        assert_ne!(first["export_id"], theirs["export_id"], "keys are each user's own");
        let asked = companion.request(Method::DELETE, &format!("{PATH}/{}", text(&first["export_id"])));
        let ended = told(asked.bearer_auth(tenant.token()).send().await.expect("an answer")).await;
        assert_eq!(ended["status"], "expired");
        let answer = companion.get(&text(&first["download_url"])).send().await.expect("an answer");
        assert_eq!(problem(answer).await, (410, "export-expired".to_owned()));
        let anew = told(ask(tenant, r#"{"format": "csv", "report": "users"}"#).await).await;
        assert_ne!(first["export_id"], anew["export_id"], "what is over takes its key no longer");
    })
    .await;
}

/// Holds what statistics read until it is dropped.
fn hold(server: &Postgres) -> crate::support::process::Process {
    server.session(
        "app",
        "BEGIN; LOCK TABLE educational_content IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(120);",
    )
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
