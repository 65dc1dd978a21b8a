//! `tidegate limit`: the limits of a running instance, through its admin listener.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::cli::{LimitAction, OverrideArgs, Who};
use crate::app::client::{AskFailure, Client, segment};
use crate::app::table::table;
use crate::base::units::format_duration;
use crate::config::{LimitNow, WindowNow};

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum LimitFailure {
    /// The instance did not answer, or refused.
    #[error(transparent)]
    Ask(#[from] AskFailure),
    /// Its answer has another shape than this version knows.
    #[error("the answer is not understood: {0}; is the instance of another version?")]
    Shape(#[from] serde_json::Error),
}

/// Does what is asked for and returns what to print: tables and sentences, or the instance's JSON.
///
/// # Errors
/// [`LimitFailure`].
pub async fn run(client: &Client, action: &LimitAction, is_json: bool) -> Result<String, LimitFailure> {
    let answer = ask(client, action).await?;
    if is_json {
        return Ok(format!("{answer:#}\n"));
    }
    Ok(match action {
        LimitAction::List => listed(serde_json::from_value(answer)?),
        LimitAction::Show { .. } => stands(&serde_json::from_value(answer)?),
        LimitAction::Override { what, .. } if !what.remove => stands(&serde_json::from_value(answer)?),
        LimitAction::Reset { who } => format!("{} starts afresh under {}\n", who.identity, who.policy),
        LimitAction::Refund { .. } => refunded(&serde_json::from_value(answer)?),
        LimitAction::Override { who, .. } => removed(who, &serde_json::from_value(answer)?),
        LimitAction::Top { .. } => top(serde_json::from_value(answer)?),
    })
}

async fn ask(client: &Client, action: &LimitAction) -> Result<Value, AskFailure> {
    let of = |who: &Who| format!("/api/v1/limits/{}/{}", segment(&who.policy), segment(&who.identity));
    match action {
        LimitAction::List => {
            let mut policies = client.ask(Method::GET, "/api/v1/limits", None).await?;
            let live = client.ask(Method::GET, "/api/v1/limits/overrides", None).await?;
            if let (Value::Object(all), Value::Object(live)) = (&mut policies, live) {
                all.extend(live);
            }
            Ok(policies)
        }
        LimitAction::Show { who, tier } => {
            let query = tier.as_ref().map_or_else(String::new, |tier| format!("?tier={}", segment(tier)));
            client.ask(Method::GET, &format!("{}{query}", of(who)), None).await
        }
        LimitAction::Reset { who } => client.ask(Method::DELETE, &of(who), None).await,
        LimitAction::Refund { who, units } => {
            client.ask(Method::POST, &format!("{}/refund", of(who)), Some(&json!({"units": units}))).await
        }
        LimitAction::Override { who, what } if what.remove => {
            client.ask(Method::DELETE, &format!("{}/override", of(who)), None).await
        }
        LimitAction::Override { who, what } => {
            client.ask(Method::PUT, &format!("{}/override", of(who)), Some(&wanted(what))).await
        }
        LimitAction::Top { busiest, count, .. } => {
            let kind = if *busiest { "busiest" } else { "denied" };
            client.ask(Method::GET, &format!("/api/v1/limits/top?kind={kind}&count={count}"), None).await
        }
    }
}

/// The body of an override.
fn wanted(what: &OverrideArgs) -> Value {
    let mut body = if what.unlimited {
        json!({"unlimited": true})
    } else {
        json!({"windows": what.windows.iter().cloned().collect::<BTreeMap<String, u32>>()})
    };
    if let (Value::Object(members), Some(ttl)) = (&mut body, &what.ttl) {
        members.insert("ttl".to_owned(), Value::from(ttl.as_str()));
    }
    body
}

#[derive(Deserialize)]
struct Window {
    window: String,
    limit: u32,
}

/// An override that was set while running.
#[derive(Deserialize)]
struct Live {
    #[serde(default)]
    windows: Vec<Window>,
    #[serde(default)]
    unlimited: bool,
    ends_in_ms: Option<u64>,
}

impl Live {
    fn says(&self) -> String {
        if self.unlimited { "no limit".to_owned() } else { words(&self.windows) }
    }

    fn ends(&self) -> String {
        self.ends_in_ms.map_or_else(|| "for good".to_owned(), |ms| format!("ends in {}", seconds(ms)))
    }
}

#[derive(Deserialize)]
struct Listed {
    policies: Vec<Policy>,
    overrides: Vec<LiveRow>,
}

#[derive(Deserialize)]
struct Policy {
    name: String,
    per: Vec<String>,
    windows: Vec<Window>,
    in_flight: Option<u32>,
    mode: String,
}

#[derive(Deserialize)]
struct LiveRow {
    policy: String,
    identity: String,
    #[serde(flatten)]
    live: Live,
}

#[derive(Deserialize)]
struct Standing {
    policy: String,
    identity: String,
    mode: String,
    applies: String,
    r#override: Option<Live>,
    #[serde(flatten)]
    now: LimitNow,
}

#[derive(Deserialize)]
struct Refunded {
    policy: String,
    identity: String,
    units: u32,
    given_back: u32,
}

#[derive(Deserialize)]
struct Removed {
    removed: bool,
}

#[derive(Deserialize)]
struct Top {
    kind: String,
    top: Vec<TopRow>,
}

#[derive(Deserialize)]
struct TopRow {
    policy: String,
    identity: String,
    count: u64,
    overestimate: u64,
}

fn words(windows: &[Window]) -> String {
    let word = |window: &Window| format!("{} in {}", window.limit, window.window);
    windows.iter().map(word).collect::<Vec<String>>().join(", ")
}

/// Whole seconds, rounded up: nobody reads milliseconds.
fn seconds(ms: u64) -> String {
    format_duration(Duration::from_secs(ms.div_ceil(1_000)))
}

fn listed(listed: Listed) -> String {
    let policy = |policy: Policy| {
        let mut admits = words(&policy.windows);
        if let Some(places) = policy.in_flight {
            let between = if admits.is_empty() { "" } else { ", " };
            admits.push_str(&format!("{between}{places} at once"));
        }
        vec![policy.name, policy.per.join(", else "), admits, policy.mode]
    };
    let policies: Vec<Vec<String>> = listed.policies.into_iter().map(policy).collect();
    let mut text = table(&["POLICY", "COUNTS", "ADMITS", "MODE"], &policies);
    if !listed.overrides.is_empty() {
        let row = |row: LiveRow| vec![row.policy, row.identity, row.live.says(), row.live.ends()];
        let rows: Vec<Vec<String>> = listed.overrides.into_iter().map(row).collect();
        text.push('\n');
        text.push_str(&table(&["OVERRIDE OF", "FOR", "ADMITS", ""], &rows));
    }
    text
}

fn stands(standing: &Standing) -> String {
    let Standing { policy, identity, mode, applies, now, .. } = standing;
    let by = match (applies.as_str(), &standing.r#override) {
        ("policy", _) => String::new(),
        ("live_override", Some(live)) => format!(", by an override ({}, {})", live.says(), live.ends()),
        ("tier", _) => ", by their tier".to_owned(),
        ("override", _) => ", by an override of the configuration".to_owned(),
        ("bypass", _) => ", exempt by the configuration".to_owned(),
        (other, _) => format!(", by {}", other.replace('_', " ")),
    };
    let mut text = format!("{identity} under {policy} ({mode}{by})\n");
    if !now.windows.is_empty() {
        let row = |window: &WindowNow| {
            let resets = if window.reset_ms == 0 { "-".to_owned() } else { seconds(window.reset_ms.into()) };
            let numbers = [window.limit, window.used, window.remaining].map(|number| number.to_string());
            [vec![window.window.clone()], numbers.to_vec(), vec![resets]].concat()
        };
        let rows: Vec<Vec<String>> = now.windows.iter().map(row).collect();
        text.push_str(&table(&["WINDOW", "LIMIT", "USED", "LEFT", "RESETS IN"], &rows));
    }
    text.push_str(&match (now.would_admit, now.retry_after_s) {
        (true, _) if now.windows.is_empty() => "nothing is counted: every request is admitted\n".to_owned(),
        (true, _) => "a request now would be admitted\n".to_owned(),
        (false, Some(wait)) => {
            format!("a request now would be denied, one in {} admitted\n", seconds(u64::from(wait) * 1_000))
        }
        (false, None) => "no request is ever admitted: it costs more than a limit\n".to_owned(),
    });
    text
}

fn refunded(refunded: &Refunded) -> String {
    let Refunded { policy, identity, units, given_back } = refunded;
    format!("gave {given_back} of {units} units back to {identity} under {policy}\n")
}

fn removed(who: &Who, removed: &Removed) -> String {
    let Who { policy, identity } = who;
    if removed.removed {
        format!("{identity} has no override under {policy} any more\n")
    } else {
        format!("{identity} had no override under {policy}\n")
    }
}

fn top(top: Top) -> String {
    if top.top.is_empty() {
        return format!("nobody yet ({})\n", top.kind);
    }
    let head = if top.kind == "denied" { "DENIED" } else { "ASKED" };
    let is_exact = top.top.iter().all(|row| row.overestimate == 0);
    let row = |row: TopRow| {
        let count = if is_exact || row.overestimate == 0 {
            row.count.to_string()
        } else {
            format!("{} to {}", row.count.saturating_sub(row.overestimate), row.count)
        };
        vec![count, row.policy, row.identity]
    };
    let rows: Vec<Vec<String>> = top.top.into_iter().map(row).collect();
    table(&[head, "POLICY", "IDENTITY"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).expect("the shape")
    }

    #[test]
    fn a_standing_is_a_table_and_a_verdict() {
        let window = |window: &str, limit: u32, remaining: u32, reset_ms: u32| json!({"window": window, "length_ms": 1, "limit": limit, "used": limit - remaining, "remaining": remaining, "reset_ms": reset_ms});
        let standing = json!({
            "policy": "chat", "identity": "user:ada", "mode": "enforce", "applies": "live_override",
            "override": {"windows": [{"window": "1m", "length_ms": 60000, "limit": 5}], "ends_in_ms": 3_599_001},
            "would_admit": false, "why": "costs 1, but 0 of 5 left in 1m", "retry_after_s": 42,
            "windows": [window("1m", 5, 0, 41_001), window("1h", 100, 100, 0)],
        });
        let expected = "user:ada under chat (enforce, by an override (5 in 1m, ends in 1h))\n\
            WINDOW  LIMIT  USED  LEFT  RESETS IN\n\
            1m      5      5     0     42s\n\
            1h      100    0     100   -\n\
            a request now would be denied, one in 42s admitted\n";
        assert_eq!(stands(&read(standing)), expected);
        let exempt = json!({"policy": "chat", "identity": "ip:10.0.0.1", "mode": "enforce", "applies": "bypass", "would_admit": true, "windows": []});
        assert_eq!(
            stands(&read(exempt)),
            "ip:10.0.0.1 under chat (enforce, exempt by the configuration)\nnothing is counted: every request is admitted\n"
        );
    }

    #[test]
    fn overrides_follow_the_policies() {
        let all = json!({
            "policies": [{"name": "chat", "per": ["user", "ip"], "windows": [{"window": "1m", "length_ms": 60000, "limit": 5}], "in_flight": 2, "mode": "shadow"}],
            "overrides": [{"policy": "chat", "identity": "user:ada", "unlimited": true}],
        });
        let expected = "POLICY  COUNTS         ADMITS              MODE\n\
            chat    user, else ip  5 in 1m, 2 at once  shadow\n\n\
            OVERRIDE OF  FOR       ADMITS\n\
            chat         user:ada  no limit  for good\n";
        assert_eq!(listed(read(all)), expected);
    }

    #[test]
    fn counts_that_may_be_too_high_are_ranges() {
        let list = json!({"kind": "denied", "top": [
            {"policy": "p", "identity": "user:ada", "count": 90, "overestimate": 0},
            {"policy": "p", "identity": "user:bob", "count": 40, "overestimate": 12},
        ]});
        assert_eq!(
            top(read(list)),
            "DENIED    POLICY  IDENTITY\n90        p       user:ada\n28 to 40  p       user:bob\n"
        );
        assert_eq!(top(read(json!({"kind": "busiest", "top": []}))), "nobody yet (busiest)\n");
    }

    #[test]
    fn the_body_of_an_override_is_what_was_typed() {
        let args = |windows: &[(&str, u32)], unlimited, ttl: Option<&str>| OverrideArgs {
            windows: windows.iter().map(|(length, units)| ((*length).to_owned(), *units)).collect(),
            unlimited,
            remove: false,
            ttl: ttl.map(str::to_owned),
        };
        let body = wanted(&args(&[("1m", 500), ("1h", 9_000)], false, Some("1h")));
        assert_eq!(body, json!({"windows": {"1m": 500, "1h": 9_000}, "ttl": "1h"}));
        assert_eq!(wanted(&args(&[], true, None)), json!({"unlimited": true}));
    }
}
