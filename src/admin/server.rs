//! The admin listener: a thread with a runtime of its own, so that probes and metrics are answered until the very
//! end of a drain and however busy the data plane is.
//!
//! Bounded: connections, the time for a head, the time for an answer, the size of a head and of a body.

use crate::admin::guard::Door;
use crate::admin::parts::AdminParts;
use crate::admin::routes::router;
use crate::base::Tasks;
use axum::Router;
use hyper::server::conn::http1;
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
pub(super) struct Bounds {
    /// Connections at once; more wait to be accepted.
    pub(super) connections: usize,
    /// Time for a head, and for a quiet connection to ask again: above the usual scrape interval of 15 s.
    pub(super) head_timeout: Duration,
    /// Time for an answer.
    pub(super) answer_timeout: Duration,
    /// Bytes of a head.
    pub(super) head_bytes: usize,
    /// How long the end waits for answers under way.
    pub(super) stop_timeout: Duration,
}

pub(super) const BOUNDS: Bounds = Bounds {
    connections: 128,
    head_timeout: Duration::from_secs(30),
    answer_timeout: Duration::from_secs(30),
    head_bytes: 32 << 10,
    stop_timeout: Duration::from_secs(1),
};

/// After a failed accept (no file descriptors left), before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A running admin listener. Dropping it stops it and waits at most a second for answers under way.
#[derive(Debug)]
#[must_use = "dropping it at once stops it"]
pub struct AdminServer {
    address: SocketAddr,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl AdminServer {
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

impl Drop for AdminServer {
    fn drop(&mut self) {
        self.stop.cancel();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the admin listener's thread panicked");
        }
    }
}

/// Answers on `listener` until the result is dropped.
///
/// # Errors
/// When the listener, a runtime or a thread cannot be had from the operating system.
pub fn serve(listener: std::net::TcpListener, parts: AdminParts) -> io::Result<AdminServer> {
    serve_within(BOUNDS, listener, parts)
}

pub(super) fn serve_within(
    bounds: Bounds,
    listener: std::net::TcpListener,
    parts: AdminParts,
) -> io::Result<AdminServer> {
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let router = router(Door { parts, listener: address, answer_timeout: bounds.answer_timeout });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _context = runtime.enter();
        TcpListener::from_std(listener)?
    };
    let stop = CancellationToken::new();
    let accepting = Accepting { bounds, router, stop: stop.clone() };
    let work = move || runtime.block_on(accepting.run(listener));
    let thread = std::thread::Builder::new().name("admin".to_owned()).spawn(work)?;
    Ok(AdminServer { address, stop, thread: Some(thread) })
}

struct Accepting {
    bounds: Bounds,
    router: Router,
    stop: CancellationToken,
}

impl Accepting {
    async fn run(self, listener: TcpListener) {
        let tasks = Tasks::new();
        // Both futures lose nothing when they are dropped.
        tokio::select! {
            () = self.accept(&listener, &tasks) => {}
            () = self.stop.cancelled() => {}
        }
        drop(listener);
        tasks.drain(self.bounds.stop_timeout).await;
    }

    async fn accept(&self, listener: &TcpListener, tasks: &Tasks) {
        let room = Arc::new(Semaphore::new(self.bounds.connections));
        loop {
            // The semaphore is never closed.
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _peer)) => {
                    let (router, bounds, stop) = (self.router.clone(), self.bounds, self.stop.clone());
                    tasks.spawn("admin connection", async move {
                        answer(stream, router, bounds, stop).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "admin connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Answers one connection to its end; on `stop` it ends with the answer under way.
async fn answer(stream: TcpStream, router: Router, bounds: Bounds, stop: CancellationToken) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head_timeout)
        .max_buf_size(bounds.head_bytes)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "admin connection ended early");
    }
}
