//! All questions of the companion, by name: for whoever looks at their plans, which is the tests and `benches/dashboard`.

use crate::base::calendar::DAY_US;
use crate::companion::data::activity::{self, ActivityAsked, FeedPosition};
use crate::companion::data::database::Database;
use crate::companion::data::export_rows::{self, RowsAsked};
use crate::companion::data::fault::DatabaseFault;
use crate::companion::data::metrics::{self, MetricsAsked};
use crate::companion::data::period::{Granularity, Period, Zone, periods};
use crate::companion::data::row::{Arg, Ask, PostgresQuery, bind_postgres, dialects};
use crate::companion::data::{engagement, lease, rollup, statistics};

/// Of which part of the service a question is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The figures of the first page.
    Metrics,
    /// The feed.
    Activity,
    /// Figures over time.
    Statistics,
    /// Rows of exports.
    Exports,
    /// Counting days anew. It changes something, and each of its steps wants the one before.
    RollUp,
    /// Of no tenant: small tables as a whole.
    Other,
}

/// Whose figures, and when.
#[derive(Debug, Clone)]
pub struct Asker {
    /// The tenant.
    pub tenant: String,
    /// One of its users.
    pub user: String,
    /// Its time zone, by name.
    pub zone: String,
    /// Microseconds since 1970.
    pub now_us: i64,
}

/// A question with its arguments.
#[derive(Debug)]
pub struct Question {
    /// The name of its text, and what it is asked about.
    pub name: &'static str,
    /// Where it is asked.
    pub part: Part,
    ask: Ask,
}

impl Question {
    /// Its text in PostgreSQL's dialect.
    #[must_use]
    pub fn postgres(&self) -> &'static str {
        self.ask.postgres
    }

    /// Its text in SQLite's dialect.
    #[must_use]
    pub fn sqlite(&self) -> &'static str {
        self.ask.sqlite
    }

    /// Gives a statement its arguments.
    pub fn bind<'q>(&'q self, query: PostgresQuery<'q>) -> PostgresQuery<'q> {
        bind_postgres(query, &self.ask.args)
    }

    /// Asks it, and counts the rows of the answer. Not for [`Part::RollUp`].
    ///
    /// # Errors
    /// [`DatabaseFault`].
    pub async fn rows(&self, database: &Database) -> Result<usize, DatabaseFault> {
        Ok(database.figures(&self.ask).await?.len())
    }
}

/// All questions for one tenant. None where `zone` is no time zone.
#[must_use]
pub fn questions(asker: &Asker) -> Vec<Question> {
    let Ok(zone) = Zone::parse(&asker.zone) else { return Vec::new() };
    let days = |count: i64| {
        let from = zone.day(asker.now_us - (count - 1) * DAY_US);
        periods(&from, &zone.day(asker.now_us), Granularity::Day, &zone).unwrap_or_default()
    };
    let mut all = Vec::new();
    let mut add = |part: Part, named: Vec<(&'static str, Ask)>| {
        all.extend(named.into_iter().map(|(name, ask)| Question { name, part, ask }));
    };
    let asked = MetricsAsked { now_us: asker.now_us, zone: zone.clone(), compare_days: 30 };
    add(Part::Metrics, metrics::asks(&asker.tenant, &asked));
    add(Part::Activity, feeds(asker));
    add(Part::Statistics, over_time(&asker.tenant, &days(90), &days(365)));
    let rows = RowsAsked { since_us: asker.now_us - 90 * DAY_US, until_us: asker.now_us };
    add(Part::Exports, export_rows::asks(&asker.tenant, rows));
    let today = zone.day(asker.now_us);
    add(Part::RollUp, lease::asks(&today));
    add(Part::RollUp, rollup::asks(&asker.zone, &days(2), &today));
    let none = |doing, texts| Ask::new(doing, texts, Vec::new());
    add(
        Part::Other,
        vec![
            ("oldest_organization", rollup::oldest_organization()),
            ("zones", none("reading time zones", dialects!("zones"))),
            ("any_organization", none("looking for data", dialects!("any_organization"))),
            (
                "tenant_zone",
                Ask::new(
                    "reading a time zone",
                    dialects!("tenant_zone"),
                    vec![Arg::Text(asker.tenant.clone())],
                ),
            ),
        ],
    );
    all
}

fn over_time(tenant: &str, quarter: &[Period], year: &[Period]) -> Vec<(&'static str, Ask)> {
    const QUARTER: &[&str] = &["engagement, 90 days", "rolled_days, 90 days", "rolled_users, 90 days"];
    const YEAR: &[&str] = &["engagement, 365 days", "rolled_days, 365 days", "rolled_users, 365 days"];
    let begins_us = quarter.first().map_or(0, |first| first.begins_us);
    let mut all = vec![
        ("users_before", statistics::users_before(tenant, begins_us)),
        ("user_growth, 90 days", statistics::user_growth(tenant, quarter)),
        ("user_growth, 365 days", statistics::user_growth(tenant, year)),
        ("content_created, 90 days", statistics::content_created(tenant, quarter)),
        ("content_created, 365 days", statistics::content_created(tenant, year)),
    ];
    for (periods, names) in [(quarter, QUARTER), (year, YEAR)] {
        let asks = engagement::asks(tenant, periods).into_iter();
        all.extend(asks.zip(names).map(|(ask, name)| (*name, ask)));
    }
    all
}

fn feeds(asker: &Asker) -> Vec<(&'static str, Ask)> {
    let page = ActivityAsked { limit: 20, ..ActivityAsked::default() };
    let far = FeedPosition { occurred_at_us: asker.now_us - 300 * DAY_US, id: i64::MAX };
    let types = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>();
    let ask = |asked: ActivityAsked| activity::ask(&asker.tenant, &asked);
    vec![
        ("activity", ask(page.clone())),
        ("activity, 300 days back", ask(ActivityAsked { after: Some(far), ..page.clone() })),
        (
            "activity_of_types",
            ask(ActivityAsked { types: types(&["login", "settings_changed"]), ..page.clone() }),
        ),
        (
            "activity_of_types, a rare one",
            ask(ActivityAsked { types: types(&["settings_changed"]), ..page.clone() }),
        ),
        ("activity_of_user", ask(ActivityAsked { user: Some(asker.user.clone()), ..page })),
    ]
}
