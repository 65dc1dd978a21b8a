//! Synthetic data: tenants of very different sizes, their users, and what those did over so many days. The same seed makes
//! the same data, moved to the present.

mod cells;
mod happenings;
mod load;
mod random;
mod tables;
mod world;

use crate::base::calendar::DAY_US;
use crate::companion::data::database::Database;
use crate::companion::data::fault::{DatabaseFault, FaultKind};
use crate::companion::data::period::{DAYS_MAX, PeriodFault, Zone};
use crate::companion::data::rollup::RollupDays;
use crate::companion::data::seed::load::Loader;
use crate::companion::data::seed::tables::Events;
use crate::companion::data::seed::world::World;

/// Rows that go to the database at once.
const CHUNK: usize = 2_000;

/// So many days may still change, as where the service counts them.
const LATE_DAYS: u32 = 2;

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeedAsked {
    /// Tenants. The second has half the users of the first, the third a third of them (Zipf's law).
    pub tenants: u32,
    /// Users of a tenant on average.
    pub users_per_tenant: u32,
    /// Days up to now that they have used it, at most two years.
    pub days: u32,
    /// Which data.
    pub seed: u64,
    /// Add to the data that is there.
    pub append: bool,
    /// Microseconds since 1970.
    pub now_us: i64,
}

impl SeedAsked {
    /// Rows that will be made, nearly.
    #[must_use]
    pub fn rows(&self) -> u64 {
        let users = u64::from(self.tenants) * u64::from(self.users_per_tenant);
        let events: u64 = Events::ALL.iter().map(|events| events.count(users, self.days)).sum();
        u64::from(self.tenants) + users * 5 + events
    }
}

/// What was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seeded {
    /// Rows by table, in the order in which they were made.
    pub tables: Vec<(&'static str, u64)>,
}

impl Database {
    /// Fills a database, all or nothing; `told` of each table and how many rows more it has.
    ///
    /// # Errors
    /// [`DatabaseFault`]: also where there is data already, unless `append` says so.
    pub async fn seed(
        &self,
        asked: &SeedAsked,
        told: &mut (dyn FnMut(&'static str, usize) + Send),
    ) -> Result<Seeded, DatabaseFault> {
        if !asked.append && !self.is_empty().await? {
            let remedy = "name an empty database, or add to it with `--append` and another `--seed`";
            let says = "there is data in it";
            return Err(DatabaseFault::new(FaultKind::Refused, self.place(), "seeding", says, remedy));
        }
        let mut loader = Loader::begin(self).await?;
        let mut seeded = Seeded::default();
        let mut world = World::new(asked);
        for table in world.tables() {
            let mut made = 0;
            loop {
                let rows = world.rows(table, CHUNK);
                if rows.is_empty() {
                    break;
                }
                loader.insert(table.spec(), &rows).await?;
                told(table.spec().name, rows.len());
                made += u64::try_from(rows.len()).unwrap_or(0);
            }
            seeded.tables.push((table.spec().name, made));
        }
        loader.commit().await?;
        self.roll_up_days(asked).await?;
        Ok(seeded)
    }

    /// The figures by day for what was made.
    async fn roll_up_days(&self, asked: &SeedAsked) -> Result<(), DatabaseFault> {
        let days = i64::from(asked.days).min(i64::from(DAYS_MAX) - 3);
        let fault = |fault: PeriodFault| {
            DatabaseFault::new(FaultKind::Failed, self.place(), "seeding", fault.to_string(), "")
        };
        let utc = Zone::parse("UTC").map_err(fault)?;
        let at_most = RollupDays::at(asked.now_us, LATE_DAYS).map_err(fault)?;
        // A day more on both sides: somewhere it is another day.
        let (from, to) = (utc.day(asked.now_us - (days + 1) * DAY_US), utc.day(asked.now_us + DAY_US));
        self.refresh_rollups(&from, &to, &at_most.settled).await
    }
}
