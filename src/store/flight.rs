//! A flight's guard: in the hands of the request that asks the origin, and told what came of it.

use crate::store::flights::{FlightKey, Flights, Record};
use crate::store::redis::RedisLeases;
use crate::store::written::Written;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Between two renewals: three may fail before a lease is lost.
const RENEW_EVERY: Duration = Duration::from_millis(500);

/// How a flight ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The answer is in the store.
    Stored,
    /// It may not be stored, and the next one will not be either: nobody queues for a while.
    Uncacheable,
    /// It may not be stored, which says nothing of the next one (an error of the origin).
    Unstored,
    /// There is none: somebody else should try.
    Failed,
}

impl Ending {
    pub(super) const ALL: [Self; 4] = [Self::Stored, Self::Uncacheable, Self::Unstored, Self::Failed];

    /// The word for it on the feed.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Uncacheable => "uncacheable",
            Self::Unstored => "unstored",
            Self::Failed => "failed",
        }
    }
}

/// Why a request asks the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// For all others; they wait for it.
    Leader,
    /// It has waited long enough. Those of its instance who have too wait for it nevertheless.
    Lone,
    /// For itself only.
    Apart,
}

/// The guard of a request that asks the origin. Dropped, it says that the flight failed.
#[derive(Debug)]
pub struct Flight {
    pub(super) flights: Arc<Flights>,
    pub(super) key: FlightKey,
    pub(super) role: Role,
    /// Those who wait; `None` where nobody does.
    pub(super) record: Option<Arc<Record>>,
    /// Ends the lease.
    pub(super) lease: Option<oneshot::Sender<(Ending, Written)>>,
}

impl Flight {
    /// Do others wait for it? Then the answer may have come into the store since it was looked for.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.role != Role::Apart
    }

    /// Does it ask because others took too long?
    #[must_use]
    pub fn is_impatient(&self) -> bool {
        self.role == Role::Lone
    }

    /// The answer is in memory; other instances hear of it once it is `written` to Redis.
    pub fn stored(mut self, written: Written) {
        self.end(Ending::Stored, written);
    }

    /// Another instance had stored the answer in the meantime.
    pub fn found(self) {
        self.stored(Written::at_once());
    }

    /// The answer may not be stored: those who wait go at once, and for 10 seconds nobody queues.
    pub fn uncacheable(mut self) {
        self.end(Ending::Uncacheable, Written::at_once());
    }

    /// The answer may not be stored, as an error of the origin: those who wait go at once.
    pub fn unstored(mut self) {
        self.end(Ending::Unstored, Written::at_once());
    }

    pub(super) fn end(&mut self, ending: Ending, written: Written) {
        match ending {
            Ending::Stored => self.flights.unmark(&self.key),
            Ending::Uncacheable => self.flights.mark(&self.key),
            Ending::Unstored | Ending::Failed => {}
        }
        let Some(record) = self.record.take() else { return };
        self.flights.leave(&self.key, &record, ending, self.role);
        match (self.lease.take(), self.flights.leases()) {
            // Its task may have ended with the process only.
            (Some(lease), _) => drop(lease.send((ending, written))),
            (None, Some(leases)) if self.role == Role::Lone && ending != Ending::Failed => {
                let (leases, name) = (leases.clone(), self.key.name());
                self.flights.tasks().spawn("flight told", async move {
                    written.done().await;
                    drop(leases.tell(&name, ending.word()).await);
                });
            }
            (None, _) => {}
        }
    }

    pub(super) fn turn_alone(&mut self) {
        self.role = Role::Lone;
        self.flights.has_lone(&self.key);
    }

    /// Keeps the lease in a task of its own until the flight has ended.
    pub(super) fn hold(&mut self, leases: RedisLeases, holder: u128) {
        let (sender, receiver) = oneshot::channel();
        self.lease = Some(sender);
        let name = self.key.name();
        self.flights.tasks().spawn("lease", async move {
            let ended = async {
                let (ending, written) = receiver.await.unwrap_or((Ending::Failed, Written::at_once()));
                // Whoever is woken looks into Redis.
                written.done().await;
                ending
            };
            let mut ended = pin!(ended);
            let ending = loop {
                match timeout(RENEW_EVERY, ended.as_mut()).await {
                    Ok(ending) => break ending,
                    // A lease that was lost stays lost: another instance has asked the origin by now.
                    Err(_elapsed) => drop(leases.keep(&name, holder).await),
                }
            };
            drop(leases.release(&name, holder, ending.word()).await);
        });
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.end(Ending::Failed, Written::at_once());
    }
}
