//! A stored response: what it is in memory. Its stored form is in [`crate::cache::codec`].

use crate::base::{Digest, Digester};
use crate::cache::coding::Codings;
use crate::cache::label::{Label, Names};
use crate::cache::ledger::{Ledger, Standing};
use crate::cache::lifetime::Lifetime;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, ETAG, HeaderMap, HeaderName, HeaderValue};
use std::sync::Arc;

/// What an entry weighs in memory beyond its fields and body: structures, map slot, allocator.
const OVERHEAD_BYTES: usize = 512;

/// What each field weighs beyond its text.
const FIELD_BYTES: usize = 96;

/// Everything of an entry but its body: known when the response head has been judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryHead {
    /// Whom it belongs to: [`crate::cache::owner`] of the caller that fills it.
    pub owner: Digest,
    /// What it is called by, for those who want it gone.
    pub label: Arc<Label>,
    /// The response's status.
    pub status: u16,
    /// The fields that may be stored: [`crate::cache::stored_fields`].
    pub headers: HeaderMap,
    /// Its times.
    pub lifetime: Lifetime,
    /// The request fields that select it, sorted.
    pub selecting: Vec<HeaderName>,
    /// When it was stored or last confirmed, wall milliseconds.
    pub stored_ms: u64,
    /// Up to where its filler had read the ledger of purges before it asked the origin.
    pub birth: u64,
    /// How long the origin took to answer, milliseconds.
    pub cost_ms: u32,
}

/// One complete response of one variant of one key.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Everything but the body.
    pub head: EntryHead,
    /// The whole body as the origin sent it.
    pub body: Bytes,
    /// First 128 bits of the body's digest: the entity tag that we make, and the stored form's check.
    body_digest: [u8; 16],
    /// The entity tag that we make from it.
    tag: HeaderValue,
    /// The label as numbers.
    names: Names,
    /// The body in other codings, as far as they were asked for.
    codings: Arc<Codings>,
}

/// Coded bodies follow from the body.
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.head == other.head && self.body == other.body && self.body_digest == other.body_digest
    }
}

impl Eq for Entry {}

impl EntryHead {
    fn sized(mut self, length: usize) -> Self {
        if self.status != 204 {
            self.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        self
    }
}

impl Entry {
    /// An entry of a complete body. `Content-Length` becomes what the body has, so that ranges and HEAD can be
    /// answered from a response that came in chunks.
    #[must_use]
    pub fn new(head: EntryHead, body: Bytes) -> Self {
        let body_digest = body_digest(&body);
        Self::restored(head.sized(body.len()), body, body_digest)
    }

    /// The same body under the head that a 304 made.
    #[must_use]
    pub fn renewed(&self, head: EntryHead) -> Self {
        let names = head.label.names();
        Self { head: head.sized(self.body.len()), names, ..self.clone() }
    }

    /// The same entry, out of service since `at_ms` (wall milliseconds) if it was in service then.
    #[must_use]
    pub fn expired(&self, at_ms: u64) -> Self {
        let mut expired = self.clone();
        let lifetime = &mut expired.head.lifetime;
        lifetime.fresh_until_ms = lifetime.fresh_until_ms.min(at_ms);
        expired
    }

    /// What the ledger of purges says of it.
    #[must_use]
    pub fn standing(&self, ledger: &Ledger) -> Standing {
        ledger.judge(self.head.birth, &self.head.label, &self.names)
    }

    /// The entry that a stored form describes; the caller has compared `body_digest` with the body.
    pub(super) fn restored(head: EntryHead, body: Bytes, body_digest: [u8; 16]) -> Self {
        let (tag, names) = (tag(body_digest), head.label.names());
        Self { head, body, body_digest, tag, names, codings: Arc::default() }
    }

    /// The body in other codings.
    pub(super) fn codings(&self) -> &Codings {
        &self.codings
    }

    /// First 128 bits of the body's digest.
    #[must_use]
    pub fn body_digest(&self) -> &[u8; 16] {
        &self.body_digest
    }

    /// A strong entity tag made from the body, where our `ttl` made the entry fresh and the origin sent none: the
    /// client can ask again for the price of a 304. Not for a stale entry: the origin would be asked about a tag that
    /// it never gave, and would not look at `Last-Modified` any more.
    #[must_use]
    pub fn made_tag(&self, now_ms: u64) -> Option<HeaderValue> {
        let head = &self.head;
        let wanted = head.lifetime.ours && head.lifetime.is_fresh(now_ms) && !head.headers.contains_key(ETAG);
        wanted.then(|| self.tag.clone())
    }

    /// Bytes it occupies in memory, estimated upwards.
    #[must_use]
    pub fn weight(&self) -> u64 {
        let lines = self.head.headers.iter();
        let fields: usize = lines.map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES).sum();
        let bodies = self.body.len() + self.codings.weight();
        u64::try_from(OVERHEAD_BYTES + bodies + fields + self.head.label.weight()).unwrap_or(u64::MAX)
    }
}

fn tag(body_digest: [u8; 16]) -> HeaderValue {
    let mut bytes = [0; 32];
    for (slot, byte) in bytes.iter_mut().zip(body_digest) {
        *slot = byte;
    }
    HeaderValue::try_from(format!("\"tg-{}\"", Digest(bytes).short()))
        .unwrap_or(HeaderValue::from_static("\"tg\""))
}

/// The first 128 bits of a body's digest.
pub(super) fn body_digest(body: &[u8]) -> [u8; 16] {
    Digester::new("tidegate body 1").part(body).finish().head()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An entry with this media type and body.
    pub(in crate::cache) fn entry_of(media: &'static str, body: impl Into<Bytes>) -> Entry {
        let mut entry = entry(200, b"");
        entry.head.headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(media));
        Entry::new(entry.head, body.into())
    }

    fn entry(status: u16, body: &'static [u8]) -> Entry {
        let lifetime = Lifetime {
            age_base_ms: 0,
            fresh_until_ms: 9,
            swr_s: 0,
            sie_s: 0,
            keep_s: 0,
            ours: true,
            strict: false,
        };
        let headers = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from_static("99"))]);
        let head = EntryHead {
            owner: Digest([0; 32]),
            label: Label {
                tenant: None,
                namespace: "n".into(),
                origin: String::new(),
                target: "/".to_owned(),
                tags: Vec::new(),
            }
            .into(),
            status,
            headers,
            lifetime,
            selecting: Vec::new(),
            stored_ms: 0,
            birth: 0,
            cost_ms: 0,
        };
        Entry::new(head, Bytes::from_static(body))
    }

    #[test]
    fn an_entry_has_the_length_of_its_body() {
        assert_eq!(entry(200, b"hello").head.headers[CONTENT_LENGTH], "5");
        assert!(entry(200, b"hello").weight() > 5 + 512);
    }

    #[test]
    fn the_made_tag_follows_the_body_while_our_ttl_holds() {
        let tag = |body| entry(200, body).made_tag(8);
        assert_eq!(tag(b"a"), tag(b"a"));
        assert_ne!(tag(b"a"), tag(b"b"));
        let text = tag(b"a").expect("a tag");
        assert!(text.to_str().is_ok_and(|text| text.starts_with("\"tg-") && text.len() == 27));
        assert_eq!(entry(200, b"a").made_tag(9), None, "stale");
        let mut tagged = entry(200, b"a");
        tagged.head.headers.insert(ETAG, HeaderValue::from_static("\"own\""));
        let mut theirs = entry(200, b"a");
        theirs.head.lifetime.ours = false;
        assert_eq!((tagged.made_tag(8), theirs.made_tag(8)), (None, None));
    }
}
