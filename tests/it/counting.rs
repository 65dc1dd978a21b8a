//! What is counted, at what cost, and who is not: costs stated by peers and answers, answers that count or do not, cached
//! answers, exemptions, overrides, remembered denials.
//!
//! Numbers in comments are the acceptance scenarios of `docs/limits.md`.

use crate::support::stores::on_both_stores;
use crate::support::tokens::HS256;
use crate::support::{Answer, Fetch, Gate, Origin, Reply, Setup, Store, Wire, token};
use std::time::{Duration, Instant};

on_both_stores!(
    only_failed_logins_are_counted,
    an_answer_may_give_its_units_back,
    a_backend_that_is_down_gives_units_back,
    a_token_budget_is_charged_by_the_answer,
    a_client_that_leaves_pays_the_fixed_cost,
    only_a_trusted_peer_states_the_cost,
    cached_answers_are_free_under_count_upstream,
    a_refusal_upstream_gives_back_what_the_arrival_consumed,
    cached_answers_show_where_the_client_stands_now,
    a_refusal_is_never_stored,
    exempt_senders_are_not_counted,
    overrides_of_the_file_beat_tier_and_policy,
    a_shadow_policy_becomes_enforced_with_its_history,
    a_request_holds_its_place_until_its_answer_is_complete,
    users_are_counted_at_each_of_their_addresses,
);

async fn gate(store: &Store, origin: &Origin, sections: &str) -> Gate {
    Gate::start(&Setup::new(origin.address()).store(store).with(sections)).await
}

fn remaining(answer: &Answer) -> u64 {
    answer.number("x-ratelimit-remaining-60s")
}

async fn decisions(gate: &Gate, policy: &str, decision: &str) -> f64 {
    let labels = [("policy", policy), ("decision", decision)];
    gate.metric("tidegate_limit_decisions_total", &labels).await
}

/// A backend that answers with the status that the path names.
async fn by_path() -> Origin {
    Origin::start(|seen| {
        let status = seen.target.trim_start_matches('/').parse().unwrap_or(200);
        Reply::status(status, "x").header("X-Tokens", seen.header("x-want-tokens"))
    })
    .await
}

/// 23.
async fn only_failed_logins_are_counted(store: Store) {
    let origin = by_path().await;
    let sections = "limits: {login: {per: ip, windows: {1m: 10}, count_status: [401, 403]}}\n\
        routes: [{path: /, limit: login}]";
    let gate = gate(&store, &origin, sections).await;
    for _ in 0..50 {
        let answer = gate.get("/200").fetch().await;
        assert_eq!((answer.status, remaining(&answer)), (200, 10));
    }
    for left in (0..10).rev() {
        let answer = gate.get(if left % 2 == 0 { "/401" } else { "/403" }).fetch().await;
        assert_eq!(remaining(&answer), left, "the answer shows that it was counted");
    }
    let denied = gate.get("/200").fetch().await;
    assert_eq!((denied.status, origin.count()), (429, 60), "the backend does not see the eleventh");
}

async fn an_answer_may_give_its_units_back(store: Store) {
    let origin = by_path().await;
    let sections =
        "limits: {p: {windows: {1m: 5, 1h: 100}, refund_on: [5xx]}}\nroutes: [{path: /, limit: p}]";
    let gate = gate(&store, &origin, sections).await;
    for _ in 0..20 {
        let answer = gate.get("/500").fetch().await;
        assert_eq!((answer.status, remaining(&answer)), (500, 5));
    }
    for left in (0..5).rev() {
        assert_eq!(remaining(&gate.get("/404").fetch().await), left);
    }
    assert_eq!(gate.get("/500").fetch().await.status, 429);
    assert_eq!(gate.metric("tidegate_limit_refunds_total", &[("policy", "p")]).await, 20.0);
}

async fn a_backend_that_is_down_gives_units_back(store: Store) {
    let mut origin = by_path().await;
    let sections =
        "limits: {p: {windows: {1m: 2}, refund_on: [502, 503, 504]}}\nroutes: [{path: /, limit: p}]";
    let gate = gate(&store, &origin, sections).await;
    origin.stop().await;
    for _ in 0..4 {
        let answer = gate.get("/").fetch().await;
        assert!([502, 503].contains(&answer.status), "{answer:?}");
        assert_eq!(remaining(&answer), 2);
    }
}

async fn a_token_budget_is_charged_by_the_answer(store: Store) {
    let origin = by_path().await;
    let sections = "limits: {budget: {windows: {1m: 1000}, cost_from_response: X-Tokens}}\n\
        routes: [{path: /, limit: budget}]";
    let gate = gate(&store, &origin, sections).await;
    let ask = async |tokens: &str| gate.get("/").header("X-Want-Tokens", tokens).fetch().await;
    assert_eq!(remaining(&ask("400").await), 600);
    assert_eq!(remaining(&ask("0").await), 600);
    assert_eq!(remaining(&ask("many").await), 599, "an answer that does not say costs what is fixed");
    assert_eq!(remaining(&ask("900").await), 0, "the last answer may go over");
    assert_eq!(ask("1").await.status, 429);
}

async fn a_client_that_leaves_pays_the_fixed_cost(store: Store) {
    let origin =
        Origin::start(|seen| if seen.target == "/slow" { Reply::never() } else { Reply::ok("x") }).await;
    let sections = "limits: {budget: {windows: {1m: 100}, cost: 10, cost_from_response: X-Tokens}}\n\
        routes: [{path: /, limit: budget}]";
    let gate = gate(&store, &origin, sections).await;
    let mut wire = Wire::connect(gate.http).await;
    wire.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    crate::support::eventually("it is under way", async || origin.count() == 1).await;
    drop(wire);
    crate::support::eventually("it is charged", async || {
        let left = gate.ask("/api/v1/limits/budget/ip:127.0.0.1").fetch().await.json();
        left["windows"][0]["remaining"] == 90
    })
    .await;
}

async fn only_a_trusted_peer_states_the_cost(store: Store) {
    let origin = by_path().await;
    let sections = "limits: {p: {per: global, windows: {1m: 100}, cost: {header: X-Cost, default: 2, max: 50}}}\n\
        routes: [{path: /, limit: p}]";
    let plain = gate(&store, &origin, sections).await;
    assert_eq!(remaining(&plain.get("/").header("X-Cost", "40").fetch().await), 98);
    let setup = Setup::new(origin.address()).store(&store).server("trusted_proxies: [127.0.0.0/8]");
    let sections = sections.replace("p:", "q:").replace("limit: p", "limit: q");
    let trusting = Gate::start(&setup.with(&sections)).await;
    assert_eq!(remaining(&trusting.get("/").header("X-Cost", "40").fetch().await), 60);
    assert_eq!(remaining(&trusting.get("/").header("X-Cost", "4000").fetch().await), 10);
    assert_eq!(trusting.get("/").header("X-Cost", "11").fetch().await.status, 429);
    assert_eq!(remaining(&trusting.get("/").fetch().await), 8);
}

const CACHED: &str = "cache: {namespaces: {pages: {ttl: 5m, scope: public}}}\n";

/// 24.
async fn cached_answers_are_free_under_count_upstream(store: Store) {
    let origin = Origin::counting().await;
    let sections = format!(
        "{CACHED}limits: {{p: {{windows: {{1m: 3}}, count: upstream}}}}\nroutes: [{{path: /, cache: pages, limit: p}}]"
    );
    let gate = gate(&store, &origin, &sections).await;
    assert_eq!(remaining(&gate.get("/a").fetch().await), 2);
    for _ in 0..20 {
        let hit = gate.get("/a").fetch().await;
        assert_eq!((hit.cache(), remaining(&hit)), ("HIT", 2));
    }
    assert_eq!(remaining(&gate.get("/b").fetch().await), 1);
    assert_eq!(remaining(&gate.get("/c").fetch().await), 0);
    let denied = gate.get("/d").fetch().await;
    assert_eq!((denied.status, origin.count()), (429, 3));
    assert_eq!(gate.get("/a").fetch().await.status, 200, "what is stored is still served");
}

async fn a_refusal_upstream_gives_back_what_the_arrival_consumed(store: Store) {
    let origin = Origin::counting().await;
    let sections = format!(
        "{CACHED}limits: {{all: {{windows: {{1h: 100}}}}, few: {{windows: {{1m: 1}}, count: upstream}}}}\n\
         routes: [{{path: /, cache: pages, limit: [all, few]}}]"
    );
    let gate = gate(&store, &origin, &sections).await;
    let left = |answer: &Answer| answer.number("x-ratelimit-remaining-3600s");
    assert_eq!(left(&gate.get("/a").fetch().await), 99);
    for _ in 0..3 {
        let denied = gate.get("/b").fetch().await;
        assert_eq!((denied.status, left(&denied)), (429, 99));
    }
    let hit = gate.get("/a").fetch().await;
    assert_eq!((hit.cache(), left(&hit)), ("HIT", 98), "the refusals cost nothing");
}

/// 24.
async fn cached_answers_show_where_the_client_stands_now(store: Store) {
    let origin = Origin::counting().await;
    let sections = format!(
        "{CACHED}limits: {{p: {{windows: {{1m: 9}}}}}}\nroutes: [{{path: /, cache: pages, limit: p}}]"
    );
    let gate = gate(&store, &origin, &sections).await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(remaining(&gate.get("/a").fetch().await));
    }
    assert_eq!(seen, [8, 7, 6, 5]);
}

/// 24.
async fn a_refusal_is_never_stored(store: Store) {
    let origin = Origin::counting().await;
    let sections = format!(
        "{CACHED}limits: {{p: {{per: \"header:x-who\", windows: {{1m: 1}}}}}}\nroutes: [{{path: /, cache: pages, limit: p}}]"
    );
    let gate = gate(&store, &origin, &sections).await;
    let ask = async |path: &str, who: &str| gate.get(path).header("X-Who", who).fetch().await;
    assert_eq!(ask("/a", "one").await.status, 200);
    assert_eq!(ask("/b", "one").await.status, 429);
    let other = ask("/b", "two").await;
    assert_eq!((other.status, other.cache()), (200, "MISS"));
}

async fn exempt_senders_are_not_counted(store: Store) {
    let origin = by_path().await;
    let sections = format!(
        "{HS256}\nlimits: {{p: {{windows: {{1m: 1}}, bypass: [\"user:ada\", 127.0.0.9]}}}}\nroutes: [{{path: /, limit: p}}]"
    );
    let gate = gate(&store, &origin, &sections).await;
    for _ in 0..3 {
        let answer = gate.get("/").bearer_auth(token("ada", "acme")).fetch().await;
        assert_eq!((answer.status, answer.header("x-ratelimit-limit-60s")), (200, ""));
    }
    let from = crate::support::web::client_from("127.0.0.9");
    for _ in 0..3 {
        assert_eq!(from.get(format!("http://{}/", gate.http)).fetch().await.status, 200);
    }
    let mut statuses = Vec::new();
    for _ in 0..2 {
        statuses.push(gate.get("/").bearer_auth(token("bob", "acme")).fetch().await.status);
    }
    assert_eq!(statuses, [200, 429]);
    assert_eq!(decisions(&gate, "p", "bypass").await, 6.0);
}

async fn overrides_of_the_file_beat_tier_and_policy(store: Store) {
    let origin = by_path().await;
    let sections = format!(
        "{HS256}\nlimits: {{p: {{windows: {{1m: 5, 1h: 50}}, overrides: {{\"user:ada\": {{1m: 20}}, \"user:root\": none}}}}}}\n\
         routes: [{{path: /, limit: p}}]"
    );
    let gate = gate(&store, &origin, &sections).await;
    let ask = async |user| gate.get("/").bearer_auth(token(user, "acme")).fetch().await;
    let ada = ask("ada").await;
    assert_eq!((ada.number("x-ratelimit-limit-60s"), ada.number("x-ratelimit-limit-3600s")), (20, 50));
    assert_eq!(ask("bob").await.number("x-ratelimit-limit-60s"), 5);
    assert_eq!(ask("root").await.header("x-ratelimit-limit-60s"), "");
}

/// 20.
async fn a_shadow_policy_becomes_enforced_with_its_history(store: Store) {
    let origin = by_path().await;
    let setup = |mode: &str| {
        let sections =
            format!("limits: {{p: {{windows: {{1m: 10}}, mode: {mode}}}}}\nroutes: [{{path: /, limit: p}}]");
        Setup::new(origin.address()).store(&store).with(&sections)
    };
    let gate = Gate::start(&setup("shadow")).await;
    for _ in 0..25 {
        assert_eq!(gate.get("/").fetch().await.status, 200);
    }
    assert_eq!(
        (decisions(&gate, "p", "allow").await, decisions(&gate, "p", "shadow_deny").await),
        (10.0, 15.0)
    );
    gate.reload(&setup("enforce")).await;
    assert_eq!(gate.get("/").fetch().await.status, 429);
}

fn script_calls(store: &Store) -> u64 {
    let Store::Redis(redis) = store else { panic!("it is on Redis") };
    let stats = redis.ask(&["INFO", "commandstats"]);
    let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
    line.and_then(|rest| rest.split(',').next()).map_or(0, |calls| calls.parse().expect("a number"))
}

/// 19.
#[tokio::test]
async fn a_flood_of_refused_requests_makes_no_call() {
    let store = Store::Redis(crate::support::Redis::start().await);
    let origin = Origin::counting().await;
    let sections = "limits: {places: {in_flight: 9}, p: {windows: {1m: 5, 1h: 100}}}\n\
        routes: [{path: /, limit: [places, p]}]";
    let gate = gate(&store, &origin, sections).await;
    crate::support::eventually("it hears of others", async || {
        gate.metric("tidegate_limit_feed_up", &[]).await > 0.0
    })
    .await;
    for _ in 0..5 {
        assert_eq!(gate.get("/").fetch().await.status, 200);
    }
    let first = gate.get("/").fetch().await;
    let Store::Redis(redis) = &store else { panic!("it is on Redis") };
    crate::support::eventually("places are given back", async || redis.ask(&["KEYS", "tg:if:*"]).is_empty())
        .await;
    let (calls, began) = (script_calls(&store), Instant::now());
    let before = gate.metric("tidegate_limit_deny_cache_hits_total", &[]).await;
    let mut flood = 0_u32;
    // Longer than a denial would live if nobody told of resets elsewhere.
    while flood < 1_000 || began.elapsed() < Duration::from_millis(1_500) {
        let denied = gate.get("/").fetch().await;
        assert_eq!((denied.status, remaining(&denied)), (429, 0));
        assert!(denied.number("retry-after") <= first.number("retry-after"));
        flood += 1;
    }
    assert_eq!(script_calls(&store), calls);
    let hits = gate.metric("tidegate_limit_deny_cache_hits_total", &[]).await - before;
    assert_eq!(hits, f64::from(flood));
    assert_eq!(decisions(&gate, "p", "deny").await, f64::from(flood) + 1.0);
}

async fn a_request_holds_its_place_until_its_answer_is_complete(store: Store) {
    let gate_of_origin = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let waits = std::sync::Arc::clone(&gate_of_origin);
    let origin =
        Origin::start(
            move |seen| {
                if seen.target == "/slow" { Reply::ok("late").when(&waits) } else { Reply::ok("x") }
            },
        )
        .await;
    let sections = "limits: {p: {in_flight: 2}, w: {windows: {1m: 100}}}\nroutes: [{path: /, limit: [p, w]}]";
    let gate = gate(&store, &origin, sections).await;
    for left in [100 - 1, 100 - 2] {
        let answer = gate.get("/").fetch().await;
        assert_eq!((answer.status, remaining(&answer)), (200, left), "one after the other");
        assert!(answer.header("ratelimit").contains(r#""p-in-flight";r=1"#), "{answer:?}");
    }
    let slow: Vec<_> = (0..2).map(|_| tokio::spawn(gate.get("/slow").fetch())).collect();
    crate::support::eventually("both are under way", async || origin.count() == 4).await;
    let refused = gate.get("/").fetch().await;
    assert_eq!((refused.problem().0, refused.number("retry-after")), (429, 1));
    assert_eq!(refused.json()["violated-policies"], serde_json::json!(["p"]));
    gate_of_origin.add_permits(2);
    for slow in slow {
        assert_eq!(slow.await.expect("it ends").status, 200);
    }
    let mut answer = gate.get("/").fetch().await;
    crate::support::eventually("the places are free", async || {
        answer = gate.get("/").fetch().await;
        answer.status == 200
    })
    .await;
    assert!(remaining(&answer) < 97, "the refused request cost nothing elsewhere");
    assert!(decisions(&gate, "p", "deny").await >= 1.0);
}

/// 19, with two instances: what one has refused is asked again as soon as the other has reset it.
#[tokio::test]
async fn a_reset_on_one_instance_is_heard_by_the_others() {
    let store = Store::Redis(crate::support::Redis::start().await);
    let origin = Origin::counting().await;
    let sections = "limits: {p: {windows: {1h: 5}}}\nroutes: [{path: /, limit: p}]";
    let gates = [gate(&store, &origin, sections).await, gate(&store, &origin, sections).await];
    for gate in &gates {
        crate::support::eventually("it hears of others", async || {
            gate.metric("tidegate_limit_feed_up", &[]).await > 0.0
                && gate.metric("tidegate_limit_instances", &[]).await > 1.0
        })
        .await;
    }
    for round in 0..3 {
        for _ in 0..5 {
            assert_eq!(gates[0].get("/").fetch().await.status, 200, "round {round}");
        }
        for gate in &gates {
            assert_eq!(gate.get("/").fetch().await.status, 429, "round {round}");
        }
        let url = format!("http://{}/api/v1/limits/p/ip:127.0.0.1", gates[1].admin);
        let reset = crate::support::web::client().delete(url).fetch().await;
        assert_eq!(reset.status, 200, "{reset:?}");
        let began = Instant::now();
        crate::support::eventually("the other hears of it", async || {
            gates[0].ask("/api/v1/limits/p/ip:127.0.0.1").fetch().await.json()["windows"][0]["remaining"] == 5
                && gates[0].metric("tidegate_limit_deny_cache_entries", &[]).await < 1.0
        })
        .await;
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
}

async fn users_are_counted_at_each_of_their_addresses(store: Store) {
    let origin = by_path().await;
    let sections = format!(
        "{HS256}\nlimits: {{p: {{per: user+ip, windows: {{1m: 2}}}}}}\nroutes: [{{path: /, limit: p}}]"
    );
    let gate = gate(&store, &origin, &sections).await;
    let ask = async |address: &str, user: &str| {
        let client = crate::support::web::client_from(address);
        client.get(format!("http://{}/", gate.http)).bearer_auth(token(user, "acme")).fetch().await
    };
    for left in [1, 0] {
        assert_eq!(remaining(&ask("127.0.0.1", "ada").await), left);
    }
    assert_eq!(ask("127.0.0.1", "ada").await.status, 429);
    assert_eq!(remaining(&ask("127.0.0.2", "ada").await), 1);
    assert_eq!(remaining(&ask("127.0.0.1", "bob").await), 1);
    let standing = gate.ask("/api/v1/limits/p/user+ip:ada+127.0.0.1").fetch().await.json();
    assert_eq!(standing["windows"][0]["remaining"], 0, "{standing}");
}
