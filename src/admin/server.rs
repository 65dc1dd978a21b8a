//! The admin listener: a thread with a runtime of its own, so that probes and metrics are answered until the very
//! end of a drain and however busy the data plane is.

use crate::admin::guard::Door;
use crate::admin::parts::AdminParts;
use crate::admin::routes::router;
use crate::web::{BOUNDS, Bounds, WebServer};
use std::io;
use std::net::TcpListener;

/// Answers on `listener` until the result is dropped.
///
/// # Errors
/// When the listener, a runtime or a thread cannot be had from the operating system.
pub fn serve(listener: TcpListener, parts: AdminParts) -> io::Result<WebServer> {
    serve_within(BOUNDS, listener, parts)
}

pub(super) fn serve_within(
    bounds: Bounds,
    listener: TcpListener,
    parts: AdminParts,
) -> io::Result<WebServer> {
    let door = Door { parts, listener: listener.local_addr()?, answer_timeout: bounds.answer_timeout };
    WebServer::on_thread("admin", bounds, listener, router(door))
}
