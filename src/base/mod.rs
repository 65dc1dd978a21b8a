//! Words everybody uses: clock, calendar, units, digest, signature, bounded map, secret, problem document, tasks,
//! names of time zones.
//!
//! Knows nothing of HTTP semantics, configuration or stores.

pub mod bounded;
pub mod calendar;
pub mod clock;
pub mod database_settings;
pub mod digest;
pub mod mac;
pub mod problem;
pub mod secret;
pub mod service_settings;
pub mod store_settings;
pub mod tasks;
#[cfg(test)]
pub(crate) mod testing;
pub mod units;
pub mod zone_name;

pub use bounded::BoundedMap;
pub use clock::{Clock, ManualClock, SystemClock};
pub use database_settings::{DatabaseSettings, DatabaseUrl, FIGURE_TABLES, IdType, Mapping, TableMapping};
pub use digest::{Digest, Digester};
pub use mac::Mac;
pub use problem::Problem;
pub use secret::Secret;
pub use service_settings::{ExportSettings, RollupSettings, ServiceSettings};
pub use store_settings::{StoreSettings, StoreUrl};
pub use tasks::Tasks;
pub use zone_name::is_zone_name;
