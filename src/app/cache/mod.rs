//! `tidegate cache`: the cache of a running instance, through its admin listener. One file a command.

pub mod arguments;
mod entry;
mod purge;
mod stats;

pub use arguments::{CacheAction, CacheArgs};

use crate::app::client::{AskFailure, Client};
use crate::app::warm::{self, WarmFailure};

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum CacheFailure {
    /// The instance did not answer, or refused.
    #[error(transparent)]
    Ask(#[from] AskFailure),
    /// Its answer has another shape than this version knows.
    #[error("the answer is not understood: {0}; is the instance of another version?")]
    Shape(#[from] serde_json::Error),
    /// The cache was not filled.
    #[error(transparent)]
    Warm(#[from] WarmFailure),
}

/// Does what is asked for and returns what to print: tables and sentences, or the instance's JSON.
///
/// # Errors
/// [`CacheFailure`].
pub async fn run(client: &Client, action: &CacheAction, is_json: bool) -> Result<String, CacheFailure> {
    let answer = match action {
        CacheAction::Stats(what) => stats::ask(client, what).await?,
        CacheAction::Purge(what) => purge::ask(client, what).await?,
        CacheAction::Entry(what) => entry::ask(client, what).await?,
        CacheAction::Warm(what) => return Ok(warm::run(client, what, is_json).await?),
    };
    if is_json {
        return Ok(format!("{answer:#}\n"));
    }
    Ok(match action {
        CacheAction::Stats(_) => stats::shown(serde_json::from_value(answer)?),
        CacheAction::Purge(_) => purge::shown(&serde_json::from_value(answer)?),
        CacheAction::Entry(_) => entry::shown(&serde_json::from_value(answer)?),
        // Has told by now.
        CacheAction::Warm(_) => String::new(),
    })
}
