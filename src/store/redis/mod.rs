//! The only door to Redis: connections, the limit script, stored responses.

pub mod connect;
pub mod entries;
pub mod limits;

pub use connect::{Connection, Surroundings};
pub use entries::{RedisEntries, Stored};
pub use limits::RedisLimits;
