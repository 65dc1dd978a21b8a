//! May it be kept, for whom, and how long: RFC 9111 for a shared cache with tenants. Pure: bytes and time come in.
//!
//! A request meets [`key()`] and [`request_demand`]; a response [`storability()`],
//! [`stored_fields`] and [`Entry::new`]; an answer [`client_fields`] and [`CacheStatus`]; a 304 [`merge_304`] and then
//! the same as a response.

pub mod codec;
pub mod coder;
pub mod coding;
pub mod compression;
pub mod date;
pub mod demand;
pub mod directives;
pub mod early;
pub mod entry;
pub mod facts;
pub mod fields;
pub mod freshness;
pub mod glob;
pub mod key;
pub mod label;
pub mod ledger;
pub mod lifetime;
pub mod namespace;
pub mod pace;
mod packing;
mod parts;
pub mod purge;
pub mod refresh;
pub mod status;
pub mod storability;
pub mod structured;
pub mod variants;
pub mod vary;
pub mod warm;
pub mod writes;

pub use codec::{EntryFault, Stored, encode, open};
pub use coder::Coder;
pub use coding::{Coding, Levels};
pub use compression::{Choice, Codable, Compression, MediaRange};
pub use date::format_date;
pub use demand::{Demand, Verdict, request_demand};
pub use entry::{Entry, EntryHead};
pub use facts::beyond_key;
pub use fields::{client_fields, merge_304, stored_fields};
pub use key::{Bypass, KeyInput, key, owner, parts};
pub use label::{Label, Names};
pub use ledger::{Ledger, Standing};
pub use lifetime::Lifetime;
pub use namespace::{Cookies, Namespace, QueryKey, Scope, SetCookie, TtlMode};
pub use pace::{Pace, Slow};
pub use purge::{Mode, Purge, What, Whose};
pub use refresh::{Refresh, Refreshes};
pub use status::{CacheStatus, Outcome};
pub use storability::{Refused, ResponseInput, Storability, storability};
pub use variants::VaryRecord;
pub use vary::{Variant, variant};
pub use warm::{Site, Warm, WarmIdentity, WarmItem, WarmJob, WarmOrder, Warmed};
pub use writes::Invalidates;
