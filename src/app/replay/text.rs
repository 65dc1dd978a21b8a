//! A report as tables.

use std::fmt::Write;

use crate::app::replay::report::{LogFacts, PolicyFacts, Report, WindowFacts};
use crate::app::table::table;
use crate::base::units::format_duration;
use std::time::Duration;

/// The whole report.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut parts = vec![log(report), policies(report)];
    parts.extend(report.policies.iter().filter_map(top));
    parts.extend(routes(report));
    parts.push(usage(report));
    parts.extend(suggestions(report));
    parts.extend(
        (!report.notes.is_empty())
            .then(|| report.notes.iter().fold("notes\n".to_owned(), |text, note| text + "  " + note + "\n")),
    );
    parts.join("\n")
}

fn log(report: &Report) -> String {
    let LogFacts { name, format, lines, first, last, .. } = &report.log;
    let span = format_duration(Duration::from_secs(report.log.span_s));
    let mut out = format!("log        {name} ({format}), {}\n", counted(*lines, "line"));
    let mut line = |word: &str, text: String| {
        // Writing to a String cannot fail.
        writeln!(out, "{word:<10} {text}").unwrap_or_default();
    };
    line("from", format!("{first} to {last} ({span})"));
    let passed = [
        (report.log.unreadable, "unreadable"),
        (report.log.other, "of other things"),
        (report.log.refused, "refused before limits are asked"),
        (report.log.no_route, "without a route"),
        (report.log.unlimited, "on routes without limits"),
    ];
    let passed: Vec<String> = passed
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if !passed.is_empty() {
        line("left out", passed.join(", "));
    }
    for example in &report.log.examples {
        line("", format!("line {}: {}", example.line, example.why));
    }
    let already = match report.log.already_denied {
        0 => String::new(),
        count if report.log.is_without_denied => format!(" ({count} denied in the log left out)"),
        count => format!(" ({count} of them denied in the log)"),
    };
    line("replayed", format!("{}{already}", counted(report.requests, "request")));
    line("denied", format!("{} ({}%)", report.denied, report.denied_percent));
    out
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn policies(report: &Report) -> String {
    let row = |facts: &PolicyFacts| {
        vec![
            facts.policy.clone(),
            facts.mode.to_owned(),
            facts.requests.to_string(),
            facts.admitted.to_string(),
            facts.denied.to_string(),
            format!("{}%", facts.denied_percent),
            facts.refused_by_others.to_string(),
            facts.bypassed.to_string(),
            facts.identities.to_string(),
            facts.identities_denied.to_string(),
        ]
    };
    let head = [
        "POLICY",
        "MODE",
        "REQUESTS",
        "ADMITTED",
        "DENIED",
        "",
        "BY OTHERS",
        "BYPASSED",
        "IDENTITIES",
        "OF THEM DENIED",
    ];
    table(&head, &report.policies.iter().map(row).collect::<Vec<_>>())
}

fn top(facts: &PolicyFacts) -> Option<String> {
    let rows: Vec<Vec<String>> = facts
        .top
        .iter()
        .map(|who| {
            vec![
                who.identity.clone(),
                who.requests.to_string(),
                who.denied.to_string(),
                who.first_denied.clone(),
            ]
        })
        .collect();
    let rows =
        (!rows.is_empty()).then(|| table(&["IDENTITY", "REQUESTS", "DENIED", "FIRST DENIED"], &rows))?;
    Some(format!("most denied by {}\n{rows}", facts.policy))
}

fn routes(report: &Report) -> Option<String> {
    let of = |facts: &PolicyFacts| {
        let policy = facts.policy.clone();
        let row = |route: &crate::app::replay::report::RouteFacts| {
            vec![policy.clone(), route.route.clone(), route.requests.to_string(), route.denied.to_string()]
        };
        facts.routes.iter().map(row).collect::<Vec<_>>()
    };
    let rows: Vec<Vec<String>> = report.policies.iter().flat_map(of).collect();
    (!rows.is_empty()).then(|| table(&["POLICY", "ROUTE", "REQUESTS", "DENIED"], &rows))
}

/// For each window a row; `cells` are its numbers.
fn windows(report: &Report, cells: fn(&WindowFacts) -> &[(String, u32)]) -> (Vec<String>, Vec<Vec<String>>) {
    let mut names = Vec::new();
    let mut rows = Vec::new();
    for facts in &report.policies {
        for group in &facts.groups {
            for window in group.windows.iter().filter(|window| !cells(window).is_empty()) {
                let cells = cells(window);
                names = cells.iter().map(|(name, _)| name.to_uppercase()).collect();
                let who = if group.who == "policy" { String::new() } else { format!(" ({})", group.who) };
                let mut row = vec![format!("{}{who}", facts.policy), group.identities.to_string()];
                row.extend([window.window.clone(), window.limit.to_string()]);
                row.extend(cells.iter().map(|(_, units)| units.to_string()));
                rows.push(row);
            }
        }
    }
    (names, rows)
}

fn of_windows(title: &str, (names, rows): (Vec<String>, Vec<Vec<String>>)) -> String {
    let head: Vec<&str> = ["POLICY", "IDENTITIES", "WINDOW", "LIMIT"]
        .into_iter()
        .chain(names.iter().map(String::as_str))
        .collect();
    format!("{title}\n{}", table(&head, &rows))
}

fn usage(report: &Report) -> String {
    of_windows(
        "units that identities use at their peak, if nobody is denied",
        windows(report, |window| &window.peak),
    )
}

fn suggestions(report: &Report) -> Option<String> {
    let (names, mut rows) = windows(report, |window| &window.suggested);
    if rows.is_empty() {
        return None;
    }
    let mut verdict = vec![
        format!("would deny of {}", report.requests),
        String::new(),
        String::new(),
        report.denied.to_string(),
    ];
    verdict.extend(report.suggestions.iter().map(|facts| facts.denied.to_string()));
    rows.push(verdict);
    Some(of_windows("limits under which all but the rest of the identities are never denied", (names, rows)))
}
