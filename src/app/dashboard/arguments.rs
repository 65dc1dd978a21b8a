//! What can be typed after `dashboard`, and which database is meant.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::app::cli::{CONFIG_HELP, CONFIG_VARIABLE, DEFAULT_CONFIG};
use crate::app::origin::{Origin, Refused};
use crate::base::{DatabaseSettings, DatabaseUrl};
use crate::config::{Env, Loaded, Purpose};

/// The environment variable that comes before `dashboard.database`.
const DATABASE_VARIABLE: &str = "DATABASE_URL";

/// Options of `dashboard`.
#[derive(Debug, Args)]
pub struct DashboardArgs {
    /// The configuration file that names the database, when one is named.
    #[arg(help = CONFIG_HELP, short, long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub action: DashboardAction,
}

/// The commands of `dashboard`.
#[derive(Debug, Subcommand)]
pub enum DashboardAction {
    /// Answer: the dashboard's API and its page
    Serve {
        /// Listen there instead of where `dashboard.listen` says
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<SocketAddr>,
    },
    /// Bring the database's tables and indexes up to date, while it is in use
    Migrate {
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Say which indexes are used, unused, invalid or missing, and how large they are
    Indexes,
    /// Fill an empty database with synthetic tenants, users and what they did
    Seed(SeedArgs),
}

/// Options of `dashboard seed`.
#[derive(Debug, Clone, Args)]
pub struct SeedArgs {
    /// Tenants; the second has half the users of the first, the third a third, and so on
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub tenants: u32,
    /// Users of a tenant on average
    #[arg(long, value_name = "M", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub users_per_tenant: u32,
    /// Days of use, up to now
    #[arg(long, value_name = "D", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=728))]
    pub days: u32,
    /// Which data: the same number makes the same
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// Add to the data that is there; takes another seed than before
    #[arg(long)]
    pub append: bool,
    /// Do nothing where there is data already
    #[arg(long, conflicts_with = "append")]
    pub if_empty: bool,
}

impl DashboardArgs {
    /// The companion that is meant: its database by `DATABASE_URL`, else by the configuration, else the file in the working
    /// directory. No configuration is needed where none is named.
    ///
    /// # Errors
    /// A refused configuration, or a `DATABASE_URL` that is none.
    pub fn settings(&self, env: Env) -> anyhow::Result<Loaded> {
        let variable = env.get(DATABASE_VARIABLE).map(str::to_owned);
        let is_named = self.config.is_some() || env.get(CONFIG_VARIABLE).is_some();
        let origin = if is_named || Path::new(DEFAULT_CONFIG).exists() {
            Origin::file(self.config.clone(), env)?
        } else {
            Origin::text("no configuration", String::new())
        };
        let mut loaded = origin.load_for(Purpose::Companion, 1)?;
        if let Some(text) = variable {
            loaded.snapshot.dashboard.database.url =
                DatabaseUrl::parse(&text).ok_or(Refused::Database(DATABASE_VARIABLE))?;
        }
        Ok(loaded)
    }

    /// The database alone.
    ///
    /// # Errors
    /// As [`DashboardArgs::settings`].
    pub fn database(&self, env: Env) -> anyhow::Result<DatabaseSettings> {
        Ok(self.settings(env)?.snapshot.dashboard.database)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(config: &Path) -> DashboardArgs {
        let action = DashboardAction::Migrate { dry_run: true };
        DashboardArgs { config: Some(config.to_owned()), json: false, action }
    }

    #[test]
    fn the_environment_names_another_database_than_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.yaml");
        let text = "upstreams: {b: a:1}\nroutes: [{path: /}]\ndashboard: {database: 'sqlite:a.db', read_only: true}\n";
        std::fs::write(&file, text).expect("written");
        let url = |env: Env| asked(&file).database(env).expect("sound").url.to_string();
        assert_eq!(url(Env::default()), "sqlite:a.db");
        let env = Env::of(&[(DATABASE_VARIABLE, "postgres://ada:secret@db.example/app")]);
        assert!(asked(&file).database(env.clone()).expect("sound").read_only, "other keys stay");
        assert_eq!(url(env), "postgres://db.example/app");
        let env = Env::of(&[(DATABASE_VARIABLE, "mysql://ada:hunter2@db.example/app")]);
        let refused = asked(&file).database(env).expect_err("another engine").to_string();
        assert!(refused.contains(DATABASE_VARIABLE) && !refused.contains("hunter2"), "{refused}");
    }
}
