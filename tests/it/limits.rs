//! Limits as a client sees them, on memory and on Redis. Scenario numbers are those of `docs/limits.md`; what needs
//! hours is checked at the stores themselves.

use crate::support::stores::on_both_stores;
use crate::support::{Answer, Fetch, Gate, Origin, Redis, Setup, Store, token, tokens};

const DAY: &str = "limits: {default: {windows: {1m: 60, 1h: 1000, 1d: 10000}}}\nroutes: [{path: /}]";

async fn gate(store: &Store, sections: &str) -> (Gate, Origin) {
    let origin = Origin::counting().await;
    let gate =
        Gate::start(&Setup::new(origin.address()).store(store).with(tokens::HS256).with(sections)).await;
    (gate, origin)
}

async fn as_user(gate: &Gate, path: &str, user: &str) -> Answer {
    gate.get(path).bearer_auth(token(user, "acme")).fetch().await
}

fn remaining(answer: &Answer) -> [u64; 2] {
    [answer.number("x-ratelimit-remaining-60s"), answer.number("x-ratelimit-remaining-3600s")]
}

async fn scenarios_1_and_2_first_request_and_burst(store: Store) {
    let (gate, origin) = gate(&store, DAY).await;
    let first = gate.get("/").fetch().await;
    assert_eq!((first.status, remaining(&first)), (200, [59, 999]));
    assert_eq!(first.number("x-ratelimit-remaining-86400s"), 9_999);
    assert!(first.number("x-ratelimit-reset-60s") <= 60 && first.number("x-ratelimit-limit-60s") == 60);
    for _ in 0..59 {
        assert_eq!(gate.get("/").fetch().await.status, 200);
    }
    let denied = gate.get("/").fetch().await;
    let (status, kind) = denied.problem();
    assert_eq!((status, remaining(&denied)), (429, [0, 940]), "a denial costs nothing in other windows");
    assert!(kind.ends_with("#quota-exceeded"));
    assert_eq!(denied.json()["violated-policies"], serde_json::json!(["default"]));
    assert!((1..=60).contains(&denied.number("retry-after")));
    assert!(denied.header("ratelimit").starts_with("\"default-60s\";r=0;t="));
    assert_eq!(origin.count(), 60, "a denied request never reaches the backend");
}

async fn scenario_13_stacked_policies_are_all_or_nothing(store: Store) {
    let sections = "limits: {default: {windows: {1m: 60, 1h: 1000}}, chat: {windows: {1m: 10, 1h: 100}}}\n\
                    routes: [{path: /chat/, limit: [chat, default]}, {path: /}]";
    let (gate, _origin) = gate(&store, sections).await;
    for left in (0..10).rev() {
        assert_eq!(remaining(&gate.get("/chat/1").fetch().await), [left, 90 + left]);
    }
    for _ in 0..2 {
        let denied = gate.get("/chat/1").fetch().await;
        assert_eq!((denied.status, denied.json()["violated-policies"][0].clone()), (429, "chat".into()));
    }
    assert_eq!(remaining(&gate.get("/").fetch().await), [49, 989], "the denials cost the default nothing");
}

async fn scenario_14_users_are_counted_apart_and_forged_ones_by_address(store: Store) {
    let sections = "limits: {default: {windows: {1m: 3, 1h: 100}}}\nroutes: [{path: /}]";
    let (gate, _origin) = gate(&store, sections).await;
    for _ in 0..3 {
        assert_eq!(as_user(&gate, "/", "ada").await.status, 200);
    }
    assert_eq!(as_user(&gate, "/", "ada").await.status, 429);
    assert_eq!(remaining(&as_user(&gate, "/", "bob").await)[0], 2);
    for number in 0..3 {
        let forged = format!("{}x{number}", token("mallory", "acme"));
        assert_eq!(gate.get("/").bearer_auth(forged).fetch().await.status, 200);
    }
    assert_eq!(
        gate.get("/").bearer_auth("another.forged.one").fetch().await.status,
        429,
        "one address, one budget"
    );
    assert_eq!(gate.get("/").header("X-API-Key", "unknown").fetch().await.status, 429);
}

async fn scenarios_15_and_16_limits_change_live(store: Store) {
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
    let raised = gate.get("/").fetch().await;
    assert_eq!((raised.status, raised.number("x-ratelimit-remaining-60s")), (200, 9));
    gate.reload(&setup(5)).await;
    let lowered = gate.get("/").fetch().await;
    assert_eq!((lowered.status, lowered.number("x-ratelimit-remaining-60s")), (429, 0));
}

async fn scenario_17_the_most_specific_route_counts(store: Store) {
    let sections = "limits: {agents: {windows: {1m: 20}}, stats: {windows: {1m: 5}}, rest: {windows: {1m: 2}}}\n\
                    routes: [{path: /api/v1/agents/, limit: agents}, {path: /api/v1/agents/stats, limit: stats}, \
                    {path: '~^/api/v1/.*', limit: rest}]";
    let (gate, origin) = gate(&store, sections).await;
    let left = async |path: &str| gate.get(path).fetch().await.number("x-ratelimit-remaining-60s");
    assert_eq!(left("/api/v1/agents/7").await, 19);
    assert_eq!(left("/api/v1/agents").await, 18);
    assert_eq!(left("//api/v1/./agents/7?x=1").await, 17, "every spelling, one budget");
    assert_eq!(origin.last().target, "/api/v1/agents/7?x=1", "and one spelling for the backend");
    assert_eq!(left("/api/v1/agents/stats/").await, 4);
    assert_eq!(left("/api/v1/agents2").await, 1);
    assert_eq!(gate.get("/other").fetch().await.problem().0, 404);
}

async fn a_shadow_policy_is_counted_and_refuses_nobody(store: Store) {
    let sections = "limits: {watched: {windows: {1m: 2}, mode: shadow}}\nroutes: [{path: /, limit: watched}]";
    let (gate, _origin) = gate(&store, sections).await;
    for _ in 0..5 {
        let answer = gate.get("/").fetch().await;
        assert_eq!((answer.status, answer.header("x-ratelimit-limit-60s")), (200, ""));
    }
    let of = async |decision| gate.metric("tidegate_limit_decisions_total", &[("decision", decision)]).await;
    assert_eq!((of("allow").await, of("shadow_deny").await), (2.0, 3.0));
}

on_both_stores!(
    scenarios_1_and_2_first_request_and_burst,
    scenario_13_stacked_policies_are_all_or_nothing,
    scenario_14_users_are_counted_apart_and_forged_ones_by_address,
    scenarios_15_and_16_limits_change_live,
    scenario_17_the_most_specific_route_counts,
    a_shadow_policy_is_counted_and_refuses_nobody,
);

#[tokio::test(flavor = "multi_thread")]
async fn scenario_11_a_fleet_on_one_redis_admits_exactly_the_limit() {
    let (store, origin) = (Store::Redis(Redis::start().await), Origin::counting().await);
    let sections = "limits: {default: {windows: {1m: 100, 1h: 1000}}}\nroutes: [{path: /}]";
    let setup = Setup::new(origin.address()).store(&store).with(sections);
    let (one, other) = tokio::join!(Gate::start(&setup), Gate::start(&setup));
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..8 {
        let gate = if client % 2 == 0 { &one } else { &other };
        let request = gate.get("/");
        clients.spawn(async move {
            let mut admitted = 0;
            for _ in 0..30 {
                let answer = request.try_clone().expect("no body").fetch().await;
                assert!(matches!(answer.status, 200 | 429), "{answer:?}");
                admitted += usize::from(answer.status == 200);
            }
            admitted
        });
    }
    assert_eq!(clients.join_all().await.into_iter().sum::<usize>(), 100);
    assert_eq!(origin.count(), 100);
}
