//! A client's connection as the data plane sees it: every byte has been looked at, nothing may be begun and not ended.
//!
//! pingora bounds the time of each read, not of a head; it reads some malformed messages leniently; and the HTTP/2
//! library bounds memory, not work. So the stream that it is given reads along: the bytes of HTTP/1 by
//! [`Wire`], the frames of HTTP/2 by [`Frames`], the pace at which answers are taken by [`Pace`]. It never changes a
//! byte; it ends what breaks a rule, and says why where there is a way to say it.

mod reading;
#[cfg(test)]
mod stream_tests;
mod traits;
mod writing;

pub(super) use traits::facts;

use crate::base::{Clock, Tasks};
use crate::identity::CertificateNames;
use crate::message::{FrameBounds, Frames, MessageFault, Place as At, Wire, WireBounds, frames};
use crate::proxy::places::Place;
use crate::proxy::transport::{Pace, Transport};
use crate::telemetry::{Held, Metrics};
use pingora::protocols::Stream;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Sleep;

/// How long, and how many bytes, a client that is still sending may take to see why it was refused.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: u64 = 1 << 20;

/// What all connections share.
pub(super) struct Keeper {
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Arc<dyn Clock>,
    /// Connections, and what is left of them.
    pub(super) tasks: Tasks,
}

/// What holds for one connection, from its beginning to its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// Time for a whole head, for a frame, for a handshake.
    pub(super) head_timeout: Duration,
    /// Bounds of HTTP/1 heads.
    pub(super) wire: WireBounds,
    /// Bounds of HTTP/2 frames.
    pub(super) frames: FrameBounds,
    /// Bytes a second in which a client must send what it has begun.
    pub(super) body_min_rate: u32,
    /// Bytes a second that a client must take.
    pub(super) send_min_rate: u32,
    /// May it speak HTTP/2 by prior knowledge?
    pub(super) http2: bool,
}

/// What is known of a connection beside its bytes.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// The other end, or whom a trusted proxy names in its stead.
    pub(super) peer: SocketAddr,
    /// The listener.
    pub(super) local: SocketAddr,
    /// Version and cipher suite of TLS.
    pub(super) tls: Option<(&'static str, &'static str)>,
    /// What the client's certificate says, which has been verified.
    pub(super) certificate: Option<Arc<CertificateNames>>,
    /// HTTP/2 was agreed on.
    pub(super) is_http2: bool,
}

/// What the connection speaks.
#[derive(Debug)]
enum Speech {
    Http1(Wire),
    Http2(Frames),
}

/// What the gate knows of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// A head is due, or comes when it comes.
    Waiting = 0,
    /// A request is under way: what follows it may wait, and has no deadline.
    Serving = 1,
    /// Another protocol has taken over, for good.
    Switched = 2,
}

/// Tells the connection of an HTTP/1 request what the gate is at.
pub(super) fn is_now(stream: &Stream, phase: Phase) {
    if let Some(watched) =
        stream.as_any().downcast_ref::<Watched>().filter(|watched| !watched.is(Phase::Switched))
    {
        watched.phase.store(phase as u8, Ordering::Release);
        if phase == Phase::Serving {
            watched.begun.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// A stream that reads along.
pub(super) struct Watched {
    /// `None` only while it is dropped.
    io: Option<Transport>,
    facts: Arc<Facts>,
    digests: traits::Digests,
    terms: Terms,
    keeper: Arc<Keeper>,
    speech: Speech,
    /// Read to see what is spoken, and not handed out yet.
    peeked: Vec<u8>,
    is_fresh: bool,
    phase: AtomicU8,
    /// Requests of HTTP/1 that the gate has begun.
    begun: AtomicU64,
    deadline: Option<Pin<Box<Sleep>>>,
    /// When to see again whether the client is still there.
    look_again: Option<Pin<Box<Sleep>>>,
    /// What is wrong with the message after the one under way.
    fault: Option<MessageFault>,
    /// Last words, and how much of them is said.
    farewell: Option<(Vec<u8>, usize)>,
    together: Vec<u8>,
    edge: frames::Edge,
    pace: Pace,
    judgement: Option<Pin<Box<Sleep>>>,
    place: Option<Place>,
    _counted: Held,
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched").field("peer", &self.facts.peer).finish_non_exhaustive()
    }
}

impl Watched {
    /// The stream of a connection that begins.
    pub(super) fn new(io: Transport, facts: Facts, terms: Terms, keeper: Arc<Keeper>, place: Place) -> Self {
        let counted = keeper.metrics.connection();
        let speech = if facts.is_http2 {
            Speech::Http2(Frames::new(terms.frames, keeper.clock.monotonic_ms()))
        } else {
            Speech::Http1(Wire::new(terms.wire))
        };
        let facts = Arc::new(facts);
        Self {
            digests: traits::Digests::new(&facts, io.fd()),
            io: Some(io),
            facts,
            pace: Pace::new(terms.send_min_rate),
            terms,
            keeper,
            speech,
            peeked: Vec::new(),
            is_fresh: true,
            phase: AtomicU8::new(Phase::Waiting as u8),
            begun: AtomicU64::new(0),
            deadline: None,
            look_again: None,
            fault: None,
            farewell: None,
            together: Vec::new(),
            edge: frames::Edge::default(),
            judgement: None,
            place: Some(place),
            _counted: counted,
        }
    }

    pub(super) fn fd(&self) -> i32 {
        self.io.as_ref().map_or(-1, Transport::fd)
    }

    fn is(&self, phase: Phase) -> bool {
        self.phase.load(Ordering::Acquire) == phase as u8
    }

    fn io(&mut self) -> io::Result<Pin<&mut Transport>> {
        self.io.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Speech {
    /// How much has been read that is whole: requests, or frames.
    fn done(&self) -> u64 {
        match self {
            Self::Http1(wire) => wire.done(),
            Self::Http2(frames) => frames.done(),
        }
    }
}

/// What is wrong with the body of a request under way.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.0.title())]
pub(super) struct BrokenBody(pub(super) MessageFault);

impl Watched {
    /// Is the client in the middle of saying something that nobody will read?
    fn is_interrupted(&self) -> bool {
        let is_within = match &self.speech {
            Speech::Http1(wire) => matches!(wire.place(), At::Head | At::Body),
            Speech::Http2(_) => false,
        };
        self.farewell.is_some() || self.fault.is_some() || is_within
    }
}

/// Closing a socket with unread bytes resets the connection, and the answer that the client has not read yet is lost
/// (RFC 9112 section 9.6). So a client that is still sending is read for a moment, while its place stays taken.
impl Drop for Watched {
    fn drop(&mut self) {
        let is_interrupted = self.is_interrupted();
        let (Some(mut io), place) = (self.io.take().filter(|_| is_interrupted), self.place.take()) else {
            return;
        };
        self.keeper.tasks.spawn("linger", async move {
            let rest = async {
                io.shutdown().await?;
                let mut bytes = io.take(LINGER_BYTES);
                tokio::io::copy(&mut bytes, &mut tokio::io::sink()).await
            };
            drop(tokio::time::timeout(LINGER, rest).await);
            drop(place);
        });
    }
}
