//! Tidegate: exact sliding-window rate limits and tenant-safe caching in front of any HTTP backend.
//!
//! Modules stand in layers; a module names only those below it (`tests/tidy.rs` checks the table in
//! `docs/ARCHITECTURE.md`). Layers 0–1 do no I/O, read no clock, spawn nothing and take no lock.

pub mod base;

pub mod cache;
pub mod identity;
pub mod limit;
pub mod message;
pub mod route;
pub mod upstream;

pub mod config;
pub mod telemetry;
pub mod web;

pub mod store;

pub mod admin;
#[cfg(feature = "companion")]
pub mod companion;
pub mod proxy;

pub mod app;
