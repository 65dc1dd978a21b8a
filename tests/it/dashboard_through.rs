//! The dashboard as its users meet it: through the proxy, over a real PostgreSQL and over SQLite. One world for each engine,
//! built once for all of its cases.

use crate::support::tokens::{in_seconds, signed};
use crate::support::{Answer, Companion, Fetch, Gate, Legacy, Postgres, Seeded, Setup, eventually};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const SEED: &[&str] = &["--tenants", "4", "--users-per-tenant", "60", "--days", "60"];
const METRICS: &str = "/api/v1/dashboard/metrics";
const ACTIVITY: &str = "/api/v1/dashboard/activity";
const STATISTICS: &str = "/api/v1/dashboard/statistics";
const EXPORT: &str = "/api/v1/dashboard/export";

/// A gate in front of a legacy backend and the companion.
struct House {
    gate: Gate,
    companion: Companion,
    seeded: Seeded,
    _backend: Legacy,
    _server: Option<Postgres>,
}

impl House {
    async fn sqlite() -> Self {
        Self::over(Seeded::sqlite(SEED).await, None).await
    }

    async fn postgres() -> Self {
        let server = Postgres::start().await;
        let seeded = Seeded::postgres(&server, "app", SEED).await;
        Self::over(seeded, Some(server)).await
    }

    /// The gate comes first, because the companion asks it how it is; then it learns where the companion is.
    async fn over(seeded: Seeded, server: Option<Postgres>) -> Self {
        let backend = Legacy::start().await;
        let setup = Setup::new(backend.address());
        let gate = Gate::start(&setup.clone().with("routes: [{path: /}]")).await;
        let settings = format!("gateways: [\"http://{}\"], ", gate.admin);
        let companion = Companion::start(&seeded.url, &settings).await;
        let backends = format!("{}, metrics-service: {}", backend.address(), companion.at);
        let sections = format!(
            "{}\nlimits: {{default: {{per: [user, ip], windows: {{1m: 1000}}}}, tight: {{per: [user], windows: {{1m: 3, 1h: 50}}}}}}\n\
             routes:\n  - {{path: {STATISTICS}, upstream: metrics-service, limit: tight}}\n\
             \x20 - {{path: /api/v1/dashboard/, upstream: metrics-service}}\n\
             \x20 - {{path: /dashboard/, upstream: metrics-service, limit: none}}\n  - {{path: /, upstream: backend}}\n",
            crate::support::tokens::HS256
        );
        gate.reload(&setup.upstream(&backends).with(&sections)).await;
        Self { gate, companion, seeded, _backend: backend, _server: server }
    }

    async fn get(&self, path: &str, token: &str) -> Answer {
        self.gate.get(path).bearer_auth(token).fetch().await
    }

    /// A token of the administrator of the tenant of that size, the largest first.
    fn token(&self, tenant: usize) -> String {
        self.seeded.tenants[tenant].token()
    }
}

/// All cases on one engine.
macro_rules! on {
    ($engine:ident) => {
        mod $engine {
            use super::House;

            #[tokio::test(flavor = "multi_thread")]
            async fn the_dashboard_works_through_the_proxy() {
                let house = House::$engine().await;
                super::retrieval(&house).await;
                super::authentication_and_authorisation(&house).await;
                super::caching(&house).await;
                super::paging(&house).await;
                super::ranges(&house).await;
                super::exports(&house).await;
                super::isolation(&house).await;
                super::page_and_health(&house).await;
                super::limits(&house).await;
            }
        }
    };
}

on!(sqlite);
on!(postgres);

/// Figures come in the envelope, and are those of the database.
async fn retrieval(house: &House) {
    let tenant = &house.seeded.tenants[0];
    let answer = house.get(METRICS, &tenant.token()).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "application/json"),
        "{}",
        answer.text()
    );
    let metrics = answer.json();
    assert_eq!(
        (&metrics["status"], &metrics["metadata"]["organization_id"]),
        (&json!("success"), &json!(tenant.id))
    );
    assert_eq!(metrics["data"]["users"]["total"], tenant.users);
    let roles = metrics["data"]["users"]["by_role"].as_object().expect("by role");
    assert_eq!(roles.values().filter_map(Value::as_i64).sum::<i64>(), tenant.users);
    for part in ["users", "content", "engagement", "system"] {
        assert!(metrics["data"][part].is_object(), "{metrics}");
    }
    assert!(!answer.header("x-request-id").is_empty() && answer.header("via").contains("tidegate"));
}

/// Only a verified token of a role that may see it opens the dashboard; the gate's fields open nothing.
async fn authentication_and_authorisation(house: &House) {
    let tenant = &house.seeded.tenants[0];
    let forged = format!("{}x", tenant.token());
    let expired = signed(
        &json!({"sub": "a", "organization_id": tenant.id, "role": "admin", "exp": in_seconds(-3_600)}),
    );
    for path in [METRICS, ACTIVITY, STATISTICS] {
        let nobody =
            house.gate.get(path).header("X-Organization-Id", &tenant.id).header("X-User-Id", &tenant.admin);
        for answer in [nobody.fetch().await, house.get(path, &forged).await, house.get(path, &expired).await]
        {
            assert_eq!(answer.problem().0, 401, "{path}");
            assert!(answer.header("www-authenticate").starts_with("Bearer"), "{path}");
        }
        assert_eq!(house.get(path, &tenant.token_as("student")).await.problem().0, 403, "{path}");
        let homeless = signed(&json!({"sub": "a", "role": "admin", "exp": in_seconds(60)}));
        assert_eq!(house.get(path, &homeless).await.problem().0, 403, "{path}");
    }
    assert_eq!(house.get(METRICS, &tenant.token_as("teacher")).await.status, 200);
    let export = house.gate.request(Method::POST, EXPORT).bearer_auth(tenant.token_as("teacher"));
    let export = export.json(&json!({"format": "csv", "report": "users"})).fetch().await;
    assert_eq!(export.problem().0, 403, "a teacher reads and does not export");
}

/// The second answer is the first, says so, and is the tenant's alone.
async fn caching(house: &House) {
    let (tenant, path) = (&house.seeded.tenants[1], format!("{METRICS}?compare=29d"));
    let first = house.get(&path, &tenant.token()).await.json();
    let again = house.get(&path, &tenant.token_as("teacher")).await;
    let second = again.json();
    assert_eq!((&first["metadata"]["cached"], &second["metadata"]["cached"]), (&json!(false), &json!(true)));
    assert_eq!(first["metadata"]["cache_ttl"], 300);
    assert_eq!(first["metadata"]["timestamp"], second["metadata"]["timestamp"], "when it was counted");
    for part in ["users", "content", "engagement"] {
        assert_eq!(first["data"][part], second["data"][part]);
    }
    assert!(
        again.header("cache-control").starts_with("private, max-age="),
        "{}",
        again.header("cache-control")
    );
    assert!(again.header("vary").to_ascii_lowercase().contains("authorization"));
    let other = house.get(&path, &house.token(2)).await.json();
    assert_eq!(other["metadata"]["cached"], false, "another tenant's are counted for it");
    let etag = again.header("etag");
    let same = house.gate.get(&path).bearer_auth(tenant.token()).header("If-None-Match", etag).fetch().await;
    assert!(same.status == 304 && same.body.is_empty() || same.header("etag") != etag, "{same:?}");
}

/// Every entry once, newest first, whatever the size of a page.
async fn paging(house: &House) {
    let token = house.token(0);
    let mut pages = Vec::new();
    for limit in [13, 100] {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        for _ in 0..40 {
            let page = house.get(&format!("{ACTIVITY}?limit={limit}{cursor}"), &token).await.json();
            let found = page["data"]["items"].as_array().expect("items");
            assert!(found.len() <= limit, "{page}");
            items.extend(found.iter().map(|item| item["id"].to_string()));
            let Some(next) = page["pagination"]["next_cursor"].as_str() else {
                assert_eq!(page["pagination"]["has_more"], false);
                break;
            };
            cursor = format!("&cursor={next}");
            if items.len() >= 120 {
                break;
            }
        }
        items.truncate(120);
        assert_eq!(items.iter().collect::<BTreeSet<_>>().len(), items.len(), "nothing twice");
        pages.push(items);
    }
    assert!(pages[0].len() > 50 && pages[0] == pages[1], "{pages:?}");
    let forged = house.get(&format!("{ACTIVITY}?cursor=eyJhIjoxfQ"), &token).await;
    assert_eq!(forged.problem().0, 400);
}

/// Series have a point for each day, week or month, and what is no range is refused.
async fn ranges(house: &House) {
    let token = signed(&json!({
        "sub": "ranges", "organization_id": house.seeded.tenants[0].id, "role": "admin", "exp": in_seconds(600)
    }));
    let ask = async |query: &str, user: &str| {
        let token = signed(&json!({
            "sub": user, "organization_id": house.seeded.tenants[0].id, "role": "admin", "exp": in_seconds(600)
        }));
        house.get(&format!("{STATISTICS}?{query}"), &token).await
    };
    for (granularity, points) in [("day", 31), ("week", 5), ("month", 1)] {
        let answer =
            ask(&format!("from=2026-01-01&to=2026-01-31&granularity={granularity}&tz=UTC"), granularity)
                .await;
        let series = &answer.json()["data"]["series"];
        assert_eq!(series["engagement"].as_array().map(Vec::len), Some(points), "{}", answer.text());
        assert_eq!(series["user_growth"].as_array().map(Vec::len), Some(points));
    }
    assert_eq!(ask("from=2020-01-01&to=2026-01-31", "long").await.problem().0, 422);
    assert_eq!(ask("from=2026-02-01&to=2026-01-31", "back").await.problem().0, 422);
    assert_eq!(ask("from=yesterday", "word").await.status / 100, 4);
    let unknown = house.get(&format!("{METRICS}?organization_id=x"), &token).await;
    assert_eq!(unknown.problem().0, 400, "the tenant is the token's");
}

/// Three formats; the link works without a token and for nobody else's export.
async fn exports(house: &House) {
    for (format, media_type) in [
        ("json", "application/json"),
        ("csv", "text/csv"),
        ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ] {
        let asked = house.gate.request(Method::POST, EXPORT).bearer_auth(house.token(0));
        let made = asked.json(&json!({"format": format, "report": "users"})).fetch().await;
        assert_eq!(made.status, 200, "{}", made.text());
        let made = made.json()["data"].clone();
        assert_eq!(
            (&made["status"], &made["rows"]),
            (&json!("done"), &json!(house.seeded.tenants[0].users)),
            "{made}"
        );
        let link = made["download_url"].as_str().expect("a link");
        let file = house.gate.get(link).fetch().await;
        assert_eq!(file.status, 200, "{}", file.text());
        assert!(file.header("content-type").starts_with(media_type), "{file:?}");
        assert!(file.header("content-disposition").starts_with("attachment"));
        assert_eq!(made["bytes"].as_u64(), Some(u64::try_from(file.body.len()).expect("small")));
        let standing = format!("{EXPORT}/{}", made["export_id"].as_str().expect("an id"));
        assert_eq!(house.get(&standing, &house.token(0)).await.json()["data"]["status"], "done");
        assert_eq!(house.get(&standing, &house.token(1)).await.problem().0, 404, "another tenant's");
        let forged = link.replace("sig=", "sig=A");
        assert_eq!(house.gate.get(&forged).fetch().await.status / 100, 4);
    }
}

/// Nothing of one tenant's is in any answer to another, asked for side by side.
async fn isolation(house: &House) {
    let seen = async |tenant: usize| {
        let token = house.token(tenant);
        let paths = [METRICS.to_owned(), format!("{ACTIVITY}?limit=100")];
        let answers = futures_util::future::join_all(paths.iter().map(|path| house.get(path, &token))).await;
        answers.iter().map(Answer::text).collect::<String>()
    };
    let all = futures_util::future::join_all((0..3).map(seen)).await;
    for (mine, text) in all.iter().enumerate() {
        for (theirs, tenant) in house.seeded.tenants.iter().enumerate().take(3) {
            assert_eq!(text.contains(&tenant.id), mine == theirs, "{mine} {theirs}");
        }
    }
    let users = |text: &str| -> BTreeSet<String> {
        text.split("\"actor\":{\"id\":\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .map(str::to_owned)
            .collect()
    };
    assert!(users(&all[0]).len() > 1 && users(&all[0]).is_disjoint(&users(&all[1])));
}

/// The page is there, harmless, and the gate's own figures are live in it.
async fn page_and_health(house: &House) {
    let page = house.gate.get("/dashboard/").fetch().await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
    assert_eq!(house.gate.get("/dashboard").fetch().await.status / 100, 3);
    let mut system = Value::Null;
    // Asked at its start, the gate has served nothing yet; that is told for five seconds.
    eventually("the gate is known, and what it has served", async || {
        system = house.get(METRICS, &house.token(0)).await.json()["data"]["system"].clone();
        system["response_time_ms"]["p99"].as_f64().is_some_and(|p99| p99 > 0.0)
    })
    .await;
    assert_eq!((&system["status"], &system["source"]), (&"ok".into(), &"proxy".into()), "{system}");
    eventually("it is ready", async || house.companion.get("/readyz").fetch().await.status == 200).await;
}

/// What is limited says so in every answer, and ends in a 429 of the gate's, not the companion's.
async fn limits(house: &House) {
    // Of nobody else's name: tenants without an administrator share one.
    let token = signed(&json!({
        "sub": "limited", "organization_id": house.seeded.tenants[3].id, "role": "admin", "exp": in_seconds(600)
    }));
    let mut left = Vec::new();
    for _ in 0..3 {
        let answer = house.get(STATISTICS, &token).await;
        assert_eq!((answer.status, answer.number("x-ratelimit-limit-60s")), (200, 3), "{}", answer.text());
        left.push((answer.number("x-ratelimit-remaining-60s"), answer.number("x-ratelimit-remaining-3600s")));
        assert!(answer.header("ratelimit").contains("tight"), "{answer:?}");
    }
    assert_eq!(left, [(2, 49), (1, 48), (0, 47)]);
    let denied = house.get(STATISTICS, &token).await;
    assert_eq!(denied.problem().0, 429);
    assert!((1..=60).contains(&denied.number("retry-after")));
    assert_eq!(house.get(METRICS, &token).await.status, 200, "another route, another limit");
}
