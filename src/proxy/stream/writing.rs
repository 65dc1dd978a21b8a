//! To the client: small writes together, and a pace that it must keep.

use super::{Speech, Watched};
use crate::proxy::transport::Transport;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::AsyncWrite;

/// Small writes are put together up to so many bytes: a head and a short body are one packet.
const TOGETHER_BYTES: usize = 4 << 10;

impl Watched {
    /// Follows our own frames.
    fn sent(&mut self, bytes: &[u8]) {
        let answers = self.edge.feed(bytes);
        if let Speech::Http2(frames) = &mut self.speech {
            frames.earn(answers);
        }
    }

    /// Writes as much as the client takes; ready with an error when it takes too little.
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut Transport>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let written = write(self.io()?, cx);
        match &written {
            Poll::Ready(Ok(bytes)) => {
                if self.pace.is_blocked() {
                    self.judgement = None;
                    self.pace.took(*bytes, self.keeper.clock.monotonic_ms());
                } else {
                    self.pace.took(*bytes, 0);
                }
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => return self.poll_pace(cx),
        }
        written
    }

    fn poll_pace(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            let now_ms = self.keeper.clock.monotonic_ms();
            self.pace.blocked(now_ms);
            if self.pace.is_too_slow(now_ms) {
                self.keeper.metrics.refusal("client-too-slow");
                let says = "the client takes its answer too slowly";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, says)));
            }
            let rest = Duration::from_millis(self.pace.judged_in_ms(now_ms).max(1));
            let judgement = self.judgement.get_or_insert_with(|| Box::pin(tokio::time::sleep(rest)));
            ready!(judgement.as_mut().poll(cx));
            self.judgement = None;
        }
    }

    /// Sends what was put together.
    fn poll_together(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.together.is_empty() {
            let bytes = std::mem::take(&mut self.together);
            let sent = self.poll_send(cx, |io, cx| io.poll_write(cx, &bytes));
            self.together = bytes;
            match ready!(sent)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => drop(self.together.drain(..sent)),
            }
        }
        // An idle connection keeps no buffer.
        self.together = Vec::new();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if matches!(this.speech, Speech::Http2(_)) {
            let sent = ready!(this.poll_send(cx, |io, cx| io.poll_write(cx, buf)))?;
            this.sent(buf.get(..sent).unwrap_or_default());
            return Poll::Ready(Ok(sent));
        }
        if this.together.len().saturating_add(buf.len()) > TOGETHER_BYTES {
            ready!(this.poll_together(cx))?;
            if buf.len() >= TOGETHER_BYTES {
                return this.poll_send(cx, |io, cx| io.poll_write(cx, buf));
            }
        }
        // All at once: an answer in parts would have it grow and move.
        this.together.reserve_exact(TOGETHER_BYTES.saturating_sub(this.together.len()));
        this.together.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if !self.is_write_vectored() {
            let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| &**buf);
            return self.poll_write(cx, first);
        }
        let this = self.get_mut();
        let sent = ready!(this.poll_send(cx, |io, cx| io.poll_write_vectored(cx, bufs)))?;
        let mut left = sent;
        for buf in bufs {
            let here = left.min(buf.len());
            this.sent(buf.get(..here).unwrap_or_default());
            left = left.saturating_sub(here);
        }
        Poll::Ready(Ok(sent))
    }

    fn is_write_vectored(&self) -> bool {
        matches!(self.speech, Speech::Http2(_))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_together(cx))?;
        this.io()?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_together(cx))?;
        this.io()?.poll_shutdown(cx)
    }
}
