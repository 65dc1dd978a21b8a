//! The stored form of an entry, version 2: a head and a body. A small body stands behind its head in one string; a large one
//! has a string of its own, named by what is in it.
//!
//! ```text
//! magic "TGE", version            4
//! check                          16   BLAKE3-128 of everything from here to the body
//! key, owner                  32+32
//! body digest                    16   BLAKE3-128 of the body as it was received
//! flags, status                 2+2
//! stored, age base, fresh until 3x8   wall milliseconds
//! birth                           8   number in the ledger of purges
//! swr, sie, keep                3x4   seconds
//! fetch cost                      4   milliseconds
//! body, stored body             2x8   bytes
//! parts                        7x4   bytes of each
//! namespace, tenant, origin, target, tags, selecting, fields
//! ```
//!
//! Numbers are little-endian. A value that differs from this in one byte, or says another version, is an error: whoever
//! reads it has a miss. Never trusts a length before it has been compared with what is there.

use crate::base::{Digest, Digester};
use crate::cache::entry::{Entry, EntryHead, body_digest};
use crate::cache::label::Label;
use crate::cache::lifetime::Lifetime;
use crate::cache::packing::{self, Packed};
use crate::cache::parts::{
    decode_fields, decode_selecting, decode_tags, encode_fields, encode_selecting, encode_tags, text,
};
use bytes::{BufMut, Bytes, BytesMut};

const MAGIC: [u8; 4] = *b"TGE\x02";
const CHECK_BYTES: usize = 16;
const OURS: u16 = 1;
const STRICT: u16 = 1 << 1;
/// The body is packed (zstd).
const PACKED: u16 = 1 << 2;
/// The body has a string of its own.
const APART: u16 = 1 << 3;
/// The entry has a tenant.
const TENANT: u16 = 1 << 4;
const FLAGS: u16 = OURS | STRICT | PACKED | APART | TENANT;

/// How many strings of variable length a head has.
const PARTS: usize = 7;

/// Bodies above this many stored bytes stand apart: reading one in windows does not hold up the other users of a Redis.
pub const INLINE_MAX: usize = 64 << 10;

/// The largest body that is read back: a bound for what a damaged or foreign head may ask for.
pub const BODY_MAX: usize = 64 << 20;

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

/// The stored form of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The entry's own string: with the body, unless that stands apart.
    pub value: Bytes,
    /// A body that stands apart.
    pub apart: Option<Apart>,
}

/// A body that stands apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apart {
    /// What its string is called by. Other bytes have another name, so a reader never mixes two bodies.
    pub name: String,
    /// Its bytes.
    pub bytes: Bytes,
}

/// A head that has been read and found whole, waiting for its body.
#[derive(Debug, Clone)]
pub struct Opened {
    head: EntryHead,
    body_digest: [u8; 16],
    /// Bytes of the body as it was received.
    length: usize,
    is_packed: bool,
    /// The body, where it stands behind the head.
    inline: Option<Bytes>,
    /// Name and bytes of the body's own string.
    apart: Option<(String, usize)>,
}

/// The stored form of an entry under `key`. Compresses; up to 3 ms for each MiB.
#[must_use]
pub fn encode(entry: &Entry, key: &Digest) -> Stored {
    let packed = packing::pack(entry);
    let is_packed = matches!(packed, Packed::Zstd(_));
    let body = packed.into_bytes();
    let is_apart = body.len() > INLINE_MAX;
    let mut out = encode_head(entry, key, (is_packed, is_apart), body.len());
    if is_apart {
        let apart = Apart { name: name_of(entry.body_digest(), is_packed), bytes: body };
        return Stored { value: out.freeze(), apart: Some(apart) };
    }
    out.extend_from_slice(&body);
    Stored { value: out.freeze(), apart: None }
}

fn encode_head(
    entry: &Entry,
    key: &Digest,
    (is_packed, is_apart): (bool, bool),
    stored_length: usize,
) -> BytesMut {
    let (head, label, lifetime) = (&entry.head, &entry.head.label, &entry.head.lifetime);
    let (selecting, fields) = (encode_selecting(&head.selecting), encode_fields(&head.headers));
    let tags = encode_tags(&label.tags);
    let tenant = label.tenant.as_deref().unwrap_or_default();
    let parts: [&[u8]; PARTS] = [
        label.namespace.as_bytes(),
        tenant.as_bytes(),
        label.origin.as_bytes(),
        label.target.as_bytes(),
        &tags,
        &selecting,
        &fields,
    ];
    let inline = if is_apart { 0 } else { stored_length };
    let capacity = 256 + parts.iter().map(|part| part.len()).sum::<usize>() + inline;
    let mut out = BytesMut::with_capacity(capacity);
    out.put_slice(&MAGIC);
    out.put_bytes(0, CHECK_BYTES);
    out.put_slice(&key.0);
    out.put_slice(&head.owner.0);
    out.put_slice(entry.body_digest());
    let flag = |is_set: bool, flag: u16| if is_set { flag } else { 0 };
    let tenant_flag = flag(label.tenant.is_some(), TENANT);
    let lifetime_flags = flag(lifetime.ours, OURS) | flag(lifetime.strict, STRICT);
    out.put_u16_le(lifetime_flags | flag(is_packed, PACKED) | flag(is_apart, APART) | tenant_flag);
    out.put_u16_le(head.status);
    for time in [head.stored_ms, lifetime.age_base_ms, lifetime.fresh_until_ms, head.birth] {
        out.put_u64_le(time);
    }
    for window in [lifetime.swr_s, lifetime.sie_s, lifetime.keep_s, head.cost_ms] {
        out.put_u32_le(window);
    }
    for length in [entry.body.len(), stored_length] {
        out.put_u64_le(u64::try_from(length).unwrap_or(u64::MAX));
    }
    for part in parts {
        out.put_u32_le(u32::try_from(part.len()).unwrap_or(u32::MAX));
    }
    for part in parts {
        out.put_slice(part);
    }
    let check = check_of(out.get(MAGIC.len() + CHECK_BYTES..).unwrap_or_default());
    for (slot, byte) in out.iter_mut().skip(MAGIC.len()).zip(check) {
        *slot = byte;
    }
    out
}

/// Reads a stored form up to its body, which shares the bytes of `stored` where it stands behind the head.
///
/// # Errors
/// [`EntryFault`] for anything that [`encode`] did not write for `key`.
pub fn open(stored: &Bytes, key: &Digest) -> Result<Opened, EntryFault> {
    let mut reader = Reader { rest: stored };
    if reader.take(MAGIC.len())? != MAGIC {
        return Err(EntryFault::Foreign);
    }
    let check = reader.array::<CHECK_BYTES>()?;
    let checked = reader.rest;
    let fixed = Fixed::read(&mut reader)?;
    let mut parts: [&[u8]; PARTS] = [&[]; PARTS];
    for (part, length) in parts.iter_mut().zip(fixed.parts) {
        *part = reader.take(length)?;
    }
    let is_apart = fixed.flags & APART != 0;
    if reader.rest.len() != if is_apart { 0 } else { fixed.stored_length } {
        return Err(EntryFault::Length);
    }
    let before_body = checked.len() - reader.rest.len();
    if check_of(checked.get(..before_body).unwrap_or_default()) != check {
        return Err(EntryFault::Check);
    }
    if fixed.key != *key {
        return Err(EntryFault::Key);
    }
    let is_packed = fixed.flags & PACKED != 0;
    let inline = (!is_apart).then(|| stored.slice(stored.len() - reader.rest.len()..));
    let apart = is_apart.then(|| (name_of(&fixed.body_digest, is_packed), fixed.stored_length));
    let (body_digest, length) = (fixed.body_digest, fixed.length);
    let head = fixed.head(parts)?;
    Ok(Opened { head, body_digest, length, is_packed, inline, apart })
}

impl Opened {
    /// Everything but the body. Not to be served before the body has been found to belong to it.
    #[must_use]
    pub fn head(&self) -> &EntryHead {
        &self.head
    }

    /// What the body's own string is called by, and how many bytes it has. `None`: the body is here.
    #[must_use]
    pub fn wants(&self) -> Option<(&str, usize)> {
        self.apart.as_ref().map(|(name, length)| (name.as_str(), *length))
    }

    /// The head alone, with bytes of the body as it was received, bytes of it as it is kept, and whether that is packed.
    #[must_use]
    pub fn without_body(self) -> (EntryHead, usize, usize, bool) {
        let inline = self.inline.as_ref().map_or(0, Bytes::len);
        let kept = self.apart.map_or(inline, |(_, length)| length);
        (self.head, self.length, kept, self.is_packed)
    }

    /// The entry, given the bytes of the body's own string where [`Opened::wants`] names one.
    ///
    /// # Errors
    /// [`EntryFault`] when the body is not the one that the head was written for.
    pub fn with_body(self, apart: Option<Bytes>) -> Result<Entry, EntryFault> {
        let bytes = self.inline.or(apart).ok_or(EntryFault::Length)?;
        let packed = if self.is_packed { Packed::Zstd(bytes) } else { Packed::Plain(bytes) };
        let body = packing::unpack(packed, self.length).ok_or(EntryFault::Check)?;
        if body_digest(&body) != self.body_digest {
            return Err(EntryFault::Check);
        }
        Ok(Entry::restored(self.head, body, self.body_digest))
    }
}

/// The fixed part behind the check.
struct Fixed {
    key: Digest,
    owner: Digest,
    body_digest: [u8; 16],
    flags: u16,
    status: u16,
    stored_ms: u64,
    birth: u64,
    cost_ms: u32,
    lifetime: Lifetime,
    length: usize,
    stored_length: usize,
    parts: [usize; PARTS],
}

impl Fixed {
    fn read(reader: &mut Reader<'_>) -> Result<Self, EntryFault> {
        let (key, owner) = (Digest(reader.array()?), Digest(reader.array()?));
        let body_digest = reader.array()?;
        let (flags, status) = (reader.u16()?, reader.u16()?);
        let (stored_ms, age_base_ms) = (reader.u64()?, reader.u64()?);
        let (fresh_until_ms, birth) = (reader.u64()?, reader.u64()?);
        let (swr_s, sie_s, keep_s) = (reader.u32()?, reader.u32()?, reader.u32()?);
        let cost_ms = reader.u32()?;
        let (length, stored_length) = (reader.length()?, reader.length()?);
        let mut parts = [0; PARTS];
        for part in &mut parts {
            *part = usize::try_from(reader.u32()?).unwrap_or(usize::MAX);
        }
        let is_known = flags & !FLAGS == 0 && (200..600).contains(&status);
        if !is_known || length > BODY_MAX || stored_length > BODY_MAX {
            return Err(EntryFault::Content);
        }
        let (ours, strict) = (flags & OURS != 0, flags & STRICT != 0);
        let lifetime = Lifetime { age_base_ms, fresh_until_ms, swr_s, sie_s, keep_s, ours, strict };
        Ok(Self {
            key,
            owner,
            body_digest,
            flags,
            status,
            stored_ms,
            birth,
            cost_ms,
            lifetime,
            length,
            stored_length,
            parts,
        })
    }

    fn head(self, parts: [&[u8]; PARTS]) -> Result<EntryHead, EntryFault> {
        let [namespace, tenant, origin, target, tags, selecting, fields] = parts;
        let tenant = if self.flags & TENANT == 0 { None } else { Some(text(tenant)?.into()) };
        let label = Label {
            tenant,
            namespace: text(namespace)?.into(),
            origin: text(origin)?.to_owned(),
            target: text(target)?.to_owned(),
            tags: decode_tags(tags)?,
        };
        Ok(EntryHead {
            owner: self.owner,
            label: label.into(),
            status: self.status,
            headers: decode_fields(fields)?,
            lifetime: self.lifetime,
            selecting: decode_selecting(selecting)?,
            stored_ms: self.stored_ms,
            birth: self.birth,
            cost_ms: self.cost_ms,
        })
    }
}

/// The name of a body's own string. Packed and plain differ: their bytes do.
fn name_of(body_digest: &[u8; 16], is_packed: bool) -> String {
    let mut bytes = [0; 32];
    for (slot, byte) in bytes.iter_mut().zip(body_digest) {
        *slot = *byte;
    }
    format!("{}{}", Digest(bytes).short(), if is_packed { 'z' } else { 'p' })
}

fn check_of(bytes: &[u8]) -> [u8; CHECK_BYTES] {
    Digester::new("tidegate entry check 2").part(bytes).finish().head()
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

    fn length(&mut self) -> Result<usize, EntryFault> {
        Ok(usize::try_from(self.u64()?).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
    use proptest::prelude::*;

    fn read(stored: &Stored, key: &Digest) -> Result<Entry, EntryFault> {
        open(&stored.value, key)?.with_body(stored.apart.as_ref().map(|apart| apart.bytes.clone()))
    }

    fn damaged(stored: &Stored, value: Vec<u8>) -> Result<Entry, EntryFault> {
        read(&Stored { value: value.into(), apart: stored.apart.clone() }, &KEY)
    }

    prop_compose! {
        fn fields()(
            list in prop::collection::vec(("[a-z][a-z0-9-]{0,12}", "[ -~]{0,30}"), 0..8),
            is_json: bool,
        ) -> HeaderMap {
            let mut headers = HeaderMap::new();
            for (name, value) in list {
                let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
                headers.append(name, HeaderValue::from_str(&value).expect("a value"));
            }
            if is_json {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
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
        fn labels()(
            tenant in prop::option::of("[a-zé]{0,9}"),
            namespace in "[a-zé]{0,9}",
            target in "/[a-z?]{0,9}",
            tags in prop::collection::vec("[a-z ]{1,9}", 0..4),
        ) -> Label {
            let origin = "https://api.example".to_owned();
            Label { tenant: tenant.map(Into::into), namespace: namespace.as_str().into(), origin, target, tags }
        }
    }

    /// Small ones, those that are worth packing, and those that stand apart.
    fn bodies() -> impl Strategy<Value = Bytes> {
        let bytes = |lengths: std::ops::Range<usize>| {
            prop::collection::vec(any::<u8>(), lengths).prop_map(Bytes::from)
        };
        let text = (1_000..90_000_usize).prop_map(|length| Bytes::from("abcdefg ".repeat(length / 8)));
        prop_oneof![4 => bytes(0..200), 1 => text, 1 => bytes(INLINE_MAX..INLINE_MAX + 9)]
    }

    prop_compose! {
        fn entries()(
            owner: [u8; 32],
            label in labels(),
            status in 200_u16..600,
            headers in fields(),
            body in bodies(),
            lifetime in lifetimes(),
            selecting in prop::collection::vec("[a-z-]{1,9}", 0..4),
            (stored_ms, birth, cost_ms) in any::<(u64, u64, u32)>(),
        ) -> Entry {
            let selecting = selecting.iter().map(|name| name.parse().expect("a name")).collect();
            let (owner, label) = (Digest(owner), label.into());
            let head = EntryHead { owner, label, status, headers, lifetime, selecting, stored_ms, birth, cost_ms };
            Entry::new(head, body)
        }
    }

    const KEY: Digest = Digest([7; 32]);

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(120))]
        #[test]
        fn what_is_written_is_read_back(entry in entries()) {
            prop_assert_eq!(read(&encode(&entry, &KEY), &KEY), Ok(entry));
        }

        #[test]
        fn any_changed_byte_is_an_error(entry in entries(), place: prop::sample::Index, change in 1_u8..) {
            let stored = encode(&entry, &KEY);
            let mut bytes = stored.value.to_vec();
            let place = place.index(bytes.len());
            bytes[place] ^= change;
            prop_assert!(damaged(&stored, bytes).is_err(), "byte {}", place);
        }

        #[test]
        fn any_changed_byte_of_a_body_apart_is_an_error(
            body in prop::collection::vec(any::<u8>(), INLINE_MAX + 1..INLINE_MAX + 99),
            entry in entries(),
            place: prop::sample::Index,
            change in 1_u8..,
        ) {
            let mut stored = encode(&Entry::new(entry.head, body.into()), &KEY);
            let apart = stored.apart.as_mut().expect("it is large");
            let mut bytes = apart.bytes.to_vec();
            let place = place.index(bytes.len());
            bytes[place] ^= change;
            apart.bytes = bytes.into();
            prop_assert!(read(&stored, &KEY).is_err());
            stored.apart = None;
            prop_assert_eq!(read(&stored, &KEY), Err(EntryFault::Length));
        }

        #[test]
        fn any_cut_or_addition_is_an_error(entry in entries(), place: prop::sample::Index, more in prop::collection::vec(any::<u8>(), 1..9)) {
            let stored = encode(&entry, &KEY);
            let bytes = &stored.value;
            prop_assert!(damaged(&stored, bytes[..place.index(bytes.len())].to_vec()).is_err());
            prop_assert!(damaged(&stored, [&bytes[..], &more].concat()).is_err());
        }

        #[test]
        fn foreign_bytes_are_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400), tail in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(open(&bytes.into(), &Digest([0; 32])).is_err());
            let ours: Bytes = [&MAGIC[..], &tail].concat().into();
            prop_assert!(open(&ours, &Digest([0; 32])).is_err());
        }

        #[test]
        fn an_entry_of_another_key_is_an_error(entry in entries(), other: [u8; 32]) {
            let read = read(&encode(&entry, &KEY), &Digest(other));
            prop_assert_eq!(read.is_ok(), Digest(other) == KEY);
        }
    }

    fn small() -> Entry {
        let lifetime = Lifetime {
            age_base_ms: 1,
            fresh_until_ms: 2,
            swr_s: 3,
            sie_s: 4,
            keep_s: 5,
            ours: true,
            strict: false,
        };
        let label = Label {
            tenant: Some("acme".into()),
            namespace: "dashboard".into(),
            origin: "http://api.example".to_owned(),
            target: "/a?b".to_owned(),
            tags: vec!["t".to_owned()],
        };
        let head = EntryHead {
            owner: Digest([8; 32]),
            label: label.into(),
            status: 200,
            headers: HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("\"a\""))]),
            lifetime,
            selecting: vec![http::header::ACCEPT],
            stored_ms: 6,
            birth: 7,
            cost_ms: 8,
        };
        Entry::new(head, Bytes::from_static(b"hello"))
    }

    #[test]
    fn every_single_bit_counts() {
        let stored = encode(&small(), &KEY);
        for place in 0..stored.value.len() {
            for bit in 0..8 {
                let mut changed = stored.value.to_vec();
                changed[place] ^= 1 << bit;
                assert!(damaged(&stored, changed).is_err(), "byte {place} bit {bit}");
            }
        }
    }

    #[test]
    fn another_version_is_foreign() {
        for version in [0, 1, 3] {
            let mut other = encode(&small(), &KEY).value.to_vec();
            other[3] = version;
            assert_eq!(open(&other.into(), &KEY).err(), Some(EntryFault::Foreign));
        }
    }
}
