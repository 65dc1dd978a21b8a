//! `openapi.json` and what is really answered: the same routes, the same shapes.

use crate::dashboard_api::SEED;
use crate::support::engines::on_both_engines;
use crate::support::{Answer, Companion, Engine, Fetch, Seeded, eventually};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const FEW: &[&str] = &["--tenants", "1", "--users-per-tenant", "10", "--days", "5"];

on_both_engines!(SEED; answers_are_as_the_document_says);

/// The document's schema of that name.
fn schema(document: &Value, name: &str) -> jsonschema::Validator {
    let schema =
        json!({"$ref": format!("#/components/schemas/{name}"), "components": document["components"]});
    jsonschema::validator_for(&schema).expect("a schema")
}

async fn answers_are_as_the_document_says(engine: Engine) {
    let companion = engine.companion("").await;
    let [tenant, _] = engine.two();
    let document = companion.get("/openapi.json").fetch().await.json();
    let check = |answer: &Answer, name: &str| {
        let body = answer.json();
        let faults: Vec<String> =
            schema(&document, name).iter_errors(&body).map(|it| it.to_string()).collect();
        assert!(faults.is_empty(), "{name}: {faults:?} in {body}");
    };
    for (target, name) in [
        ("metrics", "Metrics"),
        ("metrics?compare=1d&tz=UTC", "Metrics"),
        ("activity", "Activity"),
        ("activity?limit=100&type=login,content_published", "Activity"),
        ("activity?user_id=nobody", "Activity"),
        ("statistics", "Statistics"),
        ("statistics?granularity=month&metrics=engagement", "Statistics"),
        ("metrics?tz=Mars", "Problem"),
        ("activity?cursor=abc", "Problem"),
    ] {
        check(&companion.figures(tenant, target).await, name);
    }
    check(&companion.get("/api/v1/dashboard/metrics").fetch().await, "Problem");
    for (path, name) in
        [("/healthz", "Alive"), ("/livez", "Alive"), ("/readyz", "Ready"), ("/nowhere", "Problem")]
    {
        check(&companion.get(path).fetch().await, name);
    }
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let ok = &operation["responses"]["200"]["content"]["application/json"];
            if let (Some(example), Some(name)) = (ok.get("example"), ok["schema"]["$ref"].as_str()) {
                let name = name.rsplit('/').next().expect("a name");
                assert!(schema(&document, name).is_valid(example), "the example of {method} {path}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_is_in_the_document_and_every_reference_leads_somewhere() {
    let seeded = Seeded::sqlite(FEW).await;
    let companion = Companion::start(&seeded.url, "").await;
    let text = companion.get("/openapi.json").fetch().await.text();
    let document: Value = serde_json::from_str(&text).expect("JSON");
    for reference in text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
    let mut listed = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for method in methods.as_object().expect("methods").keys() {
            listed.insert((method.to_uppercase(), path.clone()));
            // Nothing is there of a name that somebody has yet to give.
            if !path.contains('{') {
                let request = companion.request(method.to_uppercase().parse().expect("a method"), path);
                let status = request.fetch().await.status;
                assert!(![404, 405].contains(&status), "{method} {path} answers {status}");
            }
        }
    }
    let routes = tidegate::companion::service::ROUTES.iter();
    let routes: BTreeSet<(String, String)> =
        routes.map(|(method, path)| ((*method).to_owned(), (*path).to_owned())).collect();
    // Exports compare theirs by themselves.
    let others = listed.difference(&routes).filter(|(_, path)| !path.starts_with("/api/v1/dashboard/export"));
    assert_eq!((routes.difference(&listed).count(), others.count()), (0, 0), "{listed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_tell_the_length_and_requests_are_counted_and_logged() {
    let seeded = Seeded::sqlite(FEW).await;
    let companion = Companion::start(&seeded.url, "").await;
    let tenant = &seeded.tenants[0];
    companion.figures(tenant, "statistics").await;
    let got = companion.figures(tenant, "statistics").await;
    let path = "/api/v1/dashboard/statistics";
    let head = companion.request(reqwest::Method::HEAD, path).bearer_auth(tenant.token()).fetch().await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    for name in ["content-length", "content-type", "etag", "vary"] {
        assert_eq!(head.header(name), got.header(name), "{name}");
    }
    assert_eq!(got.header("vary"), "Authorization");
    assert_eq!(got.header("x-content-type-options"), "nosniff");
    let counted = |method: &'static str| {
        let labels = [("route", path), ("method", method), ("status", "200")];
        let companion = &companion;
        async move { companion.metric("tidegate_requests_total", &labels).await }
    };
    assert_eq!((counted("GET").await, counted("HEAD").await), (2.0, 1.0));
    let wrong = companion.request(reqwest::Method::POST, path).fetch().await;
    assert_eq!((wrong.problem().0, wrong.header("allow")), (405, "GET,HEAD"));
    let told = [path, &tenant.id, &tenant.admin, "cache"];
    eventually("a line in the access log", async || {
        let is_told = |line: &str| told.iter().all(|word| line.contains(word));
        companion.process.stderr().lines().any(is_told)
    })
    .await;
}
