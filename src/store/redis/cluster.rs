//! A Cluster: a link for each primary, the map of slots, and the way of a call that is sent on.
//!
//! fred has a client for clusters, and it is not used. Measured with fred 10.1 and three primaries: while one is dead, its
//! client dials that one again and again and asks no other, so that every slot fails until the failover is through
//! (3.8 s), and for ever when there is no replica (0 of 71 calls in 8 s). After ASK it reads the next reply on a shared
//! connection as that to its ASKING, whatever it belongs to. No time-out of ours mends either. So each primary has a
//! client for single servers, and what a cluster is stands here: MOVED changes the map and is followed, ASK is followed
//! once, TRYAGAIN waits, all within the time of the one call.

use crate::store::StoreFailure;
use crate::store::breaker::{Breaker, Change};
use crate::store::redis::Surroundings;
use crate::store::redis::dial;
use crate::store::redis::keyspace::{self, Node, Range, Redirect, SLOTS, View};
use crate::store::redis::link::{Attempt, Link, PROBE_EVERY};
use crate::telemetry::StoreName;
use arc_swap::ArcSwap;
use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::ClientLike;
use fred::types::config::Config;
use fred::types::{CustomCommand, Value};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Sleep;

/// Between two looks at the map while all is well.
const REFRESH_EVERY: Duration = Duration::from_secs(10);

/// Between two looks at the map, whatever happens: a moved range of slots is thousands of MOVED.
const REFRESH_GAP: Duration = Duration::from_millis(100);

/// Nodes that one call is sent to; more is a circle.
const HOPS_MAX: u32 = 16;

/// Between two attempts for keys of which some have been moved already.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(5);

/// A slot that nobody owns, as far as is known.
const NOBODY: u16 = u16::MAX;

/// The cluster. Clones share it.
#[derive(Clone)]
pub(super) struct Cluster {
    inner: Arc<Inner>,
}

struct Inner {
    name: StoreName,
    config: Config,
    seeds: Vec<Node>,
    /// Everyone that is or may be asked: the seeds and the primaries.
    links: Mutex<BTreeMap<Node, Link>>,
    map: ArcSwap<Map>,
    is_stale: Notify,
    /// For the slots without an owner.
    unowned: Mutex<Breaker>,
    trouble: Mutex<Option<String>>,
    around: Surroundings,
}

/// Who owns which slot.
#[derive(Clone)]
struct Map {
    /// For each slot a place in `owners`.
    slots: Box<[u16]>,
    owners: Vec<(Node, Link)>,
}

impl Cluster {
    /// Begins to connect to the nodes of `config` and to learn the map; returns at once.
    ///
    /// # Errors
    /// A configuration that fred refuses.
    pub(super) fn open(name: StoreName, config: Config, around: &Surroundings) -> Result<Self, Error> {
        let of =
            |server: fred::types::config::Server| Node { host: server.host.to_string(), port: server.port };
        let inner = Inner {
            name,
            seeds: config.server.hosts().into_iter().map(of).collect(),
            config,
            links: Mutex::default(),
            map: ArcSwap::from_pointee(Map {
                slots: vec![NOBODY; usize::from(SLOTS)].into(),
                owners: Vec::new(),
            }),
            is_stale: Notify::new(),
            unowned: Mutex::default(),
            trouble: Mutex::default(),
            around: around.clone(),
        };
        let cluster = Self { inner: Arc::new(inner) };
        for seed in &cluster.inner.seeds {
            drop(cluster.inner.link(seed)?);
        }
        around.tasks.spawn_until_stop("store map", cluster.clone().keep_map());
        Ok(cluster)
    }

    /// Has every slot an owner, and does each owner answer, as far as is known?
    pub(super) fn is_up(&self) -> bool {
        self.inner.map.load().is_whole() && self.inner.map.load().owners.iter().all(|(_, link)| link.is_up())
    }

    /// Everyone that may be asked, those that answer first.
    pub(super) fn nodes(&self) -> Vec<Node> {
        let links = self.inner.links.lock();
        let (up, down): (Vec<_>, Vec<_>) = links.iter().partition(|(_, link)| link.is_up());
        up.into_iter().chain(down).map(|(node, _)| node.clone()).collect()
    }

    /// A link that answers, another one each `turn`; for what concerns no key.
    pub(super) fn anyone(&self, turn: usize) -> Option<Link> {
        let links = self.inner.links.lock();
        let up: Vec<&Link> = links.values().filter(|link| link.is_up()).collect();
        up.get(turn.checked_rem(up.len())?).map(|link| Link::clone(link))
    }

    /// Asks the owner of `key`, and goes where that one sends us, until `deadline`.
    pub(super) async fn attempt<T, F>(
        &self,
        key: &str,
        mut deadline: Pin<&mut Sleep>,
        call: impl Fn(Client) -> F,
    ) -> Attempt<T>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let slot = keyspace::slot_of(key);
        let Some(mut link) = self.inner.map.load().owner(slot) else { return self.inner.nobody() };
        let (mut is_asking, mut hops) = (false, 0);
        while hops < HOPS_MAX {
            let attempt = if is_asking {
                Box::pin(link.attempt_asking(deadline.as_mut(), &call)).await
            } else {
                link.attempt(deadline.as_mut(), &call).await
            };
            let next = match attempt {
                Attempt::Done(value) => return Attempt::Done(value),
                Attempt::Elsewhere(redirect) => self.inner.follow(slot, redirect, &link),
                Attempt::Failed(_) | Attempt::Barred => {
                    self.inner.is_stale.notify_one();
                    return attempt;
                }
            };
            match next {
                Some(Next { link: to, is_asking: asks }) => (link, is_asking, hops) = (to, asks, hops + 1),
                // Who waits goes nowhere: the deadline ends it.
                None => {
                    (is_asking, hops) = (false, 0);
                    tokio::select! {
                        () = tokio::time::sleep(TRY_AGAIN_AFTER) => {}
                        () = deadline.as_mut() => {}
                    }
                }
            }
            link.connected(deadline.as_mut()).await;
        }
        Attempt::Failed(StoreFailure::Refused { reason: "nodes send us in a circle".to_owned() })
    }

    /// Learns the map again and again: soon after a redirection or a failure, and while something fails.
    async fn keep_map(self) {
        let mut turn = 0_usize;
        let mut seen = View::default();
        loop {
            let is_known = self.learn(turn, &mut seen).await;
            turn = turn.wrapping_add(1);
            let pause = if is_known && self.is_up() { REFRESH_EVERY } else { PROBE_EVERY };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.inner.is_stale.notified() => {}
            }
            tokio::time::sleep(REFRESH_GAP).await;
        }
    }

    /// Asks one node after the other for the map, until one knows at least as much as what has been `seen`. When none
    /// does, the best of them is believed: the cluster may have been made anew.
    async fn learn(&self, turn: usize, seen: &mut View) -> bool {
        let links = self.inner.links.lock().clone();
        let mut links: Vec<(Node, Link)> =
            links.into_iter().filter(|(_, link)| link.is_connected()).collect();
        let first = turn.checked_rem(links.len()).unwrap_or(0);
        links.rotate_left(first);
        // One that hangs costs half a second.
        links.sort_by_key(|(_, link)| !link.is_up());
        let mut best: Option<(View, Vec<Range>)> = None;
        for (node, link) in &links {
            match map_of(node, &link.client()).await {
                Ok(told) => {
                    let knows_enough = told.0 >= *seen;
                    if best.as_ref().is_none_or(|best| told.0 > best.0) {
                        best = Some(told);
                    }
                    if knows_enough {
                        break;
                    }
                }
                Err(reason) => *self.inner.trouble.lock() = Some(reason),
            }
        }
        let Some((view, ranges)) = best else { return false };
        *seen = view;
        self.inner.install(&ranges);
        true
    }
}

/// Where a call goes on.
struct Next {
    link: Link,
    is_asking: bool,
}

impl Inner {
    /// The link to a node, made if need be.
    fn link(&self, node: &Node) -> Result<Link, Error> {
        let mut links = self.links.lock();
        if let Some(link) = links.get(node) {
            return Ok(link.clone());
        }
        let config = dial::config_of(node, &self.config);
        let link = Link::open(self.name, Some(node.to_string()), config, &self.around)?;
        links.insert(node.clone(), link.clone());
        Ok(link)
    }

    /// Where `link` sends us. `None`: to where we have been, in a moment.
    fn follow(&self, slot: u16, redirect: Redirect, link: &Link) -> Option<Next> {
        let (mut node, is_asking) = match redirect {
            Redirect::TryAgain => return None,
            Redirect::Ask(node) => (node, true),
            Redirect::Moved(node) => (node, false),
        };
        if node.host.is_empty() {
            node.host = self.host_of(link)?;
        }
        let to = self.link(&node).ok()?;
        if !is_asking {
            self.map.rcu(|map| map.with(slot, &node, &to));
            self.is_stale.notify_one();
        }
        Some(Next { link: to, is_asking })
    }

    fn host_of(&self, link: &Link) -> Option<String> {
        self.links.lock().iter().find(|(_, other)| other.is(link)).map(|(node, _)| node.host.clone())
    }

    /// A call to a slot that nobody owns.
    fn nobody<T>(&self) -> Attempt<T> {
        let mut unowned = self.unowned.lock();
        if !unowned.is_closed() {
            return Attempt::Barred;
        }
        let change = unowned.record(false, self.around.clock.monotonic_ms());
        drop(unowned);
        self.is_stale.notify_one();
        if change == Change::Opened {
            let (store, trouble) = (self.name.as_str(), self.trouble.lock());
            let reason = trouble.as_deref().unwrap_or("no node has told the map of slots");
            tracing::warn!(store, reason, "store away: slots without an owner are not asked for");
        }
        Attempt::Failed(StoreFailure::Away)
    }

    /// Makes what a node told the map. Links to nodes that are neither owner nor seed end.
    fn install(&self, ranges: &[Range]) {
        let mut owners: Vec<(Node, Link)> = Vec::new();
        let mut places: BTreeMap<&Node, u16> = BTreeMap::new();
        let mut slots = vec![NOBODY; usize::from(SLOTS)];
        for range in ranges {
            let place = match places.get(&range.owner) {
                Some(place) => *place,
                None => {
                    let Ok(link) = self.link(&range.owner) else { continue };
                    let place = u16::try_from(owners.len()).unwrap_or(NOBODY);
                    places.insert(&range.owner, place);
                    owners.push((range.owner.clone(), link));
                    place
                }
            };
            if let Some(part) = slots.get_mut(usize::from(range.first)..=usize::from(range.last)) {
                part.fill(place);
            }
        }
        let map = Map { slots: slots.into(), owners };
        map.place_probes(&self.around.prefix);
        let kept: BTreeSet<&Node> =
            self.seeds.iter().chain(map.owners.iter().map(|(node, _)| node)).collect();
        self.links.lock().retain(|node, _| kept.contains(node));
        let is_whole = map.is_whole();
        self.map.store(Arc::new(map));
        if is_whole && self.unowned.lock().restore() == Change::Closed {
            tracing::info!(store = self.name.as_str(), "store back: every slot has an owner");
        }
    }
}

impl Map {
    fn owner(&self, slot: u16) -> Option<Link> {
        let place = self.slots.get(usize::from(slot))?;
        self.owners.get(usize::from(*place)).map(|(_, link)| link.clone())
    }

    fn is_whole(&self) -> bool {
        self.slots.iter().all(|place| usize::from(*place) < self.owners.len())
    }

    /// The same with another owner for one slot.
    fn with(&self, slot: u16, node: &Node, link: &Link) -> Self {
        let mut map = self.clone();
        let place = map.owners.iter().position(|(other, known)| other == node && known.is(link));
        let place = place.unwrap_or_else(|| {
            map.owners.push((node.clone(), link.clone()));
            map.owners.len().saturating_sub(1)
        });
        if let Some(entry) = map.slots.get_mut(usize::from(slot)) {
            *entry = u16::try_from(place).unwrap_or(NOBODY);
        }
        map
    }

    /// Has each owner probed by a key of its own part.
    fn place_probes(&self, prefix: &str) {
        for (place, (_, link)) in self.owners.iter().enumerate() {
            let is_own =
                |slot: u16| self.slots.get(usize::from(slot)).is_some_and(|at| usize::from(*at) == place);
            if is_own(keyspace::slot_of(&link.probe_key())) {
                continue;
            }
            if let Some(key) = keyspace::key_in(prefix, is_own) {
                link.set_probe_key(key);
            }
        }
    }
}

/// What a node knows of the cluster.
async fn map_of(node: &Node, client: &Client) -> Result<(View, Vec<Range>), String> {
    let ask = async |word: &'static str| {
        let command = CustomCommand::new_static("CLUSTER", None::<u16>, false);
        client.custom::<Value, _>(command, vec![word]).await.map_err(|error| error.details().to_owned())
    };
    let both = async { Ok::<_, String>((ask("INFO").await?, ask("SLOTS").await?)) };
    let told = tokio::time::timeout(PROBE_EVERY, both);
    let (info, map) = told.await.map_err(|_elapsed| "a node does not tell the map of slots".to_owned())??;
    let ranges = keyspace::ranges(&map, node).ok_or("a node tells nonsense for a map of slots")?;
    Ok((keyspace::view(&info.into_string().unwrap_or_default()), ranges))
}
