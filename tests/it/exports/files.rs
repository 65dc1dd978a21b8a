//! What is in the files, whatever reads them, and what users cannot put there.

use super::{SEED, ask, bytes, column, ended, made, on_both, problem, records, text, told};
use crate::support::wire::split_head;
use crate::support::{Companion, Postgres, Seeded, Wire};
use calamine::{Data, Reader, Xlsx, open_workbook_from_rs};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Cursor;
use std::time::Duration;

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
        assert_eq!(answer.headers()["content-range"], format!("bytes */{}", whole.len()));
        assert_eq!(problem(answer).await, (416, "invalid-range".to_owned()));
        let digest = text(&data["sha256"]);
        let conditional = async |tags: String| {
            companion.get(&url).header("If-None-Match", tags).send().await.expect("an answer")
        };
        for tags in [format!("\"{digest}\""), format!("\"a\", W/\"{digest}\""), "*".to_owned()] {
            let answer = conditional(tags).await;
            assert_eq!(answer.status(), 304);
            assert_eq!(answer.headers()["etag"], format!("\"{digest}\""));
            assert!(answer.bytes().await.expect("a body").is_empty());
        }
        for tags in [format!("\"{digest}a\""), digest.clone(), String::new()] {
            assert_eq!(conditional(tags).await.status(), 200, "another file, or no tag");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_under_way_goes_on_after_a_signal_for_as_long_as_the_drain_lasts() {
    let server = Postgres::start().await;
    let seeded = Seeded::postgres(&server, "app", SEED).await;
    let mut companion = Companion::start_beside("server: {drain: 2m}\n", &seeded.url, "").await;
    let tenant = &seeded.tenants[0];
    // More than all buffers on the way take: 12 MB.
    let rows = format!(
        "INSERT INTO activity_log (organization_id, activity_type, summary, created_at) \
         SELECT '{}', 'login', repeat('x', 20000), now() - interval '1 hour' FROM generate_series(1, 600)",
        tenant.id
    );
    server.ask("app", &rows);
    let answer = ask(&companion, tenant, &json!({"format": "csv", "report": "activity"})).await;
    let done = ended(&companion, tenant, &told(answer).await).await;
    let mut wire = Wire::connect(companion.at).await;
    wire.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", text(&done["download_url"]))).await;
    let head = wire.head().await.expect("a head");
    companion.process.signal("TERM");
    // Longer than the five seconds that are for background work.
    tokio::time::sleep(Duration::from_secs(7)).await;
    let body = wire.body(&split_head(&head).1, true).await.expect("all of it");
    assert_eq!(done["bytes"].as_u64(), u64::try_from(body.len()).ok());
    assert!(body.len() > 11 << 20, "{}", body.len());
    assert!(companion.process.exit().await.success(), "{}", companion.process.stderr());
}
