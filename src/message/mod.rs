//! Is the message well formed: RFC 9110 and 9112 checks on requests and responses, hop-by-hop fields. Pure.

pub mod fault;
pub mod hop;
pub mod request;
pub mod response;

pub use fault::MessageFault;
pub use hop::{check_loop, hop_by_hop, request_id, via};
pub use request::{Checked, RequestBounds, RequestHead, check_request};
pub use response::check_response;
