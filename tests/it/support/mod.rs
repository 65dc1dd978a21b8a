//! What the scenarios stand on: the gate as a child process, stores and backends that can fail, clients, tokens.

pub(crate) mod certificates;
pub(crate) mod cli;
pub(crate) mod cluster;
#[cfg(feature = "companion")]
pub(crate) mod companion;
#[cfg(feature = "companion")]
pub(crate) mod engines;
pub(crate) mod gate;
pub(crate) mod grpc;
pub(crate) mod http2;
pub(crate) mod legacy;
pub(crate) mod origin;
pub(crate) mod ports;
#[cfg(feature = "companion")]
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod redis;
pub(crate) mod sentinel;
pub(crate) mod setup;
pub(crate) mod stores;
pub(crate) mod tokens;
pub(crate) mod wait;
pub(crate) mod web;
pub(crate) mod wire;

pub(crate) use certificates::{Authority, Files, Pair, TlsClient, TlsFront};
pub(crate) use cluster::Cluster;
#[cfg(feature = "companion")]
pub(crate) use companion::{Companion, Seeded, Tenant};
#[cfg(feature = "companion")]
pub(crate) use engines::Engine;
pub(crate) use gate::Gate;
pub(crate) use legacy::Legacy;
pub(crate) use origin::{Origin, Reply, Seen};
#[cfg(feature = "companion")]
pub(crate) use postgres::Postgres;
pub(crate) use redis::Redis;
pub(crate) use sentinel::Sentinel;
pub(crate) use setup::Setup;
pub(crate) use stores::Store;
pub(crate) use tokens::{Keys, token};
pub(crate) use wait::{eventually, within};
pub(crate) use web::{Answer, Fetch};
pub(crate) use wire::Wire;
