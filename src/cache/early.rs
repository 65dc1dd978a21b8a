//! Refreshing before the end, and ends that do not coincide. Pure: time and chance are arguments.
//!
//! Early refresh is `XFetch` (Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB
//! 2015) with beta 1: each hit draws how much earlier than the end it would refresh, more for what takes the origin
//! longer. Under single flight one refresh comes of it, and nobody waits for an entry that is asked for often.

use crate::cache::entry::EntryHead;
use crate::cache::lifetime::Lifetime;

/// No refresh begins earlier than this part of the freshness lifetime before its end: an origin that is slow would be
/// asked much more often than its freshness asks for (measured: ttl 300 s at 5 s to fetch, 37 s early).
const EARLIEST_PART: u64 = 10;

/// Could a hit at `now_ms` refresh the entry early at all?
#[must_use]
pub fn may_refresh(head: &EntryHead, now_ms: u64) -> bool {
    let lifetime = &head.lifetime;
    let left_ms = lifetime.fresh_until_ms.saturating_sub(now_ms);
    head.cost_ms > 0 && left_ms > 0 && left_ms <= earliest_ms(head)
}

/// Should this hit? `chance` is uniform in `0.0..1.0`.
#[must_use]
pub fn should_refresh(head: &EntryHead, now_ms: u64, chance: f64) -> bool {
    if !may_refresh(head, now_ms) {
        return false;
    }
    let left_ms = head.lifetime.fresh_until_ms.saturating_sub(now_ms);
    // `1 - chance` is never 0, whose logarithm would be infinite.
    let drawn_ms = -f64::from(head.cost_ms) * (1.0 - chance).ln();
    let left_ms = f64::from(u32::try_from(left_ms).unwrap_or(u32::MAX));
    left_ms <= drawn_ms
}

/// From when it was stored: what was used up before it came here is no time in which it was asked for here.
fn earliest_ms(head: &EntryHead) -> u64 {
    head.lifetime.fresh_until_ms.saturating_sub(head.stored_ms) / EARLIEST_PART
}

/// A lifetime shortened by up to `percent` of its freshness left at `now_ms`, so that what was stored together does not
/// end together. Never lengthened: the origin said how long. `chance` is uniform in `0..=1_000`.
#[must_use]
pub fn jittered(lifetime: Lifetime, percent: u8, now_ms: u64, chance: u16) -> Lifetime {
    let left_ms = lifetime.fresh_until_ms.saturating_sub(now_ms);
    let part = u128::from(percent.min(100)) * u128::from(chance.min(1_000));
    let cut_ms = u64::try_from(u128::from(left_ms) * part / 100_000).unwrap_or(left_ms);
    Lifetime { fresh_until_ms: lifetime.fresh_until_ms.saturating_sub(cut_ms), ..lifetime }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Digest;
    use crate::cache::label::Label;
    use proptest::prelude::*;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};
    use std::sync::Arc;

    fn head(stored_ms: u64, ttl_ms: u64, cost_ms: u32) -> EntryHead {
        let lifetime = Lifetime {
            age_base_ms: stored_ms,
            fresh_until_ms: stored_ms + ttl_ms,
            swr_s: 0,
            sie_s: 0,
            keep_s: 0,
            ours: true,
            strict: false,
        };
        let label = Label {
            tenant: None,
            namespace: "n".into(),
            origin: String::new(),
            target: String::new(),
            tags: Vec::new(),
        };
        EntryHead {
            owner: Digest([0; 32]),
            label: Arc::new(label),
            status: 200,
            headers: http::HeaderMap::new(),
            lifetime,
            selecting: Vec::new(),
            stored_ms,
            birth: 0,
            cost_ms,
        }
    }

    /// An hour of `rate` requests a second for one entry, under a lock: fetches, requests that waited, and how much
    /// earlier than the end the refreshes began on average, in milliseconds.
    fn hour(rate: u64, ttl_ms: u64, cost_ms: u32, is_early: bool) -> (u64, u64, u64) {
        let mut random = StdRng::seed_from_u64(7);
        let (mut entry, mut fetch_until): (Option<EntryHead>, Option<u64>) = (None, None);
        let (mut fetches, mut waited, mut early_ms, mut refreshes) = (0, 0, 0, 0);
        for number in 0..3_600 * rate {
            let now_ms = number * 1_000 / rate;
            if let Some(until_ms) = fetch_until
                && until_ms <= now_ms
            {
                (entry, fetch_until) = (Some(head(until_ms, ttl_ms, cost_ms)), None);
            }
            let fresh = entry.as_ref().filter(|head| head.lifetime.is_fresh(now_ms));
            let wanted = match fresh {
                // Drawn only where it matters: a random number costs more than all the rest.
                Some(head) => {
                    is_early && may_refresh(head, now_ms) && should_refresh(head, now_ms, random.random())
                }
                None => true,
            };
            if let Some(head) = fresh.filter(|_| wanted && fetch_until.is_none()) {
                early_ms += head.lifetime.fresh_until_ms - now_ms;
                refreshes += 1;
            }
            waited += u64::from(fresh.is_none() && fetch_until.is_some());
            if wanted && fetch_until.is_none() {
                fetches += 1;
                fetch_until = Some(now_ms + u64::from(cost_ms));
            }
        }
        (fetches, waited, early_ms / u64::max(refreshes, 1))
    }

    #[test]
    fn in_an_hour_nobody_waits_but_at_the_start_and_the_origin_is_asked_hardly_more_often() {
        let (fetches, waited, _) = hour(100, 60_000, 500, false);
        assert!((59..=60).contains(&fetches) && waited > 2_500, "a lock alone: {fetches}, {waited}");
        let (fetches, waited, early_ms) = hour(100, 60_000, 500, true);
        assert!((60..=64).contains(&fetches) && waited < 60, "{fetches} fetches, {waited} waited");
        assert!((1_000..=3_500).contains(&early_ms), "{early_ms} ms early");
        let (fetches, waited, _) = hour(1_000, 60_000, 500, true);
        assert!((60..=66).contains(&fetches) && waited < 600, "{fetches} fetches, {waited} waited");
    }

    #[test]
    fn a_slow_origin_is_asked_at_most_a_tenth_of_the_lifetime_early() {
        let (fetches, waited, early_ms) = hour(100, 300_000, 5_000, true);
        assert!((12..=14).contains(&fetches) && early_ms <= 30_000, "{fetches} fetches, {early_ms} ms early");
        assert!(waited < 600, "{waited} waited");
        let slow = head(0, 300_000, u32::MAX);
        assert!(!should_refresh(&slow, 269_999, 0.999_999) && should_refresh(&slow, 270_000, 0.999_999));
    }

    #[test]
    fn what_is_stale_or_cost_nothing_is_not_early() {
        assert!(!may_refresh(&head(0, 10_000, 0), 9_999));
        assert!(!may_refresh(&head(0, 10_000, 100), 10_000));
        assert!(may_refresh(&head(0, 10_000, 100), 9_000) && !may_refresh(&head(0, 10_000, 100), 8_999));
        assert!(!should_refresh(&head(0, 10_000, 100), 9_999, 0.0), "the luckiest draw is no time at all");
    }

    proptest! {
        #[test]
        fn jitter_only_shortens_and_at_most_by_its_percentage(
            left_ms in 0_u64..1_000_000_000, percent in 0_u8..=100, chance in 0_u16..=1_000,
        ) {
            let before = head(5, left_ms, 0).lifetime;
            let after = jittered(before, percent, 5, chance);
            prop_assert!(after.fresh_until_ms <= before.fresh_until_ms);
            let cut_ms = before.fresh_until_ms - after.fresh_until_ms;
            prop_assert!(cut_ms * 100 <= left_ms * u64::from(percent));
            prop_assert_eq!(jittered(before, percent, 5, 1_000).fresh_until_ms, before.fresh_until_ms - left_ms * u64::from(percent) / 100);
        }
    }
}
