//! The store under a suite: the same cases run on memory and on Redis.

use crate::support::Redis;

/// Where limits and cached responses live in this run.
pub(crate) enum Store {
    Memory,
    Redis(Redis),
}

impl Store {
    /// For `store.url`.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Memory => "memory:".to_owned(),
            Self::Redis(redis) => redis.url(),
        }
    }
}

/// Makes two tests of each named `async fn(Store)`: `memory::name` and `redis::name`.
macro_rules! on_both_stores {
    ($($name:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::support::Store::Memory).await;
            })+
        }
        mod redis {
            $(#[tokio::test]
            async fn $name() {
                let redis = crate::support::Redis::start().await;
                super::$name(crate::support::Store::Redis(redis)).await;
            })+
        }
    };
}
pub(crate) use on_both_stores;
