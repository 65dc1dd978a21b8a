//! The section `limits`: policies by name.

use crate::config::counting::{cost, field, statuses};
use crate::config::env::Env;
use crate::config::reader::{Reader, Section, Taken};
use crate::config::tree::{Kind, Node};
use crate::config::who::{bypass, identities, overrides};
use crate::config::windows::{tiers, windows};
use crate::limit::{Count, FieldStyle, LIMIT_MAX, Mode, OnStoreFailure, Policy, Window, Windows};
use std::sync::Arc;

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
    let places = |taken: &Taken, reader: &mut Reader<'_>| {
        reader.number(taken, 1, u64::from(LIMIT_MAX)).and_then(|places| u32::try_from(places).ok())
    };
    let in_flight = section.take("in_flight").map(|taken| places(&taken, reader));
    let windows = match section.take("windows") {
        Some(taken) => windows(reader, &taken),
        None if in_flight.is_some() => Some(Windows::none()),
        None => {
            reader.fault(taken.key_at, &taken.path, "`windows` is missing", "add `windows: {1m: 60}`");
            None
        }
    };
    let mut policy = Policy::new(name, windows.clone().unwrap_or_else(Windows::none));
    policy.in_flight = in_flight.flatten();
    if !per.is_empty() {
        policy.per = per;
    }
    counting(reader, &mut section, &mut policy);
    if let Some(taken) = section.take("tiers") {
        policy.tiers = tiers(reader, &taken, windows.as_ref());
    }
    if let Some(taken) = section.take("overrides") {
        policy.overrides = overrides(reader, &taken, &policy.per, &policy.windows);
    }
    if let Some(taken) = section.take("bypass") {
        policy.bypass = bypass(reader, &taken);
    }
    verdicts(reader, &mut section, &mut policy);
    reader.finish(&section);
    windows.map(|_read| policy)
}

/// The keys that say what is counted.
fn counting(reader: &mut Reader<'_>, section: &mut Section, policy: &mut Policy) {
    if let Some(taken) = section.take("cost") {
        policy.cost = cost(reader, &taken);
        let fixed = policy.cost.fixed;
        let fits = |window: &&Window| window.limit == 0 || fixed <= window.limit;
        if let Some(window) = policy.windows.as_slice().iter().find(|window| !fits(window)) {
            let says = format!("a cost of {fixed} never fits a limit of {}", window.limit);
            reader.fault(taken.node.at, &taken.path, says, "lower the cost or raise the limit");
        }
    }
    if let Some(taken) = section.take("cost_from_response") {
        policy.cost.response = field(reader, &taken);
    }
    let counts = [("all", Count::All), ("upstream", Count::Upstream)];
    if let Some(count) = section.take("count").and_then(|taken| reader.choice(&taken, &counts)) {
        policy.count = count;
    }
    policy.count_status = section.take("count_status").map(|taken| statuses(reader, &taken));
    if let Some(taken) = section.take("refund_on") {
        policy.refund_on = statuses(reader, &taken);
        if policy.charges_after() {
            let says = "nothing is consumed in advance under this policy, so there is nothing to give back";
            reader.fault(
                taken.key_at,
                &taken.path,
                says,
                "remove it, or `count_status` and `cost_from_response`",
            );
        }
    }
}

/// The keys that say what a verdict does.
fn verdicts(reader: &mut Reader<'_>, section: &mut Section, policy: &mut Policy) {
    let modes = [("enforce", Mode::Enforce), ("shadow", Mode::Shadow), ("off", Mode::Off)];
    if let Some(mode) = section.take("mode").and_then(|taken| reader.choice(&taken, &modes)) {
        policy.mode = mode;
    }
    let rules =
        [("local", OnStoreFailure::Local), ("allow", OnStoreFailure::Allow), ("deny", OnStoreFailure::Deny)];
    if let Some(rule) = section.take("on_store_failure").and_then(|taken| reader.choice(&taken, &rules)) {
        policy.on_store_failure = rule;
    }
    let styles = [
        ("both", FieldStyle::Both),
        ("x", FieldStyle::X),
        ("ietf", FieldStyle::Ietf),
        ("none", FieldStyle::None),
    ];
    if let Some(style) = section.take("headers").and_then(|taken| reader.choice(&taken, &styles)) {
        policy.fields = style;
    }
    let status = section.take("status").and_then(|taken| reader.number(&taken, 400, 599));
    if let Some(status) = status.and_then(|status| u16::try_from(status).ok()) {
        policy.status = status;
    }
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
            policies.extend(Windows::new(vec![own]).ok().map(|windows| Policy::new("default", windows)));
            continue;
        };
        if let Ok(windows) = Windows::new(vec![own]).and_then(|own| own.over(&policy.windows)) {
            policy.windows = windows;
        }
    }
}

/// Is a limit list's item the word for no limit at all?
pub(super) fn is_none_word(node: &Node) -> bool {
    matches!(&node.kind, Kind::Scalar(text) if text == "none")
}
