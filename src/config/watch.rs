//! Hears of changes in the configuration's directory. Only a hint: whoever hears it compares the text.

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use std::path::Path;
use tokio::sync::mpsc;

/// Tells of changes in `dir` until it is dropped. `None` where the system tells nothing (the caller looks now and
/// then all the same). The channel holds one hint; more would say no more.
#[must_use]
pub fn watch(dir: &Path, changed: mpsc::Sender<()>) -> Option<RecommendedWatcher> {
    let heard = move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access()) {
            // Full: a hint is waiting already.
            changed.try_send(()).ok();
        }
    };
    let mut watcher = notify::recommended_watcher(heard).ok()?;
    match watcher.watch(dir, RecursiveMode::NonRecursive) {
        Ok(()) => Some(watcher),
        Err(error) => {
            tracing::warn!(%error, "changes of the configuration are found by looking every few seconds only");
            None
        }
    }
}
