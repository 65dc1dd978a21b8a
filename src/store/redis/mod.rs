//! The only door to Redis: connections, the scripts of the limits, stored responses.

mod bodies;
mod cluster;
pub mod connect;
mod dial;
pub mod entries;
pub mod feed;
mod keyspace;
pub mod leases;
pub mod limits;
mod link;
pub mod overrides;
pub mod purges;
pub mod roll;
mod script;
pub mod slots;
pub mod totals;
pub mod turns;

pub use connect::{Connection, Surroundings};
pub use entries::{RedisEntries, Stored};
pub use feed::{Event, Feed};
pub use leases::RedisLeases;
pub use limits::RedisLimits;
pub use overrides::RedisOverrides;
pub use purges::{GAP, Page, RedisPurges};
pub use roll::Roll;
pub use slots::RedisSlots;
pub use totals::RedisTotals;
pub use turns::RedisTurns;
