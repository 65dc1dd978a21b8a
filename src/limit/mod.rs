//! May they: exact sliding windows, several at once, all or nothing. Pure: time comes in as milliseconds.

pub mod applied;
pub mod charges;
pub mod counting;
pub mod denials;
pub mod exempt;
pub mod fields;
pub mod policy;
pub mod ring;
pub mod subject;
pub mod top;
pub mod verdict;
pub mod windows;

pub use applied::{Applied, applied, caller_of};
pub use charges::{Bill, Sender, Slot, Stage, bill, charge};
pub use counting::{Cost, Count, StatusSet};
pub use denials::{Denials, Question};
pub use exempt::{Bypass, Override, Overrides};
pub use fields::{Denial, Places, denial, fields};
pub use policy::{FieldStyle, Mode, OnStoreFailure, Per, Policy};
pub use ring::RingLog;
pub use subject::{Subject, subject};
pub use top::{Seen, Top};
pub use verdict::{Charge, Decision, LimitKey, WindowState, is_denied};
pub use windows::{LIMIT_MAX, WINDOWS_MAX, Window, Windows, WindowsFault};
