//! Who may ask for what, and what the answers say.

use super::{PATH, SEED, SIGNING, ask, on_both, problem, text, told};
use crate::support::tokens::in_seconds;
use crate::support::{Companion, Seeded, Tenant, Wire};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::Duration;
use tidegate::base::Digester;

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
    for odd in ["9223372036854775807-01-05", "2026-01-9223372036854775807"] {
        for (member, report) in [("to", "activity"), ("from", "statistics")] {
            let answer =
                ask(&companion, tenant, &json!({"format": "csv", "report": report, member: odd})).await;
            assert_eq!(answer.status(), 422);
            let body: Value = answer.json().await.expect("JSON");
            assert_eq!(body["errors"][0]["field"], member, "{body}");
        }
    }
    let answer = post(" ".repeat(20_000)).send().await.expect("an answer");
    assert_eq!(problem(answer).await, (413, "invalid-body".to_owned()));
    let answer = post("{}".to_owned()).header("Idempotency-Key", "a b").send().await.expect("an answer");
    assert_eq!(problem(answer).await, (400, "invalid-idempotency-key".to_owned()));
    for query in ["tenant=other", "&tenant=other", "&&tenant", "=other"] {
        let asked = companion.get(&format!("{PATH}/x?{query}")).bearer_auth(tenant.token());
        let answer = asked.send().await.expect("an answer");
        assert_eq!(problem(answer).await, (400, "invalid-query".to_owned()), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_no_text_is_as_unknown_as_any_other() {
    let seeded = Seeded::sqlite(SEED).await;
    let companion = Companion::start(&seeded.url, "").await;
    for method in [Method::GET, Method::DELETE] {
        let asked = companion.request(method, &format!("{PATH}/%ff")).bearer_auth(seeded.tenants[0].token());
        assert_eq!(problem(asked.send().await.expect("an answer")).await, (404, "not-found".to_owned()));
    }
    let answer = companion.get(&format!("{PATH}/%ff/download?exp=1&sig=a")).send().await.expect("an answer");
    assert_eq!(problem(answer).await, (403, "invalid-link".to_owned()));
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

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_is_told_as_the_clients_delay() {
    let seeded = Seeded::sqlite(SEED).await;
    let companion = Companion::start(&seeded.url, "").await;
    let mut wire = Wire::connect(companion.at).await;
    let token = seeded.tenants[0].token();
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Length: 60\r\n\r\n"
    );
    wire.send(head + "{").await;
    // Whoever has sent everything has 30 seconds until the answer, and so has a body to come.
    tokio::time::sleep(Duration::from_secs(25)).await;
    let answer = wire.answer().await.expect("an answer");
    assert_eq!((answer.status, &answer.json()["code"]), (408, &json!("body-too-slow")), "{}", answer.text());
    assert_eq!(answer.headers["connection"], "close");
    assert!(wire.is_closed().await);
}
