//! The last samples of each instance, and what happened between them. Pure.

use crate::companion::gateways::stats::{Bucket, InstanceStats};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

/// Figures are those of so long.
const WINDOW_MS: u64 = 300_000;

/// Samples that are closer together than that share a place, the newer one's: a bound on how many there are.
const APART_MS: u64 = 5_000;

/// What an instance did: within the last minutes, or since its start while there is one sample.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Window {
    /// How long that is.
    pub seconds: f64,
    pub requests: u64,
    pub rate_limited: u64,
    pub hits: u64,
    pub lookups: u64,
    /// Cumulative.
    pub buckets: Vec<Bucket>,
    pub timed: u64,
    /// Since its start.
    pub uptime_seconds: u64,
    /// Takes traffic, with all its stores.
    pub is_sound: bool,
}

#[derive(Debug)]
struct Sample {
    at_ms: u64,
    stats: InstanceStats,
}

/// By address; those that do not answer are forgotten.
#[derive(Debug, Default)]
pub(super) struct Histories(BTreeMap<SocketAddr, VecDeque<Sample>>);

impl Histories {
    /// Keeps what the instances said at `now_ms` (monotonic) and tells what each did of late.
    pub(super) fn take_in(
        &mut self,
        answers: &BTreeMap<SocketAddr, Option<InstanceStats>>,
        now_ms: u64,
    ) -> Vec<Window> {
        self.0.retain(|address, _| answers.get(address).is_some_and(Option::is_some));
        let known = answers.iter().filter_map(|(address, stats)| Some((*address, stats.as_ref()?)));
        let mut windows = Vec::new();
        for (address, stats) in known {
            let samples = self.0.entry(address).or_default();
            add(samples, Sample { at_ms: now_ms, stats: stats.clone() });
            windows.extend(window(samples));
        }
        windows
    }
}

/// Adds a sample; those of another life, and those that are too old, leave.
fn add(samples: &mut VecDeque<Sample>, sample: Sample) {
    if samples.back().is_some_and(|last| is_another_life(&last.stats, &sample.stats)) {
        samples.clear();
    }
    let before = samples.len().checked_sub(2).and_then(|index| samples.get(index));
    if before.is_some_and(|before| sample.at_ms.saturating_sub(before.at_ms) < 2 * APART_MS) {
        samples.pop_back();
    }
    while samples.front().is_some_and(|first| sample.at_ms.saturating_sub(first.at_ms) > WINDOW_MS) {
        samples.pop_front();
    }
    samples.push_back(sample);
}

/// Was the instance started anew between the two? Its counts go back then.
fn is_another_life(old: &InstanceStats, new: &InstanceStats) -> bool {
    let counts = |stats: &InstanceStats| {
        [
            stats.requests.total,
            stats.requests.rate_limited,
            stats.cache.total,
            stats.cache.hits,
            stats.latency.count,
        ]
    };
    let bounds =
        |stats: &InstanceStats| stats.latency.buckets.iter().map(|bucket| bucket.le).collect::<Vec<_>>();
    let fell = counts(old).iter().zip(counts(new)).any(|(old, new)| new < *old);
    old.started_at != new.started_at || fell || bounds(old) != bounds(new)
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds and seconds of a process' life")]
fn window(samples: &VecDeque<Sample>) -> Option<Window> {
    let last = samples.back()?;
    let new = &last.stats;
    let first = samples.front().filter(|first| first.at_ms < last.at_ms);
    let since =
        |of: fn(&InstanceStats) -> u64| of(new).saturating_sub(first.map_or(0, |first| of(&first.stats)));
    let bucket = |(index, bucket): (usize, &Bucket)| {
        let old = first.and_then(|first| first.stats.latency.buckets.get(index));
        Bucket { le: bucket.le, count: bucket.count.saturating_sub(old.map_or(0, |old| old.count)) }
    };
    Some(Window {
        seconds: first.map_or(new.uptime_seconds as f64, |first| (last.at_ms - first.at_ms) as f64 / 1_000.0),
        requests: since(|stats| stats.requests.total),
        rate_limited: since(|stats| stats.requests.rate_limited),
        hits: since(|stats| stats.cache.hits),
        lookups: since(|stats| stats.cache.total),
        buckets: new.latency.buckets.iter().enumerate().map(bucket).collect(),
        timed: since(|stats| stats.latency.count),
        uptime_seconds: new.uptime_seconds,
        is_sound: !new.draining && new.store.connected,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::companion::gateways::stats::sample::stats;

    fn answers(stats: Option<InstanceStats>) -> BTreeMap<SocketAddr, Option<InstanceStats>> {
        [("10.0.0.1:9901".parse().expect("an address"), stats)].into()
    }

    #[test]
    fn one_sample_tells_of_the_life_and_two_of_what_is_between_them() {
        let mut histories = Histories::default();
        let life = histories.take_in(&answers(Some(stats(1_000, 5_000))), 1_000).remove(0);
        assert_eq!((life.seconds, life.requests, life.timed), (1_000.0, 5_000, 5_000));
        let between = histories.take_in(&answers(Some(stats(1_060, 5_600))), 61_000).remove(0);
        assert_eq!((between.seconds, between.requests, between.rate_limited), (60.0, 600, 60));
        assert_eq!((between.hits, between.lookups, between.buckets[0].count), (150, 600, 300));
        assert_eq!(between.uptime_seconds, 1_060);
    }

    #[test]
    fn an_instance_that_was_started_anew_tells_of_its_new_life() {
        let mut histories = Histories::default();
        histories.take_in(&answers(Some(stats(1_000, 5_000))), 1_000);
        let anew = histories.take_in(&answers(Some(stats(10, 100))), 61_000).remove(0);
        assert_eq!((anew.seconds, anew.requests), (10.0, 100));
        let other = InstanceStats { started_at: "2026-06-16T00:00:00Z".to_owned(), ..stats(20, 900) };
        let anew = histories.take_in(&answers(Some(other)), 71_000).remove(0);
        assert_eq!((anew.seconds, anew.requests), (20.0, 900), "although its counts are higher");
    }

    #[test]
    fn samples_are_few_and_those_of_five_minutes_ago_leave() {
        let mut histories = Histories::default();
        for second in 0..2_000 {
            histories.take_in(&answers(Some(stats(second, second * 10))), second * 1_000);
        }
        let samples = histories.0.values().next().expect("one instance");
        assert!((30..=62).contains(&samples.len()), "{}", samples.len());
        let window = window(samples).expect("two samples");
        assert!(window.seconds <= 300.0 && window.seconds > 290.0, "{window:?}");
        assert!((2_900..=3_000).contains(&window.requests), "{window:?}");
        assert!(histories.take_in(&answers(None), 2_000_000).is_empty());
        assert!(histories.0.is_empty(), "who does not answer is forgotten");
    }
}
