//! May it be kept, for whom, and how long: RFC 9111 for a shared cache with tenants. Pure: bytes and time come in.

pub mod control;
pub mod date;
pub mod entry;
pub mod fields;
pub mod key;
pub mod namespace;
pub mod status;
pub mod storable;
pub mod vary;

pub use entry::{Entry, EntryFault};
pub use fields::{client_fields, merge_304, stored_fields};
pub use key::{Bypass, KeyInput, key, parts};
pub use namespace::{Cookies, Namespace, QueryKey, Scope, SetCookie, TtlMode};
pub use status::{CacheStatus, Demand, Outcome, Verdict, request_demand};
pub use storable::{Lifetime, ResponseInput, Storability, storability};
pub use vary::{Selecting, selecting_fields, variant};
