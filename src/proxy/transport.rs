//! What carries a client's bytes: a socket, in the clear or encrypted, and how fast the client takes what waits for it.

use std::future::Future;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, RawFd};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A client's connection.
#[derive(Debug)]
pub(super) enum Transport {
    /// In the clear.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<TlsStream<TcpStream>>),
    /// A pipe, for tests of what stands on it.
    #[cfg(test)]
    Pipe(tokio::io::DuplexStream),
}

macro_rules! each {
    ($self:ident, $stream:ident => $do:expr) => {
        match $self.get_mut() {
            Transport::Plain($stream) => $do,
            Transport::Tls($stream) => $do,
            #[cfg(test)]
            Transport::Pipe($stream) => $do,
        }
    };
}

impl Transport {
    /// The socket's number.
    pub(super) fn fd(&self) -> RawFd {
        match self {
            Self::Plain(stream) => stream.as_raw_fd(),
            Self::Tls(stream) => stream.get_ref().0.as_raw_fd(),
            #[cfg(test)]
            Self::Pipe(_) => -1,
        }
    }
}

impl Transport {
    /// Has the client left? Takes nothing of what it has sent; pending while nothing comes.
    pub(super) fn poll_gone(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let socket = match self.get_mut() {
            Self::Plain(stream) => &*stream,
            Self::Tls(stream) => stream.get_ref().0,
            #[cfg(test)]
            Self::Pipe(_) => return Poll::Pending,
        };
        let mut byte = [0];
        if ready!(socket.poll_peek(cx, &mut ReadBuf::new(&mut byte)))? == 0 {
            return Poll::Ready(Ok(true));
        }
        // There is something to read: the system says at once whether that is all that will ever come.
        let state = pin!(socket.ready(Interest::READABLE)).poll(cx);
        Poll::Ready(Ok(matches!(state, Poll::Ready(Ok(ready)) if ready.is_read_closed())))
    }
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}

/// For how long a client may be behind before its pace is judged, at least.
const GRACE_MS: u64 = 10_000;

/// Bytes of a connection that the system keeps unsent before it takes no more.
pub(super) const UNSENT_BYTES: u32 = 32 << 10;

/// The system takes more when half of that is sent: what the client has taken is known to that much.
const LUMP_BYTES: u64 = 16 << 10;

/// The pace of a client for whom bytes wait: only time in which its window is full counts, so that a quiet stream is
/// no slow client.
#[derive(Debug)]
pub(super) struct Pace {
    bytes_per_s: u64,
    blocked_since_ms: Option<u64>,
    blocked_ms: u64,
    taken: u64,
}

impl Pace {
    /// At least so many bytes a second; 0 asks for nothing.
    pub(super) fn new(bytes_per_s: u32) -> Self {
        Self { bytes_per_s: bytes_per_s.into(), blocked_since_ms: None, blocked_ms: 0, taken: 0 }
    }

    /// The client's window is full.
    pub(super) fn blocked(&mut self, now_ms: u64) {
        self.blocked_since_ms.get_or_insert(now_ms);
    }

    /// Is it?
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked_since_ms.is_some()
    }

    /// The client took `bytes`.
    pub(super) fn took(&mut self, bytes: usize, now_ms: u64) {
        match self.blocked_since_ms.take() {
            Some(since_ms) => {
                self.blocked_ms = self.blocked_ms.saturating_add(now_ms.saturating_sub(since_ms));
            }
            // What the system took before it was full says nothing of the client.
            None if self.blocked_ms == 0 => return,
            None => {}
        }
        self.taken = self.taken.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// How long from now until the pace is judged.
    pub(super) fn judged_in_ms(&self, now_ms: u64) -> u64 {
        self.grace_ms().saturating_sub(self.waited_ms(now_ms))
    }

    /// Time in which a client that keeps its pace takes more than is left unknown.
    fn grace_ms(&self) -> u64 {
        let two_lumps_ms = LUMP_BYTES.saturating_mul(2_000).checked_div(self.bytes_per_s).unwrap_or(0);
        GRACE_MS.max(two_lumps_ms)
    }

    fn waited_ms(&self, now_ms: u64) -> u64 {
        let now_ms = self.blocked_since_ms.map_or(0, |since_ms| now_ms.saturating_sub(since_ms));
        self.blocked_ms.saturating_add(now_ms)
    }

    /// Is the client too slow? Each time that it is not, it is judged anew.
    pub(super) fn is_too_slow(&mut self, now_ms: u64) -> bool {
        let waited_ms = self.waited_ms(now_ms);
        if self.bytes_per_s == 0 || waited_ms < self.grace_ms() {
            return false;
        }
        let due = self.bytes_per_s.saturating_mul(waited_ms) / 1_000;
        if self.taken.saturating_add(LUMP_BYTES) < due {
            return true;
        }
        let is_blocked = self.is_blocked();
        *self = Self { blocked_since_ms: is_blocked.then_some(now_ms), blocked_ms: 0, taken: 0, ..*self };
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client that takes `bytes` after each second of waiting, for ten minutes.
    fn lasts(bytes: usize) -> bool {
        let mut pace = Pace::new(500);
        (0..600).all(|second| {
            pace.blocked(second * 1_000);
            let is_slow = pace.is_too_slow(second * 1_000 + 999);
            pace.took(bytes, second * 1_000 + 999);
            !is_slow
        })
    }

    #[test]
    fn a_client_that_drips_is_ended_and_one_that_reads_is_not() {
        assert!(!lasts(1));
        assert!(!lasts(200));
        assert!(lasts(600));
        assert!(lasts(100_000));
    }

    /// The system takes no byte for half a minute, then many: the client reads all the time.
    #[test]
    fn a_client_is_not_slow_because_the_system_takes_much_at_once() {
        let mut pace = Pace::new(500);
        for lump in 0..100 {
            let at_ms = lump * 27_000;
            pace.blocked(at_ms);
            for second in 0..27 {
                assert!(!pace.is_too_slow(at_ms + second * 1_000), "{lump} {second}");
            }
            pace.took(16 << 10, at_ms + 27_000);
        }
        pace.blocked(2_700_000);
        assert!(pace.is_too_slow(2_700_000 + 2 * pace.grace_ms()));
    }

    #[test]
    fn what_the_system_took_before_it_was_full_does_not_count() {
        let mut pace = Pace::new(500);
        pace.took(10_000_000, 0);
        pace.blocked(0);
        assert!(pace.is_too_slow(pace.grace_ms()));
    }

    #[test]
    fn time_in_which_nothing_waits_does_not_count() {
        let mut pace = Pace::new(500);
        for hour in 0..24 {
            let now_ms = hour * 3_600_000;
            pace.blocked(now_ms);
            assert!(!pace.is_too_slow(now_ms + 100), "{hour}");
            pace.took(1, now_ms + 100);
        }
        pace.blocked(100_000_000);
        assert_eq!(pace.judged_in_ms(100_000_000), pace.grace_ms() - 2_400);
        assert!(pace.is_too_slow(100_000_000 + pace.grace_ms()));
    }

    #[test]
    fn a_rate_of_zero_asks_for_nothing() {
        let mut pace = Pace::new(0);
        pace.blocked(0);
        assert!(!pace.is_too_slow(3_600_000));
    }
}
