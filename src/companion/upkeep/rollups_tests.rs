//! The job on both engines: each day once, whoever is killed, whatever was missed.

use crate::base::calendar::DAY_US;
use crate::base::{Clock, ManualClock, RollupSettings};
use crate::companion::data::testing::{NOW_US, Postgres, SEED, filled, sqlite};
use crate::companion::upkeep::Rollups;
use crate::companion::{Database, Granularity, Zone, periods};
use crate::telemetry::{Metrics, RollupRun};
use std::sync::Arc;
use std::time::Duration;

const SETTINGS: RollupSettings = RollupSettings { every: Duration::from_secs(60), days: 2 };

/// An instance: its job, and what it has counted.
struct Instance {
    job: Rollups,
    metrics: Arc<Metrics>,
}

impl Instance {
    fn new(database: &Arc<Database>, clock: &Arc<ManualClock>) -> Self {
        let metrics = Arc::new(Metrics::new(0).expect("metrics"));
        let clock: Arc<dyn Clock> = clock.clone();
        let job = Rollups::new(Arc::clone(database), SETTINGS, clock, Arc::clone(&metrics));
        Self { job, metrics }
    }

    /// The days that it has counted.
    fn days(&self) -> u64 {
        self.metric("tidegate_dashboard_rollup_days_total")
    }

    fn metric(&self, name: &str) -> u64 {
        let text = self.metrics.render();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.unwrap_or_else(|| panic!("{name} in {text}"))
    }
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(u64::try_from(NOW_US / 1_000).expect("after 1970")))
}

/// Sessions of a tenant from the 1st to the 16th of June, all together and by day.
async fn sessions(database: &Database, tenant: &str) -> (i64, String) {
    let zone =
        Zone::parse(&database.tenant_zone(tenant).await.expect("told").expect("a zone")).expect("a zone");
    let spans = periods("2026-06-01", "2026-06-16", Granularity::Day, &zone).expect("a range");
    let told = database.engagement(tenant, &spans).await.expect("engagement");
    (told.iter().map(|span| span.sessions).sum(), format!("{told:?}"))
}

/// What a test does on either engine besides.
struct Hands {
    database: Arc<Database>,
    tenant: String,
}

impl Hands {
    async fn new(database: Database) -> Self {
        let sql = "SELECT CAST(id AS text) AS it FROM organizations ORDER BY slug LIMIT 1";
        let database = Arc::new(database);
        let tenant = database.texts(sql).await.swap_remove(0);
        Self { database, tenant }
    }

    async fn one(&self, sql: &'static str) -> String {
        self.database.texts(sql).await.pop().unwrap_or_default()
    }

    /// Three more sessions, some seconds after `moment_us`.
    async fn add_sessions(&self, moment_us: i64) {
        self.database.add_sessions(&self.tenant, moment_us, 3).await;
    }
}

async fn two_instances_count_each_day_once_and_the_second_takes_over(database: Database) {
    let hands = Hands::new(database).await;
    let clock = clock();
    let (one, two) = (Instance::new(&hands.database, &clock), Instance::new(&hands.database, &clock));
    let (first, second) = tokio::join!(one.job.run(), two.job.run());
    let mut runs = [first, second].map(RollupRun::as_str);
    runs.sort_unstable();
    assert_eq!(runs, ["done", "left"]);
    let (holder, other) = if first == RollupRun::Done { (&one, &two) } else { (&two, &one) };
    let settled =
        hands.one("SELECT CAST(day AS text) AS it FROM companion_marks WHERE name = 'rollups'").await;
    assert_eq!(settled, "2026-06-13");
    let span = "SELECT CAST(count(DISTINCT day) AS text) AS it FROM metrics_daily WHERE settled";
    let before = holder.days();
    // Those that are settled, and from the 14th to the 16th: it is the 16th already fourteen hours east.
    assert_eq!(before.to_string(), (hands.one(span).await.parse::<u64>().expect("a number") + 3).to_string());
    assert_eq!((other.days(), other.metric("tidegate_dashboard_rollup_leader")), (0, 0));
    assert_eq!(holder.metric("tidegate_dashboard_rollup_leader"), 1);

    // The next run counts what may still change, and one older day.
    assert_eq!((holder.job.run().await, other.job.run().await), (RollupRun::Done, RollupRun::Left));
    assert_eq!((holder.days() - before, other.days()), (4, 0));

    // Killed: it renews no more, and its time goes by.
    hands.database.expire_leases().await;
    assert_eq!((other.job.run().await, holder.job.run().await), (RollupRun::Done, RollupRun::Left));
    assert_eq!((other.days(), holder.metric("tidegate_dashboard_rollup_leader")), (4, 0));
}

async fn what_comes_late_or_was_missed_is_counted(database: Database) {
    let hands = Hands::new(database).await;
    let clock = clock();
    let instance = Instance::new(&hands.database, &clock);
    assert_eq!(instance.job.run().await, RollupRun::Done);
    let (before, _) = sessions(&hands.database, &hands.tenant).await;

    // Late by a day: counted now, and rolled up by the next run.
    hands.add_sessions(NOW_US - DAY_US).await;
    assert_eq!(sessions(&hands.database, &hands.tenant).await.0, before + 3);
    assert_eq!(instance.job.run().await, RollupRun::Done);
    // Five days later, of which nobody has counted any. What happened meanwhile is there all the same.
    hands.add_sessions(NOW_US + DAY_US / 2).await;
    clock.advance(Duration::from_secs(5 * 86_400));
    let (_, live) = sessions(&hands.database, &hands.tenant).await;
    let days = instance.days();
    assert_eq!(instance.job.run().await, RollupRun::Done);
    assert_eq!(instance.days() - days, 8, "five that became settled, three that may change");
    let mark = "SELECT CAST(day AS text) AS it FROM companion_marks WHERE name = 'rollups'";
    assert_eq!(hands.one(mark).await, "2026-06-18");
    let (total, rolled) = sessions(&hands.database, &hands.tenant).await;
    assert_eq!((total, rolled), (before + 6, live));
    let left =
        "SELECT CAST(count(*) AS text) AS it FROM metrics_daily WHERE NOT settled AND day <= '2026-06-18'";
    assert_eq!(hands.one(left).await, "0", "all of them are read from now on");

    // Later than may be: right when its day has had its turn.
    hands.add_sessions(NOW_US - 10 * DAY_US).await;
    assert_eq!(sessions(&hands.database, &hands.tenant).await.0, before + 6);
    hands.database.set_mark("rollups_turn", "2026-06-03").await.expect("it is set");
    for _ in 0..3 {
        assert_eq!(instance.job.run().await, RollupRun::Done);
    }
    assert_eq!(sessions(&hands.database, &hands.tenant).await.0, before + 9);
}

#[tokio::test]
async fn one_of_two_instances_on_postgres_counts_and_the_other_takes_over() {
    let server = Postgres::start().await;
    let database = filled(&server.database("app"), &SEED).await;
    two_instances_count_each_day_once_and_the_second_takes_over(database).await;
}

#[tokio::test]
async fn one_of_two_instances_on_sqlite_counts_and_the_other_takes_over() {
    let place = sqlite(&SEED).await;
    two_instances_count_each_day_once_and_the_second_takes_over(place.database).await;
}

#[tokio::test]
async fn postgres_gets_late_and_missed_days_counted() {
    let server = Postgres::start().await;
    let database = filled(&server.database("app"), &SEED).await;
    what_comes_late_or_was_missed_is_counted(database).await;
}

#[tokio::test]
async fn sqlite_gets_late_and_missed_days_counted() {
    let place = sqlite(&SEED).await;
    what_comes_late_or_was_missed_is_counted(place.database).await;
}

#[tokio::test]
async fn a_database_that_cannot_be_asked_is_a_failed_run_and_no_end() {
    let place = sqlite(&SEED).await;
    let database = Arc::new(place.database);
    let instance = Instance::new(&database, &clock());
    database.by_hand("DROP TABLE companion_marks").await;
    assert_eq!(instance.job.run().await, RollupRun::Failed);
    assert_eq!(instance.metric("tidegate_dashboard_rollup_runs_total{result=\"failed\"}"), 1);
}
