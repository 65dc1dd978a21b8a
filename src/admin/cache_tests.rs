//! Purging, the webhook and looking at what is stored, over real sockets and the embedded store.

use crate::admin::tests::{Admin, Answer, JSON, assert_promised};
use crate::base::Digest;
use crate::cache::{Entry, EntryHead, Label, Lifetime};
use crate::config::{Asked, place};
use crate::identity::Caller;
use hmac::{Hmac, Mac};
use http::HeaderMap;
use serde_json::{Value, json};
use sha2::Sha256;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

const CONFIG: &str = "
upstreams: {backend: 127.0.0.1:8000}
cache: {webhook: {secret: hush}, namespaces: {content: {ttl: 5m}, pages: {ttl: 5m, scope: public}}}
routes: [{path: /, cache: content}, {path: /pages/, cache: pages}, {path: /live, methods: [GET]}]
";

const PURGE: &str = "POST /api/v1/cache/purge";

/// One that stands where no request looks: for counts, and for purges that have much to meet.
fn crowd(admin: &Admin, entries: u32) {
    for number in 0..entries {
        let mut key = [7; 32];
        key[..4].copy_from_slice(&number.to_le_bytes());
        put(admin, &Digest(key), &format!("tenant-{}", number % 100), &format!("/{number}"), "a tag");
    }
}

fn put(admin: &Admin, key: &Digest, tenant: &str, target: &str, tag: &str) {
    let now_ms = admin.parts.clock.wall_ms();
    let lifetime = Lifetime {
        age_base_ms: now_ms,
        fresh_until_ms: now_ms + 60_000,
        swr_s: 10,
        sie_s: 20,
        keep_s: 30,
        ours: true,
        strict: false,
    };
    let label = Label {
        tenant: Some(tenant.into()),
        namespace: "content".into(),
        origin: "http://localhost".to_owned(),
        target: target.to_owned(),
        tags: vec![tag.to_owned()],
    };
    let caller = Caller { tenant: Some(tenant.into()), ..Caller::default() };
    let snapshot = admin.parts.current.load();
    let head = EntryHead {
        owner: crate::cache::owner(&snapshot.namespaces[0], &caller),
        label: label.into(),
        status: 200,
        headers: HeaderMap::new(),
        lifetime,
        selecting: Vec::new(),
        stored_ms: now_ms,
        birth: admin.parts.stores.purges.birth(),
        cost_ms: 12,
    };
    let entry = Entry::new(head, "four".into());
    admin.parts.stores.entries.put(key, &Arc::new(HeaderMap::new()), entry);
}

/// What a GET of `path` by `tenant` would be answered from.
fn store(admin: &Admin, tenant: &str, path: &str, tag: &str) {
    let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let (url, headers) = (path.to_owned(), Vec::new());
    let asked =
        Asked { method: "GET".to_owned(), url, headers, ip, now_s: 0, certificate: None, response: None };
    let caller = Caller { tenant: Some(tenant.into()), ..Caller::default() };
    let place = place(&admin.parts.current.load(), &asked, &caller).expect("it is cached");
    put(admin, &place.key, tenant, path, tag);
}

fn purge(admin: &Admin, body: &Value) -> Answer {
    admin.ask(PURGE, &[JSON], &body.to_string())
}

/// Is it purged, and how? `Null`: no.
fn purged(admin: &Admin, tenant: &str, path: &str) -> Value {
    admin.get(&format!("/api/v1/cache/entry?url={path}&tenant={tenant}")).json()["purged"].clone()
}

#[test]
fn a_purge_meets_what_it_names_and_nothing_else() {
    let kept = Value::Null;
    for (body, acme_a, acme_b, globex) in [
        (json!({"tenant": "acme"}), json!("hard"), json!("hard"), kept.clone()),
        (json!({"namespace": "content", "mode": "soft"}), json!("soft"), json!("soft"), json!("soft")),
        (json!({"namespace": "pages"}), kept.clone(), kept.clone(), kept.clone()),
        (json!({"tags": ["a"]}), json!("hard"), kept.clone(), json!("hard")),
        (json!({"tags": ["a", "b"], "tenant": "acme"}), json!("hard"), json!("hard"), kept.clone()),
        (json!({"tags": ["a"], "namespace": "pages"}), kept.clone(), kept.clone(), kept.clone()),
        (json!({"paths": ["http://any.example/x/./b"]}), kept.clone(), json!("hard"), kept.clone()),
        (json!({"prefix": "/x/", "tenant": "globex"}), kept.clone(), kept.clone(), json!("hard")),
        (json!({"glob": "*/b"}), kept.clone(), json!("hard"), kept.clone()),
        (
            json!({"glob": "/x/b", "paths": ["/x/a"], "mode": "soft"}),
            json!("soft"),
            json!("soft"),
            json!("soft"),
        ),
    ] {
        let admin = Admin::with(CONFIG);
        store(&admin, "acme", "/x/a", "a");
        store(&admin, "acme", "/x/b", "b");
        store(&admin, "globex", "/x/a", "a");
        let dry = json!({"dry_run": true});
        let mut asked = body.clone();
        asked.as_object_mut().expect("an object").extend(dry.as_object().expect("an object").clone());
        let told = purge(&admin, &asked).json();
        let met = [&acme_a, &acme_b, &globex].iter().filter(|purged| !purged.is_null()).count();
        assert_eq!((&told["entries"], &told["applied"]), (&json!(met), &json!("none")), "{body}");
        assert_eq!(purged(&admin, "acme", "/x/a"), kept, "a dry run changes nothing");
        let told = purge(&admin, &body);
        assert_eq!((told.status, &told.json()["applied"]), (200, &json!("fleet")), "{told:?}");
        assert_promised(&told, "/components/schemas/Receipt");
        let after = [("acme", "/x/a"), ("acme", "/x/b"), ("globex", "/x/a")];
        assert_eq!(
            after.map(|(tenant, path)| purged(&admin, tenant, path)),
            [acme_a, acme_b, globex],
            "{body}"
        );
    }
}

#[test]
fn a_purge_that_is_not_understood_changes_nothing() {
    let admin = Admin::with(CONFIG);
    for (body, name, hint) in [
        ("", "invalid-body", "at least one"),
        ("{}", "invalid-body", "at least one"),
        (r#"{"tenant": ""}"#, "invalid-body", "`tenant`"),
        (r#"{"tenat": "acme"}"#, "invalid-body", "tenat"),
        (r#"{"tags": "a"}"#, "invalid-body", "a sequence"),
        (r#"{"tenant": "acme", "mode": "firm"}"#, "invalid-body", "firm"),
        (r#"{"namespace": "contnet"}"#, "no-namespace", "`content`"),
    ] {
        let answer = admin.ask(PURGE, &[JSON], body);
        let detail = answer.json()["detail"].as_str().unwrap_or_default().to_owned();
        assert_eq!((answer.status, answer.problem().as_str()), (400, name), "{body}");
        assert!(detail.contains(hint), "{body}: {detail}");
    }
    assert_eq!(admin.ask(PURGE, &[], r#"{"prefix": "/"}"#).status, 415);
    let stats = admin.get("/api/v1/cache/stats").json();
    assert_eq!((&stats["purges"], &stats["ledger_names"]), (&json!(0), &json!(0)));
    assert_eq!(purge(&admin, &json!({"tags": ["a", "b"], "glob": "/a*"})).json()["patterns"], 1);
    let stats = admin.get("/api/v1/cache/stats");
    assert_promised(&stats, "/components/schemas/CacheStats");
    let counts = ["purges", "ledger_names", "ledger_patterns"].map(|name| stats.json()[name].clone());
    assert_eq!(counts, [3, 2, 1]);
    let metrics = admin.get("/metrics").body;
    assert!(metrics.contains("tidegate_cache_purges_total{source=\"api\"} 3"), "{metrics}");
    assert!(metrics.contains("tidegate_cache_ledger{kind=\"pattern\"} 1"), "{metrics}");
}

/// Headers of a message as a sender signs it.
fn signed(secret: &str, timestamp: &str, delivery: &str, body: &str) -> Vec<(&'static str, String)> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
    mac.update(format!("{timestamp}.{delivery}.{body}").as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    vec![
        ("Content-Type", "application/json".to_owned()),
        ("X-Tidegate-Timestamp", timestamp.to_owned()),
        ("X-Tidegate-Delivery", delivery.to_owned()),
        ("X-Tidegate-Signature", format!("sha256={hex}")),
    ]
}

fn send(admin: &Admin, fields: &[(&'static str, String)], body: &str) -> Answer {
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    // As from elsewhere: any name will do.
    let fields = [&[("Host", "hooks.example")], &fields[..]].concat();
    admin.ask("POST /api/v1/cache/invalidate", &fields, body)
}

fn now(admin: &Admin, offset_s: i64) -> String {
    (admin.parts.clock.wall_ms() / 1_000).saturating_add_signed(offset_s).to_string()
}

const TAG: &str = r#"{"tags": ["a"]}"#;

#[test]
fn a_signed_message_purges_softly_and_once() {
    let admin = Admin::with(CONFIG);
    store(&admin, "acme", "/x", "a");
    let message = signed("hush", &now(&admin, 0), "d-1", TAG);
    let done = send(&admin, &message, TAG);
    assert_eq!((done.status, &done.json()["mode"]), (200, &json!("soft")), "{done:?}");
    assert_eq!(purged(&admin, "acme", "/x"), "soft");
    store(&admin, "acme", "/x", "a");
    let again = send(&admin, &message, TAG);
    assert_eq!((again.status, again.json()), (200, json!({"duplicate": true, "delivery": "d-1"})));
    assert_eq!(purged(&admin, "acme", "/x"), Value::Null, "nothing was done");
    let body = r#"{"tags": ["a"], "mode": "hard"}"#;
    assert_eq!(send(&admin, &signed("hush", &now(&admin, -299), "d-2", body), body).status, 200);
    assert_eq!(purged(&admin, "acme", "/x"), "hard");
    assert!(admin.get("/metrics").body.contains("tidegate_cache_purges_total{source=\"webhook\"} 2"));
    assert!(!admin.get("/api/v1/config").body.contains("hush"));
}

#[test]
fn a_message_that_is_not_believed_is_401_without_a_reason() {
    let admin = Admin::with(CONFIG);
    store(&admin, "acme", "/x", "a");
    let sound = signed("hush", &now(&admin, 0), "d-1", TAG);
    let with = |name: &'static str, value: &str| {
        let fields = sound.iter().filter(|(other, _)| *other != name).cloned();
        fields.chain([(name, value.to_owned())]).filter(|(_, value)| !value.is_empty()).collect::<Vec<_>>()
    };
    let doubled = [sound.clone(), vec![("X-Tidegate-Delivery", "d-2".to_owned())]].concat();
    let messages = [
        ("another secret", signed("hash", &now(&admin, 0), "d-1", TAG)),
        ("another body", signed("hush", &now(&admin, 0), "d-1", r#"{"tags": ["b"]}"#)),
        ("old", signed("hush", &now(&admin, -310), "d-1", TAG)),
        ("of the future", signed("hush", &now(&admin, 310), "d-1", TAG)),
        ("no number", signed("hush", "+1", "d-1", TAG)),
        ("an id with a dot", signed("hush", &now(&admin, 0), "d.1", TAG)),
        ("a long id", signed("hush", &now(&admin, 0), &"d".repeat(129), TAG)),
        ("another id", with("X-Tidegate-Delivery", "d-2")),
        ("another time", with("X-Tidegate-Timestamp", &now(&admin, 1))),
        ("no signature", with("X-Tidegate-Signature", "")),
        ("no id", with("X-Tidegate-Delivery", "")),
        ("half a signature", with("X-Tidegate-Signature", sound[3].1.split_at(39).0)),
        ("an odd signature", with("X-Tidegate-Signature", "sha256=zz")),
        ("another digest", with("X-Tidegate-Signature", &sound[3].1.replace("sha256", "sha1"))),
        ("two ids", doubled),
        ("nothing", Vec::new()),
    ];
    let mut bodies = Vec::new();
    for (what, fields) in messages {
        let answer = send(&admin, &fields, TAG);
        assert_eq!((answer.status, answer.problem().as_str()), (401, "not-believed"), "{what}");
        bodies.push(answer.body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "all refusals are alike");
    assert_eq!(purged(&admin, "acme", "/x"), Value::Null);
    assert_eq!(send(&admin, &sound, TAG).status, 200, "none of them has spent the id");
}

#[test]
fn a_message_that_did_nothing_may_be_sent_again() {
    let admin = Admin::with(CONFIG);
    let odd = r#"{"namespace": "none"}"#;
    for _ in 0..2 {
        let answer = send(&admin, &signed("hush", &now(&admin, 0), "d-1", odd), odd);
        assert_eq!((answer.status, answer.problem().as_str()), (400, "no-namespace"));
    }
    let dry = r#"{"prefix": "/", "dry_run": true}"#;
    for _ in 0..2 {
        let answer = send(&admin, &signed("hush", &now(&admin, 0), "d-1", dry), dry);
        assert_eq!(answer.json()["dry_run"], true);
    }
}

#[test]
fn without_a_secret_there_is_no_webhook() {
    let answer = send(&Admin::open(), &[], TAG);
    assert_eq!((answer.status, answer.problem().as_str()), (404, "no-webhook"));
    assert!(answer.body.contains("cache.webhook.secret"), "{answer:?}");
}

#[test]
fn an_entry_is_described_without_its_body() {
    let admin = Admin::with(CONFIG);
    store(&admin, "acme", "/x?y=1", "a");
    let answer =
        admin.get("/api/v1/cache/entry?url=http://localhost/x%3Fy%3D1&tenant=acme&header=Accept:*/*");
    assert_promised(&answer, "/components/schemas/CacheEntry");
    let told = answer.json();
    for (name, expected) in [
        ("tier", json!("memory")),
        ("tiers", json!(["memory"])),
        ("namespace", json!("content")),
        ("tenant", json!("acme")),
        ("target", json!("/x?y=1")),
        ("status", json!(200)),
        ("fresh", json!(true)),
        ("bytes", json!(4)),
        ("tags", json!(["a"])),
        ("cost_ms", json!(12)),
        ("stale_if_error_s", json!(20)),
        ("purged", Value::Null),
    ] {
        assert_eq!(told[name], expected, "{name}");
    }
    assert!(!answer.body.contains("four"), "never the body");
    let entry = |query: &str| {
        let answer = admin.get(&format!("/api/v1/cache/entry?{query}"));
        (answer.status, answer.problem())
    };
    for (query, status, name) in [
        ("url=/x?y=1&tenant=globex", 404, "no-entry"),
        ("url=/x", 404, "not-cached"),
        ("url=/live", 404, "not-cached"),
        ("url=/a%2520b", 404, "not-cached"),
        ("url=/a%20b&tenant=acme", 400, "refused"),
        ("tenant=acme", 400, "invalid-query"),
        ("url=/x&tenant=", 400, "invalid-query"),
        ("url=/x&tenant=a&tenant=b", 400, "invalid-query"),
        ("url=/x&header=Accept", 400, "invalid-query"),
        ("url=/x&body=true", 400, "invalid-query"),
    ] {
        assert_eq!(entry(query), (status, name.to_owned()), "{query}");
    }
}

#[test]
fn an_explanation_says_what_is_stored_and_what_would_be() {
    let admin = Admin::with(CONFIG);
    let explain = |response: &Value| {
        let question = json!({"method": "GET", "url": "/pages/1", "response": response});
        admin.ask("POST /api/v1/explain", &[JSON], &question.to_string())
    };
    let stored = explain(&json!({"status": 200, "headers": {"Surrogate-Key": "a b", "Vary": "Accept"}}));
    let schema = "/paths/~1api~1v1~1explain/post/responses/200/content/application~1json/schema";
    assert_promised(&stored, schema);
    let told = stored.json();
    assert_eq!((&told["response"]["stored"], &told["response"]["ttl_s"]), (&json!(true), &json!(300)));
    assert_eq!(
        (&told["response"]["tags"], &told["response"]["by"]),
        (&json!(["a", "b"]), &json!("namespace"))
    );
    assert_eq!(told["response"]["selected_by"], json!(["accept"]));
    assert_eq!(
        told["response"]["client"][0],
        json!(["Cache-Status", "tidegate; fwd=uri-miss; stored; ttl=300"])
    );
    assert!(told["entry"]["tier"].is_null() && told["entry"]["key"].is_string(), "{told}");
    for (response, why) in [
        (json!({"status": 200, "headers": {"Set-Cookie": "a=b"}}), "set-cookie"),
        (json!({"status": 200, "headers": {"Content-Length": "9999999"}}), "too-large"),
        (json!({"status": 500}), "status"),
    ] {
        assert_eq!(explain(&response).json()["response"]["why"], why);
    }
    assert_eq!(explain(&json!({"status": 100})).status, 400);
}

#[test]
fn statistics_of_a_fleet_without_a_store_between_them_are_of_this_instance() {
    let admin = Admin::with(CONFIG);
    let fleet = admin.get("/api/v1/cache/stats?scope=fleet");
    assert_promised(&fleet, "/components/schemas/CacheStats");
    assert_eq!((&fleet.json()["scope"], &fleet.json()["instances"]), (&json!("fleet"), &json!(1)));
    assert_eq!(admin.get("/api/v1/cache/stats?scope=instance").json()["scope"], "instance");
    for query in ["scope=world", "scope=fleet&by=tenant"] {
        assert_eq!(admin.get(&format!("/api/v1/cache/stats?{query}")).problem(), "invalid-query", "{query}");
    }
}

/// The quickest of purges by tenant and by tag, each of another name: nothing is a repetition. Whatever else the machine does
/// makes some of them slow, a walk over the entries all.
fn quickest_purge(entries: u32) -> std::time::Duration {
    let admin = Admin::with(CONFIG);
    crowd(&admin, entries);
    let times = (0..40).map(|number| {
        let body = match number % 2 {
            0 => json!({"tenant": format!("tenant-{number}")}),
            _ => json!({"tags": [format!("tag-{number}")]}),
        };
        #[expect(clippy::disallowed_methods, reason = "it is a measurement")]
        let begun = Instant::now();
        assert_eq!(purge(&admin, &body).status, 200);
        begun.elapsed()
    });
    times.min().expect("forty")
}

#[test]
fn a_purge_takes_as_long_among_many_as_among_few() {
    let (few, many) = (quickest_purge(1_000), quickest_purge(200_000));
    // A walk over 200,000 entries takes a hundred times a purge.
    let most = few.max(std::time::Duration::from_millis(5)) * 3;
    assert!(many < most, "{few:?} among 1,000 and {many:?} among 200,000");
}
