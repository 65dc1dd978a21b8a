//! The admin listener over real sockets.

use crate::admin::server::serve_within;
use crate::admin::{AdminParts, ROUTES, ReloadOrder, Reloaded};
use crate::base::{Clock, SystemClock, Tasks};
use crate::config::{Env, Fault, Faults, Position, Source, load};
use crate::store::{Admission, Stores};
use crate::telemetry::{CacheResult, Metrics, RequestRecord};
use crate::web::{BOUNDS, Bounds, WebServer};
use arc_swap::ArcSwap;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

const CONFIG: &str = "
admin: {token: \"${TOKEN:-}\"}
upstreams: {backend: 127.0.0.1:8000}
limits:
  ai_chat: {per: [user, ip], windows: {1m: 10, 1h: 100}, tiers: {pro: {1m: 200}}}
routes:
  - {path: /, limit: ai_chat}
";

/// A listener, what it answers from, and the end of the reload channel.
pub(super) struct Admin {
    server: WebServer,
    pub(super) parts: AdminParts,
    reloads: mpsc::Receiver<ReloadOrder>,
    /// The stores' tasks run here.
    _runtime: tokio::runtime::Runtime,
}

impl Admin {
    pub(super) fn open() -> Self {
        Self::start("", "127.0.0.1:0", BOUNDS)
    }

    pub(super) fn with_token(token: &str) -> Self {
        Self::start(token, "127.0.0.1:0", BOUNDS)
    }

    /// With sections of one's own.
    pub(super) fn with(config: &str) -> Self {
        Self::start_with(config, "", "127.0.0.1:0", BOUNDS)
    }

    fn start(token: &str, address: &str, bounds: Bounds) -> Self {
        Self::start_with(CONFIG, token, address, bounds)
    }

    fn start_with(config: &str, token: &str, address: &str, bounds: Bounds) -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let _context = runtime.enter();
        let source = Source::Text { name: "t.yaml".to_owned(), text: config.to_owned() };
        let snapshot =
            load(&source, &Env::of(&[("TOKEN", token)]), 7).expect("a valid configuration").snapshot;
        let metrics = Arc::new(Metrics::new(0).expect("metrics"));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let stores = Stores::open(&snapshot.store, &clock, &metrics, &Tasks::new()).expect("memory stores");
        let read = Arc::downgrade(&stores);
        metrics.add_source(move |readings| {
            if let Some(stores) = read.upgrade() {
                stores.readings(readings);
            }
        });
        let (reload, reloads) = mpsc::channel(1);
        let parts = AdminParts {
            current: Arc::new(ArcSwap::from_pointee(snapshot)),
            stores,
            metrics,
            clock,
            readiness: Arc::default(),
            reload,
        };
        let listener = TcpListener::bind(address).expect("a free port");
        let server = serve_within(bounds, listener, parts.clone()).expect("a listener");
        Self { server, parts, reloads, _runtime: runtime }
    }

    /// Asks with the fields of an ordinary client and `fields`; an empty value takes a field away.
    pub(super) fn ask(&self, line: &str, fields: &[(&str, &str)], body: &str) -> Answer {
        let address = self.server.address();
        let host = address.to_string();
        let length = body.len().to_string();
        let mut all = vec![("Host", host.as_str()), ("Connection", "close"), ("Content-Length", &length)];
        all.retain(|(name, _)| fields.iter().all(|(other, _)| !name.eq_ignore_ascii_case(other)));
        all.extend(fields.iter().filter(|(_, value)| !value.is_empty()));
        let fields: String = all.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        exchange(address, &format!("{line} HTTP/1.1\r\n{fields}\r\n{body}"))
    }

    pub(super) fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), &[], "")
    }
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    head: String,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The last part of the problem's type.
    pub(super) fn problem(&self) -> String {
        assert!(self.head.contains("content-type: application/problem+json"), "{self:?}");
        let document = self.json();
        assert_eq!(document["status"], self.status);
        document["type"].as_str().and_then(|kind| kind.rsplit('/').next()).expect("a type").to_owned()
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    stream
}

fn exchange(address: SocketAddr, request: &str) -> Answer {
    let mut stream = connect(address);
    // A refusal may come before everything is sent.
    drop(stream.write_all(request.as_bytes()));
    let mut text = Vec::new();
    // So may a reset after it.
    drop(stream.read_to_end(&mut text));
    let text = String::from_utf8(text).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line");
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

#[test]
fn ready_until_the_drain_and_alive_after_it() {
    let admin = Admin::open();
    let ready = admin.get("/readyz");
    let expected =
        json!({"status": "ready", "reasons": [], "generation": 7, "limits_store": "up", "cache_store": "up"});
    assert_eq!((ready.status, ready.json()), (200, expected));
    admin.parts.readiness.drain();
    let draining = admin.get("/readyz");
    assert_eq!((draining.status, &draining.json()["status"]), (503, &json!("not_ready")));
    assert_eq!(draining.json()["reasons"], json!(["draining"]));
    let alive = admin.get("/healthz");
    assert_eq!((alive.status, alive.body.as_str()), (200, r#"{"status":"alive"}"#));
}

#[test]
fn statistics_have_the_promised_shape_and_rows_only_where_asked() {
    let admin = Admin::open();
    admin.parts.metrics.cache_request("content", Some("acme"), CacheResult::Hit);
    let stats = admin.get("/api/v1/cache/stats");
    let promised =
        r#"{"cache_hits":1,"cache_misses":0,"total_requests":1,"hit_rate_percent":100.0,"connected":true,"#;
    assert!(stats.status == 200 && stats.body.starts_with(promised), "{stats:?}");
    assert!(!stats.body.contains("acme"));
    assert_eq!(admin.get("/api/v1/cache/stats?by=tenant").json()["tenants"][0]["name"], "acme");
    assert_eq!(admin.get("/api/v1/cache/stats?by=namespace").json()["namespaces"][0]["name"], "content");
    for query in ["by=user", "by=", "tenant=acme"] {
        let wrong = admin.get(&format!("/api/v1/cache/stats?{query}"));
        assert_eq!((wrong.status, wrong.problem().as_str()), (400, "invalid-query"), "{query}");
    }
}

#[test]
fn metrics_are_prometheus_text() {
    let answer = Admin::open().get("/metrics");
    assert!(
        answer.head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"),
        "{}",
        answer.head
    );
    assert!(answer.body.contains("\ntidegate_build_info{version="), "{}", answer.body);
}

#[test]
fn a_token_guards_everything_but_probes() {
    let admin = Admin::with_token("s3cret");
    for (method, path) in ROUTES {
        // The webhook's messages prove themselves.
        let is_open = ["/healthz", "/readyz", "/api/v1/cache/invalidate"].contains(path);
        let answer = admin.ask(&format!("{method} {path}"), &[], "");
        assert_eq!(answer.status == 401, !is_open, "{method} {path}: {answer:?}");
        if !is_open {
            assert!(answer.head.contains("www-authenticate: Bearer") && !answer.body.contains("s3cret"));
        }
    }
    let ask =
        |value| admin.ask("GET /metrics", &[("Authorization", value), ("Host", "any.example")], "").status;
    assert_eq!((ask("Bearer s3cret"), ask("Bearer s3creT")), (200, 401));
    assert_eq!(admin.get("/unknown").status, 401, "what exists is told only to who may know");
    assert_eq!(
        admin.ask("GET /readyz", &[("Host", "10.1.2.3:9901")], "").status,
        200,
        "a probe names the pod"
    );
}

#[test]
fn without_a_token_only_this_machine_may_ask_and_no_page_of_another_origin() {
    let admin = Admin::open();
    let ask = |fields: &[(&str, &str)]| {
        let answer = admin.ask("GET /api/v1/config", fields, "");
        if answer.status == 200 { "ok".to_owned() } else { answer.problem() }
    };
    assert_eq!(ask(&[]), "ok");
    assert_eq!(ask(&[("Host", "localhost:9901")]), "ok");
    assert_eq!(ask(&[("Host", "rebound.example:9901")]), "misdirected");
    assert_eq!(ask(&[("Origin", "http://rebound.example")]), "cross-site");
    assert_eq!(ask(&[("Sec-Fetch-Site", "cross-site")]), "cross-site");
    let absolute = admin.ask("GET http://rebound.example/metrics", &[], "");
    assert_eq!(
        (absolute.status, absolute.problem().as_str()),
        (421, "misdirected"),
        "the target wins over Host"
    );
}

#[test]
fn without_a_token_an_open_listener_answers_probes_only() {
    let admin = Admin::start("", "0.0.0.0:0", BOUNDS);
    assert_eq!(admin.get("/healthz").status, 200);
    assert_eq!(admin.ask("GET /metrics", &[("Host", "localhost")], "").problem(), "no-token");
}

#[test]
fn the_configuration_is_shown_without_its_secrets() {
    let admin = Admin::with_token("s3cret");
    let answer = admin.ask("GET /api/v1/config", &[("Authorization", "Bearer s3cret")], "");
    assert_eq!((answer.status, answer.json()["generation"].clone()), (200, json!(7)));
    assert!(answer.json()["config"].is_object());
    assert!(!answer.body.contains("s3cret"), "{}", answer.body);
}

#[test]
fn a_reload_answers_with_its_outcome_and_a_refused_one_with_every_fault() {
    let mut admin = Admin::open();
    let mut reloads = std::mem::replace(&mut admin.reloads, mpsc::channel(1).1);
    let reloader = std::thread::spawn(move || {
        let accepted = Reloaded::Accepted { generation: 8, warnings: vec!["look".to_owned()] };
        let fault = Fault::new(Position { line: 3, column: 5 }, "limits.a", "unknown key", "remove it");
        let text = "x:\n\nx: hunter2".to_owned();
        let faults = Faults { file: "t.yaml".to_owned(), text, list: vec![fault], files: Vec::new() };
        for outcome in [accepted, Reloaded::Unchanged, Reloaded::Refused { faults }] {
            reloads.blocking_recv().expect("an order").send(outcome).expect("somebody waits");
        }
    });
    let order = "POST /api/v1/config/reload";
    let accepted = admin.ask(order, &[], "").json();
    assert_eq!(accepted, json!({"result": "accepted", "generation": 8, "warnings": ["look"]}));
    let unchanged = admin.ask(order, &[("Content-Type", "application/json")], "{}").json();
    assert_eq!(unchanged, json!({"result": "unchanged"}));
    let refused = admin.ask(order, &[], "");
    assert_eq!((refused.status, refused.problem().as_str()), (422, "invalid-configuration"));
    let place = json!({"file": "t.yaml", "line": 3, "column": 5, "key": "limits.a", "what": "unknown key", "remedy": "remove it"});
    assert_eq!(refused.json()["faults"], json!([place]));
    assert!(!refused.body.contains("hunter2"), "the line of the file may hold a secret");
    reloader.join().expect("every order was answered");
    let stopping = admin.ask(order, &[], "");
    assert_eq!((stopping.status, stopping.problem().as_str()), (503, "stopping"));
}

#[test]
fn bodies_are_bounded_json_of_the_expected_shape() {
    let admin = Admin::open();
    let ask = |media_type, body: &str| {
        let ask = |path| {
            let answer = admin.ask(&format!("POST {path}"), &[("Content-Type", media_type)], body);
            (answer.status, answer.problem())
        };
        let (reload, explain) = (ask("/api/v1/config/reload"), ask("/api/v1/explain"));
        assert_eq!(reload, explain);
        reload
    };
    assert_eq!(ask("text/plain", "{}"), (415, "media-type".to_owned()));
    assert_eq!(ask("application/json", "{"), (400, "invalid-body".to_owned()));
    assert_eq!(ask("application/json", r#"{"file": "/etc/passwd"}"#), (400, "invalid-body".to_owned()));
    assert_eq!(ask("application/json", &" ".repeat((64 << 10) + 1)), (413, "body-too-large".to_owned()));
}

#[test]
fn a_reloader_that_is_busy_or_silent_makes_nobody_wait_for_ever() {
    let bounds = Bounds { answer_timeout: Duration::from_millis(500), ..BOUNDS };
    let admin = Admin::start("", "127.0.0.1:0", bounds);
    let ask = || admin.ask("POST /api/v1/config/reload", &[], "").problem();
    assert_eq!((ask(), ask()), ("timeout".to_owned(), "busy".to_owned()));
}

#[test]
fn a_request_is_explained_by_the_configuration_in_force() {
    let admin = Admin::open();
    let ask = |body: &str| admin.ask("POST /api/v1/explain", &[("Content-Type", "application/json")], body);
    let told = ask(r#"{"method": "GET", "url": "http://a.example/x/../y", "ip": "192.0.2.7"}"#);
    assert_eq!(
        (told.status, &told.json()["path"], &told.json()["upstream"]),
        (200, &json!("/y"), &json!("backend"))
    );
    assert!(told.body.contains("192.0.2.7"), "{told:?}");
    let refused = ask(r#"{"method": "GET", "url": "/%00"}"#);
    assert_eq!((refused.status, refused.problem().as_str()), (400, "refused"));
    for body in [
        "",
        "{}",
        r#"{"method": "GET", "url": "/", "ip": "x"}"#,
        r#"{"method": "GET", "url": "/", "hedaers": {}}"#,
    ] {
        assert_eq!(ask(body).problem(), "invalid-body", "{body}");
    }
}

#[test]
fn policies_are_listed_and_a_standing_consumes_nothing() {
    let admin = Admin::open();
    let list = admin.get("/api/v1/limits").json();
    assert_eq!(list["policies"][0]["name"], "ai_chat");
    assert_eq!(list["policies"][0]["per"], json!(["user", "ip"]));
    assert_eq!(
        list["policies"][0]["windows"][1],
        json!({"window": "1h", "length_ms": 3_600_000, "limit": 100})
    );
    for _ in 0..20 {
        let standing = admin.get("/api/v1/limits/ai_chat/user:ada").json();
        assert_eq!((&standing["would_admit"], &standing["identity"]), (&json!(true), &json!("user:ada")));
        assert_eq!(standing["windows"][0]["used"], 0);
        assert_eq!(standing["windows"][0]["remaining"], 10);
    }
    let pro = admin.get("/api/v1/limits/ai_chat/user:ada?tier=pro").json();
    assert_eq!(pro["windows"][0]["limit"], 200);
    let address = admin.get("/api/v1/limits/ai_chat/ip%3A2001%3Adb8%3A%3A7").json();
    assert_eq!(address["identity"], "ip:2001:db8::/64", "IPv6 is counted by its /64");
}

#[test]
fn a_standing_shows_what_requests_consumed() {
    let admin = Admin::open();
    let policy = Arc::clone(&admin.parts.current.load().policies[0]);
    let subject = crate::limit::Subject::parse("user:ada").expect("an identity");
    let charge =
        crate::limit::charge(&policy, &std::sync::Arc::new(subject), None, &crate::limit::Overrides::new());
    let charge = charge.expect("a limit");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for _ in 0..10 {
        drop(runtime.block_on(admin.parts.stores.limiter.admit(std::slice::from_ref(&charge))));
    }
    let standing = admin.get("/api/v1/limits/ai_chat/user:ada").json();
    let minute = &standing["windows"][0];
    assert_eq!(
        (&standing["would_admit"], &minute["used"], &minute["remaining"]),
        (&json!(false), &json!(10), &json!(0))
    );
    assert!(
        minute["reset_ms"].as_u64().is_some_and(|reset_ms| (1..=60_000).contains(&reset_ms)),
        "{standing}"
    );
    let reset = admin.ask("DELETE /api/v1/limits/ai_chat/user:ada", &[], "").json();
    assert_eq!(reset, json!({"policy": "ai_chat", "identity": "user:ada", "reset": true}));
    assert_eq!(admin.get("/api/v1/limits/ai_chat/user:ada").json()["windows"][0]["used"], 0);
}

/// Charges `user:ada` under `ai_chat` so many times.
fn charge_ada(admin: &Admin, times: usize) {
    let policy = Arc::clone(&admin.parts.current.load().policies[0]);
    let subject = crate::limit::Subject::parse("user:ada").expect("an identity");
    let charge = crate::limit::charge(&policy, &Arc::new(subject), None, &crate::limit::Overrides::new());
    let charges = [charge.expect("a limit")];
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for _ in 0..times {
        let admission = runtime.block_on(admin.parts.stores.limiter.admit(&charges));
        if let Admission::Admitted { decisions, .. } | Admission::Denied { decisions, .. } = admission {
            admin.parts.stores.top.record(&charges, &decisions);
        }
    }
}

pub(super) const JSON: (&str, &str) = ("Content-Type", "application/json");
const ADA: &str = "/api/v1/limits/ai_chat/user:ada";

#[test]
fn the_newest_units_are_given_back_and_no_more_than_there_were() {
    let admin = Admin::open();
    charge_ada(&admin, 4);
    let refund = |body: &str| admin.ask(&format!("POST {ADA}/refund"), &[JSON], body);
    let given = json!({"policy": "ai_chat", "identity": "user:ada", "units": 3, "given_back": 3});
    assert_eq!(refund(r#"{"units": 3}"#).json(), given);
    assert_eq!(admin.get(ADA).json()["windows"][0]["used"], 1);
    assert_eq!(refund(r#"{"units": 3}"#).json()["given_back"], 1);
    for body in ["", "{}", r#"{"units": 0}"#, r#"{"units": -1}"#, r#"{"units": 1, "unit": 1}"#] {
        assert_eq!(refund(body).problem(), "invalid-body", "{body}");
    }
}

#[test]
fn an_override_is_in_force_until_it_is_removed() {
    let admin = Admin::open();
    let put = |body: &str| admin.ask(&format!("PUT {ADA}/override"), &[JSON], body);
    let set = put(r#"{"windows": {"1m": 500}, "ttl": "1h"}"#);
    let standing = set.json();
    assert_eq!((set.status, &standing["applies"]), (200, &json!("live_override")));
    let limits = |standing: &Value| [0, 1].map(|window| standing["windows"][window]["limit"].clone());
    assert_eq!(limits(&standing), [500, 100], "what is not named stays");
    assert_eq!(standing["override"]["windows"], json!([{"window": "1m", "length_ms": 60_000, "limit": 500}]));
    let left = standing["override"]["ends_in_ms"].as_u64();
    assert!(left.is_some_and(|left| (3_590_000..=3_600_000).contains(&left)), "{standing}");
    assert_eq!(limits(&admin.get(&format!("{ADA}?tier=pro")).json()), [500, 100], "it beats the tier");

    let unlimited = put(r#"{"unlimited": true}"#).json();
    assert_eq!((&unlimited["windows"], &unlimited["would_admit"]), (&json!([]), &json!(true)));
    assert_eq!(unlimited["override"], json!({"unlimited": true}));
    let list = admin.get("/api/v1/limits/overrides").json();
    assert_eq!(
        list,
        json!({"overrides": [{"policy": "ai_chat", "identity": "user:ada", "unlimited": true}]})
    );
    for removed in [true, false] {
        let answer = admin.ask(&format!("DELETE {ADA}/override"), &[], "").json();
        assert_eq!(answer, json!({"policy": "ai_chat", "identity": "user:ada", "removed": removed}));
    }
    let after = admin.get(ADA).json();
    assert_eq!((limits(&after), &after["applies"]), ([json!(10), json!(100)], &json!("policy")));
}

#[test]
fn an_override_of_a_policy_that_is_gone_can_be_removed() {
    let admin = Admin::open();
    assert_eq!(admin.ask(&format!("PUT {ADA}/override"), &[JSON], r#"{"unlimited": true}"#).status, 200);
    let text = CONFIG.replace("ai_chat", "other");
    let source = Source::Text { name: "t.yaml".to_owned(), text };
    let snapshot = load(&source, &Env::default(), 8).expect("a valid configuration").snapshot;
    admin.parts.current.store(Arc::new(snapshot));
    assert_eq!(admin.get(ADA).problem(), "no-policy");
    let remove = || admin.ask(&format!("DELETE {ADA}/override"), &[], "");
    assert_eq!(remove().json()["removed"], true);
    assert_eq!(remove().problem(), "no-policy");
}

/// Does `answer` have the shape that the document promises under `pointer`?
pub(super) fn assert_promised(answer: &Answer, pointer: &str) {
    let document: Value = serde_json::from_str(include_str!("openapi.json")).expect("JSON");
    let mut schema = document.pointer(pointer).cloned().unwrap_or_else(|| panic!("{pointer}"));
    schema["components"] = document["components"].clone();
    let fault = jsonschema::validate(&schema, &answer.json()).err().map(|fault| fault.to_string());
    assert_eq!(fault, None, "{answer:?}");
}

#[test]
fn the_stats_of_an_instance_add_up_what_prometheus_is_told() {
    let admin = Admin::open();
    let served = |route, status, millis| {
        admin.parts.metrics.request(&RequestRecord {
            route,
            method: &http::Method::GET,
            status: http::StatusCode::from_u16(status).expect("three digits"),
            duration: Duration::from_millis(millis),
            bytes: 1,
        });
    };
    for (route, status, millis) in [("/", 200, 1), ("/", 429, 1), ("/a", 204, 2), ("/a", 799, 40_000)] {
        served(route, status, millis);
    }
    // What the backend answers with 429 is no refusal of ours.
    admin.parts.metrics.refusal("limit");
    admin.parts.metrics.refusal("no-route");
    admin.parts.metrics.cache_request("content", None, CacheResult::Stale);
    admin.parts.metrics.cache_request("content", None, CacheResult::Miss);
    let _held = admin.parts.metrics.request_in_flight();
    let answer = admin.get("/api/v1/stats");
    assert_promised(&answer, "/components/schemas/InstanceStats");
    let stats = answer.json();
    let classes = json!({"1xx": 0, "2xx": 2, "3xx": 0, "4xx": 1, "5xx": 0, "other": 1});
    let requests = json!({"total": 4, "by_class": classes, "rate_limited": 1, "in_flight": 1});
    assert_eq!(stats["requests"], requests);
    let latency = &stats["latency"];
    let bucket = |index: usize| {
        (latency["buckets"][index]["le"].as_f64(), latency["buckets"][index]["count"].as_u64())
    };
    assert_eq!((bucket(1), bucket(2)), ((Some(0.001), Some(2)), (Some(0.0025), Some(3))));
    assert_eq!((bucket(14), latency["count"].as_u64()), ((Some(30.0), Some(3)), Some(4)), "one took longer");
    assert_eq!(stats["cache"], json!({"hits": 1, "misses": 1, "total": 2, "hit_rate": 0.5}));
    assert_eq!(stats["store"], json!({"kind": "memory", "connected": true}));
    assert_eq!(stats["draining"], false);
    admin.parts.readiness.drain();
    assert_eq!(admin.get("/api/v1/stats").json()["draining"], true);
}

#[test]
fn an_instance_that_has_served_nothing_has_no_hit_rate() {
    let answer = Admin::open().get("/api/v1/stats");
    assert_promised(&answer, "/components/schemas/InstanceStats");
    let stats = answer.json();
    assert!(stats["cache"]["hit_rate"].is_null() && stats["latency"]["count"] == 0, "{stats}");
    assert_eq!(
        stats["latency"]["buckets"].as_array().map(Vec::len),
        Some(15),
        "whoever compares needs them all"
    );
}

#[test]
fn answers_about_limits_have_the_promised_shape() {
    let admin = Admin::open();
    charge_ada(&admin, 12);
    let of = |path: &str, method: &str| {
        let path = path.replace('/', "~1");
        format!("/paths/{path}/{method}/responses/200/content/application~1json/schema")
    };
    assert_promised(&admin.get("/api/v1/limits"), &of("/api/v1/limits", "get"));
    assert_promised(&admin.get(ADA), "/components/schemas/Standing");
    assert_promised(&admin.get("/api/v1/limits/top"), &of("/api/v1/limits/top", "get"));
    for body in [r#"{"unlimited": true}"#, r#"{"windows": {"1m": 5}, "ttl": "1h"}"#] {
        let set = admin.ask(&format!("PUT {ADA}/override"), &[JSON], body);
        assert_promised(&set, "/components/schemas/Standing");
        assert_promised(&admin.get("/api/v1/limits/overrides"), &of("/api/v1/limits/overrides", "get"));
    }
    let refund = "/api/v1/limits/{policy}/{identity}/refund";
    let refunded = admin.ask(&format!("POST {ADA}/refund"), &[JSON], r#"{"units": 3}"#);
    assert_promised(&refunded, &of(refund, "post"));
    let removed = admin.ask(&format!("DELETE {ADA}/override"), &[], "");
    assert_promised(&removed, &of("/api/v1/limits/{policy}/{identity}/override", "delete"));
    let told = admin.ask("POST /api/v1/explain", &[JSON], r#"{"method": "GET", "url": "/"}"#);
    assert_promised(&told, &of("/api/v1/explain", "post"));
}

#[test]
fn an_override_that_is_not_understood_changes_nothing() {
    let admin = Admin::open();
    let put = |body: &str| {
        let answer = admin.ask(&format!("PUT {ADA}/override"), &[JSON], body);
        (answer.problem(), answer.json()["detail"].as_str().unwrap_or_default().to_owned())
    };
    for (body, hint) in [
        ("", "unlimited"),
        ("{}", "unlimited"),
        (r#"{"unlimited": false}"#, "unlimited"),
        (r#"{"unlimited": true, "windows": {"1m": 5}}"#, "unlimited"),
        (r#"{"windows": {}}"#, "1 to 6 windows"),
        (r#"{"windows": {"1x": 5}}"#, "`1x`"),
        (r#"{"windows": {"60": 5, "1m": 5}}"#, "same length"),
        (r#"{"windows": {"1m": 1000001}}"#, "1000000"),
        (r#"{"windows": {"1s": 1, "2s": 1, "3s": 1, "4s": 1, "5s": 1}}"#, "1 to 6 windows"),
        (r#"{"windows": {"1m": 5}, "ttl": "1y"}"#, "`1y`"),
        (r#"{"windows": {"1m": 5}, "ttl": "0"}"#, "366d"),
        (r#"{"windows": {"1m": 5}, "tll": "1h"}"#, "tll"),
    ] {
        let (problem, detail) = put(body);
        assert_eq!(problem, "invalid-body", "{body}");
        assert!(detail.contains(hint), "{body}: {detail}");
    }
    assert_eq!(admin.get("/api/v1/limits/overrides").json(), json!({"overrides": []}));
    let long = format!("PUT /api/v1/limits/ai_chat/user:{}/override", "a".repeat(600));
    assert_eq!(admin.ask(&long, &[JSON], r#"{"unlimited": true}"#).problem(), "invalid-identity");
}

#[test]
fn a_network_is_named_in_the_path_as_one_segment() {
    let admin = Admin::open();
    let line = "PUT /api/v1/limits/ai_chat/ip%3A2001%3Adb8%3A%3A%2F64/override";
    assert_eq!(admin.ask(line, &[JSON], r#"{"unlimited": true}"#).json()["identity"], "ip:2001:db8::/64");
}

#[test]
fn the_most_denied_and_the_busiest_are_listed() {
    let admin = Admin::open();
    charge_ada(&admin, 13);
    let row = |count| json!({"policy": "ai_chat", "identity": "user:ada", "count": count, "overestimate": 0});
    let top = |query: &str| admin.get(&format!("/api/v1/limits/top{query}")).json();
    assert_eq!(top(""), json!({"kind": "denied", "scope": "instance", "top": [row(3)]}));
    assert_eq!(top("?kind=busiest&count=1")["top"], json!([row(13)]));
    for query in ["?kind=worst", "?count=x", "?n=3"] {
        assert_eq!(admin.get(&format!("/api/v1/limits/top{query}")).problem(), "invalid-query", "{query}");
    }
}

#[test]
fn an_explanation_says_what_the_limits_would_do_now_and_consumes_nothing() {
    let admin = Admin::open();
    let ask = || {
        let body = r#"{"method": "GET", "url": "/x", "ip": "192.0.2.7"}"#;
        admin.ask("POST /api/v1/explain", &[JSON], body).json()
    };
    let told = ask();
    let limit = &told["limits"][0];
    assert_eq!((&limit["counts"], &limit["applies"]), (&json!("ip:192.0.2.7"), &json!("policy")));
    assert_eq!(
        (&limit["now"]["windows"][0]["remaining"], &told["now"]),
        (&json!(10), &json!({"would_admit": true}))
    );
    assert_eq!(ask()["limits"][0]["now"]["windows"][0]["remaining"], 10);

    let set = "PUT /api/v1/limits/ai_chat/ip:192.0.2.7/override";
    assert_eq!(admin.ask(set, &[JSON], r#"{"windows": {"1m": 0}}"#).status, 200);
    let told = ask();
    assert_eq!(told["limits"][0]["applies"], "live_override");
    assert_eq!(told["limits"][0]["windows"], json!({"1m": 0, "1h": 100}));
    let why = told["limits"][0]["now"]["why"].as_str().expect("a reason");
    assert!(why.contains("never passes") && why.contains("0 of 0 left in 1m"), "{why}");
    assert_eq!(told["now"], json!({"would_admit": false, "refused_by": ["ai_chat"], "status": 429}));
}

#[test]
fn misspelt_names_get_a_hint() {
    let admin = Admin::open();
    let ask = |path: &str| {
        let answer = admin.get(path);
        (answer.status, answer.problem(), answer.json()["detail"].as_str().unwrap_or_default().to_owned())
    };
    let (status, problem, detail) = ask("/api/v1/limits/ai_chta/user:ada");
    assert_eq!((status, problem.as_str()), (404, "no-policy"));
    assert!(detail.contains("`ai_chat`"), "{detail}");
    assert_eq!(ask("/api/v1/limits/ai_chat/user:ada?tier=por").0, 404);
    assert_eq!(ask("/api/v1/limits/ai_chat/user:ada?teir=pro").1, "invalid-query");
    assert_eq!(ask("/api/v1/limits/ai_chat/%FF").1, "invalid-path");
    for identity in ["ada", "user:", "tenant:acme", "global"] {
        let (status, problem, detail) = ask(&format!("/api/v1/limits/ai_chat/{identity}"));
        assert_eq!((status, problem.as_str()), (400, "invalid-identity"), "{identity}");
        assert!(detail.contains("user, ip"), "{detail}");
    }
}

#[test]
fn unknown_paths_and_methods_are_problems() {
    let admin = Admin::open();
    assert_eq!(admin.get("/api/v2/config").problem(), "not-found");
    let delete = admin.ask("DELETE /api/v1/config", &[], "");
    assert_eq!((delete.status, delete.problem().as_str()), (405, "method-not-allowed"));
    assert!(delete.head.contains("allow: GET,HEAD"), "{}", delete.head);
    assert_eq!(admin.get("/api/v1/config/reload").status, 405, "a link cannot reload");
}

#[test]
fn every_answer_carries_the_security_fields() {
    let admin = Admin::open();
    for (path, fields) in
        [("/healthz", [("X", "y")]), ("/nothing", [("X", "y")]), ("/metrics", [("Origin", "null")])]
    {
        let head = admin.ask(&format!("GET {path}"), &fields, "").head;
        for field in ["cache-control: no-store", "x-content-type-options: nosniff", "frame-ancestors 'none'"]
        {
            assert!(head.contains(field), "{path}: {head}");
        }
    }
}

#[test]
fn the_openapi_document_lists_every_route_and_no_other() {
    let admin = Admin::open();
    let document = admin.get("/openapi.json").json();
    let paths = document["paths"].as_object().expect("paths");
    let listed: BTreeSet<(String, String)> = paths
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().expect("methods");
            methods.keys().map(|method| (method.to_uppercase(), path.clone()))
        })
        .collect();
    let routes = ROUTES.iter().map(|(method, path)| ((*method).to_owned(), (*path).to_owned()));
    assert_eq!(listed, routes.collect());
    // A reload waits for somebody to do it; the webhook is not there before it is configured, nor a job before it is ordered.
    let waits = ["/api/v1/config/reload", "/api/v1/cache/invalidate", "/api/v1/cache/warm/{id}"];
    for (method, path) in ROUTES.iter().filter(|(_, path)| !waits.contains(path)) {
        let path = path.replace("{policy}", "ai_chat").replace("{identity}", "user:ada");
        let status = admin.ask(&format!("{method} {path}"), &[], "").status;
        assert!(![404, 405].contains(&status), "{method} {path} answers {status}");
    }
}

#[test]
fn the_operations_page_names_every_route() {
    let page = include_str!("../../docs/operations.md");
    for (method, path) in ROUTES {
        assert!(page.contains(&format!("| `{method} {path}` |")), "{method} {path}");
    }
}

#[test]
fn every_reference_of_the_openapi_document_leads_somewhere() {
    let text = include_str!("openapi.json");
    let document: Value = serde_json::from_str(text).expect("JSON");
    for reference in text.split("\"$ref\": \"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
}

#[test]
fn a_slow_head_and_a_quiet_connection_are_ended() {
    let bounds = Bounds { head_timeout: Duration::from_millis(50), ..BOUNDS };
    let admin = Admin::start("", "127.0.0.1:0", bounds);
    for beginning in ["", "GET /healthz HTTP/1.1\r\nHost: loc"] {
        let mut stream = connect(admin.server.address());
        stream.write_all(beginning.as_bytes()).expect("it reads");
        let mut rest = Vec::new();
        assert!(stream.read_to_end(&mut rest).is_ok(), "it ends the connection");
    }
}

#[test]
fn connections_above_the_bound_wait_for_their_turn() {
    let admin = Admin::start("", "127.0.0.1:0", Bounds { connections: 1, ..BOUNDS });
    let held = connect(admin.server.address());
    let mut waiting = connect(admin.server.address());
    waiting
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .expect("it listens");
    waiting.set_read_timeout(Some(Duration::from_millis(100))).expect("a socket");
    assert!(waiting.read(&mut [0]).is_err(), "nobody answers yet");
    waiting.set_read_timeout(None).expect("a socket");
    drop(held);
    let mut text = String::new();
    waiting.read_to_string(&mut text).expect("an answer");
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
}

#[test]
fn stopping_finishes_the_answer_under_way_and_frees_the_port() {
    // Each connection that is still taken stands in its backlog; a full one lets the next wait for a second.
    let patient = Bounds { stop_timeout: Duration::from_secs(20), ..BOUNDS };
    let mut admin = Admin::start("", "127.0.0.1:0", patient);
    let mut reloads = std::mem::replace(&mut admin.reloads, mpsc::channel(1).1);
    let address = admin.server.address();
    let asking = std::thread::spawn(move || {
        let request = format!("POST /api/v1/config/reload HTTP/1.1\r\nHost: {address}\r\n\r\n");
        exchange(address, &request).status
    });
    let order = reloads.blocking_recv().expect("an order");
    let stopping = std::thread::spawn(move || admin.server.stop());
    while TcpStream::connect(address).is_ok() {
        std::thread::yield_now();
    }
    order.send(Reloaded::Unchanged).expect("the answer is still waited for");
    assert_eq!(asking.join().expect("an answer"), 200);
    stopping.join().expect("it stops");
}
