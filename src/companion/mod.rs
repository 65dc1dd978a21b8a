//! The companion: figures about an application's own database, for its dashboard. Here: the database and what is in it.
//!
//! The only door to SQL. A tenant is the first argument of every question, and no question is asked without one.

pub mod activity;
pub mod database;
pub mod fault;
pub mod metrics;
pub mod migrations;
pub mod period;
pub mod postgres;
mod row;
pub mod sqlite;
pub mod statistics;

pub use activity::{Activity, ActivityAsked, ActivityPage, FeedPosition};
pub use database::{Access, Database};
pub use fault::{DatabaseFault, FaultKind};
pub use metrics::{Metrics, MetricsAsked};
pub use migrations::{Category, Due, Migrated, Migration, Outcome, Plan};
pub use period::{Granularity, Period, PeriodFault, Zone, periods};
pub use statistics::{ContentCreated, Engagement, UserGrowth};
