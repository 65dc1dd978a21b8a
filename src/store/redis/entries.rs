//! Stored responses in Redis. Under `{prefix}o:{digest}:-` the entry, or under `{prefix}v:{digest}` the selecting
//! fields and under `{prefix}o:{digest}:variant` each variant. The braces keep an entry's keys in one Cluster slot.
//!
//! A look-up is one round trip without `Vary`, two with it. Every key has a TTL: freshness left plus what a stale
//! entry is still good for.

use crate::base::Digest;
use crate::cache::{Entry, variant};
use crate::store::StoreFailure;
use crate::store::redis::Connection;
use bytes::Bytes;
use fred::interfaces::KeysInterface;
use fred::types::Expiration;
use http::{HeaderMap, HeaderName};

/// Stored responses over one connection. Clones share it.
#[derive(Clone)]
pub struct RedisEntries {
    connection: Connection,
    prefix: String,
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

    /// The entry that `request` selects. What cannot be decoded is none: damaged, foreign, of another version.
    ///
    /// # Errors
    /// [`StoreFailure`] when Redis does not answer; that is not a miss.
    pub async fn get(&self, key: &Digest, request: &HeaderMap) -> Result<Option<Entry>, StoreFailure> {
        let keys = vec![self.vary_key(key), self.object_key(key, None)];
        let found: Vec<Option<Bytes>> =
            self.connection.call("lookup", |client| async move { client.mget(keys).await }).await?;
        let mut found = found.into_iter();
        let (vary, object) = (found.next().flatten(), found.next().flatten());
        let Some(vary) = vary else { return Ok(object.and_then(|bytes| self.decode(&bytes, key))) };
        let Some(fields) = read_fields(&vary) else { return Ok(None) };
        let place = self.object_key(key, Some(variant(&fields, request)));
        let object: Option<Bytes> =
            self.connection.call("lookup", |client| async move { client.get(place).await }).await?;
        let entry = object.and_then(|bytes| self.decode(&bytes, key));
        Ok(entry.filter(|entry| entry.selecting == fields))
    }

    fn decode(&self, bytes: &Bytes, key: &Digest) -> Option<Entry> {
        Entry::decode(bytes, key)
            .inspect_err(|fault| tracing::warn!(%fault, prefix = self.prefix, "stored response ignored"))
            .ok()
    }

    /// Stores an entry with its TTL.
    ///
    /// # Errors
    /// [`StoreFailure`].
    pub async fn put(
        &self,
        key: &Digest,
        request: &HeaderMap,
        entry: &Entry,
        now_ms: u64,
    ) -> Result<(), StoreFailure> {
        let life_ms = entry.lifetime.useful_until_ms().saturating_sub(now_ms);
        let life_ms = i64::try_from(life_ms).unwrap_or(i64::MAX);
        if life_ms == 0 {
            return Ok(());
        }
        let value = Bytes::from(entry.encode(key));
        let (vary, plain) = (self.vary_key(key), self.object_key(key, None));
        let fields = write_fields(&entry.selecting);
        let has_fields = !entry.selecting.is_empty();
        let of = has_fields.then(|| variant(&entry.selecting, request));
        let place = self.object_key(key, of);
        let life = Expiration::PX(life_ms);
        self.connection
            .call("store", |client| async move {
                client.set::<(), _, _>(place, value, Some(life.clone()), None, false).await?;
                if has_fields {
                    client.set::<(), _, _>(vary, fields, Some(life), None, false).await?;
                    client.del::<(), _>(plain).await
                } else {
                    client.del::<(), _>(vary).await
                }
            })
            .await
    }

    /// Forgets the key and with it all its variants.
    ///
    /// # Errors
    /// [`StoreFailure`].
    pub async fn remove(&self, key: &Digest) -> Result<(), StoreFailure> {
        let keys = vec![self.vary_key(key), self.object_key(key, None)];
        self.connection.call("remove", |client| async move { client.del::<(), _>(keys).await }).await
    }

    fn vary_key(&self, key: &Digest) -> String {
        format!("{}v:{{{}}}", self.prefix, key.short())
    }

    fn object_key(&self, key: &Digest, variant: Option<Digest>) -> String {
        let variant = variant.map_or_else(|| "-".to_owned(), |variant| variant.short());
        format!("{}o:{{{}}}:{variant}", self.prefix, key.short())
    }
}

fn write_fields(fields: &[HeaderName]) -> String {
    fields.iter().map(HeaderName::as_str).collect::<Vec<_>>().join(",")
}

fn read_fields(bytes: &[u8]) -> Option<Vec<HeaderName>> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.split(',').map(|name| HeaderName::try_from(name).ok()).collect()
}
