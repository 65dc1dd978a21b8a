//! `tidegate cache`: the cache of a running instance, through its admin listener. One file a command.

pub mod arguments;
mod entry;
mod purge;
mod stats;
mod warm;

pub use arguments::{CacheAction, CacheArgs};

use crate::app::client::{AskFailure, Client};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum CacheFailure {
    /// The instance did not answer, or refused.
    #[error(transparent)]
    Ask(#[from] AskFailure),
    /// Its answer has another shape than this version knows.
    #[error("the answer is not understood: {0}; is the instance of another version?")]
    Shape(#[from] serde_json::Error),
    /// The cache was not warmed, or not all of it.
    #[error(transparent)]
    Warm(#[from] warm::WarmFailure),
}

/// Does what is asked for and returns what to print: tables and sentences, or the instance's JSON.
///
/// # Errors
/// [`CacheFailure`].
pub async fn run(client: &Client, action: &CacheAction, is_json: bool) -> Result<String, CacheFailure> {
    match action {
        CacheAction::Stats(what) => told(stats::ask(client, what).await?, is_json, stats::shown),
        CacheAction::Purge(what) => {
            told(purge::ask(client, what).await?, is_json, |answer| purge::shown(&answer))
        }
        CacheAction::Entry(what) => {
            told(entry::ask(client, what).await?, is_json, |answer| entry::shown(&answer))
        }
        CacheAction::Warm(what) => Ok(warm::run(client, what, is_json).await?),
    }
}

fn told<T: DeserializeOwned>(
    answer: Value,
    is_json: bool,
    shown: impl FnOnce(T) -> String,
) -> Result<String, CacheFailure> {
    if is_json { Ok(format!("{answer:#}\n")) } else { Ok(shown(serde_json::from_value(answer)?)) }
}
