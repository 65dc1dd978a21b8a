//! Exports of the dashboard: asked for over HTTP, fetched by their links, and read again by other libraries.

mod files;
mod jobs;
mod requests;
mod space;

use crate::support::{Companion, Postgres, Seeded, Tenant, eventually};
use reqwest::{Method, Response};
use serde_json::Value;
use sha2::{Digest, Sha256};

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
