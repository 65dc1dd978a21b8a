//! What must hold for any input, one file for each parser. Also compiled by `../libfuzzer`.

use http::{HeaderMap, HeaderName, HeaderValue};
use std::borrow::Cow;

pub(crate) mod certificate;
pub(crate) mod config;
pub(crate) mod entry;
pub(crate) mod fields;
pub(crate) mod forwarded;
pub(crate) mod frames;
pub(crate) mod host;
pub(crate) mod key;
pub(crate) mod path;
pub(crate) mod pattern;
pub(crate) mod preamble;
pub(crate) mod request;
pub(crate) mod subject;
pub(crate) mod token;
pub(crate) mod units;
pub(crate) mod webhook;
pub(crate) mod wire;

/// A parser under attack.
pub(crate) struct Target {
    /// Its name, and that of its folder in the corpus.
    pub(crate) name: &'static str,
    /// Panics when something does not hold for an input.
    pub(crate) holds: fn(&[u8]),
    /// What the parser's language is made of; inputs are made with them.
    pub(crate) words: &'static [&'static str],
    /// Further folders with inputs, from the root of the repository.
    pub(crate) seeds: &'static [&'static str],
}

/// All of them.
pub(crate) const ALL: &[&Target] = &[
    &certificate::TARGET,
    &config::TARGET,
    &entry::TARGET,
    &fields::TARGET,
    &forwarded::TARGET,
    &frames::TARGET,
    &host::TARGET,
    &key::TARGET,
    &path::TARGET,
    &pattern::TARGET,
    &preamble::TARGET,
    &request::TARGET,
    &subject::TARGET,
    &token::TARGET,
    &units::TARGET,
    &webhook::TARGET,
    &wire::TARGET,
];

/// Parsers of text get text.
fn text(input: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(input)
}

/// The lines `name: value` as fields; what no field can hold is left out.
fn fields_of<'l, I: Iterator<Item = &'l [u8]>>(lines: I) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        let Some(at) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(at);
        let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    headers
}

/// The lines of an input.
fn lines(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    input.split(|byte| *byte == b'\n')
}
