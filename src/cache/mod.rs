//! May it be kept, for whom, and how long: RFC 9111 for a shared cache with tenants. Pure: bytes and time come in.

pub mod namespace;

pub use namespace::{Cookies, Namespace, QueryKey, Scope, SetCookie, TtlMode};
