//! Fuzzing of every parser of ours: hostile bytes go in, and what must hold for any input is asserted.
//!
//! Each target replays its corpus (`corpus/TARGET/`, one input a file), then runs on inputs that are made from it by
//! chance for `FUZZ_SECONDS` (one second unless said). `docs/conformance.md` tells how to run longer, and how to let
//! libFuzzer look for inputs by coverage: `libfuzzer/` runs the same properties.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests stop at the first surprise, read their settings, measure real time and tell what they did"
)]

mod driver;
mod targets;

use std::collections::BTreeSet;
use std::fs;

/// One test for each target.
macro_rules! fuzzed {
    ($($behaviour:ident: $target:ident;)+) => {
        $(#[test] fn $behaviour() { driver::run(&targets::$target::TARGET); })+

        const TESTED: &[&str] = &[$(targets::$target::TARGET.name),+];
    };
}

fuzzed! {
    a_canonical_path_is_its_own_and_hides_nothing: path;
    an_authority_has_one_spelling: host;
    the_client_address_is_the_peer_or_what_a_trusted_peer_lists: forwarded;
    no_token_is_believed_without_its_key: token;
    a_certificate_that_cannot_be_read_names_nobody: certificate;
    every_fault_of_a_configuration_is_in_its_text: config;
    requests_share_a_key_only_if_all_keyed_parts_are_equal: key;
    a_request_is_read_the_same_wherever_the_reads_cut_it: wire;
    frames_are_counted_wherever_the_reads_cut_them: frames;
    a_preamble_names_the_address_that_it_holds: preamble;
    a_checked_request_reads_the_same_when_it_is_sent_on: request;
    a_stored_form_is_read_back_and_no_other_is_believed: entry;
    only_signed_messages_purge_and_only_what_they_name: webhook;
    fields_read_alike_in_one_line_or_several: fields;
    patterns_match_what_their_definition_says: pattern;
    quantities_are_read_as_they_are_written: units;
    nobody_is_counted_as_somebody_else: subject;
}

#[test]
fn every_target_has_a_test_and_a_corpus() {
    let named: BTreeSet<&str> = targets::ALL.iter().map(|target| target.name).collect();
    assert_eq!(named, TESTED.iter().copied().collect());
    let folders = fs::read_dir(driver::corpus()).expect("the corpus is in the repository");
    let folders =
        folders.map(|entry| entry.expect("a folder").file_name().into_string().expect("plain names"));
    let folders: BTreeSet<String> = folders.collect();
    assert_eq!(folders, named.iter().map(|name| (*name).to_owned()).collect());
}

#[test]
#[should_panic(expected = "\"x\"")]
fn an_input_that_breaks_a_property_is_found_and_made_small() {
    fn holds(input: &[u8]) {
        assert!(!input.contains(&b'x'));
    }
    driver::run(&targets::Target { name: "units", holds, words: &["x"], seeds: &[] });
}
