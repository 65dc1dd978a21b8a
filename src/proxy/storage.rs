//! pingora's storage traits over our [`EntryStore`]: translation only, no policy.
//!
//! pingora keeps variants in slots of its own that compare wall clocks of instances; we do not use them. The key
//! carries the request's fields, and the store picks the variant by the stored response's selecting fields.

use crate::base::{Clock, Digest};
use crate::cache::{Demand, Entry, EntryHead, Label, Lifetime, Namespace};
use crate::proxy::flight::Part;
use crate::store::Stores;
use crate::telemetry::Metrics;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, StatusCode};
use pingora::cache::CacheMeta;
use pingora::cache::key::CacheKey;
use pingora::cache::storage::{
    HandleHit, HandleMiss, HitHandler, MissFinishType, MissHandler, PurgeOutcome, PurgeTarget, PurgeType,
    Storage,
};
use pingora::cache::trace::SpanHandle;
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorType, Result};
use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Rides in the cache key: what the store needs besides pingora's own hash.
#[derive(Clone)]
pub(super) struct KeyParts {
    /// Our key.
    pub(super) digest: Digest,
    /// Whom an entry under it must belong to.
    pub(super) owner: Digest,
    /// The request's fields, for the selecting ones.
    pub(super) request: Arc<HeaderMap>,
    /// Where an entry under it belongs.
    pub(super) namespace: Arc<Namespace>,
    /// What an entry under it is called by, without the tags of its response.
    pub(super) label: Arc<Label>,
    /// How far the ledger of purges was read before the look-up.
    pub(super) birth: u64,
    /// What the client's own directives ask for.
    pub(super) demand: Demand,
    /// Is this pingora's background revalidation?
    pub(super) is_background: bool,
    /// The request's part in single flight.
    pub(super) part: Part,
}

/// Rides in the meta of a response that is about to be stored: everything of an entry but its body.
#[derive(Clone)]
pub(super) struct Draft {
    /// Times.
    pub(super) lifetime: Lifetime,
    /// Selecting fields (`Vary`).
    pub(super) selecting: Vec<HeaderName>,
    /// Tags of namespace and response.
    pub(super) tags: Vec<String>,
    /// How long the origin took, milliseconds.
    pub(super) cost_ms: u32,
}

/// Rides in the meta of a response that was found.
#[derive(Clone)]
pub(super) struct Found {
    /// The entry.
    pub(super) entry: Arc<Entry>,
    /// Is it fresh and shown to pingora as stale, so that it is refreshed while it is served?
    pub(super) is_early: bool,
}

/// The adapter. pingora wants it `&'static`: it is leaked once, where the data plane is built.
pub(super) struct CacheStorage {
    pub(super) stores: Arc<Stores>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Arc<dyn Clock>,
}

impl CacheStorage {
    /// An adapter over `stores`.
    #[must_use]
    pub(super) fn new(stores: Arc<Stores>, metrics: Arc<Metrics>, clock: Arc<dyn Clock>) -> Self {
        Self { stores, metrics, clock }
    }
}

/// Milliseconds since the epoch as a system time.
#[must_use]
pub(super) fn system_time(wall_ms: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_millis(wall_ms)).unwrap_or(UNIX_EPOCH)
}

/// pingora's meta of a response with our lifetime.
///
/// # Errors
/// When pingora refuses the status or a field.
pub(super) fn meta(status: u16, headers: &HeaderMap, lifetime: &Lifetime) -> Result<CacheMeta> {
    let status = StatusCode::from_u16(status)
        .map_err(|error| Error::because(ErrorType::InternalError, "status of an entry", error))?;
    let mut head = ResponseHeader::build(status, Some(headers.len()))?;
    for (name, value) in headers {
        head.append_header(name.clone(), value.clone())?;
    }
    let fresh_until = system_time(lifetime.fresh_until_ms);
    let base = system_time(lifetime.age_base_ms);
    let mut meta = CacheMeta::new(fresh_until, base, lifetime.swr_s, lifetime.sie_s, head);
    meta.set_epoch_override(base);
    Ok(meta)
}

fn parts(key: &CacheKey) -> Result<&KeyParts> {
    key.extensions
        .get::<KeyParts>()
        .ok_or_else(|| Error::explain(ErrorType::InternalError, "a foreign cache key"))
}

#[async_trait]
impl Storage for CacheStorage {
    async fn lookup(
        &'static self,
        key: &CacheKey,
        _trace: &SpanHandle,
    ) -> Result<Option<(CacheMeta, HitHandler)>> {
        self.look_up(parts(key)?).await
    }

    async fn get_miss_handler(
        &'static self,
        key: &CacheKey,
        meta: &CacheMeta,
        _trace: &SpanHandle,
    ) -> Result<MissHandler> {
        let parts = parts(key)?.clone();
        let draft = draft(meta)?;
        let miss = Miss {
            storage: self,
            body: BytesMut::new(),
            is_too_large: false,
            expected: content_length(meta.headers()),
            status: meta.response_header().status.as_u16(),
            headers: meta.headers().clone(),
            draft,
            parts,
        };
        Ok(Box::new(miss))
    }

    async fn purge(
        &'static self,
        target: PurgeTarget<'_>,
        _purge_type: PurgeType,
        _trace: &SpanHandle,
    ) -> Result<PurgeOutcome> {
        // pingora purges by its own hash only, which names no entry of ours; our purges go to the store directly.
        tracing::debug!(%target, "purge by a key that is not ours");
        Ok(PurgeOutcome::NotFound)
    }

    async fn update_meta(
        &'static self,
        key: &CacheKey,
        meta: &CacheMeta,
        _trace: &SpanHandle,
    ) -> Result<bool> {
        let parts = parts(key)?;
        let Some(found) = meta.extensions().get::<Found>() else { return Ok(false) };
        let status = meta.response_header().status.as_u16();
        let head = self.head(parts, status, meta.headers().clone(), draft(meta)?);
        let written = self.stores.entries.put(&parts.digest, &parts.request, found.entry.renewed(head));
        parts.part.stored(written);
        Ok(true)
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync + 'static) {
        self
    }
}

impl CacheStorage {
    fn head(&self, parts: &KeyParts, status: u16, headers: HeaderMap, draft: Draft) -> EntryHead {
        let Draft { lifetime, selecting, tags, cost_ms } = draft;
        let label = Arc::new(Label { tags, ..(*parts.label).clone() });
        let (owner, birth, stored_ms) = (parts.owner, parts.birth, self.clock.wall_ms());
        EntryHead { owner, label, status, headers, lifetime, selecting, stored_ms, birth, cost_ms }
    }
}

fn draft(meta: &CacheMeta) -> Result<Draft> {
    let draft = meta.extensions().get::<Draft>().cloned();
    draft.ok_or_else(|| Error::explain(ErrorType::InternalError, "a response that was not judged"))
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A stored body on its way to a client.
pub(super) struct Hit {
    body: Option<Bytes>,
    whole: Bytes,
}

impl Hit {
    /// The whole body of `entry`.
    pub(super) fn of(entry: &Entry) -> Self {
        Self { body: Some(entry.body.clone()), whole: entry.body.clone() }
    }
}

/// A stored body goes out in parts of so many bytes.
const PART_BYTES: usize = 64 << 10;

#[async_trait]
impl HandleHit for Hit {
    async fn read_body(&mut self) -> Result<Option<Bytes>> {
        // In parts: the time that a client may take for one write must not be that of the whole body.
        let part = self.body.as_mut().map(|body| body.split_to(body.len().min(PART_BYTES)));
        Ok(part.filter(|part| !part.is_empty()))
    }

    async fn finish(
        self: Box<Self>,
        _storage: &'static (dyn Storage + Sync),
        _key: &CacheKey,
        _trace: &SpanHandle,
    ) -> Result<()> {
        Ok(())
    }

    fn can_seek(&self) -> bool {
        true
    }

    fn seek(&mut self, start: usize, end: Option<usize>) -> Result<()> {
        let end = end.unwrap_or(self.whole.len()).min(self.whole.len());
        if start >= end {
            return Error::e_explain(ErrorType::InternalError, "a range outside the stored body");
        }
        self.body = Some(self.whole.slice(start..end));
        Ok(())
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }

    fn as_any_mut(&mut self) -> &mut (dyn Any + Send + Sync) {
        self
    }
}

impl Hit {
    /// Other bytes for the same body.
    pub(super) fn replace(&mut self, body: Bytes) {
        (self.body, self.whole) = (Some(body.clone()), body);
    }
}

/// A response on its way into the store. Dropped before its end, it stores nothing.
struct Miss {
    storage: &'static CacheStorage,
    body: BytesMut,
    is_too_large: bool,
    expected: Option<usize>,
    status: u16,
    headers: HeaderMap,
    draft: Draft,
    parts: KeyParts,
}

#[async_trait]
impl HandleMiss for Miss {
    async fn write_body(&mut self, data: Bytes, _eof: bool) -> Result<()> {
        let length = self.body.len().saturating_add(data.len());
        if u64::try_from(length).unwrap_or(u64::MAX) > self.parts.namespace.max_object {
            // The client still gets every byte; only the store does not.
            self.is_too_large = true;
            self.body = BytesMut::new();
            self.parts.part.not_storable(self.status);
        } else if !self.is_too_large {
            self.body.extend_from_slice(&data);
        }
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<MissFinishType> {
        let this = *self;
        let is_whole = this.expected.is_none_or(|expected| expected == this.body.len());
        let size = this.body.len();
        if this.is_too_large || !is_whole {
            this.parts.part.failed();
            return Ok(MissFinishType::Created(0));
        }
        let head = this.storage.head(&this.parts, this.status, this.headers, this.draft);
        let entry = Entry::new(head, this.body.freeze());
        let written = this.storage.stores.entries.put(&this.parts.digest, &this.parts.request, entry);
        this.parts.part.stored(written);
        Ok(MissFinishType::Created(size))
    }
}
