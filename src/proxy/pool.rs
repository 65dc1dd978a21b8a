//! Upstreams at run time: resolved addresses, health and breakers, kept across reloads while their settings stay.

use crate::base::Tasks;
use crate::proxy::peer::{Certificates, peer};
use crate::telemetry::Reading;
use crate::upstream::{Group, Outcome, UpstreamSettings};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::upstreams::peer::HttpPeer;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How often names are resolved again.
const RESOLVE_EVERY: Duration = Duration::from_secs(10);

/// One try at one server.
#[derive(Debug)]
pub(super) struct Attempt {
    /// Its place in the settings.
    pub(super) server: usize,
    /// Where it is.
    pub(super) address: SocketAddr,
    is_ended: bool,
}

/// One upstream at run time.
pub(super) struct Pool {
    /// What the configuration says.
    pub(super) settings: Arc<UpstreamSettings>,
    /// Distinguishes connections of different upstreams in pingora's pool.
    pub(super) id: u64,
    /// Certificates for its connections.
    pub(super) certificates: Certificates,
    addresses: Vec<Mutex<Vec<SocketAddr>>>,
    group: Mutex<Group>,
}

impl Pool {
    fn new(settings: Arc<UpstreamSettings>, id: u64) -> Self {
        let addresses = settings.servers.iter().map(|server| Mutex::new(literal(&server.host, server.port)));
        Self {
            id,
            certificates: settings.tls.as_ref().map(Certificates::of).unwrap_or_default(),
            addresses: addresses.collect(),
            group: Mutex::new(Group::new(&settings)),
            settings,
        }
    }

    /// Picks a server and counts the attempt; `None` when none may be asked or none has an address.
    pub(super) async fn begin(&self, now_ms: u64, random: u64, tried: &[usize]) -> Option<Attempt> {
        let mut tried = tried.to_vec();
        loop {
            let server = self.group.lock().pick(now_ms, random, &tried)?;
            if let Some(address) = self.address(server, random).await {
                return Some(Attempt { server, address, is_ended: false });
            }
            self.group.lock().end(server, Outcome::Failure, now_ms);
            if tried.contains(&server) {
                return None;
            }
            tried.push(server);
        }
    }

    /// One of the server's addresses; resolves the name when that has not happened yet.
    async fn address(&self, server: usize, random: u64) -> Option<SocketAddr> {
        let known = self.known(server, random);
        if known.is_some() {
            return known;
        }
        self.resolve(server).await;
        self.known(server, random)
    }

    fn known(&self, server: usize, random: u64) -> Option<SocketAddr> {
        let addresses = self.addresses.get(server)?.lock();
        let count = u64::try_from(addresses.len()).ok().filter(|count| *count > 0)?;
        addresses.get(usize::try_from(random % count).ok()?).copied()
    }

    async fn resolve(&self, server: usize) {
        let (Some(named), Some(slot)) = (self.settings.servers.get(server), self.addresses.get(server))
        else {
            return;
        };
        let lookup = tokio::net::lookup_host((&*named.host, named.port));
        match tokio::time::timeout(self.settings.connect_timeout, lookup).await {
            Ok(Ok(found)) => {
                let found: Vec<SocketAddr> = found.collect();
                if !found.is_empty() {
                    *slot.lock() = found;
                }
            }
            // Old addresses stay: a name server that hiccups must not take a backend away.
            Ok(Err(error)) => {
                tracing::warn!(upstream = %self.settings.name, host = %named.host, %error, "name not resolved");
            }
            Err(_elapsed) => {
                tracing::warn!(upstream = %self.settings.name, host = %named.host, "name not resolved in time");
            }
        }
    }

    /// Ends an attempt; only the first word on it counts.
    pub(super) fn end(&self, attempt: &mut Attempt, outcome: Outcome, now_ms: u64) {
        if !attempt.is_ended {
            attempt.is_ended = true;
            self.group.lock().end(attempt.server, outcome, now_ms);
        }
    }

    /// Is there budget for another attempt?
    pub(super) fn may_retry(&self, now_ms: u64) -> bool {
        self.group.lock().may_retry(now_ms)
    }

    fn needs_names(&self) -> bool {
        self.settings.servers.iter().any(|server| literal(&server.host, server.port).is_empty())
    }

    /// One round of active checks.
    async fn check(&self, connector: &Connector, path: &str) {
        for server in 0..self.settings.servers.len() {
            let is_healthy = match self.address(server, 0).await {
                Some(address) => self.probe(connector, server, address, path).await,
                None => false,
            };
            let before = self.group.lock().is_healthy(server);
            let after = self.group.lock().checked(server, is_healthy);
            if before != after {
                tracing::warn!(upstream = %self.settings.name, server, healthy = after, "health changed");
            }
        }
    }

    async fn probe(&self, connector: &Connector, server: usize, address: SocketAddr, path: &str) -> bool {
        let host = self.settings.servers.get(server).map_or("", |server| &*server.host);
        let mut peer = peer(self, server, address);
        // Checks never share connections with requests.
        peer.group_key = self.id.wrapping_add(1);
        let exchange = exchange(connector, &peer, host, path);
        let budget = self.settings.connect_timeout.saturating_add(self.settings.response_timeout);
        matches!(tokio::time::timeout(budget, exchange).await, Ok(Ok(status)) if (200..400).contains(&status))
    }
}

async fn exchange(connector: &Connector, peer: &HttpPeer, host: &str, path: &str) -> pingora::Result<u16> {
    let (mut session, _reused) = connector.get_http_session(peer).await?;
    let mut request = RequestHeader::build("GET", path.as_bytes(), Some(4))?;
    request.insert_header("Host", host)?;
    request.insert_header("User-Agent", "tidegate-health")?;
    // HTTP/2 has no such field (RFC 9113 section 8.2.2).
    if session.as_http1().is_some() {
        request.insert_header("Connection", "close")?;
    }
    session.write_request_header(Box::new(request)).await?;
    session.finish_request_body().await?;
    session.read_response_header().await?;
    Ok(session.response_header().map_or(0, |head| head.status.as_u16()))
}

fn literal(host: &str, port: u16) -> Vec<SocketAddr> {
    host.parse().map(|ip| vec![SocketAddr::new(ip, port)]).unwrap_or_default()
}

/// A pool, and the settings by which it was last asked for: a reload makes equal ones anew.
#[derive(Clone)]
struct Slot {
    settings: Arc<UpstreamSettings>,
    pool: Arc<Pool>,
}

/// All upstreams in use, by name.
pub(super) struct Pools {
    pools: ArcSwap<HashMap<Arc<str>, Slot>>,
    building: Mutex<()>,
    next_id: AtomicU64,
    tasks: Tasks,
}

impl Pools {
    /// None yet.
    #[must_use]
    pub(super) fn new(tasks: Tasks) -> Self {
        Self { pools: ArcSwap::default(), building: Mutex::new(()), next_id: AtomicU64::new(2), tasks }
    }

    /// The pool of these settings: the running one while they are the same, a new one otherwise.
    pub(super) fn of(&self, settings: &Arc<UpstreamSettings>) -> Arc<Pool> {
        if let Some(pool) = self.known(settings) {
            return pool;
        }
        let _building = self.building.lock();
        if let Some(pool) = self.known(settings) {
            return pool;
        }
        let mut pools = HashMap::clone(&self.pools.load());
        let running = pools.get(&settings.name).filter(|slot| *slot.settings == **settings);
        let pool = running.map(|slot| Arc::clone(&slot.pool)).unwrap_or_else(|| self.build(settings));
        let slot = Slot { settings: Arc::clone(settings), pool: Arc::clone(&pool) };
        pools.insert(Arc::clone(&settings.name), slot);
        self.pools.store(Arc::new(pools));
        pool
    }

    fn build(&self, settings: &Arc<UpstreamSettings>) -> Arc<Pool> {
        let id = self.next_id.fetch_add(2, Ordering::Relaxed);
        let pool = Arc::new(Pool::new(Arc::clone(settings), id));
        self.watch(&pool);
        pool
    }

    /// The pool that was last asked for by these very settings: what a request pays is one comparison of pointers.
    fn known(&self, settings: &Arc<UpstreamSettings>) -> Option<Arc<Pool>> {
        let pools = self.pools.load();
        let slot = pools.get(&settings.name).filter(|slot| Arc::ptr_eq(&slot.settings, settings))?;
        Some(Arc::clone(&slot.pool))
    }

    /// Health and breakers of all upstreams in use, for the gauges.
    pub(super) fn readings(&self, now_ms: u64, readings: &mut Vec<Reading>) {
        for (name, Slot { pool, .. }) in self.pools.load().iter() {
            let group = pool.group.lock();
            readings
                .push(Reading::BreakerOpen { upstream: Arc::clone(name), servers: group.open_count(now_ms) });
            for (at, server) in pool.settings.servers.iter().enumerate() {
                let server = format!("{}:{}", server.host, server.port);
                let upstream = Arc::clone(name);
                readings.push(Reading::UpstreamHealthy { upstream, server, healthy: group.is_healthy(at) });
            }
        }
    }

    /// Runs health checks and name resolution until the pool is replaced.
    fn watch(&self, pool: &Arc<Pool>) {
        let weak = Arc::downgrade(pool);
        if pool.needs_names() {
            let weak = weak.clone();
            self.tasks.spawn_until_stop("resolve", async move {
                loop {
                    tokio::time::sleep(RESOLVE_EVERY).await;
                    let Some(pool) = weak.upgrade() else { return };
                    for server in 0..pool.settings.servers.len() {
                        pool.resolve(server).await;
                    }
                }
            });
        }
        let Some(health) = pool.settings.health.clone() else { return };
        self.tasks.spawn_until_stop("health", async move {
            let connector = Connector::new(None);
            loop {
                let Some(pool) = weak.upgrade() else { return };
                pool.check(&connector, &health.path).await;
                drop(pool);
                tokio::time::sleep(health.every).await;
            }
        });
    }
}
