//! Leases on places of requests under way, called: one script for acquiring, renewing and giving back.

use crate::limit::{LimitKey, Mode, Slot};
use crate::store::StoreFailure;
use crate::store::redis::Connection;
use crate::store::redis::script::Script;
use crate::store::slots::Lease;
use fred::types::{FromValue, Key, Value};
use std::time::Duration;

/// The script's text.
const SCRIPT: &str = include_str!("slots.lua");

/// Leases renewed or given back in one call: 0.6 ms of Redis time (measured: 1.2 ms for 1,000), for which others wait.
pub const LEASES_MAX: usize = 500;

/// Places in Redis. Redis TIME is the only clock; a lease that is not renewed ends by itself.
#[derive(Clone)]
pub struct RedisSlots {
    connection: Connection,
    prefix: String,
    script: Script,
    length: Duration,
}

impl RedisSlots {
    /// Leases of `length` under `prefix` over `connection`.
    #[must_use]
    pub fn new(connection: Connection, prefix: &str, length: Duration) -> Self {
        Self { connection, prefix: prefix.to_owned(), script: Script::new(SCRIPT), length }
    }

    /// How long a lease lasts unless it is renewed.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.length
    }

    /// Takes a place for each slot, under the lease beside it: all or none, as far as the policies are enforced. What is
    /// beside it in `leaving` is free before. The slots are of one identity, since Cluster decides no others in one call.
    /// Returns what is left of each, `None` where there was no place.
    ///
    /// # Errors
    /// [`StoreFailure`]; after a time-out the places may or may not have been taken.
    pub async fn acquire(
        &self,
        slots: &[Slot],
        leases: &[Lease],
        leaving: &[Vec<u128>],
    ) -> Result<Vec<Option<u32>>, StoreFailure> {
        let keys = slots.iter().map(|slot| self.key(&slot.key)).collect();
        let mut arguments = self.arguments("a");
        for ((slot, lease), leaving) in slots.iter().zip(leases).zip(leaving) {
            let is_enforced = u32::from(slot.policy.mode == Mode::Enforce);
            let count = u32::try_from(leaving.len()).unwrap_or(0);
            arguments.extend([id(lease.id), slot.limit.into(), is_enforced.into(), count.into()]);
            arguments.extend(leaving.iter().copied().map(id));
        }
        let left: Vec<i64> = self.call("acquire", keys, arguments).await?;
        if left.len() != slots.len() {
            return Err(StoreFailure::Malformed { what: "one number for each slot" });
        }
        Ok(left.into_iter().map(|left| u32::try_from(left).ok()).collect())
    }

    /// Renews leases on places of one identity under one policy, at most [`LEASES_MAX`] and at least one. Returns
    /// how many were still there: one that has ended stays so.
    ///
    /// # Errors
    /// [`StoreFailure`].
    pub async fn renew(&self, key: &LimitKey, ids: &[u128]) -> Result<u64, StoreFailure> {
        let mut arguments = self.arguments("r");
        arguments.extend(ids.iter().copied().map(id));
        self.call("renew", vec![self.key(key)], arguments).await
    }

    /// Gives back places of one identity, at most [`LEASES_MAX`]. Returns how many were still held.
    ///
    /// # Errors
    /// [`StoreFailure`]; the leases then end by themselves.
    pub async fn give_back(&self, leases: &[Lease]) -> Result<u64, StoreFailure> {
        let keys = leases.iter().map(|lease| self.key(&lease.key)).collect();
        let mut arguments = self.arguments("g");
        arguments.extend(leases.iter().map(|lease| id(lease.id)));
        self.call("release", keys, arguments).await
    }

    async fn call<R: FromValue>(
        &self,
        operation: &'static str,
        keys: Vec<String>,
        arguments: Vec<Value>,
    ) -> Result<R, StoreFailure> {
        // All are of one identity, so the first says where they are.
        let slot = keys.first().cloned().unwrap_or_default();
        let keys: Vec<Key> = keys.into_iter().map(Key::from).collect();
        let run = |client| self.script.run::<R>(client, keys.clone(), arguments.clone());
        self.connection.call(operation, &slot, run).await
    }

    /// `{prefix}if:{identity}:policy`: the braces as for logs, so that both lie in one Cluster slot.
    fn key(&self, key: &LimitKey) -> String {
        format!("{}if:{{{}}}:{}", self.prefix, key.identity.short(), key.policy)
    }

    fn arguments(&self, operation: &str) -> Vec<Value> {
        let length_ms = i64::try_from(self.length.as_millis()).unwrap_or(i64::MAX);
        vec![Value::from(operation), Value::from(length_ms)]
    }
}

fn id(id: u128) -> Value {
    format!("{id:032x}").into()
}
