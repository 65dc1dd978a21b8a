//! May they: exact sliding windows, several at once, all or nothing. Pure: time comes in as milliseconds.

pub mod policy;
pub mod verdict;

pub use policy::{FieldStyle, Mode, OnStoreFailure, Per, Policy, Window, Windows};
pub use verdict::{Charge, Decision, LimitKey, WindowState};
