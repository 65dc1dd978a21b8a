//! Several instances as one system. Pure.

use crate::companion::gateways::history::Window;
use crate::companion::gateways::quantile::quantile;
use crate::companion::gateways::stats::Bucket;
use crate::telemetry::rfc3339;
use serde::Serialize;

/// How the system does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// All instances answer, take traffic and have their stores.
    Ok,
    /// Some do not.
    Degraded,
    /// None answers, or there is none to ask.
    Unknown,
}

/// Times in milliseconds that the share of requests took at most; `None`: nobody knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct ResponseTimes {
    /// Half of them.
    pub p50: Option<f64>,
    /// 95 of a hundred.
    pub p95: Option<f64>,
    /// 99 of a hundred.
    pub p99: Option<f64>,
}

/// Of how many instances the figures are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Instances {
    /// Those that are configured, by address.
    pub asked: usize,
    /// Those that have answered.
    pub reachable: usize,
}

/// `data.system` of the metrics: the gateways of the last five minutes, or since their start where that is all that is known.
/// What is not known is `None`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SystemHealth {
    /// In a word.
    pub status: HealthStatus,
    /// Of the instance that was started last.
    pub uptime_seconds: Option<u64>,
    /// Never known: nobody remembers for a day who was there.
    pub uptime_ratio_24h: Option<f64>,
    /// Answers from the cache among all look-ups, 0 to 1.
    pub cache_hit_rate: Option<f64>,
    /// Of all instances together.
    pub requests_per_second: Option<f64>,
    /// How long answers take.
    pub response_time_ms: ResponseTimes,
    /// Requests that a limit refused among all, 0 to 1.
    pub rate_limited_ratio: Option<f64>,
    /// Where this is from: `proxy` or `none`.
    pub source: &'static str,
    /// When the instances were asked, RFC 3339 in UTC.
    pub as_of: String,
    /// Of how many.
    pub instances: Instances,
}

impl SystemHealth {
    /// Nobody answers.
    pub(super) fn unknown(asked: usize, wall_ms: u64) -> Self {
        Self {
            status: HealthStatus::Unknown,
            uptime_seconds: None,
            uptime_ratio_24h: None,
            cache_hit_rate: None,
            requests_per_second: None,
            response_time_ms: ResponseTimes::default(),
            rate_limited_ratio: None,
            source: "none",
            as_of: rfc3339::format_s(wall_ms / 1_000),
            instances: Instances { asked, reachable: 0 },
        }
    }

    /// What `asked` instances did, of which these have answered.
    pub(super) fn of(windows: &[Window], asked: usize, wall_ms: u64) -> Self {
        let unknown = Self::unknown(asked, wall_ms);
        if windows.is_empty() {
            return unknown;
        }
        let sum = |of: fn(&Window) -> u64| windows.iter().map(of).sum::<u64>();
        let is_ok = windows.len() >= asked && windows.iter().all(|window| window.is_sound);
        Self {
            status: if is_ok { HealthStatus::Ok } else { HealthStatus::Degraded },
            uptime_seconds: windows.iter().map(|window| window.uptime_seconds).min(),
            cache_hit_rate: share(sum(|window| window.hits), sum(|window| window.lookups)),
            requests_per_second: rate(windows),
            response_time_ms: times(windows),
            rate_limited_ratio: share(sum(|window| window.rate_limited), sum(|window| window.requests)),
            source: "proxy",
            instances: Instances { asked, reachable: windows.len() },
            ..unknown
        }
    }
}

/// With four decimals; `None` of nothing.
#[expect(clippy::cast_precision_loss, reason = "counts below 2^53 for the next ages")]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| rounded(part as f64 / whole as f64, 10_000.0))
}

/// Requests a second, each instance over its own time. `None` in the first second of all of them.
#[expect(clippy::cast_precision_loss, reason = "counts below 2^53 for the next ages")]
fn rate(windows: &[Window]) -> Option<f64> {
    let measured = windows.iter().filter(|window| window.seconds > 0.0);
    let rates: Vec<f64> = measured.map(|window| window.requests as f64 / window.seconds).collect();
    (!rates.is_empty()).then(|| rounded(rates.iter().sum(), 100.0))
}

/// Of all requests together: percentiles of instances cannot be added up, buckets can. Those of other bounds, from an instance
/// of another version, cannot either: nothing is told then.
fn times(windows: &[Window]) -> ResponseTimes {
    let mut all: Vec<Bucket> = Vec::new();
    for window in windows {
        if all.is_empty() {
            all.clone_from(&window.buckets);
            continue;
        }
        if !all.iter().map(|bucket| bucket.le).eq(window.buckets.iter().map(|bucket| bucket.le)) {
            return ResponseTimes::default();
        }
        for (sum, bucket) in all.iter_mut().zip(&window.buckets) {
            sum.count += bucket.count;
        }
    }
    let count = windows.iter().map(|window| window.timed).sum();
    let of = |share| quantile(share, &all, count).map(|seconds| rounded(seconds * 1_000.0, 1_000.0));
    ResponseTimes { p50: of(0.5), p95: of(0.95), p99: of(0.99) }
}

fn rounded(value: f64, places: f64) -> f64 {
    (value * places).round() / places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::companion::gateways::history::Histories;
    use crate::companion::gateways::stats::InstanceStats;
    use crate::companion::gateways::stats::sample::stats;
    use serde_json::json;
    use std::collections::BTreeMap;

    /// What these instances are together, each asked once.
    fn told(instances: &[Option<InstanceStats>]) -> SystemHealth {
        let address = |port: usize| format!("10.0.0.1:{port}").parse().expect("an address");
        let answers: BTreeMap<_, _> =
            instances.iter().enumerate().map(|(port, stats)| (address(port + 1), stats.clone())).collect();
        SystemHealth::of(&Histories::default().take_in(&answers, 1_000), answers.len(), 1_781_526_896_000)
    }

    #[test]
    fn instances_are_added_up_and_percentiles_are_those_of_all_requests() {
        let slow = InstanceStats {
            latency: crate::companion::gateways::stats::Latency {
                buckets: vec![Bucket { le: 0.01, count: 0 }, Bucket { le: 0.1, count: 1_000 }],
                count: 1_000,
            },
            ..stats(500, 1_000)
        };
        let health = told(&[Some(stats(1_000, 1_000)), Some(slow)]);
        assert_eq!(
            serde_json::to_value(&health).expect("JSON"),
            json!({
                "status": "ok", "uptime_seconds": 500, "uptime_ratio_24h": null, "cache_hit_rate": 0.25,
                "requests_per_second": 3.0,
                // 500 of 2,000 within 10 ms, the others evenly up to 100 ms.
                "response_time_ms": {"p50": 40.0, "p95": 94.0, "p99": 98.8},
                "rate_limited_ratio": 0.1, "source": "proxy", "as_of": "2026-06-15T12:34:56Z",
                "instances": {"asked": 2, "reachable": 2},
            })
        );
    }

    #[test]
    fn whoever_is_away_drains_or_has_no_store_makes_it_degraded() {
        let sound = stats(10, 100);
        let drains = InstanceStats { draining: true, ..sound.clone() };
        let mut alone = sound.clone();
        alone.store.connected = false;
        assert_eq!(told(&[Some(sound.clone())]).status, HealthStatus::Ok);
        for other in [None, Some(drains), Some(alone)] {
            assert_eq!(told(&[Some(sound.clone()), other]).status, HealthStatus::Degraded);
        }
    }

    #[test]
    fn what_nobody_knows_is_nothing_and_no_number() {
        for health in [told(&[]), told(&[None, None])] {
            assert_eq!((health.status, health.source), (HealthStatus::Unknown, "none"));
            assert_eq!((health.uptime_seconds, health.requests_per_second), (None, None));
            assert_eq!(health.response_time_ms, ResponseTimes::default());
        }
        let idle = told(&[Some(stats(10, 0))]);
        assert_eq!((idle.status, idle.requests_per_second), (HealthStatus::Ok, Some(0.0)));
        assert_eq!(
            (idle.cache_hit_rate, idle.rate_limited_ratio, idle.response_time_ms.p50),
            (None, None, None)
        );
        let mut other = stats(10, 100);
        other.latency.buckets.pop();
        let mixed = told(&[Some(stats(10, 100)), Some(other)]);
        assert_eq!((mixed.response_time_ms.p99, mixed.cache_hit_rate), (None, Some(0.25)));
    }
}
