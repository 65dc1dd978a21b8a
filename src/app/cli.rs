//! What can be typed: commands, their options and where the configuration comes from when none is named.
//!
//! Only describes; [`super::main`] does what is asked.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::app::cache::CacheArgs;
use crate::app::dashboard::arguments::DashboardArgs;
use crate::app::replay::formats::LogKind;
use crate::app::replay::formats::csv::ColumnChoice;
use crate::app::replay::percentile::Percentile;

/// The configuration that is read when neither `--config` nor `TIDEGATE_CONFIG` names one.
pub const DEFAULT_CONFIG: &str = "config/tidegate.yaml";

/// The environment variable that names the configuration file.
pub const CONFIG_VARIABLE: &str = "TIDEGATE_CONFIG";

/// The help of `--config`.
pub(super) const CONFIG_HELP: &str =
    "Configuration file [env: TIDEGATE_CONFIG] [default: config/tidegate.yaml]";

const TOKEN_HELP: &str = "Token of the admin listener; better in the environment [env: TIDEGATE_ADMIN_TOKEN]";

const IDENTITY_HELP: &str =
    "Who is counted: user:ada, api_key:NAME, tenant:acme, ip:192.0.2.7, header:NAME:VALUE or global";

/// Rate limits and tenant-safe caching in front of any HTTP backend.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, disable_help_subcommand = true, max_term_width = 100)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// Say more on stderr; twice: much more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// How log lines are written
    #[arg(long, global = true, value_enum, default_value_t = LogStyle::Text)]
    pub log_format: LogStyle,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogStyle {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the proxy
    Run(RunArgs),
    /// Read a configuration and say everything that is wrong with it (exit code 0 or 2)
    Check(CheckArgs),
    /// Say which route, identity, limits and cache key a request would get, and why
    Explain(ExplainArgs),
    /// Say what the configured limits would have denied of the requests in an access log
    Replay(ReplayArgs),
    /// Print the JSON Schema of the configuration
    Schema,
    /// Run with a sample backend, in memory; prints tokens and requests to try
    Demo(DemoArgs),
    /// Ask a running instance whether it is ready (exit code 0 or 1)
    Healthcheck(HealthcheckArgs),
    /// Look at the limits of a running instance, and change them for single identities
    Limit(LimitArgs),
    /// Look at the cache of a running instance, purge it, fill it
    Cache(CacheArgs),
    /// Look after the database of the companion, the metrics service
    Dashboard(DashboardArgs),
    /// Print a completion script
    Completions {
        /// For which shell
        shell: Shell,
    },
}

/// Options of `run`.
#[derive(Debug, Clone, Default, Args)]
pub struct RunArgs {
    /// The configuration file, when one is named.
    #[arg(help = CONFIG_HELP, short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Run without a file: pass everything to this server (HOST:PORT) under the default limits
    #[arg(long, value_name = "ADDR", conflicts_with = "config")]
    pub upstream: Option<String>,
    /// Listen here instead of where the configuration says; port 0 picks a free one
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Admin listener instead of the configuration's; port 0 picks a free one
    #[arg(long, value_name = "ADDR")]
    pub admin: Option<SocketAddr>,
}

/// Options of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The configuration file, when one is named.
    #[arg(help = CONFIG_HELP, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Print the configuration as it works, as JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `explain`.
#[derive(Debug, Args)]
#[command(mut_arg("admin", |arg| arg.requires("live")), mut_arg("token", |arg| arg.requires("live")))]
pub struct ExplainArgs {
    /// Request method, such as GET
    pub method: String,
    /// URL or path with query
    pub url: String,
    /// Request field; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// Address of the peer
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1")]
    pub ip: IpAddr,
    /// Certificate that the client shows (PEM), taken as verified
    #[arg(long, value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// Also say whether this response would be stored, such as 'HTTP 200'
    #[arg(long, value_name = "HTTP STATUS")]
    pub response: Option<String>,
    /// Field of that response; may be repeated
    #[arg(long = "response-header", value_name = "NAME: VALUE", requires = "response")]
    pub response_headers: Vec<String>,
    /// The configuration file, when one is named.
    #[arg(help = CONFIG_HELP, short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Ask the running instance, which also knows what is left of the limits
    #[arg(long)]
    pub live: bool,
    /// Which instance.
    #[command(flatten)]
    pub admin: AdminArgs,
}

/// Which running instance is asked.
#[derive(Debug, Clone, Default, Args)]
pub struct AdminArgs {
    /// Admin listener, instead of reading a configuration
    #[arg(long, value_name = "ADDR", global = true)]
    pub admin: Option<SocketAddr>,
    /// Token of the admin listener.
    #[arg(help = TOKEN_HELP, long, value_name = "TOKEN", global = true)]
    pub token: Option<String>,
}

/// Options of `limit`.
#[derive(Debug, Args)]
pub struct LimitArgs {
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
    pub action: LimitAction,
}

/// Somebody under a policy.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Who {
    /// Name of the policy
    pub policy: String,
    /// Who is counted.
    #[arg(help = IDENTITY_HELP)]
    pub identity: String,
}

/// The commands of `limit`.
#[derive(Debug, Subcommand)]
pub enum LimitAction {
    /// The policies in force, and the overrides that were set while running
    List,
    /// Where somebody stands; consumes nothing
    Show {
        /// Who.
        #[command(flatten)]
        who: Who,
        /// Look at the windows of this tier
        #[arg(long, value_name = "NAME")]
        tier: Option<String>,
    },
    /// Forget what somebody has consumed
    Reset {
        /// Who.
        #[command(flatten)]
        who: Who,
    },
    /// Give back the newest units that somebody has consumed
    Refund {
        /// Who.
        #[command(flatten)]
        who: Who,
        /// How many
        units: u32,
    },
    /// Give somebody limits of their own, on all instances, or take them away
    Override {
        /// Who.
        #[command(flatten)]
        who: Who,
        /// What.
        #[command(flatten)]
        what: OverrideArgs,
    },
    /// Who is denied most, or asks most, within the last hour or two
    Top {
        /// Who is denied most (the default)
        #[arg(long, conflicts_with = "busiest")]
        denied: bool,
        /// Who asks most
        #[arg(long)]
        busiest: bool,
        /// How many
        #[arg(short = 'n', long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=256))]
        count: u16,
    },
}

/// What an override says; one of the first three.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct OverrideArgs {
    /// Windows, such as 1m=500,1h=9000; those that are not named stay as they are
    #[arg(long, value_name = "LENGTH=UNITS", value_delimiter = ',', value_parser = window, required_unless_present_any = ["unlimited", "remove"])]
    pub windows: Vec<(String, u32)>,
    /// No limit under this policy
    #[arg(long, conflicts_with = "windows")]
    pub unlimited: bool,
    /// Take the override away
    #[arg(long, conflicts_with_all = ["windows", "unlimited", "ttl"])]
    pub remove: bool,
    /// For how long, such as 1h; without it for good
    #[arg(long, value_name = "DURATION")]
    pub ttl: Option<String>,
}

/// `1m=500`. What a length is, the instance says.
fn window(text: &str) -> Result<(String, u32), String> {
    let (length, units) = text.split_once('=').ok_or("write LENGTH=UNITS, such as 1m=500")?;
    let units = units.parse().map_err(|_not_a_number| format!("`{units}` is no number of units"))?;
    Ok((length.to_owned(), units))
}

/// Options of `replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The log, gzipped or not; - reads standard input
    pub log: PathBuf,
    /// The configuration file, when one is named.
    #[arg(help = CONFIG_HELP, short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What its lines are
    #[arg(long, value_enum, default_value_t = LogKind::Auto)]
    pub format: LogKind,
    /// Which CSV column tells what, such as time=ts,path=url,ip=client,user=uid
    #[arg(long, value_name = "FACT=COLUMN", value_delimiter = ',')]
    pub columns: Vec<ColumnChoice>,
    /// Replay requests too that the log shows as denied
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, default_value_t = true)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub include_denied: bool,
    /// How many denied identities of each policy are named
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub top: usize,
    /// Suggest limits under which so many per cent of the identities are never denied
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "95,99,99.9")]
    pub percentiles: Vec<Percentile>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Where the proxy listens; port 0 picks a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Where the admin listener is; port 0 picks a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9901")]
    pub admin: SocketAddr,
    /// Print addresses and tokens as one JSON object instead of the guide
    #[arg(long)]
    pub json: bool,
}

/// Options of `healthcheck`.
#[derive(Debug, Args)]
pub struct HealthcheckArgs {
    /// The configuration file that names the admin listener, when one is named.
    #[arg(help = CONFIG_HELP, short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Admin listener, instead of reading a configuration
    #[arg(long, value_name = "ADDR", conflicts_with = "config")]
    pub admin: Option<SocketAddr>,
    /// Ask whether the process is alive, not whether it is ready
    #[arg(long)]
    pub live: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn run_takes_a_file_or_an_upstream_but_not_both() {
        let cli = parse("tidegate run --upstream app:8000 --listen 127.0.0.1:0 -vv").expect("is valid");
        assert_eq!(cli.global.verbose, 2);
        let Command::Run(run) = cli.command else { panic!("not run") };
        assert_eq!((run.upstream.as_deref(), run.listen.map(|at| at.port())), (Some("app:8000"), Some(0)));
        let refused = parse("tidegate run --upstream app:8000 --config a.yaml").expect_err("both");
        assert_eq!(refused.exit_code(), 2);
    }

    #[test]
    fn explain_takes_fields_as_curl_does() {
        let mut words: Vec<&str> = "tidegate explain GET /a?b=c --ip 10.0.0.1 --json".split(' ').collect();
        words.extend(["-H", "Authorization: Bearer x", "-H", "Accept: */*"]);
        let cli = Cli::try_parse_from(words).expect("is valid");
        let Command::Explain(asked) = cli.command else { panic!("not explain") };
        assert_eq!(asked.headers, ["Authorization: Bearer x", "Accept: */*"]);
        assert_eq!((asked.ip.to_string().as_str(), asked.json), ("10.0.0.1", true));
    }

    #[test]
    fn a_running_instance_is_named_where_it_is_asked_only() {
        let explain = |rest: &str| parse(&format!("tidegate explain GET /a {rest}"));
        assert!(explain("--live --admin 127.0.0.1:1 --token x").is_ok() && explain("--live").is_ok());
        assert!(explain("--admin 127.0.0.1:1").is_err() && explain("--token x").is_err());
        let Command::Limit(limit) =
            parse("tidegate limit show p user:ada --admin 127.0.0.1:1 --json").expect("valid").command
        else {
            panic!("not limit")
        };
        assert_eq!((limit.admin.admin.map(|at| at.port()), limit.json), (Some(1), true));
    }

    #[test]
    fn a_purge_selects_something() {
        let purge = |rest: &str| parse(&format!("tidegate cache purge {rest}"));
        for sound in
            ["--tenant acme", "--tag a --tag b --soft", "--path /a --dry-run", "--prefix /", "--glob *"]
        {
            assert!(purge(sound).is_ok(), "{sound}");
        }
        for odd in ["", "--soft", "--dry-run", "--tag", "/a"] {
            assert_eq!(purge(odd).expect_err(odd).exit_code(), 2, "{odd}");
        }
        assert!(parse("tidegate cache stats --by tenant --fleet").is_err(), "rows are of one instance");
        assert!(parse("tidegate explain GET / --response-header a:b").is_err(), "of which response?");
    }

    #[test]
    fn an_override_says_exactly_one_thing() {
        let parse = |rest: &str| match parse(&format!("tidegate limit override p user:ada {rest}"))?.command {
            Command::Limit(LimitArgs { action: LimitAction::Override { what, .. }, .. }) => Ok(what),
            other => panic!("{other:?}"),
        };
        let windows =
            parse("--windows 1m=500,1h=9000 --ttl 1h").map_err(|error: clap::Error| error).expect("valid");
        assert_eq!(windows.windows, [("1m".to_owned(), 500), ("1h".to_owned(), 9_000)]);
        assert_eq!(windows.ttl.as_deref(), Some("1h"));
        assert!(parse("--unlimited").expect("valid").unlimited && parse("--remove").expect("valid").remove);
        for odd in [
            "",
            "--ttl 1h",
            "--unlimited --remove",
            "--windows 1m=5 --remove",
            "--remove --ttl 1h",
            "--windows 1m",
            "--windows 1m=x",
        ] {
            assert!(parse(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn replay_takes_lists_and_a_switch_that_is_on() {
        let of = |line: &str| match parse(line).expect("is valid").command {
            Command::Replay(asked) => asked,
            other => panic!("{other:?}"),
        };
        let plain = of("tidegate replay access.log");
        assert!(plain.include_denied && plain.columns.is_empty() && plain.format == LogKind::Auto);
        assert_eq!(
            plain.percentiles.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["95", "99", "99.9"]
        );
        let asked =
            of("tidegate replay - --include-denied=false --columns time=ts,ip=client --percentiles 50");
        assert_eq!((asked.include_denied, asked.columns.len(), asked.percentiles.len()), (false, 2, 1));
        for wrong in ["--columns agent=ua", "--percentiles 101", "--format xml", ""] {
            let refused = parse(&format!("tidegate replay {wrong}")).expect_err(wrong);
            assert_eq!(refused.exit_code(), 2, "{wrong}");
        }
    }

    #[test]
    fn global_options_stand_before_or_after_the_command() {
        let before = parse("tidegate --log-format json schema").expect("is valid");
        let after = parse("tidegate schema --log-format json").expect("is valid");
        assert_eq!((before.global.log_format, after.global.log_format), (LogStyle::Json, LogStyle::Json));
    }

    #[test]
    fn an_unknown_word_is_refused_with_a_hint() {
        let refused = parse("tidegate rum").expect_err("no such command").to_string();
        assert!(refused.contains("run"), "{refused}");
    }
}
