//! The limit script, called: one round trip decides all charges of a request.

use crate::limit::{Charge, Decision, LimitKey, Mode, WindowState, Windows};
use crate::store::StoreFailure;
use crate::store::redis::Connection;
use crate::store::redis::feed::channel;
use crate::store::redis::script::Script;
use bytes::Bytes;
use fred::types::{Key, Value};

/// The script's text.
pub const SCRIPT: &str = include_str!("limits.lua");

/// The script's word for "never".
const NEVER: u32 = u32::MAX;

/// A flag of a charge: when it denies, nothing is consumed under any policy.
const ENFORCED: u32 = 1;

/// A flag of a charge: judged, never consumed.
const PEEK_ONLY: u32 = 2;

/// The script's word for the newest units, instead of a stamp.
const NEWEST: f64 = -1.0;

/// What the script does with the charges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Consume all if every enforced charge passes.
    Consume,
    /// Consume whatever the limits say, also what is otherwise only judged.
    Force,
    /// Give back what was consumed.
    Refund {
        /// The stamp of the decision that consumed, or `None` for the newest units whatever their stamps.
        stamp_ms: Option<u64>,
    },
}

impl Operation {
    fn word(self) -> &'static str {
        match self {
            Self::Consume => "c",
            Self::Force => "f",
            Self::Refund { .. } => "r",
        }
    }

    fn stamp(self) -> f64 {
        match self {
            Self::Refund { stamp_ms } => stamp_ms.map_or(NEWEST, float),
            Self::Consume | Self::Force => 0.0,
        }
    }
}

/// The script's answer to one charge.
struct Answer {
    decision: Decision,
    /// Units consumed or given back.
    units: u32,
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

    /// Must logs of different identities be decided in calls of their own?
    #[must_use]
    pub fn is_cluster(&self) -> bool {
        self.connection.is_cluster()
    }

    /// Decides all charges in one call. After a refund the decisions show the windows as they are then.
    ///
    /// # Errors
    /// [`StoreFailure`]; after a time-out the charge may or may not have happened, never half.
    pub async fn decide(
        &self,
        charges: &[Charge],
        operation: Operation,
    ) -> Result<Vec<Decision>, StoreFailure> {
        let answers = self.ask("", charges, operation).await?;
        Ok(answers.into_iter().map(|answer| answer.decision).collect())
    }

    /// Gives back up to `charge.cost` units: those consumed at `stamp_ms`, or with `None` the newest. Returns how many
    /// were still in the log. When there were any, all instances are told to forget what they remember of it
    /// ([`RedisLimits::feed`]).
    ///
    /// # Errors
    /// As [`RedisLimits::decide`].
    pub async fn refund(&self, charge: &Charge, stamp_ms: Option<u64>) -> Result<u32, StoreFailure> {
        let answers = self.ask("", std::slice::from_ref(charge), Operation::Refund { stamp_ms }).await?;
        Ok(answers.iter().map(|answer| answer.units).sum())
    }

    /// Forgets a log, and tells all instances to forget what they remember of it.
    ///
    /// # Errors
    /// [`StoreFailure`].
    pub async fn reset(&self, key: &LimitKey) -> Result<(), StoreFailure> {
        // The third argument stands where a charge would.
        let arguments = ["", "d", "", &self.feed(), &forget(key)].map(Value::from).to_vec();
        let key = key.redis_key(&self.prefix);
        let run = |client| self.script.run::<Bytes>(client, vec![Key::from(key.as_str())], arguments.clone());
        self.connection.call("reset", &key, run).await.map(|_empty| ())
    }

    /// The channel on which all instances hear `forget {digest}:{policy}` when units were given back or a log was
    /// reset: what they remember of denials is then no longer true.
    #[must_use]
    pub fn feed(&self) -> String {
        channel(&self.prefix)
    }

    /// [`RedisLimits::decide`] with a clock of the caller's, for tests of the script's arithmetic. Tells also how many
    /// units each charge has consumed or been given back.
    ///
    /// # Errors
    /// As [`RedisLimits::decide`].
    #[cfg(test)]
    pub async fn decide_at_ms(
        &self,
        now_ms: u64,
        charges: &[Charge],
        operation: Operation,
    ) -> Result<Vec<(Decision, u32)>, StoreFailure> {
        let answers = self.ask(&now_ms.to_string(), charges, operation).await?;
        Ok(answers.into_iter().map(|answer| (answer.decision, answer.units)).collect())
    }

    async fn ask(
        &self,
        clock: &str,
        charges: &[Charge],
        operation: Operation,
    ) -> Result<Vec<Answer>, StoreFailure> {
        let keys: Vec<Key> = charges.iter().map(|charge| charge.key.redis_key(&self.prefix).into()).collect();
        let mut arguments: Vec<Value> = vec![Value::from(clock), Value::from(operation.word())];
        arguments.extend(charges.iter().map(|charge| Value::Bytes(pack(charge, operation.stamp()).into())));
        if matches!(operation, Operation::Refund { .. }) {
            arguments.push(self.feed().into());
            arguments.extend(charges.iter().map(|charge| Value::from(forget(&charge.key))));
        }
        // All keys of one call lie in one slot; the first says which.
        let slot = charges.first().map(|charge| charge.key.redis_key(&self.prefix)).unwrap_or_default();
        let run = |client| self.script.run::<Bytes>(client, keys.clone(), arguments.clone());
        let reply = self.connection.call("limit", &slot, run).await?;
        unpack(&reply, charges).ok_or(StoreFailure::Malformed { what: "the limit script's reply" })
    }
}

/// What other instances are told: the log's key without prefix and braces.
fn forget(key: &LimitKey) -> String {
    format!("forget {}:{}", key.identity.short(), key.policy)
}

/// A charge as the script reads it.
fn pack(charge: &Charge, stamp: f64) -> Vec<u8> {
    let windows = charge.windows.as_slice();
    let enforced = if charge.policy.mode == Mode::Enforce { ENFORCED } else { 0 };
    let peek_only = if charge.consumes { 0 } else { PEEK_ONLY };
    let largest = windows.iter().map(|window| window.limit).max().unwrap_or(0);
    let mut packed = Vec::with_capacity(windows.len().saturating_mul(8).saturating_add(32));
    packed.extend(stamp.to_le_bytes());
    for word in [charge.cost, signature(&charge.windows), enforced | peek_only, largest, 0, 0] {
        packed.extend(word.to_le_bytes());
    }
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

fn unpack(reply: &[u8], charges: &[Charge]) -> Option<Vec<Answer>> {
    let mut reader = Reader(reply);
    let mut answers = Vec::with_capacity(charges.len());
    for charge in charges {
        let stamp_ms = integer(f64::from_bits(reader.u64()?))?;
        let (admitted, wait, units) = (reader.u32()?, reader.u32()?, reader.u32()?);
        let _spare = (reader.u32()?, reader.u64()?);
        let windows = charge
            .windows
            .as_slice()
            .iter()
            .map(|_| Some(WindowState { remaining: reader.u32()?, reset_ms: reader.u32()? }));
        let windows = windows.collect::<Option<Vec<WindowState>>>()?;
        let retry_ms = (wait != NEVER).then_some(wait);
        let decision = Decision { admitted: admitted == 1, retry_ms, stamp_ms, windows };
        answers.push(Answer { decision, units });
    }
    reader.0.is_empty().then_some(answers)
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
    use crate::store::testing::{Redis, charge_of};
    use fred::interfaces::{ClientLike, EventInterface, PubsubInterface};
    use fred::types::Builder;
    use fred::types::config::Config;
    use proptest::prelude::*;
    use std::time::Duration;

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

    #[tokio::test]
    async fn all_instances_are_told_of_what_was_given_back_or_reset() {
        let server = Redis::start().await;
        let limits = RedisLimits::new(server.connection().await, "tg:");
        let config = Config::from_url(&format!("redis://127.0.0.1:{}", server.port)).expect("a valid URL");
        let listener = Builder::from_config(config).build().expect("a client");
        listener.init().await.expect("it connects");
        listener.subscribe("tg:feed").await.expect("it listens");
        let mut heard = listener.message_rx();

        let charge = charge_of("p:1", 1, &[(60, 2)], Mode::Enforce);
        let one = std::slice::from_ref(&charge);
        assert_eq!(limits.refund(&charge, None).await, Ok(0), "nothing to give back, nothing to tell");
        for _ in 0..2 {
            assert!(limits.decide(one, Operation::Consume).await.expect("it answers")[0].admitted);
        }
        assert_eq!(limits.refund(&Charge { cost: 5, ..charge.clone() }, None).await, Ok(2));
        limits.reset(&charge.key).await.expect("it answers");
        limits.reset(&charge_of("gone", 2, &[(60, 2)], Mode::Enforce).key).await.expect("it answers");
        for (identity, policy) in [(1, "p:1"), (1, "p:1"), (2, "gone")] {
            let message = tokio::time::timeout(Duration::from_secs(10), heard.recv()).await;
            let text = message.expect("in time").expect("it is told").value.into_string();
            let digest = charge_of("p", identity, &[(60, 2)], Mode::Enforce).key.identity.short();
            assert_eq!(text, Some(format!("forget {digest}:{policy}")));
        }

        server.cli(&["ACL", "SETUSER", "default", "resetchannels"]);
        limits.decide(one, Operation::Consume).await.expect("it answers");
        assert_eq!(limits.refund(&charge, None).await, Ok(1), "it works also where nobody may be told");
        limits.reset(&charge.key).await.expect("it answers");
        listener.quit().await.expect("it leaves");
    }

    proptest! {
        #[test]
        fn no_reply_is_too_strange(reply in prop::collection::vec(any::<u8>(), 0..64)) {
            let one = [charge_of("p", 1, &[(60, 2)], Mode::Enforce)];
            let answers = unpack(&reply, &one);
            prop_assert!(answers.is_none() || reply.len() == 40);
        }
    }
}
