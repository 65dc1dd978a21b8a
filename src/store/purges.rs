//! Purging: the ledger of this process, alone or as a mirror of the one in Redis.
//!
//! A mirror is told of each purge over the feed, and reads what it may have missed twice a second; it is trusted for a second
//! after it was read. So a purge is seen by every instance that can reach Redis within a second, whatever became of the feed.
//! While Redis is away this process goes on with what it knows; its own purges count here at once and are entered when Redis
//! is back.

use crate::base::Clock;
use crate::cache::{Ledger, Purge};
use crate::store::StoreFailure;
use crate::store::redis::{GAP, Page, RedisPurges};
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Between two readings of the shared ledger.
pub(super) const READ_EVERY: Duration = Duration::from_millis(500);

/// How long a reading is trusted.
const TRUST_MS: u64 = 1_000;

/// Purges that wait for Redis. More of them become one purge of everything, here and there.
const OWED_MAX: usize = 10_000;

/// Whom a purge has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Every instance: at once where the feed runs, within a second otherwise.
    Fleet,
    /// This process; the others when Redis is back.
    Local,
}

impl Reach {
    /// The word of the admin API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fleet => "fleet",
            Self::Local => "local",
        }
    }
}

/// The ledger of a process.
pub struct Purges {
    ledger: RwLock<Ledger>,
    /// What [`Ledger::read_to`] says and how often the ledger was changed, for a look without the lock.
    birth: AtomicU64,
    edition: AtomicU64,
    shared: Option<Shared>,
    clock: Arc<dyn Clock>,
}

struct Shared {
    redis: RedisPurges,
    /// The last number that Redis itself has told.
    confirmed: AtomicU64,
    /// When the last successful reading began, monotonic milliseconds; 0: never.
    read_at_ms: AtomicU64,
    /// One reading at a time; the others wait for it.
    reading: tokio::sync::Mutex<()>,
    /// Purges that Redis does not have yet.
    owed: Mutex<Owed>,
}

impl Purges {
    /// A ledger of this process alone, or a mirror of the one in Redis.
    #[must_use]
    pub fn new(redis: Option<RedisPurges>, clock: Arc<dyn Clock>) -> Self {
        let shared = redis.map(|redis| Shared {
            redis,
            confirmed: AtomicU64::new(0),
            read_at_ms: AtomicU64::new(0),
            reading: tokio::sync::Mutex::new(()),
            owed: Mutex::default(),
        });
        Self {
            ledger: RwLock::default(),
            birth: AtomicU64::new(0),
            edition: AtomicU64::new(0),
            shared,
            clock,
        }
    }

    /// The birth of what is fetched from now on. Take it before the origin is asked.
    #[must_use]
    pub fn birth(&self) -> u64 {
        self.birth.load(Ordering::Acquire)
    }

    /// Changes with the ledger: what was valid at this edition still is while it stays.
    #[must_use]
    pub fn edition(&self) -> u64 {
        self.edition.load(Ordering::Acquire)
    }

    /// A look into the ledger. Nothing is awaited inside.
    pub fn with<T>(&self, look: impl FnOnce(&Ledger) -> T) -> T {
        look(&self.ledger.read())
    }

    /// Purges. Counts in this process when it returns; [`Reach`] says who else knows. Bounded by the store's time-out.
    pub async fn purge(&self, purges: &[Purge]) -> Reach {
        self.note_here(purges);
        let Some(shared) = &self.shared else { return Reach::Fleet };
        let turn = shared.owed.lock().add(purges);
        match self.read_unless(|shared| !shared.owed.lock().has(turn)).await {
            Ok(()) => Reach::Fleet,
            Err(failure) => {
                tracing::warn!(%failure, "a purge has reached this instance only, the others follow");
                Reach::Local
            }
        }
    }

    /// At once, under numbers between the last one of Redis and the next one it can give: what is born here after them is
    /// still before every purge that this process has not heard of.
    fn note_here(&self, purges: &[Purge]) {
        let now_us = self.clock.wall_ms().saturating_mul(1_000);
        self.change(|ledger| {
            let confirmed = self.shared.as_ref().map(|shared| shared.confirmed.load(Ordering::Acquire));
            let end = confirmed.map(|number| number.saturating_add(GAP - 1));
            for purge in purges {
                let next = ledger.read_to().saturating_add(1);
                match end {
                    None => {
                        let at = next.max(now_us);
                        ledger.note(at, purge);
                        ledger.advance(at, 0);
                    }
                    Some(end) => {
                        ledger.note(next.min(end), purge);
                        // At the end births stay behind: too much is invalid rather than too little.
                        ledger.advance(next.min(end - 1), 0);
                    }
                }
            }
        });
    }

    /// Is what this process knows of purges at most a second old?
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.shared.as_ref().is_none_or(|shared| shared.is_trusted(&*self.clock))
    }

    /// Reads the ledger unless that was done less than a second ago.
    ///
    /// # Errors
    /// [`StoreFailure`]: what is in Redis cannot be judged now.
    pub async fn trust(&self) -> Result<(), StoreFailure> {
        if self.is_trusted() {
            return Ok(());
        }
        // Boxed: every look-up would carry the space for what happens after an outage.
        Box::pin(self.read_unless(|shared| shared.is_trusted(&*self.clock))).await
    }

    /// Reads what the ledger in Redis has more, and enters there what is owed.
    ///
    /// # Errors
    /// [`StoreFailure`].
    pub async fn read(&self) -> Result<(), StoreFailure> {
        self.read_unless(|_| false).await
    }

    /// One at a time; those who come meanwhile wait, and look whether it was done for them too.
    async fn read_unless(&self, is_done: impl Fn(&Shared) -> bool) -> Result<(), StoreFailure> {
        let Some(shared) = &self.shared else { return Ok(()) };
        let _only_one = shared.reading.lock().await;
        if is_done(shared) {
            return Ok(());
        }
        loop {
            let begun_ms = self.clock.monotonic_ms().max(1);
            let (texts, turn) = shared.owed.lock().list();
            let known = shared.confirmed.load(Ordering::Acquire);
            let page = shared.redis.exchange(known, &texts).await?;
            shared.owed.lock().paid(turn);
            self.take(shared, &page);
            if !page.has_more {
                shared.read_at_ms.store(begun_ms, Ordering::Release);
                return Ok(());
            }
        }
    }

    fn take(&self, shared: &Shared, page: &Page) {
        let is_news = !page.purges.is_empty() || self.with(|ledger| ledger.is_below(page.floor));
        if !is_news && page.read_to <= shared.confirmed.load(Ordering::Acquire) {
            return;
        }
        self.change(|ledger| {
            shared.confirmed.fetch_max(page.read_to, Ordering::AcqRel);
            for (number, text) in &page.purges {
                note(ledger, *number, text);
            }
            ledger.advance(page.read_to, page.floor);
        });
    }

    /// Another instance has purged: `BEFORE NUMBER TEXT`. `false`: something in front of it is missing, so the ledger has to
    /// be read.
    pub fn hear(&self, message: &str) -> bool {
        let mut words = message.splitn(3, ' ');
        let mut number = || words.next().and_then(|word| word.parse::<u64>().ok());
        let (Some(shared), Some(before), Some(at)) = (&self.shared, number(), number()) else { return false };
        let Some(text) = words.next() else { return false };
        let mut is_whole = false;
        self.change(|ledger| {
            note(ledger, at, text);
            // Anything that does not follow on what was read counts at once, and is read again.
            let confirmed = &shared.confirmed;
            let follows = confirmed.compare_exchange(before, at, Ordering::AcqRel, Ordering::Acquire).is_ok();
            if follows {
                ledger.advance(at, 0);
            }
            is_whole = follows || confirmed.load(Ordering::Acquire) >= at;
        });
        is_whole
    }

    fn change(&self, change: impl FnOnce(&mut Ledger)) {
        let mut ledger = self.ledger.write();
        change(&mut ledger);
        // After the change: who sees the new edition sees the purge, and who holds the old one looks again.
        self.birth.store(ledger.read_to(), Ordering::Release);
        self.edition.fetch_add(1, Ordering::AcqRel);
    }
}

impl Shared {
    fn is_trusted(&self, clock: &dyn Clock) -> bool {
        let read_at_ms = self.read_at_ms.load(Ordering::Acquire);
        read_at_ms > 0 && clock.monotonic_ms().saturating_sub(read_at_ms) < TRUST_MS
    }
}

/// Purges on their way to Redis, each with its turn.
#[derive(Default)]
struct Owed {
    turn: u64,
    texts: HashMap<String, u64>,
}

impl Owed {
    /// A repetition takes the later turn: it must be entered after everything that was born before it.
    fn add(&mut self, purges: &[Purge]) -> u64 {
        self.turn += 1;
        if self.texts.len() + purges.len() > OWED_MAX {
            self.texts = HashMap::from([(Purge::everything().text(), self.turn)]);
        } else {
            self.texts.extend(purges.iter().map(|purge| (purge.text(), self.turn)));
        }
        self.turn
    }

    /// Is anything of this turn or before it owed?
    fn has(&self, turn: u64) -> bool {
        self.texts.values().any(|owed| *owed <= turn)
    }

    fn list(&self) -> (Vec<String>, u64) {
        (self.texts.keys().cloned().collect(), self.turn)
    }

    fn paid(&mut self, turn: u64) {
        self.texts.retain(|_, owed| *owed > turn);
    }
}

/// A purge of a later version is not understood: then everything is good no more.
fn note(ledger: &mut Ledger, number: u64, text: &str) {
    let purge = Purge::parse(text).unwrap_or_else(|| {
        tracing::warn!(text, "a purge that this version does not know purges everything");
        Purge::everything()
    });
    ledger.note(number, &purge);
}
