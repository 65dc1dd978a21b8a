//! libFuzzer's entry: the target that `FUZZ_TARGET` names.

#![no_main]

#[path = "../targets/mod.rs"]
mod targets;

use std::env;
use std::sync::LazyLock;
use targets::Target;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let names: Vec<&str> = targets::ALL.iter().map(|target| target.name).collect();
    let wanted = env::var("FUZZ_TARGET").unwrap_or_default();
    let found = targets::ALL.iter().find(|target| target.name == wanted);
    found.unwrap_or_else(|| panic!("FUZZ_TARGET={wanted}: there are {}", names.join(", ")))
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| (TARGET.holds)(input));
