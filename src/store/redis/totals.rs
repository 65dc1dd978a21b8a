//! What every instance has counted of its cache, so that one can answer for all: `{prefix}stats`.
//!
//! Each instance has a name drawn at its start and writes its totals every second; those of one that has written nothing for
//! five seconds are gone with it. Redis TIME is the only clock. A text is opaque here.

use crate::store::StoreFailure;
use crate::store::redis::Connection;
use crate::store::redis::script::Script;
use fred::types::{Key, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const SCRIPT: &str = include_str!("totals.lua");

/// How long totals count that are not written again.
const LIFE_MS: i64 = 5_000;

/// The totals of all, and this instance's place among them. Clones share it.
#[derive(Clone)]
pub struct RedisTotals {
    connection: Connection,
    script: Script,
    key: String,
    me: String,
    has_left: Arc<AtomicBool>,
}

impl RedisTotals {
    /// The totals under `{prefix}stats`.
    #[must_use]
    pub fn new(connection: Connection, prefix: &str) -> Self {
        let me = format!("{:032x}", rand::random::<u128>());
        let (key, has_left) = (format!("{prefix}stats"), Arc::default());
        Self { connection, script: Script::new(SCRIPT), key, me, has_left }
    }

    /// Writes those of this instance, unless it has left.
    ///
    /// # Errors
    /// [`StoreFailure`].
    pub async fn tell(&self, mine: &str) -> Result<(), StoreFailure> {
        if self.has_left.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.exchange(mine, "0").await.map(drop)
    }

    /// Takes those of this instance away at once, when it ends, for good.
    ///
    /// # Errors
    /// [`StoreFailure`]; then the others notice within five seconds.
    pub async fn leave(&self) -> Result<(), StoreFailure> {
        self.has_left.store(true, Ordering::Relaxed);
        self.exchange("", "0").await.map(drop)
    }

    /// Writes those of this instance and answers with those of all that live, this one among them. One round trip.
    ///
    /// # Errors
    /// [`StoreFailure`].
    pub async fn all(&self, mine: &str) -> Result<Vec<String>, StoreFailure> {
        self.exchange(mine, "1").await
    }

    async fn exchange(&self, mine: &str, is_asked: &'static str) -> Result<Vec<String>, StoreFailure> {
        let arguments =
            || -> Vec<Value> { vec![self.me.as_str().into(), LIFE_MS.into(), mine.into(), is_asked.into()] };
        let keys = || vec![Key::from(self.key.as_str())];
        let call = |client| self.script.run_text::<Vec<String>>(client, keys(), arguments());
        self.connection.call("stats", &self.key, call).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::Redis;

    async fn totals(server: &Redis) -> RedisTotals {
        RedisTotals::new(server.connection().await, "tg:")
    }

    #[tokio::test]
    async fn each_instance_counts_once_with_its_last_word_and_who_leaves_takes_it_along() {
        let server = Redis::start().await;
        let (one, two) = (totals(&server).await, totals(&server).await);
        one.tell("{\"a\": 1}").await.expect("it answers");
        one.tell("{\"a\": 2}").await.expect("it answers");
        let mut all = two.all("b c").await.expect("it answers");
        all.sort();
        assert_eq!(all, ["b c", "{\"a\": 2}"]);
        assert!(server.cli(&["PTTL", "tg:stats"]).parse::<i64>().expect("a number") > 0, "it has an end");
        two.leave().await.expect("it answers");
        two.tell("late").await.expect("nothing is written");
        assert_eq!(one.all("x").await.expect("it answers"), ["x"]);
    }

    #[tokio::test]
    async fn who_falls_silent_no_longer_counts_and_what_is_no_hash_is_replaced() {
        let server = Redis::start().await;
        server.cli(&["SET", "tg:stats", "no hash"]);
        let (one, two) = (totals(&server).await, totals(&server).await);
        two.tell("old").await.expect("it answers");
        server.cli(&["HSET", "tg:stats", "future", "99999999999999 later", "odd", "odd"]);
        assert_eq!(one.all("new").await.expect("it answers").len(), 2);
        assert_eq!(server.cli(&["HLEN", "tg:stats"]), "2", "what cannot count is taken away");
        server.cli(&["HSET", "tg:stats", &two.me, "1 old"]);
        assert_eq!(one.all("new").await.expect("it answers"), ["new"]);
    }

    #[tokio::test]
    async fn without_redis_there_is_no_answer() {
        let mut server = Redis::start().await;
        let one = totals(&server).await;
        server.kill();
        assert!(one.all("x").await.is_err());
    }
}
