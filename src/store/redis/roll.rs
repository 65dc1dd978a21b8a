//! The roll of instances: how many are alive, for shares of a limit while Redis is away.
//!
//! Each instance has a name drawn at its start and says each second that it is here; one that has said nothing for five
//! seconds is gone. Redis TIME is the only clock. While Redis does not answer, the last count stays.

use crate::base::Tasks;
use crate::store::StoreFailure;
use crate::store::redis::Connection;
use crate::store::redis::script::Script;
use fred::types::{Key, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// The script's text.
const SCRIPT: &str = include_str!("roll.lua");

/// Between two beats.
const BEAT_EVERY: Duration = Duration::from_secs(1);

/// How long a beat counts.
const BEAT_LIFE_MS: i64 = 5_000;

/// The roll, and this instance's place on it. Clones share it.
#[derive(Clone)]
pub struct Roll {
    inner: Arc<Inner>,
}

struct Inner {
    connection: Connection,
    script: Script,
    key: String,
    me: String,
    live: AtomicU32,
    has_left: AtomicBool,
}

impl Roll {
    /// Takes a place on the roll under `{prefix}roll` and keeps it until `tasks` are told to stop. Returns at once.
    #[must_use]
    pub fn open(connection: Connection, prefix: &str, tasks: &Tasks) -> Self {
        let inner = Inner {
            connection,
            script: Script::new(SCRIPT),
            key: format!("{prefix}roll"),
            me: format!("{:032x}", rand::random::<u128>()),
            live: AtomicU32::new(1),
            has_left: AtomicBool::new(false),
        };
        let roll = Self { inner: Arc::new(inner) };
        let beating = roll.clone();
        tasks.spawn_until_stop("roll", async move {
            while !beating.inner.has_left.load(Ordering::Relaxed) {
                if let Err(failure) = beating.inner.tell("here").await {
                    tracing::trace!(%failure, "roll not told");
                }
                tokio::time::sleep(BEAT_EVERY).await;
            }
        });
        roll
    }

    /// How many instances are alive, this one included: at least 1, and as last known while Redis is away.
    #[must_use]
    pub fn live(&self) -> u32 {
        self.inner.live.load(Ordering::Relaxed)
    }

    /// Takes this instance off the roll at once, when it ends, for good. Bounded by the store's time-out.
    ///
    /// # Errors
    /// [`StoreFailure`]; then the others notice within five seconds.
    pub async fn leave(&self) -> Result<(), StoreFailure> {
        self.inner.has_left.store(true, Ordering::Relaxed);
        self.inner.tell("gone").await
    }
}

impl Inner {
    async fn tell(&self, word: &'static str) -> Result<(), StoreFailure> {
        let arguments = || vec![Value::from(self.me.as_str()), Value::from(BEAT_LIFE_MS), Value::from(word)];
        let beat =
            |client| self.script.run_text::<u32>(client, vec![Key::from(self.key.as_str())], arguments());
        let live = self.connection.call("roll", &self.key, beat).await?;
        self.live.store(live.max(1), Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{Redis, eventually};

    async fn roll(server: &Redis) -> (Roll, Tasks) {
        let tasks = Tasks::new();
        (Roll::open(server.connection().await, "tg:", &tasks), tasks)
    }

    #[tokio::test]
    async fn instances_count_each_other_and_who_leaves_is_gone_at_once() {
        let server = Redis::start().await;
        let (one, _tasks) = roll(&server).await;
        let (two, its_tasks) = roll(&server).await;
        eventually(|| (one.live(), two.live()) == (2, 2)).await;
        assert!(server.cli(&["PTTL", "tg:roll"]).parse::<i64>().expect("a number") > 0, "it has an end");
        its_tasks.drain(Duration::from_secs(1)).await;
        two.leave().await.expect("it answers");
        assert_eq!(server.cli(&["ZCARD", "tg:roll"]), "1");
        eventually(|| one.live() == 1).await;
    }

    #[tokio::test]
    async fn who_falls_silent_is_gone_after_five_seconds() {
        let server = Redis::start().await;
        let (one, _tasks) = roll(&server).await;
        let (two, its_tasks) = roll(&server).await;
        eventually(|| one.live() == 2).await;
        its_tasks.drain(Duration::from_secs(1)).await;
        drop(two);
        assert_eq!(one.live(), 2, "it may only be slow");
        eventually(|| one.live() == 1).await;
    }

    #[tokio::test]
    async fn the_count_stays_while_redis_is_away_and_what_is_no_roll_is_replaced() {
        let mut server = Redis::start().await;
        server.cli(&["SET", "tg:roll", "no roll"]);
        let (one, _tasks) = roll(&server).await;
        let (two, _its_tasks) = roll(&server).await;
        eventually(|| (one.live(), two.live()) == (2, 2)).await;
        server.kill();
        assert!(one.leave().await.is_err());
        assert_eq!(one.live(), 2);
        server.restart().await;
        eventually(|| server.cli(&["ZCARD", "tg:roll"]) == "1").await;
        eventually(|| two.live() == 1).await;
    }
}
