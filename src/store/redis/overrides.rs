//! Overrides that were set while running, in Redis: one hash that all instances share, and a version that says when it
//! has to be read again.
//!
//! A value is small JSON: `{"expires_at":1790000000000,"identity":"user:ada","windows":[[60000,500]]}`, times in
//! milliseconds of Redis TIME, `null` for no end, `"unlimited":true` instead of windows. The identity stands there in the
//! clear: an override is an exception that somebody has to find again.

use crate::limit::{LimitKey, Override, Subject, Window, Windows};
use crate::store::StoreFailure;
use crate::store::redis::Connection;
use crate::store::redis::feed::channel;
use crate::store::redis::script::Script;
use bytes::Bytes;
use fred::types::{FromValue, Key, Value};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The script's text.
const SCRIPT: &str = include_str!("overrides.lua");

/// How long the keys outlive the last override's end, or the last instance that looked: the longest window.
const LIFE: Duration = Duration::from_secs(31 * 86_400);

/// What all instances hear on the feed when something has changed.
pub const MESSAGE: &str = "overrides";

/// One override as Redis has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredOverride {
    /// The log.
    pub key: LimitKey,
    /// Whose it is.
    pub subject: Subject,
    /// What they have instead.
    pub value: Override,
    /// Until its end; `None`: it has none.
    pub ends_in: Option<Duration>,
}

/// All overrides at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Names this state; only to be compared.
    pub version: String,
    /// Them.
    pub list: Vec<StoredOverride>,
    /// How many could not be read and apply to nobody.
    pub unreadable: usize,
}

/// The value of a field, without `expires_at`, which the script writes.
#[derive(Debug, Serialize, Deserialize)]
struct Text {
    #[serde(skip_serializing)]
    expires_at: Option<u64>,
    identity: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    windows: Vec<(u32, u32)>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unlimited: bool,
}

/// The hash in Redis.
#[derive(Clone)]
pub struct RedisOverrides {
    connection: Connection,
    prefix: String,
    script: Script,
}

impl RedisOverrides {
    /// The overrides under `prefix` over `connection`.
    #[must_use]
    pub fn new(connection: Connection, prefix: &str) -> Self {
        Self { connection, prefix: prefix.to_owned(), script: Script::new(SCRIPT) }
    }

    /// Does Redis answer, as far as is known?
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.connection.is_up()
    }

    /// Does it have parts, of which one may answer while another does not?
    #[must_use]
    pub fn is_cluster(&self) -> bool {
        self.connection.is_cluster()
    }

    /// All overrides, or `None` when they are still those of version `known`.
    ///
    /// # Errors
    /// [`StoreFailure`].
    pub async fn load(&self, known: &str) -> Result<Option<Loaded>, StoreFailure> {
        let reply: Vec<Bytes> = self.call("overrides", vec!["l".into(), life(), known.into()]).await?;
        if reply.is_empty() {
            return Ok(None);
        }
        read(&reply).map(Some).ok_or(StoreFailure::Malformed { what: "the overrides" })
    }

    /// Sets one, for `ttl` or for good, and tells all instances. `false`: there are `max` others already.
    ///
    /// # Errors
    /// [`StoreFailure`]; after a time-out it may or may not be set.
    pub async fn set(
        &self,
        (key, subject): (&LimitKey, &Subject),
        value: &Override,
        ttl: Option<Duration>,
        max: usize,
    ) -> Result<bool, StoreFailure> {
        let ends = ttl.map_or_else(String::new, |ttl| ttl.as_millis().to_string());
        let (field, max) = (field(key), max.to_string());
        let arguments =
            vec!["s".into(), life(), field.into(), ends.into(), text(subject, value).into(), max.into()];
        let set: i64 = self.call("override", self.told(arguments)).await?;
        Ok(set == 1)
    }

    /// Removes one, and tells all instances. Was there one?
    ///
    /// # Errors
    /// [`StoreFailure`]; after a time-out it may or may not be gone.
    pub async fn remove(&self, key: &LimitKey) -> Result<bool, StoreFailure> {
        let arguments = vec!["r".into(), life(), field(key).into()];
        let removed: i64 = self.call("override", self.told(arguments)).await?;
        Ok(removed > 0)
    }

    fn told(&self, mut arguments: Vec<Value>) -> Vec<Value> {
        arguments.push(channel(&self.prefix).into());
        arguments
    }

    async fn call<R: FromValue>(
        &self,
        operation: &'static str,
        arguments: Vec<Value>,
    ) -> Result<R, StoreFailure> {
        // The braces: both lie in one Cluster slot.
        let keys = [format!("{}{{ov}}", self.prefix), format!("{}{{ov}}:version", self.prefix)];
        let run = |client| {
            let keys = keys.iter().map(|key| Key::from(key.as_str())).collect();
            self.script.run_text::<R>(client, keys, arguments.clone())
        };
        self.connection.call(operation, &keys[0], run).await
    }
}

fn life() -> Value {
    LIFE.as_millis().to_string().into()
}

fn field(key: &LimitKey) -> String {
    format!("{}:{}", key.identity.short(), key.policy)
}

/// The JSON behind `{"expires_at":MS`.
fn text(subject: &Subject, value: &Override) -> String {
    let windows = match value {
        Override::Unlimited => Vec::new(),
        Override::Windows(windows) => {
            windows.as_slice().iter().map(|window| (window.length_ms, window.limit)).collect()
        }
    };
    let unlimited = *value == Override::Unlimited;
    let text = Text { expires_at: None, identity: subject.to_string(), windows, unlimited };
    let json = serde_json::to_string(&text).unwrap_or_default();
    json.replacen('{', ",", 1)
}

fn read(reply: &[Bytes]) -> Option<Loaded> {
    let [version, now, pairs @ ..] = reply else { return None };
    let version = std::str::from_utf8(version).ok()?.to_owned();
    let now_ms: u64 = std::str::from_utf8(now).ok()?.parse().ok()?;
    let (mut list, mut unreadable) = (Vec::new(), 0_usize);
    for pair in pairs.chunks_exact(2) {
        let [field, value] = pair else { continue };
        match one(field, value, now_ms) {
            // Has ended, and nothing has changed since.
            Some(stored) if stored.ends_in.is_some_and(|left| left.is_zero()) => {}
            Some(stored) => list.push(stored),
            None => unreadable = unreadable.saturating_add(1),
        }
    }
    Some(Loaded { version, list, unreadable })
}

fn one(field_bytes: &[u8], value: &[u8], now_ms: u64) -> Option<StoredOverride> {
    let (_, policy) = std::str::from_utf8(field_bytes).ok()?.split_once(':')?;
    let text: Text = serde_json::from_slice(value).ok()?;
    let subject = Subject::parse(&text.identity)?;
    let key = LimitKey { identity: subject.digest(), policy: policy.into() };
    let list = text.windows.iter().map(|(length_ms, limit)| Window { length_ms: *length_ms, limit: *limit });
    // Neither or both is nothing that we have written.
    let value = match (text.unlimited, text.windows.is_empty()) {
        (true, true) => Override::Unlimited,
        (false, false) => Override::Windows(Windows::new(list.collect()).ok()?),
        (true, false) | (false, true) => return None,
    };
    let ends_in = text.expires_at.map(|at| Duration::from_millis(at.saturating_sub(now_ms)));
    (field(&key).as_bytes() == field_bytes).then_some(StoredOverride { key, subject, value, ends_in })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ada() -> (LimitKey, Subject) {
        let subject = Subject::parse("header:x-shop:a\"}{\"expires_at\":1,").expect("an identity");
        (LimitKey { identity: subject.digest(), policy: "p".into() }, subject)
    }

    fn reply(field: &str, value: &str) -> Vec<Bytes> {
        ["7", "1000", field, value].map(|text| Bytes::copy_from_slice(text.as_bytes())).to_vec()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let (key, subject) = ada();
        let windows = Windows::new(vec![Window { length_ms: 60_000, limit: 500 }]).expect("valid");
        for value in [Override::Unlimited, Override::Windows(windows)] {
            for (ends, ends_in) in [("null", None), ("1500", Some(Duration::from_millis(500)))] {
                let text = format!("{{\"expires_at\":{ends}{}", text(&subject, &value));
                let loaded = read(&reply(&field(&key), &text)).expect("a reply");
                let (key, subject, value) = (key.clone(), subject.clone(), value.clone());
                assert_eq!(loaded.list, [StoredOverride { key, subject, value, ends_in }], "{text}");
            }
        }
    }

    #[test]
    fn what_cannot_be_read_applies_to_nobody() {
        let (key, _) = ada();
        let own = field(&key);
        for (field, value) in [
            (own.as_str(), "nonsense"),
            (own.as_str(), r#"{"expires_at":null,"identity":"user:bob","unlimited":true}"#),
            ("x:p", r#"{"expires_at":null,"identity":"user:ada","unlimited":true}"#),
            ("no-colon", r#"{"expires_at":null,"identity":"user:ada","unlimited":true}"#),
        ] {
            let loaded = read(&reply(field, value)).expect("a reply");
            assert_eq!((loaded.list.len(), loaded.unreadable), (0, 1), "{field} {value}");
        }
        let bob = Subject::parse("user:bob").expect("an identity");
        let key = LimitKey { identity: bob.digest(), policy: "p".into() };
        for inside in ["", r#","windows":[[60000,5]],"unlimited":true"#, r#","windows":[[0,5]]"#] {
            let text = format!(r#"{{"expires_at":null,"identity":"user:bob"{inside}}}"#);
            let loaded = read(&reply(&field(&key), &text)).expect("a reply");
            assert_eq!(
                (loaded.list.len(), loaded.unreadable),
                (0, 1),
                "{text}: no misspelt name means no limit"
            );
        }
        assert!(read(&[]).is_none() && read(&reply("a", "b")[..1]).is_none());
    }
}
