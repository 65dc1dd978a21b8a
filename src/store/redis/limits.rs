//! The limit script, called: one round trip decides all charges of a request.

use crate::limit::{Charge, Decision, LimitKey, Mode, WindowState, Windows};
use crate::store::StoreFailure;
use crate::store::redis::Connection;
use crate::store::redis::script::Script;
use bytes::Bytes;
use fred::clients::Client;
use fred::interfaces::KeysInterface;
use fred::types::{Key, Value};

/// The script's text.
pub const SCRIPT: &str = include_str!("limits.lua");

/// The script's word for "never".
const NEVER: u32 = u32::MAX;

/// What the script does with the charges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Consume all if every enforced charge passes.
    Consume,
    /// Consume whatever the limits say.
    Force,
    /// Give back what was consumed at a stamp.
    Refund {
        /// The stamp of the decision that consumed.
        stamp_ms: u64,
    },
}

/// Counts in Redis. Redis TIME is the only clock.
#[derive(Clone)]
pub struct RedisLimits {
    connection: Connection,
    prefix: String,
    script: Script,
}

impl RedisLimits {
    /// Counts under `prefix` over `connection`.
    #[must_use]
    pub fn new(connection: Connection, prefix: &str) -> Self {
        Self { connection, prefix: prefix.to_owned(), script: Script::new(SCRIPT) }
    }

    /// Does Redis answer, as far as is known?
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.connection.is_up()
    }

    /// Decides all charges in one call.
    ///
    /// # Errors
    /// [`StoreFailure`]; after a time-out the charge may or may not have happened, never half.
    pub async fn decide(
        &self,
        charges: &[Charge],
        operation: Operation,
    ) -> Result<Vec<Decision>, StoreFailure> {
        self.decide_at("", charges, operation).await
    }

    /// The same with a clock of the caller's, for tests of the script's arithmetic.
    ///
    /// # Errors
    /// As [`RedisLimits::decide`].
    #[cfg(test)]
    pub async fn decide_at_ms(
        &self,
        now_ms: u64,
        charges: &[Charge],
        operation: Operation,
    ) -> Result<Vec<Decision>, StoreFailure> {
        self.decide_at(&now_ms.to_string(), charges, operation).await
    }

    async fn decide_at(
        &self,
        clock: &str,
        charges: &[Charge],
        operation: Operation,
    ) -> Result<Vec<Decision>, StoreFailure> {
        let keys: Vec<Key> = charges.iter().map(|charge| charge.key.redis_key(&self.prefix).into()).collect();
        let (word, stamp_ms) = match operation {
            Operation::Consume => ("c", 0),
            Operation::Force => ("f", 0),
            Operation::Refund { stamp_ms } => ("r", stamp_ms),
        };
        let mut arguments: Vec<Value> = vec![Value::from(clock), Value::from(word)];
        arguments.extend(charges.iter().map(|charge| Value::Bytes(pack(charge, stamp_ms).into())));
        // All keys of one call lie in one slot; the first says which.
        let slot = charges.first().map(|charge| charge.key.redis_key(&self.prefix)).unwrap_or_default();
        let run = |client| self.script.run::<Bytes>(client, keys.clone(), arguments.clone());
        let reply = self.connection.call("limit", &slot, run).await?;
        unpack(&reply, charges).ok_or(StoreFailure::Malformed { what: "the limit script's reply" })
    }

    /// Forgets a log.
    ///
    /// # Errors
    /// [`StoreFailure`].
    pub async fn reset(&self, key: &LimitKey) -> Result<(), StoreFailure> {
        let key = key.redis_key(&self.prefix);
        self.connection
            .call("reset", &key, async |client: Client| client.del::<(), _>(key.as_str()).await)
            .await
    }
}

/// A charge as the script reads it.
fn pack(charge: &Charge, stamp_ms: u64) -> Vec<u8> {
    let windows = charge.windows.as_slice();
    let mut packed = Vec::with_capacity(windows.len().saturating_mul(8).saturating_add(18));
    packed.extend(float(stamp_ms).to_le_bytes());
    packed.extend(charge.cost.to_le_bytes());
    packed.extend(signature(&charge.windows).to_le_bytes());
    packed.push(u8::from(charge.policy.mode == Mode::Enforce));
    packed.push(u8::try_from(windows.len()).unwrap_or(u8::MAX));
    for window in windows {
        packed.extend(window.length_ms.to_le_bytes());
        packed.extend(window.limit.to_le_bytes());
    }
    packed
}

/// Names the list of window lengths: when it changes, the stored tails mean nothing any more. Never 0, which names none.
fn signature(windows: &Windows) -> u32 {
    // FNV-1a. A log sees a handful of lists in its life, none chosen by an adversary.
    let lengths = windows.as_slice().iter().flat_map(|window| window.length_ms.to_le_bytes());
    lengths.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)).max(1)
}

/// Milliseconds as the script's number: exact far beyond any date.
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of this epoch stay below 2^53 for 280,000 years"
)]
fn float(ms: u64) -> f64 {
    ms as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked: finite, not negative, below 2^53"
)]
fn integer(ms: f64) -> Option<u64> {
    (ms.is_finite() && (0.0..9.0e15).contains(&ms)).then_some(ms as u64)
}

fn unpack(reply: &[u8], charges: &[Charge]) -> Option<Vec<Decision>> {
    let mut reader = Reader(reply);
    let mut decisions = Vec::with_capacity(charges.len());
    for charge in charges {
        let (admitted, wait) = (reader.u32()?, reader.u32()?);
        let stamp_ms = integer(f64::from_bits(reader.u64()?))?;
        let windows = charge
            .windows
            .as_slice()
            .iter()
            .map(|_| Some(WindowState { remaining: reader.u32()?, reset_ms: reader.u32()? }));
        let windows = windows.collect::<Option<Vec<WindowState>>>()?;
        let retry_ms = (wait != NEVER).then_some(wait);
        decisions.push(Decision { admitted: admitted == 1, retry_ms, stamp_ms, windows });
    }
    reader.0.is_empty().then_some(decisions)
}

struct Reader<'r>(&'r [u8]);

impl Reader<'_> {
    fn u32(&mut self) -> Option<u32> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*head))
    }

    fn u64(&mut self) -> Option<u64> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*head))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::Window;
    use crate::store::testing::charge_of;
    use proptest::prelude::*;

    #[test]
    fn a_list_of_lengths_has_a_signature_whatever_the_limits() {
        let of = |list: &[(u32, u32)]| {
            let list = list.iter().map(|(length_ms, limit)| Window { length_ms: *length_ms, limit: *limit });
            signature(&Windows::new(list.collect()).expect("valid"))
        };
        assert_eq!(of(&[(1_000, 1), (60_000, 2)]), of(&[(60_000, 7), (1_000, 9)]));
        assert_ne!(of(&[(1_000, 1), (60_000, 2)]), of(&[(1_000, 1)]));
        assert_ne!(of(&[(1_000, 1)]), 0);
    }

    proptest! {
        #[test]
        fn no_reply_is_too_strange(reply in prop::collection::vec(any::<u8>(), 0..64)) {
            let one = [charge_of("p", 1, &[(60, 2)], Mode::Enforce)];
            let decisions = unpack(&reply, &one);
            prop_assert!(decisions.is_none() || reply.len() == 24);
        }
    }
}
