//! Answers on the admin listener: health, metrics, statistics, configuration, limits.
//!
//! Never on the data listener's threads: a runtime of its own answers probes while the data plane is busy or drains.
//! Decides nothing about traffic; whatever changes something is done by whoever owns it, over a channel.

mod answer;
mod cache;
mod configuration;
mod guard;
mod health;
mod limits;
mod routes;
mod server;
mod state;

#[cfg(test)]
mod tests;

pub use configuration::{ReloadRequest, Reloaded};
pub use health::Readiness;
pub use routes::ROUTES;
pub use server::{AdminServer, serve};
pub use state::AdminState;
