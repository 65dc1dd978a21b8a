//! Places in the feed as clients get them: signed, and good for one tenant and one filter only.

use crate::base::{Digest, Mac};
use crate::companion::FeedPosition;
use crate::companion::service::refusal::Refusal;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// What is signed here; another version of the form has another.
const DOMAIN: &[u8] = b"tidegate cursor 1";

/// Bytes of the filter's digest that are in a cursor.
const FILTER_BYTES: usize = 8;

const POSITION_BYTES: usize = 16;

/// A cursor that is longer cannot be one of ours.
const TEXT_BYTES_MAX: usize = 128;

/// Writes and reads the cursors of one tenant and one filter.
pub(super) struct Cursors<'k> {
    /// What they are signed with.
    pub(super) key: &'k [u8],
    /// Whose they are.
    pub(super) tenant: &'k str,
    /// Of what else was asked for.
    pub(super) filter: Digest,
}

impl Cursors<'_> {
    /// The cursor of a place.
    pub(super) fn write(&self, position: FeedPosition) -> String {
        let mut bytes = Vec::with_capacity(POSITION_BYTES + FILTER_BYTES + 32);
        bytes.extend(position.occurred_at_us.to_be_bytes());
        bytes.extend(position.id.to_be_bytes());
        bytes.extend(self.filter.head::<FILTER_BYTES>());
        bytes.extend(self.signature(&bytes).finish());
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place of a cursor.
    ///
    /// # Errors
    /// 400 where it is none of this tenant's, or one of another filter.
    pub(super) fn read(&self, text: &str) -> Result<FeedPosition, Refusal> {
        let forged = || refusal("it is none of ours: use `pagination.next_cursor` as it is, or begin anew");
        let bytes = (text.len() <= TEXT_BYTES_MAX).then(|| BASE64_URL_SAFE_NO_PAD.decode(text).ok());
        let bytes = bytes.flatten().ok_or_else(forged)?;
        let (signed, mac) = bytes.split_at_checked(POSITION_BYTES + FILTER_BYTES).ok_or_else(forged)?;
        let is_ours = self.signature(signed).is(mac);
        let (occurred_at, rest) = signed.split_first_chunk().filter(|_| is_ours).ok_or_else(forged)?;
        let (id, filter) = rest.split_first_chunk().ok_or_else(forged)?;
        if filter != self.filter.head::<FILTER_BYTES>() {
            return Err(refusal("it is one of another filter: change nothing but `limit`, or begin anew"));
        }
        Ok(FeedPosition { occurred_at_us: i64::from_be_bytes(*occurred_at), id: i64::from_be_bytes(*id) })
    }

    fn signature(&self, signed: &[u8]) -> Mac {
        [DOMAIN, self.tenant.as_bytes(), signed].iter().fold(Mac::new(self.key), |mac, part| {
            mac.chain(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes()).chain(part)
        })
    }
}

fn refusal(message: &str) -> Refusal {
    Refusal::new(400, "invalid-cursor", "The cursor is not valid", message).field("cursor", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Digester;
    use proptest::prelude::*;

    fn cursors<'k>(key: &'k [u8], tenant: &'k str, filter: &str) -> Cursors<'k> {
        Cursors { key, tenant, filter: Digester::new(filter).finish() }
    }

    proptest! {
        #[test]
        fn a_cursor_is_good_for_its_key_tenant_and_filter_and_not_with_any_bit_changed(
            occurred_at_us in any::<i64>(), id in any::<i64>(), place in 0_usize..75, letter in "[A-Za-z0-9_-]",
        ) {
            let position = FeedPosition { occurred_at_us, id };
            let ours = cursors(b"a key", "acme", "login");
            let text = ours.write(position);
            prop_assert_eq!(ours.read(&text), Ok(position));
            for other in [cursors(b"b key", "acme", "login"), cursors(b"a key", "bolt", "login"), cursors(b"a key", "acme", "")] {
                prop_assert!(other.read(&text).is_err());
            }
            let mut changed = text.clone();
            changed.replace_range(place..=place, &letter);
            prop_assert!(changed == text || ours.read(&changed).is_err());
        }

        #[test]
        fn any_other_text_is_refused(text in ".{0,200}") {
            prop_assert!(cursors(b"a key", "acme", "login").read(&text).is_err());
        }
    }
}
