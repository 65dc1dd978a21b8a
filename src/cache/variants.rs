//! The vary record of a key: the request fields that select among its stored responses, and which variants there are.
//!
//! Only a listed variant exists: what was stored under another list of fields, or before the key was removed, is
//! never found again even if its bytes still lie in the store. The fields of all responses are united, because
//! origins send `Vary` only when the field was there (`Vary: Origin` of a CORS filter); a variant by more fields than
//! its own response names is never wrong.

use crate::base::Digester;
use crate::cache::codec::{EntryFault, Reader};
use crate::cache::parts::{decode_selecting, encode_selecting};
use crate::cache::vary::{SELECTING_MAX, VARIANTS_MAX, Variant, sorted, variant};
use bytes::{BufMut, Bytes, BytesMut};
use http::header::{HeaderMap, HeaderName};

const MAGIC: [u8; 4] = *b"TGV\x01";
const CHECK_BYTES: usize = 8;

/// The selecting fields and variants of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaryRecord {
    fields: Vec<HeaderName>,
    /// Each with the millisecond at which it is good for nothing.
    variants: Vec<(Variant, u64)>,
}

impl VaryRecord {
    /// The record after a response with `selecting` fields, useful until `until_ms`, was stored for `request`; and the
    /// variant to store it as. `None`: there are too many fields or variants, so it is not stored.
    #[must_use]
    pub fn admit(
        before: Option<&Self>,
        selecting: &[HeaderName],
        request: &HeaderMap,
        until_ms: u64,
        now_ms: u64,
    ) -> Option<(Self, Variant)> {
        let before = before.filter(|record| record.useful_until_ms() > now_ms);
        let known = before.map_or(&[][..], |record| &record.fields);
        let fields = sorted(known.iter().chain(selecting).cloned().collect());
        let mut variants = match before {
            // Other fields name other variants.
            Some(record) if record.fields == fields => record.variants.clone(),
            _ => Vec::new(),
        };
        let chosen = variant(&fields, request);
        variants.retain(|(other, until)| *other != chosen && *until > now_ms);
        if fields.len() > SELECTING_MAX || variants.len() >= VARIANTS_MAX {
            return None;
        }
        variants.push((chosen, until_ms));
        Some((Self { fields, variants }, chosen))
    }

    /// The variant that `request` asks for, if it is stored.
    #[must_use]
    pub fn select(&self, request: &HeaderMap) -> Option<Variant> {
        let wanted = variant(&self.fields, request);
        self.variants.iter().any(|(other, _)| *other == wanted).then_some(wanted)
    }

    /// The selecting fields, sorted.
    #[must_use]
    pub fn fields(&self) -> &[HeaderName] {
        &self.fields
    }

    /// The variants that are stored.
    pub fn variants(&self) -> impl Iterator<Item = Variant> {
        self.variants.iter().map(|(variant, _)| *variant)
    }

    /// When the last of its variants is good for nothing, wall milliseconds.
    #[must_use]
    pub fn useful_until_ms(&self) -> u64 {
        self.variants.iter().map(|(_, until_ms)| *until_ms).max().unwrap_or(0)
    }

    /// Bytes it occupies in memory, estimated upwards.
    #[must_use]
    pub fn weight(&self) -> u64 {
        u64::try_from(256 + 64 * self.fields.len() + 48 * self.variants.len()).unwrap_or(u64::MAX)
    }

    /// The stored form: magic and version, check (8 bytes), count of variants (2), each with its end (32 + 8), fields.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut content = Vec::with_capacity(2 + 40 * self.variants.len() + 16 * self.fields.len());
        content.put_u16_le(u16::try_from(self.variants.len()).unwrap_or(u16::MAX));
        for (variant, until_ms) in &self.variants {
            content.put_slice(variant.as_bytes());
            content.put_u64_le(*until_ms);
        }
        content.put_slice(&encode_selecting(&self.fields));
        let mut out = BytesMut::with_capacity(MAGIC.len() + CHECK_BYTES + content.len());
        out.put_slice(&MAGIC);
        out.put_slice(&check_of(&content));
        out.put_slice(&content);
        out.freeze()
    }

    /// Reads a stored form.
    ///
    /// # Errors
    /// [`EntryFault`] for anything that [`VaryRecord::encode`] did not write; the key has no entry then.
    pub fn decode(stored: &[u8]) -> Result<Self, EntryFault> {
        let mut reader = Reader { rest: stored };
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(EntryFault::Foreign);
        }
        if reader.array()? != check_of(reader.rest) {
            return Err(EntryFault::Check);
        }
        let count = usize::from(reader.u16()?);
        if count > VARIANTS_MAX {
            return Err(EntryFault::Content);
        }
        let mut variants = Vec::with_capacity(count);
        for _ in 0..count {
            variants.push((Variant::from_bytes(reader.array()?), reader.u64()?));
        }
        Ok(Self { fields: decode_selecting(reader.rest)?, variants })
    }
}

fn check_of(content: &[u8]) -> [u8; CHECK_BYTES] {
    Digester::new("tidegate vary record 1").part(content).finish().head()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use http::header::{ACCEPT, ORIGIN};
    use proptest::prelude::*;

    fn accepting(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, HeaderValue::from_str(value).expect("a value"))])
    }

    fn admit(before: Option<&VaryRecord>, value: &str, until_ms: u64, now_ms: u64) -> Option<VaryRecord> {
        VaryRecord::admit(before, &[ACCEPT], &accepting(value), until_ms, now_ms).map(|(record, _)| record)
    }

    #[test]
    fn only_what_was_admitted_is_selected() {
        let one = admit(None, "a", 100, 0).expect("room");
        let two = admit(Some(&one), "b", 200, 0).expect("room");
        assert!(one.select(&accepting("a")).is_some() && one.select(&accepting("b")).is_none());
        assert!(two.select(&accepting("a")).is_some() && two.select(&accepting("b")).is_some());
        assert_eq!((two.select(&HeaderMap::new()), two.useful_until_ms()), (None, 200));
    }

    #[test]
    fn fields_unite_and_new_fields_begin_a_new_list() {
        let by_accept = admit(None, "a", 100, 0).expect("room");
        let (both, _) =
            VaryRecord::admit(Some(&by_accept), &[ORIGIN], &accepting("a"), 100, 0).expect("room");
        assert_eq!((both.fields(), both.variants().count()), (&[ACCEPT, ORIGIN][..], 1));
        let (none, _) = VaryRecord::admit(Some(&both), &[], &accepting("b"), 100, 0).expect("room");
        assert_eq!((none.fields(), none.variants().count()), (&[ACCEPT, ORIGIN][..], 2));
        let (anew, _) = VaryRecord::admit(Some(&both), &[ORIGIN], &accepting("a"), 300, 100).expect("room");
        assert_eq!(anew.fields(), [ORIGIN], "an expired record is forgotten");
    }

    #[test]
    fn the_seventeenth_variant_waits_until_another_has_expired() {
        let mut record = admit(None, "0", 50, 0).expect("room");
        for n in 1..VARIANTS_MAX {
            record = admit(Some(&record), &n.to_string(), 100, 0).expect("room");
        }
        assert!(admit(Some(&record), "new", 100, 49).is_none());
        assert!(admit(Some(&record), "3", 100, 49).is_some(), "a known variant is replaced");
        let later = admit(Some(&record), "new", 100, 50).expect("the first is gone");
        assert!(later.select(&accepting("0")).is_none() && later.variants().count() == VARIANTS_MAX);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_and_every_damage_is_seen(
            values in prop::collection::vec("[a-f]{1,2}", 1..20),
            place: prop::sample::Index,
            change in 1_u8..,
        ) {
            let mut record = None;
            for value in &values {
                record = admit(record.as_ref(), value, 100, 0).or(record);
            }
            let record = record.expect("at least one");
            let bytes = record.encode();
            prop_assert_eq!(VaryRecord::decode(&bytes), Ok(record));
            let place = place.index(bytes.len());
            let mut damaged = bytes.to_vec();
            damaged[place] ^= change;
            prop_assert!(VaryRecord::decode(&damaged).is_err());
            prop_assert!(VaryRecord::decode(&bytes[..place]).is_err());
        }

        #[test]
        fn foreign_bytes_are_an_error(bytes in prop::collection::vec(any::<u8>(), 0..99)) {
            prop_assert!(VaryRecord::decode(&bytes).is_err());
        }
    }
}
