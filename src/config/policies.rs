//! The section `limits`: policies by name.

use crate::base::units::parse_duration;
use crate::config::env::Env;
use crate::config::fault::hint;
use crate::config::reader::{Reader, Section, Taken};
use crate::config::server::not_in_force;
use crate::config::tree::{Kind, Node};
use crate::limit::policy::{LIMIT_MAX, WINDOWS_MAX};
use crate::limit::{FieldStyle, Mode, OnStoreFailure, Per, Policy, Window, Windows};
use std::collections::BTreeMap;
use std::sync::Arc;

const PER_WORDS: &[&str] = &["user", "api_key", "ip", "tenant", "global", "header:NAME"];

/// Reads `limits`, under `RATE_LIMIT_PER_MINUTE` and `RATE_LIMIT_PER_HOUR` of the environment.
pub(super) fn policies(reader: &mut Reader<'_>, node: &Node, env: &Env) -> Vec<Arc<Policy>> {
    let mut section = reader.section(node, "limits");
    let mut policies = Vec::new();
    for (key, taken) in section.take_all() {
        if !is_name(&key.name) || key.name == "none" {
            let remedy = "use letters, digits, `_` and `-`, and not `none`";
            reader.fault(key.at, &taken.path, format!("`{}` is no name for a policy", key.name), remedy);
        }
        if let Some(policy) = policy(reader, &key.name, &taken) {
            policies.push(policy);
        }
    }
    override_default(reader, &mut policies, env);
    policies.into_iter().map(Arc::new).collect()
}

/// Names go into keys, fields and metrics as they are.
pub(super) fn is_name(name: &str) -> bool {
    let is_fitting = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    !name.is_empty() && name.len() <= 64 && name.bytes().all(is_fitting)
}

fn policy(reader: &mut Reader<'_>, name: &str, taken: &Taken) -> Option<Policy> {
    let mut section = reader.section(&taken.node, &taken.path);
    let per = section.take("per").map_or_else(Vec::new, |taken| identities(reader, &taken));
    let windows = match section.take("windows") {
        Some(taken) => windows(reader, &taken),
        None => {
            reader.fault(taken.key_at, &taken.path, "`windows` is missing", "add `windows: {1m: 60}`");
            None
        }
    };
    let cost_taken = section.take("cost");
    let cost = cost_taken.as_ref().and_then(|taken| reader.number(taken, 1, u64::from(LIMIT_MAX)));
    let cost = cost.and_then(|cost| u32::try_from(cost).ok()).unwrap_or(1);
    let modes = [("enforce", Mode::Enforce), ("shadow", Mode::Shadow), ("off", Mode::Off)];
    let mode = section.take("mode").and_then(|taken| reader.choice(&taken, &modes));
    let rules =
        [("local", OnStoreFailure::Local), ("allow", OnStoreFailure::Allow), ("deny", OnStoreFailure::Deny)];
    let on_store_failure = section.take("on_store_failure").and_then(|taken| reader.choice(&taken, &rules));
    let styles = [
        ("both", FieldStyle::Both),
        ("x", FieldStyle::X),
        ("ietf", FieldStyle::Ietf),
        ("none", FieldStyle::None),
    ];
    let fields = section.take("headers").and_then(|taken| reader.choice(&taken, &styles));
    let status = section.take("status").and_then(|taken| reader.number(&taken, 400, 599));
    let tiers = section.take("tiers").map(|taken| tiers(reader, &taken, windows.as_ref()));
    unused(reader, &mut section);
    reader.finish(&section);
    let windows = windows?;
    if let Some(taken) = cost_taken
        && let Some(window) = windows.as_slice().iter().find(|window| window.limit > 0 && cost > window.limit)
    {
        let says = format!("a cost of {cost} never fits a limit of {}", window.limit);
        reader.fault(taken.node.at, &taken.path, says, "lower the cost or raise the limit");
    }
    let usual = default_policy(windows);
    Some(Policy {
        name: name.into(),
        per: if per.is_empty() { usual.per } else { per },
        tiers: tiers.unwrap_or_default(),
        cost,
        mode: mode.unwrap_or(usual.mode),
        on_store_failure: on_store_failure.unwrap_or(usual.on_store_failure),
        fields: fields.unwrap_or(usual.fields),
        status: status.and_then(|status| u16::try_from(status).ok()).unwrap_or(usual.status),
        windows: usual.windows,
    })
}

/// Keys of the contract that later versions bring to life.
fn unused(reader: &mut Reader<'_>, section: &mut Section) {
    let keys = [
        ("count", "every request that reaches the limiter is counted"),
        ("count_status", "requests are counted whatever their answer"),
        ("overrides", "every identity has the policy's limits"),
        ("bypass", "nobody is exempt"),
    ];
    for (name, what) in keys {
        if let Some(taken) = section.take(name) {
            not_in_force(reader, &taken, what);
        }
    }
}

fn identities(reader: &mut Reader<'_>, taken: &Taken) -> Vec<Per> {
    let items = reader.list(taken);
    let mut per = Vec::new();
    for item in &items {
        let Some(text) = reader.name(item) else { continue };
        let one = match &*text {
            "user" => Per::User,
            "api_key" => Per::ApiKey,
            "ip" => Per::Ip,
            "tenant" => Per::Tenant,
            "global" => Per::Global,
            other => {
                match other.strip_prefix("header:").and_then(|name| http::HeaderName::try_from(name).ok()) {
                    Some(name) => Per::Header(name.as_str().into()),
                    None => {
                        let says = format!("`{other}` names nobody who can be counted");
                        reader.fault(item.node.at, &item.path, says, hint(other, PER_WORDS));
                        continue;
                    }
                }
            }
        };
        if per.contains(&one) {
            reader.fault(
                item.node.at,
                &item.path,
                format!("`{text}` stands here twice"),
                "remove one of the two",
            );
        }
        per.push(one);
    }
    per
}

fn windows(reader: &mut Reader<'_>, taken: &Taken) -> Option<Windows> {
    let mut section = reader.section(&taken.node, &taken.path);
    let faults = reader.faults.len();
    let mut list = Vec::new();
    for (key, limit) in section.take_all() {
        let length = key.name.parse::<u64>().ok().and_then(|seconds| seconds.checked_mul(1_000));
        let parsed = parse_duration(&key.name).map(crate::base::clock::millis);
        let length_ms = match length.map_or(parsed, Ok) {
            Ok(ms) => u32::try_from(ms).unwrap_or(u32::MAX),
            Err(_) => {
                let says = format!("`{}` is no length of a window", key.name);
                reader.fault(
                    key.at,
                    &limit.path,
                    says,
                    "write one such as 10s, 1m, 1h, 1d, or whole seconds",
                );
                continue;
            }
        };
        if let Some(limit) = reader.number(&limit, 0, u64::from(LIMIT_MAX)) {
            list.push(Window { length_ms, limit: u32::try_from(limit).unwrap_or(LIMIT_MAX) });
        }
    }
    if reader.faults.len() > faults {
        return None;
    }
    match Windows::new(list) {
        Ok(windows) => {
            warn_of_order(reader, taken, &windows);
            Some(windows)
        }
        Err(fault) => {
            let remedy = format!("give 1 to {WINDOWS_MAX} different lengths from 1ms to 31d");
            reader.fault(taken.node.at, &taken.path, fault.to_string(), remedy);
            None
        }
    }
}

/// A longer window with a smaller limit makes the shorter one idle.
fn warn_of_order(reader: &mut Reader<'_>, taken: &Taken, windows: &Windows) {
    let list = windows.as_slice();
    if list.iter().zip(list.iter().skip(1)).any(|(short, long)| long.limit < short.limit) {
        let says = "a longer window has a smaller limit than a shorter one, which can never be reached";
        reader.warn(taken.node.at, &taken.path, says, "check the numbers");
    }
}

/// A tier states only what differs: its windows are merged with the policy's by length.
fn tiers(reader: &mut Reader<'_>, taken: &Taken, base: Option<&Windows>) -> BTreeMap<String, Windows> {
    let mut section = reader.section(&taken.node, &taken.path);
    let mut tiers = BTreeMap::new();
    for (key, of_tier) in section.take_all() {
        let (Some(own), Some(base)) = (windows(reader, &of_tier), base) else { continue };
        let differs = |window: &&Window| own.as_slice().iter().all(|own| own.length_ms != window.length_ms);
        let rest = base.as_slice().iter().filter(differs).copied();
        match Windows::new(own.as_slice().iter().copied().chain(rest).collect()) {
            Ok(merged) => drop(tiers.insert(key.name, merged)),
            Err(fault) => {
                reader.fault(of_tier.node.at, &of_tier.path, fault.to_string(), "use fewer windows");
            }
        }
    }
    tiers
}

/// The brief's two variables set the default policy's minute and hour.
fn override_default(reader: &mut Reader<'_>, policies: &mut Vec<Policy>, env: &Env) {
    for (variable, length_ms) in [("RATE_LIMIT_PER_MINUTE", 60_000), ("RATE_LIMIT_PER_HOUR", 3_600_000)] {
        let Some(text) = env.get(variable) else { continue };
        let at = crate::config::fault::Position::START;
        let Some(limit) = text.parse::<u32>().ok().filter(|limit| *limit <= LIMIT_MAX) else {
            let says = format!("the environment variable {variable}=`{text}` is no limit");
            reader.fault(
                at,
                variable,
                says,
                format!("set it to a whole number up to {LIMIT_MAX}, or unset it"),
            );
            continue;
        };
        let own = Window { length_ms, limit };
        let Some(policy) = policies.iter_mut().find(|policy| &*policy.name == "default") else {
            policies.extend(Windows::new(vec![own]).ok().map(default_policy));
            continue;
        };
        let rest = policy.windows.as_slice().iter().filter(|window| window.length_ms != length_ms);
        if let Ok(windows) = Windows::new(rest.copied().chain([own]).collect()) {
            policy.windows = windows;
        }
    }
}

/// The default policy with these windows; what a policy does not say is as it is here.
fn default_policy(windows: Windows) -> Policy {
    Policy {
        name: "default".into(),
        per: vec![Per::User, Per::ApiKey, Per::Ip],
        windows,
        tiers: BTreeMap::new(),
        cost: 1,
        mode: Mode::Enforce,
        on_store_failure: OnStoreFailure::Local,
        fields: FieldStyle::Both,
        status: 429,
    }
}

/// Is a limit list's item the word for no limit at all?
pub(super) fn is_none_word(node: &Node) -> bool {
    matches!(&node.kind, Kind::Scalar(text) if text == "none")
}
