//! `tidegate replay`: what the configured limits would have denied of the requests in an access log, and which limits
//! would suit them.
//!
//! lines → entry (`formats`) → request with a plan (`plan`) → simulated time (`simulation`) → report. No I/O but reading
//! the log; what decides is the limiter's own code.

pub mod entry;
pub mod formats;
pub mod intake;
pub mod lines;
pub mod notes;
pub mod percentile;
pub mod plan;
pub mod progress;
pub mod report;
pub mod simulation;
pub mod text;
pub mod time;

#[cfg(test)]
mod simulation_tests;
#[cfg(test)]
mod testing;

use crate::app::cli::ReplayArgs;
use crate::app::replay::intake::{LogFault, Reading};
use crate::app::replay::lines::Lines;
use crate::app::replay::progress::Progress;
use crate::app::replay::report::{Wanted, report};
use crate::config::Snapshot;

/// Replays a log under this configuration and writes up what came out, as text or JSON.
///
/// # Errors
/// [`LogFault`] when the log cannot be read or has no request in it.
pub fn replay(args: &ReplayArgs, snapshot: &Snapshot) -> Result<String, LogFault> {
    let name = args.log.display().to_string();
    let is_without_denied = !args.include_denied;
    let reading = Reading { name: &name, kind: args.format, columns: &args.columns, is_without_denied };
    let progress = Progress::on_stderr();
    let opened = Lines::open(&args.log, &progress);
    let mut lines = opened.map_err(|error| LogFault::Unreadable { name: name.clone(), error })?;
    let intake = intake::take(&reading, &mut lines, snapshot)?;
    drop(progress);
    let wanted = Wanted { top: args.top, percentiles: &args.percentiles, is_without_denied };
    let report = report(&name, &intake, &wanted);
    Ok(if args.json {
        // Plain data without maps: serde has nothing to refuse.
        serde_json::to_string_pretty(&report).unwrap_or_default() + "\n"
    } else {
        text::text(&report)
    })
}
