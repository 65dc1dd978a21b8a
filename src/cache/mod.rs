//! May it be kept, for whom, and how long: RFC 9111 for a shared cache with tenants. Pure: bytes and time come in.
//!
//! A request meets [`key()`], [`request_demand`] and [`variant`]; a response [`storability()`], [`Entry::new`] and
//! [`rewrite_for_client`]; a 304 [`merge_304`] and then the same as a response.

pub mod codec;
pub mod date;
pub mod demand;
pub mod directives;
pub mod entry;
pub mod fields;
pub mod freshness;
pub mod key;
pub mod lifetime;
pub mod namespace;
pub mod status;
pub mod storability;
pub mod structured;
pub mod vary;

pub use codec::{EntryFault, decode, encode};
pub use demand::{Demand, request_demand};
pub use entry::Entry;
pub use fields::{merge_304, rewrite_for_client, stored_fields};
pub use freshness::Timing;
pub use key::{Bypass, KeyInput, KeyPart, key, key_parts, owner};
pub use lifetime::Lifetime;
pub use namespace::{Cookies, Namespace, QueryKey, Scope, SetCookie, TtlMode};
pub use status::{CacheStatus, Forward, Outcome, XCache};
pub use storability::{Refused, ResponseInput, Storability, storability};
pub use vary::{Selecting, Variant, selecting_fields, variant};
