//! Reads what an export tells, and sends it down the pipe in parts. Rows are those of one moment; figures are counted just
//! before it.

use crate::companion::data::{
    Activity, ContentCreated, Database, DatabaseFault, Engagement, FeedPosition, Metrics, MetricsAsked,
    Moment, UserGrowth, UserRow, UsersPosition, Zone, export_rows, periods,
};
use crate::companion::exports::asked::{ACTIVITY, Format, Order, Report};
use crate::companion::exports::table::{Cell, Cells, Column, Facts, Head, Kind, Part};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::Sender;

/// Growth in the report of metrics is that of so many days.
const COMPARE_DAYS: u32 = 30;

/// Why nothing more is read.
#[derive(Debug)]
pub(super) enum ReadFault {
    /// The database.
    Database(DatabaseFault),
    /// Whoever writes has ended, and says why.
    NobodyWrites,
}

impl From<DatabaseFault> for ReadFault {
    fn from(fault: DatabaseFault) -> Self {
        Self::Database(fault)
    }
}

/// Where it is read from, and where it goes.
pub(super) struct Source<'a> {
    /// The application's database.
    pub database: &'a Database,
    /// Whose rows.
    pub tenant: &'a str,
    /// What is asked for.
    pub order: &'a Order,
    /// To whoever writes.
    pub pipe: &'a Sender<Part>,
    /// How many may read at once: each takes a connection for as long as it reads.
    pub reading: &'a Semaphore,
}

/// What is said about the whole, in front of it.
pub(super) fn facts(tenant: &str, order: &Order) -> Facts {
    let day = |day: &Option<String>| day.clone().map_or(Cell::Empty, Cell::Day);
    vec![
        ("report", Cell::Text(order.report.as_str().to_owned())),
        ("organization_id", Cell::Text(tenant.to_owned())),
        ("from", day(&order.from)),
        ("to", day(&order.to)),
        ("timezone", Cell::Text(order.timezone.clone())),
        ("generated_at", Cell::Time(order.asked_us)),
    ]
}

/// Are there rows to count? Days and figures are few.
pub(super) fn is_counted(order: &Order) -> bool {
    matches!(order.report, Report::Users | Report::Activity) || order.has_history()
}

/// How many rows there will be, counted up to `most`.
pub(super) async fn count(
    database: &Database,
    tenant: &str,
    order: &Order,
    most: i64,
) -> Result<i64, DatabaseFault> {
    let mut rows = match order.report {
        Report::Users => database.count_users(tenant, order.rows(), most).await?,
        Report::Activity => database.count_activity(tenant, order.rows(), most).await?,
        // As many as there are days, at most.
        Report::Metrics | Report::Statistics => 0,
    };
    if order.has_history() {
        rows += database.count_activity(tenant, order.rows(), most).await?;
    }
    Ok(rows)
}

impl Source<'_> {
    /// Sends everything, and its end, when it is its turn.
    pub(super) async fn send(&self) -> Result<(), ReadFault> {
        // It is never closed.
        let _turn = self.reading.acquire().await;
        let is_csv = self.order.format == Format::Csv;
        match self.order.report {
            Report::Statistics => self.statistics(is_csv).await?,
            Report::Metrics => self.metrics(is_csv).await?,
            Report::Users | Report::Activity => {}
        }
        if is_counted(self.order) {
            self.rows(is_csv).await?;
        }
        self.part(Part::End).await
    }

    /// Everything that is read row by row, at one moment.
    async fn rows(&self, is_csv: bool) -> Result<(), ReadFault> {
        let mut moment = self.database.moment().await?;
        if self.order.report == Report::Users {
            self.users(&mut moment).await?;
        }
        if self.order.report == Report::Activity {
            self.table("activity", picked(self.order)).await?;
            return self.activity(&mut moment, &picked(self.order)).await;
        }
        if !self.order.has_history() {
            return Ok(());
        }
        if is_csv {
            return self.activity(&mut moment, &[]).await;
        }
        self.table("activity", ACTIVITY.to_vec()).await?;
        self.activity(&mut moment, ACTIVITY).await
    }

    async fn part(&self, part: Part) -> Result<(), ReadFault> {
        self.pipe.send(part).await.map_err(|_closed| ReadFault::NobodyWrites)
    }

    async fn table(&self, name: &'static str, columns: Vec<(&'static str, Kind)>) -> Result<(), ReadFault> {
        let columns = columns.into_iter().map(|(name, kind)| Column { name, kind }).collect();
        self.part(Part::Table(Head { name, columns })).await
    }

    async fn users(&self, moment: &mut Moment<'_>) -> Result<(), ReadFault> {
        let columns = picked(self.order);
        self.table("users", columns.clone()).await?;
        let mut after: Option<UsersPosition> = None;
        loop {
            let users = moment.users(self.tenant, self.order.rows(), after.as_ref()).await?;
            after = users
                .last()
                .map(|user| UsersPosition { created_at_us: user.created_at_us, id: user.id.clone() });
            let is_last = users.len() < export_rows::CHUNK_ROWS;
            self.part(Part::Rows(users.iter().map(|user| of_user(user, &columns)).collect())).await?;
            if is_last {
                return Ok(());
            }
        }
    }

    /// What happened; without columns as lines among figures.
    async fn activity(
        &self,
        moment: &mut Moment<'_>,
        columns: &[(&'static str, Kind)],
    ) -> Result<(), ReadFault> {
        let mut after = None;
        loop {
            let items = moment.activity(self.tenant, self.order.rows(), after).await?;
            after =
                items.last().map(|item| FeedPosition { occurred_at_us: item.occurred_at_us, id: item.id });
            let is_last = items.len() < export_rows::CHUNK_ROWS;
            let row = |item| if columns.is_empty() { as_figure(item) } else { of_activity(item, columns) };
            self.part(Part::Rows(items.into_iter().map(row).collect())).await?;
            if is_last {
                return Ok(());
            }
        }
    }

    async fn statistics(&self, is_one_table: bool) -> Result<(), ReadFault> {
        let (Some(from), Some(to)) = (&self.order.from, &self.order.to) else { return Ok(()) };
        let zone = Zone::parse(&self.order.timezone);
        let spans =
            zone.and_then(|zone| periods(from, to, self.order.granularity(), &zone)).unwrap_or_default();
        let growth = self.database.user_growth(self.tenant, &spans).await?;
        let content = self.database.content_created(self.tenant, &spans).await?;
        let engagement = self.database.engagement(self.tenant, &spans).await?;
        let days: Vec<Day<'_>> =
            growth.iter().zip(&content).zip(&engagement).map(|((a, b), c)| (a, b, c)).collect();
        let columns = picked(self.order);
        if is_one_table {
            return self.days("statistics", columns, &days).await;
        }
        for (table, of_table) in TABLES {
            let is_here = |name: &str| name == "date" || of_table.contains(&name);
            let mut some: Vec<(&str, Kind)> =
                columns.iter().copied().filter(|(name, _)| is_here(name)).collect();
            if some.iter().all(|(name, _)| *name == "date") {
                continue;
            }
            // Without its day a row tells nothing.
            if !some.iter().any(|(name, _)| *name == "date") {
                some.insert(0, ("date", Kind::Day));
            }
            self.days(table, some, &days).await?;
        }
        Ok(())
    }

    async fn days(
        &self,
        table: &'static str,
        columns: Vec<(&'static str, Kind)>,
        days: &[Day<'_>],
    ) -> Result<(), ReadFault> {
        let row = |day: &Day<'_>| columns.iter().map(|(name, _)| of_day(day, name)).collect();
        let rows = days.iter().map(row).collect();
        self.table(table, columns).await?;
        self.part(Part::Rows(rows)).await
    }

    async fn metrics(&self, is_one_table: bool) -> Result<(), ReadFault> {
        let Ok(zone) = Zone::parse(&self.order.timezone) else { return Ok(()) };
        let day = zone.day(self.order.asked_us);
        let asked = MetricsAsked { now_us: self.order.asked_us, zone, compare_days: COMPARE_DAYS };
        let metrics = self.database.metrics(self.tenant, &asked).await?;
        if is_one_table {
            let columns = vec![
                ("section", Kind::Text),
                ("date", Kind::Time),
                ("name", Kind::Text),
                ("value", Kind::Text),
            ];
            self.table("metrics", columns).await?;
        }
        for (section, figures) in sections(&metrics) {
            if !is_one_table {
                self.table(section, vec![("name", Kind::Text), ("value", Kind::Number)]).await?;
            }
            let row = |(name, value): (String, Cell)| {
                let name = Cell::Text(name);
                if !is_one_table {
                    return vec![name, value];
                }
                vec![Cell::Text(section.to_owned()), Cell::Day(day.clone()), name, value]
            };
            self.part(Part::Rows(figures.into_iter().map(row).collect())).await?;
        }
        Ok(())
    }
}

/// The figures of a span.
type Day<'a> = (&'a UserGrowth, &'a ContentCreated, &'a Engagement);

/// Which figures over time stand together where there are several tables.
const TABLES: &[(&str, &[&str])] = &[
    ("users", &["new_users", "total_users"]),
    (
        "content",
        &["content_created", "content_draft", "content_review", "content_published", "content_archived"],
    ),
    ("engagement", &["sessions", "active_users", "avg_session_seconds"]),
];

/// The columns that were picked, with what stands in them.
fn picked(order: &Order) -> Vec<(&'static str, Kind)> {
    let known = order.report.columns();
    let find = |name: &String| known.iter().find(|(column, _)| column == name).copied();
    order.columns.iter().filter_map(find).collect()
}

fn of_user(user: &UserRow, columns: &[(&str, Kind)]) -> Cells {
    let cell = |name: &str| match name {
        "id" => Cell::Text(user.id.clone()),
        "name" => {
            let parts: Vec<&str> =
                [&user.first_name, &user.last_name].into_iter().flatten().map(String::as_str).collect();
            Cell::Text(parts.join(" "))
        }
        "first_name" => Cell::text(user.first_name.clone()),
        "last_name" => Cell::text(user.last_name.clone()),
        "role" => Cell::text(user.role.clone()),
        "created_at" => Cell::Time(user.created_at_us),
        "last_login_at" => Cell::time(user.last_login_at_us),
        _ => Cell::Empty,
    };
    columns.iter().map(|(name, _)| cell(name)).collect()
}

fn of_activity(mut item: Activity, columns: &[(&str, Kind)]) -> Cells {
    let mut cell = |name: &str| match name {
        "id" => Cell::Integer(item.id),
        "type" => Cell::Text(std::mem::take(&mut item.activity_type)),
        "user_id" => Cell::text(item.user_id.take()),
        "user_name" => Cell::text(item.user_name.take()),
        "entity_type" => Cell::text(item.entity_type.take()),
        "entity_id" => Cell::text(item.entity_id.take()),
        "summary" => Cell::Text(std::mem::take(&mut item.summary)),
        "occurred_at" => Cell::Time(item.occurred_at_us),
        _ => Cell::Empty,
    };
    columns.iter().map(|(name, _)| cell(name)).collect()
}

/// What happened as a line among figures.
fn as_figure(item: Activity) -> Cells {
    vec![
        Cell::Text("activity".to_owned()),
        Cell::Time(item.occurred_at_us),
        Cell::Text(item.activity_type),
        Cell::Text(item.summary),
    ]
}

fn of_day((growth, content, engagement): &Day<'_>, name: &str) -> Cell {
    let of_status = |status: &str| Cell::Integer(content.by_status.get(status).copied().unwrap_or(0));
    match name {
        "date" => Cell::Day(growth.date.clone()),
        "new_users" => Cell::Integer(growth.new),
        "total_users" => Cell::Integer(growth.total),
        "content_created" => Cell::Integer(content.total),
        "content_draft" => of_status("draft"),
        "content_review" => of_status("review"),
        "content_published" => of_status("published"),
        "content_archived" => of_status("archived"),
        "sessions" => Cell::Integer(engagement.sessions),
        "active_users" => Cell::Integer(engagement.active_users),
        "avg_session_seconds" => Cell::real(engagement.avg_session_seconds),
        _ => Cell::Empty,
    }
}

/// Figures with their names, as the API calls them.
fn sections(metrics: &Metrics) -> Vec<(&'static str, Vec<(String, Cell)>)> {
    let count = |name: &str, count: i64| (name.to_owned(), Cell::Integer(count));
    let (users, content, engagement) = (&metrics.users, &metrics.content, &metrics.engagement);
    let mut of_users = vec![
        count("total", users.total),
        count("active_today", users.active_today),
        count("active_week", users.active_week),
        count("new_30d", users.new),
        ("growth_rate".to_owned(), Cell::real(users.growth_rate())),
    ];
    of_users.extend(users.by_role.iter().map(|(role, total)| count(&format!("by_role.{role}"), *total)));
    let status = |status: &str| content.by_status.get(status).copied().unwrap_or(0);
    let mut of_content = vec![
        count("total", content.total),
        count("published", status("published")),
        count("draft", status("draft")),
        count("in_review", status("review")),
        count("archived", status("archived")),
    ];
    of_content.extend(content.by_type.iter().map(|(kind, total)| count(&format!("by_type.{kind}"), *total)));
    let of_engagement = vec![
        count("sessions_today", engagement.sessions_today),
        count("sessions_week", engagement.sessions_week),
        ("avg_session_seconds".to_owned(), Cell::real(engagement.avg_session_seconds)),
        count("active_users_week", engagement.active_users_week),
        count("online_now", engagement.online_now),
        count("lessons_completed_30d", engagement.lessons_completed_30d),
        ("avg_score_30d".to_owned(), Cell::real(engagement.avg_score_30d)),
    ];
    vec![("users", of_users), ("content", of_content), ("engagement", of_engagement)]
}
