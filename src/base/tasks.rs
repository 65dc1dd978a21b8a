//! Background work with a name, an owner and an end: nothing runs that `drain` does not wait for.

use std::future::Future;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A set of named tasks that are told to stop and waited for on shutdown. Clones share the set.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `future` to its end. For loops that must end on shutdown use [`Tasks::spawn_until_stop`].
    #[expect(clippy::disallowed_methods, reason = "the one place that spawns: it tracks what it spawns")]
    pub fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        let tracked = self.tracker.track_future(future);
        drop(tokio::spawn(async move {
            tracked.await;
            tracing::trace!(task = name, "task ended");
        }));
    }

    /// Runs `future` until it ends or the set is told to stop, whichever comes first; it is dropped at an await
    /// point then.
    pub fn spawn_until_stop(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.spawn(name, async move {
            tokio::select! {
                () = future => {}
                () = stop.cancelled() => {}
            }
        });
    }

    /// Ends when the set is told to stop. For work that has something to put in order first, which `drain` waits for.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Is it told to stop?
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// How many tasks run now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tracker.len()
    }

    /// Does nothing run now?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tracker.is_empty()
    }

    /// Tells all to stop and waits until they have, at most `budget`. Returns how many were still running.
    pub async fn drain(&self, budget: Duration) -> usize {
        self.stop.cancel();
        self.tracker.close();
        if tokio::time::timeout(budget, self.tracker.wait()).await.is_err() {
            tracing::warn!(tasks = self.tracker.len(), "tasks did not end in time");
        }
        self.tracker.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn drain_ends_loops_and_waits_for_work() {
        let tasks = Tasks::new();
        let (send, receive) = tokio::sync::oneshot::channel();
        tasks.spawn_until_stop("loop", std::future::pending());
        tasks.spawn("work", async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            send.send(()).expect("the test waits");
        });
        assert_eq!(tasks.len(), 2);
        assert_eq!(tasks.drain(Duration::from_secs(5)).await, 0);
        receive.await.expect("the work was done");
    }
}
