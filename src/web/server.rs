//! A listener that a router answers on, bounded: connections, also of one peer, the time for a head, its size, and the
//! time that a client takes nothing of an answer. The time for an answer is the router's own business.

use crate::base::Tasks;
use crate::web::peers::Peers;
use crate::web::stream::Bounded;
use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// How much one listener takes on.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// Connections of one peer's address (of IPv6: its /64) at once; more are ended at once.
    pub connections_of_peer: usize,
    /// Time for a connection's first head.
    pub first_head_timeout: Duration,
    /// Time for any head, and for a quiet connection to ask again: above the usual scrape interval of 15 s.
    pub head_timeout: Duration,
    /// Time for an answer.
    pub answer_timeout: Duration,
    /// How long a client may take nothing of an answer.
    pub write_timeout: Duration,
    /// Bytes of a head.
    pub head_bytes: usize,
    /// How long the end waits for answers under way.
    pub stop_timeout: Duration,
}

/// Whose connection a request came on; among the extensions of every request.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// Those of a listener for few clients.
pub const BOUNDS: Bounds = Bounds {
    connections: 128,
    connections_of_peer: 128,
    first_head_timeout: Duration::from_secs(30),
    head_timeout: Duration::from_secs(30),
    answer_timeout: Duration::from_secs(30),
    write_timeout: Duration::from_secs(30),
    head_bytes: 32 << 10,
    stop_timeout: Duration::from_secs(1),
};

/// After a failed accept (no file descriptors left), before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener with a thread and a runtime of its own, so that it is answered however busy everything else is. Dropping it
/// stops it and waits at most [`Bounds::stop_timeout`] for answers under way.
#[derive(Debug)]
#[must_use = "dropping it at once stops it"]
pub struct WebServer {
    name: &'static str,
    address: SocketAddr,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl WebServer {
    /// Answers on `listener` until the result is dropped; `name` is that of the thread.
    ///
    /// # Errors
    /// When the listener, a runtime or a thread cannot be had from the operating system.
    pub fn on_thread(
        name: &'static str,
        bounds: Bounds,
        listener: std::net::TcpListener,
        router: Router,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _context = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let work = move || runtime.block_on(serve(bounds, listener, router, stopped));
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Self { name, address, stop, thread: Some(thread) })
    }

    /// Where it listens, with the port that was picked.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops it; the last thing before the process ends.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        self.stop.cancel();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!(listener = self.name, "the listener's thread panicked");
        }
    }
}

/// Answers on `listener` until `stop`, then for at most [`Bounds::stop_timeout`] what is under way.
pub async fn serve(bounds: Bounds, listener: TcpListener, router: Router, stop: CancellationToken) {
    let tasks = Tasks::new();
    let accepting = Accepting { bounds, router, stop };
    // Both futures lose nothing when they are dropped.
    tokio::select! {
        () = accepting.accept(&listener, &tasks) => {}
        () = accepting.stop.cancelled() => {}
    }
    drop(listener);
    tasks.drain(bounds.stop_timeout).await;
}

struct Accepting {
    bounds: Bounds,
    router: Router,
    stop: CancellationToken,
}

impl Accepting {
    async fn accept(&self, listener: &TcpListener, tasks: &Tasks) {
        let room = Arc::new(Semaphore::new(self.bounds.connections));
        let peers = Peers::default();
        loop {
            // The semaphore is never closed.
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let Some(of_peer) = peers.admit(peer.ip(), self.bounds.connections_of_peer) else {
                        tracing::debug!(%peer, "connection ended: its peer has too many");
                        continue;
                    };
                    let (router, bounds, stop) = (self.router.clone(), self.bounds, self.stop.clone());
                    tasks.spawn("connection", async move {
                        answer(stream, Peer(peer), router, bounds, stop).await;
                        drop((of_peer, permit));
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Answers one connection to its end; on `stop` it ends with the answer under way.
async fn answer(stream: TcpStream, peer: Peer, router: Router, bounds: Bounds, stop: CancellationToken) {
    let routed = TowerToHyperService::new(router);
    let asked = CancellationToken::new();
    let asks = asked.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        asks.cancel();
        request.extensions_mut().insert(peer);
        routed.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head_timeout)
        .max_buf_size(bounds.head_bytes)
        .serve_connection(TokioIo::new(Bounded::new(stream, bounds.write_timeout)), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = is_silent(bounds.first_head_timeout, &asked) => {
            tracing::debug!("connection ended: no request came");
            return;
        }
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended early");
    }
}

/// Until a connection has not been asked in time; for ever if it has.
async fn is_silent(time: Duration, asked: &CancellationToken) {
    if tokio::time::timeout(time, asked.cancelled()).await.is_ok() {
        std::future::pending::<()>().await;
    }
}
