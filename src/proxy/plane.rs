//! Builds the data plane from its parts and runs it until it is told to stop.

use crate::base::{Clock, Tasks};
use crate::config::{Current, Listen};
use crate::proxy::connection::{Bounds, Connections, Guard};
use crate::proxy::gate::Gate;
use crate::proxy::internal::{Door, Key};
use crate::proxy::lock::FlightLock;
use crate::proxy::pool::Pools;
use crate::proxy::storage::CacheStorage;
use crate::proxy::tokens::Tokens;
use crate::proxy::warming::Warmer;
use crate::store::Stores;
use crate::telemetry::Metrics;
use parking_lot::Mutex;
use pingora::apps::HttpServerOptions;
use pingora::cache::lock::CacheKeyLockImpl;
use pingora::listeners::tls::TlsSettings;
use pingora::listeners::{ListenerConfig, TcpSocketOptions};
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::Fds;
use pingora::server::configuration::ServerConf;
use pingora::services::Service as _;
use pingora::services::listening::Service;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::IntoRawFd;
use std::sync::Arc;
use tokio::sync::watch;

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

/// A listening socket that is bound already: a taken address is known before anything runs, and port 0 works.
pub struct Bound {
    /// The socket.
    pub listener: TcpListener,
    /// What the configuration says about it.
    pub settings: Listen,
}

/// Why the data plane cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum ProxyFault {
    /// A certificate or key does not do.
    #[error("TLS of {address}: {reason}; check server.listen[].tls")]
    Tls {
        /// The listener.
        address: String,
        /// What pingora or rustls says.
        reason: String,
    },
    /// A socket that is not one.
    #[error("listening socket: {0}")]
    Socket(#[from] std::io::Error),
}

/// The data plane, ready to run.
pub struct DataPlane {
    service: Service<Guard<HttpProxy<Gate>>>,
    fds: Fds,
    connections: Arc<Connections>,
    warmer: Arc<Warmer>,
}

impl DataPlane {
    /// Builds it. pingora's cache traits want `&'static` storage and lock: both are leaked here, once a process.
    ///
    /// # Errors
    /// [`ProxyFault`] when a certificate cannot be used.
    pub fn prepare(bound: Vec<Bound>, parts: Parts) -> Result<Self, ProxyFault> {
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
        let connections = Arc::<Connections>::default();
        let metrics = Arc::clone(&parts.metrics);
        let current = Arc::clone(&parts.current);
        let own = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let door = Door { address: own.local_addr()?, key: Key::draw() };
        let warmer = Arc::new(Warmer::new(&parts, door.clone()));
        let mut proxy = http_proxy(&Arc::new(server_conf()), gate(parts, &pools, door, (storage, lock)));
        let mut options = HttpServerOptions::default();
        options.h2c = bound.iter().any(|bound| bound.settings.http2 && bound.settings.tls.is_none());
        options.h2_idle_timeout = Some(current.load().server.connections.idle);
        proxy.server_options = Some(options);
        let guard = Guard::new(proxy, Arc::clone(&connections), metrics, move || {
            let snapshot = current.load();
            Bounds {
                total: snapshot.server.connections.max,
                per_address: snapshot.server.connections.per_address,
                head_timeout: snapshot.server.request.head_timeout,
            }
        });
        let mut service = Service::new("tidegate".to_owned(), guard);
        let mut fds = Fds::new();
        for bound in bound {
            add_listener(&mut service, &mut fds, bound)?;
        }
        let settings = Listen { address: own.local_addr()?, tls: None, http2: false };
        add_listener(&mut service, &mut fds, Bound { listener: own, settings })?;
        Ok(Self { service, fds, connections, warmer })
    }

    /// Makes the requests that fill the cache before clients ask.
    #[must_use]
    pub fn warmer(&self) -> Arc<Warmer> {
        Arc::clone(&self.warmer)
    }

    /// Counts the live connections.
    #[must_use]
    pub fn connections(&self) -> Arc<Connections> {
        Arc::clone(&self.connections)
    }

    /// Accepts until `shutdown` turns true; then listeners close, idle connections are closed, and requests under
    /// way go on in their own tasks (watch [`Connections::live`]).
    pub async fn run(mut self, shutdown: watch::Receiver<bool>) {
        let fds = Arc::new(Mutex::new(self.fds));
        self.service.start_service(Some(fds), shutdown, 1).await;
    }
}

fn gate(
    parts: Parts,
    pools: &Arc<Pools>,
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

fn add_listener(
    service: &mut Service<Guard<HttpProxy<Gate>>>,
    fds: &mut Fds,
    bound: Bound,
) -> Result<(), ProxyFault> {
    let address = bound.listener.local_addr()?.to_string();
    bound.listener.set_nonblocking(true)?;
    let mut listener = ListenerConfig::tcp(address.clone()).tcp_socket_options(TcpSocketOptions::default());
    if let Some(tls) = &bound.settings.tls {
        let fault = |reason: String| ProxyFault::Tls { address: address.clone(), reason };
        let Some(first) = tls.certificates.first() else { return Err(fault("no certificate".to_owned())) };
        let (certificate, key) = (first.file.to_string_lossy(), first.key_file.to_string_lossy());
        let mut settings =
            TlsSettings::intermediate(&certificate, &key).map_err(|error| fault(error.to_string()))?;
        if bound.settings.http2 {
            settings.enable_h2();
        }
        listener = listener.tls(settings);
    }
    service.add_listener(listener);
    fds.add(address, bound.listener.into_raw_fd());
    Ok(())
}
