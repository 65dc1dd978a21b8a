//! Host and port: part of every key, and what routes are found by.

use super::{Target, text};
use tidegate::message::{host, normal_authority};
use tidegate::route::parse_host;

pub(crate) const TARGET: Target = Target {
    name: "host",
    holds,
    words: &[
        "a.example",
        "A",
        ".",
        "..",
        ":",
        ":80",
        ":443",
        ":080",
        ":65536",
        ":+80",
        "[",
        "]",
        "[::1]",
        "[::ffff:1.2.3.4]",
        "@",
        "%2e",
        "*.",
        "_",
        "-",
        "xn--",
        "/",
        "\u{0}",
        "\u{212a}",
        "\u{130}",
    ],
    seeds: &[],
};

fn holds(input: &[u8]) {
    let text = text(input);
    for (scheme, default) in [("http", ":80"), ("https", ":443")] {
        let Some(once) = normal_authority(&text, scheme) else { continue };
        assert_eq!(normal_authority(&once, scheme).as_ref(), Some(&once), "{text:?} has two spellings");
        assert!(once.is_ascii() && !once.bytes().any(|byte| byte.is_ascii_uppercase()), "{once:?}");
        assert!(!once.contains(['@', '/', '?', '#', ' ', ',']), "{once:?} is more than an authority");
        assert!(!once.ends_with(default), "{once:?} names the default port");
        assert!(!host(&once).is_empty() && !host(&once).ends_with('.'), "{once:?}");
    }
    if let Ok(once) = parse_host(&text) {
        assert_eq!(parse_host(&once).as_ref(), Ok(&once), "{text:?} has two spellings");
    }
}
