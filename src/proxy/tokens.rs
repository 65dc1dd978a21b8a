//! Verified tokens, remembered by digest until they expire: a signature check costs more than a whole cache hit.

use crate::base::{BoundedMap, Digest};
use crate::identity::{Identifier, TokenFault, VerifiedToken, token_digest};
use parking_lot::Mutex;
use std::sync::Arc;

/// Tokens remembered at most; about 1 KiB each.
const TOKENS_MAX: usize = 10_000;

/// Remembers the outcome of verifications that succeeded. Failures are not remembered: an attacker could fill the
/// map with them.
#[derive(Debug)]
pub(super) struct Tokens {
    known: Mutex<BoundedMap<(u64, Digest), Arc<VerifiedToken>>>,
}

impl Default for Tokens {
    fn default() -> Self {
        Self { known: Mutex::new(BoundedMap::new(TOKENS_MAX)) }
    }
}

impl Tokens {
    /// Verifies `token`, or remembers that it was verified under the same `generation` of the configuration (keys
    /// may have changed since) and has not expired.
    ///
    /// # Errors
    /// The verification's own fault.
    pub(super) fn verify(
        &self,
        identifier: &Identifier,
        generation: u64,
        token: &str,
        now_s: u64,
    ) -> Result<Arc<VerifiedToken>, TokenFault> {
        let key = (generation, token_digest(token));
        let known = self.known.lock().get(&key).cloned();
        if let Some(known) = known.filter(|known| now_s < known.expires_s) {
            return Ok(known);
        }
        let verified = Arc::new(identifier.verify(token, now_s)?);
        self.known.lock().insert(key, Arc::clone(&verified));
        Ok(verified)
    }
}
