//! Patterns: globs of purges, paths of routes.

use super::{Target, lines, text};
use tidegate::cache::glob;
use tidegate::route::{Kind, Pattern};

pub(crate) const TARGET: Target = Target {
    name: "pattern",
    holds,
    words: &[
        "*",
        "**",
        "/",
        "/a/",
        "{id}",
        "{",
        "}",
        "~",
        "^",
        "$",
        "(a+)+",
        "(?i)",
        "\\",
        "[",
        "\n",
        "a",
        "b",
        "é",
        "//",
        "/{a}/{b}/",
    ],
    seeds: &[],
};

/// A pattern in the first line, a text in the second.
fn holds(input: &[u8]) {
    let mut rest = lines(input);
    let mut line = || text(rest.next().unwrap_or_default()).into_owned();
    let (pattern, path) = (line(), line());
    assert_eq!(
        glob::matches(&pattern, &path),
        defined(pattern.as_bytes(), path.as_bytes()),
        "{pattern} {path}"
    );
    let Ok(parsed) = Pattern::parse(&pattern) else { return };
    let matched = parsed.matches(&path);
    assert_eq!(parsed.matches(&path), matched);
    if parsed.kind() == Kind::Exact {
        let segments = |text: &str| {
            text.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(matched, segments(parsed.as_str()) == segments(&path), "{pattern} {path}");
    }
    if let Ok(again) = Pattern::parse(parsed.as_str()) {
        assert_eq!((again.kind(), again.matches(&path)), (parsed.kind(), matched));
    }
}

/// Does a pattern of stars match? Row by row: which beginnings of the pattern match the text so far.
fn defined(pattern: &[u8], text: &[u8]) -> bool {
    let through_stars = |mut row: Vec<bool>| {
        for (at, byte) in pattern.iter().enumerate() {
            row[at + 1] |= *byte == b'*' && row[at];
        }
        row
    };
    let mut begin = vec![false; pattern.len() + 1];
    begin[0] = true;
    let mut row = through_stars(begin);
    for letter in text {
        let mut next = vec![false; pattern.len() + 1];
        for (at, byte) in pattern.iter().enumerate() {
            next[at + 1] = if *byte == b'*' { row[at + 1] } else { row[at] && byte == letter };
        }
        row = through_stars(next);
    }
    row[pattern.len()]
}
