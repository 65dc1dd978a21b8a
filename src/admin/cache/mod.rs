//! `/api/v1/cache`: how well the cache works, what is stored for a request, and what shall be stored no more.

mod entry;
mod purge;
mod selectors;
mod stats;
mod webhook;

pub(super) use entry::{entry, look};
pub(super) use purge::purge;
pub(super) use stats::{metrics, stats};
pub(super) use webhook::{Webhook, invalidate};

pub use selectors::selected;
pub use webhook::believed;
