//! The look-up: what the store has, what another request brings, or the right to ask the origin for all who want the same.

use crate::cache::{Entry, Verdict, early};
use crate::proxy::storage::{CacheStorage, Found, Hit, KeyParts, meta};
use crate::store::{FlightKey, Joined, Lookup};
use pingora::cache::CacheMeta;
use pingora::cache::storage::HitHandler;
use std::sync::Arc;

/// How often a request looks again after others have stored something, before it goes itself.
const LOOKS_MAX: usize = 4;

/// The window in which pingora may serve what is shown to it as stale.
const EARLY_WINDOW_S: u32 = 60;

/// The store did not answer, and this process has nothing either.
struct Away;

/// What a request needs besides what the store has for it.
enum Need {
    Nothing,
    /// An answer of the origin, its own or another request's.
    Flight,
    /// An answer of the origin that is made for it.
    Origin,
}

impl CacheStorage {
    /// What the request is answered from, `None` for a miss. Waits for others where there are some.
    pub(super) async fn look_up(&self, parts: &KeyParts) -> pingora::Result<Option<(CacheMeta, HitHandler)>> {
        let first = self.find(parts).await;
        let is_away = first.is_err();
        if is_away {
            parts.part.store_away();
        }
        let found = first.unwrap_or(None);
        let found = match self.need(parts, found.as_deref()) {
            Need::Nothing => found,
            Need::Flight => Box::pin(self.coalesce(parts, found, is_away)).await,
            Need::Origin => {
                parts.part.ask(None);
                found
            }
        };
        found.map(|entry| self.show(parts, entry)).transpose()
    }

    /// What the store has for the request.
    async fn find(&self, parts: &KeyParts) -> Result<Option<Arc<Entry>>, Away> {
        let entry = match self.stores.entries.lookup(&parts.digest, &parts.request).await {
            Lookup::Hit(entry, _) => entry,
            Lookup::Miss => return Ok(None),
            Lookup::Unavailable => {
                self.metrics.cache_error(&parts.namespace.name, parts.label.tenant.as_deref());
                return Err(Away);
            }
        };
        // The key says so already. Should it ever not, nobody gets another tenant's bytes.
        if entry.head.owner != parts.owner {
            tracing::error!(key = ?parts.digest, "a stored response belongs to somebody else");
            return Ok(None);
        }
        Ok(Some(entry))
    }

    fn need(&self, parts: &KeyParts, found: Option<&Entry>) -> Need {
        let is_alone = parts.namespace.coalesce_wait.is_zero() && !parts.is_background;
        let flight = if is_alone { Need::Origin } else { Need::Flight };
        // It will be refused rather than sent on.
        if parts.demand.only_if_cached {
            return Need::Nothing;
        }
        let Some(entry) = found else { return flight };
        let (lifetime, now_ms) = (&entry.head.lifetime, self.clock.wall_ms());
        if parts.is_background {
            let is_done = lifetime.is_fresh(now_ms) && !early::may_refresh(&entry.head, now_ms);
            return if is_done { Need::Nothing } else { flight };
        }
        match parts.demand.judge(lifetime, now_ms) {
            Some(Verdict::Validate) => Need::Origin,
            Some(Verdict::Fresh) => Need::Nothing,
            None if lifetime.is_fresh(now_ms) || lifetime.may_serve_while_revalidating(now_ms) => {
                Need::Nothing
            }
            None => flight,
        }
    }

    /// Waits for another request's answer, or becomes the one that asks; what there is in the end.
    ///
    /// A store that `is_away` is not looked into again by who leads: that would cost its time-out once more.
    async fn coalesce(
        &self,
        parts: &KeyParts,
        mut found: Option<Arc<Entry>>,
        is_away: bool,
    ) -> Option<Arc<Entry>> {
        let (entries, flights) = (&self.stores.entries, &self.stores.flights);
        let patience = flights.patience(parts.namespace.coalesce_wait);
        for _ in 0..LOOKS_MAX {
            let key = FlightKey::new(&parts.digest, entries.wanted(&parts.digest, &parts.request));
            let flight = match flights.join(&key, &patience).await {
                Joined::LookAgain => None,
                Joined::Go(flight) if flight.is_impatient() && parts.is_background => {
                    parts.part.leave_to_others();
                    return found;
                }
                Joined::Go(flight) => Some(flight),
            };
            if flight.as_ref().is_none_or(|flight| flight.is_shared() && !is_away) {
                found = self.find(parts).await.unwrap_or(None);
                if matches!(self.need(parts, found.as_deref()), Need::Nothing) {
                    parts.part.collapse();
                    if let Some(flight) = flight {
                        flight.found();
                    }
                    return found;
                }
            }
            match flight {
                Some(flight) if parts.is_background => {
                    parts.part.refresh(flight);
                    return found;
                }
                Some(flight) => {
                    parts.part.ask(Some(flight));
                    return found;
                }
                None => {}
            }
        }
        // What others store is not what it needs: a variant that finds no room, a write that was dropped.
        parts.part.ask(None);
        found
    }

    /// The entry as pingora sees it.
    fn show(&self, parts: &KeyParts, entry: Arc<Entry>) -> pingora::Result<(CacheMeta, HitHandler)> {
        let (head, now_ms) = (&entry.head, self.clock.wall_ms());
        let is_early = if parts.is_background {
            early::may_refresh(head, now_ms) && !parts.part.is_elsewhere()
        } else {
            // A stale entry that is served meanwhile begins its refresh itself, and one that is asked for needs none.
            !parts.demand.only_if_cached && early::should_refresh(head, now_ms, rand::random())
        };
        let mut lifetime = head.lifetime;
        if is_early {
            lifetime.fresh_until_ms = now_ms.saturating_sub(1);
            lifetime.swr_s = EARLY_WINDOW_S;
        }
        let mut meta = meta(head.status, &head.headers, &lifetime)?;
        // The background request asks the origin, which never gave the tag that we make.
        if !parts.is_background
            && let Some(tag) = entry.made_tag(now_ms)
        {
            meta.response_header_mut().insert_header(http::header::ETAG, tag)?;
        }
        let handler = Hit::of(&entry);
        meta.extensions_mut().insert(Found { entry, is_early });
        Ok((meta, Box::new(handler)))
    }
}
