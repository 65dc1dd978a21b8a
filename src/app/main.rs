//! From the command line to the exit code: 0 done, 1 failed, 2 the configuration or the command line is at fault.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::app::cache::CacheArgs;
use crate::app::cli::{
    CheckArgs, Cli, Command, ExplainArgs, Global, HealthcheckArgs, LimitArgs, LogStyle, ReplayArgs, RunArgs,
};
use crate::app::client::Client;
use crate::app::dashboard::arguments::{DashboardAction, DashboardArgs};
use crate::app::healthcheck::{Question, ask};
use crate::app::origin::{Origin, Overrides, Refused};
use crate::app::output::{complain, data};
use crate::app::replay::replay;
use crate::app::run::{RunFault, run};
use crate::app::{cache, check, demo, limit};
use crate::base::{Clock, SystemClock};
use crate::config::{Asked, AskedResponse, Env, Explanation, SCHEMA, Source, explain};
use crate::telemetry::{LogFormat, Logging, install};

/// Exit code of a refused configuration; clap uses the same for a refused command line.
const AT_FAULT: u8 = 2;

/// Reads the command line and does what it says.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = execute(cli.command, &cli.global);
    let Err(failure) = done else { return ExitCode::SUCCESS };
    if is_refusal(&failure) {
        complain(&failure.to_string());
        ExitCode::from(AT_FAULT)
    } else {
        complain(&format!("tidegate: {}", story(&failure)));
        ExitCode::FAILURE
    }
}

/// What failed, and why. Many a sentence has its cause in it already: that is not told again.
fn story(failure: &anyhow::Error) -> String {
    failure.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told.as_str() {
        "" => cause,
        told if told.contains(&cause) => told.to_owned(),
        told => format!("{told}: {cause}"),
    })
}

fn is_refusal(failure: &anyhow::Error) -> bool {
    failure.is::<Refused>() || matches!(failure.downcast_ref(), Some(RunFault::Refused(_)))
}

fn execute(command: Command, global: &Global) -> anyhow::Result<()> {
    let env = Env::of_process();
    match command {
        Command::Run(args) => serve(args, env, &log(global)?),
        Command::Demo(args) => runtime()?.block_on(demo::run(&args, &log(global)?)),
        Command::Check(args) => check_file(args, env),
        Command::Explain(args) => explain_request(args, env),
        Command::Replay(args) => replay_log(args, env),
        Command::Schema => Ok(data(SCHEMA)?),
        Command::Healthcheck(args) => healthcheck(args, env),
        Command::Limit(args) => limits(args, env),
        Command::Cache(args) => cached(args, env),
        Command::Dashboard(args) => dashboard(&args, env, global),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "tidegate", &mut script);
            Ok(data(&String::from_utf8_lossy(&script))?)
        }
    }
}

/// The log, until what is returned is dropped.
fn log(global: &Global) -> anyhow::Result<Logging> {
    let format = match global.log_format {
        LogStyle::Text => LogFormat::Text,
        LogStyle::Json => LogFormat::Json,
    };
    Ok(install(format, global.verbose)?)
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().enable_all().thread_name("tidegate").build()
}

/// For commands that ask a question and end.
fn small_runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

fn serve(args: RunArgs, env: Env, logging: &Logging) -> anyhow::Result<()> {
    let mut origin = match args.upstream {
        Some(address) => Origin { source: Source::Upstream(address), env, overrides: Overrides::default() },
        None => Origin::file(args.config, env)?,
    };
    origin.overrides = Overrides { listen: args.listen, admin: args.admin };
    let announce = |at: &crate::app::run::Listening| {
        // A closed stdout is no reason not to serve.
        drop(data(&format!("{at}\n")));
    };
    Ok(runtime()?.block_on(run(origin, logging, announce))?)
}

fn check_file(args: CheckArgs, env: Env) -> anyhow::Result<()> {
    let loaded = Origin::file(args.file, env)?.load(1)?;
    if args.json {
        return Ok(data(&check::summary_json(&loaded))?);
    }
    loaded.warnings.iter().for_each(|warning| complain(&format!("warning: {warning}")));
    Ok(data(&check::summary(&loaded.snapshot))?)
}

fn explain_request(args: ExplainArgs, env: Env) -> anyhow::Result<()> {
    let is_json = args.json;
    let explanation = if args.live { explain_live(args, env)? } else { explain_offline(args, env)? };
    if is_json {
        return Ok(data(&format!("{}\n", serde_json::to_string_pretty(&explanation)?))?);
    }
    Ok(data(&explanation.to_string())?)
}

fn explain_offline(args: ExplainArgs, env: Env) -> anyhow::Result<Explanation> {
    let response = answered(&args)?;
    let snapshot = Origin::file(args.config, env)?.load(1)?.snapshot;
    let headers = args.headers.iter().map(|line| field(line)).collect::<anyhow::Result<_>>()?;
    let now_s = SystemClock::new().wall_ms() / 1_000;
    let certificate = shown(args.certificate.as_ref())?;
    let asked =
        Asked { method: args.method, url: args.url, headers, ip: args.ip, now_s, certificate, response };
    let explained = explain(&snapshot, &asked, &crate::limit::Overrides::new());
    explained.map_err(|fault| anyhow::anyhow!("such a request is refused: {fault}"))
}

fn explain_live(args: ExplainArgs, env: Env) -> anyhow::Result<Explanation> {
    let response = answered(&args)?;
    let client = Client::of(&args.admin, args.config, env)?;
    let headers = united(args.headers.iter().map(|line| field(line)).collect::<anyhow::Result<_>>()?);
    let mut question = json!({"method": args.method, "url": args.url, "headers": headers, "ip": args.ip});
    if let (Some(pem), Value::Object(question)) = (shown(args.certificate.as_ref())?, &mut question) {
        question.insert("certificate".to_owned(), Value::from(pem));
    }
    if let (Some(AskedResponse { status, headers }), Value::Object(question)) = (response, &mut question) {
        question.insert("response".to_owned(), json!({"status": status, "headers": united(headers)}));
    }
    let asked = client.ask(http::Method::POST, "/api/v1/explain", Some(&question));
    Ok(serde_json::from_value(small_runtime()?.block_on(asked)?)?)
}

/// Fields by name: a list in several lines is the same list in one (RFC 9110 section 5.3).
fn united(fields: Vec<(String, String)>) -> BTreeMap<String, String> {
    let mut united: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in fields {
        let line = united.entry(name.to_ascii_lowercase()).or_default();
        *line = if line.is_empty() { value } else { format!("{line}, {value}") };
    }
    united
}

/// The first certificate of a PEM file; a key that stands beside it goes nowhere.
fn shown(file: Option<&PathBuf>) -> anyhow::Result<Option<String>> {
    const ENDS: (&str, &str) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----");
    let Some(file) = file else { return Ok(None) };
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let inside = text.split_once(ENDS.0).and_then(|(_, rest)| rest.split_once(ENDS.1));
    let (inside, _) = inside.with_context(|| format!("there is no certificate in {}", file.display()))?;
    Ok(Some(format!("{}{inside}{}\n", ENDS.0, ENDS.1)))
}

/// The response that is asked about: `HTTP/1.1 200 OK`, `HTTP 200` or `200`, and its fields.
fn answered(args: &ExplainArgs) -> anyhow::Result<Option<AskedResponse>> {
    let Some(line) = &args.response else { return Ok(None) };
    let words: Vec<&str> = line.split_whitespace().collect();
    let status = match words.as_slice() {
        [protocol, status, ..] if protocol.to_ascii_uppercase().starts_with("HTTP") => status,
        [status, ..] => status,
        [] => "",
    };
    let status =
        status.parse().with_context(|| format!("`{line}` is no status; write --response 'HTTP 200'"))?;
    let headers = args.response_headers.iter().map(|line| field(line)).collect::<anyhow::Result<_>>()?;
    Ok(Some(AskedResponse { status, headers }))
}

fn limits(args: LimitArgs, env: Env) -> anyhow::Result<()> {
    let client = Client::of(&args.admin, args.config, env)?;
    let done = small_runtime()?.block_on(limit::run(&client, &args.action, args.json));
    Ok(data(&done?)?)
}

fn cached(args: CacheArgs, env: Env) -> anyhow::Result<()> {
    let client = Client::of(&args.admin, args.config, env)?;
    let done = small_runtime()?.block_on(cache::run(&client, &args.action, args.json));
    Ok(data(&done?)?)
}

fn dashboard(args: &DashboardArgs, env: Env, global: &Global) -> anyhow::Result<()> {
    if let DashboardAction::Serve { listen } = &args.action {
        let announce = |at: std::net::SocketAddr| {
            // A closed stdout is no reason not to serve.
            drop(data(&format!("listening dashboard={at}\n")));
        };
        let logging = log(global)?;
        return runtime()?.block_on(crate::app::dashboard::serve(args, *listen, env, &logging, announce));
    }
    let printed = small_runtime()?.block_on(crate::app::dashboard::run(args, env))?;
    data(&printed.data)?;
    printed.failure.map_or(Ok(()), |says| Err(anyhow::anyhow!(says)))
}

fn replay_log(mut args: ReplayArgs, env: Env) -> anyhow::Result<()> {
    let snapshot = Origin::file(args.config.take(), env)?.load(1)?.snapshot;
    Ok(data(&replay(&args, &snapshot)?)?)
}

/// A field as curl takes it.
fn field(line: &str) -> anyhow::Result<(String, String)> {
    let (name, value) =
        line.split_once(':').with_context(|| format!("`{line}` is no field; write -H 'NAME: VALUE'"))?;
    Ok((name.to_owned(), value.trim().to_owned()))
}

fn healthcheck(args: HealthcheckArgs, env: Env) -> anyhow::Result<()> {
    let of_configuration = |named: Option<PathBuf>| -> Result<_, Refused> {
        Ok(Origin::file(named, env)?.load(1)?.snapshot.admin.listen)
    };
    let address = args.admin.map_or_else(|| of_configuration(args.config), Ok)?;
    let question = if args.live { Question::Alive } else { Question::Ready };
    Ok(ask(address, question)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_with_its_causes_and_none_of_them_twice() {
        let denied = || std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let failure = anyhow::Error::from(denied()).context("a folder").context("dashboard.export_dir");
        assert_eq!(story(&failure), "dashboard.export_dir: a folder: permission denied");
        assert_eq!(story(&RunFault::System(denied()).into()), "permission denied");
    }

    #[test]
    fn a_field_is_split_at_its_first_colon() {
        assert_eq!(field("Host: a:1").expect("a field"), ("Host".to_owned(), "a:1".to_owned()));
        assert!(field("Host").expect_err("none").to_string().contains("-H 'NAME: VALUE'"));
    }

    #[test]
    fn refused_configurations_are_told_from_failures() {
        assert!(is_refusal(&Refused::Nothing.into()));
        assert!(is_refusal(&RunFault::Refused(Refused::Nothing).into()));
        assert!(!is_refusal(&RunFault::Ended.into()));
    }
}
