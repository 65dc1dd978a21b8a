//! The words of `tidegate cache`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::app::cli::{AdminArgs, CONFIG_HELP};
use crate::app::warm::WarmArgs;

/// Options of `cache`.
#[derive(Debug, Args)]
pub struct CacheArgs {
    /// Which instance.
    #[command(flatten)]
    pub admin: AdminArgs,
    /// The configuration file that names the admin listener, when one is named.
    #[arg(help = CONFIG_HELP, short, long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub action: CacheAction,
}

/// The commands of `cache`.
#[derive(Debug, Subcommand)]
pub enum CacheAction {
    /// How well the cache works
    Stats(StatsArgs),
    /// Make stored responses invalid, on all instances
    Purge(PurgeArgs),
    /// What is stored for a GET; never its body
    Entry(EntryArgs),
    /// Have paths asked for before clients do, on behalf of the identities of `cache.warm`
    Warm(WarmArgs),
}

/// Options of `cache stats`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct StatsArgs {
    /// The busiest rows behind the sums
    #[arg(long, value_enum, value_name = "WHAT")]
    pub by: Option<By>,
    /// Of all instances that share the store
    #[arg(long, conflicts_with = "by")]
    pub fleet: bool,
}

/// What a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// A namespace.
    Namespace,
    /// A tenant.
    Tenant,
}

impl By {
    /// The word of the admin API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::Tenant => "tenant",
        }
    }
}

/// Options of `cache purge`: at least one of the first six.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct PurgeArgs {
    /// Only responses of this tenant
    #[arg(long, value_name = "NAME", required_unless_present_any = ["namespace", "tags", "paths", "prefix", "glob"])]
    pub tenant: Option<String>,
    /// Only responses of this namespace
    #[arg(long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Responses with this tag; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// Responses of this path, or URL, with any query or exactly the given one; may be repeated
    #[arg(long = "path", value_name = "PATH")]
    pub paths: Vec<String>,
    /// Responses whose path begins so; / is everything
    #[arg(long, value_name = "PATH")]
    pub prefix: Option<String>,
    /// Responses whose path and query match; * is any characters
    #[arg(long, value_name = "PATTERN")]
    pub glob: Option<String>,
    /// Let them expire: they may still be served while they are refreshed or the origin fails
    #[arg(long)]
    pub soft: bool,
    /// Change nothing; say how many the memory of the instance holds
    #[arg(long)]
    pub dry_run: bool,
}

/// Options of `cache entry`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct EntryArgs {
    /// URL, or path with query; the host belongs to the key
    pub url: String,
    /// Tenant of the one who asks
    #[arg(long, value_name = "NAME")]
    pub tenant: Option<String>,
    /// User who asks
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Name of the API key that asks
    #[arg(long, value_name = "NAME")]
    pub api_key: Option<String>,
    /// Claim of the token that the namespace keys; may be repeated
    #[arg(long = "claim", value_name = "NAME: VALUE")]
    pub claims: Vec<String>,
    /// Request field, for Vary and keyed fields; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
}
