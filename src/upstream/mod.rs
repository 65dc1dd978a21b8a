//! Where a request goes: balancing, health, breaker and retry budget as state machines with time as argument. Pure.

pub mod group;
pub mod settings;

pub use group::Group;
pub use settings::{Balance, BreakerSettings, HealthSettings, ServerAddress, UpstreamSettings, UpstreamTls};
