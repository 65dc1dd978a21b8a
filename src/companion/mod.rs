//! The companion: figures about an application's own database, for its dashboard.
//!
//! `data` is the only door to SQL: a tenant is the first argument of every question, and no question is asked without one.

pub mod data;
mod page;

pub use data::*;
