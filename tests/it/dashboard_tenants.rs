//! Who is told what: by the verified token alone, and of its tenant alone.

use crate::dashboard_api::SEED;
use crate::support::engines::on_both_engines;
use crate::support::tokens::{SECRET, in_seconds, signed};
use crate::support::{Companion, Engine, Fetch, Tenant};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

on_both_engines!(SEED;
    no_answer_tells_of_another_tenant,
    a_tenant_without_data_is_told_that_it_has_none,
    a_tenant_that_is_not_there_or_no_longer_is_told_nothing,
    the_days_of_a_tenant_are_those_of_its_time_zone,
);

const TARGETS: &[&str] = &[
    "metrics",
    "metrics?compare=7d&tz=UTC",
    "activity?limit=100",
    "activity?limit=100&type=login",
    "statistics",
    "statistics?granularity=month&from=2025-12-01&to=2027-11-30",
];

/// Everything in the database by which a tenant, its users, content or happenings could be known.
fn marks(engine: &Engine, tenant: &Tenant) -> Vec<String> {
    let of = |column: &str, table: &str| {
        format!(
            "SELECT CAST({column} AS text) FROM {table} WHERE CAST(organization_id AS text) = '{}'",
            tenant.id
        )
    };
    let mut marks = engine.ask(&of("id", "users"));
    marks.extend(engine.ask(&of("email", "users")));
    marks.extend(engine.ask(&of("id", "educational_content")));
    marks.extend(engine.ask(&of("id", "lessons")));
    marks.extend(
        engine.ask(&format!("SELECT name FROM organizations WHERE CAST(id AS text) = '{}'", tenant.id)),
    );
    marks.push(tenant.id.clone());
    marks
}

async fn no_answer_tells_of_another_tenant(engine: Engine) {
    let companion = engine.companion("").await;
    let tenants = engine.two();
    let marks = tenants.map(|tenant| marks(&engine, tenant));
    assert!(marks.iter().all(|marks| marks.len() > 40));
    let asked = (0..60).map(|number| (number % 2, TARGETS[number / 2 % TARGETS.len()]));
    let answers = join_all(asked.map(|(whose, target)| {
        let companion = &companion;
        async move { (whose, target, companion.figures(tenants[whose], target).await) }
    }))
    .await;
    for (whose, target, answer) in answers {
        assert_eq!(answer.status, 200, "{target}");
        let text = answer.text();
        assert_eq!(answer.json()["metadata"]["organization_id"], tenants[whose].id.as_str());
        let told = marks[1 - whose].iter().find(|mark| text.contains(mark.as_str()));
        assert_eq!(told, None, "{target}: {text}");
    }
    let [one, two] = tenants;
    for target in ["metrics", "activity", "statistics"] {
        for name in ["organization_id", "tenant", "org"] {
            let answer = companion.figures(one, &format!("{target}?{name}={}", two.id)).await;
            assert_eq!((answer.status, &answer.json()["errors"][0]["field"]), (400, &json!(name)));
        }
        let path = format!("/api/v1/dashboard/{target}");
        let request = companion.get(&path).bearer_auth(one.token());
        let answer =
            request.header("X-Organization-Id", &two.id).header("X-User-Id", &two.admin).fetch().await;
        assert_eq!(answer.json()["metadata"]["organization_id"], one.id.as_str());
    }
    let stranger = companion.data(one, &format!("activity?user_id={}", two.admin)).await;
    assert_eq!(stranger["items"], json!([]));
}

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

async fn a_tenant_without_data_is_told_that_it_has_none(engine: Engine) {
    let now = engine.moment(1_781_526_896_000_000);
    engine.ask(&format!(
        "INSERT INTO organizations (id, name, slug, created_at, updated_at) VALUES ('{NOBODY}', 'New', 'new', {now}, {now})"
    ));
    let companion = engine.companion("").await;
    let nobody = Tenant { id: NOBODY.to_owned(), admin: "a".to_owned(), users: 0 };
    let data = companion.data(&nobody, "metrics").await;
    assert_eq!((&data["users"]["total"], &data["users"]["growth_rate"]), (&json!(0), &Value::Null));
    assert_eq!(data["engagement"]["avg_session_seconds"], Value::Null);
    assert_eq!(companion.data(&nobody, "activity").await["items"], json!([]));
    let data = companion.data(&nobody, "statistics").await;
    assert_eq!(
        data["totals"]["engagement"],
        json!({"sessions": 0, "active_users": 0, "avg_session_seconds": null})
    );
}

async fn a_tenant_that_is_not_there_or_no_longer_is_told_nothing(engine: Engine) {
    let [tenant, deleted] = engine.two();
    let figures = ["metrics", "metrics?tz=UTC", "activity", "statistics", "statistics?tz=UTC"];
    let companion = engine.companion("").await;
    let stranger = Tenant { id: NOBODY.to_owned(), ..tenant.clone() };
    let now = engine.moment(1_781_526_896_000_000);
    engine.ask(&format!(
        "UPDATE organizations SET deleted_at = {now} WHERE CAST(id AS text) = '{}'",
        deleted.id
    ));
    for unknown in [&stranger, deleted] {
        for target in figures {
            let answer = companion.figures(unknown, target).await;
            assert_eq!(answer.problem().0, 403, "{target}: {}", answer.text());
            assert_eq!(answer.json()["code"], "unknown-tenant", "{target}");
        }
        let path = "/api/v1/dashboard/export";
        let request = companion.request(reqwest::Method::POST, path).bearer_auth(unknown.token());
        let answer = request.json(&json!({"format": "csv"})).fetch().await;
        assert_eq!((answer.problem().0, &answer.json()["code"]), (403, &json!("unknown-tenant")));
    }
    for target in figures {
        assert_eq!(companion.figures(tenant, target).await.status, 200, "{target}");
    }
}

async fn the_days_of_a_tenant_are_those_of_its_time_zone(engine: Engine) {
    let companion = engine.companion("timezone: Asia/Tokyo, cache: {metrics: none, activity: none}, ").await;
    let [tenant, other] = engine.two();
    let set = |tenant: &Tenant, zone: &str| {
        engine.ask(&format!(
            "UPDATE organizations SET timezone = '{zone}' WHERE CAST(id AS text) = '{}'",
            tenant.id
        ))
    };
    set(tenant, "Australia/Adelaide");
    set(other, "Middle/Earth");
    let zone = async |whose: &Tenant, target: &str| {
        companion.figures(whose, target).await.json()["metadata"]["timezone"].take()
    };
    for target in ["metrics", "activity", "statistics"] {
        assert_eq!(zone(tenant, target).await, "Australia/Adelaide", "{target}");
        assert_eq!(zone(other, target).await, "Asia/Tokyo", "{target}: nobody knows the tenant's own");
    }
    assert_eq!(zone(tenant, "metrics?tz=UTC").await, "UTC");
    let data = companion.data(tenant, "statistics?tz=America/New_York").await;
    assert_eq!(data["tz"], "America/New_York");
}

fn claims(tenant: &Tenant) -> Value {
    json!({"sub": tenant.admin, "organization_id": tenant.id, "role": "admin", "exp": in_seconds(3_600)})
}

fn with(tenant: &Tenant, name: &str, value: Value) -> String {
    let mut claims = claims(tenant);
    claims[name] = value;
    signed(&claims)
}

fn signed_as(algorithm: Algorithm, key: &str, claims: &Value) -> String {
    encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(key.as_bytes())).expect("a token")
}

/// A token without a signature.
fn unsigned(claims: &Value) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.", part(&json!({"alg": "none", "typ": "JWT"})), part(claims))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_good_token_is_told_nothing() {
    let engine = Engine::sqlite(SEED).await;
    let config = format!(
        "dashboard: {{listen: \"127.0.0.1:0\", database: \"{}\", jwt: {{algorithms: [HS256], secret: \"{SECRET}\", issuer: us}}}}\n",
        engine.seeded.url
    );
    let companion = Companion::start_with(&config).await;
    let [tenant, _] = engine.two();
    let good = with(tenant, "iss", json!("us"));
    let mut ours = claims(tenant);
    ours["iss"] = json!("us");
    let mut late = ours.clone();
    late["exp"] = json!(in_seconds(-3_600));
    let mut without_end = ours.clone();
    without_end.as_object_mut().expect("an object").remove("exp");
    let another_key = signed_as(Algorithm::HS256, "another secret, long enough for HMAC too", &ours);
    let head = good.rsplit_once('.').expect("a signature").0.to_owned();
    let bad = [
        ("expired", signed(&late)),
        ("without an end", signed(&without_end)),
        ("another key", another_key),
        ("another algorithm", signed_as(Algorithm::HS512, SECRET, &ours)),
        ("none", unsigned(&ours)),
        ("another issuer", with(tenant, "iss", json!("them"))),
        ("no issuer", signed(&claims(tenant))),
        ("cut", head),
        ("no token", "hello".to_owned()),
    ];
    for target in ["metrics", "activity", "statistics", "metrics?organization_id=x"] {
        let path = format!("/api/v1/dashboard/{target}");
        for (what, token) in &bad {
            let answer = companion.get(&path).bearer_auth(token).fetch().await;
            assert_eq!(
                (answer.problem().0, &answer.json()["code"]),
                (401, &json!("invalid-token")),
                "{target}: {what}"
            );
            let challenge = answer.header("www-authenticate");
            assert_eq!(challenge, r#"Bearer realm="tidegate dashboard", error="invalid_token""#, "{what}");
            assert!(!answer.text().contains(&tenant.id));
        }
        for field in ["", "Basic YTpi", &format!("Token {good}")] {
            let answer = companion.get(&path).header("Authorization", field).fetch().await;
            let code = answer.json()["code"].take();
            assert_eq!((answer.problem().0, code), (401, json!("unauthorized")), "{target}: {field:?}");
            let challenge = answer.header("www-authenticate");
            assert_eq!(challenge, r#"Bearer realm="tidegate dashboard""#, "no error where no token came");
        }
        let twice = companion.get(&path).bearer_auth(&good).header("Authorization", "Bearer x").fetch().await;
        assert_eq!(twice.status, 401, "two of them");
        let empty = companion.get(&path).header("Authorization", "Bearer").fetch().await;
        assert_eq!(empty.status, 401, "an empty one");
        let answer = companion.get(&path).query(&[("access_token", &good)]).fetch().await;
        assert_eq!(answer.status, 401, "{target}: not from the query");
    }
    assert_eq!(companion.get("/api/v1/dashboard/metrics").bearer_auth(&good).fetch().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_sees_what_it_may() {
    let engine = Engine::sqlite(SEED).await;
    let [tenant, _] = engine.two();
    let status = async |companion: &Companion, token: &str| {
        let answer = companion.get("/api/v1/dashboard/activity").bearer_auth(token).fetch().await;
        answer.status
    };
    let companion = engine.companion("").await;
    for (role, expected) in [
        (json!("admin"), 200),
        (json!("teacher"), 200),
        (json!(["student", "teacher"]), 200),
        (json!("student"), 403),
        (json!("parent"), 403),
        (json!(["parent"]), 403),
        (json!("Admin"), 403),
        (json!(""), 403),
        (json!({"admin": true}), 403),
        (Value::Null, 403),
    ] {
        assert_eq!(status(&companion, &with(tenant, "role", role.clone())).await, expected, "{role}");
    }
    for (claim, value) in
        [("organization_id", json!("")), ("organization_id", Value::Null), ("sub", Value::Null)]
    {
        assert_eq!(status(&companion, &with(tenant, claim, value)).await, 403, "without {claim}");
    }
    let companion = engine.companion("roles: {read: [boss], export: [clerk]}, ").await;
    for (role, expected) in [("boss", 200), ("clerk", 200), ("admin", 403)] {
        assert_eq!(status(&companion, &tenant.token_as(role)).await, expected, "{role}");
    }
}
