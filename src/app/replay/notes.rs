//! What a log does not say, and what the replay did instead.

use crate::app::replay::intake::{Intake, REQUESTS_MAX};
use crate::app::replay::report::Wanted;
use crate::limit::{Count, LIMIT_MAX, Per, Policy};

/// Only what applies to this log and these policies.
#[must_use]
pub fn notes(intake: &Intake, wanted: &Wanted<'_>) -> Vec<String> {
    let policies = &intake.cast.policies;
    let named = |applies: fn(&Policy) -> bool| {
        let names: Vec<&str> =
            policies.iter().filter(|policy| applies(policy)).map(|policy| &*policy.name).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    let mut notes = Vec::new();
    let mut say =
        |names: Option<String>, what: &str| notes.extend(names.map(|names| format!("{names}: {what}")));
    say(
        named(|policy| policy.cost.request.is_some()),
        "a log has no request fields; each request costs what is fixed",
    );
    say(
        named(|policy| policy.cost.response.is_some()),
        "a log has no response fields; each answer costs what is fixed",
    );
    say(
        named(|policy| policy.per.iter().any(|per| matches!(per, Per::Header(_)))),
        "a log has no request fields; who would be counted by one is counted by what comes next in `per`",
    );
    say(named(|policy| policy.in_flight.is_some()), "`in_flight` is not replayed");
    if intake.format != "json" {
        say(
            named(|policy| policy.count == Count::Upstream),
            "unless a CSV column `cache` tells, no request counts as answered from the cache",
        );
    }
    if intake.facts.has_no_status {
        let is_asked = |policy: &Policy| policy.count_status.is_some() || !policy.refund_on.is_empty();
        say(
            named(is_asked),
            "the log has lines without a status, which are not in `count_status` or `refund_on`",
        );
    }
    if intake.facts.has_no_address {
        notes.push(
            "lines without an address: policies that count by address see them as one, 0.0.0.0".to_owned(),
        );
    }
    if intake.facts.has_no_host && intake.facts.has_host_routes {
        notes.push("lines without a host: routes with a `host` do not take them".to_owned());
    }
    if intake.facts.is_whole_seconds {
        notes.push("the time stamps are whole seconds: a denial may be off by up to a second".to_owned());
    }
    if intake.counts.already_denied > 0 && !wanted.is_without_denied {
        notes.push(
            "requests that the log shows as denied are replayed too; --include-denied=false leaves them out"
                .to_owned(),
        );
    }
    if intake.facts.is_cut {
        notes.push(format!(
            "the log is longer than what is kept in memory ({REQUESTS_MAX} requests, {} senders on routes): the rest was \
             not read; replay it in parts",
            crate::app::replay::intake::PLANS_MAX
        ));
    }
    if intake.facts.is_saturated {
        notes.push(format!("peaks are not told above {LIMIT_MAX}, the highest limit there is"));
    }
    notes
}
