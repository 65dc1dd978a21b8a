//! `tidegate dashboard …`: the companion's database from the command line.

pub mod arguments;
#[cfg(feature = "companion")]
mod databases;
#[cfg(feature = "companion")]
mod indexes;
#[cfg(feature = "companion")]
mod migrate;
#[cfg(feature = "companion")]
mod progress;
#[cfg(feature = "companion")]
mod seed;
#[cfg(feature = "companion")]
pub(crate) mod serve;

use crate::app::dashboard::arguments::DashboardArgs;
use crate::config::Env;
use crate::telemetry::Logging;

#[cfg(not(feature = "companion"))]
const NO_COMPANION: &str =
    "this build has no companion; `cargo build` without `--no-default-features` makes one that has";

/// Does what is asked and gives what is to be printed.
///
/// # Errors
/// A refused configuration, or whatever the database says.
#[cfg(feature = "companion")]
pub async fn run(args: &DashboardArgs, env: Env) -> anyhow::Result<Printed> {
    use crate::app::dashboard::arguments::DashboardAction;
    let settings = args.database(env)?;
    match &args.action {
        DashboardAction::Serve { .. } => anyhow::bail!("`serve` does not end, and prints nothing at its end"),
        DashboardAction::Migrate { dry_run } => migrate::run(&settings, *dry_run, args.json).await,
        DashboardAction::Indexes => indexes::run(&settings, args.json).await,
        DashboardAction::Seed(asked) => seed::run(&settings, asked, args.json).await,
    }
}

/// Runs the service until a signal says stop; `announce` hears where it listens.
///
/// # Errors
/// A refused configuration, a taken port, a database that cannot be used.
#[cfg(feature = "companion")]
pub async fn serve(
    args: &DashboardArgs,
    listen: Option<std::net::SocketAddr>,
    env: Env,
    logging: &Logging,
    announce: impl FnOnce(std::net::SocketAddr),
) -> anyhow::Result<()> {
    let mut loaded = args.settings(env)?;
    if let Some(listen) = listen {
        loaded.snapshot.dashboard.service.listen = listen;
    }
    loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let companion = serve::Companion::open(&loaded.snapshot, logging).await?;
    announce(companion.address());
    companion.serve_until_signal().await
}

/// Says that this build cannot.
///
/// # Errors
/// Always.
#[cfg(not(feature = "companion"))]
#[expect(clippy::unused_async, reason = "the same face as with the companion")]
pub async fn serve(
    _: &DashboardArgs,
    _: Option<std::net::SocketAddr>,
    _: Env,
    _: &Logging,
    _: impl FnOnce(std::net::SocketAddr),
) -> anyhow::Result<()> {
    anyhow::bail!(NO_COMPANION)
}

/// Says that this build cannot.
///
/// # Errors
/// Always.
#[cfg(not(feature = "companion"))]
#[expect(clippy::unused_async, reason = "the same face as with the companion")]
pub async fn run(_: &DashboardArgs, _: Env) -> anyhow::Result<Printed> {
    anyhow::bail!(NO_COMPANION)
}

/// What a command leaves behind.
#[derive(Debug, PartialEq, Eq)]
pub struct Printed {
    /// For stdout.
    pub data: String,
    /// Why it has failed all the same, in part.
    pub failure: Option<String>,
}
