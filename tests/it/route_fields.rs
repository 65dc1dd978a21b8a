//! Fields that a route sets or removes, and the many that pass untouched because no rule names them.

use crate::support::stores::on_both_stores;
use crate::support::{Fetch, Gate, Origin, Reply, Setup, Store, eventually};
use reqwest::Method;

on_both_stores!(
    rules_apply_to_stored_answers_and_are_not_stored_with_them,
    a_field_that_a_route_sets_is_one_value_for_every_entry,
);

/// Lines of a head whose field has this name.
fn lines(headers: &reqwest::header::HeaderMap, name: &str) -> Vec<String> {
    headers.get_all(name).iter().map(|value| value.to_str().expect("text").to_owned()).collect()
}

#[tokio::test]
async fn the_backend_gets_what_the_route_says_and_not_what_the_client_sent() {
    let origin = Origin::counting().await;
    let sections = "routes:\n\
        \x20 - path: /a/\n\
        \x20   request_headers: {set: {Authorization: Bearer service, X-Edge: \"tide gate\"}, remove: [Cookie, accept-encoding]}\n\
        \x20 - {path: /}";
    let gate = Gate::start(&Setup::new(origin.address()).with(sections)).await;
    let ask = async |path: &str| {
        let request = gate.get(path).header("Authorization", "Bearer mine").header("Cookie", "a=1");
        let request =
            request.header("X-Edge", "forged").header("Accept-Encoding", "gzip").header("X-Kept", "yes");
        request.fetch().await;
        origin.last()
    };
    let seen = ask("/a/b").await;
    assert_eq!((seen.header("authorization"), seen.header("x-edge")), ("Bearer service", "tide gate"));
    assert_eq!(lines(&seen.headers, "x-edge").len(), 1);
    assert_eq!(
        (seen.header("cookie"), seen.header("accept-encoding"), seen.header("x-kept")),
        ("", "", "yes")
    );
    let seen = ask("/other").await;
    assert_eq!((seen.header("authorization"), seen.header("cookie")), ("Bearer mine", "a=1"));
    assert_eq!((seen.header("x-edge"), seen.header("accept-encoding")), ("forged", "gzip"));
}

#[tokio::test]
async fn the_client_gets_what_the_route_says_also_in_refusals_and_failures() {
    let mut origin = Origin::start(|_| {
        Reply::ok("fine")
            .header("Server", "legacy/1.0")
            .header("X-Frame-Options", "ALLOW")
            .header("Set-Cookie", "a=1")
    })
    .await;
    let rule = "response_headers: {set: {X-Frame-Options: DENY, Cache-Control: \"max-age=60\"}, remove: [Server, Set-Cookie]}";
    let sections = format!(
        "limits: {{few: {{windows: {{1h: 2}}}}}}\n\
         routes:\n  - {{path: /a, limit: few, {rule}}}\n  - {{path: /}}"
    );
    let gate = Gate::start(&Setup::new(origin.address()).with(&sections)).await;
    let answer = gate.get("/a").fetch().await;
    assert_eq!((answer.header("x-frame-options"), answer.header("cache-control")), ("DENY", "max-age=60"));
    assert_eq!((answer.header("server"), answer.header("set-cookie")), ("", ""));
    let untouched = gate.get("/b").fetch().await;
    assert_eq!((untouched.header("x-frame-options"), untouched.header("server")), ("ALLOW", "legacy/1.0"));
    origin.stop().await;
    let failed = gate.get("/a").fetch().await;
    assert_eq!((failed.problem().0, failed.header("x-frame-options")), (502, "DENY"));
    let refused = gate.get("/a").fetch().await;
    // `problem` also sees that it is still not to be stored by anybody.
    assert_eq!((refused.problem().0, refused.header("x-frame-options")), (429, "DENY"));
    assert!(refused.number("retry-after") > 0);
}

async fn rules_apply_to_stored_answers_and_are_not_stored_with_them(store: Store) {
    let origin = Origin::start(|_| Reply::ok("page").header("ETag", "\"one\"").header("X-Build", "7")).await;
    let sections = |rule: &str| {
        format!(
            "cache: {{namespaces: {{pages: {{ttl: 5m, scope: public}}}}}}\n\
             routes: [{{path: /, cache: pages{rule}}}]"
        )
    };
    let setup = |rule: &str| Setup::new(origin.address()).store(&store).with(&sections(rule));
    let gate = Gate::start(&setup(", response_headers: {set: {X-Rule: one}, remove: [X-Build]}")).await;
    eventually("a hit", async || gate.get("/a").fetch().await.cache() == "HIT").await;
    let hit = gate.get("/a").fetch().await;
    assert_eq!((hit.cache(), hit.header("x-rule"), hit.header("x-build")), ("HIT", "one", ""));
    let confirmed = gate.get("/a").header("If-None-Match", "\"one\"").fetch().await;
    assert_eq!((confirmed.status, confirmed.header("x-rule")), (304, "one"));
    gate.reload(&setup("")).await;
    let hit = gate.get("/a").fetch().await;
    assert_eq!((hit.cache(), hit.header("x-rule"), hit.header("x-build")), ("HIT", "", "7"));
    assert_eq!(origin.count(), 1);
}

async fn a_field_that_a_route_sets_is_one_value_for_every_entry(store: Store) {
    let origin = Origin::start(|seen| {
        let told = format!("{}/{}", seen.header("x-lang"), seen.header("x-gone"));
        Reply::ok(told).header("Vary", "X-Lang, X-Gone")
    })
    .await;
    let sections = "cache: {namespaces: {pages: {ttl: 5m, scope: public, headers: [X-Lang]}}}\n\
        routes: [{path: /, cache: pages, request_headers: {set: {X-Lang: de}, remove: [X-Gone]}}]";
    let gate = Gate::start(&Setup::new(origin.address()).store(&store).with(sections)).await;
    // Whatever a client sends, and whoever's entry it meets: the answer is the one that the rule asks for.
    for lang in ["fr", "en", "de", "fr"] {
        for gone in ["a", "b"] {
            let answer = gate.get("/a").header("X-Lang", lang).header("X-Gone", gone).fetch().await;
            assert_eq!((answer.status, answer.text().as_str()), (200, "de/"), "{lang} {gone}");
        }
    }
}

const SECURITY: &[(&str, &str)] = &[
    ("access-control-allow-origin", "https://app.example"),
    ("access-control-allow-credentials", "true"),
    ("access-control-allow-methods", "GET, PUT"),
    ("access-control-allow-headers", "x-api-key, content-type"),
    ("access-control-expose-headers", "x-total"),
    ("access-control-max-age", "600"),
    ("strict-transport-security", "max-age=63072000; includeSubDomains; preload"),
    ("content-security-policy", "default-src 'self'; frame-ancestors 'none'"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "SAMEORIGIN"),
    ("referrer-policy", "no-referrer"),
    ("permissions-policy", "camera=()"),
    ("cross-origin-opener-policy", "same-origin"),
    ("timing-allow-origin", "*"),
];

#[tokio::test]
async fn cors_and_security_fields_pass_untouched_both_ways_in_preflights_and_from_the_store() {
    let origin = Origin::start(|seen| {
        let reply = if seen.method == "OPTIONS" { Reply::status(204, "") } else { Reply::ok("page") };
        SECURITY.iter().fold(reply, |reply, (name, value)| reply.header(name, value))
    })
    .await;
    let sections = "cache: {namespaces: {pages: {ttl: 5m, scope: public}}}\n\
        routes:\n  - {path: /stored, cache: pages}\n  - {path: /}";
    let gate = Gate::start(&Setup::new(origin.address()).with(sections)).await;
    let check = |answer: &crate::support::Answer, what: &str| {
        for (name, value) in SECURITY {
            assert_eq!(lines(&answer.headers, name), [*value], "{name} of {what}");
        }
    };
    let asked = [
        ("origin", "https://app.example"),
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "x-api-key"),
        ("sec-fetch-mode", "cors"),
    ];
    let fields = |request: reqwest::RequestBuilder| {
        asked.iter().fold(request, |request, (name, value)| request.header(*name, *value))
    };
    for path in ["/plain", "/stored"] {
        let preflight = fields(gate.request(Method::OPTIONS, path)).fetch().await;
        assert_eq!(preflight.status, 204);
        check(&preflight, "a preflight");
        let seen = origin.last();
        assert_eq!((seen.method.as_str(), seen.target.as_str()), ("OPTIONS", path));
        for (name, value) in asked {
            assert_eq!(seen.header(name), value);
        }
    }
    check(&fields(gate.get("/plain")).fetch().await, "an answer");
    eventually("a hit", async || fields(gate.get("/stored")).fetch().await.cache() == "HIT").await;
    check(&fields(gate.get("/stored")).fetch().await, "a stored answer");
}
