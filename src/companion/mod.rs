//! The companion: figures about an application's own database, for its dashboard.
//!
//! `data` is the only door to SQL: a tenant is the first argument of every question, and no question is asked without one.
//! `gateways` asks the instances of the proxy how they do; `upkeep` is what is done regularly, by one instance of several;
//! `exports` makes files of it; `service` answers over HTTP, to whoever has a verified token of that tenant; `page` is what it
//! is looked at with.

pub mod data;
pub mod exports;
pub mod gateways;
mod page;
pub mod service;
pub mod upkeep;

pub use data::*;
