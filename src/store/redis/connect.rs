//! The way to one Redis, whatever its topology: every call is bounded in time, and none is made while the part of the
//! server that it concerns does not answer.

use crate::base::{Clock, Secret, Tasks};
use crate::store::StoreFailure;
use crate::store::redis::cluster::Cluster;
use crate::store::redis::dial::{self, Line};
use crate::store::redis::keyspace::Redirect;
use crate::store::redis::link::{Attempt, Link};
use crate::telemetry::{Metrics, StoreName};
use fred::clients::Client;
use fred::error::Error;
use fred::types::config::Config;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// What connections need from the rest of the process.
#[derive(Clone)]
pub struct Surroundings {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where calls and failures are counted.
    pub metrics: Arc<Metrics>,
    /// Where the prober lives.
    pub tasks: Tasks,
    /// Longest wait for one call, redirections included.
    pub timeout: Duration,
    /// In front of every key.
    pub prefix: String,
}

/// A connection to one Redis: a server, the primary that sentinels name, or a Cluster. Clones share it.
#[derive(Clone)]
pub struct Connection {
    inner: Arc<Inner>,
}

struct Inner {
    name: StoreName,
    config: Config,
    topology: Topology,
    around: Surroundings,
}

enum Topology {
    /// One server, or whichever the sentinels call the primary.
    Single(Link),
    /// Primaries that share the keys.
    Cluster(Cluster),
}

impl Connection {
    /// Begins to connect, and keeps at it; returns at once even when nobody listens. `name` labels its metrics.
    ///
    /// # Errors
    /// A URL that cannot be read.
    pub fn open(name: StoreName, url: &Secret, around: Surroundings) -> Result<Self, StoreFailure> {
        let config = dial::config(url)?;
        let topology = if config.server.is_clustered() {
            Cluster::open(name, config.clone(), &around).map(Topology::Cluster)
        } else {
            Link::open(name, None, config.clone(), &around).map(Topology::Single)
        };
        let topology =
            topology.map_err(|error| StoreFailure::Refused { reason: error.details().to_owned() })?;
        Ok(Self { inner: Arc::new(Inner { name, config, topology, around }) })
    }

    /// Do all parts of the store answer, as far as is known?
    #[must_use]
    pub fn is_up(&self) -> bool {
        match &self.inner.topology {
            Topology::Single(link) => link.is_up(),
            Topology::Cluster(cluster) => cluster.is_up(),
        }
    }

    /// Is it a Cluster? Then keys with different `{tags}` may not stand in one call.
    #[must_use]
    pub fn is_cluster(&self) -> bool {
        matches!(self.inner.topology, Topology::Cluster(_))
    }

    /// Makes one call about `key` within the time-out; none while the breaker of its part is open or nothing is
    /// connected. On a Cluster `call` is made anew where a node sends us on, which has done nothing then: of several
    /// commands in one `call` the first may be done twice.
    ///
    /// # Errors
    /// [`StoreFailure`]: away, timed out, or refused by the server.
    ///
    /// Cancel safety: a dropped call may still be executed by the server.
    pub async fn call<T, F>(
        &self,
        operation: &'static str,
        key: &str,
        call: impl Fn(Client) -> F,
    ) -> Result<T, StoreFailure>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut deadline = pin!(tokio::time::sleep(self.inner.around.timeout));
        let began = self.inner.around.clock.monotonic();
        let attempt = match &self.inner.topology {
            Topology::Single(link) => link.attempt(deadline.as_mut(), call).await,
            // Boxed: a single server must not carry the space of a way through many.
            Topology::Cluster(cluster) => Box::pin(cluster.attempt(key, deadline.as_mut(), call)).await,
        };
        self.tell(operation, began, attempt)
    }

    /// Makes one call that concerns no key, at any node that answers. `turn` chooses.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub(super) async fn call_anyone<T, F>(
        &self,
        operation: &'static str,
        turn: usize,
        call: impl Fn(Client) -> F,
    ) -> Result<T, StoreFailure>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut deadline = pin!(tokio::time::sleep(self.inner.around.timeout));
        let began = self.inner.around.clock.monotonic();
        let link = match &self.inner.topology {
            Topology::Single(link) => Some(link.clone()),
            Topology::Cluster(cluster) => cluster.anyone(turn),
        };
        let Some(link) = link else { return Err(StoreFailure::Away) };
        let attempt = link.attempt(deadline.as_mut(), call).await;
        self.tell(operation, began, attempt)
    }

    /// Counts a call and what came of it. A call that was barred is none.
    fn tell<T>(
        &self,
        operation: &'static str,
        began: Duration,
        attempt: Attempt<T>,
    ) -> Result<T, StoreFailure> {
        let Inner { name, around, .. } = &*self.inner;
        let outcome = match attempt {
            Attempt::Barred => return Err(StoreFailure::Away),
            Attempt::Done(value) => Ok(value),
            Attempt::Failed(failure) => Err(failure),
            Attempt::Elsewhere(redirect) => Err(stray(&redirect)),
        };
        if !matches!(outcome, Err(StoreFailure::Away)) {
            let took = around.clock.monotonic().saturating_sub(began);
            around.metrics.store_duration(*name, operation, took);
        }
        if let Err(failure) = &outcome {
            around.metrics.store_error(*name, failure.kind());
        }
        outcome
    }

    /// A socket of its own to the same Redis, for what no call may share. `turn` chooses the node or the sentinel.
    ///
    /// # Errors
    /// A configuration that fred refuses.
    pub(super) fn dial(&self, turn: usize) -> Result<(Client, Line), Error> {
        let client = match &self.inner.topology {
            Topology::Single(_) => dial::client(&self.inner.config, turn)?,
            Topology::Cluster(cluster) => {
                let nodes = cluster.nodes();
                let node = turn.checked_rem(nodes.len()).and_then(|at| nodes.get(at));
                let config = node.map_or_else(
                    || self.inner.config.clone(),
                    |node| dial::config_of(node, &self.inner.config),
                );
                dial::client(&config, turn)?
            }
        };
        let line = Line::begin(&client);
        Ok((client, line))
    }

    /// What it was opened with.
    pub(super) fn around(&self) -> &Surroundings {
        &self.inner.around
    }
}

/// A server that is a node of a Cluster, addressed as if it stood alone.
fn stray(redirect: &Redirect) -> StoreFailure {
    let reason = match redirect {
        Redirect::Moved(_) | Redirect::Ask(_) => {
            "the server is a node of a Cluster: its URL begins with redis-cluster://"
        }
        Redirect::TryAgain => "the keys are being moved",
    };
    StoreFailure::Refused { reason: reason.to_owned() }
}
