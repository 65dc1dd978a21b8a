//! What the admin listener and the companion's share: a bounded HTTP/1 server around a router, and the forms of answers.
//!
//! Knows nothing of what is answered.

pub mod answer;
pub mod condition;
mod peers;
pub mod server;
mod stream;
#[cfg(test)]
mod tests;

pub use answer::{json, problem, typed, wrong};
pub use condition::is_known;
pub use server::{BOUNDS, Bounds, Peer, WebServer, serve};
