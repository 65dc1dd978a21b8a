//! The database of the dashboard, and what is in it: PostgreSQL or SQLite behind one [`Database`].
//!
//! The only door to SQL. A tenant is the first argument of every question, and no question is asked without one.

pub mod activity;
#[cfg(test)]
mod contract_tests;
pub mod database;
pub mod engagement;
pub mod export_jobs;
pub mod export_places;
pub mod export_rows;
#[cfg(test)]
mod export_tests;
pub mod fault;
pub mod indexes;
pub mod lease;
mod mapping;
#[cfg(test)]
mod mapping_tests;
pub mod metrics;
pub mod migrations;
pub mod period;
#[cfg(test)]
mod plan_tests;
pub mod postgres;
#[doc(hidden)]
pub mod questions;
pub mod rollup;
mod row;
pub mod seed;
pub mod sqlite;
pub mod statistics;
pub mod tenants;
#[cfg(test)]
pub(in crate::companion) mod testing;
#[cfg(test)]
mod unfilled_tests;

pub use activity::{Activity, ActivityAsked, ActivityPage, FeedPosition, PAGE_MAX};
pub use database::{Access, Database};
pub use engagement::Engagement;
pub use export_jobs::{ExportFile, ExportJob, ExportStatus};
pub use export_places::{ExportBounds, ExportSpace, Inserted, NewExport};
pub use export_rows::{Moment, RowsAsked, UserRow, UsersPosition};
pub use fault::{DatabaseFault, FaultKind};
pub use indexes::{IndexReport, IndexState};
pub use metrics::{Metrics, MetricsAsked};
pub use migrations::{Category, Due, Migrated, Migration, Outcome, Plan};
pub use period::{
    DAYS_MAX, FIRST_DAY, Granularity, Period, PeriodFault, Zone, days_before, format_us, is_day, parse_us,
    periods, range_before, shifted,
};
pub use rollup::RollupDays;
pub use seed::{SeedAsked, Seeded};
pub use statistics::{ContentCreated, UserGrowth};
pub use tenants::Tenant;
