//! HMAC-SHA256 (RFC 2104): who has the key has written this.

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// A message authentication code over bytes that are added one after the other. Where parts have no fixed length, the caller
/// keeps them from running into each other.
#[derive(Clone)]
pub struct Mac(Option<Hmac<Sha256>>);

impl Mac {
    /// Nothing is signed yet. A key of any length does.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        // The error cannot happen; should it ever, nothing verifies.
        Self(Hmac::new_from_slice(key).ok())
    }

    /// Signs these bytes too.
    #[must_use]
    pub fn chain(mut self, bytes: &[u8]) -> Self {
        if let Some(mac) = &mut self.0 {
            mac.update(bytes);
        }
        self
    }

    /// The code, of 32 bytes.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.0.map(|mac| mac.finalize().into_bytes().to_vec()).unwrap_or_default()
    }

    /// Is this the code, the whole of it? Takes as long whatever is wrong with it.
    #[must_use]
    pub fn is(self, code: &[u8]) -> bool {
        self.0.is_some_and(|mac| mac.verify_slice(code).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2.
    const CODE: [u8; 32] = [
        0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7, 0x5a,
        0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43,
    ];

    #[test]
    fn codes_are_those_of_the_rfc_and_no_others() {
        let signed = || Mac::new(b"Jefe").chain(b"what do ya ").chain(b"want for nothing?");
        assert_eq!(signed().finish(), CODE);
        assert!(signed().is(&CODE));
        assert!(!Mac::new(b"jefe").chain(b"what do ya want for nothing?").is(&CODE));
        assert!(!signed().chain(b" ").is(&CODE));
        let (short, _) = CODE.split_at(31);
        assert!(!signed().is(short) && !signed().is(b""));
    }
}
