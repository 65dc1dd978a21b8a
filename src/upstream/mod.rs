//! Where a request goes: balancing, health, breaker and retry budget as state machines with time as argument. Pure.

mod breaker;
mod budget;
pub mod group;
mod health;
pub mod settings;
mod tls;

pub use breaker::Outcome;
pub use group::Group;
pub use settings::{Balance, BreakerSettings, HealthSettings, ServerAddress, UpstreamSettings};
pub use tls::{Authority, ClientIdentity, UpstreamTls};
