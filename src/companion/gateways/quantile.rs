//! Percentiles from buckets, as Prometheus' `histogram_quantile` has them: within a bucket, times are taken to be spread
//! evenly. Pure.

use crate::companion::gateways::stats::Bucket;

/// The time in seconds that the share `quantile` (0 to 1) of `count` requests took at most. `None` of no request. What is
/// above the last bound is told as that bound.
#[expect(clippy::cast_precision_loss, reason = "counts below 2^53 for the next ages")]
pub(super) fn quantile(quantile: f64, buckets: &[Bucket], count: u64) -> Option<f64> {
    let last = buckets.last().filter(|_| count > 0)?;
    let rank = quantile * count as f64;
    let Some(found) = buckets.iter().position(|bucket| bucket.count as f64 >= rank) else {
        return Some(last.le);
    };
    let bucket = buckets.get(found)?;
    let below = found.checked_sub(1).and_then(|before| buckets.get(before));
    let (begin, before) = below.map_or((0.0, 0), |below| (below.le, below.count));
    let inside = bucket.count.saturating_sub(before);
    if inside == 0 {
        return Some(bucket.le);
    }
    Some(begin + (bucket.le - begin) * (rank - before as f64) / inside as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUCKETS: &[Bucket] = &[
        Bucket { le: 0.01, count: 50 },
        Bucket { le: 0.1, count: 50 },
        Bucket { le: 0.5, count: 90 },
        Bucket { le: 1.0, count: 98 },
    ];

    #[test]
    fn within_a_bucket_times_are_spread_evenly() {
        let of = |share| quantile(share, BUCKETS, 100).map(|time| (time * 1e9).round() / 1e9);
        assert_eq!(of(0.25), Some(0.005));
        assert_eq!(of(0.5), Some(0.01));
        assert_eq!(of(0.7), Some(0.3), "the empty bucket is passed over");
        assert_eq!(of(0.94), Some(0.75));
    }

    #[test]
    fn what_took_longer_than_the_last_bound_is_told_as_that_bound_and_nothing_as_nothing() {
        assert_eq!(quantile(0.99, BUCKETS, 100), Some(1.0));
        assert_eq!(quantile(0.5, BUCKETS, 0), None);
        assert_eq!(quantile(0.5, &[], 10), None);
    }
}
