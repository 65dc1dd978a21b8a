//! Keyless digests over length-prefixed parts: `("a", "bc")` and `("ab", "c")` never meet.
//!
//! BLAKE3-256. Everything that becomes a store key goes through here, so no separator in a tenant, path or header
//! value can forge another key, and nothing personal stands in Redis in the clear.

use std::fmt;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A 256-bit digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The first `N` bytes, where the whole would be more than is needed.
    #[must_use]
    pub fn head<const N: usize>(&self) -> [u8; N] {
        const { assert!(N <= 32, "a digest has 32 bytes") };
        let mut head = [0; N];
        for (slot, byte) in head.iter_mut().zip(self.0) {
            *slot = byte;
        }
        head
    }

    /// The first 128 bits in base 62, always 22 characters: short enough for a Redis key, free of braces.
    #[must_use]
    pub fn short(&self) -> String {
        let (head, _) = self.0.split_at(16);
        let mut rest = head.iter().fold(0_u128, |sum, byte| (sum << 8) | u128::from(*byte));
        let mut text = [b'0'; 22];
        for slot in text.iter_mut().rev() {
            let digit = usize::try_from(rest % 62).unwrap_or(0);
            *slot = BASE62.get(digit).copied().unwrap_or(b'0');
            rest /= 62;
        }
        text.iter().map(|byte| char::from(*byte)).collect()
    }
}

impl Digest {
    /// The 128 bits that [`Digest::short`] wrote; `None` for any other text.
    #[must_use]
    pub fn parse_short(text: &str) -> Option<[u8; 16]> {
        let digit = |byte: u8| BASE62.iter().position(|known| *known == byte);
        let add = |sum: u128, byte: u8| sum.checked_mul(62)?.checked_add(u128::try_from(digit(byte)?).ok()?);
        let sum = text.bytes().try_fold(0_u128, add)?;
        (text.len() == 22).then(|| sum.to_be_bytes())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.short())
    }
}

/// Builds a [`Digest`] part by part.
#[derive(Debug, Clone)]
pub struct Digester(blake3::Hasher);

impl Digester {
    /// Starts a digest; `domain` names what is digested and its version (`"tidegate entry 1"`).
    #[must_use]
    pub fn new(domain: &str) -> Self {
        Self(blake3::Hasher::new()).part(domain.as_bytes())
    }

    /// Adds one part with its length in front.
    #[must_use]
    pub fn part(mut self, bytes: &[u8]) -> Self {
        self.add(bytes);
        self
    }

    /// Adds one part with its length in front, in place.
    pub fn add(&mut self, bytes: &[u8]) {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.0.update(&length.to_le_bytes());
        self.0.update(bytes);
    }

    /// The digest of all parts so far.
    #[must_use]
    pub fn finish(&self) -> Digest {
        Digest(*self.0.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_short_form_is_read_back() {
        for byte in [0, 1, 127, 255] {
            let digest = Digest([byte; 32]);
            assert_eq!(Digest::parse_short(&digest.short()), Some(digest.head()));
        }
        for odd in ["", "0", "zzzzzzzzzzzzzzzzzzzzzz", "000000000000000000000-", "00000000000000000000000"] {
            assert_eq!(Digest::parse_short(odd), None, "{odd}");
        }
    }

    #[test]
    fn short_form_has_22_plain_characters() {
        for digest in [Digest([0; 32]), Digest([255; 32]), Digester::new("x").finish()] {
            let short = digest.short();
            assert_eq!(short.len(), 22);
            assert!(short.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        }
    }

    proptest! {
        #[test]
        fn parts_never_run_into_each_other(left in prop::collection::vec(".{0,6}", 0..4), right in prop::collection::vec(".{0,6}", 0..4)) {
            let digest = |parts: &[String]| parts.iter().fold(Digester::new("t"), |d, part| d.part(part.as_bytes())).finish();
            prop_assert_eq!(left == right, digest(&left) == digest(&right));
        }
    }
}
