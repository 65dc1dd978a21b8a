//! How the gateways do that the dashboard stands behind: asks each one's admin listener and adds them up.
//!
//! One poll at a time, whoever asks; its answer serves everybody for a few seconds. A gateway that does not answer makes no
//! request fail: the figures say what is not known.

mod ask;
mod health;
mod history;
mod quantile;
mod silence;
mod stats;

pub use health::{HealthStatus, Instances, ResponseTimes, SystemHealth};

use crate::base::{Clock, Secret, Tasks};
use crate::companion::gateways::ask::Place;
use crate::companion::gateways::history::Histories;
use crate::companion::gateways::silence::{Notice, Silence};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long an answer serves everybody.
const KEPT_MS: u64 = 5_000;

/// Samples are taken so often while nobody asks: rates of the last minutes need one at their begin.
const SAMPLED_EVERY: Duration = Duration::from_secs(30);

/// Instances that are asked; of more the rest is left out.
const INSTANCES_MAX: usize = 256;

/// What is not known by then is not waited for: a name, a connection and an answer have a second each.
const WAIT_MAX: Duration = Duration::from_secs(4);

/// The gateways, asked when somebody wants to know. Clones share what is known.
#[derive(Clone)]
pub struct Gateways {
    inner: Arc<Inner>,
}

struct Inner {
    places: Vec<Place>,
    token: Option<Secret>,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
    histories: Mutex<Histories>,
    silence: Mutex<Silence>,
    /// Is somebody asking now?
    polling: Mutex<bool>,
    /// What was told last, and when (monotonic).
    told: watch::Sender<Option<(u64, SystemHealth)>>,
}

impl Gateways {
    /// Those whose admin listeners are at `places` (`HOST:PORT`); `token` is what these ask for.
    #[must_use]
    pub fn new(places: &[String], token: Option<Secret>, clock: Arc<dyn Clock>, tasks: Tasks) -> Self {
        let places = places.iter().filter_map(|place| Place::parse(place)).collect();
        let (told, _) = watch::channel(None);
        let (histories, silence, polling) = (Mutex::default(), Mutex::default(), Mutex::new(false));
        Self { inner: Arc::new(Inner { places, token, clock, tasks, histories, silence, polling, told }) }
    }

    /// Asks them again and again until the tasks stop, so that rates are those of the last minutes whoever looks when.
    pub fn keep_sampling(&self) {
        if self.inner.places.is_empty() {
            return;
        }
        let gateways = self.clone();
        self.inner.tasks.spawn_until_stop("gateways sampled", async move {
            loop {
                drop(gateways.health().await);
                tokio::time::sleep(SAMPLED_EVERY).await;
            }
        });
    }

    /// How they do, as of a few seconds ago at most. Never fails: what nobody knows is `None` in it.
    ///
    /// Cancel safety: may be dropped; the poll under way goes on for the next who asks.
    pub async fn health(&self) -> SystemHealth {
        let mut told = self.inner.told.subscribe();
        let asked_ms = self.inner.clock.monotonic_ms();
        let is_fresh = |told: &Option<(u64, SystemHealth)>| {
            told.as_ref().is_some_and(|(at_ms, _)| at_ms.saturating_add(KEPT_MS) > asked_ms)
        };
        if !is_fresh(&told.borrow_and_update()) {
            self.begin();
        }
        let known = tokio::time::timeout(WAIT_MAX, told.wait_for(is_fresh)).await;
        let known = known.ok().and_then(Result::ok).and_then(|told| told.as_ref().map(|(_, it)| it.clone()));
        known.unwrap_or_else(|| SystemHealth::unknown(self.inner.places.len(), self.inner.clock.wall_ms()))
    }

    /// Has them asked, unless somebody is at it.
    fn begin(&self) {
        let inner = Arc::clone(&self.inner);
        if std::mem::replace(&mut *inner.polling.lock(), true) {
            return;
        }
        self.inner.tasks.spawn("gateways asked", async move {
            let health = inner.poll().await;
            let at_ms = inner.clock.monotonic_ms();
            *inner.polling.lock() = false;
            inner.told.send_replace(Some((at_ms, health)));
        });
    }
}

impl Inner {
    async fn poll(&self) -> SystemHealth {
        let mut asking = JoinSet::new();
        for place in self.places.clone() {
            let token = self.token.clone();
            asking.spawn(async move {
                let answers = ask::ask(&place, token.as_ref()).await;
                (place, answers)
            });
        }
        // Two names may lead to one instance.
        let mut told: BTreeMap<SocketAddr, ask::Answer> = BTreeMap::new();
        let mut silent: BTreeMap<String, Option<String>> = BTreeMap::new();
        let mut unresolved = 0;
        while let Some(asked) = asking.join_next().await {
            let Ok((place, answers)) = asked else {
                unresolved += 1;
                continue;
            };
            match answers {
                Ok(answers) => {
                    silent.insert(place.to_string(), None);
                    told.extend(answers);
                }
                Err(says) => {
                    unresolved += 1;
                    silent.insert(place.to_string(), Some(says));
                }
            }
        }
        while told.len() > INSTANCES_MAX {
            told.pop_last();
        }
        silent.extend(
            told.iter().map(|(address, answer)| (address.to_string(), answer.as_ref().err().cloned())),
        );
        self.silence.lock().take_in(silent).into_iter().for_each(Notice::log);
        let answers =
            told.into_iter().map(|(address, answer)| (address, answer.ok())).collect::<BTreeMap<_, _>>();
        let windows = self.histories.lock().take_in(&answers, self.clock.monotonic_ms());
        SystemHealth::of(&windows, answers.len() + unresolved, self.clock.wall_ms())
    }
}

#[cfg(test)]
mod tests;
