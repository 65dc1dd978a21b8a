//! What the companion's service does whether anybody asks or not, and what it leaves alone.

use crate::support::{Companion, Fetch, Gate, Origin, Postgres, Seeded, Setup, eventually};
use serde_json::Value;
use std::fs;

const FEW: &[&str] = &["--tenants", "2", "--users-per-tenant", "10", "--days", "10"];
const OFTEN: &str = "rollups: {every: 1s}, ";

/// The value of a series; 0 where it is not there.
async fn metric(companion: &Companion, series: &str) -> u64 {
    let answer = companion.get("/metrics").send().await.expect("an answer");
    let text = answer.text().await.expect("a text");
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
    value.unwrap_or(0)
}

async fn leads(companion: &Companion) -> bool {
    metric(companion, "tidegate_dashboard_rollup_leader").await == 1
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_services_counts_days_and_the_other_goes_on_when_it_is_killed() {
    let server = Postgres::start().await;
    let seeded = Seeded::postgres(&server, "app", FEW).await;
    let mut one = Companion::start(&seeded.url, OFTEN).await;
    eventually("the first counts", async || leads(&one).await).await;
    let two = Companion::start(&seeded.url, OFTEN).await;
    let (done, left) = (
        "tidegate_dashboard_rollup_runs_total{result=\"done\"}",
        "tidegate_dashboard_rollup_runs_total{result=\"left\"}",
    );
    eventually("the second has tried", async || metric(&two, left).await >= 2).await;
    assert_eq!((metric(&two, done).await, leads(&two).await), (0, false));
    assert!(metric(&one, done).await >= 1 && metric(&one, "tidegate_dashboard_rollup_days_total").await > 3);
    one.process.signal("KILL");
    one.process.exit().await;
    // Its lease would run out by itself after half a minute.
    server.ask("app", "UPDATE companion_leases SET expires_at = now()");
    eventually("the second counts", async || leads(&two).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_over_an_applications_own_tables_writes_nothing_there() {
    let server = Postgres::start().await;
    let seeded = Seeded::postgres(&server, "app", FEW).await;
    let tables = "ALTER TABLE users RENAME TO accounts; DROP TABLE companion_leases, companion_marks; \
        CREATE ROLE reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader";
    server.ask("app", tables);
    let written = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables";
    let before = server.ask("app", written);
    let mapping = "read_only: true, mapping: {tables: {users: accounts, organizations: organizations}}, ";
    let url = server.url_as("reader", "app");
    let companion = Companion::start(&url, &format!("{OFTEN}{mapping}")).await;
    eventually("it is ready", async || companion.get("/readyz").fetch().await.status == 200).await;
    let own = companion.folder.path().join("tidegate-dashboard-own.db");
    assert!(fs::metadata(&own).is_ok(), "what is its own stands beside");
    assert_eq!(metric(&companion, "tidegate_dashboard_rollup_leader").await, 0);
    let tenant = &seeded.tenants[0];
    let told = async |path: &str| -> Value {
        let request = companion.get(&format!("/api/v1/dashboard/{path}")).bearer_auth(tenant.token());
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.expect("JSON")
    };
    assert_eq!(told("metrics").await["data"]["users"]["total"], tenant.users);
    let feed = told("activity").await;
    assert!(feed["data"]["items"].as_array().is_some_and(|items| !items.is_empty()), "{feed}");
    let statistics = told("statistics").await;
    let engagement = statistics["data"]["series"]["engagement"].as_array().expect("a series");
    assert!(engagement.iter().any(|day| day["sessions"].as_i64() > Some(0)), "{statistics}");
    assert_eq!(server.ask("app", written), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_page_tells_how_the_gateways_do_and_that_one_is_gone() {
    let seeded = Seeded::sqlite(FEW).await;
    let origin = Origin::counting().await;
    let setup = Setup::new(origin.address()).with("routes: [{path: /}]");
    let (one, two) = (Gate::start(&setup).await, Gate::start(&setup).await);
    let gateways = format!("gateways: ['http://{}', 'http://{}'], ", one.admin, two.admin);
    let companion = Companion::start(&seeded.url, &gateways).await;
    let system = async || -> Value {
        let request = companion.get("/api/v1/dashboard/metrics").bearer_auth(seeded.tenants[0].token());
        let told: Value = request.send().await.expect("an answer").json().await.expect("JSON");
        told["data"]["system"].clone()
    };
    let health = system().await;
    assert_eq!((&health["status"], &health["source"]), (&"ok".into(), &"proxy".into()), "{health}");
    drop(two);
    // An answer of the gateways serves everybody for five seconds.
    eventually("one of them is missed", async || system().await["status"] == "degraded").await;
    assert_eq!(system().await["instances"]["reachable"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_wants_another_token_is_told_in_the_log_once() {
    let origin = Origin::counting().await;
    let open = "admin: {listen: \"127.0.0.1:0\"}";
    let text = Setup::new(origin.address()).with("routes: [{path: /}]").text();
    let gate = Gate::start_with(&text.replace(open, "admin: {listen: \"127.0.0.1:0\", token: s3cret}")).await;
    let seeded = Seeded::sqlite(FEW).await;
    let place = format!("gateways: ['http://{}'], ", gate.admin);
    let cases = [
        ("", "set `dashboard.gateway_token`"),
        ("gateway_token: guess, ", "is another than its `admin.token`"),
    ];
    for (token, says) in cases {
        let companion =
            Companion::start(&seeded.url, &format!("{token}{place}cache: {{metrics: none}}, ")).await;
        let asked = async || companion.data(&seeded.tenants[0], "metrics").await["system"]["as_of"].clone();
        eventually("the log says so", async || {
            asked().await;
            companion.process.stderr().contains(says)
        })
        .await;
        let first = asked().await;
        eventually("it was asked again", async || asked().await != first).await;
        let log = companion.process.stderr();
        // On a busy machine an answer may be late, which is another reason.
        let changes = log.matches("no answer within").count();
        assert!(log.contains("WARN") && log.matches("401 Unauthorized").count() <= 1 + changes, "{log}");
    }
    let companion =
        Companion::start(&seeded.url, &format!("gateway_token: s3cret, {place}cache: {{metrics: none}}, "))
            .await;
    eventually("it is believed", async || {
        companion.data(&seeded.tenants[0], "metrics").await["system"]["status"] == "ok"
    })
    .await;
    assert!(!companion.process.stderr().contains("401"), "{}", companion.process.stderr());
}
