//! Counts days anew, so that figures of a year are read from a row a day.
//!
//! One instance of a fleet does it: it has a lease in the database, which is another's when it was not renewed in time. A mark
//! in the database says up to which day everything is counted for good, so a restart makes up for what was missed. Days are
//! counted a few at a time, each within a statement's time. Besides, each run counts one older day once more: what was changed
//! long after its day, or belongs to a tenant that is new or has another time zone, is right when all had their turn.

use crate::base::{Clock, RollupSettings, Tasks, clock};
use crate::companion::data::{
    DAYS_MAX, Database, DatabaseFault, FaultKind, PeriodFault, RollupDays, Zone, shifted,
};
use crate::telemetry::{Metrics, RollupRun};
use std::sync::Arc;
use std::time::Duration;

/// The lease, and the mark of the days that are counted for good.
const WORK: &str = "rollups";

/// The mark of the older day that had its turn last.
const TURN: &str = "rollups_turn";

/// Days that are counted at once, while that fits into a statement's time.
const SLICE_DAYS: i32 = 7;

/// The first run is that long after the start at most: whoever starts answers first.
const START_MAX: Duration = Duration::from_secs(60);

/// A lease is kept for at least that long: a slice takes several statements.
const LEASE_MIN: Duration = Duration::from_secs(30);

/// The job.
pub struct Rollups {
    database: Arc<Database>,
    settings: RollupSettings,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    /// This instance, among those that share the database.
    holder: String,
}

impl Rollups {
    /// The job on a database that may be written to.
    #[must_use]
    pub fn new(
        database: Arc<Database>,
        settings: RollupSettings,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let holder = format!("{:032x}", rand::random::<u128>());
        Self { database, settings, clock, metrics, holder }
    }

    /// Runs again and again until the tasks stop, for the first time after `every`, or a minute where that is less. A run that is broken off then leaves no day half counted.
    pub fn start(self, tasks: &Tasks) {
        tasks.spawn_until_stop("roll-ups", async move {
            tokio::time::sleep(self.settings.every.min(START_MAX)).await;
            loop {
                self.run().await;
                tokio::time::sleep(self.settings.every).await;
            }
        });
    }

    /// One run; what went wrong is logged and counted, and the next run goes on where this one came to.
    pub async fn run(&self) -> RollupRun {
        let began = self.clock.monotonic();
        let run = match self.count_due().await {
            Ok(run) => run,
            Err(fault) => {
                tracing::warn!(%fault, "days are not counted for the dashboard; they are read one by one meanwhile");
                RollupRun::Failed
            }
        };
        self.metrics.rollup(run, self.clock.monotonic().saturating_sub(began), self.clock.wall_ms());
        run
    }

    async fn count_due(&self) -> Result<RollupRun, DatabaseFault> {
        if !self.is_ours().await? {
            return Ok(RollupRun::Left);
        }
        let Some(made_us) = self.database.oldest_organization().await? else {
            return Ok(RollupRun::Done);
        };
        let now_us = clock::micros(self.clock.wall_ms());
        let days = RollupDays::at(now_us, self.settings.days).map_err(|fault| self.odd(&fault))?;
        let oldest = self.shifted(&days.settled, 1 - DAYS_MAX)?;
        let utc = Zone::parse("UTC").map_err(|fault| self.odd(&fault))?;
        let oldest = oldest.max(self.shifted(&utc.day(made_us), -1)?);
        let fresh = self.shifted(&days.settled, 1)?;
        let begin = match self.database.mark(WORK).await? {
            Some(mark) => self.shifted(&mark, 1)?.clamp(oldest.clone().min(fresh.clone()), fresh.clone()),
            None => oldest.clone().min(fresh.clone()),
        };
        let has_missed_none = begin == fresh;
        if !self.count(begin, &days).await? {
            return Ok(RollupRun::Left);
        }
        if has_missed_none && oldest <= days.settled {
            let turn = self.database.mark(TURN).await?;
            let turn = turn.map(|turn| self.shifted(&turn, 1)).transpose()?;
            let turn = turn.filter(|turn| (&oldest..=&days.settled).contains(&turn)).unwrap_or(oldest);
            self.database.refresh_rollups(&turn, &turn, &days.settled).await?;
            self.metrics.rollup_days(1);
            self.database.set_mark(TURN, &turn).await?;
        }
        Ok(RollupRun::Done)
    }

    /// Counts from the day `begin` to the last, a slice at a time. `false` where another instance has taken over.
    async fn count(&self, begin: String, days: &RollupDays) -> Result<bool, DatabaseFault> {
        let (mut from, mut slice) = (begin, SLICE_DAYS);
        while from <= days.last {
            if !self.is_ours().await? {
                return Ok(false);
            }
            // What is settled and what is not have slices of their own: the mark stands at the end of one.
            let border = if from <= days.settled { &days.settled } else { &days.last };
            let to = self.shifted(&from, slice - 1)?.min(border.clone());
            match self.database.refresh_rollups(&from, &to, &days.settled).await {
                Err(fault) if fault.kind == FaultKind::Slow && slice > 1 => {
                    slice /= 2;
                    continue;
                }
                done => done?,
            }
            let next = self.shifted(&to, 1)?;
            self.metrics.rollup_days(self.between(&from, &next)?);
            if to <= days.settled {
                self.database.set_mark(WORK, &to).await?;
            }
            from = next;
        }
        Ok(true)
    }

    async fn is_ours(&self) -> Result<bool, DatabaseFault> {
        let ttl = self.settings.every.saturating_mul(3).max(LEASE_MIN);
        let is_ours = self.database.take_lease(WORK, &self.holder, ttl).await;
        self.metrics.rollup_leads(*is_ours.as_ref().unwrap_or(&false));
        is_ours
    }

    /// Days from `from` to before `end`, a slice at most.
    fn between(&self, from: &str, end: &str) -> Result<u64, DatabaseFault> {
        let mut count = 0;
        let mut day = from.to_owned();
        while day.as_str() < end {
            day = self.shifted(&day, 1)?;
            count += 1;
        }
        Ok(count)
    }

    fn shifted(&self, day: &str, days: i32) -> Result<String, DatabaseFault> {
        shifted(day, days).map_err(|fault| self.odd(&fault))
    }

    fn odd(&self, fault: &PeriodFault) -> DatabaseFault {
        let says = fault.to_string();
        DatabaseFault::new(
            FaultKind::Failed,
            self.database.place(),
            "counting days",
            says,
            "is the clock right?",
        )
    }
}
