//! What a log does not say, and what the replay did instead.

use crate::app::replay::intake::{Intake, PLANS_MAX, REQUESTS_MAX};
use crate::app::replay::report::Wanted;
use crate::limit::{Count, LIMIT_MAX, Per, Policy};

/// Only what applies to this log and these policies. `is_saturated`: did anybody use more than is measured?
#[must_use]
pub fn notes(intake: &Intake, wanted: &Wanted<'_>, is_saturated: bool) -> Vec<String> {
    let mut notes = of_policies(intake);
    let is_mixed = intake.counts.already_denied > 0 && !wanted.is_without_denied;
    let facts = &intake.facts;
    let of_log = [
        (
            facts.has_no_address,
            "lines without an address: policies that count by address see them as one, 0.0.0.0".to_owned(),
        ),
        (
            facts.has_no_host && facts.has_host_routes,
            "lines without a host: routes with a `host` do not take them".to_owned(),
        ),
        (
            facts.is_whole_seconds,
            "the time stamps are whole seconds: a denial may be off by up to a second".to_owned(),
        ),
        (
            is_mixed,
            "requests that the log shows as denied are replayed too; --include-denied=false leaves them out"
                .to_owned(),
        ),
        (
            facts.is_cut,
            format!(
                "the log is longer than what is kept in memory ({REQUESTS_MAX} requests, {PLANS_MAX} senders on routes): \
                 the rest was not read; replay it in parts"
            ),
        ),
        (is_saturated, format!("peaks are not told above {LIMIT_MAX}, the highest limit there is")),
    ];
    notes.extend(of_log.into_iter().filter(|(applies, _)| *applies).map(|(_, note)| note));
    notes
}

fn of_policies(intake: &Intake) -> Vec<String> {
    let is_without_cache = intake.format != "json";
    let is_without_status = intake.facts.has_no_status;
    let note = |applies: &dyn Fn(&Policy) -> bool, what: &str| {
        let policies = intake.cast.policies.iter().filter(|policy| applies(policy));
        let names: Vec<&str> = policies.map(|policy| &*policy.name).collect();
        (!names.is_empty()).then(|| format!("{}: {what}", names.join(", ")))
    };
    let is_by_status = |policy: &Policy| policy.count_status.is_some() || !policy.refund_on.is_empty();
    let is_by_field = |policy: &Policy| policy.per.iter().any(|per| matches!(per, Per::Header(_)));
    let notes = [
        note(
            &|policy| policy.cost.request.is_some(),
            "a log has no request fields; each request costs what is fixed",
        ),
        note(
            &|policy| policy.cost.response.is_some(),
            "a log has no response fields; each answer costs what is fixed",
        ),
        note(
            &is_by_field,
            "a log has no request fields; who would be counted by one is counted by what comes next in `per`",
        ),
        note(&|policy| policy.in_flight.is_some(), "`in_flight` is not replayed"),
        note(
            &|policy| is_without_cache && policy.count == Count::Upstream,
            "unless a CSV column `cache` tells, no request counts as answered from the cache",
        ),
        note(
            &|policy| is_without_status && is_by_status(policy),
            "the log has lines without a status, which are not in `count_status` or `refund_on`",
        ),
    ];
    notes.into_iter().flatten().collect()
}
