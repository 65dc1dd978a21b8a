//! Limits over HTTP, on memory and on Redis: counts, fields, refusals, identities, reloads and matching.
//!
//! Numbers in comments are the acceptance scenarios of the limits' specification; those that need hours or a steered
//! clock run against the stores directly, in `src/store`.

use crate::support::stores::on_both_stores;
use crate::support::tokens::HS256;
use crate::support::web::hammer;
use crate::support::{Answer, Fetch, Gate, Origin, Setup, Store, Wire, token};
use serde_json::json;

/// The brief's default windows.
const DEFAULT: &str = "limits: {default: {windows: {1m: 60, 1h: 1000, 1d: 10000}}}\nroutes: [{path: /}]";
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

on_both_stores!(
    first_request_shows_every_window,
    denied_request_consumes_nothing_in_other_windows,
    refusal_is_a_problem_document,
    headers_key_chooses_the_fields,
    concurrent_clients_get_exactly_the_limit,
    policies_of_one_route_admit_all_or_nothing,
    a_route_with_its_own_limit_leaves_the_default_alone,
    users_behind_one_address_have_their_own_counters,
    an_invalid_token_counts_under_the_address,
    ipv6_clients_share_their_64_network,
    a_raised_limit_admits_at_once,
    a_lowered_limit_refuses_at_once,
    every_spelling_of_a_path_meets_the_same_policy,
    shadow_policy_never_refuses,
    cost_consumes_more_than_one_unit,
    the_backend_sees_no_refused_request,
    tiers_follow_the_verified_claim,
);

async fn gate(store: &Store, sections: &str) -> (Origin, Gate) {
    let origin = Origin::counting().await;
    let gate = Gate::start(&Setup::new(origin.address()).store(store).with(sections)).await;
    (origin, gate)
}

fn remaining(answer: &Answer, seconds: u32) -> u64 {
    answer.number(&format!("x-ratelimit-remaining-{seconds}s"))
}

/// 1.
async fn first_request_shows_every_window(store: Store) {
    let (_origin, gate) = gate(&store, DEFAULT).await;
    let answer = gate.get("/").fetch().await;
    assert_eq!(answer.status, 200);
    for (seconds, limit) in [(60, 60), (3_600, 1_000), (86_400, 10_000)] {
        assert_eq!(answer.number(&format!("x-ratelimit-limit-{seconds}s")), limit);
        assert_eq!(remaining(&answer, seconds), limit - 1);
        assert_eq!(answer.number(&format!("x-ratelimit-reset-{seconds}s")), u64::from(seconds));
    }
    let policy = answer.header("ratelimit-policy");
    assert_eq!(
        policy,
        r#""default-60s";q=60;w=60, "default-3600s";q=1000;w=3600, "default-86400s";q=10000;w=86400"#
    );
    assert!(answer.header("ratelimit").starts_with(r#""default-60s";r=59;t=60, "#), "{answer:?}");
}

/// 2.
async fn denied_request_consumes_nothing_in_other_windows(store: Store) {
    let (_origin, gate) = gate(&store, DEFAULT).await;
    for _ in 0..60 {
        assert_eq!(gate.get("/").fetch().await.status, 200);
    }
    for _ in 0..3 {
        let denied = gate.get("/").fetch().await;
        assert_eq!(denied.status, 429);
        assert_eq!([60, 3_600, 86_400].map(|window| remaining(&denied, window)), [0, 940, 9_940]);
        assert_eq!(denied.json()["violated-policies"], json!(["default"]));
        assert!((1..=60).contains(&denied.number("retry-after")), "{denied:?}");
    }
}

async fn refusal_is_a_problem_document(store: Store) {
    let sections = "limits: {one: {windows: {1m: 1}}}\nroutes: [{path: /, limit: one}]";
    let (_origin, gate) = gate(&store, sections).await;
    gate.get("/").fetch().await;
    let denied = gate.get("/").fetch().await;
    assert_eq!(denied.problem(), (429, QUOTA_EXCEEDED.to_owned()));
    let problem = denied.json();
    assert_eq!(problem["violated-policies"], json!(["one"]));
    assert_eq!(problem["instance"], denied.header("x-request-id"));
    // Retry-After is whole seconds, rounded up, and says the same as the draft's field.
    let retry = denied.number("retry-after");
    assert!((59..=60).contains(&retry));
    assert_eq!(denied.header("ratelimit"), format!(r#""one-60s";r=0;t={retry}"#));
    assert!(denied.header("via").contains("tidegate"), "{denied:?}");
}

async fn headers_key_chooses_the_fields(store: Store) {
    let sections = "limits:\n  x: {windows: {1m: 9}, headers: x}\n  ietf: {windows: {1m: 9}, headers: ietf}\n  \
        quiet: {windows: {1m: 9}, headers: none}\n\
        routes:\n  - {path: /x, limit: x}\n  - {path: /ietf, limit: ietf}\n  - {path: /quiet, limit: quiet}";
    let (_origin, gate) = gate(&store, sections).await;
    for (path, has_x, has_ietf) in [("/x", true, false), ("/ietf", false, true), ("/quiet", false, false)] {
        let answer = gate.get(path).fetch().await;
        assert_eq!(answer.headers.contains_key("x-ratelimit-limit-60s"), has_x, "{path}");
        assert_eq!(answer.headers.contains_key("ratelimit"), has_ietf, "{path}");
        assert_eq!(answer.headers.contains_key("ratelimit-policy"), has_ietf, "{path}");
    }
}

/// 11, on one instance.
async fn concurrent_clients_get_exactly_the_limit(store: Store) {
    let sections = "limits: {default: {windows: {1m: 100, 1h: 1000}}}\nroutes: [{path: /}]";
    let (origin, gate) = gate(&store, sections).await;
    assert_eq!(hammer(&[&gate], 8, 60).await, (100, 380));
    assert_eq!(origin.count(), 100);
    assert_eq!(remaining(&gate.get("/").fetch().await, 3_600), 900);
}

/// 13.
async fn policies_of_one_route_admit_all_or_nothing(store: Store) {
    let sections = "limits:\n  default: {windows: {1m: 60, 1h: 1000}}\n  chat: {windows: {1m: 10, 1h: 100}}\n\
        routes:\n  - {path: /chat/, limit: [chat, default]}\n  - {path: /}";
    let (_origin, gate) = gate(&store, sections).await;
    for _ in 0..10 {
        assert_eq!(gate.get("/chat/1").fetch().await.status, 200);
    }
    for _ in 0..2 {
        let denied = gate.get("/chat/2").fetch().await;
        assert_eq!(denied.status, 429);
        assert_eq!(denied.json()["violated-policies"], json!(["chat"]));
        assert_eq!([60, 3_600].map(|window| remaining(&denied, window)), [0, 90], "the tightest is shown");
    }
    let other = gate.get("/else").fetch().await;
    assert_eq!(
        [60, 3_600].map(|window| remaining(&other, window)),
        [49, 989],
        "refusals cost the default nothing"
    );
}

/// 13, without the default in the list.
async fn a_route_with_its_own_limit_leaves_the_default_alone(store: Store) {
    let sections = "limits:\n  default: {windows: {1m: 60}}\n  chat: {windows: {1m: 10}}\n\
        routes:\n  - {path: /chat/, limit: chat}\n  - {path: /free/, limit: none}\n  - {path: /}";
    let (_origin, gate) = gate(&store, sections).await;
    assert_eq!(remaining(&gate.get("/chat/1").fetch().await, 60), 9);
    assert!(!gate.get("/free/1").fetch().await.headers.contains_key("x-ratelimit-limit-60s"));
    assert_eq!(remaining(&gate.get("/else").fetch().await, 60), 59);
}

/// 14.
async fn users_behind_one_address_have_their_own_counters(store: Store) {
    let sections = format!("{HS256}\n{}", DEFAULT.replace("1m: 60", "1m: 3"));
    let (_origin, gate) = gate(&store, &sections).await;
    let (ada, bob) = (token("ada", "acme"), token("bob", "acme"));
    for _ in 0..3 {
        assert_eq!(gate.get("/").bearer_auth(&ada).fetch().await.status, 200);
    }
    assert_eq!(gate.get("/").bearer_auth(&ada).fetch().await.status, 429);
    assert_eq!(remaining(&gate.get("/").bearer_auth(&bob).fetch().await, 60), 2);
    assert_eq!(remaining(&gate.get("/").fetch().await, 60), 2, "the address was not charged for them");
}

/// 14.
async fn an_invalid_token_counts_under_the_address(store: Store) {
    let sections = format!("{HS256}\n{}", DEFAULT.replace("1m: 60", "1m: 3"));
    let (_origin, gate) = gate(&store, &sections).await;
    assert_eq!(remaining(&gate.get("/").fetch().await, 60), 2);
    for (number, forged) in ["x.y.z", "a", "b"].iter().enumerate() {
        let answer = gate.get("/").bearer_auth(forged).header("X-API-Key", *forged).fetch().await;
        assert_eq!(answer.status, if number < 2 { 200 } else { 429 }, "a made-up credential buys nothing");
    }
}

/// 14.
async fn ipv6_clients_share_their_64_network(store: Store) {
    let origin = Origin::counting().await;
    let setup = Setup::new(origin.address()).store(&store).server("trusted_proxies: [127.0.0.0/8]");
    let gate = Gate::start(&setup.with(DEFAULT)).await;
    let mut seen = Vec::new();
    for client in ["2001:db8:1:1::1", "2001:db8:1:1:ffff::2", "2001:db8:1:2::1", "192.0.2.1", "192.0.2.2"] {
        seen.push(remaining(&gate.get("/").header("X-Forwarded-For", client).fetch().await, 60));
    }
    assert_eq!(seen, [59, 58, 59, 59, 59]);
}

/// 15.
async fn a_raised_limit_admits_at_once(store: Store) {
    let origin = Origin::counting().await;
    let setup = |limit: u32| {
        let sections = format!("limits: {{default: {{windows: {{1m: {limit}}}}}}}\nroutes: [{{path: /}}]");
        Setup::new(origin.address()).store(&store).with(&sections)
    };
    let gate = Gate::start(&setup(10)).await;
    for _ in 0..10 {
        assert_eq!(gate.get("/").fetch().await.status, 200);
    }
    assert_eq!(gate.get("/").fetch().await.status, 429);
    gate.reload(&setup(20)).await;
    let answer = gate.get("/").fetch().await;
    assert_eq!((answer.status, remaining(&answer, 60)), (200, 9), "what was counted stays counted");
}

/// 16.
async fn a_lowered_limit_refuses_at_once(store: Store) {
    let origin = Origin::counting().await;
    let setup = |limit: u32| {
        let sections = format!("limits: {{default: {{windows: {{1m: {limit}}}}}}}\nroutes: [{{path: /}}]");
        Setup::new(origin.address()).store(&store).with(&sections)
    };
    let gate = Gate::start(&setup(20)).await;
    for _ in 0..10 {
        assert_eq!(gate.get("/").fetch().await.status, 200);
    }
    gate.reload(&setup(5)).await;
    let denied = gate.get("/").fetch().await;
    assert_eq!((denied.status, remaining(&denied, 60)), (429, 0));
    assert_eq!(denied.number("x-ratelimit-limit-60s"), 5);
    assert!((30..=60).contains(&denied.number("retry-after")), "six units must leave: {denied:?}");
}

/// 17.
async fn every_spelling_of_a_path_meets_the_same_policy(store: Store) {
    let sections = "limits:\n  agents: {windows: {1m: 20}}\n  stats: {windows: {1m: 5}}\n  any: {windows: {1m: 2}}\n\
        routes:\n  - {path: \"~/api/v1/.*\", limit: any}\n  - {path: /api/v1/agents/, limit: agents}\n  \
        - {path: /api/v1/agents/stats, limit: stats}";
    let (origin, gate) = gate(&store, sections).await;
    let expected = [
        ("/api/v1/agents/7", 20, 19),
        ("/api/v1/agents", 20, 18),
        ("/api/v1/agents/stats", 5, 4),
        ("/api/v1/agents/stats/", 5, 3),
        ("/api/v1/agents2", 2, 1),
        ("//api/v1/./agents/7?x=1", 20, 17),
        ("/api/v1/x/../agents/%37", 20, 16),
        ("/api/v1/agents/stats/../7", 20, 15),
    ];
    for (path, limit, left) in expected {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = Wire::exchange(gate.http, request).await.expect("an answer");
        let shown = (answer.number("x-ratelimit-limit-60s"), remaining(&answer, 60));
        assert_eq!(shown, (limit, left), "{path}");
    }
    let targets: Vec<String> = origin.seen().into_iter().map(|seen| seen.target).collect();
    assert_eq!(targets[5..], ["/api/v1/agents/7?x=1", "/api/v1/agents/7", "/api/v1/agents/7"]);
}

async fn shadow_policy_never_refuses(store: Store) {
    let sections = "limits:\n  tried: {windows: {1m: 1}, mode: shadow}\n  real: {windows: {1m: 3}}\n\
        routes: [{path: /, limit: [tried, real]}]";
    let (_origin, gate) = gate(&store, sections).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let answer = gate.get("/").fetch().await;
        assert_eq!(answer.number("x-ratelimit-limit-60s"), 3, "a shadow shows nothing to the client");
        statuses.push(answer.status);
    }
    assert_eq!(statuses, [200, 200, 200, 429]);
}

/// 8, 9.
async fn cost_consumes_more_than_one_unit(store: Store) {
    let sections = "limits: {dear: {windows: {1m: 10}, cost: 4}}\nroutes: [{path: /, limit: dear}]";
    let (_origin, gate) = gate(&store, sections).await;
    assert_eq!(remaining(&gate.get("/").fetch().await, 60), 6);
    assert_eq!(remaining(&gate.get("/").fetch().await, 60), 2);
    let denied = gate.get("/").fetch().await;
    assert_eq!((denied.status, remaining(&denied, 60)), (429, 2));
}

async fn the_backend_sees_no_refused_request(store: Store) {
    let sections = "limits: {none_left: {windows: {1m: 0}}}\nroutes: [{path: /, limit: none_left}]";
    let (origin, gate) = gate(&store, sections).await;
    assert_eq!(gate.get("/").fetch().await.status, 429);
    assert_eq!(origin.count(), 0);
}

async fn tiers_follow_the_verified_claim(store: Store) {
    let identity = HS256.replace("role: role", "role: role, tier: plan");
    let sections = format!(
        "{identity}\nlimits: {{agents: {{windows: {{1m: 20}}, tiers: {{pro: {{1m: 200}}}}}}}}\n\
         routes: [{{path: /, limit: agents}}]"
    );
    let (_origin, gate) = gate(&store, &sections).await;
    let claims = |plan: &str| {
        let exp = crate::support::tokens::in_seconds(600);
        crate::support::tokens::signed(&json!({"sub": plan, "plan": plan, "exp": exp}))
    };
    for (plan, limit) in [("pro", 200), ("free", 20)] {
        let answer = gate.get("/").bearer_auth(claims(plan)).fetch().await;
        assert_eq!(answer.number("x-ratelimit-limit-60s"), limit, "{plan}");
    }
}
