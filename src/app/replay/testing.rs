//! What the tests of the replay share.

use crate::app::origin::Origin;
use crate::config::Snapshot;

/// A configuration with these sections.
pub(super) fn snapshot(sections: &str) -> Snapshot {
    let text = format!("upstreams: {{backend: 127.0.0.1:9}}\n{sections}");
    Origin::text("test", text).load(1).unwrap_or_else(|refused| panic!("{refused}")).snapshot
}
