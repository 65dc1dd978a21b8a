//! May they: exact sliding windows, several at once, all or nothing. Pure: time comes in as milliseconds.

pub mod charges;
pub mod fields;
pub mod policy;
pub mod ring;
pub mod verdict;

pub use charges::{Subject, charge, charges, subject};
pub use fields::{Denial, denial, fields};
pub use policy::{FieldStyle, Mode, OnStoreFailure, Per, Policy, Window, Windows, WindowsFault};
pub use ring::RingLog;
pub use verdict::{Charge, Decision, LimitKey, WindowState, is_denied};
