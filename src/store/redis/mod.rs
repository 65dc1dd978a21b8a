//! The only door to Redis: connections, the limit script, stored responses.

mod cluster;
pub mod connect;
mod dial;
pub mod entries;
pub mod feed;
pub mod limits;
mod link;
pub mod roll;
mod script;
mod slots;

pub use connect::{Connection, Surroundings};
pub use entries::{RedisEntries, Stored};
pub use feed::{Event, Feed};
pub use limits::RedisLimits;
pub use roll::Roll;
