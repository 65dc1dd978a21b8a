//! From the client: deadlines, rules, last words.

use super::{BrokenBody, Keeper, Phase, Speech, Watched};
use crate::message::{Frames, MessageFault, Place as At, WireFault, frames};
use crate::proxy::farewell;
use crate::proxy::refusal::Refusal;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// How often a client that has sent something ahead is asked whether it is still there.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Watched {
    /// By when the client must send more, if it owes something.
    fn due(&self) -> Option<Duration> {
        let timeout = self.terms.head_timeout;
        match &self.speech {
            Speech::Http1(wire) => {
                let is_due = self.is(Phase::Waiting) && (self.is_fresh || wire.place() == At::Head);
                is_due.then_some(timeout)
            }
            Speech::Http2(frames) => frames.owed().map(|bytes| {
                let rate = u64::from(self.terms.body_min_rate.max(1));
                let at_that_rate = u64::try_from(bytes).unwrap_or(u64::MAX) / rate;
                timeout.saturating_add(Duration::from_secs(at_that_rate))
            }),
        }
    }

    /// Ready when it did not. The time counts from when it began to owe.
    fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(due) = self.due() else {
            self.deadline = None;
            return Poll::Pending;
        };
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(due)));
        deadline.as_mut().poll(cx)
    }

    /// Nothing is wrong so far. The time for what has begun counts from here, also where what came before it was whole
    /// only now: reads seldom end where messages and frames do.
    fn clear(&mut self, done_before: u64) -> Poll<io::Result<()>> {
        if self.speech.done() != done_before {
            self.deadline = None;
        }
        match self.due() {
            None => self.deadline = None,
            Some(due) if self.deadline.is_none() => self.deadline = Some(Box::pin(tokio::time::sleep(due))),
            Some(_) => {}
        }
        Poll::Ready(Ok(()))
    }

    /// What is said to a client that is late: nothing to one that has said nothing itself.
    fn late(&mut self) {
        self.deadline = None;
        let has_begun = matches!(&self.speech, Speech::Http1(wire) if wire.place() == At::Head);
        if has_begun {
            self.refuse(MessageFault::HEAD_TIMEOUT);
        } else {
            self.farewell = Some((Vec::new(), 0));
        }
    }

    fn refuse(&mut self, fault: MessageFault) {
        let Keeper { metrics, clock, .. } = &*self.keeper;
        let words = farewell::refuse(&Refusal::Message(fault), self.facts.peer.ip(), metrics, &**clock);
        self.farewell = Some((words, 0));
    }

    /// Says the last words, then fails.
    fn poll_farewell(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some((bytes, mut said)) = self.farewell.take() else { return Poll::Ready(Ok(())) };
        while let Some(rest) = bytes.get(said..).filter(|rest| !rest.is_empty()) {
            match self.io()?.poll_write(cx, rest) {
                Poll::Ready(written) => said = said.saturating_add(written?.max(1)),
                Poll::Pending => {
                    self.farewell = Some((bytes, said));
                    return Poll::Pending;
                }
            }
        }
        self.farewell = Some((bytes, said));
        ready!(self.io()?.poll_flush(cx))?;
        Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the client broke a rule")))
    }

    /// Reads along what has been read into `buf` since `before`.
    fn look(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>, before: usize) -> Poll<io::Result<()>> {
        let read = buf.filled().get(before..).unwrap_or_default();
        self.is_fresh &= read.is_empty();
        let is_switched = self.is(Phase::Switched);
        let done_before = self.speech.done();
        match &mut self.speech {
            Speech::Http1(wire) => {
                if is_switched {
                    wire.free();
                }
                let was_body = wire.place() == At::Body;
                match wire.feed(read) {
                    Ok(()) => self.clear(done_before),
                    Err(faulty) => self.stop_at(cx, (buf, before), faulty, was_body),
                }
            }
            Speech::Http2(frames) => match frames.feed(read, self.keeper.clock.monotonic_ms()) {
                Ok(()) => self.clear(done_before),
                Err(flood) => {
                    let words = frames.go_away(flood);
                    // Between the parts of a frame of ours nothing can be said.
                    self.farewell = Some((if self.edge.is_between() { words } else { Vec::new() }, 0));
                    self.keeper.metrics.refusal("http2-flood");
                    tracing::info!(client = %self.facts.peer.ip(), frames = flood.0, "HTTP/2 flood: connection ended");
                    self.poll_farewell(cx)
                }
            },
        }
    }

    /// Hands out what is good; what happens to the rest depends on whose it is.
    fn stop_at(
        &mut self,
        cx: &mut Context<'_>,
        (buf, before): (&mut ReadBuf<'_>, usize),
        faulty: WireFault,
        was_body: bool,
    ) -> Poll<io::Result<()>> {
        let is_serving = self.is(Phase::Serving);
        if is_serving && was_body && faulty.good == 0 {
            // The body of the request under way: its exchange ends with it.
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, BrokenBody(faulty.fault))));
        }
        buf.set_filled(before.saturating_add(faulty.good));
        if faulty.good == 0 && !is_serving {
            self.refuse(faulty.fault);
            return self.poll_farewell(cx);
        }
        // It belongs to the next message; nobody reads that before this one is answered.
        self.fault = Some(faulty.fault);
        if faulty.good > 0 { Poll::Ready(Ok(())) } else { self.poll_gone(cx) }
    }

    /// Is a request under way of which all has been read?
    fn is_answering(&self) -> bool {
        let is_whole =
            matches!(&self.speech, Speech::Http1(wire) if wire.done() >= self.begun.load(Ordering::Acquire));
        self.is(Phase::Serving) && is_whole
    }

    /// Ready, with nothing, when the client has left. What it sends ahead stays where it is: pingora, once it has a byte of
    /// the next request, would not look again.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.deadline = None;
        loop {
            if let Some(later) = &mut self.look_again {
                ready!(later.as_mut().poll(cx));
                self.look_again = None;
            }
            if ready!(self.io()?.poll_gone(cx))? {
                return Poll::Ready(Ok(()));
            }
            self.look_again = Some(Box::pin(tokio::time::sleep(LOOK_AGAIN)));
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_answering() {
            return this.poll_gone(cx);
        }
        this.look_again = None;
        if let Some(fault) = this.fault.take() {
            this.refuse(fault);
        } else if this.farewell.is_none() && this.poll_due(cx).is_ready() {
            this.late();
        }
        if this.farewell.is_some() {
            return this.poll_farewell(cx);
        }
        let before = buf.filled().len();
        if this.peeked.is_empty() {
            ready!(this.io()?.poll_read(cx, buf))?;
        } else {
            let count = this.peeked.len().min(buf.remaining());
            buf.put_slice(this.peeked.get(..count).unwrap_or_default());
            drop(this.peeked.drain(..count));
            if this.peeked.is_empty() {
                this.peeked = Vec::new();
            }
        }
        this.look(cx, buf, before)
    }
}

impl Watched {
    /// Reads until it is known whether the client speaks HTTP/2 by prior knowledge (RFC 9113 section 3.3). pingora asks
    /// for the whole preface and waits for ever; a request may be shorter than that.
    pub(super) async fn is_http2(&mut self) -> io::Result<bool> {
        if !self.terms.http2 {
            return Ok(false);
        }
        let preface = &frames::PREFACE[..];
        let late = tokio::time::sleep(self.terms.head_timeout);
        let mut late = std::pin::pin!(late);
        while preface.starts_with(&self.peeked) && self.peeked.len() < preface.len() {
            let io = self.io.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            let read = tokio::select! {
                read = io.read_buf(&mut self.peeked) => read?,
                () = &mut late => return Err(io::ErrorKind::TimedOut.into()),
            };
            if read == 0 {
                break;
            }
        }
        let is_http2 = self.peeked.starts_with(preface);
        if is_http2 {
            self.speech = Speech::Http2(Frames::new(self.terms.frames, self.keeper.clock.monotonic_ms()));
        }
        Ok(is_http2)
    }
}
