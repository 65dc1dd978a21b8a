//! The phases of a request, in the order in which pingora calls them. Each is a few lines that call the step in its
//! own file; no policy lives here.

use crate::base::Clock;
use crate::config::Current;
use crate::proxy::compressor::Compressors;
use crate::proxy::context::RequestCtx;
use crate::proxy::internal::Door;
use crate::proxy::overload::Overload;
use crate::proxy::pool::Pools;
use crate::proxy::storage::CacheStorage;
use crate::proxy::stream::{self, Phase};
use crate::proxy::tokens::Tokens;
use crate::proxy::{
    admit, caching, coding, edits, failure, finish, invalidation, limiting, respond, upstream,
};
use crate::store::Stores;
use crate::telemetry::Metrics;
use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use pingora::cache::key::CacheKey;
use pingora::cache::lock::CacheKeyLockImpl;
use pingora::cache::storage::HitHandler;
use pingora::cache::{CacheMeta, ForcedFreshness, RespCacheable};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, Result};
use std::sync::Arc;

/// The proxy: what all requests share.
pub(super) struct Gate {
    pub(super) current: Current,
    pub(super) stores: Arc<Stores>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) tokens: Tokens,
    pub(super) pools: Arc<Pools>,
    pub(super) overload: Arc<Overload>,
    pub(super) door: Door,
    pub(super) storage: &'static CacheStorage,
    pub(super) lock: &'static CacheKeyLockImpl,
}

#[async_trait]
impl ProxyHttp for Gate {
    type CTX = RequestCtx;

    fn new_ctx(&self) -> RequestCtx {
        RequestCtx::new(self.current.load_full(), self.clock.monotonic(), self.clock.wall_ms())
    }

    fn init_downstream_modules(&self, modules: &mut HttpModules) {
        modules.add_module(Box::new(Compressors));
    }

    async fn early_request_filter(&self, session: &mut Session, ctx: &mut RequestCtx) -> Result<()> {
        if let Some(stream) = session.stream() {
            stream::is_now(stream, Phase::Serving);
        }
        admit::begin(self, session, ctx);
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut RequestCtx) -> Result<bool> {
        match admit::admit(self, session, ctx).await {
            Ok(None) => Ok(false),
            Ok(Some(local)) => respond::local(session, ctx, local).await.map(|()| true),
            Err(refusal) => respond::refuse(session, ctx, &refusal).await.map(|()| true),
        }
    }

    fn request_cache_filter(&self, session: &mut Session, ctx: &mut RequestCtx) -> Result<()> {
        caching::enable(self, session, ctx);
        Ok(())
    }

    fn cache_key_callback(&self, _session: &Session, ctx: &mut RequestCtx) -> Result<CacheKey> {
        caching::key(self, ctx)
    }

    async fn cache_hit_filter(
        &self,
        session: &mut Session,
        meta: &CacheMeta,
        hit_handler: &mut HitHandler,
        is_fresh: bool,
        ctx: &mut RequestCtx,
    ) -> Result<Option<ForcedFreshness>> {
        let forced = caching::judge_hit(self, meta, is_fresh, ctx);
        if is_fresh && forced.is_none() {
            coding::encode_hit(self, session, (meta, hit_handler), ctx).await;
        }
        Ok(forced)
    }

    async fn proxy_upstream_filter(&self, session: &mut Session, ctx: &mut RequestCtx) -> Result<bool> {
        let may_ask = match upstream::may_ask(ctx) {
            Ok(()) => limiting::go_upstream(self, ctx).await,
            refused => refused,
        };
        match may_ask {
            Ok(()) => Ok(true),
            Err(refusal) => respond::refuse(session, ctx, &refusal).await.map(|()| false),
        }
    }

    async fn upstream_peer(&self, session: &mut Session, ctx: &mut RequestCtx) -> Result<Box<HttpPeer>> {
        upstream::peer(self, session, ctx).await
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut RequestCtx,
    ) -> Result<()> {
        upstream::rewrite_request(session, request, ctx)
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut RequestCtx,
    ) -> Result<()> {
        upstream::watch_body(self, session, (body, end_of_stream), ctx)
    }

    async fn upstream_response_filter(
        &self,
        _session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut RequestCtx,
    ) -> Result<()> {
        upstream::check_response(self, response, ctx)?;
        caching::remember_update(response, ctx);
        Ok(())
    }

    fn response_cache_filter(
        &self,
        session: &Session,
        response: &ResponseHeader,
        ctx: &mut RequestCtx,
    ) -> Result<RespCacheable> {
        caching::judge_response(self, session, response, ctx)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut RequestCtx,
    ) -> Result<()> {
        if !response.status.is_informational() {
            let (status, headers) = (response.status.as_u16(), &response.headers);
            limiting::settle(self, ctx, status, headers).await;
            invalidation::after_write(self, ctx, &session.req_header().method, status, headers).await;
        }
        respond::finish_head(session, response, ctx)
    }

    async fn response_trailer_filter(
        &self,
        _session: &mut Session,
        trailers: &mut HeaderMap,
        ctx: &mut RequestCtx,
    ) -> Result<Option<Bytes>> {
        edits::trailers(trailers, ctx);
        Ok(None)
    }

    fn should_serve_stale(&self, session: &mut Session, ctx: &mut RequestCtx, error: Option<&Error>) -> bool {
        caching::may_serve_stale(session, ctx, error)
    }

    fn fail_to_connect(
        &self,
        session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut RequestCtx,
        error: Box<Error>,
    ) -> Box<Error> {
        failure::connect_failed(self, session, ctx, error)
    }

    fn error_while_proxy(
        &self,
        peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        ctx: &mut RequestCtx,
        client_reused: bool,
    ) -> Box<Error> {
        let error = error.more_context(format!("peer: {peer}"));
        failure::exchange_failed(self, session, ctx, error, client_reused)
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, ctx: &mut RequestCtx) -> FailToProxy {
        failure::answer(self, session, error, ctx).await
    }

    fn suppress_error_log(&self, _session: &Session, _ctx: &RequestCtx, _error: &Error) -> bool {
        // The access line carries the error; pingora's own line would repeat it for every client that hangs up.
        true
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut RequestCtx) {
        let status = session.response_written().map_or(finish::CLIENT_LEFT, |head| head.status.as_u16());
        limiting::abandon(self, ctx, status).await;
        finish::finish(self, session, error, ctx);
        if let Some(stream) = session.stream() {
            stream::is_now(stream, Phase::Waiting);
        }
    }
}
