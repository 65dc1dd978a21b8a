//! The only door to Redis: connections, the limit script, stored responses.

pub mod connect;
pub mod limits;

pub use connect::{Connection, Surroundings};
pub use limits::RedisLimits;
