//! Tidegate from outside: the real binary as a child process, real Redis, real backends, real sockets.
//!
//! One module per area. Every test starts what it needs on free ports and leaves nothing behind; the only wait is
//! [`support::eventually`].

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests stop at the first surprise, measure real time and spawn their own backends"
)]

mod support;

mod admin;
mod admin_cache;
mod admin_limits;
mod attacks;
mod bodies;
mod cache;
mod cluster;
mod coalescing;
mod codings;
mod compression;
mod counting;
#[cfg(feature = "companion")]
mod dashboard;
#[cfg(feature = "companion")]
mod dashboard_api;
#[cfg(feature = "companion")]
mod dashboard_caching;
#[cfg(feature = "companion")]
mod dashboard_feed;
#[cfg(feature = "companion")]
mod dashboard_openapi;
#[cfg(feature = "companion")]
mod dashboard_page;
#[cfg(feature = "companion")]
mod dashboard_service;
#[cfg(feature = "companion")]
mod dashboard_tenants;
#[cfg(feature = "companion")]
mod dashboard_through;
#[cfg(feature = "companion")]
mod dashboard_trouble;
#[cfg(feature = "companion")]
mod dashboard_upkeep;
mod demo;
mod edge;
#[cfg(feature = "companion")]
mod exports;
mod failure;
mod fleet;
#[cfg(feature = "companion")]
mod gateways;
mod grpc;
mod harness;
mod identity;
mod invalidation;
mod lifecycle;
mod limits;
mod messages;
mod passthrough;
mod proxy_protocol;
mod reload;
mod replay;
mod responses;
mod restart;
mod route_fields;
mod rules;
mod sentinel;
mod tls;
mod tls_reload;
mod tls_upstream;
mod trailers;
mod warming;
