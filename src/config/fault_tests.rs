//! A table of broken files, `tests/configs/bad`: each fault at its line and column, with what to do.

use crate::config::{Env, Fault, Source, load};
use std::fs;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs/bad")
}

/// `LINE:COLUMN key` of each fault, from the comments that the file begins with.
fn expected(text: &str) -> Vec<&str> {
    text.lines().map_while(|line| line.strip_prefix("# expect: ")).collect()
}

#[test]
fn every_fault_of_every_broken_file_is_where_it_stands() {
    let files = fs::read_dir(folder()).expect("the folder").filter_map(Result::ok).map(|entry| entry.path());
    let files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|ext| ext == "yaml")).collect();
    assert!(files.len() >= 70, "{} files", files.len());
    let mut wrong = Vec::new();
    for path in files {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("readable");
        let faults = match load(&Source::File(path.clone()), &Env::default(), 1) {
            Ok(_) => {
                wrong.push(format!("{name} is accepted"));
                continue;
            }
            Err(faults) => faults,
        };
        let found: Vec<String> = faults
            .list
            .iter()
            .map(|f| format!("{}:{} {}", f.at.line, f.at.column, f.key).trim_end().to_owned())
            .collect();
        if found != expected(&text) {
            wrong.push(format!("{name}: {:?} is expected\n{faults}", expected(&text)));
        }
        assert!(faults.list.iter().is_sorted_by_key(|fault| fault.at), "{name}");
        for fault in &faults.list {
            assert!(!fault.remedy.is_empty() && !fault.says.contains('\n'), "{name}: {fault:?}");
            points_at_its_source(&path, &text, fault);
        }
    }
    assert!(wrong.is_empty(), "{} files\n\n{}", wrong.len(), wrong.join("\n\n"));
}

/// File, line and column in front; then the line itself, and a caret under the column.
fn points_at_its_source(path: &Path, text: &str, fault: &Fault) {
    let file = path.display().to_string();
    let shown = fault.render(&file, text);
    let (line, column) = (fault.at.line, fault.at.column);
    let mut lines = shown.lines();
    let head = lines.next().expect("a head");
    assert!(head.starts_with(&format!("{file}:{line}:{column}: ")), "{shown}");
    assert!(head.contains(&fault.key) && head.ends_with(&fault.remedy), "{shown}");
    let source = text.lines().nth(line - 1).expect("the fault stands in the file");
    assert_eq!(lines.next(), Some(&*format!("  {source}")), "{shown}");
    assert_eq!(lines.next(), Some(&*format!("  {}^", " ".repeat(column - 1))), "{shown}");
    assert!(column <= source.chars().count() + 1, "{shown}");
    assert_eq!(lines.next(), None, "{shown}");
}

#[test]
fn a_file_that_cannot_be_read_says_how_to_go_on() {
    for path in [folder().join("nowhere.yaml"), folder()] {
        let faults = load(&Source::File(path.clone()), &Env::default(), 1).expect_err("unreadable");
        let shown = faults.to_string();
        assert_eq!(faults.list.len(), 1, "{shown}");
        assert!(shown.starts_with(&format!("{}:1:1: it cannot be read", path.display())), "{shown}");
        assert!(shown.contains("--config") && shown.contains("--upstream HOST:PORT"), "{shown}");
    }
}

#[test]
fn words_that_look_like_numbers_stay_as_they_are_written() {
    let text = "upstreams: {b: a:1}\nstore: {password: 00123, prefix: 1e5, url: \"redis://r\"}\n\
        admin: {token: 0x1F}\nroutes: [{path: /, host: 1_0}]\n";
    let source = Source::Text { name: "t".into(), text: text.into() };
    let snapshot = load(&source, &Env::default(), 1).expect("valid").snapshot;
    assert_eq!(snapshot.store.prefix, "1e5");
    assert_eq!(snapshot.admin.token.expect("a token").expose(), "0x1F");
    let crate::base::StoreUrl::Redis(url) = snapshot.store.url else { panic!("a Redis") };
    assert_eq!(url.expose(), "redis://:00123@r");
}

#[test]
fn a_url_of_sentinels_says_which_primary_they_watch() {
    let load = |url: &str| {
        let text = format!("upstreams: {{b: a:1}}\nstore: {{url: \"{url}\"}}\nroutes: [{{path: /}}]\n");
        load(&Source::Text { name: "t".into(), text }, &Env::default(), 1)
    };
    assert!(load("redis-sentinel://:hunter2@s:26379?sentinelServiceName=main&node=t:26379").is_ok());
    for scheme in ["redis-sentinel", "rediss-sentinel"] {
        let faults = load(&format!("{scheme}://:hunter2@s:26379")).expect_err("no name").to_string();
        assert!(faults.contains("add `?sentinelServiceName=NAME`"), "{faults}");
        assert_eq!(faults.matches("hunter2").count(), 1, "only in the line of the file: {faults}");
    }
}

#[test]
fn null_turns_compression_off() {
    let text = "upstreams: {b: a:1}\nserver: {compression: null}\nroutes: [{path: /}]\n";
    let source = Source::Text { name: "t".into(), text: text.into() };
    let compression = load(&source, &Env::default(), 1).expect("valid").snapshot.server.compression;
    assert_eq!(compression.levels, crate::cache::Levels::default());
}

#[test]
fn the_environment_overrides_the_file_and_its_faults_name_the_variable() {
    let text = "upstreams: {b: \"127.0.0.1:1\"}\nlimits: {default: {windows: {1m: 60, 1d: 9}}}\n\
        cache: {namespaces: {a: {}}}\nroutes: [{path: /, cache: a}]\n";
    let source = Source::Text { name: "t".into(), text: text.into() };
    let env = Env::of(&[
        ("RATE_LIMIT_PER_MINUTE", "7"),
        ("RATE_LIMIT_PER_HOUR", "8"),
        ("CACHE_DEFAULT_TTL", "90"),
        ("REDIS_URL", "redis://127.0.0.1:1"),
        ("REDIS_PASSWORD", "p@ss"),
    ]);
    let loaded = load(&source, &env, 1).expect("valid");
    let windows: Vec<(u32, u32)> =
        loaded.snapshot.policies[0].windows.as_slice().iter().map(|w| (w.length_ms, w.limit)).collect();
    assert_eq!(windows, [(60_000, 7), (3_600_000, 8), (86_400_000, 9)]);
    assert_eq!(loaded.snapshot.namespaces[0].ttl, Some(std::time::Duration::from_secs(90)));
    let shown = format!("{:?} {}", loaded.snapshot.store, crate::config::effective(&loaded.snapshot));
    assert!(shown.contains("redis://127.0.0.1:1") && !shown.contains("p%40ss"), "{shown}");
    let off = Env::of(&[("ENABLE_RATE_LIMITING", "false"), ("ENABLE_CACHING", "off")]);
    let loaded = load(&source, &off, 1).expect("valid");
    let route = loaded.snapshot.routes.iter().next().expect("a route").1;
    assert!(route.policies.is_empty() && route.namespace.is_none());
    let wrong =
        [("RATE_LIMIT_PER_HOUR", "many"), ("ENABLE_CACHING", "perhaps"), ("CACHE_DEFAULT_TTL", "soon")];
    let faults = load(&source, &Env::of(&wrong), 1).expect_err("three faults").to_string();
    assert!(wrong.iter().all(|(name, _)| faults.contains(name)), "{faults}");
}
