//! Does an answer go out in a content coding, and in which: one rule for what comes from a backend and for what is
//! stored. Pure.
//!
//! Nothing is coded twice, nothing whose sender forbids it (RFC 9110 section 7.7), nothing whose coding would make
//! another field untrue, and nothing that must arrive as it is written.

use crate::cache::coding::{Coding, Levels, choose};
use crate::cache::directives::members;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, TRAILER,
};
use std::fmt;

/// What is coded where the configuration names no types.
const TYPES: &[&str] = &[
    "text/*",
    "*+json",
    "*+xml",
    "application/json",
    "application/javascript",
    "application/x-javascript",
    "application/xml",
    "application/x-ndjson",
    "application/wasm",
    "font/ttf",
    "font/otf",
];

/// Shorter answers go out as they are: the head is larger than what would be saved, and both fit one packet.
const MIN_BYTES: u64 = 1_024;

/// Digests of the bytes as they were sent (RFC 9530 section 2, and older ones): a coding would make them untrue.
const DIGESTS: &[&str] = &["content-digest", "repr-digest", "digest", "content-md5"];

/// Media types of bytes that are compressed already.
const COMPRESSED: &[&str] = &[
    "application/zip",
    "application/gzip",
    "application/x-gzip",
    "application/zstd",
    "application/x-bzip2",
    "application/x-xz",
    "application/x-7z-compressed",
    "application/x-rar-compressed",
    "application/vnd.rar",
    "application/java-archive",
    "font/woff",
    "font/woff2",
];

/// What is coded, from which length on, and how hard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compression {
    /// The codings that are on.
    pub levels: Levels,
    /// Media types that are coded.
    pub types: Vec<MediaRange>,
    /// Bytes that an answer of known length must have.
    pub min_bytes: u64,
}

impl Default for Compression {
    fn default() -> Self {
        Self {
            levels: Levels { gzip: Some(6), brotli: Some(5), zstd: Some(3) },
            types: TYPES.iter().filter_map(|text| MediaRange::parse(text)).collect(),
            min_bytes: MIN_BYTES,
        }
    }
}

/// Some media types: one, `text/*`, or `*+json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaRange {
    /// This one.
    One(String),
    /// All of a top-level type, by what they begin with: `text/`.
    Family(String),
    /// All of a structured syntax (RFC 6839), by what they end with: `+json`.
    Suffix(String),
}

impl MediaRange {
    /// Reads one; letters become small. `None`: it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        let is_name = |name: &str| {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte))
        };
        if let Some(suffix) = text.strip_prefix('*') {
            let is_suffix = suffix.strip_prefix('+').is_some_and(is_name);
            return is_suffix.then(|| Self::Suffix(suffix.to_owned()));
        }
        let (family, name) = text.split_once('/')?;
        match name {
            "*" if is_name(family) => Some(Self::Family(format!("{family}/"))),
            name if is_name(family) && is_name(name) => Some(Self::One(text)),
            _ => None,
        }
    }

    /// Is there no type among these that is ever coded?
    #[must_use]
    pub fn is_vain(&self) -> bool {
        match self {
            Self::One(media) => is_never_coded(media),
            Self::Family(family) => matches!(family.as_str(), "image/" | "audio/" | "video/"),
            Self::Suffix(_) => false,
        }
    }

    fn has(&self, media: &str) -> bool {
        match self {
            Self::One(one) => one == media,
            Self::Family(start) => media.starts_with(start.as_str()),
            Self::Suffix(end) => media.ends_with(end.as_str()),
        }
    }
}

impl fmt::Display for MediaRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(media) => f.write_str(media),
            Self::Family(start) => write!(f, "{start}*"),
            Self::Suffix(end) => write!(f, "*{end}"),
        }
    }
}

/// Pictures other than the few that are plain text or plain pixels, sound, film, archives; events and gRPC, whose
/// messages must arrive as they are written.
fn is_never_coded(media: &str) -> bool {
    let is_plain_picture =
        media.ends_with("+xml") || matches!(media, "image/bmp" | "image/x-icon" | "image/vnd.microsoft.icon");
    media == "text/event-stream"
        || media.starts_with("application/grpc")
        || media.starts_with("audio/")
        || media.starts_with("video/")
        || (media.starts_with("image/") && !is_plain_picture)
        || COMPRESSED.contains(&media)
}

/// How an answer goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// As it is, whatever the client accepts.
    Never,
    /// As it is, because of what this request says: another might get it coded, so the answer varies.
    Plain,
    /// In this coding.
    In(Coding),
}

/// A response as far as the choice depends on it.
#[derive(Debug, Clone, Copy)]
pub struct Codable<'r> {
    /// Status.
    pub status: u16,
    /// Fields.
    pub headers: &'r HeaderMap,
    /// Bytes of the body where they are known other than by `Content-Length`.
    pub length: Option<u64>,
}

impl Compression {
    /// How the answer to a request goes out (RFC 9110 sections 8.4, 12.5.3).
    #[must_use]
    pub fn choose(&self, request: &HeaderMap, response: &Codable<'_>) -> Choice {
        if !self.is_codable(response) {
            return Choice::Never;
        }
        if forbids_transform(request) {
            return Choice::Plain;
        }
        choose(request, &self.levels).map_or(Choice::Plain, Choice::In)
    }

    /// Would some client get it coded?
    #[must_use]
    pub fn is_codable(&self, response: &Codable<'_>) -> bool {
        let headers = response.headers;
        // 206 and its like: offsets count bytes of the plain body.
        let has_whole_body = response.status >= 200 && !matches!(response.status, 204 | 205 | 206 | 304);
        let is_plain = !headers.contains_key(CONTENT_ENCODING) && !headers.contains_key(CONTENT_RANGE);
        let is_told = headers.contains_key(TRAILER) || DIGESTS.iter().any(|name| headers.contains_key(*name));
        let length = response.length.or_else(|| length(headers));
        self.levels.is_any()
            && has_whole_body
            && is_plain
            && !is_told
            && length.is_none_or(|length| length >= self.min_bytes)
            && self.has_type(headers)
            && !forbids_transform(headers)
    }

    fn has_type(&self, headers: &HeaderMap) -> bool {
        let media = media_type(headers);
        !is_never_coded(&media) && self.types.iter().any(|range| range.has(&media))
    }
}

/// The media type without parameters, in lower case; empty where there is none.
fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn forbids_transform(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(CACHE_CONTROL).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(members).any(|(name, _)| name == "no-transform")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::testing::headers;

    const GZIP: &[(&str, &str)] = &[("accept-encoding", "gzip")];

    fn choice(request: &[(&'static str, &str)], status: u16, response: &[(&'static str, &str)]) -> Choice {
        let response = Codable { status, headers: &headers(response), length: None };
        Compression::default().choose(&headers(request), &response)
    }

    fn of(fields: &[(&'static str, &str)]) -> Choice {
        choice(GZIP, 200, fields)
    }

    #[test]
    fn types_decide_and_streams_pictures_and_archives_never_match() {
        let coded = Choice::In(Coding::Gzip);
        for (media, expected) in [
            ("text/html; charset=utf-8", coded),
            ("Application/JSON", coded),
            ("application/problem+json", coded),
            ("image/svg+xml", coded),
            ("application/wasm", coded),
            ("text/event-stream", Choice::Never),
            ("application/grpc+json", Choice::Never),
            ("application/grpc", Choice::Never),
            ("image/png", Choice::Never),
            ("application/zip", Choice::Never),
            ("application/octet-stream", Choice::Never),
            ("", Choice::Never),
        ] {
            assert_eq!(of(&[("content-type", media)]), expected, "{media}");
        }
        assert_eq!(of(&[]), Choice::Never);
    }

    #[test]
    fn only_whole_answers_without_a_coding_are_coded() {
        let json = ("content-type", "application/json");
        for status in [101, 204, 205, 206, 304] {
            assert_eq!(choice(GZIP, status, &[json]), Choice::Never, "{status}");
        }
        assert_eq!(choice(GZIP, 404, &[json]), Choice::In(Coding::Gzip));
        for other in [
            ("content-encoding", "gzip"),
            ("content-encoding", "identity"),
            ("content-range", "bytes 0-1/2"),
            ("cache-control", "public, No-Transform"),
            ("content-digest", "sha-256=:AA==:"),
            ("repr-digest", "sha-256=:AA==:"),
            ("trailer", "X-Sum"),
            ("content-length", "1023"),
        ] {
            assert_eq!(of(&[json, other]), Choice::Never, "{other:?}");
        }
        assert_eq!(of(&[json, ("content-length", "1024")]), Choice::In(Coding::Gzip));
    }

    #[test]
    fn what_only_the_request_decides_makes_the_answer_vary() {
        let json = [("content-type", "application/json")];
        for request in [
            vec![],
            vec![("accept-encoding", "identity")],
            vec![("accept-encoding", "gzip;q=0")],
            vec![("accept-encoding", "gzip"), ("range", "bytes=0-1")],
            vec![("accept-encoding", "gzip"), ("cache-control", "no-transform")],
        ] {
            assert_eq!(choice(&request, 200, &json), Choice::Plain, "{request:?}");
        }
        let off = Compression { levels: Levels::default(), ..Compression::default() };
        let response = Codable { status: 200, headers: &headers(&json), length: None };
        assert_eq!(off.choose(&headers(GZIP), &response), Choice::Never);
    }

    #[test]
    fn a_known_length_counts_before_the_field() {
        let fields = headers(&[("content-type", "text/plain")]);
        let of = |length| {
            let response = Codable { status: 200, headers: &fields, length };
            Compression::default().choose(&headers(GZIP), &response)
        };
        assert_eq!((of(Some(10)), of(None)), (Choice::Never, Choice::In(Coding::Gzip)));
    }

    #[test]
    fn ranges_of_types_are_read_and_written_alike() {
        for text in TYPES.iter().chain(&["image/bmp", "application/vnd.x.y+json"]) {
            assert_eq!(MediaRange::parse(text).map(|range| range.to_string()).as_deref(), Some(*text));
        }
        for wrong in ["", "text", "*/*", "*", "*json", "text/", "/html", "text/ht ml", "text/html; q=1", "*+"]
        {
            assert_eq!(MediaRange::parse(wrong), None, "{wrong}");
        }
        for vain in
            ["text/event-stream", "image/*", "video/mp4", "image/png", "application/grpc", "application/zip"]
        {
            assert!(MediaRange::parse(vain).is_some_and(|range| range.is_vain()), "{vain}");
        }
        assert!(MediaRange::parse("image/svg+xml").is_some_and(|range| !range.is_vain()));
    }
}
