//! From a log to requests in the order of their time.
//!
//! Memory: 24 bytes a request (36 while they are put in order), at most [`REQUESTS_MAX`] of them, and about 1 KiB for each
//! sender on each route, at most [`PLANS_MAX`]. The simulation adds 4 to 8 bytes a request and policy. Lines are read
//! through a buffer of fixed size.

use std::io;

use crate::app::replay::entry::Skip;
use crate::app::replay::formats::csv::{ColumnChoice, HeaderFault};
use crate::app::replay::formats::{Format, LogKind};
use crate::app::replay::lines::{Line, Lines};
use crate::app::replay::plan::{Cast, Planned, Planner, Request};
use crate::config::Snapshot;

/// Requests that are kept; what follows in the log is not read, and the report says so.
pub const REQUESTS_MAX: usize = 50_000_000;

/// Senders on routes that are kept; likewise.
pub const PLANS_MAX: usize = 2_000_000;

/// Unreadable lines that are named.
const EXAMPLES_MAX: usize = 5;

/// Why a log cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum LogFault {
    /// It cannot be opened, or not be read to its end.
    #[error("{name} cannot be read: {error}")]
    Unreadable {
        /// The log.
        name: String,
        /// What the system says.
        error: io::Error,
    },
    /// The row of names of a CSV does not say enough.
    #[error("{name}: {fault}")]
    Header {
        /// The log.
        name: String,
        /// What is missing.
        fault: HeaderFault,
    },
    /// Nothing in it is a request.
    #[error(
        "{name} has no line that can be read{example}\n  formats are: json (access lines of tidegate with --log-format \
         json), combined or common (nginx, Apache), csv (a row of column names; see --columns)"
    )]
    Nothing {
        /// The log.
        name: String,
        /// The first line that could not be read, and why.
        example: String,
    },
}

/// How lines were taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All.
    pub lines: u64,
    /// Of requests under limits.
    pub limited: u64,
    /// Of something else.
    pub other: u64,
    /// Not readable.
    pub unreadable: u64,
    /// Of requests that were refused before limits are asked.
    pub refused: u64,
    /// Of requests that no route takes.
    pub no_route: u64,
    /// Of requests on routes without limits.
    pub unlimited: u64,
    /// Of requests under limits that the log shows as denied.
    pub already_denied: u64,
}

/// What a log lacked, for the notes of the report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Facts {
    /// Lines without a status.
    pub has_no_status: bool,
    /// Lines without an address.
    pub has_no_address: bool,
    /// Lines without a host.
    pub has_no_host: bool,
    /// Routes with a host.
    pub has_host_routes: bool,
    /// No time stamp has a fraction.
    pub is_whole_seconds: bool,
    /// Was there more than is kept?
    pub is_cut: bool,
}

/// A log, read.
#[derive(Debug)]
pub struct Intake {
    /// `json`, `combined` or `csv`.
    pub format: &'static str,
    /// The requests under limits, oldest first; equal times as in the log.
    pub requests: Vec<Request>,
    /// Everybody in them.
    pub cast: Cast,
    /// How lines were taken.
    pub counts: Counts,
    /// The first unreadable lines: number from 1, and why.
    pub examples: Vec<(u64, &'static str)>,
    /// What the log lacked.
    pub facts: Facts,
}

/// How to read.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// The log's name for messages.
    pub name: &'a str,
    /// Its format.
    pub kind: LogKind,
    /// Which columns of a CSV mean what.
    pub columns: &'a [ColumnChoice],
    /// Leave out requests that the log shows as denied?
    pub is_without_denied: bool,
}

/// Reads a whole log.
///
/// # Errors
/// [`LogFault`].
pub fn take(reading: &Reading<'_>, lines: &mut Lines, snapshot: &Snapshot) -> Result<Intake, LogFault> {
    let unreadable = |error| LogFault::Unreadable { name: reading.name.to_owned(), error };
    let nothing = |example: String| LogFault::Nothing { name: reading.name.to_owned(), example };
    let head = lines.head().map_err(unreadable)?;
    let format = Format::of(reading.kind, head, reading.columns).ok_or_else(|| nothing(String::new()))?;
    let mut taker = Taker::new(format, snapshot);
    while !taker.is_full() {
        let Some(line) = lines.next_line().map_err(unreadable)? else { break };
        taker
            .line(&line, reading.is_without_denied)
            .map_err(|fault| LogFault::Header { name: reading.name.to_owned(), fault })?;
    }
    if taker.readable() == 0 {
        let first = taker.examples.first();
        return Err(nothing(first.map_or_else(String::new, |(line, why)| format!("; line {line}: {why}"))));
    }
    Ok(taker.done(snapshot))
}

struct Taker<'a> {
    format: Format,
    planner: Planner<'a>,
    requests: Vec<Request>,
    counts: Counts,
    examples: Vec<(u64, &'static str)>,
    facts: Facts,
}

impl<'a> Taker<'a> {
    fn new(format: Format, snapshot: &'a Snapshot) -> Self {
        let facts = Facts { is_whole_seconds: true, ..Facts::default() };
        let planner = Planner::new(snapshot);
        Self { format, planner, requests: Vec::new(), counts: Counts::default(), examples: Vec::new(), facts }
    }

    fn is_full(&mut self) -> bool {
        self.facts.is_cut = self.requests.len() >= REQUESTS_MAX || self.planner.plans() >= PLANS_MAX;
        self.facts.is_cut
    }

    /// Lines that told of requests.
    fn readable(&self) -> u64 {
        let Counts { limited, refused, no_route, unlimited, .. } = self.counts;
        limited + refused + no_route + unlimited
    }

    fn line(&mut self, line: &Line<'_>, is_without_denied: bool) -> Result<(), HeaderFault> {
        self.counts.lines += 1;
        let Line::Whole(line) = line else {
            self.unreadable("it is longer than 64 KiB");
            return Ok(());
        };
        let entry = match self.format.read(line)? {
            Ok(entry) => entry,
            Err(Skip::Other) => {
                self.counts.other += 1;
                return Ok(());
            }
            Err(Skip::Refused) => {
                self.counts.refused += 1;
                return Ok(());
            }
            Err(Skip::Unreadable(why)) => {
                self.unreadable(why);
                return Ok(());
            }
        };
        match self.planner.plan(&entry) {
            Planned::Limited(request) => {
                self.facts.has_no_status |= entry.status == 0;
                self.facts.has_no_address |= entry.client.is_empty();
                self.facts.has_no_host |= entry.host.is_empty();
                self.facts.is_whole_seconds &= entry.start_us.is_multiple_of(1_000_000);
                self.counts.limited += 1;
                self.counts.already_denied += u64::from(entry.is_denied);
                if !(is_without_denied && entry.is_denied) {
                    self.requests.push(request);
                }
            }
            Planned::Unlimited => self.counts.unlimited += 1,
            Planned::NoRoute => self.counts.no_route += 1,
            Planned::Refused => self.counts.refused += 1,
            Planned::NoSender(why) => self.unreadable(why),
        }
        Ok(())
    }

    fn unreadable(&mut self, why: &'static str) {
        self.counts.unreadable += 1;
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push((self.counts.lines, why));
        }
    }

    fn done(mut self, snapshot: &Snapshot) -> Intake {
        // A log is written at the ends of requests: nearly in order, which this sort makes use of. Equal times stay.
        self.requests.sort_by_key(|request| request.start_us);
        self.facts.has_host_routes = snapshot.routes.iter().any(|(route, _)| route.host.is_some());
        Intake {
            format: self.format.name(),
            requests: self.requests,
            cast: self.planner.into_cast(),
            counts: self.counts,
            examples: self.examples,
            facts: self.facts,
        }
    }
}
