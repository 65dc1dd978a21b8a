//! Answers on the admin listener: health, metrics, statistics, configuration, limits.
//!
//! Never on the data listener's threads: a runtime of its own answers probes while the data plane is busy or drains.
//! Decides nothing about traffic; whatever changes something is done by whoever owns it, over a channel.

mod body;
mod cache;
mod configuration;
mod explain;
mod guard;
mod health;
mod instance;
mod limits;
mod parts;
mod routes;
mod server;
mod warm;

#[cfg(test)]
mod cache_tests;
#[cfg(test)]
mod tests;

#[doc(hidden)]
pub use cache::{believed, selected};
pub use configuration::{ReloadOrder, Reloaded};
pub use health::Readiness;
pub use parts::AdminParts;
pub use routes::ROUTES;
pub use server::serve;
