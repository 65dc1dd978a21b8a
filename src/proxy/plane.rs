//! Builds the data plane from its parts and runs it until it is told to stop.

use crate::base::{Clock, Tasks};
use crate::config::{Current, ServerSettings};
use crate::proxy::gate::Gate;
use crate::proxy::internal::{Door, Key};
use crate::proxy::listener::{House, Listener};
use crate::proxy::lock::FlightLock;
use crate::proxy::overload::Overload;
use crate::proxy::places::Connections;
use crate::proxy::pool::Pools;
use crate::proxy::storage::CacheStorage;
use crate::proxy::stream::Keeper;
use crate::proxy::tokens::Tokens;
use crate::proxy::warming::Warmer;
use crate::store::Stores;
use crate::telemetry::Metrics;
use pingora::apps::{HttpServerOptions, ServerApp};
use pingora::cache::lock::CacheKeyLockImpl;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora::proxy::http_proxy;
use pingora::server::configuration::ServerConf;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Attempts for one request at most; upstreams set their own number below it.
const ATTEMPTS_MAX: usize = 16;

/// Idle connections to all servers that are kept for reuse.
const IDLE_CONNECTIONS: usize = 512;

/// What the data plane shares with the rest of the process.
pub struct Parts {
    /// The configuration in force.
    pub current: Current,
    /// Counts and entries.
    pub stores: Arc<Stores>,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Background work.
    pub tasks: Tasks,
}

/// Why the data plane cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum ProxyFault {
    /// A socket that is not one.
    #[error("listening socket: {0}")]
    Socket(#[from] std::io::Error),
}

/// The data plane, ready to run.
pub struct DataPlane {
    house: Arc<House>,
    listeners: Vec<Listener>,
    warmer: Arc<Warmer>,
}

impl DataPlane {
    /// Builds it on sockets that are bound already, in the order of `server.listen`: a taken address is known before
    /// anything runs, and port 0 works. Needs a tokio runtime. pingora's cache traits want `&'static` storage and lock: both
    /// are leaked here, once a process.
    ///
    /// # Errors
    /// [`ProxyFault`] when a socket cannot be used.
    pub fn prepare(bound: Vec<TcpListener>, parts: Parts) -> Result<Self, ProxyFault> {
        let (stores, metrics, clock) = (&parts.stores, &parts.metrics, &parts.clock);
        let storage: &'static CacheStorage = Box::leak(Box::new(CacheStorage::new(
            Arc::clone(stores),
            Arc::clone(metrics),
            Arc::clone(clock),
        )));
        let lock: &'static CacheKeyLockImpl = Box::leak(Box::new(FlightLock::new()));
        let pools = Arc::new(Pools::new(parts.tasks.clone()));
        let (seen, clock) = (Arc::clone(&pools), Arc::clone(&parts.clock));
        parts.metrics.add_source(move |readings| seen.readings(clock.monotonic_ms(), readings));
        let keeper = Keeper {
            metrics: Arc::clone(&parts.metrics),
            clock: Arc::clone(&parts.clock),
            // Their own set: nobody waits for connections that outlast the drain.
            tasks: Tasks::new(),
        };
        let current = Arc::clone(&parts.current);
        let overload = Arc::<Overload>::default();
        overload.watch(Arc::clone(&current), Arc::clone(&parts.stores), &parts.tasks);
        let own = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let door = Door { address: own.local_addr()?, key: Key::draw() };
        let warmer = Arc::new(Warmer::new(&parts, door.clone()));
        let gate = gate(parts, (&pools, overload), door, (storage, lock));
        let mut proxy = http_proxy(&Arc::new(server_conf()), gate);
        let mut options = HttpServerOptions::default();
        // Each connection says for itself what it speaks: see `Watched::is_http2`.
        options.h2c = true;
        let server = &current.load().server;
        options.h2_idle_timeout = Some(server.connections.idle);
        proxy.server_options = Some(options);
        proxy.h2_options = Some(h2_options(server));
        let house = House {
            proxy: Arc::new(proxy),
            current: Arc::clone(&current),
            connections: Arc::default(),
            keeper: Arc::new(keeper),
        };
        let mut listeners = vec![Listener::new(own, None)?];
        for (index, socket) in bound.into_iter().enumerate() {
            listeners.push(Listener::new(socket, Some(index))?);
        }
        Ok(Self { house: Arc::new(house), listeners, warmer })
    }

    /// Makes the requests that fill the cache before clients ask.
    #[must_use]
    pub fn warmer(&self) -> Arc<Warmer> {
        Arc::clone(&self.warmer)
    }

    /// Counts the live connections.
    #[must_use]
    pub fn connections(&self) -> Arc<Connections> {
        Arc::clone(&self.house.connections)
    }

    /// Accepts until `shutdown` turns true; then listeners close, idle connections are closed, and requests under
    /// way go on in their own tasks (watch [`Connections::live`]).
    pub async fn run(self, mut shutdown: watch::Receiver<bool>) {
        let mut accepting = JoinSet::new();
        let (stop, stopping) = watch::channel(false);
        for listener in self.listeners {
            accepting.spawn(listener.run(Arc::clone(&self.house), stopping.clone()));
        }
        // A listener that ends without being told to takes the others with it: half a data plane is none.
        tokio::select! {
            _ = shutdown.wait_for(|is_so| *is_so) => {}
            _ = accepting.join_next() => {}
        }
        // Before the listeners close: whoever sees that nobody is let in any more is told that the answer is the last.
        ServerApp::cleanup(&*self.house.proxy).await;
        stop.send_replace(true);
        while accepting.join_next().await.is_some() {}
    }
}

/// Bounds of an HTTP/2 connection. The library's own defaults leave the header list at 16 MiB and streams unbounded
/// (CVE-2026-105297).
fn h2_options(server: &ServerSettings) -> H2Options {
    /// Bytes that a client may send ahead, for a stream and for the connection (Envoy's for the edge).
    const STREAM_WINDOW: u32 = 64 << 10;
    const CONNECTION_WINDOW: u32 = 1 << 20;
    /// Streams that were reset, by either side, before they were looked at.
    const RESETS: usize = 20;
    let list = u32::try_from(server.request.head_bytes).unwrap_or(u32::MAX);
    let mut options = default_h2_options();
    options
        .max_concurrent_streams(server.http2.streams)
        .max_header_list_size(list)
        .max_frame_size(16 << 10)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(64 << 10)
        .max_concurrent_reset_streams(RESETS)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(Some(100))
        .reset_stream_duration(Duration::from_secs(5));
    options
}

fn gate(
    parts: Parts,
    (pools, overload): (&Arc<Pools>, Arc<Overload>),
    door: Door,
    (storage, lock): (&'static CacheStorage, &'static CacheKeyLockImpl),
) -> Gate {
    Gate {
        current: parts.current,
        stores: parts.stores,
        metrics: parts.metrics,
        clock: parts.clock,
        tokens: Tokens::default(),
        pools: Arc::clone(pools),
        overload,
        door,
        storage,
        lock,
    }
}

fn server_conf() -> ServerConf {
    ServerConf {
        max_retries: ATTEMPTS_MAX,
        upstream_keepalive_pool_size: IDLE_CONNECTIONS,
        ..ServerConf::default()
    }
}
