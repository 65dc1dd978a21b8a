//! What is asked for: read from the body of a request with every fault at once, and kept as it was understood, so that
//! whoever takes the job up does the same.

use crate::companion::data::{Granularity, PeriodFault, RowsAsked, Zone, days_before, periods};
use crate::companion::exports::table::Kind;
use crate::companion::service::Refusal;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Days of a range where only one end of it is given, or none.
const DAYS: i32 = 30;

/// Later than any row: the end of the year 9999, in microseconds since 1970.
const FAR_US: i64 = 253_402_300_799_000_000;

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// CSV (RFC 4180).
    Csv,
    /// JSON (RFC 8259).
    Json,
    /// A workbook (ECMA-376).
    Xlsx,
}

impl Format {
    /// Its name, which its files end in.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Xlsx => "xlsx",
        }
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Json => "application/json",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        }
    }
}

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// The figures of now.
    Metrics,
    /// What happened in a range.
    Activity,
    /// The figures of a range, by day, week or month.
    Statistics,
    /// Users; of a range where one is given: those who were made in it.
    Users,
}

/// Columns of entries of the feed.
pub const ACTIVITY: &[(&str, Kind)] = &[
    ("id", Kind::Number),
    ("type", Kind::Text),
    ("user_id", Kind::Id),
    ("user_name", Kind::Text),
    ("entity_type", Kind::Text),
    ("entity_id", Kind::Id),
    ("summary", Kind::Text),
    ("occurred_at", Kind::Time),
];

/// Columns of users. Addresses are none of them: whoever needs those asks the application.
pub const USERS: &[(&str, Kind)] = &[
    ("id", Kind::Id),
    ("name", Kind::Text),
    ("first_name", Kind::Text),
    ("last_name", Kind::Text),
    ("role", Kind::Text),
    ("created_at", Kind::Time),
    ("last_login_at", Kind::Time),
];

/// Columns of figures over time.
pub const STATISTICS: &[(&str, Kind)] = &[
    ("date", Kind::Day),
    ("new_users", Kind::Number),
    ("total_users", Kind::Number),
    ("content_created", Kind::Number),
    ("content_draft", Kind::Number),
    ("content_review", Kind::Number),
    ("content_published", Kind::Number),
    ("content_archived", Kind::Number),
    ("sessions", Kind::Number),
    ("active_users", Kind::Number),
    ("avg_session_seconds", Kind::Number),
];

impl Report {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Activity => "activity",
            Self::Statistics => "statistics",
            Self::Users => "users",
        }
    }

    /// Columns that may be picked; none where there is nothing to pick.
    pub fn columns(self) -> &'static [(&'static str, Kind)] {
        match self {
            Self::Metrics => &[],
            Self::Activity => ACTIVITY,
            Self::Statistics => STATISTICS,
            Self::Users => USERS,
        }
    }

    /// Those that are taken where none is picked.
    fn usual(self) -> Vec<String> {
        let is_usual = |name: &&str| self != Self::Users || !matches!(*name, "first_name" | "last_name");
        self.columns().iter().map(|(name, _)| *name).filter(is_usual).map(str::to_owned).collect()
    }
}

/// An export as it is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// What is told.
    pub report: Report,
    /// In which format.
    pub format: Format,
    /// The first day, `YYYY-MM-DD`; none: there is no range.
    pub from: Option<String>,
    /// The last day.
    pub to: Option<String>,
    /// `day`, `week` or `month`.
    pub granularity: String,
    /// What happened in the range is told too.
    pub include_history: bool,
    /// Columns, in their order.
    pub columns: Vec<String>,
    /// CSV begins with a mark of its encoding.
    pub bom: bool,
    /// Whose days these are.
    pub timezone: String,
    /// When it was asked for, in microseconds since 1970: what "now" is in figures.
    pub asked_us: i64,
    since_us: i64,
    until_us: i64,
}

impl Order {
    /// Reads a body. Days are those of `zone`.
    ///
    /// # Errors
    /// A refusal with every fault: 400 where it is no JSON object, 422 for members that are not understood.
    pub fn read(body: &[u8], (zone, timezone): (&Zone, &str), now_us: i64) -> Result<Self, Refusal> {
        let Ok(Value::Object(members)) = serde_json::from_slice::<Value>(body) else {
            let detail = "send a JSON object, such as {\"format\":\"csv\",\"report\":\"users\"}";
            return Err(Refusal::new(400, "invalid-body", "The body is not understood", detail));
        };
        let mut members = Members { members, faults: Vec::new() };
        let format = members.word("format", FORMATS);
        let report = members.word("report", REPORTS).unwrap_or(Report::Metrics);
        let granularity = members.word("granularity", GRANULARITIES).unwrap_or("day");
        let (from, to) = (members.text("from"), members.text("to"));
        let include_history = members.flag("include_history");
        let bom = members.flag("bom");
        let columns = members.columns(report);
        let mut order = Self {
            report,
            format: format.unwrap_or(Format::Json),
            from,
            to,
            granularity: granularity.to_owned(),
            include_history,
            columns,
            bom,
            timezone: timezone.to_owned(),
            asked_us: now_us,
            since_us: 0,
            until_us: FAR_US,
        };
        if format.is_none() && !members.has_fault("format") {
            members.fault("format", "it must be there: csv, json or xlsx");
        }
        let has_tables = matches!(report, Report::Statistics | Report::Users);
        if include_history && has_tables && order.format == Format::Csv {
            let says = "a CSV file holds one table: ask for json or xlsx, or for the report `activity`";
            members.fault("include_history", says);
        }
        order.range(zone, &mut members);
        members.finish(order)
    }

    /// Completes the range, and puts it into moments.
    fn range(&mut self, zone: &Zone, members: &mut Members) {
        // All users are told where nobody names a range, and figures of now have none.
        let needs_none = matches!(self.report, Report::Users | Report::Metrics) && !self.include_history;
        if needs_none && self.from.is_none() && self.to.is_none() {
            return;
        }
        let to = self.to.clone().unwrap_or_else(|| zone.day(self.asked_us));
        let usual = || days_before(&to, DAYS - 1).unwrap_or_else(|_no_day| to.clone());
        let from = self.from.clone().unwrap_or_else(usual);
        match periods(&from, &to, Granularity::Day, zone) {
            Ok(days) => {
                self.since_us = days.first().map_or(0, |day| day.begins_us);
                self.until_us = days.last().map_or(FAR_US, |day| day.ends_us);
            }
            Err(fault) => {
                let is_from = self.from.as_ref() == Some(&to);
                let is_to = matches!(&fault, PeriodFault::Day(day) if *day == to && !is_from);
                members.fault(if is_to { "to" } else { "from" }, &fault.to_string());
            }
        }
        (self.from, self.to) = (Some(from), Some(to));
    }

    /// Rows of the range.
    pub fn rows(&self) -> RowsAsked {
        RowsAsked { since_us: self.since_us, until_us: self.until_us }
    }

    /// How long the spans of statistics are.
    pub fn granularity(&self) -> Granularity {
        match self.granularity.as_str() {
            "week" => Granularity::Week,
            "month" => Granularity::Month,
            _ => Granularity::Day,
        }
    }

    /// Is what happened told beside something else?
    pub fn has_history(&self) -> bool {
        self.include_history && self.report != Report::Activity
    }

    /// A name for the file, for whoever fetches it.
    pub fn file_name(&self) -> String {
        let name = format!("tidegate-{}", self.report.as_str());
        let range = match (&self.from, &self.to) {
            (Some(from), Some(to)) if self.report != Report::Metrics => format!("-{from}-{to}"),
            _ => String::new(),
        };
        format!("{name}{range}.{}", self.format.as_str())
    }
}

const FORMATS: &[(&str, Format)] = &[("csv", Format::Csv), ("json", Format::Json), ("xlsx", Format::Xlsx)];
const REPORTS: &[(&str, Report)] = &[
    ("metrics", Report::Metrics),
    ("activity", Report::Activity),
    ("statistics", Report::Statistics),
    ("users", Report::Users),
];
const GRANULARITIES: &[(&str, &str)] = &[("day", "day"), ("week", "week"), ("month", "month")];

/// The members of the body that nobody has read yet, and what is wrong with those that somebody has.
struct Members {
    members: Map<String, Value>,
    faults: Vec<(String, String)>,
}

impl Members {
    fn fault(&mut self, field: &str, says: &str) {
        self.faults.push((field.to_owned(), says.to_owned()));
    }

    fn has_fault(&self, field: &str) -> bool {
        self.faults.iter().any(|(name, _)| name == field)
    }

    /// A member; `null` is as if it were not there.
    fn take(&mut self, field: &str) -> Option<Value> {
        self.members.remove(field).filter(|value| !value.is_null())
    }

    fn text(&mut self, field: &str) -> Option<String> {
        match self.take(field)? {
            Value::String(text) => Some(text),
            _ => {
                self.fault(field, "it takes a day as text: YYYY-MM-DD");
                None
            }
        }
    }

    fn flag(&mut self, field: &str) -> bool {
        match self.take(field) {
            None => false,
            Some(Value::Bool(flag)) => flag,
            Some(_) => {
                self.fault(field, "it takes true or false");
                false
            }
        }
    }

    fn word<T: Copy>(&mut self, field: &str, words: &[(&str, T)]) -> Option<T> {
        let value = self.take(field)?;
        let found = words.iter().find(|(word, _)| value.as_str() == Some(*word));
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.fault(field, &format!("it takes one of {}", known.join(", ")));
        }
        found.map(|(_, meaning)| *meaning)
    }

    fn columns(&mut self, report: Report) -> Vec<String> {
        let known = report.columns();
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        let remedy = if names.is_empty() {
            format!("the report `{}` has no columns to pick", report.as_str())
        } else {
            format!("it takes a list of {}", names.join(", "))
        };
        let asked = match self.take("columns") {
            None => return report.usual(),
            Some(Value::Array(asked)) if asked.is_empty() => return report.usual(),
            Some(Value::Array(asked)) => asked,
            Some(_) => {
                self.fault("columns", &remedy);
                return Vec::new();
            }
        };
        let mut columns: Vec<String> = Vec::new();
        for column in asked {
            match column.as_str() {
                Some(name) if columns.iter().any(|seen| seen == name) => {
                    self.fault("columns", &format!("`{name}` is named twice"));
                }
                Some(name) if names.contains(&name) => columns.push(name.to_owned()),
                // Not every odd one is named: a body may hold thousands.
                _ if self.has_fault("columns") => {}
                _ => self.fault("columns", &format!("{column} is none of its columns: {remedy}")),
            }
            if columns.len() > names.len() {
                break;
            }
        }
        columns
    }

    fn finish(mut self, order: Order) -> Result<Order, Refusal> {
        let unknown: Vec<String> = self.members.keys().take(10).cloned().collect();
        for name in unknown {
            let known = "format, report, from, to, granularity, include_history, columns, bom";
            self.fault(&name, &format!("no such member; there are {known}"));
        }
        let mut faults = self.faults.into_iter();
        let Some((field, says)) = faults.next() else { return Ok(order) };
        Err(faults
            .fold(Refusal::unprocessable(&field, says), |refusal, (field, says)| refusal.field(&field, says)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 15 June 2026, 12:34:56 UTC.
    const NOW_US: i64 = 1_781_526_896_000_000;

    fn read(body: &str) -> Result<Order, Refusal> {
        let zone = Zone::parse("Pacific/Auckland").expect("a zone");
        Order::read(body.as_bytes(), (&zone, "Pacific/Auckland"), NOW_US)
    }

    fn faults(body: &str) -> Vec<String> {
        let refusal = read(body).expect_err(body);
        assert_eq!(refusal.status, 422, "{body}");
        refusal.errors.into_iter().map(|fault| fault.field).collect()
    }

    #[test]
    fn what_is_left_out_is_completed_by_the_tenants_day() {
        let order = read(r#"{"format": "csv", "report": "activity"}"#).expect("sound");
        // It is past midnight in Auckland.
        let range = (order.from.as_deref(), order.to.as_deref());
        assert_eq!(range, (Some("2026-05-18"), Some("2026-06-16")));
        assert_eq!(
            (order.rows().until_us - order.rows().since_us) / crate::base::calendar::DAY_US,
            i64::from(DAYS)
        );
        assert_eq!(order.columns.len(), ACTIVITY.len());
        assert_eq!(order.file_name(), "tidegate-activity-2026-05-18-2026-06-16.csv");
        let order = read(r#"{"format": "json", "report": "users", "columns": null}"#).expect("sound");
        assert_eq!((order.from.clone(), order.rows().since_us), (None, 0), "all of them");
        assert_eq!(order.columns, ["id", "name", "role", "created_at", "last_login_at"]);
        let order = read(r#"{"format": "xlsx", "to": "2026-03-31", "report": "statistics"}"#).expect("sound");
        assert_eq!(order.from.as_deref(), Some("2026-03-02"));
        let kept = serde_json::to_string(&order).expect("JSON");
        assert_eq!(serde_json::from_str::<Order>(&kept).expect("an order"), order);
    }

    #[test]
    fn every_fault_is_told_with_its_member() {
        let odd = r#"{"format": "pdf", "report": "all", "include_history": 1, "colums": [], "from": 5}"#;
        assert_eq!(faults(odd), ["format", "report", "from", "include_history", "colums"]);
        assert_eq!(faults("{}"), ["format"]);
        assert_eq!(faults(r#"{"format": "csv", "report": "users", "columns": ["email"]}"#), ["columns"]);
        assert_eq!(faults(r#"{"format": "csv", "report": "users", "columns": ["id", "id"]}"#), ["columns"]);
        assert_eq!(faults(r#"{"format": "csv", "report": "metrics", "columns": ["id"]}"#), ["columns"]);
        assert_eq!(
            faults(r#"{"format": "csv", "report": "users", "include_history": true}"#),
            ["include_history"]
        );
        assert_eq!(faults(r#"{"format": "csv", "report": "activity", "to": "2026-02-30"}"#), ["to"]);
        assert_eq!(faults(r#"{"format": "csv", "from": "2024-01-01", "to": "2026-06-01"}"#), ["from"]);
        assert_eq!(faults(r#"{"format": "csv", "from": "2026-06-02", "to": "2026-06-01"}"#), ["from"]);
        for odd in ["", "[]", "{", "null"] {
            assert_eq!(read(odd).expect_err(odd).status, 400);
        }
    }

    #[test]
    fn a_day_far_outside_of_the_calendar_is_a_fault_and_ends_nothing() {
        for odd in [
            "9223372036854775807-01-05",
            "-9223372036854775808-01-05",
            "2026-01-9223372036854775807",
            "2026-9223372036854775807-01",
            "-009999-01-01",
            "",
        ] {
            for report in ["activity", "statistics", "users"] {
                let to = format!(r#"{{"format": "csv", "report": "{report}", "to": "{odd}"}}"#);
                assert_eq!(faults(&to), ["to"]);
                let from = format!(r#"{{"format": "csv", "report": "{report}", "from": "{odd}"}}"#);
                assert_eq!(faults(&from), ["from"]);
            }
        }
    }
}
