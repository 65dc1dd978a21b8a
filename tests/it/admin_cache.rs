//! The cache looked at and purged while running: through the admin listener, by the `cache` commands and by PURGE.

use crate::support::stores::on_both_stores;
use crate::support::tokens::HS256;
use crate::support::{
    Answer, Fetch, Gate, Origin, Redis, Reply, Setup, Store, eventually, token, web, within,
};
use hmac::{Hmac, Mac};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SECTIONS: &str = "cache:\n  webhook: {secret: hush}\n  purge_from: [127.0.0.1]\n  namespaces:\n    \
     content: {ttl: 5m, tags: [content]}\n    pages: {ttl: 5m, scope: public}\n\
     routes: [{path: /, cache: content}, {path: /pages/, cache: pages}]";

on_both_stores!(
    a_hard_purge_sends_the_next_request_to_the_origin,
    a_soft_purge_leaves_the_stale_answer_while_it_is_refreshed,
    a_dry_run_counts_and_changes_nothing,
    a_signed_message_purges_once,
    purge_from_elsewhere_or_with_a_forged_token_is_refused,
    purge_takes_its_target_from_its_tenant_alone,
    purge_without_a_tenant_and_a_query_takes_all_of_a_path,
    what_is_stored_is_told_without_its_body,
    the_commands_purge_and_tell,
    explain_knows_what_is_stored,
);

/// Tags each answer by its first path segment, and numbers it.
async fn origin() -> Origin {
    let served = AtomicUsize::new(0);
    Origin::start(move |seen| {
        let tag = seen.target.split('/').nth(1).unwrap_or_default().to_owned();
        let number = served.fetch_add(1, Ordering::Relaxed);
        let body = format!("answer {number} {}", "x".repeat(2_000));
        Reply::ok(body).header("Surrogate-Key", &tag).header("Content-Type", "text/plain")
    })
    .await
}

fn setup(origin: &Origin, store: &Store) -> Setup {
    Setup::new(origin.address()).store(store).with(HS256).with(SECTIONS)
}

async fn gate(store: &Store) -> (Origin, Gate) {
    let origin = origin().await;
    let gate = Gate::start(&setup(&origin, store)).await;
    (origin, gate)
}

/// A GET by a member of that tenant; of none where it is empty.
async fn fetch(gate: &Gate, tenant: &str, path: &str) -> Answer {
    let request = gate.get(path);
    let request = if tenant.is_empty() { request } else { request.bearer_auth(token("ada", tenant)) };
    request.fetch().await
}

/// `X-Cache` of a GET by a member of that tenant.
async fn cache(gate: &Gate, tenant: &str, path: &str) -> String {
    fetch(gate, tenant, path).await.cache().to_owned()
}

/// Brings an answer into the cache, and sees that it is there.
async fn fill(gate: &Gate, tenant: &str, path: &str) {
    cache(gate, tenant, path).await;
    eventually("it is stored", async || cache(gate, tenant, path).await == "HIT").await;
}

async fn purge(gate: &Gate, body: Value) -> Answer {
    web::client().post(format!("http://{}/api/v1/cache/purge", gate.admin)).json(&body).fetch().await
}

/// The command's output; it must succeed.
async fn command(gate: &Gate, arguments: &[&str]) -> String {
    let admin = gate.admin.to_string();
    let (code, stdout, stderr) = Gate::run(&[arguments, &["--admin", &admin]].concat()).await;
    assert_eq!(code, Some(0), "{arguments:?}: {stderr}");
    stdout
}

async fn a_hard_purge_sends_the_next_request_to_the_origin(store: Store) {
    let (_origin, gate) = gate(&store).await;
    let places = [("acme", "/a/1"), ("acme", "/b/1?x=1"), ("globex", "/a/1"), ("", "/pages/1")];
    for (body, met) in [
        (json!({"tenant": "acme"}), vec![0, 1]),
        (json!({"namespace": "pages"}), vec![3]),
        (json!({"tags": ["a"]}), vec![0, 2]),
        (json!({"tags": ["content"], "tenant": "globex"}), vec![2]),
        (json!({"paths": ["/b/1"]}), vec![1]),
        (json!({"paths": ["/b/1?x=2", "http://other.example/a//1"]}), vec![0, 2]),
        (json!({"prefix": "/a/", "tenant": "acme"}), vec![0]),
        (json!({"glob": "/*x=1"}), vec![1]),
        (json!({"prefix": "/"}), vec![0, 1, 2, 3]),
    ] {
        for (tenant, path) in places {
            fill(&gate, tenant, path).await;
        }
        let done = purge(&gate, body.clone()).await;
        assert_eq!((done.status, &done.json()["applied"]), (200, &json!("fleet")), "{body}");
        for (number, (tenant, path)) in places.into_iter().enumerate() {
            let expected = if met.contains(&number) { "MISS" } else { "HIT" };
            assert_eq!(cache(&gate, tenant, path).await, expected, "{body}: {tenant} {path}");
        }
    }
}

async fn a_soft_purge_leaves_the_stale_answer_while_it_is_refreshed(store: Store) {
    let (_origin, gate) = gate(&store).await;
    fill(&gate, "acme", "/a/1").await;
    let before = fetch(&gate, "acme", "/a/1").await.text();
    assert_eq!(purge(&gate, json!({"tags": ["a"], "mode": "soft"})).await.json()["mode"], "soft");
    let stale = fetch(&gate, "acme", "/a/1").await;
    assert_eq!((stale.cache(), stale.text()), ("STALE", before.clone()));
    eventually("it is refreshed", async || {
        let now = fetch(&gate, "acme", "/a/1").await;
        now.cache() == "HIT" && now.text() != before
    })
    .await;
}

async fn a_dry_run_counts_and_changes_nothing(store: Store) {
    let (_origin, gate) = gate(&store).await;
    for path in ["/a/1", "/a/2", "/b/1"] {
        fill(&gate, "acme", path).await;
    }
    for (body, entries) in
        [(json!({"tags": ["a"], "dry_run": true}), 2), (json!({"tenant": "globex", "dry_run": true}), 0)]
    {
        let told = purge(&gate, body).await;
        assert_eq!((told.status, &told.json()["entries"]), (200, &json!(entries)));
    }
    assert_eq!(cache(&gate, "acme", "/a/1").await, "HIT");
    let metric = gate.metric("tidegate_cache_purges_total", &[]).await;
    assert!(metric.abs() < f64::EPSILON, "{metric}");
}

/// A message as a sender signs it, `age_s` old.
async fn send(gate: &Gate, delivery: &str, age_s: u64, body: &str) -> Answer {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let timestamp = (now_s - age_s).to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(b"hush").expect("any length");
    mac.update(format!("{timestamp}.{delivery}.{body}").as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let request = web::client().post(format!("http://{}/api/v1/cache/invalidate", gate.admin));
    let request = request.header("X-Tidegate-Timestamp", timestamp).header("X-Tidegate-Delivery", delivery);
    let request = request.header("X-Tidegate-Signature", format!("sha256={hex}"));
    request.header("Content-Type", "application/json").body(body.to_owned()).fetch().await
}

async fn a_signed_message_purges_once(store: Store) {
    let (_origin, gate) = gate(&store).await;
    let body = r#"{"tags": ["a"], "mode": "hard"}"#;
    for (delivery, age_s, status, after) in
        [("one", 310, 401, "HIT"), ("one", 0, 200, "MISS"), ("one", 0, 200, "HIT"), ("two", 290, 200, "MISS")]
    {
        fill(&gate, "acme", "/a/1").await;
        let answer = send(&gate, delivery, age_s, body).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(cache(&gate, "acme", "/a/1").await, after, "{delivery}, {age_s} s old");
    }
    assert_eq!(send(&gate, "two", 0, body).await.json()["duplicate"], true);
}

fn purge_method() -> Method {
    Method::from_bytes(b"PURGE").expect("a method")
}

async fn purge_from_elsewhere_or_with_a_forged_token_is_refused(store: Store) {
    let (_origin, gate) = gate(&store).await;
    fill(&gate, "acme", "/a/1").await;
    let elsewhere =
        web::client_from("127.0.0.2").request(purge_method(), format!("http://{}/a/1", gate.http));
    let refused = elsewhere.fetch().await;
    assert_eq!(refused.problem(), (403, "https://tidegate.dev/problems/purge-forbidden".to_owned()));
    let forged = gate.request(purge_method(), "/a/1").bearer_auth("no.such.token").fetch().await;
    assert_eq!(forged.status, 403, "it would be everybody's");
    assert_eq!(cache(&gate, "acme", "/a/1").await, "HIT");
}

async fn purge_takes_its_target_from_its_tenant_alone(store: Store) {
    let (origin, gate) = gate(&store).await;
    for path in ["/a/1?x=1", "/a/1?x=2"] {
        fill(&gate, "acme", path).await;
        fill(&gate, "globex", path).await;
    }
    let own = gate.request(purge_method(), "/a/1?x=1").bearer_auth(token("ada", "acme")).fetch().await;
    assert_eq!((own.status, &own.json()["applied"]), (200, &json!("fleet")));
    let after = [("acme", "/a/1?x=1", "MISS"), ("acme", "/a/1?x=2", "HIT"), ("globex", "/a/1?x=1", "HIT")];
    for (tenant, path, expected) in after {
        assert_eq!(cache(&gate, tenant, path).await, expected, "{tenant} {path}");
    }
    assert!(origin.seen().iter().all(|seen| seen.method == "GET"), "PURGE goes no further");
}

async fn purge_without_a_tenant_and_a_query_takes_all_of_a_path(store: Store) {
    let (_origin, gate) = gate(&store).await;
    for tenant in ["acme", "globex"] {
        fill(&gate, tenant, "/a/1?x=2").await;
    }
    let all = gate.request(purge_method(), "/a//1").header("X-Tidegate-Purge", "soft").fetch().await;
    assert_eq!((all.status, &all.json()["mode"]), (200, &json!("soft")));
    for tenant in ["acme", "globex"] {
        assert_eq!(cache(&gate, tenant, "/a/1?x=2").await, "STALE");
    }
}

#[tokio::test]
async fn purge_is_a_method_like_any_other_where_nobody_may() {
    let origin = origin().await;
    let sections = SECTIONS.replace("  purge_from: [127.0.0.1]\n", "");
    let gate = Gate::start(&Setup::new(origin.address()).with(HS256).with(&sections)).await;
    assert_eq!(gate.request(purge_method(), "/a/1").fetch().await.status, 200);
    assert_eq!(origin.last().method, "PURGE");
}

async fn what_is_stored_is_told_without_its_body(store: Store) {
    let (_origin, gate) = gate(&store).await;
    fill(&gate, "acme", "/a/1").await;
    let path = format!("/api/v1/cache/entry?url=http://{}/a/1&tenant=acme", gate.http);
    let entry = async || gate.ask(&path).fetch().await.json();
    let told = entry().await;
    assert_eq!(
        (&told["tier"], &told["status"], &told["tags"]),
        (&json!("memory"), &json!(200), &json!(["a", "content"]))
    );
    assert!(told["ttl_s"].as_i64().is_some_and(|ttl| (290..=300).contains(&ttl)), "{told}");
    assert!(told["bytes"].as_u64().is_some_and(|bytes| bytes > 2_000) && told["purged"].is_null(), "{told}");
    assert!(!told.to_string().contains("answer"), "{told}");
    purge(&gate, json!({"tenant": "acme"})).await;
    assert_eq!(entry().await["purged"], "hard");
    let other = gate.ask(&path.replace("acme", "globex")).fetch().await;
    assert_eq!(other.problem(), (404, "https://tidegate.dev/problems/no-entry".to_owned()));
}

async fn the_commands_purge_and_tell(store: Store) {
    let (_origin, gate) = gate(&store).await;
    fill(&gate, "acme", "/a/1").await;
    let url = format!("http://{}/a/1", gate.http);
    let entry = command(&gate, &["cache", "entry", &url, "--tenant", "acme"]).await;
    assert!(
        entry.contains("namespace content\ntenant    acme\n") && entry.contains("purged    no\n"),
        "{entry}"
    );
    let dry = command(&gate, &["cache", "purge", "--tag", "a", "--dry-run"]).await;
    assert_eq!(dry, "nothing was purged; in the memory of this instance it would meet 1 entry\n");
    let done = command(&gate, &["cache", "purge", "--tag", "a", "--glob", "/b*", "--tenant", "acme"]).await;
    assert_eq!(done, "2 purges (1 by pattern), hard, told to every instance\n");
    assert_eq!(cache(&gate, "acme", "/a/1").await, "MISS");
    let stats = command(&gate, &["cache", "stats"]).await;
    assert!(stats.contains("purges    2 (ledger: 1 names, 1 patterns)\n"), "{stats}");
    let by = command(&gate, &["cache", "stats", "--by", "namespace"]).await;
    assert!(by.starts_with("NAMESPACE  HIT %") && by.contains("\ncontent"), "{by}");
}

#[tokio::test]
async fn the_commands_say_what_is_wrong() {
    let (_origin, gate) = gate(&Store::Memory).await;
    let admin = gate.admin.to_string();
    for (words, code, says) in [
        (["cache", "purge", "--namespace", "contnet"], 1, "did you mean `content`?"),
        (["cache", "entry", "/none", "--tenant=acme"], 1, "Nothing is stored for it"),
        (["cache", "purge", "--soft", "--dry-run"], 2, "--tenant"),
    ] {
        let run = Gate::run(&[&words[..], &["--admin", &admin]].concat()).await;
        assert!(run.0 == Some(code) && run.1.is_empty() && run.2.contains(says), "{words:?}: {run:?}");
    }
}

async fn explain_knows_what_is_stored(store: Store) {
    let (_origin, gate) = gate(&store).await;
    let (url, field) =
        (format!("http://{}/a/1", gate.http), format!("Authorization: Bearer {}", token("ada", "acme")));
    let words = ["explain", "GET", &url, "-H", &field, "--live"];
    let before = command(&gate, &words).await;
    assert!(before.contains("\nentry     none is stored\n"), "{before}");
    fill(&gate, "acme", "/a/1").await;
    let response = ["--response", "HTTP 200", "--response-header", "Set-Cookie: a=b"];
    let after = command(&gate, &[&words[..], &response].concat()).await;
    assert!(after.contains("\nentry     in memory: status 200, "), "{after}");
    assert!(after.contains("\nresponse  not stored: set-cookie\n"), "{after}");
    assert!(
        after.contains("\n  client  Cache-Status: tidegate; fwd=uri-miss; detail=set-cookie\n"),
        "{after}"
    );
    let file = gate.file().to_string_lossy().into_owned();
    let offline = ["explain", "GET", "/pages/1", "--config", &file, "--response", "200"];
    let (code, stdout, stderr) =
        Gate::run(&[&offline[..], &["--response-header", "Cache-Tag: a, b"]].concat()).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("\nresponse  stored, fresh for 5m (by the namespace)\n"), "{stdout}");
    assert!(stdout.contains("\n  then    1h while the origin fails\n  tags    a, b\n"), "{stdout}");
}

#[tokio::test]
async fn what_redis_keeps_of_an_entry_is_told() {
    let store = Store::Redis(Redis::start().await);
    let (_origin, gate) = gate(&store).await;
    fill(&gate, "acme", "/a/1").await;
    let path = format!("/api/v1/cache/entry?url=http://{}/a/1&tenant=acme", gate.http);
    let entry = async || gate.ask(&path).fetch().await.json();
    // What is written while Redis has not answered yet is dropped; it is fetched again when memory no longer vouches for it.
    eventually("it is in both tiers", async || {
        cache(&gate, "acme", "/a/1").await;
        entry().await["tiers"] == json!(["memory", "redis"])
    })
    .await;
    let at_rest = entry().await["at_rest"].clone();
    assert_eq!((&at_rest["packed"], &at_rest["apart"]), (&json!(true), &json!(false)), "{at_rest}");
}

#[tokio::test]
async fn a_purge_is_seen_by_the_other_instance_within_a_second() {
    let (origin, store) = (origin().await, Store::Redis(Redis::start().await));
    let (one, two) = (Gate::start(&setup(&origin, &store)).await, Gate::start(&setup(&origin, &store)).await);
    for body in [json!({"tags": ["a"]}), json!({"tenant": "acme"}), json!({"glob": "/a/*"})] {
        fill(&two, "acme", "/a/1").await;
        assert_eq!(purge(&one, body).await.status, 200);
        within(Duration::from_secs(1), "the other instance knows", async {
            eventually("it misses", async || cache(&two, "acme", "/a/1").await == "MISS").await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_purge_during_an_outage_is_local_and_reaches_the_others_afterwards() {
    let (origin, mut redis) = (origin().await, Redis::start().await);
    let setup =
        setup(&origin, &Store::Memory).store_text(&format!("url: \"{}\", timeout: 200ms", redis.url()));
    let (one, two) = (Gate::start(&setup).await, Gate::start(&setup).await);
    fill(&one, "acme", "/a/1").await;
    fill(&two, "acme", "/a/1").await;
    let refused = async || {
        let told = purge(&one, json!({"tags": ["a"]})).await;
        assert_eq!(told.problem(), (503, "https://tidegate.dev/problems/purged-here-only".to_owned()));
        assert_eq!((&told.json()["applied"], &told.json()["purges"]), (&json!("local"), &json!(1)));
    };
    redis.freeze();
    refused().await;
    assert_eq!(cache(&one, "acme", "/a/1").await, "MISS", "here it counts");
    assert_eq!(cache(&two, "acme", "/a/1").await, "HIT", "there nobody knows");
    redis.thaw();
    eventually("the other instance knows", async || cache(&two, "acme", "/a/1").await == "MISS").await;

    redis.kill();
    refused().await;
    let once = send(&one, "one", 0, r#"{"tags": ["b"]}"#).await;
    assert_eq!(once.status, 503);
    let stats = async || one.ask("/api/v1/cache/stats?scope=fleet").fetch().await.json();
    eventually("it is known to be away", async || stats().await["connected"] == false).await;
    assert_eq!(stats().await["scope"], "instance", "the others are not known");
    redis.restart().await;
    eventually("it is entered", async || redis.ask(&["ZCARD", "tg:g:{purges}:log"]) == "2").await;
    let again = send(&one, "one", 0, r#"{"tags": ["b"]}"#).await;
    assert!(again.status == 200 && again.json()["duplicate"].is_null(), "{again:?}");
}

#[tokio::test]
async fn statistics_of_a_fleet_are_the_sum_of_its_instances() {
    let (origin, store) = (origin().await, Store::Redis(Redis::start().await));
    let (one, mut two) =
        (Gate::start(&setup(&origin, &store)).await, Gate::start(&setup(&origin, &store)).await);
    fill(&one, "acme", "/a/1").await;
    fill(&two, "acme", "/b/1").await;
    let fleet = async || one.ask("/api/v1/cache/stats?scope=fleet").fetch().await.json();
    let misses = async |gate: &Gate| {
        let own = gate.ask("/api/v1/cache/stats").fetch().await.json();
        assert_eq!(own["scope"], "instance");
        own["cache_misses"].as_u64().expect("a number")
    };
    // A fill may take more than one miss, and a request is counted a moment after its answer is out.
    eventually("both are counted", async || {
        let (first, second, told) = (misses(&one).await, misses(&two).await, fleet().await);
        assert_eq!(told["scope"], "fleet");
        first > 0 && second > 0 && told["instances"] == 2 && told["cache_misses"] == first + second
    })
    .await;
    let told = command(&one, &["cache", "stats", "--fleet"]).await;
    assert!(told.starts_with("of        2 instances since "), "{told}");
    two.process.signal("TERM");
    two.process.exit().await;
    assert_eq!(fleet().await["instances"], 1, "who leaves is gone at once");
}
