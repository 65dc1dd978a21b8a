//! Leases of flights in Redis: `{prefix}l:{digest}:variant`, held by who asks the origin for all instances.
//!
//! A lease ends by itself, so that a holder that is gone costs no more than what is left of it. Who finds one taken
//! leaves a mark, and only then its end is published: a miss that nobody else waits for costs two calls.

use crate::store::StoreFailure;
use crate::store::redis::Connection;
use crate::store::redis::feed::channel;
use crate::store::redis::script::Script;
use fred::types::{FromValue, Key, Value};
use std::time::Duration;

/// The script's text.
const SCRIPT: &str = include_str!("leases.lua");

/// Leases over one connection, that of the feed. Clones share it.
#[derive(Clone)]
pub struct RedisLeases {
    connection: Connection,
    prefix: String,
    channel: String,
    script: Script,
    length: Duration,
}

impl RedisLeases {
    /// Leases of `length` under `prefix`.
    #[must_use]
    pub fn new(connection: Connection, prefix: &str, length: Duration) -> Self {
        let channel = channel(prefix);
        Self { connection, prefix: prefix.to_owned(), channel, script: Script::new(SCRIPT), length }
    }

    /// Takes the lease of the flight `name` for `holder`. `Some`: another has it, for so long unless it is kept; it
    /// will publish how it ended.
    ///
    /// # Errors
    /// [`StoreFailure`]; after a time-out the lease may have been taken. It ends by itself, and the same holder may
    /// ask again.
    pub async fn acquire(&self, name: &str, holder: u128) -> Result<Option<Duration>, StoreFailure> {
        let left: u64 = self.call(name, vec!["a".into(), digits(holder), self.length_ms()]).await?;
        Ok((left > 0).then(|| Duration::from_millis(left)))
    }

    /// Lengthens a lease to its whole length. `false`: it is not `holder`'s any more.
    ///
    /// # Errors
    /// [`StoreFailure`].
    pub async fn keep(&self, name: &str, holder: u128) -> Result<bool, StoreFailure> {
        self.call(name, vec!["k".into(), digits(holder), self.length_ms()]).await
    }

    /// Gives a lease back and tells those who wait how the flight ended. `false`: it was not `holder`'s any more, and
    /// nobody was told.
    ///
    /// # Errors
    /// [`StoreFailure`]; the lease then ends by itself.
    pub async fn release(&self, name: &str, holder: u128, word: &str) -> Result<bool, StoreFailure> {
        let arguments = vec!["r".into(), digits(holder), self.channel.as_str().into(), message(name, word)];
        self.call(name, arguments).await
    }

    /// Tells all instances how a flight without a lease ended.
    ///
    /// # Errors
    /// [`StoreFailure`].
    pub async fn tell(&self, name: &str, word: &str) -> Result<(), StoreFailure> {
        let arguments = vec!["t".into(), self.channel.as_str().into(), message(name, word)];
        self.call::<u64>(name, arguments).await.map(|_always_one| ())
    }

    async fn call<R: FromValue>(&self, name: &str, arguments: Vec<Value>) -> Result<R, StoreFailure> {
        let key = self.key(name);
        let run = |client| self.script.run::<R>(client, vec![Key::from(key.as_str())], arguments.clone());
        self.connection.call("flight", &key, run).await
    }

    /// The braces as for entries: lease and entry lie in one Cluster slot.
    fn key(&self, name: &str) -> String {
        let (digest, variant) = name.split_once(':').unwrap_or((name, "-"));
        format!("{}l:{{{digest}}}:{variant}", self.prefix)
    }

    fn length_ms(&self) -> Value {
        i64::try_from(self.length.as_millis()).unwrap_or(i64::MAX).into()
    }
}

fn digits(holder: u128) -> Value {
    format!("{holder:032x}").into()
}

fn message(name: &str, word: &str) -> Value {
    format!("flight {name} {word}").into()
}
