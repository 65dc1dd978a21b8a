//! What a replay found, as facts: [`super::text`] lays them out for people, serde for programs.

use std::collections::HashMap;

use serde::Serialize;

use crate::app::replay::intake::Intake;
use crate::app::replay::percentile::{Percentile, per_cent, rounded_up};
use crate::app::replay::plan::{Cast, Kind, Request};
use crate::app::replay::simulation::{Limits, RouteTally, SeatTally, Tally, simulate};
use crate::base::units::format_duration;
use crate::limit::{LIMIT_MAX, Window, Windows};
use crate::telemetry::access::clean;
use crate::telemetry::rfc3339::format_s;

/// Names longer than this (bytes) are cut.
const NAME_BYTES_MAX: usize = 256;

/// The percentiles of the distributions.
const SPREAD: [Percentile; 5] = [
    Percentile::of(50),
    Percentile::of(90),
    Percentile::of(95),
    Percentile::of(99),
    Percentile::of_tenths(999),
];

/// Everything.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What was read.
    pub log: LogFacts,
    /// Requests that were replayed under limits.
    pub requests: u64,
    /// Those that an enforced policy would have denied.
    pub denied: u64,
    /// The same in per cent.
    pub denied_percent: f64,
    /// Policies that were asked, in the order of their names.
    pub policies: Vec<PolicyFacts>,
    /// What other limits would have denied of `requests`, all policies together.
    pub suggestions: Vec<SuggestionFacts>,
    /// What to know when reading the numbers.
    pub notes: Vec<String>,
}

/// What was read.
#[derive(Debug, Serialize)]
pub struct LogFacts {
    /// Where from.
    pub name: String,
    /// `json`, `combined` or `csv`.
    pub format: &'static str,
    /// Lines.
    pub lines: u64,
    /// Lines that told of a request under limits; `requests`, but for those left out.
    pub limited: u64,
    /// Lines that told of something else.
    pub other: u64,
    /// Lines that could not be read.
    pub unreadable: u64,
    /// The first of them.
    pub examples: Vec<UnreadableLine>,
    /// Requests that never reached the limits: no HTTP, no safe path, a rejected credential.
    pub refused: u64,
    /// Requests that no route takes.
    pub no_route: u64,
    /// Requests on routes without limits.
    pub unlimited: u64,
    /// Requests that the log itself shows as denied.
    pub already_denied: u64,
    /// Were they left out?
    pub is_without_denied: bool,
    /// Time of the first request, RFC 3339.
    pub first: String,
    /// Time of the last.
    pub last: String,
    /// Seconds between the two.
    pub span_s: u64,
}

/// A line that could not be read.
#[derive(Debug, Serialize)]
pub struct UnreadableLine {
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub why: &'static str,
}

/// One policy.
#[derive(Debug, Serialize)]
pub struct PolicyFacts {
    /// Its name.
    pub policy: String,
    /// `enforce` or `shadow`.
    pub mode: &'static str,
    /// Requests that it judged.
    pub requests: u64,
    /// Those that it admitted and that went on.
    pub admitted: u64,
    /// Those that it denied.
    pub denied: u64,
    /// The same in per cent.
    pub denied_percent: f64,
    /// Those that it would have admitted, but another policy denied.
    pub refused_by_others: u64,
    /// Requests of those that it does not count.
    pub bypassed: u64,
    /// Identities that it counted.
    pub identities: usize,
    /// Those that it denied at least once.
    pub identities_denied: usize,
    /// The most denied ones.
    pub top: Vec<IdentityFacts>,
    /// Where it denied.
    pub routes: Vec<RouteFacts>,
    /// What identities use, by the windows that they have.
    pub groups: Vec<GroupFacts>,
}

/// One identity.
#[derive(Debug, Serialize)]
pub struct IdentityFacts {
    /// Who.
    pub identity: String,
    /// Requests that the policy judged.
    pub requests: u64,
    /// Those that it denied.
    pub denied: u64,
    /// When it did so first, RFC 3339.
    pub first_denied: String,
}

/// One policy on one route.
#[derive(Debug, Serialize)]
pub struct RouteFacts {
    /// The route.
    pub route: String,
    /// Requests that the policy judged there.
    pub requests: u64,
    /// Those that it denied.
    pub denied: u64,
}

/// Identities with the same windows.
#[derive(Debug, Serialize)]
pub struct GroupFacts {
    /// Why they have these windows: `policy`, `tier NAME` or `override`.
    pub who: String,
    /// How many they are.
    pub identities: usize,
    /// The windows, shortest first.
    pub windows: Vec<WindowFacts>,
}

/// One window of a group.
#[derive(Debug, Serialize)]
pub struct WindowFacts {
    /// Its length, as the configuration writes it.
    pub window: String,
    /// Its limit, units.
    pub limit: u32,
    /// Over the identities: the most units that one used in any stretch of that length, if nobody were denied.
    pub peak: Vec<(String, u32)>,
    /// For each percentile that was asked for, the limit under which all but the rest of the identities would never have
    /// been denied; none where single identities have limits of their own.
    pub suggested: Vec<(String, u32)>,
}

/// What the limits at one percentile would have denied.
#[derive(Debug, Serialize)]
pub struct SuggestionFacts {
    /// The percentile.
    pub percentile: String,
    /// Requests that would have been denied.
    pub denied: u64,
    /// The same in per cent.
    pub denied_percent: f64,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// So many identities of each policy.
    pub top: usize,
    /// Limits at these percentiles.
    pub percentiles: &'a [Percentile],
    /// Are requests left out that the log shows as denied?
    pub is_without_denied: bool,
}

/// Replays and reports. `name` is the log's.
#[must_use]
pub fn report(name: &str, intake: &Intake, wanted: &Wanted<'_>) -> Report {
    let (cast, requests) = (&intake.cast, &intake.requests[..]);
    let configured = cast.groups.iter().map(|group| group.windows.clone()).collect();
    let tally = simulate(cast, requests, &Limits::Windows(configured));
    let usage = usage(cast, &simulate(cast, requests, &Limits::None));
    let is_saturated = usage.iter().flatten().flatten().any(|peak| *peak >= LIMIT_MAX);
    let total = count(requests.len());
    let suggest = |percentile: &Percentile| {
        let limits = cast.groups.iter().zip(&usage).map(|(group, usage)| match group.kind {
            Kind::Override => group.windows.clone(),
            Kind::Plain | Kind::Tier(_) => suggested(&group.windows, usage, *percentile),
        });
        let denied = simulate(cast, requests, &Limits::Windows(limits.collect())).denied;
        SuggestionFacts {
            percentile: percentile.to_string(),
            denied,
            denied_percent: per_cent(denied, total),
        }
    };
    let about = About { cast, tally: &tally, usage: &usage, wanted };
    Report {
        log: log_facts(name, intake, wanted),
        requests: total,
        denied: tally.denied,
        denied_percent: per_cent(tally.denied, total),
        policies: (0..cast.policies.len()).filter_map(|policy| about.policy(policy)).collect(),
        suggestions: wanted.percentiles.iter().map(suggest).collect(),
        notes: super::notes::notes(intake, wanted, is_saturated),
    }
}

/// For each group and window the peaks of its identities, sorted.
fn usage(cast: &Cast, tally: &Tally) -> Vec<Vec<Vec<u32>>> {
    let mut usage: Vec<Vec<Vec<u32>>> =
        cast.groups.iter().map(|group| vec![Vec::new(); group.windows.as_slice().len()]).collect();
    for (seat, of_seat) in cast.seats.iter().zip(&tally.seats) {
        let Some(windows) = usage.get_mut(seat.group) else { continue };
        for (peaks, peak) in windows.iter_mut().zip(of_seat.peaks) {
            peaks.push(peak);
        }
    }
    usage.iter_mut().flatten().for_each(|peaks| peaks.sort_unstable());
    usage
}

fn suggested(windows: &Windows, usage: &[Vec<u32>], percentile: Percentile) -> Windows {
    let limit = |(window, peaks): (&Window, &Vec<u32>)| Window {
        limit: rounded_up(percentile.pick(peaks)),
        length_ms: window.length_ms,
    };
    let list = windows.as_slice().iter().zip(usage).map(limit).collect();
    Windows::new(list).unwrap_or_else(|_none| windows.clone())
}

fn log_facts(name: &str, intake: &Intake, wanted: &Wanted<'_>) -> LogFacts {
    let time = |request: Option<&Request>| request.map_or(0, |request| request.start_us / 1_000_000);
    let (first_s, last_s) = (time(intake.requests.first()), time(intake.requests.last()));
    let counts = intake.counts;
    LogFacts {
        name: name.to_owned(),
        format: intake.format,
        lines: counts.lines,
        limited: counts.limited,
        other: counts.other,
        unreadable: counts.unreadable,
        examples: intake.examples.iter().map(|(line, why)| UnreadableLine { line: *line, why }).collect(),
        refused: counts.refused,
        no_route: counts.no_route,
        unlimited: counts.unlimited,
        already_denied: counts.already_denied,
        is_without_denied: wanted.is_without_denied,
        first: format_s(first_s),
        last: format_s(last_s),
        span_s: last_s.saturating_sub(first_s),
    }
}

struct About<'a> {
    cast: &'a Cast,
    tally: &'a Tally,
    usage: &'a [Vec<Vec<u32>>],
    wanted: &'a Wanted<'a>,
}

impl About<'_> {
    /// The facts of a policy; none when it had nothing to do.
    fn policy(&self, number: usize) -> Option<PolicyFacts> {
        let policy = self.cast.policies.get(number)?;
        let seats = self.seats(number);
        let bypassed = self.tally.bypassed.get(number).copied().unwrap_or(0);
        if seats.is_empty() && bypassed == 0 {
            return None;
        }
        let sum = |of: fn(&SeatTally) -> u64| seats.iter().map(|(_, tally)| of(tally)).sum::<u64>();
        let requests = sum(|tally| tally.requests);
        let (denied, others) = (sum(|tally| tally.denied), sum(|tally| tally.refused_by_others));
        // An identity whose tier changed has several seats and one log.
        let mut denied_of: HashMap<usize, bool> = HashMap::new();
        for (seat, tally) in &seats {
            let log = self.cast.seats.get(*seat).map_or(usize::MAX, |seat| seat.log);
            *denied_of.entry(log).or_default() |= tally.denied > 0;
        }
        Some(PolicyFacts {
            policy: policy.name.to_string(),
            mode: policy.mode.as_str(),
            requests,
            admitted: requests.saturating_sub(denied).saturating_sub(others),
            denied,
            denied_percent: per_cent(denied, requests),
            refused_by_others: others,
            bypassed,
            identities: denied_of.len(),
            identities_denied: denied_of.values().filter(|is_denied| **is_denied).count(),
            top: self.top(&seats),
            routes: self.routes(number),
            groups: self.groups(number),
        })
    }

    /// The seats under a policy that were judged.
    fn seats(&self, policy: usize) -> Vec<(usize, &SeatTally)> {
        let of_seat = |seat: usize| self.cast.groups.get(self.cast.seats.get(seat)?.group);
        let all = self.tally.seats.iter().enumerate().filter(|(_, tally)| tally.requests > 0);
        all.filter(|(seat, _)| of_seat(*seat).is_some_and(|group| group.policy == policy)).collect()
    }

    fn top(&self, seats: &[(usize, &SeatTally)]) -> Vec<IdentityFacts> {
        let mut denied: Vec<_> = seats.iter().filter(|(_, tally)| tally.denied > 0).collect();
        denied.sort_by_key(|(seat, tally)| (std::cmp::Reverse(tally.denied), tally.first_denied_us, *seat));
        let facts = |(seat, tally): &&(usize, &SeatTally)| {
            let subject = self.cast.seats.get(*seat)?.subject.to_string();
            Some(IdentityFacts {
                identity: clean(&subject, NAME_BYTES_MAX).into_owned(),
                requests: tally.requests,
                denied: tally.denied,
                first_denied: format_s(tally.first_denied_us / 1_000_000),
            })
        };
        denied.iter().take(self.wanted.top).filter_map(facts).collect()
    }

    fn routes(&self, policy: usize) -> Vec<RouteFacts> {
        let width = self.cast.routes.len().max(1);
        let tallies: &[RouteTally] = self.tally.routes.chunks(width).nth(policy).unwrap_or_default();
        let denied = self.cast.routes.iter().zip(tallies).filter(|(_, tally)| tally.denied > 0);
        let mut routes: Vec<RouteFacts> = denied
            .map(|(route, tally)| RouteFacts {
                route: route.name.to_string(),
                requests: tally.requests,
                denied: tally.denied,
            })
            .collect();
        routes.sort_by_key(|facts| std::cmp::Reverse(facts.denied));
        routes
    }

    fn groups(&self, policy: usize) -> Vec<GroupFacts> {
        let groups = self.cast.groups.iter().zip(self.usage).filter(|(group, _)| group.policy == policy);
        let facts = groups.map(|(group, usage)| GroupFacts {
            who: match &group.kind {
                Kind::Plain => "policy".to_owned(),
                Kind::Tier(name) => format!("tier {}", clean(name, NAME_BYTES_MAX)),
                Kind::Override => "override".to_owned(),
            },
            identities: usage.first().map_or(0, Vec::len),
            windows: group
                .windows
                .as_slice()
                .iter()
                .zip(usage)
                .map(|(window, peaks)| self.window(*window, peaks, group.kind == Kind::Override))
                .collect(),
        });
        facts.collect()
    }

    fn window(&self, window: Window, peaks: &[u32], is_override: bool) -> WindowFacts {
        let picked = |percentile: &Percentile| (format!("p{percentile}"), percentile.pick(peaks));
        let most = ("max".to_owned(), peaks.last().copied().unwrap_or(0));
        let limit = |percentile: &Percentile| (format!("p{percentile}"), rounded_up(percentile.pick(peaks)));
        let wanted = if is_override { &[] } else { self.wanted.percentiles };
        WindowFacts {
            window: format_duration(window.length()),
            limit: window.limit,
            peak: SPREAD.iter().map(picked).chain([most]).collect(),
            suggested: wanted.iter().map(limit).collect(),
        }
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
