//! How long figures are kept, and what is said about it.

use crate::dashboard_api::SEED;
use crate::support::engines::on_both_engines;
use crate::support::{
    Answer, Companion, Engine, Fetch, Gate, Origin, Redis, Setup, Tenant, eventually, within,
};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::time::Duration;

on_both_engines!(SEED;
    figures_are_kept_by_tenant_and_question_and_say_so,
    who_has_the_figures_is_told_that_nothing_has_changed,
    who_may_export_is_told_so_and_others_with_the_same_figures_are_not,
    of_twenty_at_once_one_computes,
    what_nobody_keeps_says_so,
);

fn metadata(answer: &Answer) -> Value {
    answer.json()["metadata"].take()
}

/// `N` of `private, max-age=N`.
fn max_age(answer: &Answer) -> u64 {
    let value = answer.header("cache-control");
    let seconds = value.strip_prefix("private, max-age=").unwrap_or_else(|| panic!("{value}"));
    seconds.parse().expect("a number")
}

/// What was left of the day of the answer when it was made, and a second more.
fn until_midnight_s(metadata: &Value) -> u64 {
    let text = |name: &str| metadata[name].as_str().expect("a text").to_owned();
    let zone = tidegate::companion::Zone::parse(&text("timezone")).expect("a zone");
    let now_us = tidegate::companion::parse_us(&text("timestamp")).expect("a moment");
    u64::try_from((zone.day_ends(now_us) - now_us) / 1_000_000 + 1).expect("later")
}

async fn figures_are_kept_by_tenant_and_question_and_say_so(engine: Engine) {
    let companion = engine.companion("").await;
    let [tenant, other] = engine.two();
    for (target, ttl, another) in [
        ("metrics", 300, "metrics?compare=7d"),
        ("activity", 60, "activity?limit=21"),
        ("statistics", 600, "statistics?granularity=week"),
    ] {
        let first = companion.figures(tenant, target).await;
        assert_eq!(
            (&metadata(&first)["cached"], &metadata(&first)["cache_ttl"]),
            (&json!(false), &json!(ttl))
        );
        let most = match target {
            "metrics" => 5,
            // It is no day's.
            "activity" => ttl,
            _ => ttl.min(until_midnight_s(&metadata(&first))),
        };
        assert!((most.saturating_sub(20)..=most).contains(&max_age(&first)), "{target}");
        let again = companion.figures(tenant, target).await;
        assert_eq!(metadata(&again)["cached"], true, "{target}");
        assert_eq!(metadata(&again)["timestamp"], metadata(&first)["timestamp"], "when it was read");
        assert!(max_age(&again) <= max_age(&first));
        assert_eq!(again.json()["data"], first.json()["data"]);
        assert_eq!(metadata(&companion.figures(tenant, another).await)["cached"], false, "{another}");
        assert_eq!(
            metadata(&companion.figures(other, target).await)["cached"],
            false,
            "another tenant's {target}"
        );
    }
    let zone = metadata(&companion.figures(tenant, "metrics?tz=Asia/Tokyo").await);
    assert_eq!((&zone["cached"], &zone["timezone"]), (&json!(false), &json!("Asia/Tokyo")));
    engine.ask(&format!(
        "UPDATE users SET deleted_at = created_at WHERE CAST(organization_id AS text) = '{}'",
        tenant.id
    ));
    assert_ne!(companion.data(tenant, "metrics").await["users"]["total"], 0, "still as kept");
    assert_eq!(companion.data(tenant, "metrics?compare=8d").await["users"]["total"], 0, "counted now");
}

async fn who_has_the_figures_is_told_that_nothing_has_changed(engine: Engine) {
    let companion = engine.companion("gateways: [], ").await;
    let [tenant, other] = engine.two();
    let ask = async |whose: &Tenant, target: &str, tag: &str| {
        let path = format!("/api/v1/dashboard/{target}");
        companion.get(&path).bearer_auth(whose.token()).header("If-None-Match", tag).fetch().await
    };
    let [first, again] =
        [companion.figures(tenant, "metrics").await, companion.figures(tenant, "metrics").await];
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with("W/\"") && again.header("etag") == tag, "{tag}, {}", again.header("etag"));
    assert_eq!((ask(tenant, "metrics", &tag).await.status, max_age(&again) <= 5), (304, true));
    assert_eq!(ask(other, "metrics", &tag).await.status, 200, "another tenant");
    for target in ["activity", "statistics"] {
        let first = companion.figures(tenant, target).await;
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with('"') && tag.ends_with('"'), "strong: {tag}");
        for given in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
            let answer = ask(tenant, target, &given).await;
            assert_eq!((answer.status, answer.body.len()), (304, 0), "{target} {given}");
            assert_eq!(answer.header("etag"), tag);
            assert_eq!((answer.header("vary"), max_age(&answer) <= 600), ("Authorization", true));
        }
        let again = ask(tenant, target, "\"another\"").await;
        assert_eq!(again.status, 200);
        assert_ne!(again.header("etag"), tag, "`cached` is another byte or two");
        assert_eq!(ask(tenant, target, again.header("etag")).await.status, 304);
        assert_eq!(ask(other, target, &tag).await.status, 200, "another tenant");
    }
}

/// The tag is another one too, so that nobody keeps what was told to somebody else.
async fn who_may_export_is_told_so_and_others_with_the_same_figures_are_not(engine: Engine) {
    let companion = engine.companion("gateways: [], ").await;
    let [tenant, _] = engine.two();
    let ask = async |role: &str, tag: &str| {
        let request = companion.get("/api/v1/dashboard/metrics").bearer_auth(tenant.token_as(role));
        request.header("If-None-Match", tag).fetch().await
    };
    let first = ask("admin", "\"none\"").await;
    let [admin, teacher] = [ask("admin", "\"none\"").await, ask("teacher", "\"none\"").await];
    for (answer, cached, may_export) in [(&first, false, true), (&admin, true, true), (&teacher, true, false)]
    {
        let told = metadata(answer);
        assert_eq!((&told["cached"], &told["may_export"]), (&json!(cached), &json!(may_export)));
        assert_eq!(told["timestamp"], metadata(&first)["timestamp"], "the same figures");
    }
    assert_eq!(admin.header("etag"), first.header("etag"));
    assert_ne!(admin.header("etag"), teacher.header("etag"));
    let status = async |role: &str, answer: &Answer| ask(role, answer.header("etag")).await.status;
    assert_eq!((status("admin", &admin).await, status("teacher", &teacher).await), (304, 304));
    assert_eq!((status("admin", &teacher).await, status("teacher", &admin).await), (200, 200));
    for target in ["activity", "statistics"] {
        let told = metadata(&companion.figures(tenant, target).await);
        assert_eq!(told.get("may_export"), None, "{target}");
    }
}

async fn of_twenty_at_once_one_computes(engine: Engine) {
    let companion = engine.companion("").await;
    let [tenant, _] = engine.two();
    let answers = join_all((0..20).map(|_| companion.figures(tenant, "statistics"))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    let told: Vec<Value> = answers.iter().map(metadata).collect();
    assert_eq!(told.iter().filter(|told| told["cached"] == false).count(), 1);
    assert!(told.iter().all(|it| it["timestamp"] == told[0]["timestamp"]));
    let results = |result: &'static str| {
        let companion = &companion;
        async move {
            let labels = [("namespace", "analytics"), ("result", result)];
            companion.metric("tidegate_cache_requests_total", &labels).await
        }
    };
    assert_eq!((results("miss").await, results("hit").await), (1.0, 19.0));
}

async fn what_nobody_keeps_says_so(engine: Engine) {
    let companion = engine.companion("cache: {metrics: none, activity: none, statistics: none}, ").await;
    let [tenant, _] = engine.two();
    for target in ["metrics", "activity", "statistics"] {
        for _ in 0..2 {
            let answer = companion.figures(tenant, target).await;
            let told = metadata(&answer);
            assert_eq!((&told["cached"], &told["cache_ttl"]), (&json!(false), &json!(0)), "{target}");
            assert_eq!(answer.header("cache-control"), "private, no-store");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_one_waits_for_the_database_the_others_wait_for_it() {
    let engine = Engine::postgres(SEED).await;
    // Patient, so that a busy machine does not make anybody go alone.
    let cache = "cache: {namespaces: {dashboard: {ttl: 5m, coalesce_wait: 15s}}}\n";
    let companion = Companion::start_beside(cache, &engine.seeded.url, "").await;
    let [tenant, _] = engine.two();
    let hold = "BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(60);";
    let held = engine.server().session("app", hold);
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    let locked = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = 'users'::regclass";
    eventually("the table is held", async || engine.number(locked) == 1).await;
    let asking = join_all((0..20).map(|_| companion.figures(tenant, "metrics")));
    let released = async {
        eventually("all have asked", async || {
            companion.metric("tidegate_requests_in_flight", &[]).await >= 20.0 && engine.number(waiting) >= 1
        })
        .await;
        let waits = engine.number(waiting);
        engine.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()");
        waits
    };
    let (answers, waits) = tokio::join!(asking, released);
    drop(held);
    assert_eq!(waits, 1, "one statement for twenty requests");
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(answers.iter().filter(|answer| metadata(answer)["cached"] == false).count(), 1);
    assert!(companion.metric("tidegate_cache_coalesced_total", &[]).await >= 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_on_a_gate_reaches_figures_in_the_same_redis() {
    let (redis, engine) = (Redis::start().await, Engine::sqlite(SEED).await);
    let store = format!("store: {{url: \"{}\"}}\n", redis.url());
    let instance = || Companion::start_beside(&store, &engine.seeded.url, "");
    let instances = [instance().await, instance().await];
    let origin = Origin::counting().await;
    let store = format!("url: \"{}\", timeout: 1s", redis.url());
    let sections = "cache: {namespaces: {dashboard: {ttl: 5m}}}\nroutes: [{path: /, cache: dashboard}]";
    let gate = Gate::start(&Setup::new(origin.address()).store_text(&store).with(sections)).await;
    let [tenant, other] = engine.two();
    // What is kept is known by when it was read.
    let read = async |instance: usize, whose: &Tenant, target: &str| {
        metadata(&instances[instance].figures(whose, target).await)["timestamp"].clone()
    };
    let mut before = Vec::new();
    for (whose, target) in [(tenant, "metrics"), (other, "metrics"), (other, "statistics")] {
        let kept = read(0, whose, target).await;
        eventually("the other instance tells the same", async || read(1, whose, target).await == kept).await;
        before.push(kept);
    }
    let purge = async |selectors: &[&str]| {
        let admin = gate.admin.to_string();
        let words = [&["cache", "purge", "--admin", &admin], selectors].concat();
        let (code, _, stderr) = Gate::run(&words).await;
        assert_eq!(code, Some(0), "{stderr}");
    };
    purge(&["--tenant", &tenant.id]).await;
    for instance in [0, 1] {
        eventually("read anew", async || read(instance, tenant, "metrics").await != before[0]).await;
        assert_eq!(read(instance, other, "metrics").await, before[1], "the other tenant's stays");
    }
    purge(&["--tenant", &other.id, "--namespace", "dashboard"]).await;
    for instance in [0, 1] {
        eventually("read anew", async || read(instance, other, "metrics").await != before[1]).await;
        assert_eq!(read(instance, other, "statistics").await, before[2], "another namespace stays");
    }
}

/// A Redis that is killed, one that hangs, and one that was never there cost features, not figures.
#[tokio::test(flavor = "multi_thread")]
async fn without_redis_figures_are_computed_and_kept_by_the_process() {
    let engine = Engine::sqlite(SEED).await;
    let [tenant, other] = engine.two();
    let told = async |companion: &Companion, whose: &Tenant, target: &str| {
        let answer = companion.figures(whose, target).await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        metadata(&answer)["cached"] == true
    };
    let on = async |redis: &Redis| {
        let store = format!("store: {{url: \"{}\", timeout: 250ms}}\n", redis.url());
        Companion::start_beside(&store, &engine.seeded.url, "").await
    };
    let mut absent = Redis::absent();
    let lonely = on(&absent).await;
    for expected in [false, true] {
        assert_eq!(told(&lonely, tenant, "metrics").await, expected, "the process keeps them");
    }
    assert_eq!(lonely.get("/readyz").fetch().await.status, 200, "a dead store makes nobody unready");
    absent.restart().await;
    eventually("it is there", async || lonely.metric("tidegate_store_up", &[]).await > 0.0).await;
    told(&lonely, other, "statistics").await;
    eventually("it is used", async || absent.ask(&["DBSIZE"]) != "0").await;

    let redis = Redis::start().await;
    let companion = on(&redis).await;
    told(&companion, tenant, "metrics").await;
    redis.freeze();
    for expected in [false, true] {
        let asked = told(&companion, tenant, "statistics");
        assert_eq!(
            within(Duration::from_secs(10), "no figure waits for a hung Redis", asked).await,
            expected
        );
    }
    redis.thaw();
    drop(redis);
    for expected in [false, true] {
        assert_eq!(told(&companion, other, "activity").await, expected);
    }
    assert!(!companion.process.stderr().contains("panicked"), "{}", companion.process.stderr());
}
