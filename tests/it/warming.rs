//! Filling the cache before clients ask: real credentials, tenants kept apart, progress, pace, schedule, and refreshes after
//! writes.

use crate::support::stores::on_both_stores;
use crate::support::tokens::HS256;
use crate::support::{Answer, Fetch, Gate, Origin, Redis, Reply, Setup, Store, Wire, eventually, token};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Semaphore;

on_both_stores!(
    each_identity_fills_its_own_tenants_entries,
    an_identity_of_one_tenant_never_fills_another,
    fresh_entries_are_left_alone_and_stale_ones_are_not,
    a_write_refreshes_for_its_own_tenant,
    a_job_runs_again_and_again,
);

const ROUTES: &str = "routes:\n  - {path: /dash/, cache: dash}\n  - {path: /open/, cache: open}\n  \
    - {path: /mine/, cache: mine}\n  - {path: /plain/}\n  \
    - {path: /write/, methods: [POST], refresh: [/dash/a, /open/a, /mine/a], invalidates: {paths: [/dash/a, /open/a]}}";

/// A backend that says whom it takes the sender for, and how often it was asked.
async fn origin() -> Origin {
    Origin::start(|seen| Reply::ok(format!("for {}", seen.header("x-organization-id")))).await
}

/// `more` are further keys of `cache.warm`; clients ask for `api.example`.
fn setup(origin: &Origin, store: &Store, more: &str) -> Setup {
    let [acme, globex] = ["acme", "globex"].map(|tenant| token("warmer", tenant));
    let sections = format!(
        "cache:\n  namespaces:\n    dash: {{ttl: 5m}}\n    open: {{ttl: 5m, scope: public}}\n    \
         mine: {{ttl: 5m, scope: user}}\n  warm:\n    host: API.example:80\n    identities:\n      \
         - {{name: acme, value: \"Bearer {acme}\"}}\n      - {{name: globex, value: \"Bearer {globex}\"}}\n    {more}\n{ROUTES}"
    );
    Setup::new(origin.address()).store(store).with(HS256).with(&sections)
}

async fn gate(store: &Store, more: &str) -> (Origin, Gate) {
    let origin = origin().await;
    let gate = Gate::start(&setup(&origin, store, more)).await;
    (origin, gate)
}

/// What a member of `tenant` gets.
async fn get(gate: &Gate, tenant: &str, path: &str) -> Answer {
    gate.get(path).bearer_auth(token("ada", tenant)).header("Host", "api.example").fetch().await
}

async fn post(gate: &Gate, order: &Value) -> Answer {
    let url = format!("http://{}/api/v1/cache/warm", gate.admin);
    reqwest::Client::builder().no_proxy().build().expect("a client").post(url).json(order).fetch().await
}

async fn jobs(gate: &Gate) -> Vec<Value> {
    let list = gate.ask("/api/v1/cache/warm").fetch().await.json();
    list["jobs"].as_array().expect("a list").clone()
}

/// Orders, waits until it is done and gives the job with its results.
async fn warm(gate: &Gate, order: Value) -> Value {
    let taken = post(gate, &order).await;
    assert_eq!(taken.status, 202, "{taken:?}");
    let path = format!("/api/v1/cache/warm/{}", taken.json()["id"].as_str().expect("an id"));
    let mut job = Value::Null;
    eventually("the job is done", async || {
        job = gate.ask(&path).fetch().await.json();
        job["state"] == "done"
    })
    .await;
    job
}

async fn each_identity_fills_its_own_tenants_entries(store: Store) {
    let (origin, gate) = gate(&store, "fields: {Accept-Language: en}").await;
    let job = warm(&gate, json!({"identities": "all", "paths": ["/dash/a?x=1", "/dash//b"]})).await;
    let tally = ["items", "done", "stored", "fresh", "unstored", "failed"].map(|key| job[key].as_u64());
    assert_eq!(tally, [Some(4), Some(4), Some(4), Some(0), Some(0), Some(0)], "{job}");
    let first = &job["results"][0];
    assert_eq!((&first["identity"], &first["path"]), (&json!("acme"), &json!("/dash/a?x=1")), "{job}");
    assert_eq!(
        (&first["status"], &first["cache"], &first["result"]),
        (&json!(200), &json!("MISS"), &json!("stored"))
    );
    assert_eq!(
        (&job["cause"], &job["job"], &job["host"]),
        (&json!("order"), &Value::Null, &json!("api.example"))
    );
    assert_eq!(origin.last().header("accept-language"), "en");
    assert_eq!(origin.count(), 4);
    let stats = gate.ask("/api/v1/cache/stats").fetch().await.json();
    assert_eq!((&stats["total_requests"], &stats["stored"]), (&json!(0), &json!(4)), "{stats}");
    for tenant in ["acme", "globex"] {
        for path in ["/dash/a?x=1", "/dash/b"] {
            let answer = get(&gate, tenant, path).await;
            assert_eq!((answer.cache(), answer.text()), ("HIT", format!("for {tenant}")), "{path}");
        }
    }
    assert_eq!(get(&gate, "initech", "/dash/b").await.cache(), "MISS");
    assert_eq!(gate.metric("tidegate_cache_warmed_total", &[("result", "stored")]).await, 4.0);
}

/// t9.
async fn an_identity_of_one_tenant_never_fills_another(store: Store) {
    let (origin, gate) = gate(&store, "fields: {X-Organization-Id: victim, X-Forwarded-For: 10.0.0.1}").await;
    let job = warm(&gate, json!({"identities": ["acme"], "paths": ["/dash/a", "/mine/a"]})).await;
    assert_eq!(job["stored"], 2, "{job}");
    assert!(origin.seen().iter().all(|seen| seen.header("x-organization-id") == "acme"));
    for tenant in ["victim", "globex"] {
        let answer = get(&gate, tenant, "/dash/a").await;
        assert_eq!((answer.cache(), answer.text()), ("MISS", format!("for {tenant}")));
    }
    assert_eq!(get(&gate, "acme", "/dash/a").await.cache(), "HIT");
    assert_eq!(get(&gate, "acme", "/mine/a").await.cache(), "MISS", "the entry is the warmer's own");
    // Without a credential only what is everybody's.
    let job = warm(&gate, json!({"identities": [], "paths": ["/open/a"]})).await;
    assert_eq!((&job["stored"], &job["results"][0]["identity"]), (&json!(1), &Value::Null), "{job}");
    assert_eq!(get(&gate, "victim", "/open/a").await.cache(), "HIT");
}

async fn fresh_entries_are_left_alone_and_stale_ones_are_not(store: Store) {
    let (origin, gate) = gate(&store, "").await;
    let order = json!({"identities": ["acme"], "paths": ["/dash/a"]});
    assert_eq!(warm(&gate, order.clone()).await["stored"], 1);
    let again = warm(&gate, order.clone()).await;
    assert_eq!((&again["fresh"], &again["results"][0]["cache"]), (&json!(1), &json!("HIT")), "{again}");
    assert_eq!(origin.count(), 1);
    // A write takes it away.
    let written = gate.request(Method::POST, "/write/x").bearer_auth(token("ada", "acme")).fetch().await;
    assert_eq!(written.status, 200);
    assert_eq!(warm(&gate, order).await["stored"], 1);
}

async fn a_write_refreshes_for_its_own_tenant(store: Store) {
    let (origin, gate) = gate(&store, "").await;
    for tenant in ["acme", "globex", "initech"] {
        get(&gate, tenant, "/dash/a").await;
    }
    let write = async |tenant: &str| {
        let write = gate.request(Method::POST, "/write/x").bearer_auth(token("ada", tenant));
        assert_eq!(write.header("Host", "api.example").fetch().await.status, 200);
    };
    let before = origin.count();
    write("acme").await;
    // The write, the tenant's page, and what is everybody's without a credential.
    eventually("both are asked for again", async || origin.count() == before + 3).await;
    let seen = origin.seen().split_off(before + 1);
    let of = |target: &str| seen.iter().find(|seen| seen.target == target).expect("it was asked for");
    assert_eq!(of("/dash/a").header("x-organization-id"), "acme");
    assert_eq!((of("/open/a").header("authorization"), of("/open/a").header("tidegate-internal")), ("", ""));
    eventually("it is stored", async || get(&gate, "acme", "/dash/a").await.cache() == "HIT").await;
    assert_eq!(get(&gate, "globex", "/dash/a").await.cache(), "HIT", "no write of theirs");
    // No identity has this tenant: the next client's request does it.
    let before = origin.count();
    write("initech").await;
    eventually("what is everybody's is asked for", async || origin.count() == before + 2).await;
    assert_eq!(get(&gate, "initech", "/dash/a").await.cache(), "MISS");
    // Many writes at once are refreshed at their beginning and at their end.
    let (before, began) = (origin.count(), Instant::now());
    for _ in 0..20 {
        write("globex").await;
    }
    eventually("the last write is refreshed", async || {
        get(&gate, "globex", "/dash/a").await.cache() == "HIT"
    })
    .await;
    let asked = origin.seen().split_off(before).iter().filter(|seen| seen.target == "/dash/a").count();
    // One a second at most.
    let most = 5 + usize::try_from(began.elapsed().as_secs()).expect("few");
    assert!((1..=most).contains(&asked), "{asked} of {most}");
}

async fn a_job_runs_again_and_again(store: Store) {
    let job = "jobs: [{name: dash, identities: [globex], paths: [/dash/a], every: 1s, jitter: 0%}]";
    let (origin, gate) = gate(&store, job).await;
    eventually("it has run three times", async || {
        let done = jobs(&gate).await.into_iter().filter(|job| job["state"] == "done");
        done.filter(|job| job["job"] == "dash" && job["cause"] == "schedule").count() >= 3
    })
    .await;
    assert_eq!(origin.count(), 1, "the entry stays fresh");
    assert_eq!(get(&gate, "globex", "/dash/a").await.cache(), "HIT");
    // What nobody configures any more runs no more, and what is new runs at once.
    let job = "jobs: [{name: other, identities: [acme], paths: [/dash/b]}, {name: more, paths: [/dash/c], every: 1h}]";
    gate.reload(&setup(&origin, &store, job)).await;
    eventually("the new job has run", async || {
        jobs(&gate).await.iter().any(|job| job["job"] == "more" && job["stored"] == 2)
    })
    .await;
    let runs = async |name: &str| jobs(&gate).await.iter().filter(|job| job["job"] == name).count();
    assert_eq!((runs("more").await, runs("other").await), (1, 0), "one has no time of its own");
    assert_eq!(warm(&gate, json!({"job": "other"})).await["stored"], 1);
    assert_eq!(post(&gate, &json!({"job": "dash"})).await.problem().0, 400);
}

#[tokio::test]
async fn what_cannot_be_warmed_is_refused_with_the_reason() {
    let (origin, gate) = gate(&Store::Memory, "jobs: [{name: dash, paths: [/dash/a]}]").await;
    for (order, reason) in [
        (json!({"job": "dsah"}), "did you mean `dash`?"),
        (json!({"identities": ["acmee"], "paths": ["/dash/a"]}), "did you mean `acme`?"),
        (json!({"paths": ["/plain/a", "/nowhere"]}), "no route of this host caches `/plain/a`"),
        (json!({"paths": ["/dash/%zz"]}), "`/dash/%zz` is no path"),
        (json!({"identities": [], "paths": ["/dash/a"]}), "no identity asks for it"),
        (json!({"paths": []}), "no path is named"),
        (json!({"paths": ["/dash/a"], "concurrency": 0}), "from 1 to 64"),
        (json!({"job": "dash", "paths": ["/dash/a"]}), "send {"),
        (json!({}), "send {"),
    ] {
        let refused = post(&gate, &order).await;
        assert_eq!(refused.problem().0, 400, "{order}");
        assert!(
            refused.json()["detail"].as_str().is_some_and(|detail| detail.contains(reason)),
            "{refused:?}"
        );
    }
    assert_eq!(gate.ask("/api/v1/cache/warm/nothing").fetch().await.problem().0, 404);
    let bare = Gate::start(&Setup::new(origin.address()).with("routes: [{path: /}]")).await;
    assert_eq!(post(&bare, &json!({"paths": ["/"]})).await.problem().0, 400);
    assert_eq!(origin.count(), 0);
}

#[tokio::test]
async fn a_job_runs_once_at_a_time_and_tells_how_far_it_is() {
    let door = Arc::new(Semaphore::new(0));
    let waiting = Arc::clone(&door);
    let origin = Origin::start(move |_| Reply::ok("x").when(&waiting)).await;
    let more = "jobs: [{name: dash, paths: [/dash/a, /dash/b], concurrency: 3}]";
    let gate = Gate::start(&setup(&origin, &Store::Memory, more)).await;
    assert_eq!(post(&gate, &json!({"job": "dash"})).await.json()["items"], 4);
    eventually("three requests are under way", async || origin.count() == 3).await;
    assert_eq!(post(&gate, &json!({"job": "dash"})).await.problem().0, 409);
    let job = jobs(&gate).await.remove(0);
    assert_eq!((&job["state"], &job["done"]), (&json!("running"), &json!(0)), "{job}");
    door.add_permits(1);
    eventually("one is made", async || jobs(&gate).await[0]["done"] == 1).await;
    door.add_permits(3);
    eventually("all are made", async || jobs(&gate).await[0]["state"] == "done").await;
    assert_eq!(post(&gate, &json!({"job": "dash"})).await.status, 202, "it may run again");
}

#[tokio::test]
async fn a_failing_origin_is_given_time() {
    let origin = Origin::start(|_| Reply::status(503, "")).await;
    let paths: Vec<String> = (0..7).map(|number| format!("/dash/{number}")).collect();
    let more = format!(
        "slow: {{errors: 10%}}\n    jobs: [{{name: dash, identities: [acme], paths: [{}]}}]",
        paths.join(", ")
    );
    let gate = Gate::start(&setup(&origin, &Store::Memory, &more)).await;
    post(&gate, &json!({"job": "dash"})).await;
    eventually("it pauses", async || jobs(&gate).await[0]["pause_ms"].as_u64() >= Some(250)).await;
    eventually("it goes on", async || jobs(&gate).await[0]["state"] == "done").await;
    let job = jobs(&gate).await.remove(0);
    assert_eq!((&job["failed"], &job["pause_ms"]), (&json!(7), &json!(0)), "{job}");
    let took_ms = job["done_ms"].as_u64().zip(job["begun_ms"].as_u64()).map(|(done, begun)| done - begun);
    assert!(took_ms >= Some(250), "the last request came after a pause: {took_ms:?}");
}

/// Where the process listens besides the addresses that it tells.
fn untold_listeners(gate: &Gate) -> Vec<SocketAddr> {
    let fds = fs::read_dir(format!("/proc/{}/fd", gate.process.id())).expect("a child of ours");
    let links = fds.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
    let sockets: BTreeSet<String> = links.map(|link| link.to_string_lossy().into_owned()).collect();
    let table = fs::read_to_string("/proc/net/tcp").expect("Linux");
    let rows = table.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>());
    let listening = rows.filter(|row| row[3] == "0A" && sockets.contains(&format!("socket:[{}]", row[9])));
    let address = |row: Vec<&str>| {
        let port = row[1].split_once(':').map(|(_, port)| u16::from_str_radix(port, 16).expect("hex"));
        assert!(row[1].starts_with("0100007F"), "on loopback only: {}", row[1]);
        SocketAddr::from(([127, 0, 0, 1], port.expect("a port")))
    };
    listening.map(address).filter(|address| *address != gate.http && *address != gate.admin).collect()
}

#[tokio::test]
async fn nobody_else_gets_anything_from_the_internal_listener() {
    let (origin, gate) = gate(&Store::Memory, "").await;
    warm(&gate, json!({"identities": ["acme"], "paths": ["/dash/a"]})).await;
    let [internal] = untold_listeners(&gate)[..] else { panic!("one listener more") };
    let secret = "0".repeat(64);
    let guesses = [
        String::new(),
        "Tidegate-Internal: \r\n".to_owned(),
        format!("Tidegate-Internal: {secret} http warm\r\n"),
        format!("Tidegate-Internal: {secret} http warm\r\nTidegate-Internal: {secret} http warm\r\n"),
    ];
    for guess in &guesses {
        for path in ["/dash/a", "/plain/a"] {
            let bearer = token("ada", "acme");
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: api.example\r\nAuthorization: Bearer {bearer}\r\n{guess}Connection: close\r\n\r\n"
            );
            let answer = Wire::exchange(internal, &request).await.expect("an answer");
            assert_eq!(answer.status, 404, "{guess:?}: {answer:?}");
        }
    }
    assert_eq!(origin.count(), 1, "nothing of it reached the backend");
}

#[tokio::test]
async fn the_internal_field_of_a_client_means_nothing_and_goes_nowhere() {
    let limited = "limits: {default: {windows: {1m: 2}}}";
    let origin = origin().await;
    let gate = Gate::start(&setup(&origin, &Store::Memory, "").with(limited)).await;
    let job = warm(&gate, json!({"paths": ["/dash/a", "/dash/b", "/dash/c"]})).await;
    assert_eq!(job["stored"], 6, "limits are for clients: {job}");
    let secret = "f".repeat(64);
    for expected in [200, 200, 429] {
        let request = gate.get("/plain/a").header("Tidegate-Internal", format!("{secret} https refresh"));
        assert_eq!(request.fetch().await.status, expected);
    }
    assert!(origin.seen().iter().all(|seen| seen.headers.get("tidegate-internal").is_none()));
    let lines = |log: &str, word: &str| log.lines().filter(|line| line.contains(word)).count();
    let mut log = String::new();
    eventually("all requests are logged", async || {
        log = gate.process.stderr();
        lines(&log, "warming=true") >= 6 && lines(&log, "/plain/a") >= 3
    })
    .await;
    assert_eq!(
        (lines(&log, "warming=true"), log.contains(&secret), log.contains("Bearer")),
        (6, false, false),
        "{log}"
    );
}

#[tokio::test]
async fn one_instance_of_a_fleet_runs_a_scheduled_job() {
    let redis = Redis::start().await;
    let store = Store::Redis(redis);
    let origin = origin().await;
    let more = "jobs: [{name: dash, paths: [/dash/a, /dash/b], every: 1h}]";
    let setup = setup(&origin, &store, more);
    let (one, two) = futures_util::join!(Gate::start(&setup), Gate::start(&setup));
    eventually("one of them has run it", async || {
        let (mut of_one, of_two) = (jobs(&one).await, jobs(&two).await);
        of_one.extend(of_two);
        of_one.iter().any(|job| job["state"] == "done")
    })
    .await;
    for gate in [&one, &two] {
        eventually("its answers are shared", async || get(gate, "globex", "/dash/b").await.cache() == "HIT")
            .await;
    }
    assert_eq!(jobs(&one).await.len() + jobs(&two).await.len(), 1);
    assert_eq!(origin.count(), 4);
}

#[tokio::test]
async fn the_command_line_orders_and_follows() {
    let (origin, gate) = gate(&Store::Memory, "jobs: [{name: dash, paths: [/dash/a]}]").await;
    let admin = gate.admin.to_string();
    let run =
        async |words: &[&str]| Gate::run(&[&["cache", "warm", "--admin", &admin], words].concat()).await;
    let (code, said, _) = run(&["--job", "dash", "--follow"]).await;
    assert_eq!((code, said.as_str()), (Some(0), "2 requests: 2 stored, 0 fresh already, 0 not stored\n"));
    let (code, said, _) = run(&["--identity", "acme", "--follow", "/dash/a", "/dash/b"]).await;
    assert_eq!((code, said.as_str()), (Some(0), "2 requests: 1 stored, 1 fresh already, 0 not stored\n"));
    let (code, said, _) = run(&["/dash/c"]).await;
    assert!(code == Some(0) && said.starts_with("2 requests are made in the background, as "), "{said}");
    let (code, _, why) = run(&["--identity", "nobody", "/dash/a"]).await;
    assert!(code == Some(1) && why.contains("there is no identity `nobody`"), "{why}");
    assert_eq!(run(&[]).await.0, Some(2));
    eventually("all were asked for", async || origin.count() == 5).await;
}
