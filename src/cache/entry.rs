//! A stored response: what it is in memory. Its stored form is in [`crate::cache::codec`].

use crate::base::{Digest, Digester};
use crate::cache::fields::stored_fields;
use crate::cache::key::owner;
use crate::cache::lifetime::Lifetime;
use crate::cache::storability::ResponseInput;
use crate::cache::vary::{Selecting, selecting_fields};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use std::sync::Arc;

/// What an entry weighs in memory beyond its fields and body: structures, map slot, allocator.
const OVERHEAD_BYTES: usize = 512;

/// What each field weighs beyond its text.
const FIELD_BYTES: usize = 96;

/// One complete response of one variant of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key it is stored under; a reader that looked for another one must not use it.
    pub key: Digest,
    /// Whom it belongs to: [`owner`] of the caller that filled it.
    pub owner: Digest,
    /// The namespace's name.
    pub namespace: Arc<str>,
    /// The response's status.
    pub status: u16,
    /// The fields that may be stored.
    pub headers: HeaderMap,
    /// The whole body as the origin sent it.
    pub body: Bytes,
    /// First 128 bits of the body's digest: the entity tag that we make, and the stored form's check.
    pub body_digest: [u8; 16],
    /// Its times.
    pub lifetime: Lifetime,
    /// The request fields that select it, sorted.
    pub selecting: Vec<HeaderName>,
    /// When it was stored or last revalidated, wall milliseconds.
    pub stored_ms: u64,
}

impl Entry {
    /// Makes an entry of a complete response that [`crate::cache::storability::storability`] accepted. `None` when
    /// the body is larger than the namespace stores, or `Vary` allows no reuse.
    #[must_use]
    pub fn new(key: Digest, response: &ResponseInput<'_>, body: Bytes, lifetime: Lifetime) -> Option<Self> {
        if u64::try_from(body.len()).unwrap_or(u64::MAX) > response.namespace.max_object {
            return None;
        }
        let selecting = match selecting_fields(response.headers) {
            Selecting::None => Vec::new(),
            Selecting::Fields(names) => names,
            Selecting::Never => return None,
        };
        let received_ms = response.timing.received_ms;
        let mut headers = stored_fields(response.namespace, response.headers, received_ms);
        if response.status != 204 {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        Some(Self {
            key,
            owner: owner(response.namespace, response.caller),
            namespace: response.namespace.name.clone(),
            status: response.status,
            headers,
            body_digest: body_digest(&body),
            body,
            lifetime,
            selecting,
            stored_ms: received_ms,
        })
    }

    /// This entry after a 304: fields and lifetime of the merged response, the same body. `response.headers` are
    /// those of [`crate::cache::fields::merge_304`]; selecting fields stay, because the 304 does not choose them.
    #[must_use]
    pub fn freshened(&self, response: &ResponseInput<'_>, lifetime: Lifetime) -> Self {
        let received_ms = response.timing.received_ms;
        let headers = stored_fields(response.namespace, response.headers, received_ms);
        Self { headers, lifetime, stored_ms: received_ms, ..self.clone() }
    }

    /// A strong entity tag made from the body, for answers whose origin sends none.
    #[must_use]
    pub fn generated_tag(&self) -> HeaderValue {
        let mut bytes = [0; 32];
        for (slot, byte) in bytes.iter_mut().zip(self.body_digest) {
            *slot = byte;
        }
        HeaderValue::try_from(format!("\"tg-{}\"", Digest(bytes).short()))
            .unwrap_or(HeaderValue::from_static("\"tg\""))
    }

    /// Bytes it occupies in memory, estimated upwards.
    #[must_use]
    pub fn weight(&self) -> u64 {
        let fields = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES);
        let bytes = OVERHEAD_BYTES + self.body.len() + fields.sum::<usize>();
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

/// The first 128 bits of a body's digest.
#[must_use]
pub fn body_digest(body: &[u8]) -> [u8; 16] {
    let digest = Digester::new("tidegate body 1").part(body).finish().0;
    let mut head = [0; 16];
    for (slot, byte) in head.iter_mut().zip(digest) {
        *slot = byte;
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::freshness::Timing;
    use crate::cache::namespace::Namespace;
    use crate::identity::Caller;

    const LIFETIME: Lifetime = Lifetime {
        age_base_ms: 0,
        fresh_until_ms: 9,
        swr_s: 0,
        sie_s: 0,
        keep_s: 0,
        ours: true,
        strict: false,
    };

    fn entry(
        namespace: &Namespace,
        fields: &[(&'static str, &'static str)],
        body: &'static [u8],
    ) -> Option<Entry> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let (caller, request) = (Caller::default(), HeaderMap::new());
        let timing = Timing { request_sent_ms: 0, received_ms: 5 };
        let response = ResponseInput {
            namespace,
            caller: &caller,
            request: &request,
            status: 200,
            headers: &headers,
            timing,
        };
        Entry::new(Digest([1; 32]), &response, Bytes::from_static(body), LIFETIME)
    }

    #[test]
    fn an_entry_has_the_true_length_and_no_more_than_the_namespace_stores() {
        let namespace = Namespace { max_object: 5, ..Namespace::named("n") };
        let made =
            entry(&namespace, &[("content-length", "99"), ("vary", "Accept")], b"hello").expect("it fits");
        assert_eq!((&made.headers[CONTENT_LENGTH], made.stored_ms), (&HeaderValue::from_static("5"), 5));
        assert_eq!(made.selecting, [http::header::ACCEPT]);
        assert!(entry(&namespace, &[], b"hello!").is_none());
        assert!(entry(&namespace, &[("vary", "*")], b"").is_none());
    }

    #[test]
    fn the_made_tag_follows_the_body() {
        let tag = |body| entry(&Namespace::named("n"), &[], body).expect("it fits").generated_tag();
        assert_eq!(tag(b"a"), tag(b"a"));
        assert_ne!(tag(b"a"), tag(b"b"));
        assert!(tag(b"a").to_str().is_ok_and(|text| text.starts_with("\"tg-") && text.len() == 27));
    }
}
