//! From the command line to the exit code: 0 done, 1 failed, 2 the configuration or the command line is at fault.

use crate::app::cli::{
    CONFIG_VARIABLE, Cli, Command, DEFAULT_CONFIG, DemoArgs, ExplainArgs, HealthcheckArgs, LogStyle, RunArgs,
};
use crate::app::demo::{self, guide};
use crate::app::healthcheck::{Question, ask};
use crate::app::output::{complain, data};
use crate::app::reload::{Origin, Overrides};
use crate::app::run::{Listening, RunFault, run};
use crate::base::{Clock, SystemClock};
use crate::config::{Asked, Env, Faults, Loaded, Source, explain, load};
use crate::telemetry::{LogFormat, Logging, install};
use clap::{CommandFactory, Parser};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Exit code of a refused configuration.
const CONFIG_AT_FAULT: u8 = 2;

/// Reads the command line and does what it says.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let env = Env::of_process();
    let logging = match install(format(cli.global.log_format), cli.global.verbose) {
        Ok(logging) => logging,
        Err(fault) => {
            complain(&format!("tidegate: {fault}"));
            return ExitCode::FAILURE;
        }
    };
    match execute(cli.command, env, &logging) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            let is_config = fault.downcast_ref::<Faults>().is_some()
                || matches!(fault.downcast_ref::<RunFault>(), Some(RunFault::Config(_)));
            // Lines of the log come first.
            drop(logging);
            complain(&format!("tidegate: {fault:#}"));
            if is_config { ExitCode::from(CONFIG_AT_FAULT) } else { ExitCode::FAILURE }
        }
    }
}

fn format(style: LogStyle) -> LogFormat {
    match style {
        LogStyle::Text => LogFormat::Text,
        LogStyle::Json => LogFormat::Json,
    }
}

fn execute(command: Command, env: Env, logging: &Logging) -> anyhow::Result<()> {
    match command {
        Command::Run(args) => serve(&args, env, logging),
        Command::Check(args) => check(&source(args.file, &env), &env),
        Command::Explain(args) => explain_request(args, &env),
        Command::Schema => Ok(data(crate::config::SCHEMA)?),
        Command::Demo(args) => run_demo(&args, logging),
        Command::Healthcheck(args) => healthcheck(args, &env),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "tidegate", &mut script);
            Ok(data(&String::from_utf8_lossy(&script))?)
        }
    }
}

/// The file that is named, or the one that is looked for.
fn source(named: Option<PathBuf>, env: &Env) -> Source {
    let from_env = || env.get(CONFIG_VARIABLE).map(PathBuf::from);
    Source::File(named.or_else(from_env).unwrap_or_else(|| PathBuf::from(DEFAULT_CONFIG)))
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("tidegate").build()
}

/// The line that programs wait for.
fn announce(at: Listening) {
    // A closed stdout is no reason not to serve.
    drop(data(&format!("listening http={} admin={}\n", at.http, at.admin)));
}

fn serve(args: &RunArgs, env: Env, logging: &Logging) -> anyhow::Result<()> {
    let source = match &args.upstream {
        Some(address) => Source::Upstream(address.clone()),
        None => source(args.config.clone(), &env),
    };
    let overrides = Overrides { listen: args.listen, admin: args.admin };
    let origin = Origin { source, env, overrides };
    Ok(runtime()?.block_on(run(origin, logging, announce))?)
}

fn check(source: &Source, env: &Env) -> anyhow::Result<()> {
    let Loaded { snapshot, warnings, .. } = load(source, env, 1)?;
    warnings.iter().for_each(|warning| complain(&format!("warning: {warning}")));
    let mut table =
        String::from("route                                    limit                cache           line\n");
    for (_, route) in snapshot.routes.iter() {
        let limits: Vec<&str> = route.policies.iter().map(|policy| &*policy.name).collect();
        let limits = if limits.is_empty() { "-".to_owned() } else { limits.join("+") };
        let cache = route.namespace.as_ref().map_or("-", |space| &*space.name);
        writeln!(table, "{:<40} {limits:<20} {cache:<15} {}", route.name, route.line)?;
    }
    let (policies, namespaces) = (snapshot.policies.len(), snapshot.namespaces.len());
    let upstreams = snapshot.upstreams.len();
    writeln!(table, "ok: {upstreams} upstreams, {policies} policies, {namespaces} namespaces")?;
    Ok(data(&table)?)
}

fn explain_request(args: ExplainArgs, env: &Env) -> anyhow::Result<()> {
    let Loaded { snapshot, .. } = load(&source(args.config, env), env, 1)?;
    let mut headers = Vec::new();
    for line in &args.headers {
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| anyhow::anyhow!("`{line}` is no field; write -H 'NAME: VALUE'"))?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let now_s = SystemClock::new().wall_ms() / 1_000;
    let asked = Asked { method: args.method, url: args.url, headers, ip: args.ip, now_s };
    let explanation = explain(&snapshot, &asked)
        .map_err(|fault| anyhow::anyhow!("such a request would be refused: {fault}"))?;
    let text =
        if args.json { serde_json::to_string_pretty(&explanation)? + "\n" } else { explanation.to_string() };
    Ok(data(&text)?)
}

fn healthcheck(args: HealthcheckArgs, env: &Env) -> anyhow::Result<()> {
    let address = match args.admin {
        Some(address) => address,
        None => load(&source(args.config, env), env, 1)?.snapshot.admin.listen,
    };
    let question = if args.live { Question::Alive } else { Question::Ready };
    Ok(ask(address, question)?)
}

fn run_demo(args: &DemoArgs, logging: &Logging) -> anyhow::Result<()> {
    let secret = demo::token::random_secret();
    let tokens = guide::Tokens::issue(&secret, SystemClock::new().wall_ms() / 1_000);
    runtime()?.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let backend = listener.local_addr()?;
        let places = guide::Places { listen: args.listen, admin: args.admin, backend, secret: &secret };
        let text = guide::configuration(places);
        let source = Source::Text { name: "demo.yaml".to_owned(), text };
        let origin = Origin { source, env: Env::default(), overrides: Overrides::default() };
        let ready = |at: Listening| {
            let at = guide::Addresses { http: at.http, admin: at.admin, backend };
            drop(data(&if args.json { guide::json(at, &tokens) } else { guide::text(at, &tokens) }));
        };
        tokio::select! {
            ended = run(origin, logging, ready) => Ok(ended?),
            failed = demo::backend::serve(listener) => Ok(failed?),
        }
    })
}
