//! The tables of `docs/conformance.md` are those of the cases, line by line.

use super::{Case, Connection, Gets, View};
use std::fmt::Write;
use std::{env, fs};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/conformance.md");
const BEGIN: &str = "<!-- cases: begin -->\n";
const END: &str = "<!-- cases: end -->\n";

/// Title, test and table of each group.
const GROUPS: &[(&str, &str, &[Case])] = &[
    ("Content-Length", "lengths", super::lengths::CASES),
    ("Transfer-Encoding", "codings", super::codings::CASES),
    ("Chunks", "chunks", super::chunks::CASES),
    ("Lines", "lines", super::lines::CASES),
    ("Fields", "fields", super::fields::CASES),
    ("Host", "hosts", super::hosts::CASES),
    ("Targets", "targets", super::targets::CASES),
    ("Connections", "connections", super::connections::CASES),
    ("Bounds", "bounds", super::bounds::CASES),
    ("Methods", "methods", super::methods::CASES),
    ("Expectations", "expectations", super::expectations::CASES),
    ("One hop", "hops", super::hops::CASES),
    ("Upgrades", "upgrades", super::upgrades::CASES),
    ("Answers of backends", "answers", super::answers::CASES),
];

fn statuses(list: &[u16]) -> String {
    list.iter().map(u16::to_string).collect::<Vec<_>>().join("/")
}

fn client_sees(case: &Case) -> String {
    let view = match case.view {
        View::Answers(lists) => lists.iter().map(|list| statuses(list)).collect::<Vec<_>>().join(", then "),
        View::Cut => "visibly incomplete".to_owned(),
        View::Broken => "502 or visibly incomplete".to_owned(),
        View::BrokenOff(list) => format!("{} or nothing", statuses(list)),
    };
    let connection = match case.connection {
        Connection::Either => "",
        Connection::Kept => "; kept",
        Connection::Closed => "; closed",
    };
    format!("{view}{connection}")
}

fn backend_gets(case: &Case) -> &'static str {
    match case.gets {
        Gets::Anything => "",
        Gets::Nothing => "nothing",
        Gets::NoWhole => "no whole request",
        Gets::Requests([_]) => "exactly this request",
        Gets::Requests(_) => "exactly these requests, in order",
    }
}

fn tables() -> String {
    let mut text = String::new();
    for (title, module, cases) in GROUPS {
        let count = cases.len();
        write!(text, "\n### {title}\n\n{count} cases, `tests/it/rules/{module}.rs`.\n\n").expect("text");
        text.push_str("| case | source | client sees | backend gets |\n|---|---|---|---|\n");
        for case in *cases {
            let (sees, gets) = (client_sees(case), backend_gets(case));
            writeln!(text, "| {} | {} | {sees} | {gets} |", case.name, case.section).expect("text");
        }
    }
    text.push('\n');
    text
}

/// `TIDEGATE_WRITE_PAGES=1` writes them instead.
#[test]
fn the_page_has_every_case() {
    let page = fs::read_to_string(PAGE).expect("docs/conformance.md");
    let (before, rest) = page.split_once(BEGIN).expect("a mark where the tables begin");
    let (written, after) = rest.split_once(END).expect("a mark where the tables end");
    let tables = tables();
    if env::var_os("TIDEGATE_WRITE_PAGES").is_some() {
        fs::write(PAGE, format!("{before}{BEGIN}{tables}{END}{after}")).expect("docs/conformance.md");
        return;
    }
    assert!(
        written == tables,
        "docs/conformance.md differs from the cases; TIDEGATE_WRITE_PAGES=1 writes it"
    );
}

#[test]
fn every_case_has_a_name_of_its_own() {
    let mut names: Vec<&str> = GROUPS.iter().flat_map(|(_, _, cases)| *cases).map(|case| case.name).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}
