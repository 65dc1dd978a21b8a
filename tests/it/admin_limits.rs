//! Limits looked at and changed while running: through the admin listener and by the `limit` commands.

use crate::support::stores::on_both_stores;
use crate::support::tokens::HS256;
use crate::support::{Answer, Fetch, Gate, Origin, Redis, Setup, Store, eventually, token, web, within};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

const SECTIONS: &str = "limits: {chat: {windows: {1m: 2, 1h: 100}}}\nroutes: [{path: /, limit: chat}]";
const ADA: &str = "/api/v1/limits/chat/user:ada";

on_both_stores!(
    an_override_applies_at_once_to_its_identity_alone,
    who_has_no_limit_is_not_counted_and_has_the_old_count_afterwards,
    an_override_ends_by_itself,
    looking_consumes_nothing,
    the_newest_units_are_given_back,
    a_reset_is_a_fresh_start,
    the_most_denied_are_known_by_name,
    the_commands_show_where_somebody_stands,
    the_commands_forgive,
    the_commands_give_other_limits_and_take_them_away,
    explain_live_knows_what_is_left,
);

fn setup(origin: &Origin, store: &Store) -> Setup {
    Setup::new(origin.address()).store(store).with(HS256).with(SECTIONS)
}

async fn gate(store: &Store) -> (Origin, Gate) {
    let origin = Origin::counting().await;
    let gate = Gate::start(&setup(&origin, store)).await;
    (origin, gate)
}

async fn steer(gate: &Gate, method: Method, path: &str, body: Option<Value>) -> Answer {
    let request = web::client().request(method, format!("http://{}{path}", gate.admin));
    match body {
        Some(body) => request.json(&body).fetch().await,
        None => request.fetch().await,
    }
}

async fn set(gate: &Gate, body: Value) -> Answer {
    steer(gate, Method::PUT, &format!("{ADA}/override"), Some(body)).await
}

async fn as_user(gate: &Gate, name: &str) -> Answer {
    gate.get("/").bearer_auth(token(name, "acme")).fetch().await
}

async fn standing(gate: &Gate) -> Value {
    gate.ask(ADA).fetch().await.json()
}

/// The command's output; it must succeed.
async fn command(gate: &Gate, arguments: &[&str]) -> String {
    let admin = gate.admin.to_string();
    let (code, stdout, stderr) = Gate::run(&[arguments, &["--admin", &admin]].concat()).await;
    assert_eq!(code, Some(0), "{arguments:?}: {stderr}");
    stdout
}

async fn an_override_applies_at_once_to_its_identity_alone(store: Store) {
    let (_origin, gate) = gate(&store).await;
    let answer = set(&gate, json!({"windows": {"1m": 5}, "ttl": "1h"})).await;
    assert_eq!((answer.status, &answer.json()["applies"]), (200, &json!("live_override")));
    let ada = as_user(&gate, "ada").await;
    assert_eq!([60, 3_600].map(|window| ada.number(&format!("x-ratelimit-limit-{window}s"))), [5, 100]);
    assert_eq!(as_user(&gate, "bob").await.number("x-ratelimit-limit-60s"), 2);
}

async fn who_has_no_limit_is_not_counted_and_has_the_old_count_afterwards(store: Store) {
    let (_origin, gate) = gate(&store).await;
    as_user(&gate, "ada").await;
    assert_eq!(set(&gate, json!({"unlimited": true})).await.status, 200);
    for _ in 0..10 {
        let free = as_user(&gate, "ada").await;
        assert!(free.status == 200 && !free.headers.contains_key("x-ratelimit-limit-60s"), "{free:?}");
    }
    let list = gate.ask("/api/v1/limits/overrides").fetch().await.json();
    assert_eq!(list["overrides"], json!([{"policy": "chat", "identity": "user:ada", "unlimited": true}]));

    steer(&gate, Method::DELETE, &format!("{ADA}/override"), None).await;
    let after = as_user(&gate, "ada").await;
    let seen = (after.number("x-ratelimit-limit-60s"), after.number("x-ratelimit-remaining-60s"));
    assert_eq!(seen, (2, 0));
}

async fn an_override_ends_by_itself(store: Store) {
    let (_origin, gate) = gate(&store).await;
    assert_eq!(set(&gate, json!({"windows": {"1m": 5}, "ttl": "300ms"})).await.status, 200);
    eventually("it has ended", async || {
        as_user(&gate, "ada").await.headers.get("x-ratelimit-limit-60s").is_some_and(|limit| limit == "2")
    })
    .await;
    assert_eq!(standing(&gate).await["applies"], "policy");
}

async fn statuses(gate: &Gate, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(as_user(gate, "ada").await.status);
    }
    statuses
}

async fn looking_consumes_nothing(store: Store) {
    let (_origin, gate) = gate(&store).await;
    assert_eq!(statuses(&gate, 3).await, [200, 200, 429]);
    for _ in 0..5 {
        let standing = standing(&gate).await;
        assert_eq!((&standing["would_admit"], &standing["windows"][1]["used"]), (&json!(false), &json!(2)));
        let wait = standing["retry_after_s"].as_u64();
        assert!(wait.is_some_and(|wait| (1..=60).contains(&wait)), "{standing}");
    }
}

async fn the_newest_units_are_given_back(store: Store) {
    let (_origin, gate) = gate(&store).await;
    assert_eq!(statuses(&gate, 4).await, [200, 200, 429, 429]);
    let refund = async |units: u32| {
        let path = format!("{ADA}/refund");
        steer(&gate, Method::POST, &path, Some(json!({"units": units}))).await.json()["given_back"].clone()
    };
    assert_eq!(refund(1).await, 1);
    assert_eq!(statuses(&gate, 2).await, [200, 429]);
    assert_eq!(refund(7).await, 2, "no more than there were");
    assert_eq!(standing(&gate).await["windows"][1]["used"], 0);
    assert_eq!(statuses(&gate, 3).await, [200, 200, 429]);
}

async fn a_reset_is_a_fresh_start(store: Store) {
    let (_origin, gate) = gate(&store).await;
    assert_eq!(statuses(&gate, 3).await, [200, 200, 429]);
    assert_eq!(steer(&gate, Method::DELETE, ADA, None).await.json()["reset"], true);
    assert_eq!(as_user(&gate, "ada").await.number("x-ratelimit-remaining-60s"), 1);
}

async fn the_most_denied_are_known_by_name(store: Store) {
    let (_origin, gate) = gate(&store).await;
    for (name, times) in [("ada", 5), ("bob", 3), ("eve", 1)] {
        for _ in 0..times {
            as_user(&gate, name).await;
        }
    }
    let names = async |query: &str| -> Vec<(String, u64)> {
        let top = gate.ask(&format!("/api/v1/limits/top?{query}")).fetch().await.json();
        let rows = top["top"].as_array().expect("a list").clone();
        rows.iter()
            .map(|row| {
                (row["identity"].as_str().expect("text").to_owned(), row["count"].as_u64().expect("a number"))
            })
            .collect()
    };
    let named = |list: &[(&str, u64)]| -> Vec<(String, u64)> {
        list.iter().map(|(name, count)| (format!("user:{name}"), *count)).collect()
    };
    assert_eq!(names("kind=denied").await, named(&[("ada", 3), ("bob", 1)]));
    assert_eq!(names("kind=busiest&count=2").await, named(&[("ada", 5), ("bob", 3)]));
    let metrics = gate.ask("/metrics").fetch().await.text();
    assert!(!metrics.contains("ada"), "no identity is a label");
}

/// `tidegate limit` with these words.
async fn limit(gate: &Gate, words: &[&str]) -> String {
    command(gate, &[&["limit"], words].concat()).await
}

async fn the_commands_show_where_somebody_stands(store: Store) {
    let (_origin, gate) = gate(&store).await;
    assert_eq!(statuses(&gate, 3).await, [200, 200, 429]);
    let show = limit(&gate, &["show", "chat", "user:ada"]).await;
    let table = "user:ada under chat (enforce)\n\
        WINDOW  LIMIT  USED  LEFT  RESETS IN\n\
        1m      2      2     0     ";
    assert!(show.starts_with(table), "{show}");
    assert!(show.contains("a request now would be denied, one in "), "{show}");
    let denied = limit(&gate, &["top", "-n", "5"]).await;
    assert_eq!(denied, "DENIED  POLICY  IDENTITY\n1       chat    user:ada\n");
    let busiest = limit(&gate, &["top", "--busiest"]).await;
    assert_eq!(busiest, "ASKED  POLICY  IDENTITY\n3      chat    user:ada\n");
    let json = limit(&gate, &["show", "chat", "user:ada", "--json"]).await;
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&json["windows"][0]["used"], &json["applies"]), (&json!(2), &json!("policy")));
}

async fn the_commands_forgive(store: Store) {
    let (_origin, gate) = gate(&store).await;
    assert_eq!(statuses(&gate, 3).await, [200, 200, 429]);
    let refunded = limit(&gate, &["refund", "chat", "user:ada", "1"]).await;
    assert_eq!(refunded, "gave 1 of 1 units back to user:ada under chat\n");
    assert_eq!(statuses(&gate, 2).await, [200, 429]);
    let reset = limit(&gate, &["reset", "chat", "user:ada"]).await;
    assert_eq!(reset, "user:ada starts afresh under chat\n");
    assert_eq!(statuses(&gate, 3).await, [200, 200, 429]);
}

async fn the_commands_give_other_limits_and_take_them_away(store: Store) {
    let (_origin, gate) = gate(&store).await;
    as_user(&gate, "ada").await;
    let words = ["override", "chat", "user:ada", "--windows", "1m=500,1d=9000", "--ttl", "1h"];
    let set = limit(&gate, &words).await;
    let head = "user:ada under chat (enforce, by an override (500 in 1m, 9000 in 1d, ends in ";
    assert!(set.starts_with(head), "{set}");
    assert!(
        set.contains("\n1m      500    1     499   ") && set.contains("\n1h      100    1     99    "),
        "{set}"
    );
    let list = limit(&gate, &["list"]).await;
    assert!(list.starts_with("POLICY  COUNTS") && list.contains("2 in 1m, 100 in 1h"), "{list}");
    assert!(list.contains("\nchat         user:ada  500 in 1m, 9000 in 1d  ends in "), "{list}");
    let remove = ["override", "chat", "user:ada", "--remove"];
    assert_eq!(limit(&gate, &remove).await, "user:ada has no override under chat any more\n");
    assert_eq!(limit(&gate, &remove).await, "user:ada had no override under chat\n");
    let network = limit(&gate, &["override", "chat", "ip:2001:db8::/64", "--unlimited"]).await;
    let head = "ip:2001:db8::/64 under chat (enforce, by an override (no limit, for good))\n";
    assert!(network.starts_with(head), "{network}");
}

async fn explain_live_knows_what_is_left(store: Store) {
    let (_origin, gate) = gate(&store).await;
    as_user(&gate, "ada").await;
    let field = format!("Authorization: Bearer {}", token("ada", "acme"));
    let explain = async |more: &[&str]| {
        command(&gate, &[&["explain", "GET", "/x", "-H", &field, "--live"], more].concat()).await
    };
    for _ in 0..3 {
        let told = explain(&[]).await;
        assert!(
            told.contains("chat counts user:ada")
                && told.contains("\n  admits  1 of 2 left in 1m, 99 of 100 left in 1h\n"),
            "{told}"
        );
        assert!(told.contains("\nnow       would be admitted\n"), "{told}");
    }
    assert_eq!(set(&gate, json!({"windows": {"1m": 1}})).await.status, 200);
    let told = explain(&[]).await;
    assert!(
        told.contains("(enforce, by live override)\n  denies  costs 1, but 0 of 1 left in 1m\n"),
        "{told}"
    );
    assert!(told.contains("\nnow       would be refused by chat with 429, passes in "), "{told}");
    let json: Value = serde_json::from_str(&explain(&["--json"]).await).expect("JSON");
    assert_eq!(
        (&json["now"]["would_admit"], &json["limits"][0]["applies"]),
        (&json!(false), &json!("live_override"))
    );
}

#[tokio::test]
async fn an_override_reaches_every_instance_and_outlives_them() {
    let (origin, store) = (Origin::counting().await, Store::Redis(Redis::start().await));
    let (one, two) = (Gate::start(&setup(&origin, &store)).await, Gate::start(&setup(&origin, &store)).await);
    let limit = async |gate: &Gate| as_user(gate, "ada").await.number("x-ratelimit-limit-60s");
    assert_eq!((limit(&one).await, limit(&two).await), (2, 2));
    assert_eq!(set(&one, json!({"windows": {"1m": 50}})).await.status, 200);
    assert_eq!(limit(&one).await, 50);
    within(Duration::from_secs(3), "the other instance knows", async {
        eventually("it is told or looks", async || limit(&two).await == 50).await;
    })
    .await;
    drop(one);
    let three = Gate::start(&setup(&origin, &store)).await;
    assert_eq!(limit(&three).await, 50, "from its first request");
    assert_eq!(standing(&three).await["override"]["windows"][0]["limit"], 50);
    let removed = steer(&three, Method::DELETE, &format!("{ADA}/override"), None).await;
    assert_eq!(removed.json()["removed"], true);
    eventually("the other instance knows", async || limit(&two).await == 2).await;
}

#[tokio::test]
async fn without_redis_overrides_stay_in_force_and_none_is_set() {
    let (origin, mut redis) = (Origin::counting().await, Redis::start().await);
    let setup = setup(&origin, &Store::Memory).store_text(&format!("url: \"{}\", timeout: 1s", redis.url()));
    let gate = Gate::start(&setup).await;
    assert_eq!(set(&gate, json!({"windows": {"1m": 50}})).await.status, 200);
    redis.kill();
    let refused = set(&gate, json!({"windows": {"1m": 70}})).await;
    assert_eq!(refused.problem(), (503, "https://tidegate.dev/problems/store-away".to_owned()));
    assert_eq!(gate.ask(ADA).fetch().await.status, 503);
    assert_eq!(as_user(&gate, "ada").await.number("x-ratelimit-limit-60s"), 50);
    let list = gate.ask("/api/v1/limits/overrides").fetch().await.json();
    assert_eq!(list["overrides"][0]["windows"][0]["limit"], 50);
    let field = format!("Authorization: Bearer {}", token("ada", "acme"));
    let told = command(&gate, &["explain", "GET", "/", "-H", &field, "--live"]).await;
    assert!(told.contains("\nnow       not known: the store is away\n"), "{told}");
}

#[tokio::test]
async fn the_commands_have_the_token_from_an_option_or_the_file() {
    let origin = Origin::counting().await;
    let text = Setup::new(origin.address()).with(SECTIONS).text();
    let text =
        text.replace("admin: {listen: \"127.0.0.1:0\"}", "admin: {listen: \"127.0.0.1:0\", token: s3cret}");
    let gate = Gate::start_with(&text).await;
    let (admin, file) = (gate.admin.to_string(), gate.file().to_string_lossy().into_owned());
    let list = async |more: &[&str]| Gate::run(&[&["limit", "list", "--admin", &admin], more].concat()).await;
    let (code, _, stderr) = list(&[]).await;
    assert!(code == Some(1) && stderr.contains("A token is needed"), "{stderr}");
    for more in [["--token", "s3cret"], ["--config", &file]] {
        let (code, stdout, stderr) = list(&more).await;
        assert!(code == Some(0) && stdout.contains("chat"), "{more:?}: {stderr}");
    }
}

#[tokio::test]
async fn the_commands_say_what_is_wrong_and_fail() {
    let (_origin, gate) = gate(&Store::Memory).await;
    let admin = gate.admin.to_string();
    for (words, code, says) in [
        (["show", "chta", "user:ada"], 1, "There is no such policy: did you mean `chat`"),
        (["show", "chat", "ada"], 1, "write the identity as KIND:VALUE"),
        (["override", "chat", "user:ada"], 2, "--windows"),
    ] {
        let run = Gate::run(&[&["limit"], &words[..], &["--admin", &admin]].concat()).await;
        assert!(run.0 == Some(code) && run.1.is_empty() && run.2.contains(says), "{words:?}: {run:?}");
    }
    let (code, _, stderr) = Gate::run(&["limit", "list", "--admin", "127.0.0.1:1"]).await;
    assert!(code == Some(1) && stderr.contains("no answer from http://127.0.0.1:1"), "{stderr}");
}
