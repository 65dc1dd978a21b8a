//! How a server is connected to: TLS, version, time-outs. Requests and health checks go the same way.

use crate::proxy::pool::Pool;
use crate::upstream::UpstreamTls;
use pingora::protocols::ALPN;
use pingora::protocols::tls::CaType;
use pingora::upstreams::peer::HttpPeer;
use pingora::utils::tls::{CertKey, WrappedX509, parse_x509};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Streams of one HTTP/2 connection to a server; pingora's default of 1 would open a connection per request.
const H2_STREAMS: usize = 100;

/// Certificates for connections to servers, in the form that pingora takes.
#[derive(Default)]
pub(super) struct Certificates {
    authority: Option<Arc<CaType>>,
    identity: Option<Arc<CertKey>>,
}

impl Certificates {
    /// Those of these settings. pingora panics on a certificate that it cannot parse; the configuration has parsed
    /// each of them in the same way.
    pub(super) fn of(tls: &UpstreamTls) -> Self {
        let authority = tls.authority.as_ref().map(|authority| {
            let parsed = authority.certificates.iter().map(|der| WrappedX509::new(der.clone(), parse_x509));
            Arc::<CaType>::from(parsed.collect::<Vec<_>>())
        });
        let identity = tls.identity.as_ref().map(|own| CertKey::new(own.chain.clone(), own.key.clone()));
        Self { authority, identity: identity.map(Arc::new) }
    }
}

/// A connection to one server of the pool.
pub(super) fn peer(pool: &Pool, server: usize, address: SocketAddr) -> HttpPeer {
    let settings = &pool.settings;
    let host = settings.servers.get(server).map_or("", |server| &*server.host);
    let tls = settings.tls.as_ref();
    // An empty name would silently turn verification off; hosts and configured names never are empty.
    let name = tls.map(|tls| tls.server_name.as_deref().unwrap_or(host)).unwrap_or_default();
    let mut peer = HttpPeer::new(address, tls.is_some(), name.to_owned());
    peer.client_cert_key.clone_from(&pool.certificates.identity);
    let options = &mut peer.options;
    options.connection_timeout = Some(settings.connect_timeout);
    options.total_connection_timeout = Some(settings.connect_timeout.saturating_mul(2));
    options.read_timeout = Some(settings.response_timeout);
    options.write_timeout = Some(settings.response_timeout.max(Duration::from_secs(30)));
    options.idle_timeout = Some(settings.idle_timeout);
    options.max_h2_streams = H2_STREAMS;
    options.alpn = match (settings.http2, tls) {
        // The server chooses (RFC 7301): one that has no HTTP/2 is spoken to in HTTP/1.1.
        (true, Some(_)) => ALPN::H2H1,
        (true, None) => ALPN::H2,
        (false, _) => ALPN::H1,
    };
    options.ca.clone_from(&pool.certificates.authority);
    let is_verified = tls.is_none_or(|tls| tls.verify);
    options.verify_cert = is_verified;
    options.verify_hostname = is_verified;
    // pingora's pool key leaves out the authority and the version: connections of different upstreams must never be
    // mixed.
    peer.group_key = pool.id;
    peer
}
