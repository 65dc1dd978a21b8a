//! Which route a request takes: canonical path, patterns, the compiled table. Pure.

pub mod path;
pub mod pattern;
pub mod table;

pub use path::{EncodedSlash, PathFault, canonical_path};
pub use pattern::{Pattern, PatternFault};
pub use table::{Conflict, Explained, RouteMatch, Table};
