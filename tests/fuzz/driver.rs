//! Runs a target: its corpus, then inputs made from it by chance. Reproducible by `FUZZ_SEED`, which a failure tells.

use crate::targets::Target;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::{Duration, Instant};
use std::{env, fs};

/// The longest input that is made. No parser here is quadratic in what a head of 64 KiB may hold; longer ones cost speed.
const BYTES_MAX: usize = 8 << 10;

/// Memory that a process may map: an allocation by a length that nobody checked ends the test.
const MEMORY_MAX: u64 = 8 << 30;

/// How often a failing input is tried with a piece less.
const SHRINKS_MAX: usize = 4_000;

/// Where inputs are kept.
pub(crate) fn corpus() -> PathBuf {
    root().join("tests/fuzz/corpus")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Replays the corpus of `target`, then tries new inputs until its time is over.
///
/// # Panics
/// With the smallest input found, when the property does not hold.
pub(crate) fn run(target: &Target) {
    bound_memory();
    let seeds = seeds(target);
    for seed in &seeds {
        check(target, seed, "of the corpus");
    }
    let asked: Option<f64> = setting("FUZZ_SECONDS");
    // Without being asked to search, always the same inputs: what a change did not break does not fail beside it.
    let drawn = || if asked.is_some() { rand::random() } else { 1 };
    let (seconds, chance) = (asked.unwrap_or(1.0), setting("FUZZ_SEED").unwrap_or_else(drawn));
    let mut random = StdRng::seed_from_u64(chance);
    let begin = Instant::now();
    let mut runs: u64 = 0;
    while begin.elapsed() < Duration::from_secs_f64(seconds) {
        let input = made(target, &seeds, &mut random);
        check(target, &input, &format!("with FUZZ_SEED={chance}"));
        runs += 1;
    }
    println!("{}: {} of the corpus, {runs} by chance, FUZZ_SEED={chance}", target.name, seeds.len());
}

fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = env::var(name).ok()?;
    Some(text.parse().ok().unwrap_or_else(|| panic!("{name}={text} is not a number")))
}

fn bound_memory() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_AS).expect("limits can be read");
    setrlimit(Resource::RLIMIT_AS, MEMORY_MAX.min(hard), hard).expect("a limit can be lowered");
}

/// Every file of the target's folders, in the order of their names.
fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let own = corpus().join(target.name);
    let others = target.seeds.iter().map(|folder| root().join(folder));
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in others.chain([own]) {
        let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        files.extend(entries.map(|entry| entry.expect("an entry of the folder").path()));
    }
    files.retain(|file| file.is_file());
    files.sort();
    assert!(!files.is_empty(), "{} has no corpus", target.name);
    files.iter().map(|file| fs::read(file).expect("a file of the corpus")).collect()
}

/// One of the corpus with a few changes.
fn made(target: &Target, seeds: &[Vec<u8>], random: &mut StdRng) -> Vec<u8> {
    let mut input = seeds[random.random_range(0..seeds.len())].clone();
    let changes = 1 << random.random_range(0..5);
    for _ in 0..random.random_range(1..=changes) {
        change(&mut input, target.words, seeds, random);
    }
    input.truncate(BYTES_MAX);
    input
}

fn change(input: &mut Vec<u8>, words: &[&str], seeds: &[Vec<u8>], random: &mut StdRng) {
    let at = random.random_range(0..=input.len());
    let end = at + random.random_range(0..=(input.len() - at).min(32));
    match random.random_range(0..8) {
        0 if at < input.len() => input[at] ^= 1 << random.random_range(0..8),
        1 if at < input.len() => input[at] = random.random(),
        2 => input.insert(at, random.random_range(b' '..=b'~')),
        3 => drop(input.drain(at..end)),
        4 => {
            let again = input[at..end].to_vec();
            drop(input.splice(at..at, again));
        }
        5 => {
            let other = &seeds[random.random_range(0..seeds.len())];
            let from = random.random_range(0..=other.len());
            let to = from + random.random_range(0..=(other.len() - from).min(64));
            drop(input.splice(at..end, other[from..to].iter().copied()));
        }
        6 => input.truncate(at),
        _ if !words.is_empty() => {
            let word = words[random.random_range(0..words.len())];
            let end = if random.random() { at } else { end };
            drop(input.splice(at..end, word.bytes()));
        }
        _ => {}
    }
}

fn check(target: &Target, input: &[u8], origin: &str) {
    let Some(first) = broken(target, input) else { return };
    let smallest = shrunk(target, input);
    let says = broken(target, &smallest).unwrap_or(first);
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}", target.name));
    fs::write(&file, &smallest).expect("the folder for temporary files");
    panic!(
        "{}: an input {origin} breaks it: {says}\n\"{}\"\nkept as {}; with a name it belongs into tests/fuzz/corpus/{}/",
        target.name,
        smallest.escape_ascii(),
        file.display(),
        target.name
    );
}

/// What the property says against an input.
fn broken(target: &Target, input: &[u8]) -> Option<String> {
    silence();
    QUIET.set(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| (target.holds)(input)));
    QUIET.set(false);
    let panicked = outcome.err()?;
    let text = panicked.downcast_ref::<String>().cloned();
    Some(text.or_else(|| panicked.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// While an input is tried, its panic is a result and not told.
fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                usual(info);
            }
        }));
    });
}

/// A smaller input that breaks the property too: pieces are left out, from large to small.
fn shrunk(target: &Target, input: &[u8]) -> Vec<u8> {
    let mut smallest = input.to_vec();
    let mut tries = 0;
    let mut piece = smallest.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        while at < smallest.len() && tries < SHRINKS_MAX {
            let mut fewer = smallest.clone();
            fewer.drain(at..(at + piece).min(fewer.len()));
            tries += 1;
            if broken(target, &fewer).is_some() { smallest = fewer } else { at += piece }
        }
        if piece == 1 || tries >= SHRINKS_MAX {
            return smallest;
        }
        piece = piece.div_ceil(2);
    }
}
