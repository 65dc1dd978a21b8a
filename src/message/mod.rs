//! Is the message well formed: RFC 9110, 9112 and 9113 checks on requests and responses, hop-by-hop fields. Pure.
//!
//! Stricter than the RFCs where leniency lets two parties read one message in two ways: whatever a backend might
//! frame, route or attribute differently is refused, never repaired.

mod authority;
pub mod edits;
pub mod fault;
pub mod frames;
mod framing;
pub mod grpc;
pub mod hop;
pub mod request;
pub mod request_id;
pub mod response;
mod target;
pub mod wire;
#[cfg(test)]
mod wire_tests;

pub use authority::normal_authority;
pub use edits::{Edited, FieldEdits, Fixed, check_edit, tells_caches};
pub use fault::MessageFault;
pub use frames::{Flood, FrameBounds, Frames};
pub use grpc::{grpc_message, grpc_status, is_grpc};
pub use hop::{check_loop, hop_by_hop, is_last, is_websocket, nominated, via, whole_cookie};
pub use request::{Checked, MaxForwards, RequestBounds, RequestHead, check_request, host};
pub use request_id::request_id;
pub use response::{ResponseHead, check_response, may_reach_client, stays};
pub use wire::{Place, Wire, WireBounds, WireFault};
