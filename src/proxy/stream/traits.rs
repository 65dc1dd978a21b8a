//! What pingora asks of a stream besides bytes.

use super::Watched;
use async_trait::async_trait;
use pingora::http::ResponseHeader;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest,
    UniqueID, UniqueIDType,
};
use pingora::proxy::Session;
use std::io;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;

use super::Facts;

/// What pingora asks for at each request, made once a connection.
pub(super) struct Digests {
    tls: Option<Arc<SslDigest>>,
    /// The one way in which a stream may give requests data of its own: requests of HTTP/2 do not see their stream.
    facts: Option<Arc<ProxyDigest>>,
    socket: Arc<SocketDigest>,
}

impl Digests {
    pub(super) fn new(facts: &Arc<Facts>, fd: UniqueIDType) -> Self {
        let tls = facts.tls.map(|(version, cipher)| SslDigest::new(cipher, version, None, None, Vec::new()));
        let response = ResponseHeader::build(200, Some(0)).ok();
        let carried = |response| ProxyDigest::new(Box::new(response), Some(Box::new(Arc::clone(facts))));
        let socket = SocketDigest::from_raw_fd(fd);
        // Filled in, so that nobody asks the system for what is known, and so that the client is whom a trusted proxy
        // names. A new cell takes its value.
        socket.peer_addr.set(Some(facts.peer.into())).ok();
        socket.local_addr.set(Some(facts.local.into())).ok();
        Self { tls: tls.map(Arc::new), facts: response.map(carried).map(Arc::new), socket: Arc::new(socket) }
    }
}

#[async_trait]
impl Shutdown for Watched {
    async fn shutdown(&mut self) {
        // Nobody is there to be told that it failed.
        drop(AsyncWriteExt::shutdown(self).await);
    }
}

impl UniqueID for Watched {
    fn id(&self) -> UniqueIDType {
        self.fd()
    }
}

impl Ssl for Watched {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.digests.tls.clone()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.facts.is_http2.then_some(ALPN::H2)
    }
}

impl GetTimingDigest for Watched {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Watched {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.digests.facts.clone()
    }
}

/// What is known of the connection on which a request came.
pub(in crate::proxy) fn facts(session: &Session) -> Option<&Facts> {
    let digest = session.digest()?.proxy_digest.as_ref()?;
    digest.user_data.as_ref()?.downcast_ref::<Arc<Facts>>().map(|facts| &**facts)
}

impl GetSocketDigest for Watched {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(Arc::clone(&self.digests.socket))
    }
}

#[async_trait]
impl Peek for Watched {
    async fn try_peek(&mut self, buf: &mut [u8]) -> io::Result<bool> {
        // `false` would mean that nobody can tell, and pingora would take it for HTTP/2.
        let preface = crate::message::frames::PREFACE.get(..buf.len());
        match preface {
            Some(preface) if self.is_http2().await? => buf.copy_from_slice(preface),
            _ => buf.fill(0),
        }
        Ok(true)
    }
}
