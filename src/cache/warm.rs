//! Warming: what is asked for on whose behalf and in which order, what is worth asking for again, what came of it. Pure.
//!
//! A warm request is an ordinary request with a real credential. Whom it fills the cache for is decided by that credential
//! and by nothing in here.

use crate::cache::lifetime::Lifetime;
use crate::cache::pace::Slow;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use std::sync::Arc;
use std::time::Duration;

/// Requests of one job at most.
pub const ITEMS_MAX: usize = 10_000;

/// Requests of one job that may be under way at once.
pub const CONCURRENCY_MAX: usize = 64;

/// How much shorter an entry that was warmed may be fresh, in thousandths: what was filled together must not end together.
const SPREAD_PERMILLE: u64 = 50;

/// What is warmed: `cache.warm`.
#[derive(Debug, Clone, PartialEq)]
pub struct Warm {
    /// What clients ask; part of every key.
    pub site: Site,
    /// Fields of every warm request, for answers that vary by them.
    pub fields: Vec<(HeaderName, HeaderValue)>,
    /// On whose behalf requests may be made.
    pub identities: Vec<Arc<WarmIdentity>>,
    /// Lists with a name.
    pub jobs: Vec<Arc<WarmJob>>,
    /// When the origin counts as slow.
    pub slow: Slow,
}

/// Scheme and authority.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Site {
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Host and port, as in `Host`.
    pub authority: Arc<str>,
}

/// A credential of the operator's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarmIdentity {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// The field that carries the credential.
    pub field: HeaderName,
    /// The credential; marked sensitive, so that it is not printed.
    pub value: HeaderValue,
}

/// A list with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarmJob {
    /// Its name.
    pub name: Arc<str>,
    /// On whose behalf; `None` is nobody, without a credential. At least one.
    pub callers: Vec<Option<Arc<WarmIdentity>>>,
    /// Canonical paths, with `?query` where there is one.
    pub targets: Vec<String>,
    /// Between the beginnings of two runs; `None`: only when somebody asks for it.
    pub every: Option<Duration>,
    /// How much earlier or later a run begins, per cent of `every`.
    pub jitter_percent: u8,
    /// Requests under way at once.
    pub concurrency: usize,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarmItem {
    /// On whose behalf.
    pub caller: Option<Arc<WarmIdentity>>,
    /// Canonical path, with `?query` where there is one.
    pub target: String,
}

/// Why a job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Its time has come.
    Schedule,
    /// Somebody asked for it.
    Order,
}

impl Cause {
    /// The word of the admin API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Order => "order",
        }
    }
}

/// A job that is to be done.
#[derive(Debug, Clone, PartialEq)]
pub struct WarmOrder {
    /// The job's name; `None` for a list that somebody sent.
    pub name: Option<Arc<str>>,
    /// Why it runs.
    pub cause: Cause,
    /// Where.
    pub site: Site,
    /// Fields of every request.
    pub fields: Vec<(HeaderName, HeaderValue)>,
    /// The requests, in their order.
    pub items: Vec<WarmItem>,
    /// Requests under way at once.
    pub concurrency: usize,
    /// When the origin counts as slow.
    pub slow: Slow,
}

impl Warm {
    /// The order to run `job`.
    #[must_use]
    pub fn order(&self, job: &WarmJob, cause: Cause) -> WarmOrder {
        let items = plan(&job.callers, &job.targets);
        WarmOrder { name: Some(Arc::clone(&job.name)), ..self.list(items, job.concurrency, cause) }
    }

    /// The order to make these requests.
    #[must_use]
    pub fn list(&self, items: Vec<WarmItem>, concurrency: usize, cause: Cause) -> WarmOrder {
        let (site, fields) = (self.site.clone(), self.fields.clone());
        WarmOrder { name: None, cause, site, fields, items, concurrency, slow: self.slow }
    }
}

/// Every target for every caller. All callers' first targets come first: a job that is cut short has done something for
/// each tenant, and two requests next to each other seldom meet the same rows in the origin.
#[must_use]
pub fn plan(callers: &[Option<Arc<WarmIdentity>>], targets: &[String]) -> Vec<WarmItem> {
    let each = targets.iter().flat_map(|target| callers.iter().map(move |caller| (caller, target)));
    each.map(|(caller, target)| WarmItem { caller: caller.clone(), target: target.clone() }).collect()
}

/// Is an entry that was stored at `stored_ms` so far gone that it is asked for again? With more than half of its freshness
/// left it is not. Milliseconds by the wall clock.
#[must_use]
pub fn is_due(lifetime: &Lifetime, stored_ms: u64, now_ms: u64) -> bool {
    let whole = lifetime.fresh_until_ms.saturating_sub(stored_ms);
    let left = lifetime.fresh_until_ms.saturating_sub(now_ms);
    left.saturating_mul(2) <= whole
}

/// The lifetime of a warmed entry: up to a twentieth of its freshness less. `chance` is a random number.
#[must_use]
pub fn spread(lifetime: Lifetime, now_ms: u64, chance: u32) -> Lifetime {
    let left = u128::from(lifetime.fresh_until_ms.saturating_sub(now_ms));
    let less = left * u128::from(SPREAD_PERMILLE) * u128::from(chance) / 1_000 / u128::from(u32::MAX);
    let less = u64::try_from(less).unwrap_or(0);
    Lifetime { fresh_until_ms: lifetime.fresh_until_ms.saturating_sub(less), ..lifetime }
}

/// When a job runs again that has begun now: `every`, up to `jitter_percent` earlier or later. `chance` is a random number.
#[must_use]
pub fn next_run(every: Duration, jitter_percent: u8, chance: u32) -> Duration {
    let most = every.as_secs_f64() * f64::from(jitter_percent.min(100)) / 100.0;
    let shift = most * (2.0 * f64::from(chance) / f64::from(u32::MAX) - 1.0);
    Duration::try_from_secs_f64((every.as_secs_f64() + shift).max(0.1)).unwrap_or(every)
}

/// What came of a warm request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warmed {
    /// The answer is stored.
    Stored,
    /// There was one that is fresh for longer than it has been.
    Fresh,
    /// The answer was not stored: it may not be, or the request has no key.
    Unstored,
    /// The origin failed, is overloaded or did not answer.
    Failed,
}

impl Warmed {
    /// The word of metrics and the admin API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Fresh => "fresh",
            Self::Unstored => "unstored",
            Self::Failed => "failed",
        }
    }

    /// Was the origin asked?
    #[must_use]
    pub fn asked_origin(self) -> bool {
        self != Self::Fresh
    }

    /// Reads it from an answer of ours, with the reason why it was not stored.
    #[must_use]
    pub fn of(status: u16, headers: &HeaderMap) -> (Self, Option<String>) {
        let lines = headers.get_all("cache-status").iter().filter_map(|line| line.to_str().ok());
        // Ours is the last: those of caches nearer the origin stand in front.
        let ours = lines.flat_map(|line| line.split(',')).map(str::trim).next_back().unwrap_or_default();
        let mut words = ours.split(';').map(str::trim);
        let is_ours = words.next() == Some("tidegate");
        let words: Vec<&str> = words.filter(|_| is_ours).collect();
        let detail = words.iter().find_map(|word| word.strip_prefix("detail=")).map(str::to_owned);
        let result = match status {
            429 | 500.. => Self::Failed,
            _ if words.contains(&"hit") => Self::Fresh,
            _ if words.contains(&"stored") => Self::Stored,
            _ => Self::Unstored,
        };
        (result, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::testing::headers;

    fn identity(name: &str) -> Option<Arc<WarmIdentity>> {
        let (field, value) = (HeaderName::from_static("x-api-key"), HeaderValue::from_static("k"));
        Some(Arc::new(WarmIdentity { name: name.into(), field, value }))
    }

    fn lifetime(fresh_until_ms: u64) -> Lifetime {
        let (age_base_ms, ours, strict) = (0, true, false);
        Lifetime { age_base_ms, fresh_until_ms, swr_s: 0, sie_s: 0, keep_s: 0, ours, strict }
    }

    #[test]
    fn every_tenant_gets_its_first_page_before_any_gets_its_second() {
        let items = plan(&[identity("a"), identity("b"), None], &["/1".to_owned(), "/2".to_owned()]);
        let of = |item: &WarmItem| {
            format!("{}{}", item.caller.as_ref().map_or("-", |identity| identity.name.as_ref()), item.target)
        };
        assert_eq!(items.iter().map(of).collect::<Vec<_>>(), ["a/1", "b/1", "-/1", "a/2", "b/2", "-/2"]);
    }

    #[test]
    fn an_entry_is_asked_for_again_in_the_second_half_of_its_freshness() {
        let entry = lifetime(11_000);
        assert!(!is_due(&entry, 1_000, 5_999));
        assert!(
            is_due(&entry, 1_000, 6_000) && is_due(&entry, 1_000, 11_000) && is_due(&entry, 1_000, 99_000)
        );
        assert!(is_due(&lifetime(0), 1_000, 1_000), "out of service");
    }

    #[test]
    fn warmed_entries_end_up_to_a_twentieth_earlier() {
        let ends = |chance| spread(lifetime(101_000), 1_000, chance).fresh_until_ms;
        assert_eq!((ends(0), ends(u32::MAX / 2), ends(u32::MAX)), (101_000, 98_501, 96_000));
        assert_eq!(spread(lifetime(500), 1_000, u32::MAX).fresh_until_ms, 500);
        assert_eq!(spread(lifetime(u64::MAX), 0, u32::MAX).fresh_until_ms, u64::MAX / 20 * 19 + 15);
    }

    #[test]
    fn runs_shift_by_the_jitter_and_never_become_a_loop() {
        let minute = Duration::from_secs(60);
        let next = |jitter, chance| next_run(minute, jitter, chance).as_secs();
        assert_eq!((next(0, 7), next(10, 0), next(10, u32::MAX)), (60, 54, 66));
        assert_eq!(next_run(minute, 100, 0), Duration::from_millis(100));
    }

    #[test]
    fn an_answer_says_what_came_of_it() {
        for (status, line, expected, detail) in [
            (200, "tidegate; hit; ttl=212", Warmed::Fresh, None),
            (200, "tidegate; fwd=uri-miss; stored; ttl=300", Warmed::Stored, None),
            (200, "tidegate; fwd=stale; fwd-status=304; stored; ttl=60", Warmed::Stored, None),
            (200, "tidegate; fwd=uri-miss; detail=set-cookie", Warmed::Unstored, Some("set-cookie")),
            (200, "tidegate; fwd=bypass; detail=no-tenant", Warmed::Unstored, Some("no-tenant")),
            (200, "inner; hit, tidegate; fwd=uri-miss; stored", Warmed::Stored, None),
            (200, "inner; hit", Warmed::Unstored, None),
            (404, "tidegate; fwd=uri-miss; stored; ttl=10", Warmed::Stored, None),
            (401, "tidegate; fwd=uri-miss; detail=status", Warmed::Unstored, Some("status")),
            (503, "", Warmed::Failed, None),
            (429, "", Warmed::Failed, None),
        ] {
            let found = Warmed::of(status, &headers(&[("cache-status", line)]));
            assert_eq!(found, (expected, detail.map(str::to_owned)), "{status} {line}");
        }
    }
}
