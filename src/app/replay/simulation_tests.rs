//! The simulation against worked examples and against sorted lists.

use crate::app::replay::entry::Entry;
use crate::app::replay::intake::{Intake, LogFault, Reading, take};
use crate::app::replay::lines::Lines;
use crate::app::replay::percentile::Percentile;
use crate::app::replay::plan::{Cast, Planned, Planner, Request};
use crate::app::replay::report::{Report, Wanted, report};
use crate::app::replay::simulation::{Limits, SeatTally, Tally, simulate};
use crate::app::replay::testing::snapshot;
use crate::app::replay::text::text;
use crate::app::replay::{formats::LogKind, report::PolicyFacts};
use crate::config::Snapshot;
use proptest::prelude::*;

const START_MS: u64 = 1_782_907_200_000;

/// One request of a test: milliseconds after the start, who, where, status, how long it took.
#[derive(Debug, Clone, Copy)]
struct Ask(u64, &'static str, &'static str, u16, u64);

fn cast(snapshot: &Snapshot, asks: &[Ask]) -> (Cast, Vec<Request>) {
    let mut planner = Planner::new(snapshot);
    let plan = |ask: &Ask| {
        let entry = Entry {
            start_us: (START_MS + ask.0) * 1_000,
            took_us: ask.4 * 1_000,
            method: "GET".into(),
            target: ask.2.into(),
            client: "192.0.2.1".into(),
            user: Some(ask.1.into()),
            status: ask.3,
            ..Entry::default()
        };
        match planner.plan(&entry) {
            Planned::Limited(request) => request,
            other => panic!("{ask:?}: {other:?}"),
        }
    };
    let requests = asks.iter().map(plan).collect();
    (planner.into_cast(), requests)
}

fn configured(cast: &Cast) -> Limits {
    Limits::Windows(cast.groups.iter().map(|group| group.windows.clone()).collect())
}

fn run(sections: &str, asks: &[Ask]) -> (Cast, Tally) {
    let (cast, requests) = cast(&snapshot(sections), asks);
    let tally = simulate(&cast, &requests, &configured(&cast));
    (cast, tally)
}

fn of<'t>(cast: &Cast, tally: &'t Tally, policy: &str, who: &str) -> &'t SeatTally {
    let is_it = |seat: &crate::app::replay::plan::Seat| {
        let group = &cast.groups[seat.group];
        *cast.policies[group.policy].name == *policy && seat.subject.to_string() == who
    };
    &tally.seats[cast.seats.iter().position(is_it).expect("counted")]
}

#[test]
fn a_worked_example_comes_out_as_by_hand() {
    let sections = "limits: {p: {windows: {10s: 3}}}\nroutes: [{path: /, limit: p}]";
    let at = |ms| Ask(ms, "ada", "/", 200, 0);
    let asks = [at(0), at(3_000), at(6_000), at(9_999), at(10_000), at(12_999), at(13_000)];
    let (cast, tally) = run(sections, &asks);
    let ada = of(&cast, &tally, "p", "user:ada");
    assert_eq!((ada.requests, ada.denied, tally.denied), (7, 2, 2));
    assert_eq!(ada.first_denied_us, (START_MS + 9_999) * 1_000);
    assert_eq!((tally.routes[0].requests, tally.routes[0].denied), (7, 2));
    let (cast, requests) = self::cast(&snapshot(sections), &asks);
    let peaks = simulate(&cast, &requests, &Limits::None).seats[0].peaks;
    assert_eq!(peaks[0], 5, "3000 to 12999");
}

#[test]
fn what_one_policy_denies_costs_nothing_in_the_other() {
    let sections = "limits: {narrow: {windows: {10s: 1}}, wide: {windows: {1m: 2}}}\n\
        routes: [{path: /both, limit: [narrow, wide]}, {path: /wide, limit: wide}]";
    let asks = [0, 1, 2].map(|ms| Ask(ms, "ada", "/both", 200, 0));
    let more = [3, 4].map(|ms| Ask(ms, "ada", "/wide", 200, 0));
    let (cast, tally) = run(sections, &[&asks[..], &more].concat());
    let (narrow, wide) = (of(&cast, &tally, "narrow", "user:ada"), of(&cast, &tally, "wide", "user:ada"));
    assert_eq!((narrow.requests, narrow.denied, narrow.refused_by_others), (3, 2, 0));
    assert_eq!((wide.requests, wide.denied, wide.refused_by_others), (5, 1, 2));
    assert_eq!(tally.denied, 3);
}

#[test]
fn a_shadow_policy_is_judged_and_refuses_nothing() {
    let sections = "limits: {p: {windows: {10s: 1}, mode: shadow}}\nroutes: [{path: /, limit: p}]";
    let (cast, tally) = run(sections, &[0, 1, 2].map(|ms| Ask(ms, "ada", "/", 200, 0)));
    assert_eq!((of(&cast, &tally, "p", "user:ada").denied, tally.denied), (2, 0));
}

#[test]
fn failures_are_counted_when_they_are_known_and_only_they() {
    let sections =
        "limits: {login: {windows: {1m: 2}, count_status: [401]}}\nroutes: [{path: /, limit: login}]";
    let (slow, good) = (|ms| Ask(ms, "ada", "/", 401, 100), |ms| Ask(ms, "ada", "/", 200, 0));
    // Three guesses at once pass, for none is known to be wrong yet.
    let (cast, tally) =
        run(sections, &[good(0), good(1), slow(2), slow(3), slow(4), good(101), good(103), slow(104)]);
    let ada = of(&cast, &tally, "login", "user:ada");
    assert_eq!((ada.requests, ada.denied), (8, 2));
    assert_eq!(ada.first_denied_us, (START_MS + 103) * 1_000);
}

#[test]
fn a_refund_frees_its_unit_when_the_request_ends() {
    let sections = "limits: {p: {windows: {1m: 1}, refund_on: [5xx]}}\nroutes: [{path: /, limit: p}]";
    let asks = [
        Ask(0, "ada", "/", 503, 50),
        Ask(49, "ada", "/", 200, 0),
        Ask(50, "ada", "/", 200, 0),
        Ask(51, "ada", "/", 200, 0),
    ];
    let (cast, tally) = run(sections, &asks);
    assert_eq!(of(&cast, &tally, "p", "user:ada").denied, 2);
}

#[test]
fn what_the_cache_answers_is_free_where_only_the_upstream_counts() {
    let sections = "limits: {p: {windows: {1m: 1}, count: upstream}}\nroutes: [{path: /, limit: p}]";
    let (cast, mut requests) = cast(&snapshot(sections), &[0, 1, 2, 3].map(|ms| Ask(ms, "ada", "/", 200, 0)));
    requests[1].is_from_cache = true;
    requests[2].is_from_cache = true;
    let tally = simulate(&cast, &requests, &configured(&cast));
    assert_eq!((tally.seats[0].requests, tally.seats[0].denied), (2, 1));
}

fn read(snapshot: &Snapshot, log: &[u8], kind: LogKind) -> Result<Intake, LogFault> {
    let mut lines = Lines::of(std::io::Cursor::new(log.to_vec())).expect("memory");
    let reading = Reading { name: "access.log", kind, columns: &[], is_without_denied: false };
    take(&reading, &mut lines, snapshot)
}

fn reported(snapshot: &Snapshot, log: &str) -> Report {
    let intake = read(snapshot, log.as_bytes(), LogKind::Auto).expect("a log");
    let percentiles = [Percentile::of(50), Percentile::of(100)];
    report("access.log", &intake, &Wanted { top: 1, percentiles: &percentiles, is_without_denied: false })
}

/// Ada asks 5 times at once, bob 12 times, zoe once; one line is out of order, one is broken, one is a scanner's.
fn log() -> String {
    let line = |second: u32, user: &str, path: &str| {
        format!(
            "192.0.2.1 - {user} [01/Jul/2026:12:00:{second:02} +0000] \"GET {path} HTTP/1.1\" 200 1 \"-\" \"-\"\n"
        )
    };
    let mut log = line(9, "zoe", "/");
    (0..5).for_each(|_| log += &line(1, "ada", "/"));
    (0..12).for_each(|_| log += &line(2, "bob", "/a"));
    log + "broken\n" + &line(3, "-", "/free") + &line(3, "-", "/%00")
}

#[test]
fn a_report_says_who_where_and_which_limits_would_do() {
    let sections =
        "limits: {p: {windows: {1m: 4, 1h: 100}}}\nroutes: [{path: /, limit: p}, {path: /free, limit: none}]";
    let report = reported(&snapshot(sections), &log());
    assert_eq!((report.requests, report.denied, report.log.lines), (18, 9, 21));
    assert_eq!((report.log.unreadable, report.log.unlimited, report.log.refused), (1, 1, 1));
    assert_eq!(report.log.examples[0].line, 19);
    assert_eq!((&*report.log.first, &*report.log.last), ("2026-07-01T12:00:01Z", "2026-07-01T12:00:09Z"));
    let p: &PolicyFacts = &report.policies[0];
    assert_eq!((p.requests, p.admitted, p.denied, p.denied_percent), (18, 9, 9, 50.0));
    assert_eq!((p.identities, p.identities_denied, p.top.len()), (3, 2, 1));
    assert_eq!(
        (&*p.top[0].identity, p.top[0].denied, &*p.top[0].first_denied),
        ("user:bob", 8, "2026-07-01T12:00:02Z")
    );
    assert_eq!((p.routes.len(), p.routes[0].denied), (1, 9));
    let minute = &p.groups[0].windows[0];
    assert_eq!((&minute.peak[0], &minute.peak[5]), (&("p50".to_owned(), 5), &("max".to_owned(), 12)));
    assert_eq!(minute.suggested, [("p50".to_owned(), 5), ("p100".to_owned(), 12)]);
    let would: Vec<u64> = report.suggestions.iter().map(|facts| facts.denied).collect();
    assert_eq!(would, [7, 0]);
    let text = text(&report);
    for part in ["line 19: it is not", "most denied by p\n", "user:bob", "would deny of 18", "whole seconds"]
    {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    let json = serde_json::to_value(&report).expect("plain data");
    assert_eq!((&json["denied"], &json["policies"][0]["top"][0]["denied"]), (&9.into(), &8.into()));
}

#[test]
fn a_log_without_any_request_is_an_error_that_names_the_formats() {
    let snapshot = snapshot("limits: {p: {windows: {1m: 4}}}\nroutes: [{path: /, limit: p}]");
    for (log, kind) in [
        (&b""[..], LogKind::Auto),
        (b"hello\nworld\n", LogKind::Auto),
        (b"hello\n", LogKind::Combined),
        (b"{}\n", LogKind::Json),
        (b"time,path,ip\n", LogKind::Csv),
        (b"\0\0\0\xff\xfe", LogKind::Combined),
    ] {
        let says = read(&snapshot, log, kind).expect_err("nothing").to_string();
        assert!(says.contains("combined") && says.contains("csv"), "{says}");
    }
    let says = read(&snapshot, b"hello\n", LogKind::Combined).expect_err("nothing").to_string();
    assert!(says.contains("; line 1: it is not"), "{says}");
    assert!(
        read(&snapshot, b"a,b\n", LogKind::Csv).expect_err("no time").to_string().contains("--columns time=")
    );
}

/// What is admitted by sorted lists of admitted times, and everybody's peak by counting.
fn oracle(asks: &[Ask], windows: &[(u64, usize)]) -> (Vec<bool>, usize) {
    let mut admitted: Vec<(&str, u64)> = Vec::new();
    let count = |list: &[(&str, u64)], who: &str, now: u64, length: u64| {
        list.iter().filter(|(other, at)| *other == who && at + length > now).count()
    };
    let verdicts = asks.iter().map(|ask| {
        let passes = windows.iter().all(|(length, limit)| count(&admitted, ask.1, ask.0, *length) < *limit);
        if passes {
            admitted.push((ask.1, ask.0));
        }
        passes
    });
    let verdicts: Vec<bool> = verdicts.collect();
    let all: Vec<(&str, u64)> = asks.iter().map(|ask| (ask.1, ask.0)).collect();
    let peak = |at: usize| count(&all[..=at], all[at].0, all[at].1, windows[0].0);
    (verdicts, (0..all.len()).map(peak).max().unwrap_or(0))
}

proptest! {
    #[test]
    fn every_request_is_decided_as_by_sorted_lists(
        mut asks in prop::collection::vec((0_u64..8_000, prop::sample::select(vec!["ada", "bob", "zoe"])), 1..120),
        limits in (1_usize..8, 1_usize..20),
    ) {
        asks.sort_by_key(|ask| ask.0);
        let asks: Vec<Ask> = asks.into_iter().map(|(ms, who)| Ask(ms, who, "/", 200, 0)).collect();
        let sections = format!(
            "limits: {{p: {{windows: {{1s: {}, 5s: {}}}}}}}\nroutes: [{{path: /, limit: p}}]", limits.0, limits.1
        );
        let (cast, requests) = cast(&snapshot(&sections), &asks);
        let (verdicts, peak) = oracle(&asks, &[(1_000, limits.0), (5_000, limits.1)]);
        // One more request at a time: what is new denied is the last one's verdict.
        let denied = |count: usize| simulate(&cast, &requests[..count], &configured(&cast)).denied;
        let told: Vec<bool> = (1..=asks.len()).map(|count| denied(count) == denied(count - 1)).collect();
        prop_assert_eq!(told, verdicts);
        let peaks = simulate(&cast, &requests, &Limits::None).seats.iter().map(|seat| seat.peaks[0]).max();
        prop_assert_eq!(peaks.map(|peak| peak as usize), Some(peak));
    }

    #[test]
    fn the_suggestion_denies_nobody_below_its_percentile_and_one_less_would(
        mut asks in prop::collection::vec((0_u64..3_000, prop::sample::select(vec!["a", "b", "c", "d", "e"])), 1..90),
    ) {
        asks.sort_by_key(|ask| ask.0);
        let asks: Vec<Ask> = asks.into_iter().map(|(ms, who)| Ask(ms, who, "/", 200, 0)).collect();
        let sections = "limits: {p: {windows: {1s: 1}}}\nroutes: [{path: /, limit: p}]";
        let (cast, requests) = cast(&snapshot(sections), &asks);
        let mut peaks: Vec<u32> =
            simulate(&cast, &requests, &Limits::None).seats.iter().map(|seat| seat.peaks[0]).collect();
        peaks.sort_unstable();
        let denied_under = |limit: u32| {
            let list = vec![crate::limit::Window { length_ms: 1_000, limit }];
            let limits = Limits::Windows(vec![crate::limit::Windows::new(list).expect("valid")]);
            simulate(&cast, &requests, &limits).seats.iter().filter(|seat| seat.denied > 0).count()
        };
        let limit = Percentile::of(60).pick(&peaks);
        prop_assert!(denied_under(limit) * 100 <= peaks.len() * 40);
        prop_assert!(denied_under(limit - 1) * 100 > peaks.len() * 40);
    }
}
