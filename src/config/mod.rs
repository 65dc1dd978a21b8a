//! What was asked for: the file as a tree, read with every fault, compiled into a snapshot.

mod certificates;
mod compression;
mod counting;
mod dashboard;
mod dashboard_service;
mod edge;
mod effective;
mod effective_dashboard;
mod effective_tls;
pub mod env;
pub mod explain;
mod explain_cache;
mod explain_limits;
pub mod fault;
#[cfg(test)]
mod fault_tests;
mod files;
mod identify;
mod listen_tls;
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
mod sni;
pub mod standing;
#[cfg(test)]
mod tls_tests;
pub mod tree;
mod upstream_tls;
pub mod upstreams;
mod warm;
mod warm_order;
pub mod watch;
mod who;
pub mod windows;

/// The configuration's JSON Schema (draft 2020-12).
pub const SCHEMA: &str = include_str!("../../config/schema.json");

pub use certificates::Certificate;
pub use effective::effective;
pub use env::Env;
pub use explain::{Asked, Explanation, NoPlace, explain, place};
pub use explain_cache::{AskedResponse, Place, ResponseExplained, Terms};
pub use explain_limits::LimitExplained;
pub use fault::{Fault, Faults, Position};
pub use files::FileSeen;
pub use listen_tls::{ClientCertificates, ListenTls};
pub use load::{Loaded, Purpose, Source, load, load_for};
pub use snapshot::{
    AdminSettings, CacheSettings, Connections, Current, DashboardSettings, Http2Bounds, KeptFigures, Listen,
    MemoryMark, OverloadSettings, RequestLimits, Route, ServerSettings, Snapshot, Target, WebhookSettings,
};
pub use standing::{LimitNow, RequestNow, WindowNow};
pub use warm_order::{WarmWanted, warm_order};
