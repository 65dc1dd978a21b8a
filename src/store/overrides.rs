//! Limits that single identities were given while running, in place of what the configuration says.
//!
//! With Redis all instances share them and they survive restarts; each instance keeps what it has read last, also while
//! Redis is away. Without Redis they are this process's own. A request reads one pointer.

use crate::base::Clock;
use crate::base::clock::millis;
use crate::limit::{LimitKey, Override, Overrides, Subject};
use crate::store::StoreFailure;
use crate::store::redis::overrides::{Loaded, RedisOverrides};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How many there may be: they are exceptions, and every instance holds all of them.
pub const OVERRIDES_MAX: usize = 10_000;

/// Between two looks whether somebody else has changed them, for when nobody tells.
pub const POLL_EVERY: Duration = Duration::from_secs(1);

/// No end is near.
const NEVER: u64 = u64::MAX;

/// One override, for those who list them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveOverride {
    /// The policy's name.
    pub policy: Arc<str>,
    /// Whose it is.
    pub subject: Subject,
    /// What they have instead.
    pub value: Override,
    /// Until its end; `None`: it has none.
    pub ends_in: Option<Duration>,
}

/// Why an override was not set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSet {
    /// There are as many others as there may be.
    #[error("there are as many overrides as there may be")]
    Full,
    /// The store did not answer; what was asked may or may not have happened.
    #[error(transparent)]
    Store(#[from] StoreFailure),
}

/// Where they are kept.
enum Home {
    Memory,
    Redis(RedisOverrides),
}

struct Kept {
    subject: Subject,
    value: Override,
    /// Monotonic milliseconds of this process; [`NEVER`] without an end.
    end_ms: u64,
}

#[derive(Default)]
struct State {
    kept: HashMap<LimitKey, Kept>,
    /// Of what was read from Redis.
    version: String,
    /// Counts questions to Redis: an answer that was overtaken by a later one is dropped.
    asked: u64,
    answered: u64,
}

/// The overrides in force.
pub struct LiveOverrides {
    home: Home,
    clock: Arc<dyn Clock>,
    max: usize,
    state: Mutex<State>,
    current: ArcSwap<Overrides>,
    /// When the next one ends, in monotonic milliseconds.
    next_end_ms: AtomicU64,
    is_loaded: AtomicBool,
}

impl LiveOverrides {
    /// Overrides of this process alone, at most `max`.
    #[must_use]
    pub fn memory(clock: Arc<dyn Clock>, max: usize) -> Self {
        Self::new(Home::Memory, clock, max)
    }

    /// Overrides that all instances share, at most `max`; none before the first [`LiveOverrides::refresh`].
    #[must_use]
    pub fn shared(redis: RedisOverrides, clock: Arc<dyn Clock>, max: usize) -> Self {
        Self::new(Home::Redis(redis), clock, max)
    }

    fn new(home: Home, clock: Arc<dyn Clock>, max: usize) -> Self {
        let is_loaded = AtomicBool::new(matches!(home, Home::Memory));
        Self {
            home,
            clock,
            max,
            state: Mutex::default(),
            current: ArcSwap::default(),
            next_end_ms: AtomicU64::new(NEVER),
            is_loaded,
        }
    }

    /// Those in force now. Cheap: a look at the clock and one pointer, unless one has just ended.
    #[must_use]
    pub fn current(&self) -> Arc<Overrides> {
        let now_ms = self.clock.monotonic_ms();
        if now_ms >= self.next_end_ms.load(Ordering::Relaxed) {
            self.install(&mut self.state.lock(), now_ms);
        }
        self.current.load_full()
    }

    /// Have they been read once, or is there nothing to read?
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.is_loaded.load(Ordering::Relaxed)
    }

    /// Gives `subject` something else under the policy of `key`, for `ttl` or for good; one that is there is replaced.
    ///
    /// # Errors
    /// [`NotSet`]; the ones in force stay then.
    pub async fn set(
        &self,
        subject: &Subject,
        key: &LimitKey,
        value: Override,
        ttl: Option<Duration>,
    ) -> Result<(), NotSet> {
        match &self.home {
            Home::Redis(redis) => {
                if !redis.set((key, subject), &value, ttl, self.max).await? {
                    return Err(NotSet::Full);
                }
                self.reread().await;
                Ok(())
            }
            Home::Memory => {
                let now_ms = self.clock.monotonic_ms();
                let end_ms = ttl.map_or(NEVER, |ttl| now_ms.saturating_add(millis(ttl)));
                let mut state = self.state.lock();
                state.kept.retain(|_, kept| kept.end_ms > now_ms);
                if state.kept.len() >= self.max && !state.kept.contains_key(key) {
                    return Err(NotSet::Full);
                }
                state.kept.insert(key.clone(), Kept { subject: subject.clone(), value, end_ms });
                self.install(&mut state, now_ms);
                Ok(())
            }
        }
    }

    /// Takes an override away. Was there one?
    ///
    /// # Errors
    /// [`StoreFailure`] when the store does not answer; the ones in force stay then.
    pub async fn remove(&self, key: &LimitKey) -> Result<bool, StoreFailure> {
        match &self.home {
            Home::Redis(redis) => {
                let was_there = redis.remove(key).await?;
                self.reread().await;
                Ok(was_there)
            }
            Home::Memory => {
                let now_ms = self.clock.monotonic_ms();
                let mut state = self.state.lock();
                let was_there = state.kept.remove(key).is_some_and(|kept| kept.end_ms > now_ms);
                self.install(&mut state, now_ms);
                Ok(was_there)
            }
        }
    }

    /// After a change of our own. When it fails, the next look finds the change.
    async fn reread(&self) {
        if let Err(failure) = self.refresh().await {
            tracing::debug!(%failure, "overrides not read again");
        }
    }

    /// All in force, by policy and identity.
    #[must_use]
    pub fn list(&self) -> Vec<LiveOverride> {
        let now_ms = self.clock.monotonic_ms();
        let state = self.state.lock();
        let live = state.kept.iter().filter(|(_, kept)| kept.end_ms > now_ms);
        let mut list: Vec<LiveOverride> = live.map(|(key, kept)| show(key, kept, now_ms)).collect();
        list.sort_by_cached_key(|live| (Arc::clone(&live.policy), live.subject.to_string()));
        list
    }

    /// The one on this log.
    #[must_use]
    pub fn find(&self, key: &LimitKey) -> Option<LiveOverride> {
        let now_ms = self.clock.monotonic_ms();
        let state = self.state.lock();
        state.kept.get(key).filter(|kept| kept.end_ms > now_ms).map(|kept| show(key, kept, now_ms))
    }

    /// Reads them again if somebody has changed them. Call it when told so, and every [`POLL_EVERY`]. Returns whether
    /// there was a change. Does not ask a store that is known to be away.
    ///
    /// # Errors
    /// [`StoreFailure`]; the last known ones stay in force.
    ///
    /// Cancel safety: dropping the future changes nothing.
    pub async fn refresh(&self) -> Result<bool, StoreFailure> {
        let Home::Redis(redis) = &self.home else { return Ok(false) };
        // Of a Cluster the part of the overrides may answer although another does not.
        if !(redis.is_up() || redis.is_cluster() && self.is_loaded()) {
            return Err(StoreFailure::Away);
        }
        let (ticket, version) = {
            let mut state = self.state.lock();
            state.asked = state.asked.saturating_add(1);
            (state.asked, state.version.clone())
        };
        // Before the question: an override never ends later here than in Redis.
        let asked_ms = self.clock.monotonic_ms();
        let known = if self.is_loaded() { version.as_str() } else { "unknown" };
        let loaded = redis.load(known).await?;
        let is_changed = loaded.is_some();
        if let Some(loaded) = loaded {
            self.take(loaded, ticket, asked_ms);
        }
        self.is_loaded.store(true, Ordering::Relaxed);
        Ok(is_changed)
    }

    fn take(&self, loaded: Loaded, ticket: u64, asked_ms: u64) {
        let mut state = self.state.lock();
        if ticket <= state.answered {
            return;
        }
        if loaded.unreadable > 0 {
            tracing::warn!(
                overrides = loaded.unreadable,
                "overrides in Redis cannot be read and apply to nobody"
            );
        }
        state.answered = ticket;
        state.version = loaded.version;
        let kept = loaded.list.into_iter().map(|stored| {
            let end_ms = stored.ends_in.map_or(NEVER, |left| asked_ms.saturating_add(millis(left)));
            (stored.key, Kept { subject: stored.subject, value: stored.value, end_ms })
        });
        let before = state.kept.len();
        state.kept = kept.collect();
        self.install(&mut state, self.clock.monotonic_ms());
        if before > 0 || !state.kept.is_empty() {
            tracing::info!(overrides = state.kept.len(), "overrides have changed");
        }
    }

    /// Puts in force what is kept and has not ended.
    fn install(&self, state: &mut State, now_ms: u64) {
        state.kept.retain(|_, kept| kept.end_ms > now_ms);
        let next_end_ms = state.kept.values().map(|kept| kept.end_ms).min().unwrap_or(NEVER);
        let overrides = state.kept.iter().map(|(key, kept)| (key.clone(), kept.value.clone()));
        self.current.store(Arc::new(overrides.collect()));
        self.next_end_ms.store(next_end_ms, Ordering::Relaxed);
    }
}

fn show(key: &LimitKey, kept: &Kept, now_ms: u64) -> LiveOverride {
    let left = Duration::from_millis(kept.end_ms.saturating_sub(now_ms));
    LiveOverride {
        policy: Arc::clone(&key.policy),
        subject: kept.subject.clone(),
        value: kept.value.clone(),
        ends_in: (kept.end_ms != NEVER).then_some(left),
    }
}
