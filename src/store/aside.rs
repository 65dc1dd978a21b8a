//! Cache-aside: a value that is computed once and kept like a response, in the same tiers, under the same purges, in the same
//! statistics. For callers inside the process; what they keep can be read by no HTTP request.

use crate::base::{Clock, Digest, Digester, Tasks};
use crate::cache::{Entry, EntryHead, Label, Lifetime, Namespace, Scope, Variant};
use crate::identity::Caller;
use crate::store::{Flight, FlightKey, Joined, Lookup, Stores};
use crate::telemetry::{CacheResult, Metrics};
use bytes::Bytes;
use http::HeaderMap;
use std::sync::Arc;
use std::time::Duration;

/// What [`Stores::cached`] needs besides the tiers.
pub(super) struct Aside {
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    tasks: Tasks,
}

/// Which value.
#[derive(Debug, Clone, Copy)]
pub struct Question<'q> {
    /// How it is kept, and for whom.
    pub namespace: &'q Arc<Namespace>,
    /// Whose it is: from a verified source. Not part of the key in scope public.
    pub tenant: Option<&'q str>,
    /// What it depends on, part by part; no two different lists share a value.
    pub key: &'q [&'q str],
}

/// A value and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cached {
    /// The value.
    pub value: Bytes,
    /// [`CacheResult::Hit`], `Miss` (just computed), `Stale` (while it is computed anew, or because that failed) or `Bypass`.
    pub result: CacheResult,
}

/// What is known of a question before anything is looked up.
struct Place {
    key: Digest,
    flight: FlightKey,
    owner: Digest,
    label: Arc<Label>,
    namespace: Arc<Namespace>,
    ttl: Duration,
}

impl Aside {
    #[must_use]
    pub(super) fn new(clock: &Arc<dyn Clock>, metrics: &Arc<Metrics>, tasks: &Tasks) -> Self {
        Self { clock: Arc::clone(clock), metrics: Arc::clone(metrics), tasks: tasks.clone() }
    }
}

impl Stores {
    /// The value that is kept for `question`, or the one that `compute` gives, which is then kept for the namespace's `ttl`.
    ///
    /// Of all who miss the same value at the same time, in this process or in a fleet with one Redis, one computes it; the others
    /// wait about as long as the namespace's `coalesce_wait` before they do so themselves. Within `stale_while_revalidate` a stale value is given at
    /// once and computed anew in the background; within `stale_if_error` it is given where computing fails.
    ///
    /// Goes past the cache (`Bypass`) where the namespace is kept for each tenant and there is none, where it is kept for each
    /// user, and where it has no `ttl`.
    ///
    /// # Errors
    /// Whatever `compute` says. Nothing is kept of it.
    ///
    /// Cancel safe: whoever computes and leaves lets the next one compute.
    pub async fn cached<F, V, E>(self: &Arc<Self>, question: Question<'_>, compute: F) -> Result<Cached, E>
    where
        F: FnOnce() -> V + Send + 'static,
        V: Future<Output = Result<Bytes, E>> + Send + 'static,
        E: Send + 'static,
    {
        let Some(place) = Place::of(&question) else {
            self.count(&question, CacheResult::Bypass);
            return Ok(Cached { value: compute().await?, result: CacheResult::Bypass });
        };
        let place = Arc::new(place);
        let answered = self.answer(&place, compute).await;
        if let Ok(cached) = &answered {
            self.count(&question, cached.result);
        }
        answered
    }

    async fn answer<F, V, E>(self: &Arc<Self>, place: &Arc<Place>, compute: F) -> Result<Cached, E>
    where
        F: FnOnce() -> V + Send + 'static,
        V: Future<Output = Result<Bytes, E>> + Send + 'static,
        E: Send + 'static,
    {
        let mut found = self.find(place).await;
        if let Some(hit) = self.fresh(found.as_deref()) {
            return Ok(hit);
        }
        let now_ms = self.aside.clock.wall_ms();
        let stale = found.as_ref().filter(|entry| entry.head.lifetime.may_serve_while_revalidating(now_ms));
        if let Some(stale) = stale {
            self.compute_aside(place, compute);
            return Ok(Cached { value: stale.body.clone(), result: CacheResult::Stale });
        }
        let patience = self.flights.patience(place.namespace.coalesce_wait);
        let flight = loop {
            let joined = self.flights.join(&place.flight, &patience).await;
            let is_shared = matches!(&joined, Joined::LookAgain)
                || matches!(&joined, Joined::Go(flight) if flight.is_shared());
            if is_shared {
                found = self.find(place).await;
            }
            match (joined, self.fresh(found.as_deref())) {
                (Joined::LookAgain, Some(hit)) => {
                    self.aside.metrics.cache_coalesced(&place.namespace.name, place.label.tenant.as_deref());
                    return Ok(hit);
                }
                // Purged in between: asks anew.
                (Joined::LookAgain, None) => {}
                (Joined::Go(flight), Some(hit)) if is_shared => {
                    flight.found();
                    return Ok(hit);
                }
                (Joined::Go(flight), _) => break flight,
            }
        };
        let computed = self.compute(place, compute, flight).await;
        computed.map(|value| Cached { value, result: CacheResult::Miss }).or_else(|error| {
            let now_ms = self.aside.clock.wall_ms();
            let stale = found.filter(|entry| entry.head.lifetime.may_serve_on_error(now_ms));
            stale.map(|entry| Cached { value: entry.body.clone(), result: CacheResult::Stale }).ok_or(error)
        })
    }

    fn fresh(&self, found: Option<&Entry>) -> Option<Cached> {
        let entry = found.filter(|entry| entry.head.lifetime.is_fresh(self.aside.clock.wall_ms()))?;
        Some(Cached { value: entry.body.clone(), result: CacheResult::Hit })
    }

    /// What is kept, fresh or not.
    async fn find(&self, place: &Place) -> Option<Arc<Entry>> {
        let entry = match self.entries.lookup(&place.key, &HeaderMap::new()).await {
            Lookup::Hit(entry, _) => entry,
            Lookup::Miss => return None,
            Lookup::Unavailable => {
                self.aside.metrics.cache_error(&place.namespace.name, place.label.tenant.as_deref());
                return None;
            }
        };
        // The key says so already. Should it ever not, nobody gets another tenant's value.
        if entry.head.owner != place.owner {
            tracing::error!(key = ?place.key, "a stored value belongs to somebody else");
            return None;
        }
        Some(entry)
    }

    /// In the background, unless somebody does so already.
    fn compute_aside<F, V, E>(self: &Arc<Self>, place: &Arc<Place>, compute: F)
    where
        F: FnOnce() -> V + Send + 'static,
        V: Future<Output = Result<Bytes, E>> + Send + 'static,
        E: Send + 'static,
    {
        let (stores, place) = (Arc::clone(self), Arc::clone(place));
        self.aside.tasks.spawn("compute aside", async move {
            let patience = stores.flights.patience(place.namespace.coalesce_wait);
            let Joined::Go(flight) = stores.flights.join(&place.flight, &patience).await else { return };
            // Another's may have come while this one was getting ready.
            if stores.fresh(stores.find(&place).await.as_deref()).is_some() {
                flight.found();
            } else if stores.compute(&place, compute, flight).await.is_err() {
                tracing::debug!(
                    namespace = &*place.namespace.name,
                    "a stale value could not be computed anew"
                );
            }
        });
    }

    /// Computes and keeps.
    async fn compute<F, V, E>(&self, place: &Place, compute: F, flight: Flight) -> Result<Bytes, E>
    where
        F: FnOnce() -> V,
        V: Future<Output = Result<Bytes, E>>,
    {
        // Before anything is read: a purge from now on reaches what comes of it.
        let birth = self.purges.birth();
        let began_ms = self.aside.clock.monotonic_ms();
        let value = compute().await?;
        if u64::try_from(value.len()).unwrap_or(u64::MAX) > place.namespace.max_object {
            flight.uncacheable();
            return Ok(value);
        }
        let took_ms = self.aside.clock.monotonic_ms().saturating_sub(began_ms);
        let now_ms = self.aside.clock.wall_ms();
        let head = EntryHead {
            owner: place.owner,
            label: Arc::clone(&place.label),
            status: 200,
            headers: HeaderMap::new(),
            lifetime: lifetime(place, now_ms),
            selecting: Vec::new(),
            stored_ms: now_ms,
            birth,
            cost_ms: u32::try_from(took_ms).unwrap_or(u32::MAX),
        };
        flight.stored(self.entries.put(&place.key, &Arc::default(), Entry::new(head, value.clone())));
        self.aside.metrics.cache_stored(&place.namespace.name, place.label.tenant.as_deref());
        Ok(value)
    }

    fn count(&self, question: &Question<'_>, result: CacheResult) {
        self.aside.metrics.cache_request(&question.namespace.name, question.tenant, result);
    }
}

impl Place {
    /// `None`: the value is not kept.
    fn of(question: &Question<'_>) -> Option<Self> {
        let Question { namespace, tenant, key } = *question;
        let tenant = tenant.filter(|tenant| !tenant.is_empty());
        let tenant = match namespace.scope {
            Scope::Public => None,
            Scope::Tenant => Some(tenant?),
            Scope::User => return None,
        };
        // Another domain than that of responses: no request can be answered with a value, nor the other way round.
        let mut digester = Digester::new("tidegate aside 1").part(namespace.name.as_bytes());
        digester.add(&[u8::from(tenant.is_some())]);
        digester.add(tenant.unwrap_or_default().as_bytes());
        for part in key {
            digester.add(part.as_bytes());
        }
        let caller = Caller { tenant: tenant.map(Into::into), ..Caller::default() };
        let label = Label {
            tenant: caller.tenant.clone(),
            namespace: Arc::clone(&namespace.name),
            origin: "aside".to_owned(),
            // No path begins so: purges by path are for responses.
            target: format!("aside:{}", key.join("/")),
            tags: namespace.tags.clone(),
        };
        let key = digester.finish();
        Some(Self {
            key,
            flight: FlightKey::new(&key, Variant::SINGLE),
            owner: crate::cache::owner(namespace, &caller),
            label: Arc::new(label),
            namespace: Arc::clone(namespace),
            ttl: namespace.ttl?,
        })
    }
}

fn lifetime(place: &Place, now_ms: u64) -> Lifetime {
    let seconds = |window: Option<Duration>| {
        window.map_or(0, |window| u32::try_from(window.as_secs()).unwrap_or(u32::MAX))
    };
    Lifetime {
        age_base_ms: now_ms,
        fresh_until_ms: now_ms.saturating_add(crate::base::clock::millis(place.ttl)),
        swr_s: seconds(place.namespace.stale_while_revalidate),
        sie_s: seconds(place.namespace.stale_if_error),
        keep_s: 0,
        ours: true,
        strict: false,
    }
}
