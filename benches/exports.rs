//! What an export of 100,000 rows takes: time until the file is on the disk, and memory beyond what the process had before.
//!
//! `cargo bench --bench exports`. From a SQLite file of its own with synthetic data, or from the migrated database of
//! `DATABASE_URL`, of whose largest tenant the feed of two years is taken. Each format has a process of its own.

use anyhow::{Context, bail};
use nix::sys::time::TimeValLike;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;
use tidegate::base::{Clock, DatabaseSettings, DatabaseUrl, ExportSettings, SystemClock, Tasks};
use tidegate::companion::exports::{ExportParts, Exports, Standing};
use tidegate::companion::service::Principal;
use tidegate::companion::{Access, Database, ExportStatus, SeedAsked};
use tidegate::telemetry::Metrics;

/// That of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rows of the feed are 3 % of users and days: about 105,000.
const USERS: u32 = 5_000;
const DAYS: u32 = 700;

/// What each format may take (milliseconds), and all of them (MiB).
const TARGETS: &[(&str, u64)] = &[("csv", 500), ("json", 1_000), ("xlsx", 2_000)];
const GROWTH_MIB: u64 = 50;

fn main() -> ExitCode {
    // `cargo test --benches` asks for nothing to be measured.
    if std::env::args().any(|argument| argument == "--test") {
        return ExitCode::SUCCESS;
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "a bench tells whoever runs it")]
            {
                eprintln!("{error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    if let [_, one, url, format] = arguments.as_slice()
        && one == "--one"
    {
        return runtime.block_on(measure(url, format));
    }
    let folder = tempfile::tempdir()?;
    let url = given().unwrap_or_else(|| format!("sqlite:{}", folder.path().join("a.db").display()));
    if url.starts_with("sqlite:") {
        runtime.block_on(fill(&url))?;
    }
    let mut is_met = true;
    for (format, _) in TARGETS {
        let child = Command::new(std::env::current_exe()?).args(["--one", &url, format]).status()?;
        is_met &= child.success();
    }
    if is_met { Ok(()) } else { bail!("a target was missed") }
}

#[expect(clippy::disallowed_methods, reason = "a bench is configured by nothing else")]
fn given() -> Option<String> {
    std::env::var("DATABASE_URL").ok().filter(|url| !url.is_empty())
}

fn settings(url: &str) -> anyhow::Result<DatabaseSettings> {
    let url = DatabaseUrl::parse(url).context("DATABASE_URL")?;
    Ok(DatabaseSettings { url, ..DatabaseSettings::default() })
}

fn now_us() -> i64 {
    i64::try_from(SystemClock::new().wall_ms()).unwrap_or(0) * 1_000
}

async fn fill(url: &str) -> anyhow::Result<()> {
    let database = Database::open(&settings(url)?, Access::Change).await?;
    database.migrate(&mut |_| {}).await?;
    let seed = SeedAsked {
        tenants: 1,
        users_per_tenant: USERS,
        days: DAYS,
        seed: 1,
        append: false,
        now_us: now_us(),
    };
    database.seed(&seed, &mut |_, _| {}).await?;
    database.close().await;
    Ok(())
}

async fn measure(url: &str, format: &str) -> anyhow::Result<()> {
    let database = Arc::new(Database::open(&settings(url)?, Access::Write).await?);
    let tenants = database.largest_tenants(1).await?;
    let tenant = tenants.first().context("no tenant")?.id.clone();
    let folder = tempfile::tempdir()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let exports = Exports::open(ExportParts {
        database: Arc::clone(&database),
        own: database,
        settings: ExportSettings {
            dir: Some(folder.path().to_owned()),
            lifetime: Duration::from_secs(60),
            per_tenant: 10,
            bytes_per_tenant: 1 << 40,
            at_once_rows: 1_000_000,
            rows_max: 10_000_000,
        },
        timezone: "UTC".to_owned(),
        signing_key: vec![7; 32],
        metrics: Arc::new(Metrics::new(clock.wall_ms())?),
        clock: Arc::clone(&clock),
        tasks: Tasks::new(),
    })?;
    let who = Principal { user: "bench".to_owned(), tenant, roles: vec!["admin".to_owned()] };
    // The first export pays for threads, connections and the pages of the database.
    made(&exports, &who, &body(format, 10, &clock)).await?;
    let mut took = Vec::new();
    let before = memory_kib("VmRSS:")?;
    std::fs::write("/proc/self/clear_refs", "5")?;
    made(&exports, &who, &body(format, 730, &clock)).await?;
    let worked = cpu()?;
    let mut standing = None;
    for _ in 0..5 {
        let begun = clock.monotonic();
        standing = Some(made(&exports, &who, &body(format, 730, &clock)).await?);
        took.push(clock.monotonic().saturating_sub(begun));
    }
    let cpu_ms = (cpu()?.saturating_sub(worked) / u32::try_from(took.len())?).as_millis();
    let growth_mib = memory_kib("VmHWM:")?.saturating_sub(before) / 1_024;
    took.sort();
    let median = took.get(took.len() / 2).copied().unwrap_or_default().as_millis();
    let standing = standing.context("no export")?;
    let target = TARGETS.iter().find(|(name, _)| *name == format).map_or(0, |(_, target)| *target);
    let (rows, bytes) = (standing.rows.unwrap_or(0), standing.bytes.unwrap_or(0));
    let is_met = median <= u128::from(target) && growth_mib <= GROWTH_MIB;
    let verdict = if is_met { "met" } else { "MISSED" };
    #[expect(clippy::print_stdout, reason = "a bench tells whoever runs it")]
    {
        println!(
            "{format:>5}: {rows} rows, {:.1} MB, {median} ms (target {target}; {cpu_ms} ms of CPU), memory +{growth_mib} MiB over {} (target {GROWTH_MIB}): {verdict}",
            f64::from(u32::try_from(bytes)?) / 1e6,
            before / 1_024
        );
    }
    if is_met { Ok(()) } else { bail!("{format}: a target was missed") }
}

/// The whole feed with all its columns.
fn body(format: &str, days: i64, clock: &Arc<dyn Clock>) -> String {
    let (to, from) = (day(clock, 0), day(clock, days));
    format!(r#"{{"format":"{format}","report":"activity","from":"{from}","to":"{to}"}}"#)
}

fn day(clock: &Arc<dyn Clock>, ago: i64) -> String {
    let today = i64::try_from(clock.wall_ms() / 86_400_000).unwrap_or(0);
    let (year, month, day) = tidegate::base::calendar::civil(today - ago);
    format!("{year:04}-{month:02}-{day:02}")
}

async fn made(exports: &Exports, who: &Principal, body: &str) -> anyhow::Result<Standing> {
    let refused = |refusal: tidegate::companion::service::Refusal| anyhow::anyhow!("{refusal:?}");
    let mut standing = exports.request(who, body.as_bytes(), None).await.map_err(refused)?;
    while !standing.is_over() {
        tokio::time::sleep(Duration::from_millis(2)).await;
        standing = exports.look(who, &standing.export_id).await.map_err(refused)?;
    }
    if standing.status == ExportStatus::Done { Ok(standing) } else { bail!("{:?}", standing.error) }
}

/// What all threads have worked so far. On a machine that does something else it says more than the time.
fn cpu() -> anyhow::Result<Duration> {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF)?;
    let micros = |time: nix::sys::time::TimeVal| time.num_microseconds();
    Ok(Duration::from_micros(u64::try_from(micros(usage.user_time()) + micros(usage.system_time()))?))
}

/// A figure of this process, in KiB.
fn memory_kib(name: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(Path::new("/proc/self/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).context("Linux tells it")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
