//! The only door to Redis: connections, the scripts of the limits, stored responses.

pub mod connect;
pub mod entries;
pub mod limits;
pub mod overrides;
pub mod slots;

pub use connect::{Connection, Surroundings};
pub use entries::{RedisEntries, Stored};
pub use limits::RedisLimits;
pub use overrides::RedisOverrides;
pub use slots::RedisSlots;
