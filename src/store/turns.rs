//! Who does what every instance would do at the same time: one of the fleet, or this process where it is alone.

use crate::store::StoreFailure;
use crate::store::redis::{Connection, RedisTurns};
use std::time::Duration;

/// Turns.
pub enum Turns {
    /// Nothing is shared with other instances: each does it.
    Alone,
    /// One of the fleet does it.
    Fleet(RedisTurns),
}

impl Turns {
    /// Over the Redis that instances share entries by, if there is one.
    #[must_use]
    pub fn new(connection: Option<Connection>, prefix: &str) -> Self {
        connection.map_or(Self::Alone, |connection| Self::Fleet(RedisTurns::new(connection, prefix)))
    }

    /// Takes the turn `name` for so long; it is not given back. `false`: another instance has it.
    ///
    /// # Errors
    /// [`StoreFailure`]: nobody knows who has it.
    pub async fn take(&self, name: &str, length: Duration) -> Result<bool, StoreFailure> {
        match self {
            Self::Alone => Ok(true),
            Self::Fleet(redis) => redis.take(name, length).await,
        }
    }

    /// Makes this process's turn last at least so long from now. `false`: it is another's by now.
    ///
    /// # Errors
    /// [`StoreFailure`].
    pub async fn keep(&self, name: &str, length: Duration) -> Result<bool, StoreFailure> {
        match self {
            Self::Alone => Ok(true),
            Self::Fleet(redis) => redis.keep(name, length).await,
        }
    }
}
