//! The connection layer: how many connections, and how long a client may take to send a request head.
//!
//! pingora bounds neither: its head time-out is per read, so a client that drips one byte a second is never ended.
//! [`Guard`] wraps the proxy and every stream it is given; the wrapper counts the connection until it is dropped
//! and fails reads once the head is overdue.

use crate::telemetry::{Held, Metrics};
use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::apps::ServerApp;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{SslDigest, TlsRef};
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream,
    TimingDigest, UniqueID, UniqueIDType,
};
use pingora::server::ShutdownWatch;
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::Sleep;

const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Sent before closing when there are too many connections: stalling the client would hide the reason.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n\
Cache-Control: no-store\r\nContent-Type: application/problem+json\r\nContent-Length: 155\r\n\r\n\
{\"type\":\"https://tidegate.dev/problems/too-many-connections\",\"title\":\"Too many connections\",\
\"status\":503,\"detail\":\"the connection limit is reached; retry\"}";

/// Bounds of the connection layer; they can change with a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Connections in all.
    pub total: usize,
    /// Connections from one address.
    pub per_address: usize,
    /// Time for a whole request head, counted from its first byte (or from accepting the connection).
    pub head_timeout: Duration,
}

/// Counts live connections, in all and by address.
#[derive(Debug, Default)]
pub struct Connections {
    total: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

impl Connections {
    /// How many connections are open.
    #[must_use]
    pub fn live(&self) -> usize {
        self.total.load(Ordering::SeqCst)
    }

    /// Takes a place, or says no.
    fn enter(self: &Arc<Self>, address: Option<IpAddr>, bounds: &Bounds) -> Option<Place> {
        let place = Place { connections: Arc::clone(self), address };
        let before = self.total.fetch_add(1, Ordering::SeqCst);
        let mut of_address = 1;
        if let Some(address) = address {
            let mut by_address = self.by_address.lock();
            let count = by_address.entry(address).or_insert(0);
            *count = count.saturating_add(1);
            of_address = *count;
        }
        // Dropping `place` gives the count back.
        (before < bounds.total && of_address <= bounds.per_address).then_some(place)
    }
}

/// One counted connection; dropping it frees the place.
#[derive(Debug)]
struct Place {
    connections: Arc<Connections>,
    address: Option<IpAddr>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.total.fetch_sub(1, Ordering::SeqCst);
        let Some(address) = self.address else { return };
        let mut by_address = self.connections.by_address.lock();
        let left = by_address.get(&address).copied().unwrap_or(0).saturating_sub(1);
        if left == 0 {
            by_address.remove(&address);
        } else {
            by_address.insert(address, left);
        }
    }
}

/// Wraps the proxy: admits connections and watches over their heads.
pub struct Guard<A> {
    inner: Arc<A>,
    connections: Arc<Connections>,
    metrics: Arc<Metrics>,
    bounds: Box<dyn Fn() -> Bounds + Send + Sync>,
}

impl<A> Guard<A> {
    /// Guards `inner`; `bounds` is asked for each new connection.
    pub fn new(
        inner: A,
        connections: Arc<Connections>,
        metrics: Arc<Metrics>,
        bounds: impl Fn() -> Bounds + Send + Sync + 'static,
    ) -> Self {
        Self { inner: Arc::new(inner), connections, metrics, bounds: Box::new(bounds) }
    }

    /// Counts and wraps a new connection, or refuses it.
    async fn admit(&self, mut stream: Stream) -> Option<Stream> {
        let bounds = (self.bounds)();
        let digest = stream.get_socket_digest();
        let peer = digest.as_ref().and_then(|digest| digest.peer_addr()).and_then(|addr| addr.as_inet());
        let Some(place) = self.connections.enter(peer.map(|peer| peer.ip()), &bounds) else {
            // The client may be gone already; nothing else can be done for it.
            drop(stream.write_all(TOO_MANY).await);
            drop(stream.shutdown().await);
            return None;
        };
        let is_h2 = matches!(stream.selected_alpn_proto(), Some(ALPN::H2));
        let phase = if is_h2 { Phase::Free } else { Phase::Head };
        let mut watched = Watched::new(stream, place, bounds.head_timeout, phase);
        watched.counted = Some(self.metrics.connection());
        Some(Box::new(watched))
    }
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> ServerApp for Guard<A> {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let stream = match stream.as_any().downcast_ref::<Watched>() {
            // A kept-alive connection comes back for its next request: the idle time is pingora's keep-alive
            // time-out, ours begins with the first byte.
            Some(watched) => {
                watched.watch.set(Phase::Waiting);
                stream
            }
            None => self.admit(stream).await?,
        };
        self.inner.process_new(stream, shutdown).await
    }

    async fn cleanup(&self) {
        self.inner.cleanup().await;
    }
}

/// What a connection is doing, as far as the head deadline is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No deadline: a request is being served, or the connection speaks HTTP/2 (which has its own idle limit).
    Free = 0,
    /// Kept alive; the deadline starts with the next byte.
    Waiting = 1,
    /// The head is due.
    Head = 2,
}

/// The phase, shared between the stream and the request that disarms it.
#[derive(Debug)]
struct Watch(AtomicU8);

impl Watch {
    fn set(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Release);
    }

    fn get(&self) -> Phase {
        match self.0.load(Ordering::Acquire) {
            1 => Phase::Waiting,
            2 => Phase::Head,
            _ => Phase::Free,
        }
    }
}

/// Ends the head deadline of the connection that `stream` is: the head has been read.
pub fn head_is_read(stream: &Stream) {
    if let Some(watched) = stream.as_any().downcast_ref::<Watched>() {
        watched.watch.set(Phase::Free);
    }
}

/// A stream with a head deadline that gives its place back when dropped.
#[derive(Debug)]
struct Watched {
    inner: Stream,
    watch: Watch,
    head_timeout: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
    _place: Place,
    counted: Option<Held>,
}

impl Watched {
    fn new(inner: Stream, place: Place, head_timeout: Duration, phase: Phase) -> Self {
        Self {
            inner,
            watch: Watch(AtomicU8::new(phase as u8)),
            head_timeout,
            deadline: None,
            _place: place,
            counted: None,
        }
    }

    /// Ready with an error once the head is overdue.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if self.watch.get() != Phase::Head {
            self.deadline = None;
            return Poll::Pending;
        }
        let timeout = self.head_timeout;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the request head did not arrive in time"))
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(overdue) = self.poll_deadline(cx) {
            return Poll::Ready(Err(overdue));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        if read.is_ready() && buf.filled().len() > before && self.watch.get() == Phase::Waiting {
            self.watch.set(Phase::Head);
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[async_trait]
impl Shutdown for Watched {
    async fn shutdown(&mut self) {
        Shutdown::shutdown(&mut *self.inner).await;
    }
}

impl UniqueID for Watched {
    fn id(&self) -> UniqueIDType {
        self.inner.id()
    }
}

impl Ssl for Watched {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.inner.get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.inner.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.inner.selected_alpn_proto()
    }
}

impl GetTimingDigest for Watched {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.inner.get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.inner.get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.inner.get_write_pending_time()
    }
}

impl GetProxyDigest for Watched {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.inner.get_proxy_digest()
    }

    fn set_proxy_digest(&mut self, digest: ProxyDigest) {
        self.inner.set_proxy_digest(digest);
    }
}

impl GetSocketDigest for Watched {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner.get_socket_digest()
    }

    fn set_socket_digest(&mut self, socket_digest: SocketDigest) {
        self.inner.set_socket_digest(socket_digest);
    }
}

#[async_trait]
impl Peek for Watched {
    /// pingora peeks for the HTTP/2 preface without any time-out: an idle or short-spoken client would hold the
    /// connection for ever.
    async fn try_peek(&mut self, buf: &mut [u8]) -> io::Result<bool> {
        let timeout = match self.watch.get() {
            Phase::Head => self.head_timeout,
            // Kept alive: pingora's keep-alive time-out does not cover the peek either.
            Phase::Waiting | Phase::Free => self.head_timeout.saturating_mul(6),
        };
        let peeked = tokio::time::timeout(timeout, self.inner.try_peek(buf)).await;
        let overdue = |_elapsed| io::Error::new(io::ErrorKind::TimedOut, "no request arrived in time");
        let peeked = peeked.map_err(overdue)??;
        if peeked && buf == H2_PREFACE {
            self.watch.set(Phase::Free);
        }
        Ok(peeked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    const BOUNDS: Bounds = Bounds { total: 2, per_address: 1, head_timeout: Duration::from_secs(5) };

    fn place(connections: &Arc<Connections>) -> Option<Place> {
        connections.enter(None, &BOUNDS)
    }

    #[test]
    fn places_are_bounded_and_given_back() {
        let connections = Arc::new(Connections::default());
        let address = Some(IpAddr::from([127, 0, 0, 1]));
        let first = connections.enter(address, &BOUNDS).expect("free");
        assert!(connections.enter(address, &BOUNDS).is_none(), "one per address");
        let _second = place(&connections).expect("free");
        assert!(place(&connections).is_none(), "two in all");
        drop(first);
        assert_eq!(connections.live(), 1);
        assert!(connections.enter(address, &BOUNDS).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_drips_is_ended_and_idle_time_between_requests_is_not() {
        let (mut client, server) = tokio::io::duplex(64);
        let place = place(&Arc::default()).expect("free");
        let mut watched = Watched::new(Box::new(server), place, BOUNDS.head_timeout, Phase::Waiting);
        let idle = tokio::time::timeout(Duration::from_secs(60), watched.read_u8()).await;
        assert!(idle.is_err(), "no deadline before the first byte");
        client.write_all(b"G").await.expect("open");
        assert_eq!(watched.read_u8().await.expect("one byte"), b'G');
        let error = watched.read_u8().await.expect_err("overdue");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_head_has_no_deadline() {
        let (mut client, server) = tokio::io::duplex(64);
        let place = place(&Arc::default()).expect("free");
        let stream: Stream =
            Box::new(Watched::new(Box::new(server), place, BOUNDS.head_timeout, Phase::Head));
        head_is_read(&stream);
        let mut stream = stream;
        assert!(tokio::time::timeout(Duration::from_secs(60), stream.read_u8()).await.is_err());
        client.write_all(b"x").await.expect("open");
        assert_eq!(stream.read_u8().await.expect("one byte"), b'x');
    }

    #[test]
    fn the_refusal_declares_its_true_length() {
        let text = std::str::from_utf8(TOO_MANY).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{}", body.len());
    }
}
