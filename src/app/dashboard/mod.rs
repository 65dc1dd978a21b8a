//! `tidegate dashboard …`: the companion's database from the command line.

pub mod arguments;
#[cfg(feature = "companion")]
mod indexes;
#[cfg(feature = "companion")]
mod migrate;
#[cfg(feature = "companion")]
mod progress;
#[cfg(feature = "companion")]
mod seed;

use crate::app::dashboard::arguments::DashboardArgs;
use crate::config::Env;

/// Does what is asked and gives what is to be printed.
///
/// # Errors
/// A refused configuration, or whatever the database says.
#[cfg(feature = "companion")]
pub async fn run(args: &DashboardArgs, env: Env) -> anyhow::Result<Printed> {
    use crate::app::dashboard::arguments::DashboardAction;
    let settings = args.database(env)?;
    match &args.action {
        DashboardAction::Migrate { dry_run } => migrate::run(&settings, *dry_run, args.json).await,
        DashboardAction::Indexes => indexes::run(&settings, args.json).await,
        DashboardAction::Seed(asked) => seed::run(&settings, asked, args.json).await,
    }
}

/// Says that this build cannot.
///
/// # Errors
/// Always.
#[cfg(not(feature = "companion"))]
#[expect(clippy::unused_async, reason = "the same face as with the companion")]
pub async fn run(_: &DashboardArgs, _: Env) -> anyhow::Result<Printed> {
    anyhow::bail!(
        "this build has no companion; `cargo build` without `--no-default-features` makes one that has"
    )
}

/// What a command leaves behind.
#[derive(Debug, PartialEq, Eq)]
pub struct Printed {
    /// For stdout.
    pub data: String,
    /// Why it has failed all the same, in part.
    pub failure: Option<String>,
}
