//! Waiting for what must happen: the only place where a test lets time pass.

use std::future::Future;
use std::time::Duration;
use tokio::time::Instant;

/// Long enough for a busy two-core machine; a test that needs it fails with what it waited for.
const PATIENCE: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(10);

/// Asks again and again until `check` says yes.
///
/// Panics with `what` when it never does.
pub(crate) async fn eventually(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !check().await {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(STEP).await;
    }
}

/// Awaits `work`, at most `limit`.
///
/// Panics with `what` when it takes longer.
pub(crate) async fn within<T>(limit: Duration, what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => panic!("took longer than {limit:?}: {what}"),
    }
}
