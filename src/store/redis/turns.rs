//! Turns of the fleet: of the instances that would do the same at the same time, one does it.
//!
//! A turn is a key with a lifetime, `{prefix}l:warm:NAME`. It is not given back: who took it has done the work for all until
//! it ends, and only who still works makes it longer.

use crate::store::StoreFailure;
use crate::store::redis::Connection;
use crate::store::redis::script::Script;
use fred::types::{Key, Value};
use std::time::Duration;

/// Takes the turn, or makes it longer for its holder.
const SCRIPT: &str = include_str!("turns.lua");

/// Turns over one connection. Clones share it.
#[derive(Clone)]
pub struct RedisTurns {
    connection: Connection,
    prefix: String,
    script: Script,
    /// Drawn at the start.
    me: String,
}

impl RedisTurns {
    /// Turns under `prefix`.
    #[must_use]
    pub fn new(connection: Connection, prefix: &str) -> Self {
        let me = format!("{:032x}", rand::random::<u128>());
        Self { connection, prefix: prefix.to_owned(), script: Script::new(SCRIPT), me }
    }

    /// Takes the turn `name` for so long. `false`: another instance has it.
    ///
    /// # Errors
    /// [`StoreFailure`]; after a time-out it may have been taken.
    pub async fn take(&self, name: &str, length: Duration) -> Result<bool, StoreFailure> {
        self.call(name, length, "take").await
    }

    /// Makes a turn last at least so long from now. `false`: it is another's by now.
    ///
    /// # Errors
    /// [`StoreFailure`].
    pub async fn keep(&self, name: &str, length: Duration) -> Result<bool, StoreFailure> {
        self.call(name, length, "keep").await
    }

    async fn call(&self, name: &str, length: Duration, word: &'static str) -> Result<bool, StoreFailure> {
        let key = format!("{}l:warm:{name}", self.prefix);
        let length_ms = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
        let arguments = || vec![self.me.as_str().into(), Value::from(length_ms), word.into()];
        let run = |client| self.script.run_text::<bool>(client, vec![Key::from(key.as_str())], arguments());
        self.connection.call("turn", &key, run).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{Redis, eventually};

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn one_instance_takes_a_turn_until_it_ends() {
        let server = Redis::start().await;
        let one = RedisTurns::new(server.connection().await, "tg:");
        let two = RedisTurns::new(server.connection().await, "tg:");
        assert_eq!(one.take("a", LONG).await, Ok(true));
        assert_eq!((one.take("a", LONG).await, two.take("a", LONG).await), (Ok(false), Ok(false)));
        assert_eq!(two.take("b", LONG).await, Ok(true));
        assert!(server.cli(&["PTTL", "tg:l:warm:a"]).parse::<i64>().expect("a number") > 50_000);
        assert_eq!(server.cli(&["PEXPIRE", "tg:l:warm:a", "1"]), "1");
        eventually(|| server.cli(&["EXISTS", "tg:l:warm:a"]) == "0").await;
        assert_eq!(two.take("a", LONG).await, Ok(true));
    }

    #[tokio::test]
    async fn only_its_holder_makes_a_turn_longer_and_never_shorter() {
        let server = Redis::start().await;
        let one = RedisTurns::new(server.connection().await, "tg:");
        let two = RedisTurns::new(server.connection().await, "tg:");
        let left = || server.cli(&["PTTL", "tg:l:warm:a"]).parse::<i64>().expect("a number");
        assert_eq!(one.take("a", LONG).await, Ok(true));
        assert_eq!(two.keep("a", LONG * 2).await, Ok(false));
        assert_eq!(one.keep("a", Duration::from_millis(5)).await, Ok(true));
        assert!((50_000..=60_000).contains(&left()));
        assert_eq!(one.keep("a", LONG * 2).await, Ok(true));
        assert!(left() > 100_000);
        server.cli(&["DEL", "tg:l:warm:a"]);
        assert_eq!(one.keep("a", LONG).await, Ok(false));
    }
}
