//! Durations, sizes and lengths of windows.

use super::{Target, text};
use tidegate::base::units::{format_duration, format_size, parse_duration, parse_size};
use tidegate::config::upstreams::parse_server;
use tidegate::config::windows::length_ms;

pub(crate) const TARGET: Target = Target {
    name: "units",
    holds,
    words: &[
        "0",
        "1",
        "-",
        "+",
        ".",
        " ",
        "ms",
        "s",
        "m",
        "h",
        "d",
        "B",
        "kB",
        "KiB",
        "MiB",
        "GiB",
        "18446744073709551615",
        "18446744073709551616",
        "213503982334",
        "1e3",
        "_",
        "\u{661}",
        ":",
        "[::1]:80",
    ],
    seeds: &[],
};

fn holds(input: &[u8]) {
    let text = text(input);
    if let Ok(duration) = parse_duration(&text) {
        assert_eq!(parse_duration(&format_duration(duration)), Ok(duration), "{text}");
    }
    if let Ok(size) = parse_size(&text) {
        assert_eq!(parse_size(&format_size(size)), Ok(size), "{text}");
    }
    if let Some(ms) = length_ms(&text) {
        assert!(text.bytes().any(|byte| byte.is_ascii_digit()), "{text:?} is {ms} ms");
    }
    drop(parse_server(&text));
}
