//! The stored forms of entries and vary records: what lies in a shared Redis may be anything.

use super::Target;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use tidegate::base::{Digest, Digester};
use tidegate::cache::codec::{BODY_MAX, Opened};
use tidegate::cache::{Entry, EntryHead, Label, Lifetime, Purge, VaryRecord, encode, open};

pub(crate) const TARGET: Target = Target {
    name: "entry",
    holds,
    words: &["TGE\u{2}", "TGV\u{1}", "\u{0}\u{0}\u{0}\u{0}", "content-type"],
    seeds: &[],
};

const KEY: Digest = Digest([7; 32]);
/// Where the lengths of the parts stand, and their end: see `src/cache/codec.rs`.
const LENGTHS_AT: usize = 4 + 16 + 32 + 32 + 16 + 2 + 2 + 4 * 8 + 4 * 4 + 2 * 8;
const PARTS: usize = 7;
const FIXED: usize = LENGTHS_AT + PARTS * 4;

fn holds(input: &[u8]) {
    read(input);
    read(&sealed(input));
    record(input);
    let entry = made(input);
    let stored = encode(&entry, &KEY);
    let opened = open(&stored.value, &KEY).expect("what was written can be read");
    assert_eq!(
        opened.wants().map(|(name, _)| name.to_owned()),
        stored.apart.as_ref().map(|apart| apart.name.clone())
    );
    let again = opened.with_body(stored.apart.map(|apart| apart.bytes)).expect("its own body fits");
    assert_eq!(again, entry);
    assert!(open(&stored.value, &Digest([8; 32])).is_err(), "an entry of another key");
    if let Some(purge) = str::from_utf8(input).ok().and_then(Purge::parse) {
        assert_eq!(Purge::parse(&purge.text()), Some(purge));
    }
}

/// Whatever is believed says the same when it is written again.
fn read(bytes: &[u8]) {
    let Ok(opened) = open(&Bytes::copy_from_slice(bytes), &KEY) else { return };
    let wants = opened.wants().map(|(_, length)| length);
    assert!(wants.is_none_or(|length| length <= BODY_MAX), "{wants:?}");
    // A body that stands apart is not here: any bytes in its place must be refused or be the body.
    let apart = wants.map(|length| Bytes::from(vec![0; length.min(1 << 16)]));
    let head = opened.head().clone();
    let Ok(entry) = Opened::with_body(opened, apart) else { return };
    assert!(entry.body.len() <= BODY_MAX);
    assert_eq!(entry.head.status, head.status);
    let stored = encode(&entry, &KEY);
    let again = open(&stored.value, &KEY).expect("what was written can be read");
    assert_eq!(again.with_body(stored.apart.map(|apart| apart.bytes)), Ok(entry));
}

/// The same bytes with the right key and a check that fits: only then what is inside is looked at.
fn sealed(input: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    if bytes.len() < FIXED {
        return bytes;
    }
    bytes[..4].copy_from_slice(b"TGE\x02");
    bytes[20..52].copy_from_slice(&KEY.0);
    let length = |part: usize| {
        let at = LENGTHS_AT + 4 * part;
        let four: [u8; 4] = bytes[at..at + 4].try_into().expect("four bytes");
        usize::try_from(u32::from_le_bytes(four)).expect("a length")
    };
    let end = (0..PARTS).map(length).fold(FIXED, usize::saturating_add).min(bytes.len());
    let check: [u8; 16] = Digester::new("tidegate entry check 2").part(&bytes[20..end]).finish().head();
    bytes[4..20].copy_from_slice(&check);
    bytes
}

fn record(input: &[u8]) {
    let check: [u8; 8] = Digester::new("tidegate vary record 1").part(input).finish().head();
    let sealed = [&b"TGV\x01"[..], &check, input].concat();
    for bytes in [input, &sealed] {
        if let Ok(record) = VaryRecord::decode(bytes) {
            assert_eq!(VaryRecord::decode(&record.encode()), Ok(record));
        }
    }
}

/// An entry of these bytes.
fn made(input: &[u8]) -> Entry {
    let (numbers, rest) = input.split_at(input.len().min(32));
    let mut eight = numbers.chunks(8).map(|chunk| {
        let mut bytes = [0; 8];
        bytes[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(bytes)
    });
    let mut number = || eight.next().unwrap_or_default();
    let four = |number: u64| u32::try_from(number & u64::from(u32::MAX)).expect("32 bits");
    let (first, second) = (number(), number());
    let lifetime = Lifetime {
        age_base_ms: number(),
        fresh_until_ms: number(),
        swr_s: four(first),
        sie_s: four(second),
        keep_s: four(first ^ second),
        ours: first & 1 == 1,
        strict: first & 2 == 2,
    };
    let words: Vec<String> =
        rest.split(|byte| *byte == b'\n').map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    let word = |at: usize| words.get(at).cloned().unwrap_or_default();
    let mut headers = HeaderMap::new();
    for pair in words.windows(2) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(&pair[0]), HeaderValue::from_str(&pair[1])) {
            headers.append(name, value);
        }
    }
    let label = Label {
        tenant: (first & 4 == 4).then(|| word(0).into()),
        namespace: word(1).into(),
        origin: word(2),
        target: word(3),
        tags: words.iter().skip(4).take(8).cloned().collect(),
    };
    let head = EntryHead {
        owner: Digest([word(0).len().to_le_bytes()[0]; 32]),
        label: label.into(),
        status: 200 + u16::try_from(first % 400).expect("below 400"),
        headers,
        lifetime,
        selecting: words.iter().filter_map(|word| HeaderName::try_from(word).ok()).take(4).collect(),
        stored_ms: second,
        birth: first,
        cost_ms: four(second),
    };
    let times = usize::try_from(first % 64).expect("below 64");
    Entry::new(head, Bytes::from(rest.repeat(times)))
}
