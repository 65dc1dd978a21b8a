//! Accepts connections: a place for each, who it is, TLS, and then the data plane.
//!
//! pingora's own loop counts nothing, waits a minute for a handshake, and spins when there are no more file
//! descriptors for the whole system.

use crate::config::{Current, Snapshot};
use crate::identity::CertificateNames;
use crate::proxy::farewell;
use crate::proxy::gate::Gate;
use crate::proxy::places::Connections;
use crate::proxy::preamble;
use crate::proxy::refusal::Refusal;
use crate::proxy::stream::{Facts, Keeper, Terms, Watched};
use crate::proxy::transport::{Transport, UNSENT_BYTES};
use pingora::apps::ServerApp;
use pingora::proxy::HttpProxy;
use rustls::ServerConfig;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// How long nobody is accepted when there is nothing to accept with. Connections end meanwhile.
const PAUSE: Duration = Duration::from_millis(100);

/// How long, and with how many bytes of its own, a client that finds no place may take to read why.
const FAREWELL: Duration = Duration::from_millis(500);
const UNREAD_BYTES: u64 = 64 << 10;

/// A peer that is gone without a word is noticed by the system after about a minute and a half.
const PROBE_AFTER: Duration = Duration::from_secs(60);
const PROBE_EVERY: Duration = Duration::from_secs(10);
const PROBES: u32 = 3;

/// What all listeners share.
pub(super) struct House {
    pub(super) proxy: Arc<HttpProxy<Gate>>,
    pub(super) current: Current,
    pub(super) connections: Arc<Connections>,
    pub(super) keeper: Arc<Keeper>,
}

/// One socket.
pub(super) struct Listener {
    socket: TcpListener,
    local: SocketAddr,
    /// Its place in the configuration; `None` for the internal one.
    index: Option<usize>,
}

impl Listener {
    /// A socket that is bound already.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn new(socket: std::net::TcpListener, index: Option<usize>) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let local = socket.local_addr()?;
        Ok(Self { socket: TcpListener::from_std(socket)?, local, index })
    }

    /// Accepts until `shutdown` turns true; connections go on in their own tasks.
    pub(super) async fn run(self, house: Arc<House>, mut shutdown: watch::Receiver<bool>) {
        let mut is_short = false;
        let manner = Arc::new(Manner { local: self.local, index: self.index });
        loop {
            let accepted = tokio::select! {
                biased;
                _ = shutdown.wait_for(|is_so| *is_so) => return,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((socket, peer)) => {
                    if std::mem::take(&mut is_short) {
                        tracing::info!(listener = %self.local, "connections are accepted again");
                    }
                    let arrival = Arrival { socket, peer, shutdown: shutdown.clone() };
                    let served = Arc::clone(&manner).serve(Arc::clone(&house), arrival);
                    house.keeper.tasks.spawn("connection", served);
                }
                Err(error) => {
                    let kind = error_kind(&error);
                    house.keeper.metrics.accept_error(kind);
                    if kind == "connection" {
                        continue;
                    }
                    if !std::mem::replace(&mut is_short, true) {
                        tracing::error!(listener = %self.local, %error, "no connection can be accepted; retrying");
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Is it one connection that failed (accept(2): "treat like EAGAIN"), or is something used up?
fn error_kind(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted => {
            "connection"
        }
        _ if matches!(error.raw_os_error(), Some(23 | 24)) => "descriptors",
        io::ErrorKind::OutOfMemory => "memory",
        _ => "other",
    }
}

struct Arrival {
    socket: TcpStream,
    peer: SocketAddr,
    shutdown: watch::Receiver<bool>,
}

/// How one listener treats its connections.
struct Manner {
    local: SocketAddr,
    index: Option<usize>,
}

impl Manner {
    async fn serve(self: Arc<Self>, house: Arc<House>, arrival: Arrival) {
        let snapshot = house.current.load_full();
        let lifetime = snapshot.server.connections.lifetime;
        let Some(stream) = self.receive(&house, &snapshot, arrival.socket, arrival.peer).await else {
            return;
        };
        drop(snapshot);
        // One switch for both: the process stops, or the connection is old enough. Requests under way end well, HTTP/2
        // clients are told by GOAWAY.
        let (close, closing) = watch::channel(false);
        let mut shutdown = arrival.shutdown;
        let mut served = std::pin::pin!(house.proxy.process_new(Box::new(stream), &closing));
        let closed = async {
            tokio::select! {
                _ = shutdown.wait_for(|is_so| *is_so) => {}
                () = tokio::time::sleep(lifetime) => {}
            }
        };
        // The switch first: an answer that comes at the same time as the end says that it is the last.
        tokio::select! {
            biased;
            () = closed => close.send_replace(true),
            _ = &mut served => return,
        };
        drop(served.await);
    }

    /// From a socket to a stream; `None` when it comes to nothing.
    async fn receive(
        &self,
        house: &House,
        snapshot: &Snapshot,
        mut socket: TcpStream,
        peer: SocketAddr,
    ) -> Option<Watched> {
        let listen = self.index.and_then(|index| snapshot.server.listen.get(index));
        let (metrics, bounds) = (&house.keeper.metrics, &snapshot.server.connections);
        let tls = listen.and_then(|listen| listen.tls.as_ref()).map(|tls| tls.server_config());
        let Some(mut place) = house.connections.enter(bounds.max) else {
            turn_away(house, socket, peer, tls.is_some()).await;
            return None;
        };
        prepare(&socket);
        let patience = snapshot.server.request.head_timeout;
        let mut client = peer;
        if listen.is_some_and(|listen| listen.proxy_protocol) {
            if !snapshot.identifier.is_trusted(peer.ip()) {
                metrics.connection_refused("proxy-protocol");
                return None;
            }
            match tokio::time::timeout(patience, preamble::read(&mut socket)).await {
                Ok(Ok(named)) => client = named.unwrap_or(peer),
                Ok(Err(_)) | Err(_) => {
                    metrics.connection_refused("proxy-protocol");
                    return None;
                }
            }
        }
        // The proxy's own requests are bounded elsewhere.
        if self.index.is_some() && !place.claim(client.ip().to_canonical(), bounds.per_address) {
            turn_away(house, socket, client, tls.is_some()).await;
            return None;
        }
        let mut facts =
            Facts { peer: client, local: self.local, tls: None, certificate: None, is_http2: false };
        let transport = match tls {
            None => Transport::Plain(socket),
            Some(config) => match tokio::time::timeout(patience, encrypt(socket, config, &mut facts)).await {
                Ok(Ok(transport)) => transport,
                Ok(Err(error)) => {
                    metrics.connection_refused("tls");
                    tracing::debug!(client = %client.ip(), %error, "TLS handshake failed");
                    return None;
                }
                Err(_elapsed) => {
                    metrics.connection_refused("tls");
                    return None;
                }
            },
        };
        let terms = terms(snapshot, listen.is_some_and(|listen| listen.http2));
        Some(Watched::new(transport, facts, terms, Arc::clone(&house.keeper), place))
    }
}

fn terms(snapshot: &Snapshot, http2: bool) -> Terms {
    let server = &snapshot.server;
    Terms {
        head_timeout: server.request.head_timeout,
        wire: server.request.wire(),
        frames: server.http2.frames,
        body_min_rate: server.request.body_min_rate,
        send_min_rate: server.connections.send_min_rate,
        http2,
    }
}

/// Options that the system may refuse without harm.
fn prepare(socket: &TcpStream) {
    socket.set_nodelay(true).ok();
    let probes = TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_EVERY).with_retries(PROBES);
    let socket = SockRef::from(socket);
    socket.set_tcp_keepalive(&probes).ok();
    // The system takes megabytes at once for a slow client, and then nothing for minutes: no pace could be seen.
    socket.set_tcp_notsent_lowat(UNSENT_BYTES).ok();
}

async fn encrypt(socket: TcpStream, config: Arc<ServerConfig>, facts: &mut Facts) -> io::Result<Transport> {
    let stream = TlsAcceptor::from(config).accept(socket).await?;
    let session = stream.get_ref().1;
    facts.is_http2 = session.alpn_protocol() == Some(b"h2");
    let version = session.protocol_version().and_then(|version| version.as_str()).unwrap_or("TLS");
    let suite = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or("");
    facts.tls = Some((version, suite));
    let certificate = session.peer_certificates().and_then(|chain| chain.first());
    facts.certificate = certificate.map(|one| Arc::new(CertificateNames::read(one)));
    Ok(Transport::Tls(Box::new(stream)))
}

/// Says why before closing: stalling the client would hide the reason. Without a handshake an encrypted connection can
/// only be closed.
async fn turn_away(house: &House, mut socket: TcpStream, client: SocketAddr, is_tls: bool) {
    house.keeper.metrics.connection_refused("limit");
    if is_tls {
        return;
    }
    let Keeper { metrics, clock, .. } = &*house.keeper;
    let answer = farewell::refuse(&Refusal::Connections, client.ip(), metrics, &**clock);
    let told = async {
        socket.write_all(&answer).await?;
        socket.shutdown().await?;
        // Closed with bytes that nobody read, the connection would be reset and the answer lost.
        let mut rest = socket.take(UNREAD_BYTES);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    // The client may be gone already; nothing else can be done for it.
    drop(tokio::time::timeout(FAREWELL, told).await);
}
