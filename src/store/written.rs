//! The end of a write to Redis, for those who must not look there before.

use tokio::sync::oneshot;

/// Told once Redis has what was stored, or will not have it.
#[derive(Debug)]
pub struct Written(Option<oneshot::Receiver<()>>);

impl Written {
    /// Nothing is on its way.
    #[must_use]
    pub(super) fn at_once() -> Self {
        Self(None)
    }

    /// One that is told when the sender is dropped.
    pub(super) fn pending() -> (oneshot::Sender<()>, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Self(Some(receiver)))
    }

    /// Waits until then.
    pub(super) async fn done(self) {
        if let Some(receiver) = self.0 {
            // That the sender was dropped is the message.
            drop(receiver.await);
        }
    }
}
