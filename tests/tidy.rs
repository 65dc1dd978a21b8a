//! The house rules, as a test: layers, outside crates, file and function length, module docs, names.
//!
//! Runs with `cargo test`, needs no crate and no network. Relies on rustfmt: a function ends at the first `}` in the
//! column where its `fn` line starts.

#![expect(clippy::expect_used, reason = "a test reads its own sources or fails")]

use std::path::{Path, PathBuf};
use std::{fs, iter};

/// One row of the table in `docs/ARCHITECTURE.md`.
struct Layer {
    /// 0 and 1 are pure.
    height: u8,
    module: &'static str,
    /// The modules that it may name beside itself.
    sees: &'static [&'static str],
}

const PURE: &[&str] = &["base", "identity", "route", "message", "limit", "cache", "upstream"];
const SERVING: &[&str] =
    &["base", "identity", "route", "message", "limit", "cache", "upstream", "config", "telemetry", "store"];
const ANSWERING: &[&str] = &[
    "base",
    "identity",
    "route",
    "message",
    "limit",
    "cache",
    "upstream",
    "config",
    "telemetry",
    "store",
    "web",
];

/// Lowest first. A directory in `src` without a row here is a fault.
const LAYERS: &[Layer] = &[
    Layer { height: 0, module: "base", sees: &[] },
    Layer { height: 1, module: "identity", sees: &["base"] },
    Layer { height: 1, module: "route", sees: &["base"] },
    Layer { height: 1, module: "message", sees: &["base"] },
    Layer { height: 1, module: "limit", sees: &["base", "identity"] },
    Layer { height: 1, module: "cache", sees: &["base", "identity"] },
    Layer { height: 1, module: "upstream", sees: &["base"] },
    Layer { height: 2, module: "config", sees: PURE },
    Layer { height: 2, module: "telemetry", sees: &["base"] },
    Layer { height: 2, module: "web", sees: &["base"] },
    Layer {
        height: 3,
        module: "store",
        sees: &["base", "identity", "route", "message", "limit", "cache", "upstream", "telemetry"],
    },
    Layer { height: 4, module: "proxy", sees: SERVING },
    Layer { height: 4, module: "admin", sees: ANSWERING },
    Layer {
        height: 4,
        module: "companion",
        sees: &["base", "identity", "cache", "telemetry", "store", "web"],
    },
    Layer {
        height: 5,
        module: "app",
        sees: &[
            "base",
            "identity",
            "route",
            "message",
            "limit",
            "cache",
            "upstream",
            "config",
            "telemetry",
            "store",
            "web",
            "proxy",
            "admin",
            "companion",
        ],
    },
];

/// Which outside crate may be named below which paths only.
const DOORS: &[(&str, &[&str])] = &[
    ("jsonwebtoken", &["identity/"]),
    ("serde_saphyr", &["config/"]),
    ("notify", &["config/"]),
    ("prometheus", &["telemetry/"]),
    ("tracing_subscriber", &["telemetry/"]),
    ("fred", &["store/redis"]),
    ("pingora", &["proxy/"]),
    ("axum", &["web/", "admin/", "companion/", "app/demo"]),
    ("rust_xlsxwriter", &["companion/exports/"]),
    ("sqlx", &["companion/data/"]),
    ("jiff", &["companion/data/", "base/zone_name.rs"]),
    ("clap", &["app/"]),
    ("clap_complete", &["app/"]),
];

/// What layers 0 and 1 never name, because they do no I/O, read no clock and take no lock; and where they may.
const IMPURE: &[(&str, &[&str])] = &[
    ("tokio", &["base/tasks.rs"]),
    ("std::time::Instant", &["base/clock.rs"]),
    ("std::time::SystemTime", &["base/clock.rs"]),
    ("parking_lot", &[]),
    ("std::fs", &[]),
    ("std::net::TcpStream", &[]),
    ("std::thread", &[]),
];

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 60;
/// Names under which anything may hide.
const EMPTY_NAMES: &[&str] = &["utils", "util", "helpers", "helper", "common", "misc"];
/// Notes to oneself belong into an issue.
const NOTES: &[&str] = &["TODO", "FIXME", "XXX", "todo!(", "unimplemented!("];

#[test]
fn sources_keep_the_house_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut faults = Vec::new();
    for (name, text) in sources(&root.join("src")) {
        faults.extend(product_faults(&name, &text));
    }
    for beside in ["tests/it", "tests/fuzz", "benches"] {
        for (name, text) in sources(&root.join(beside)) {
            faults.extend(size_faults(&name, &text));
            faults.extend(text_faults(&name, &text));
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_planted_fault_is_found() {
    let long_function = format!("//! Doc.\nfn long() {{\n{}}}\n", "    work();\n".repeat(FUNCTION_LINES_MAX));
    let long_file = format!("//! Doc.\n{}", "const A: u8 = 1;\n".repeat(FILE_LINES_MAX));
    let planted: &[(&str, &str, &str)] = &[
        ("limit/a.rs", "//! Doc.\nuse crate::store::Limiter;\n", "`limit` must not know `store`"),
        ("cache/a.rs", "//! Doc.\nuse crate::limit::Policy;\n", "`cache` must not know `limit`"),
        ("telemetry/a.rs", "//! Doc.\nuse crate::config::Snapshot;\n", "`telemetry` must not know `config`"),
        ("proxy/a.rs", "//! Doc.\nlet x = crate::admin::answer();\n", "`proxy` must not know `admin`"),
        ("store/a.rs", "//! Doc.\nuse crate::{base, limit};\n", "grouped"),
        ("plugins/a.rs", "//! Doc.\n", "no row"),
        ("route/a.rs", "//! Doc.\nuse jsonwebtoken::decode;\n", "`jsonwebtoken` belongs to identity/"),
        ("store/memory.rs", "//! Doc.\nuse fred::prelude::Client;\n", "`fred` belongs to store/redis"),
        ("app/run.rs", "//! Doc.\nuse axum::Router;\n", "`axum` belongs to web/ admin/ companion/ app/demo"),
        ("admin/a.rs", "//! Doc.\nuse pingora::proxy::Session;\n", "`pingora` belongs to proxy/"),
        ("admin/a.rs", "//! Doc.\nuse pingora_core::Error;\n", "`pingora` belongs to proxy/"),
        ("companion/a.rs", "//! Doc.\nuse crate::config::Env;\n", "`companion` must not know `config`"),
        ("app/a.rs", "//! Doc.\nuse sqlx::PgPool;\n", "`sqlx` belongs to companion/"),
        ("limit/a.rs", "//! Doc.\nuse tokio::sync::Notify;\n", "pure"),
        ("cache/a.rs", "//! Doc.\nuse std::time::{Duration, Instant};\n", "pure"),
        ("identity/a.rs", "//! Doc.\nuse parking_lot::Mutex;\n", "pure"),
        ("base/a.rs", &long_function, "function of 62 lines"),
        ("base/a.rs", &long_file, "401 lines"),
        ("base/a.rs", "use std::fmt;\n", "no module doc"),
        ("base/a.rs", "//! Doc.\n#[ignore]\nfn slow() {}\n", "without a reason"),
        ("base/a.rs", "//! Doc.\n// TODO: later\n", "`TODO`"),
        ("base/utils.rs", "//! Doc.\n", "says nothing"),
        ("base/helpers/mod.rs", "//! Doc.\n", "says nothing"),
    ];
    for (name, text, expected) in planted {
        let faults = product_faults(name, text);
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{name} {text:?}: {faults:?}");
    }
}

#[test]
fn sound_sources_have_no_fault() {
    let sound: &[(&str, &str)] = &[
        ("limit/a.rs", "//! Doc of crate::store.\nuse crate::base::Digest;\nuse crate::limit::Policy;\n"),
        ("limit/a.rs", "//! Doc.\n#[cfg(test)]\nmod tests {\n    use crate::store::Limiter;\n}\n"),
        ("store/redis/mod.rs", "//! Doc.\nuse fred::prelude::Client;\n"),
        ("base/tasks.rs", "//! Doc.\ntokio::select! {}\n"),
        ("base/a.rs", "//! Doc.\n#[ignore = \"takes an hour\"]\nfn slow() {}\n"),
        ("main.rs", "//! Doc.\nuse tidegate::app;\n"),
        ("lib.rs", "//! Doc.\npub mod base;\n"),
    ];
    for (name, text) in sound {
        assert_eq!(product_faults(name, text), Vec::<String>::new(), "{name} {text:?}");
    }
}

/// Everything that is wrong with a file of `src`; `name` is its path below `src`.
fn product_faults(name: &str, text: &str) -> Vec<String> {
    let mut faults = text_faults(name, text);
    faults.extend(size_faults(name, text));
    let Some((module, _)) = name.split_once('/') else {
        // `lib.rs` and `main.rs` only name the modules.
        return faults;
    };
    match LAYERS.iter().find(|layer| layer.module == module) {
        Some(layer) if !is_test_file(name) => {
            faults.extend(layer_faults(name, text, layer));
            faults.extend(door_faults(name, text, layer));
        }
        Some(_) => {}
        None => faults.push(format!("{name}: `{module}` has no row in the table of layers")),
    }
    faults
}

/// Test modules in a file of their own may name anything.
fn is_test_file(name: &str) -> bool {
    name.ends_with("/tests.rs") || name.ends_with("_tests.rs") || name.contains("/tests/")
}

/// Production lines with their number, without comments: everything before the test module.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let next = text.lines().skip(1).chain(iter::once(""));
    text.lines()
        .zip(next)
        .take_while(|(line, next)| !(line.starts_with("#[cfg(test)]") && next.starts_with("mod tests")))
        .enumerate()
        .map(|(index, (line, _))| (index + 1, line.split("//").next().unwrap_or("")))
}

/// Does `line` name `word` as a whole path segment or crate?
fn names(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|text| text.chars().next());
        let part =
            |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
        !part(before) && !part(after)
    })
}

fn layer_faults(name: &str, text: &str, layer: &Layer) -> Vec<String> {
    let module = layer.module;
    let mut faults = Vec::new();
    for (number, line) in code_lines(text) {
        if line.contains("crate::{") {
            faults.push(format!("{name}:{number}: grouped `crate::{{` hides whom the file knows"));
        }
        for other in LAYERS.iter().map(|other| other.module).filter(|other| *other != module) {
            if names(line, &format!("crate::{other}")) && !layer.sees.contains(&other) {
                faults.push(format!("{name}:{number}: `{module}` must not know `{other}`"));
            }
        }
    }
    faults
}

fn door_faults(name: &str, text: &str, layer: &Layer) -> Vec<String> {
    let mut faults = Vec::new();
    for (number, line) in code_lines(text) {
        for (outside, homes) in DOORS {
            let named = line.contains(&format!("{outside}::")) && names(line, outside)
                || line.contains(&format!("use {outside}_")) && *outside == "pingora";
            if named && !homes.iter().any(|home| name.starts_with(home)) {
                faults.push(format!("{name}:{number}: `{outside}` belongs to {}", homes.join(" ")));
            }
        }
        for (word, homes) in IMPURE.iter().filter(|_| layer.height < 2) {
            if names_path(line, word) && !homes.contains(&name) {
                faults.push(format!("{name}:{number}: pure modules never name `{word}`"));
            }
        }
    }
    faults
}

/// Does `line` name the path `word`, be it in a group such as `std::time::{Duration, Instant}`?
fn names_path(line: &str, word: &str) -> bool {
    let grouped = word.rsplit_once("::").is_some_and(|(parent, last)| {
        line.split_once(&format!("{parent}::{{")).is_some_and(|(_, group)| names(group, last))
    });
    grouped || (names(line, word) && (word.contains("::") || line.contains(&format!("{word}::"))))
}

fn size_faults(name: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let lines: Vec<&str> = code_lines(text).map(|(_, line)| line.trim_end()).collect();
    if lines.len() > FILE_LINES_MAX && !is_test_file(name) {
        faults.push(format!("{name}: {} lines, at most {FILE_LINES_MAX}", lines.len()));
    }
    for (start, line) in lines.iter().enumerate() {
        if !begins_function(line) || line.ends_with(['}', ';']) {
            continue;
        }
        let indent = " ".repeat(line.len() - line.trim_start().len());
        let ends = |line: &&str| {
            let rest = line.strip_prefix(indent.as_str());
            rest.is_some_and(|rest| rest == "}" || (rest.starts_with(')') && rest.ends_with(';')))
        };
        let length = lines.iter().skip(start).position(ends).map_or(1, |at| at + 1);
        if length > FUNCTION_LINES_MAX {
            let number = start + 1;
            faults.push(format!("{name}:{number}: function of {length} lines, at most {FUNCTION_LINES_MAX}"));
        }
    }
    faults
}

fn begins_function(line: &str) -> bool {
    let head = line.split('(').next().unwrap_or("").trim_start();
    let head = if head == "pub" { line.split_once(") ").map_or("", |(_, rest)| rest) } else { head };
    head.split_whitespace()
        .take_while(|word| ["pub", "async", "const", "unsafe", "fn"].contains(word))
        .any(|word| word == "fn")
}

fn text_faults(name: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if !text.starts_with("//!") {
        faults.push(format!("{name}: no module doc on line 1"));
    }
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        if line.trim() == "#[ignore]" {
            faults.push(format!("{name}:{number}: `#[ignore]` without a reason"));
        }
        for note in NOTES.iter().filter(|note| line.contains(**note)) {
            faults.push(format!("{name}:{number}: `{note}` belongs into an issue"));
        }
    }
    let parts = Path::new(name).iter().filter_map(|part| part.to_str());
    for part in parts.map(|part| part.trim_end_matches(".rs")).filter(|part| EMPTY_NAMES.contains(part)) {
        faults.push(format!("{name}: `{part}` says nothing about what is inside"));
    }
    faults
}

/// Every Rust file below `dir` as (path below it, text), in a stable order.
fn sources(dir: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    collect(dir, &mut files);
    files.sort();
    let named = files.into_iter().map(|file| {
        let text = fs::read_to_string(&file).expect("a source file is readable text");
        let name = file.strip_prefix(dir).expect("collected below dir").display().to_string();
        (name, text)
    });
    named.collect()
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
