//! What was asked for: the file as a tree, read with every fault, compiled into a snapshot.

mod compression;
mod counting;
mod effective;
pub mod env;
pub mod explain;
mod explain_cache;
mod explain_limits;
pub mod fault;
#[cfg(test)]
mod fault_tests;
mod identify;
pub mod load;
mod namespaces;
mod policies;
pub mod reader;
mod route_fields;
mod routes;
#[cfg(test)]
mod schema_tests;
mod server;
pub mod snapshot;
pub mod standing;
pub mod tree;
pub mod upstreams;
mod warm;
mod warm_order;
pub mod watch;
mod who;
pub mod windows;

/// The configuration's JSON Schema (draft 2020-12).
pub const SCHEMA: &str = include_str!("../../config/schema.json");

pub use effective::effective;
pub use env::Env;
pub use explain::{Asked, Explanation, NoPlace, explain, place};
pub use explain_cache::{AskedResponse, Place, ResponseExplained, Terms};
pub use explain_limits::LimitExplained;
pub use fault::{Fault, Faults, Position};
pub use load::{Loaded, Source, load};
pub use snapshot::{
    AdminSettings, CacheSettings, Connections, Current, Listen, ListenTls, RequestLimits, Route,
    ServerSettings, Snapshot, Target, WebhookSettings,
};
pub use standing::{LimitNow, RequestNow, WindowNow};
pub use warm_order::{WarmWanted, warm_order};
