//! The stored form of an entry, version 1: one string with a fixed head.
//!
//! ```text
//! magic "TGE", version            4
//! check                          16   BLAKE3-128 of everything from here to the body
//! key, owner                  32+32
//! body digest                    16   BLAKE3-128 of the body
//! flags, status                 2+2
//! stored, age base, fresh until 3×8   wall milliseconds
//! swr, sie, keep                3×4   seconds
//! lengths: namespace, selecting, fields, extension (4×4), body (8)
//! namespace, selecting, fields, extension, body
//! ```
//!
//! Numbers are little-endian. The extension is empty in version 1; it is where generations and tags will stand.
//! A value that differs from this in one byte, or says another version, is an error: whoever reads it has a miss.
//! Never trusts a length before it has been compared with what is there.

use crate::base::{Digest, Digester};
use crate::cache::entry::{Entry, EntryHead, body_digest};
use crate::cache::lifetime::Lifetime;
use crate::cache::vary::SELECTING_MAX;
use bytes::{BufMut, Bytes, BytesMut};
use http::header::{HeaderMap, HeaderName, HeaderValue};

const MAGIC: [u8; 4] = *b"TGE\x01";
const CHECK_BYTES: usize = 16;
const OURS: u16 = 1;
const STRICT: u16 = 1 << 1;

/// How many field lines an entry may have: a sanity bound for what is read.
const FIELDS_MAX: usize = 1_024;

/// Why bytes are not an entry. For the reader each is a miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntryFault {
    /// Another program's value, or another version's.
    #[error("not an entry of this version")]
    Foreign,
    /// It ends early, or goes on.
    #[error("lengths do not add up")]
    Length,
    /// A check does not fit.
    #[error("check does not fit the content")]
    Check,
    /// It is whole but says what no entry says.
    #[error("content is not an entry's")]
    Content,
    /// It is an entry of another key.
    #[error("entry of another key")]
    Key,
}

/// The stored form of an entry under `key`. The body is copied once.
#[must_use]
pub fn encode(entry: &Entry, key: &Digest) -> Bytes {
    let head = &entry.head;
    let (selecting, fields) = (encode_selecting(&head.selecting), encode_fields(&head.headers));
    let namespace = head.namespace.as_bytes();
    let capacity = 224 + namespace.len() + selecting.len() + fields.len() + entry.body.len();

    let mut out = BytesMut::with_capacity(capacity);
    out.put_slice(&MAGIC);
    out.put_bytes(0, CHECK_BYTES);
    out.put_slice(&key.0);
    out.put_slice(&head.owner.0);
    out.put_slice(entry.body_digest());
    let lifetime = &head.lifetime;
    out.put_u16_le(if lifetime.ours { OURS } else { 0 } | if lifetime.strict { STRICT } else { 0 });
    out.put_u16_le(head.status);
    for time in [head.stored_ms, lifetime.age_base_ms, lifetime.fresh_until_ms] {
        out.put_u64_le(time);
    }
    for window in [lifetime.swr_s, lifetime.sie_s, lifetime.keep_s] {
        out.put_u32_le(window);
    }
    for length in [namespace.len(), selecting.len(), fields.len(), 0] {
        out.put_u32_le(u32::try_from(length).unwrap_or(u32::MAX));
    }
    out.put_u64_le(u64::try_from(entry.body.len()).unwrap_or(u64::MAX));
    for part in [namespace, &selecting, &fields] {
        out.put_slice(part);
    }
    let check = check_of(out.get(MAGIC.len() + CHECK_BYTES..).unwrap_or_default());
    for (slot, byte) in out.iter_mut().skip(MAGIC.len()).zip(check) {
        *slot = byte;
    }
    out.put_slice(&entry.body);
    out.freeze()
}

/// Reads a stored form. The body shares the bytes of `stored`.
///
/// # Errors
/// [`EntryFault`] for anything that [`encode`] did not write for `key`.
pub fn decode(stored: &Bytes, key: &Digest) -> Result<Entry, EntryFault> {
    let mut reader = Reader { rest: stored };
    if reader.take(MAGIC.len())? != MAGIC {
        return Err(EntryFault::Foreign);
    }
    let check = reader.array::<CHECK_BYTES>()?;
    let checked = reader.rest;
    let head = Head::read(&mut reader)?;
    let [namespace, selecting, fields, extension] = head.lengths;
    let (namespace, selecting) = (reader.take(namespace)?, reader.take(selecting)?);
    let (fields, _extension) = (reader.take(fields)?, reader.take(extension)?);
    if reader.rest.len() != head.body {
        return Err(EntryFault::Length);
    }
    let (before_body, body) =
        checked.split_at_checked(checked.len() - head.body).ok_or(EntryFault::Length)?;
    if check_of(before_body) != check || body_digest(body) != head.body_digest {
        return Err(EntryFault::Check);
    }
    if head.key != *key {
        return Err(EntryFault::Key);
    }
    let entry_head = EntryHead {
        owner: head.owner,
        namespace: std::str::from_utf8(namespace).map_err(|_invalid| EntryFault::Content)?.into(),
        status: head.status,
        headers: decode_fields(fields)?,
        lifetime: head.lifetime,
        selecting: decode_selecting(selecting)?,
        stored_ms: head.stored_ms,
    };
    Ok(Entry::restored(entry_head, stored.slice(stored.len() - head.body..), head.body_digest))
}

/// The fixed part behind the check.
struct Head {
    key: Digest,
    owner: Digest,
    body_digest: [u8; 16],
    status: u16,
    stored_ms: u64,
    lifetime: Lifetime,
    /// Namespace, selecting, fields, extension.
    lengths: [usize; 4],
    body: usize,
}

impl Head {
    fn read(reader: &mut Reader<'_>) -> Result<Self, EntryFault> {
        let (key, owner) = (Digest(reader.array()?), Digest(reader.array()?));
        let body_digest = reader.array()?;
        let (flags, status) = (reader.u16()?, reader.u16()?);
        let (stored_ms, age_base_ms, fresh_until_ms) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let (swr_s, sie_s, keep_s) = (reader.u32()?, reader.u32()?, reader.u32()?);
        let (ours, strict) = (flags & OURS != 0, flags & STRICT != 0);
        let mut lengths = [0; 4];
        for length in &mut lengths {
            *length = usize::try_from(reader.u32()?).unwrap_or(usize::MAX);
        }
        let body = usize::try_from(reader.u64()?).unwrap_or(usize::MAX);
        if flags & !(OURS | STRICT) != 0 || !(200..600).contains(&status) {
            return Err(EntryFault::Content);
        }
        let lifetime = Lifetime { age_base_ms, fresh_until_ms, swr_s, sie_s, keep_s, ours, strict };
        Ok(Self { key, owner, body_digest, status, stored_ms, lifetime, lengths, body })
    }
}

fn check_of(bytes: &[u8]) -> [u8; CHECK_BYTES] {
    Digester::new("tidegate entry check 1").part(bytes).finish().head()
}

/// Field names, each with its length (2 bytes) in front.
pub(crate) fn encode_selecting(names: &[HeaderName]) -> Vec<u8> {
    let mut out = Vec::new();
    for name in names {
        out.put_u16_le(u16::try_from(name.as_str().len()).unwrap_or(u16::MAX));
        out.put_slice(name.as_str().as_bytes());
    }
    out
}

/// The inverse of [`encode_selecting`]; at most [`SELECTING_MAX`] names.
pub(crate) fn decode_selecting(bytes: &[u8]) -> Result<Vec<HeaderName>, EntryFault> {
    let mut reader = Reader { rest: bytes };
    let mut names = Vec::new();
    while !reader.rest.is_empty() {
        let length = usize::from(reader.u16()?);
        let name = HeaderName::from_bytes(reader.take(length)?).map_err(|_invalid| EntryFault::Content)?;
        names.push(name);
        if names.len() > SELECTING_MAX {
            return Err(EntryFault::Content);
        }
    }
    Ok(names)
}

/// Name length (2), value length (4), name, value; once for each line.
fn encode_fields(headers: &HeaderMap) -> Vec<u8> {
    let mut out = Vec::with_capacity(headers.len() * 48);
    for (name, value) in headers {
        out.put_u16_le(u16::try_from(name.as_str().len()).unwrap_or(u16::MAX));
        out.put_u32_le(u32::try_from(value.len()).unwrap_or(u32::MAX));
        out.put_slice(name.as_str().as_bytes());
        out.put_slice(value.as_bytes());
    }
    out
}

fn decode_fields(bytes: &[u8]) -> Result<HeaderMap, EntryFault> {
    let mut reader = Reader { rest: bytes };
    let mut headers = HeaderMap::new();
    while !reader.rest.is_empty() {
        let name_length = usize::from(reader.u16()?);
        let value_length = usize::try_from(reader.u32()?).unwrap_or(usize::MAX);
        let name =
            HeaderName::from_bytes(reader.take(name_length)?).map_err(|_invalid| EntryFault::Content)?;
        let value =
            HeaderValue::from_bytes(reader.take(value_length)?).map_err(|_invalid| EntryFault::Content)?;
        headers.append(name, value);
        if headers.len() > FIELDS_MAX {
            return Err(EntryFault::Content);
        }
    }
    Ok(headers)
}

/// Takes what is there and fails where it is not.
pub(crate) struct Reader<'b> {
    pub(crate) rest: &'b [u8],
}

impl<'b> Reader<'b> {
    pub(crate) fn take(&mut self, length: usize) -> Result<&'b [u8], EntryFault> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(EntryFault::Length)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], EntryFault> {
        self.take(N)?.try_into().map_err(|_impossible| EntryFault::Length)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, EntryFault> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, EntryFault> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, EntryFault> {
        self.array().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    prop_compose! {
        fn fields()(list in prop::collection::vec(("[a-z][a-z0-9-]{0,12}", "[ -~]{0,30}"), 0..8)) -> HeaderMap {
            let mut headers = HeaderMap::new();
            for (name, value) in list {
                let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
                headers.append(name, HeaderValue::from_str(&value).expect("a value"));
            }
            headers
        }
    }

    prop_compose! {
        fn lifetimes()(times: [u64; 2], windows: [u32; 3], ours: bool, strict: bool) -> Lifetime {
            let ([age_base_ms, fresh_until_ms], [swr_s, sie_s, keep_s]) = (times, windows);
            Lifetime { age_base_ms, fresh_until_ms, swr_s, sie_s, keep_s, ours, strict }
        }
    }

    prop_compose! {
        fn entries()(
            owner: [u8; 32],
            namespace in "[a-zé]{0,9}",
            status in 200_u16..600,
            headers in fields(),
            body in prop::collection::vec(any::<u8>(), 0..200),
            lifetime in lifetimes(),
            selecting in prop::collection::vec("[a-z-]{1,9}", 0..4),
            stored_ms: u64,
        ) -> Entry {
            let selecting = selecting.iter().map(|name| name.parse().expect("a name")).collect();
            let (owner, namespace) = (Digest(owner), namespace.as_str().into());
            let head = EntryHead { owner, namespace, status, headers, lifetime, selecting, stored_ms };
            Entry::new(head, body.into())
        }
    }

    const KEY: Digest = Digest([7; 32]);

    proptest! {
        #[test]
        fn what_is_written_is_read_back(entry in entries()) {
            prop_assert_eq!(decode(&encode(&entry, &KEY), &KEY), Ok(entry));
        }

        #[test]
        fn any_changed_byte_is_an_error(entry in entries(), place: prop::sample::Index, change in 1_u8..) {
            let mut bytes = encode(&entry, &KEY).to_vec();
            let place = place.index(bytes.len());
            bytes[place] ^= change;
            prop_assert!(decode(&bytes.into(), &KEY).is_err(), "byte {}", place);
        }

        #[test]
        fn any_cut_or_addition_is_an_error(entry in entries(), place: prop::sample::Index, more in prop::collection::vec(any::<u8>(), 1..9)) {
            let bytes = encode(&entry, &KEY);
            prop_assert!(decode(&bytes.slice(..place.index(bytes.len())), &KEY).is_err());
            let longer: Bytes = [&bytes[..], &more].concat().into();
            prop_assert!(decode(&longer, &KEY).is_err());
        }

        #[test]
        fn foreign_bytes_are_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400), tail in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(decode(&bytes.into(), &Digest([0; 32])).is_err());
            let ours: Bytes = [&MAGIC[..], &tail].concat().into();
            prop_assert!(decode(&ours, &Digest([0; 32])).is_err());
        }

        #[test]
        fn an_entry_of_another_key_is_an_error(entry in entries(), other: [u8; 32]) {
            let read = decode(&encode(&entry, &KEY), &Digest(other));
            prop_assert_eq!(read.is_ok(), Digest(other) == KEY);
        }
    }

    #[test]
    fn every_single_byte_counts() {
        let lifetime = Lifetime {
            age_base_ms: 1,
            fresh_until_ms: 2,
            swr_s: 3,
            sie_s: 4,
            keep_s: 5,
            ours: true,
            strict: false,
        };
        let head = EntryHead {
            owner: Digest([8; 32]),
            namespace: "dashboard".into(),
            status: 200,
            headers: HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("\"a\""))]),
            lifetime,
            selecting: vec![http::header::ACCEPT],
            stored_ms: 6,
        };
        let entry = Entry::new(head, Bytes::from_static(b"hello"));
        let bytes = encode(&entry, &KEY);
        for place in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.to_vec();
                changed[place] ^= 1 << bit;
                assert!(decode(&changed.into(), &KEY).is_err(), "byte {place} bit {bit}");
            }
        }
        let mut older = bytes.to_vec();
        older[3] = 0;
        assert_eq!(decode(&older.into(), &KEY), Err(EntryFault::Foreign));
    }
}
