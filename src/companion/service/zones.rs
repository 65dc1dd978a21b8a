//! By whose days figures are counted, and which day it is there: what is kept of them is kept under that day, so that nobody
//! is told yesterday's figures as today's.

use crate::base::{Clock, clock};
use crate::companion::Zone;
use crate::companion::service::{Refusal, ServiceState};
use quick_cache::sync::Cache;
use std::time::Duration;

/// Tenants whose zones are kept in memory, at most; others are asked for each time.
const TENANTS_MAX: usize = 4_096;

/// How long a zone is kept: a changed one shows after that.
const KEPT: Duration = Duration::from_secs(60);

/// Tenants' zones, so that figures that are kept are told without the database.
#[derive(Debug)]
pub struct Zones {
    kept: Cache<String, Kept>,
}

#[derive(Debug, Clone)]
struct Kept {
    zone: Zone,
    /// When it was read, by the clock that never steps.
    read_ms: u64,
}

impl Default for Zones {
    fn default() -> Self {
        Self { kept: Cache::new(TENANTS_MAX) }
    }
}

impl Zones {
    /// The tenant's zone, `read` anew where that was longer ago than [`KEPT`]. While it cannot be read it is what it was, which is
    /// tried again after as long: figures that are kept are told while the database does not answer.
    async fn of(
        &self,
        tenant: &str,
        now_ms: u64,
        read: impl Future<Output = Result<Zone, Refusal>>,
    ) -> Result<Zone, Refusal> {
        let kept = self.kept.get(tenant);
        if let Some(kept) = &kept
            && now_ms.saturating_sub(kept.read_ms) < clock::millis(KEPT)
        {
            return Ok(kept.zone.clone());
        }
        let zone = match (read.await, kept) {
            (Ok(zone), _) => zone,
            (Err(_), Some(kept)) => kept.zone,
            (Err(refusal), None) => return Err(refusal),
        };
        self.kept.insert(tenant.to_owned(), Kept { zone: zone.clone(), read_ms: now_ms });
        Ok(zone)
    }
}

/// The zone that was asked for, else the tenant's, else the configured one.
pub(super) async fn zone(state: &ServiceState, tenant: &str, asked: Option<Zone>) -> Result<Zone, Refusal> {
    if let Some(zone) = asked {
        return Ok(zone);
    }
    let read = async {
        let own = state.database.tenant_zone(tenant).await?;
        let own = own.and_then(|name| Zone::parse(&name).ok());
        let zone = own.map_or_else(|| Zone::parse(&state.settings.timezone), Ok);
        zone.map_err(|fault| {
            Refusal::new(500, "internal", "The figures are not to be had", fault.to_string())
        })
    };
    state.zones.of(tenant, state.clock.monotonic_ms(), read).await
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
        let now_us = micros(now_ms);
        let ends_ms = u64::try_from(zone.day_ends(now_us) / 1_000).unwrap_or(now_ms);
        Self { day: zone.day(now_us), zone, now_ms, ends_ms }
    }

    /// Now, in microseconds since 1970.
    pub(super) fn now_us(&self) -> i64 {
        micros(self.now_ms)
    }
}

fn micros(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX).saturating_mul(1_000)
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

    #[tokio::test]
    async fn a_changed_zone_of_a_tenant_shows_within_a_minute() {
        let (zones, clock) = (Zones::default(), ManualClock::at(0));
        let of = async |tenant: &str, read| {
            zones.of(tenant, clock.monotonic_ms(), ready(read)).await.map(|zone| zone.name().to_owned())
        };
        assert_eq!(of("acme", Ok(zone("Asia/Tokyo"))).await.expect("read"), "Asia/Tokyo");
        clock.advance(Duration::from_millis(59_999));
        assert_eq!(of("acme", Ok(zone("UTC"))).await.expect("kept"), "Asia/Tokyo");
        assert_eq!(of("other", Ok(zone("UTC"))).await.expect("read"), "UTC", "another tenant's");
        clock.advance(Duration::from_millis(1));
        assert_eq!(of("acme", Ok(zone("UTC"))).await.expect("read"), "UTC");
    }

    #[tokio::test]
    async fn while_the_database_does_not_answer_the_zone_is_what_it_was() {
        let zones = Zones::default();
        let of = async |now_ms, read| {
            zones.of("acme", now_ms, ready(read)).await.map(|zone| zone.name().to_owned())
        };
        assert!(of(0, Err(down())).await.is_err(), "nobody knows it");
        assert_eq!(of(0, Ok(zone("Asia/Tokyo"))).await.expect("read"), "Asia/Tokyo");
        assert_eq!(of(70_000, Err(down())).await.expect("known"), "Asia/Tokyo");
        assert_eq!(
            of(80_000, Ok(zone("UTC"))).await.expect("known"),
            "Asia/Tokyo",
            "not tried at each request"
        );
        assert_eq!(of(130_000, Ok(zone("UTC"))).await.expect("read"), "UTC");
    }
}
