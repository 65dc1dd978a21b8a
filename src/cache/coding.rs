//! Content codings of a stored body: made once for an entry, not once for each answer.

use crate::cache::entry::Entry;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, RANGE};
use std::io::Write;
use std::sync::OnceLock;

/// A content coding (RFC 9110 section 8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// `zstd` (RFC 8878).
    Zstd,
    /// `br` (RFC 7932).
    Brotli,
    /// `gzip` (RFC 1952).
    Gzip,
}

/// The codings that are switched on, each with its level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Levels {
    /// 1–19.
    pub zstd: Option<u32>,
    /// 1–11.
    pub brotli: Option<u32>,
    /// 1–9.
    pub gzip: Option<u32>,
}

impl Levels {
    /// Is any coding on?
    #[must_use]
    pub fn is_any(&self) -> bool {
        [self.zstd, self.brotli, self.gzip].into_iter().flatten().any(|level| level > 0)
    }
}

impl Coding {
    /// In the order in which they are preferred where the client has no preference: cheapest to unpack first.
    const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// The word of `Content-Encoding`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    pub(super) fn level(self, levels: &Levels) -> Option<u32> {
        match self {
            Self::Zstd => levels.zstd,
            Self::Brotli => levels.brotli,
            Self::Gzip => levels.gzip,
        }
    }

    fn encode(self, body: &[u8], level: u32) -> Option<Vec<u8>> {
        match self {
            Self::Zstd => zstd::bulk::compress(body, i32::try_from(level).ok()?).ok(),
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
                encoder.write_all(body).ok()?;
                encoder.finish().ok()
            }
            Self::Brotli => {
                let mut out = Vec::new();
                let parameters = brotli::enc::BrotliEncoderParams {
                    quality: i32::try_from(level).ok()?,
                    size_hint: body.len(),
                    ..Default::default()
                };
                brotli::BrotliCompress(&mut &*body, &mut out, &parameters).ok()?;
                Some(out)
            }
        }
    }
}

/// What `Accept-Encoding` says, in thousandths.
struct Weights(Vec<(String, u32)>);

impl Weights {
    fn of(request: &HeaderMap) -> Self {
        let lines = request.get_all(ACCEPT_ENCODING).into_iter().filter_map(|line| line.to_str().ok());
        Self(lines.flat_map(|line| line.split(',')).filter_map(member).collect())
    }

    fn named(&self, name: &str) -> Option<u32> {
        self.0.iter().find(|(member, _)| member == name).map(|(_, weight)| *weight)
    }

    fn of_name(&self, name: &str) -> u32 {
        self.named(name).or_else(|| self.named("*")).unwrap_or(0)
    }

    /// What weighs most, and is cheapest among those; `None` where plain weighs more or nothing is taken.
    fn best(&self, levels: &Levels) -> Option<Coding> {
        let on = Coding::ALL.into_iter().filter(|coding| coding.level(levels).is_some_and(|level| level > 0));
        // The first of equals: `max_by_key` would take the last.
        let best = on.rev().max_by_key(|coding| self.of_name(coding.as_str()))?;
        let weight = self.of_name(best.as_str());
        (weight > 0 && weight >= self.named("identity").unwrap_or(0)).then_some(best)
    }
}

/// The coding in which a request should get a body, given the codings that are on: what the client weighs most, and what
/// is cheapest among those (RFC 9110 section 12.5.3). `None`: as it is, also where a part of it is asked for.
#[must_use]
pub fn choose(request: &HeaderMap, levels: &Levels) -> Option<Coding> {
    if request.contains_key(RANGE) {
        return None;
    }
    Weights::of(request).best(levels)
}

/// Name and weight in thousandths; a weight that cannot be read is 0.
fn member(text: &str) -> Option<(String, u32)> {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty())?.to_ascii_lowercase();
    let q = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    let weight = match q {
        None => 1_000,
        Some(text) => thousandths(text).unwrap_or(0),
    };
    Some((name, weight))
}

/// `0.5` as 500 (RFC 9110 section 12.4.2).
fn thousandths(text: &str) -> Option<u32> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = matches!(whole, "0" | "1") && fraction.len() <= 3;
    let fraction: u32 = format!("{fraction:0<3}").parse().ok().filter(|_| is_number)?;
    Some((u32::from(whole == "1") * 1_000 + fraction).min(1_000))
}

/// The coded bodies of one entry, each made when it is first asked for.
#[derive(Debug, Default)]
pub struct Codings([OnceLock<Option<Bytes>>; 3]);

impl Codings {
    fn place(&self, coding: Coding) -> &OnceLock<Option<Bytes>> {
        let [zstd, brotli, gzip] = &self.0;
        match coding {
            Coding::Zstd => zstd,
            Coding::Brotli => brotli,
            Coding::Gzip => gzip,
        }
    }

    /// Bytes of those that were made.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.0.iter().filter_map(OnceLock::get).flatten().map(Bytes::len).sum()
    }
}

impl Entry {
    /// The body in this coding, if it was made already; the inner `None` says that it saves nothing.
    #[must_use]
    pub fn coded(&self, coding: Coding) -> Option<Option<Bytes>> {
        self.codings().place(coding).get().cloned()
    }

    /// Makes the body in this coding, once: milliseconds for a large body. `None`: it saves nothing.
    #[must_use]
    pub fn make_coded(&self, coding: Coding, levels: &Levels) -> Option<Bytes> {
        let level = coding.level(levels)?;
        let make = || {
            let coded = coding.encode(&self.body, level)?;
            (coded.len() < self.body.len()).then(|| coded.into())
        };
        self.codings().place(coding).get_or_init(make).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::testing::headers;
    use std::io::Read;

    const ALL: Levels = Levels { zstd: Some(3), brotli: Some(5), gzip: Some(6) };

    #[test]
    fn the_clients_weights_decide_and_then_what_is_cheapest() {
        let (zstd, br, gzip) = (Some(Coding::Zstd), Some(Coding::Brotli), Some(Coding::Gzip));
        for (accepted, expected) in [
            ("gzip, deflate, br, zstd", zstd),
            ("gzip, br", br),
            ("gzip", gzip),
            ("GZIP;q=0.5, br;q=0.4", gzip),
            ("gzip;q=0", None),
            ("gzip;q=0.000, identity", None),
            ("*", zstd),
            ("*;q=0.1, zstd;q=0", br),
            ("identity, gzip;q=0.5", None),
            ("identity;q=0.5, gzip", gzip),
            ("deflate", None),
            ("gzip;q=2", None),
            ("gzip;q=x", None),
            ("", None),
        ] {
            assert_eq!(choose(&headers(&[("accept-encoding", accepted)]), &ALL), expected, "{accepted}");
        }
        let only_gzip = Levels { gzip: Some(6), ..Levels::default() };
        assert_eq!(choose(&headers(&[("accept-encoding", "br, gzip;q=0.1")]), &only_gzip), gzip);
        assert_eq!(choose(&headers(&[]), &ALL), None);
        assert_eq!(choose(&headers(&[("accept-encoding", "gzip"), ("range", "bytes=0-1")]), &ALL), None);
    }

    #[test]
    fn each_coding_is_made_once_and_unpacks_to_the_body() {
        let text = "{\"name\": \"value\", \"number\": 12}, ".repeat(200);
        let entry = crate::cache::entry::tests::entry_of("application/json", text.clone());
        for coding in Coding::ALL {
            assert_eq!(entry.coded(coding), None);
            let coded = entry.make_coded(coding, &ALL).expect("it saves much");
            assert_eq!(entry.coded(coding), Some(Some(coded.clone())));
            let mut plain = String::new();
            match coding {
                Coding::Zstd => {
                    plain = String::from_utf8(zstd::bulk::decompress(&coded, text.len()).expect("zstd"))
                        .expect("text");
                }
                Coding::Gzip => drop(flate2::read::GzDecoder::new(&*coded).read_to_string(&mut plain)),
                Coding::Brotli => drop(brotli::Decompressor::new(&*coded, 4_096).read_to_string(&mut plain)),
            }
            assert_eq!(plain, text, "{coding:?}");
        }
        assert!(entry.codings().weight() > 0 && entry.weight() > entry.body.len() as u64);
    }

    #[test]
    fn what_saves_nothing_is_not_kept() {
        let block = |n: u32| crate::base::Digester::new("noise").part(&n.to_le_bytes()).finish().0;
        let noise: Vec<u8> = (0..20).flat_map(block).collect();
        let entry = crate::cache::entry::tests::entry_of("text/plain", noise);
        assert_eq!(entry.make_coded(Coding::Gzip, &ALL), None);
        assert_eq!(entry.coded(Coding::Gzip), Some(None));
    }
}
