//! A stored response, in memory and on the wire to Redis.
//!
//! The encoded form begins with a magic, a version, a digest over everything behind it and the key it belongs to:
//! what is damaged, truncated, foreign, older or under another key is no entry. Decoding never panics.

use crate::base::{Digest, Digester};
use crate::cache::storable::Lifetime;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::sync::Arc;

const MAGIC: &[u8; 4] = b"TGE\x01";
const DIGEST_BYTES: usize = 32;

/// A stored response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Status.
    pub status: u16,
    /// Fields.
    pub headers: HeaderMap,
    /// Body, complete.
    pub body: Bytes,
    /// Times.
    pub lifetime: Lifetime,
    /// Selecting fields.
    pub selecting: Vec<HeaderName>,
    /// The namespace's name.
    pub namespace: Arc<str>,
    /// When it was stored or last confirmed, wall milliseconds.
    pub stored_ms: u64,
}

/// Why bytes are no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntryFault {
    /// Another format or version.
    #[error("not an entry of this version")]
    Foreign,
    /// The digest does not fit: damaged, truncated, or under another key.
    #[error("damaged, or of another key")]
    Damaged,
    /// The content is not what the format says.
    #[error("malformed")]
    Malformed,
}

impl Entry {
    /// Bytes in memory, by estimate.
    #[must_use]
    pub fn weight(&self) -> usize {
        let fields: usize =
            self.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 64).sum();
        self.body.len().saturating_add(fields).saturating_add(320)
    }

    /// The encoded form under `key`.
    #[must_use]
    pub fn encode(&self, key: &Digest) -> Vec<u8> {
        let mut content = Vec::with_capacity(self.body.len().saturating_add(1_024));
        content.extend(self.status.to_le_bytes());
        let life = &self.lifetime;
        for number in [life.age_base_ms, life.fresh_until_ms, self.stored_ms] {
            content.extend(number.to_le_bytes());
        }
        for number in [life.swr_s, life.sie_s, life.keep_s] {
            content.extend(number.to_le_bytes());
        }
        content.push(u8::from(life.ours));
        put(&mut content, self.namespace.as_bytes());
        put_count(&mut content, self.selecting.len());
        self.selecting.iter().for_each(|name| put(&mut content, name.as_str().as_bytes()));
        put_count(&mut content, self.headers.len());
        for (name, value) in &self.headers {
            put(&mut content, name.as_str().as_bytes());
            put(&mut content, value.as_bytes());
        }
        put(&mut content, &self.body);
        let mut encoded = Vec::with_capacity(content.len().saturating_add(MAGIC.len() + DIGEST_BYTES));
        encoded.extend(MAGIC);
        encoded.extend(seal(key, &content).0);
        encoded.extend(content);
        encoded
    }

    /// Reads what [`Entry::encode`] wrote under the same key.
    ///
    /// # Errors
    /// [`EntryFault`]; to the cache each of them is a miss.
    pub fn decode(bytes: &Bytes, key: &Digest) -> Result<Self, EntryFault> {
        let rest = bytes.strip_prefix(MAGIC.as_slice()).ok_or(EntryFault::Foreign)?;
        let (sealed, content) = rest.split_at_checked(DIGEST_BYTES).ok_or(EntryFault::Damaged)?;
        if seal(key, content).0 != sealed {
            return Err(EntryFault::Damaged);
        }
        let mut reader = Reader { bytes: bytes.slice_ref(content) };
        let entry = reader.entry().ok_or(EntryFault::Malformed)?;
        if reader.bytes.is_empty() { Ok(entry) } else { Err(EntryFault::Malformed) }
    }
}

fn seal(key: &Digest, content: &[u8]) -> Digest {
    Digester::new("tidegate seal 1").part(&key.0).part(content).finish()
}

fn put(content: &mut Vec<u8>, bytes: &[u8]) {
    put_count(content, bytes.len());
    content.extend(bytes);
}

fn put_count(content: &mut Vec<u8>, count: usize) {
    content.extend(u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

struct Reader {
    bytes: Bytes,
}

impl Reader {
    fn entry(&mut self) -> Option<Entry> {
        let status = u16::from_le_bytes(self.array()?);
        let [age_base_ms, fresh_until_ms, stored_ms] = [self.u64()?, self.u64()?, self.u64()?];
        let [swr_s, sie_s, keep_s] = [self.u32()?, self.u32()?, self.u32()?];
        let ours = self.array::<1>()? == [1];
        let namespace = Arc::from(std::str::from_utf8(&self.part()?).ok()?);
        let mut selecting = Vec::new();
        for _ in 0..self.u32()? {
            selecting.push(HeaderName::from_bytes(&self.part()?).ok()?);
        }
        let mut headers = HeaderMap::new();
        for _ in 0..self.u32()? {
            let name = HeaderName::from_bytes(&self.part()?).ok()?;
            headers.append(name, HeaderValue::from_maybe_shared(self.part()?).ok()?);
        }
        let body = self.part()?;
        let lifetime = Lifetime { age_base_ms, fresh_until_ms, swr_s, sie_s, keep_s, ours };
        Some(Entry { status, headers, body, lifetime, selecting, namespace, stored_ms })
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let array = *self.bytes.first_chunk::<N>()?;
        self.bytes = self.bytes.slice(N..);
        Some(array)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn part(&mut self) -> Option<Bytes> {
        let length = usize::try_from(self.u32()?).ok()?;
        (length <= self.bytes.len()).then(|| self.bytes.split_to(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(body: Vec<u8>, fields: Vec<(String, String)>) -> Entry {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(
                HeaderName::try_from(name).expect("valid"),
                HeaderValue::try_from(value).expect("valid"),
            );
        }
        let lifetime =
            Lifetime { age_base_ms: 1, fresh_until_ms: 2, swr_s: 3, sie_s: 4, keep_s: 5, ours: true };
        let selecting = vec![http::header::ACCEPT];
        Entry {
            status: 200,
            headers,
            body: body.into(),
            lifetime,
            selecting,
            namespace: "n".into(),
            stored_ms: 6,
        }
    }

    proptest! {
        #[test]
        fn an_entry_comes_back_and_every_damage_is_seen(
            body in prop::collection::vec(any::<u8>(), 0..200),
            fields in prop::collection::vec(("[a-z]{1,8}", "[ -~]{0,12}"), 0..6),
            at in any::<prop::sample::Index>(),
            flip in 1_u8..=255,
        ) {
            let (entry, key) = (entry(body, fields), Digest([7; 32]));
            let encoded = entry.encode(&key);
            prop_assert_eq!(Entry::decode(&Bytes::from(encoded.clone()), &key), Ok(entry));
            prop_assert!(Entry::decode(&Bytes::from(encoded.clone()), &Digest([8; 32])).is_err(), "another key");
            let at = at.index(encoded.len());
            let mut damaged = encoded.clone();
            damaged[at] ^= flip;
            prop_assert!(Entry::decode(&Bytes::from(damaged), &key).is_err());
            prop_assert!(Entry::decode(&Bytes::from(encoded[..at].to_vec()), &key).is_err(), "truncated");
        }
    }
}
