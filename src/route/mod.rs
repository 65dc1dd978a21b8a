//! Which route a request takes: canonical path, patterns, the compiled table. Pure.

pub mod explain;
pub mod host;
pub mod path;
pub mod pattern;
pub mod table;
mod tree;

pub use explain::{Candidate, Explained, Lost};
pub use host::{HostFault, parse_host};
pub use path::{EncodedSlash, PathFault, canonical_path};
pub use pattern::{Kind, Pattern, PatternFault};
pub use table::{Conflict, RouteMatch, Table};
