//! Stored responses in Redis: `{prefix}o:{digest}:variant` a response (`-` without `Vary`), `{prefix}b:{digest}:name` a large
//! body, `{prefix}v:{digest}` the vary record of a key that has variants. The braces around the digest keep a key's parts in one Cluster slot.
//!
//! A look-up is one round trip, or two where `Vary` is in play and this process does not know it yet, and one for each 64 KiB
//! of a large body. Every key has a
//! TTL: freshness left plus what a stale response is still good for. Never lists keys.

use crate::base::Digest;
use crate::cache::{Entry, EntryFault, EntryHead, Variant, VaryRecord, encode, open};
use crate::store::StoreFailure;
use crate::store::inspection::AtRest;
use crate::store::redis::{Connection, bodies};
use bytes::Bytes;
use fred::clients::Client;
use fred::interfaces::KeysInterface;
use fred::types::Expiration;
use http::HeaderMap;
use std::sync::Arc;

/// Stored responses over one connection. Clones share it.
#[derive(Clone)]
pub struct RedisEntries {
    connection: Connection,
    prefix: String,
}

/// What Redis has for a request.
#[derive(Debug)]
pub enum Stored {
    /// A response; with the record where the key has variants.
    Response(Arc<Entry>, Option<(VaryRecord, Variant)>),
    /// Nothing for this request, but the key has other variants.
    NoVariant(VaryRecord),
    /// Nothing under the key.
    Nothing,
    /// Bytes that are no response of this key: damaged, foreign, of another version. As good as nothing.
    Damaged,
}

impl RedisEntries {
    /// Entries under `prefix`.
    #[must_use]
    pub fn new(connection: Connection, prefix: &str) -> Self {
        Self { connection, prefix: prefix.to_owned() }
    }

    /// Does Redis answer, as far as is known?
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.connection.is_up()
    }

    /// What `request` selects. `known` is a record of the key that may be out of date: it saves a round trip when it
    /// is right.
    ///
    /// # Errors
    /// [`StoreFailure`] when Redis does not answer; that is not a miss.
    pub async fn get(
        &self,
        key: &Digest,
        request: &HeaderMap,
        known: Option<&VaryRecord>,
    ) -> Result<Stored, StoreFailure> {
        let guess = known.and_then(|record| record.select(request)).unwrap_or(Variant::SINGLE);
        let name = key.short();
        let keys = [self.record_key(&name), self.response_key(&name, guess)];
        let found: [Option<Bytes>; 2] = self
            .connection
            .call("lookup", &keys[0], async |client: Client| {
                client.mget::<Vec<Option<Bytes>>, _>(keys.to_vec()).await
            })
            .await?
            .try_into()
            .map_err(|_other: Vec<_>| StoreFailure::Malformed { what: "two values" })?;
        let [record, response] = found;
        let record = match record.map(|bytes| VaryRecord::decode(&bytes)) {
            None => None,
            Some(Ok(record)) => Some(record),
            Some(Err(_fault)) => return Ok(Stored::Damaged),
        };
        let (wanted, record) = match record {
            None => (Variant::SINGLE, None),
            Some(record) => match record.select(request) {
                Some(variant) => (variant, Some(record)),
                None => return Ok(Stored::NoVariant(record)),
            },
        };
        let response = if wanted == guess { response } else { self.response(key, wanted).await? };
        self.read(key, response, record.map(|record| (record, wanted))).await
    }

    async fn read(
        &self,
        key: &Digest,
        response: Option<Bytes>,
        record: Option<(VaryRecord, Variant)>,
    ) -> Result<Stored, StoreFailure> {
        let Some(bytes) = response else {
            return Ok(record.map_or(Stored::Nothing, |(record, _)| Stored::NoVariant(record)));
        };
        let opened = match open(&bytes, key) {
            Ok(opened) => opened,
            Err(fault) => return Ok(ignored(fault, key)),
        };
        let fields = record.as_ref().map_or(&[][..], |(record, _)| record.fields());
        if !opened.head().selecting.iter().all(|name| fields.contains(name)) {
            return Ok(Stored::Damaged);
        }
        let apart = match opened.wants() {
            None => None,
            Some((name, length)) => {
                let place = self.body_key(&key.short(), name);
                match bodies::read(&self.connection, &place, length).await? {
                    Some(body) => Some(body),
                    // Evicted or expired before its head.
                    None => return Ok(Stored::Nothing),
                }
            }
        };
        Ok(match opened.with_body(apart) {
            Ok(entry) => Stored::Response(Arc::new(entry), record),
            Err(fault) => ignored(fault, key),
        })
    }

    /// What `request` selects, without its body and whatever it is good for; `None` also for what cannot be read.
    ///
    /// # Errors
    /// [`StoreFailure`] when Redis does not answer.
    pub async fn inspect(
        &self,
        key: &Digest,
        request: &HeaderMap,
    ) -> Result<Option<(EntryHead, usize, AtRest)>, StoreFailure> {
        let variant = match self.record(key).await? {
            Some(record) => record.select(request),
            None => Some(Variant::SINGLE),
        };
        let Some(variant) = variant else { return Ok(None) };
        let stored = self.response(key, variant).await?;
        Ok(stored.and_then(|bytes| open(&bytes, key).ok()).map(|opened| {
            let is_apart = opened.wants().is_some();
            let (head, body_bytes, bytes, is_packed) = opened.without_body();
            (head, body_bytes, AtRest { bytes, is_packed, is_apart })
        }))
    }

    async fn response(&self, key: &Digest, variant: Variant) -> Result<Option<Bytes>, StoreFailure> {
        let place = self.response_key(&key.short(), variant);
        let get = async |client: Client| client.get(place.as_str()).await;
        self.connection.call("lookup", &place, get).await
    }

    async fn record(&self, key: &Digest) -> Result<Option<VaryRecord>, StoreFailure> {
        let place = self.record_key(&key.short());
        let get = async |client: Client| client.get(place.as_str()).await;
        let bytes: Option<Bytes> = self.connection.call("record", &place, get).await?;
        // A record that cannot be read is replaced.
        Ok(bytes.and_then(|bytes| VaryRecord::decode(&bytes).ok()))
    }

    /// Stores an entry with its TTL. `false`: it is good for nothing any more, or the key has too many variants.
    ///
    /// # Errors
    /// [`StoreFailure`].
    pub async fn put(
        &self,
        key: &Digest,
        request: &HeaderMap,
        entry: &Entry,
        now_ms: u64,
    ) -> Result<bool, StoreFailure> {
        let until_ms = entry.head.lifetime.useful_until_ms();
        let Some(life) = life(until_ms, now_ms) else { return Ok(false) };
        let stored = pack(entry, key).await;
        let name = key.short();
        if let Some(apart) = &stored.apart {
            // Before the head that names it.
            let place = self.body_key(&name, &apart.name);
            bodies::write(&self.connection, &place, apart, &life).await?;
        }
        let value = stored.value;
        let before = self.record(key).await?;
        let selecting = &entry.head.selecting;
        if before.is_none() && selecting.is_empty() {
            let place = self.response_key(&name, Variant::SINGLE);
            let set = async |client: Client| {
                client
                    .set::<(), _, _>(place.as_str(), value.clone(), Some(life.expiration()), None, false)
                    .await
            };
            return self.connection.call("store", &place, set).await.map(|()| true);
        }
        let Some((record, variant)) =
            VaryRecord::admit(before.as_ref(), selecting, request, until_ms, now_ms)
        else {
            return Ok(false);
        };
        self.put_variant(key, (variant, value, life), &record, now_ms).await.map(|()| true)
    }

    /// The response first, then the record that makes it visible, then away with the response without variants.
    async fn put_variant(
        &self,
        key: &Digest,
        (variant, value, life): (Variant, Bytes, Life),
        record: &VaryRecord,
        now_ms: u64,
    ) -> Result<(), StoreFailure> {
        let name = key.short();
        let (place, record_place) = (self.response_key(&name, variant), self.record_key(&name));
        let single = self.response_key(&name, Variant::SINGLE);
        let (record_value, record_life) = (record.encode(), self::life(record.useful_until_ms(), now_ms));
        let store = async |client: Client| {
            client
                .set::<(), _, _>(place.as_str(), value.clone(), Some(life.expiration()), None, false)
                .await?;
            let (value, life) = (record_value.clone(), record_life.map(Life::expiration));
            client.set::<(), _, _>(record_place.as_str(), value, life, None, false).await?;
            client.del::<(), _>(single.as_str()).await
        };
        self.connection.call("store", &place, store).await
    }

    /// `name` is the digest's short form.
    fn record_key(&self, name: &str) -> String {
        format!("{}v:{{{name}}}", self.prefix)
    }

    /// `name` is the digest's short form.
    fn response_key(&self, name: &str, variant: Variant) -> String {
        format!("{}o:{{{name}}}:{variant}", self.prefix)
    }

    /// `name` is the digest's short form.
    fn body_key(&self, name: &str, body: &str) -> String {
        format!("{}b:{{{name}}}:{body}", self.prefix)
    }
}

/// Bodies above this are compressed on a thread that may take its time.
const PACK_HERE_MAX: usize = 128 << 10;

async fn pack(entry: &Entry, key: &Digest) -> crate::cache::Stored {
    if entry.body.len() <= PACK_HERE_MAX {
        return encode(entry, key);
    }
    let (owned, digest) = (entry.clone(), *key);
    let packed = tokio::task::spawn_blocking(move || encode(&owned, &digest)).await;
    packed.unwrap_or_else(|_cancelled| encode(entry, key))
}

fn ignored(fault: EntryFault, key: &Digest) -> Stored {
    tracing::warn!(%fault, ?key, "stored response ignored");
    Stored::Damaged
}

/// A TTL that is left, milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life(i64);

impl Life {
    /// As an option of SET.
    pub(super) fn expiration(self) -> Expiration {
        Expiration::PX(self.0)
    }

    /// As an argument of PEXPIRE.
    pub(super) fn ms(self) -> i64 {
        self.0
    }
}

/// A TTL, `None` when there is nothing left.
fn life(until_ms: u64, now_ms: u64) -> Option<Life> {
    let life_ms = until_ms.checked_sub(now_ms).filter(|life_ms| *life_ms > 0)?;
    Some(Life(i64::try_from(life_ms).unwrap_or(i64::MAX)))
}
