//! The data plane: the only place that knows pingora.

pub mod connection;
