//! A table of broken files, `tests/configs/bad`: each fault at its line and column, with what to do.

use crate::config::{Env, Source, load};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs/bad")
}

/// `file LINE:COLUMN key`, a fault a line.
fn expected() -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(folder().join("expected.txt")).expect("the table");
    let mut table = BTreeMap::<String, Vec<String>>::new();
    for line in text.lines() {
        let (file, fault) = line.split_once(' ').expect("a file and a fault");
        table.entry(file.to_owned()).or_default().push(fault.to_owned());
    }
    table
}

#[test]
fn every_fault_of_every_broken_file_is_where_it_stands() {
    let table = expected();
    let files = fs::read_dir(folder()).expect("the folder").filter_map(Result::ok).map(|entry| entry.path());
    let files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|ext| ext == "yaml")).collect();
    assert!(
        files.len() >= 50 && files.len() == table.len(),
        "{} files, {} in the table",
        files.len(),
        table.len()
    );
    for path in files {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let faults = load(&Source::File(path.clone()), &Env::default(), 1).expect_err(&name);
        let found: Vec<String> = faults
            .list
            .iter()
            .map(|f| format!("{}:{} {}", f.at.line, f.at.column, f.key).trim_end().to_owned())
            .collect();
        assert_eq!(Some(&found), table.get(&name), "{name}\n{faults}");
        let shown = faults.to_string();
        for fault in &faults.list {
            assert!(!fault.remedy.is_empty() && !fault.says.contains('\n'), "{name}: {fault:?}");
            assert!(shown.contains(&format!("{name}:{}:{}: ", fault.at.line, fault.at.column)), "{shown}");
        }
    }
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
    let shown = format!("{:?} {}", loaded.snapshot.store, loaded.snapshot.effective);
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
