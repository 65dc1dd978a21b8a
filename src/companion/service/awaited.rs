//! A request's body that says whether it is waited for: an answer that is late because the client sends nothing is not our
//! fault.

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

/// Is somebody waiting for the next part of a body?
#[derive(Debug, Clone, Default)]
pub(super) struct Waiting(Arc<AtomicBool>);

impl Waiting {
    /// Is it so now?
    pub(super) fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The same body, which says so.
    pub(super) fn of(&self, body: Body) -> Body {
        if body.is_end_stream() { body } else { Body::new(Awaited { body, waiting: self.clone() }) }
    }
}

struct Awaited {
    body: Body,
    waiting: Waiting,
}

impl HttpBody for Awaited {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.waiting.0.store(polled.is_pending(), Ordering::Relaxed);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
