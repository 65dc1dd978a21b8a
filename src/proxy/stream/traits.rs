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
        let (version, cipher) = self.facts.tls?;
        Some(Arc::new(SslDigest::new(cipher, version, None, None, Vec::new())))
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
    /// The one way in which a stream may give requests data of its own: requests of HTTP/2 do not see their stream.
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        let response = ResponseHeader::build(200, Some(0)).ok()?;
        Some(Arc::new(ProxyDigest::new(Box::new(response), Some(Box::new(Arc::clone(&self.facts))))))
    }
}

/// What is known of the connection on which a request came.
pub(in crate::proxy) fn facts(session: &Session) -> Option<&Facts> {
    let digest = session.digest()?.proxy_digest.as_ref()?;
    digest.user_data.as_ref()?.downcast_ref::<Arc<Facts>>().map(|facts| &**facts)
}

impl GetSocketDigest for Watched {
    /// Filled in, so that nobody asks the system for what is known, and so that the client is whom a trusted proxy names.
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        let digest = SocketDigest::from_raw_fd(self.fd());
        // A new cell takes its value.
        digest.peer_addr.set(Some(self.facts.peer.into())).ok();
        digest.local_addr.set(Some(self.facts.local.into())).ok();
        Some(Arc::new(digest))
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
