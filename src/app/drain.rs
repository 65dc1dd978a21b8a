//! Leaving politely: no new connections, what is under way finishes, within a budget.

use std::time::Duration;

/// How often the count of live connections is looked at. It is a plain counter on the hot path, so nobody tells us;
/// this adds at most as much to the time of a shutdown.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Waits until no connection lives, at most `budget`. Returns how many still did.
pub async fn connections_ended(live: impl Fn() -> usize, budget: Duration) -> usize {
    let ended = async {
        while live() > 0 {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    match tokio::time::timeout(budget, ended).await {
        Ok(()) => 0,
        Err(_elapsed) => live(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn an_idle_gate_leaves_at_once() {
        let start = Instant::now();
        assert_eq!(connections_ended(|| 0, Duration::from_secs(20)).await, 0);
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn waits_for_the_last_connection_but_not_longer_than_the_budget() {
        let live = Arc::new(AtomicUsize::new(1));
        let start = Instant::now();
        let count = || live.load(Ordering::Acquire);
        assert_eq!(connections_ended(count, Duration::from_secs(20)).await, 1);
        assert_eq!(start.elapsed(), Duration::from_secs(20));
        let finish = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            live.store(0, Ordering::Release);
        };
        let start = Instant::now();
        let (left, ()) = tokio::join!(connections_ended(count, Duration::from_secs(20)), finish);
        assert_eq!(left, 0);
        assert!(start.elapsed() < Duration::from_millis(3_100));
    }
}
