//! By whose days figures are counted, and which day it is there: what is kept of them is kept under that day, so that nobody
//! is told yesterday's figures as today's.

use crate::base::{Clock, Tasks, clock};
use crate::companion::service::{Refusal, ServiceState};
use crate::companion::{Database, Zone};
use quick_cache::sync::Cache;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

/// Tenants whose zones are kept in memory, at most; others are asked for each time.
const TENANTS_MAX: usize = 4_096;

/// How long a zone is kept: a changed one shows after that.
const KEPT: Duration = Duration::from_secs(60);

/// How long a request waits for a zone to be read anew before it goes on with the one that is known.
const PATIENCE: Duration = Duration::from_millis(250);

/// Tenants' zones, so that figures that are kept are told without the database. Clones share them.
#[derive(Debug, Clone)]
pub struct Zones {
    kept: Arc<Cache<String, Kept>>,
}

#[derive(Debug, Clone)]
struct Kept {
    zone: Zone,
    /// When it was last asked for, by the clock that never steps.
    asked_ms: Arc<AtomicU64>,
}

impl Kept {
    /// Is it this caller's turn to ask anew? One has it in as long as a zone is kept, whatever comes of it.
    fn is_due(&self, now_ms: u64) -> bool {
        let asked_ms = self.asked_ms.load(Ordering::Relaxed);
        now_ms.saturating_sub(asked_ms) >= clock::millis(KEPT)
            && self.asked_ms.compare_exchange(asked_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl Default for Zones {
    fn default() -> Self {
        Self { kept: Arc::new(Cache::new(TENANTS_MAX)) }
    }
}

impl Zones {
    /// The tenant's zone, `read` anew by one of `tasks` where that was longer ago than [`KEPT`]. While it cannot be read, or not at
    /// once, it is what it was: figures that are kept are told while the database does not answer.
    async fn of(
        &self,
        tasks: &Tasks,
        (tenant, now_ms): (&str, u64),
        read: impl Future<Output = Result<Zone, Refusal>> + Send + 'static,
    ) -> Result<Zone, Refusal> {
        let Some(kept) = self.kept.get(tenant) else {
            let read = read.await;
            self.note(tenant, &read, now_ms);
            return read;
        };
        if !kept.is_due(now_ms) {
            return Ok(kept.zone);
        }
        let (tell, told) = oneshot::channel();
        let (zones, tenant) = (self.clone(), tenant.to_owned());
        tasks.spawn_until_stop("time zone", async move {
            let read = read.await;
            zones.note(&tenant, &read, now_ms);
            // Whoever asked may have gone on.
            drop(tell.send(read));
        });
        match tokio::time::timeout(PATIENCE, told).await {
            Ok(Ok(Ok(zone))) => Ok(zone),
            Ok(Ok(Err(refusal))) if refusal.is_unknown_tenant() => Err(refusal),
            Ok(_) | Err(_) => Ok(kept.zone),
        }
    }

    fn note(&self, tenant: &str, read: &Result<Zone, Refusal>, now_ms: u64) {
        match read {
            Ok(zone) => {
                let asked_ms = Arc::new(AtomicU64::new(now_ms));
                self.kept.insert(tenant.to_owned(), Kept { zone: zone.clone(), asked_ms });
            }
            Err(refusal) if refusal.is_unknown_tenant() => drop(self.kept.remove(tenant)),
            Err(_) => {}
        }
    }
}

/// The zone of a tenant, and its name as it was written: that of its row, or `usual` where it has none that there is.
///
/// # Errors
/// [`Refusal`]: of the database, of a tenant that it does not know, or because `usual` is no zone.
pub async fn zone_of(database: &Database, tenant: &str, usual: &str) -> Result<(Zone, String), Refusal> {
    let own = database.tenant_zone(tenant).await?;
    if let Some((zone, name)) = own.and_then(|name| Some((Zone::parse(&name).ok()?, name))) {
        return Ok((zone, name));
    }
    let zone = Zone::parse(usual)
        .map_err(|fault| Refusal::new(500, "internal", "The figures are not to be had", fault.to_string()))?;
    Ok((zone, usual.to_owned()))
}

/// The zone that was asked for, else the tenant's, else the configured one. A tenant that the database does not know is
/// refused whichever was asked for.
pub(super) async fn zone(state: &ServiceState, tenant: &str, asked: Option<Zone>) -> Result<Zone, Refusal> {
    let (reading, whose) = (Arc::clone(state), tenant.to_owned());
    let read = async move {
        let own = zone_of(&reading.database, &whose, &reading.settings.timezone).await;
        own.map(|(zone, _name)| zone)
    };
    let own = state.zones.of(&state.tasks, (tenant, state.clock.monotonic_ms()), read).await;
    match (asked, own) {
        (_, Err(refusal)) if refusal.is_unknown_tenant() => Err(refusal),
        (Some(zone), _) => Ok(zone),
        (None, own) => own,
    }
}

/// Refuses a tenant that the database does not know, and nobody where it does not answer: what is kept is told on then.
pub(super) async fn check_known(state: &ServiceState, tenant: &str) -> Result<(), Refusal> {
    match zone(state, tenant, None).await {
        Err(refusal) if refusal.is_unknown_tenant() => Err(refusal),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Now, and the day that it is in a zone.
#[derive(Debug, Clone)]
pub(super) struct Today {
    /// By whose days.
    pub(super) zone: Zone,
    /// Now, in milliseconds since 1970.
    pub(super) now_ms: u64,
    /// The day as `YYYY-MM-DD`.
    pub(super) day: String,
    /// When the day is over, in milliseconds since 1970.
    pub(super) ends_ms: u64,
}

impl Today {
    /// That of who asks.
    pub(super) async fn of(state: &ServiceState, tenant: &str, asked: Option<Zone>) -> Result<Self, Refusal> {
        Ok(Self::at(zone(state, tenant, asked).await?, &*state.clock))
    }

    fn at(zone: Zone, clock: &dyn Clock) -> Self {
        let now_ms = clock.wall_ms();
        let now_us = clock::micros(now_ms);
        let ends_ms = u64::try_from(zone.day_ends(now_us) / 1_000).unwrap_or(now_ms);
        Self { day: zone.day(now_us), zone, now_ms, ends_ms }
    }

    /// Now, in microseconds since 1970.
    pub(super) fn now_us(&self) -> i64 {
        clock::micros(self.now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ManualClock;
    use std::future::ready;

    fn zone(name: &str) -> Zone {
        Zone::parse(name).expect("a zone")
    }

    fn down() -> Refusal {
        Refusal::new(503, "unavailable", "The database does not answer", "try again")
    }

    #[test]
    fn at_the_tenants_midnight_the_day_that_figures_are_kept_under_is_another() {
        // 15 June 2026, 21:59:59.999 UTC, which is a millisecond before midnight in Berlin.
        let clock = ManualClock::at(1_781_560_799_999);
        let today = || Today::at(zone("Europe/Berlin"), &clock);
        let before = today();
        assert_eq!((before.day.as_str(), before.ends_ms), ("2026-06-15", 1_781_560_800_000));
        clock.advance(Duration::from_millis(1));
        let after = today();
        assert_eq!((after.day.as_str(), after.ends_ms), ("2026-06-16", 1_781_647_200_000));
        assert_eq!(Today::at(zone("UTC"), &clock).day, "2026-06-15", "there it is still yesterday");
    }

    #[test]
    fn the_day_on_which_clocks_change_ends_at_its_own_midnight() {
        // 29 March 2026, noon in UTC.
        let today = Today::at(zone("Europe/Berlin"), &ManualClock::at(1_774_785_600_000));
        assert_eq!((today.day.as_str(), today.ends_ms), ("2026-03-29", 1_774_821_600_000));
    }

    /// What a tenant's zone is at a moment, where reading it gives this.
    async fn told(
        zones: &Zones,
        now_ms: u64,
        read: impl Future<Output = Result<Zone, Refusal>> + Send + 'static,
    ) -> Result<String, u16> {
        let zone = zones.of(&Tasks::new(), ("acme", now_ms), read).await;
        zone.map(|zone| zone.name().to_owned()).map_err(|refusal| refusal.status)
    }

    #[tokio::test]
    async fn a_changed_zone_of_a_tenant_shows_within_a_minute() {
        let zones = Zones::default();
        assert_eq!(told(&zones, 0, ready(Ok(zone("Asia/Tokyo")))).await.as_deref(), Ok("Asia/Tokyo"));
        assert_eq!(told(&zones, 59_999, ready(Ok(zone("UTC")))).await.as_deref(), Ok("Asia/Tokyo"));
        let other = zones.of(&Tasks::new(), ("other", 59_999), ready(Ok(zone("UTC")))).await;
        assert_eq!(other.expect("read").name(), "UTC", "another tenant's");
        assert_eq!(told(&zones, 60_000, ready(Ok(zone("UTC")))).await.as_deref(), Ok("UTC"));
    }

    #[tokio::test]
    async fn while_the_database_does_not_answer_the_zone_is_what_it_was() {
        let zones = Zones::default();
        assert_eq!(told(&zones, 0, ready(Err(down()))).await, Err(503), "nobody knows it");
        assert_eq!(told(&zones, 0, ready(Ok(zone("Asia/Tokyo")))).await.as_deref(), Ok("Asia/Tokyo"));
        assert_eq!(told(&zones, 70_000, ready(Err(down()))).await.as_deref(), Ok("Asia/Tokyo"));
        let next = told(&zones, 80_000, ready(Ok(zone("UTC")))).await;
        assert_eq!(next.as_deref(), Ok("Asia/Tokyo"), "not tried at each request");
        assert_eq!(told(&zones, 130_000, ready(Ok(zone("UTC")))).await.as_deref(), Ok("UTC"));
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_while_a_zone_is_read_for_long_does_not_wait_for_it_and_one_reads() {
        let (zones, begun) = (Zones::default(), tokio::time::Instant::now());
        let reads = Arc::new(AtomicU64::new(0));
        let slow = |reads: &Arc<AtomicU64>| {
            let reads = Arc::clone(reads);
            async move {
                reads.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_secs(5)).await;
                Ok(zone("UTC"))
            }
        };
        assert_eq!(told(&zones, 0, ready(Ok(zone("Asia/Tokyo")))).await.as_deref(), Ok("Asia/Tokyo"));
        for _ in 0..20 {
            assert_eq!(told(&zones, 60_000, slow(&reads)).await.as_deref(), Ok("Asia/Tokyo"));
        }
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        assert_eq!(reads.load(Ordering::Relaxed), 1);
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(told(&zones, 66_000, ready(Err(down()))).await.as_deref(), Ok("UTC"), "read meanwhile");
    }

    #[tokio::test]
    async fn a_tenant_that_was_deleted_is_known_no_longer_when_its_zone_is_read_anew() {
        let zones = Zones::default();
        let gone = || Refusal { code: "unknown-tenant", status: 403, ..down() };
        assert_eq!(told(&zones, 0, ready(Err(gone()))).await, Err(403));
        assert_eq!(told(&zones, 0, ready(Ok(zone("UTC")))).await.as_deref(), Ok("UTC"));
        assert_eq!(told(&zones, 60_000, ready(Err(gone()))).await, Err(403));
        assert_eq!(told(&zones, 60_001, ready(Err(down()))).await, Err(503), "nothing is known of it");
    }
}
