//! What a decision costs in Redis: ours beside the usual recipe, one sorted set for each window in an atomic script.
//!
//! `cargo bench --bench redis` starts a redis-server of its own on a free port and takes it down again; `-- --long`
//! measures five times as long. Server time is what `INFO commandstats` tells of batches of 200 calls, the 5th percentile
//! of the batches, ours and the recipe's in turn: neighbours on the machine then disturb both alike, and little.

#![expect(clippy::print_stdout, reason = "a bench prints what it found")]
#![expect(clippy::cast_precision_loss, reason = "counts and nanoseconds of a short run stay far below 2^53")]

mod server;

use crate::server::Server;
use anyhow::{Context, Result, bail};
use futures_util::future::try_join_all;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;
use tidegate::base::{Clock, Digester, Secret, SystemClock, Tasks};
use tidegate::limit::{Charge, LimitKey, Per, Policy, Subject, Window, Windows};
use tidegate::store::redis::limits::Operation;
use tidegate::store::redis::{Connection, RedisLimits, Surroundings};
use tidegate::telemetry::{Metrics, StoreName};

/// Calls between two readings of the server's books.
const BATCH: u32 = 200;

/// Sorted sets, for comparison.
const RECIPE: &str = include_str!("sorted_sets.lua");

/// A limit that nothing here reaches.
const ROOM: u32 = 1_000_000;

fn main() -> Result<()> {
    let rounds = if std::env::args().any(|argument| argument == "--long") { 5 } else { 1 };
    let server = Server::start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let mut bench = Bench::new(&server).await?;
        bench.costs(rounds).await?;
        bench.bytes().await?;
        bench.throughput(Duration::from_secs(2) * rounds).await
    })
}

/// A plain connection that sends many commands at once.
struct Wire {
    stream: BufReader<TcpStream>,
}

impl Wire {
    fn open(port: u16) -> Result<Self> {
        for _ in 0..500 {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
                stream.set_nodelay(true)?;
                return Ok(Self { stream: BufReader::new(stream) });
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        bail!("redis-server does not listen")
    }

    /// One command; the bytes of its answer, of a list those of all parts.
    fn ask(&mut self, command: &[&str]) -> Result<Vec<u8>> {
        self.send(&encode(command))?;
        self.answer()
    }

    fn send(&mut self, commands: &[u8]) -> Result<()> {
        Ok(self.stream.get_mut().write_all(commands)?)
    }

    fn answer(&mut self) -> Result<Vec<u8>> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let (kind, rest) = line.trim_end().split_at_checked(1).context("an empty answer")?;
        match kind {
            "-" => bail!("redis: {rest}"),
            "$" => {
                let mut bytes = vec![0; rest.parse::<usize>()? + 2];
                self.stream.read_exact(&mut bytes)?;
                bytes.truncate(bytes.len() - 2);
                Ok(bytes)
            }
            "*" => {
                let parts: Vec<Vec<u8>> =
                    (0..rest.parse::<u32>()?).map(|_| self.answer()).collect::<Result<_>>()?;
                Ok(parts.concat())
            }
            _ => Ok(rest.as_bytes().to_vec()),
        }
    }

    /// Microseconds that the server has spent in scripts since the last [`Wire::forget_times`].
    fn script_us(&mut self) -> Result<f64> {
        let stats = String::from_utf8(self.ask(&["INFO", "commandstats"])?)?;
        let line =
            stats.lines().find(|line| line.starts_with("cmdstat_evalsha:")).context("no script has run")?;
        let (_, us) = line.split_once("usec=").context("another form of commandstats")?;
        Ok(us.split(',').next().unwrap_or_default().parse()?)
    }

    fn forget_times(&mut self) -> Result<()> {
        self.ask(&["CONFIG", "RESETSTAT"]).map(drop)
    }
}

fn encode(command: &[&str]) -> Vec<u8> {
    let head = format!("*{}\r\n", command.len());
    let parts = command.iter().map(|part| format!("${}\r\n{part}\r\n", part.len()));
    std::iter::once(head).chain(parts).collect::<String>().into_bytes()
}

/// What is measured in one line of the table.
#[derive(Clone, Copy)]
struct Case {
    policies: u32,
    windows: usize,
    /// Units in each log before.
    units: u32,
    admits: bool,
}

impl Case {
    /// Logs over which the calls are spread, so that none grows much while it is measured.
    fn clients(self) -> u32 {
        (20_000 / self.units).clamp(8, 2_000)
    }

    fn windows(self) -> Result<Windows> {
        let shortest = if self.admits { ROOM } else { self.units };
        let all = [(60_000, shortest), (3_600_000, ROOM), (86_400_000, ROOM)];
        let list = all.iter().take(self.windows).map(|&(length_ms, limit)| Window { length_ms, limit });
        Ok(Windows::new(list.collect())?)
    }

    /// What client number `client` asks.
    fn charges(self, client: u32) -> Result<Vec<Charge>> {
        let windows = self.windows()?;
        let charge = |number: u32| {
            let name = format!("p{number}-{}-{}-{}", self.policies, self.windows, self.units);
            let policy = Policy::new(&name, windows.clone());
            let value = format!("{client}-{}", self.admits);
            let identity = Digester::new("bench").part(value.as_bytes()).finish();
            Charge {
                key: LimitKey { identity, policy: Arc::clone(&policy.name) },
                policy: Arc::new(policy),
                windows: windows.clone(),
                cost: 1,
                consumes: true,
                subject: Arc::new(Subject { per: Per::User, value: value.into() }),
            }
        };
        Ok((0..self.policies).map(charge).collect())
    }

    /// The sorted sets of client number `client`: one for each policy and window.
    fn sets(self, client: u32) -> Result<Vec<(String, Window)>> {
        let charges = self.charges(client)?;
        let all = charges.iter().flat_map(|charge| {
            let key = charge.key.redis_key("zset:");
            charge
                .windows
                .as_slice()
                .iter()
                .map(move |window| (format!("{key}:{}", window.length_ms), *window))
        });
        Ok(all.collect())
    }
}

struct Bench {
    limits: RedisLimits,
    clock: Arc<SystemClock>,
    wire: Wire,
    recipe: String,
    /// Names for requests, no two alike.
    requests: u64,
    /// Whoever keeps the connection.
    _tasks: Tasks,
}

impl Bench {
    async fn new(server: &Server) -> Result<Self> {
        let mut wire = Wire::open(server.port)?;
        let recipe = String::from_utf8(wire.ask(&["SCRIPT", "LOAD", RECIPE])?)?;
        let (clock, tasks) = (Arc::new(SystemClock::new()), Tasks::new());
        let around = Surroundings {
            clock: Arc::clone(&clock) as _,
            metrics: Arc::new(Metrics::new(0)?),
            tasks: tasks.clone(),
            timeout: Duration::from_secs(5),
            prefix: "tg:".to_owned(),
        };
        let url = Secret::new(format!("redis://127.0.0.1:{}", server.port));
        let limits = RedisLimits::new(Connection::open(StoreName::Redis, &url, around)?, "tg:");
        while !limits.is_up() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(Self { limits, clock, wire, recipe, requests: 0, _tasks: tasks })
    }

    /// Server time of a call.
    async fn costs(&mut self, rounds: u32) -> Result<()> {
        println!("\nRedis time of a decision, us        |     admitted      |      denied");
        println!("policies  windows  units in a log    |   ours  sorted set |   ours  sorted set");
        let shapes =
            [(1, 1, 10), (1, 3, 10), (1, 3, 1_000), (1, 3, 10_000), (2, 1, 10), (2, 3, 10), (3, 3, 10)];
        for (policies, windows, units) in shapes {
            let (ours, sets) = self.cost(Case { policies, windows, units, admits: true }, rounds).await?;
            let (ours_denied, sets_denied) =
                self.cost(Case { policies, windows, units, admits: false }, rounds).await?;
            println!(
                "{policies:>8}  {windows:>7}  {units:>14}    | {ours:>6.1}  {sets:>10.1} | {ours_denied:>6.1}  \
                 {sets_denied:>10.1}"
            );
        }
        Ok(())
    }

    async fn cost(&mut self, case: Case, rounds: u32) -> Result<(f64, f64)> {
        self.fill(case, case.clients(), 10).await?;
        let asked: Vec<Vec<Charge>> =
            (0..case.clients()).map(|client| case.charges(client)).collect::<Result<_>>()?;
        let sets: Vec<_> = (0..case.clients()).map(|client| case.sets(client)).collect::<Result<_>>()?;
        let (mut next, mut next_set) = (asked.iter().cycle(), sets.iter().cycle());
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..25 * rounds {
            self.wire.forget_times()?;
            let calls = next.by_ref().take(usize::try_from(BATCH)?);
            try_join_all(calls.map(|charges| self.limits.decide(charges, Operation::Consume))).await?;
            ours.push(self.wire.script_us()? / f64::from(BATCH));

            let mut commands = Vec::new();
            for sets in next_set.by_ref().take(usize::try_from(BATCH)?) {
                commands.extend(self.recipe_call(sets));
            }
            self.wire.forget_times()?;
            self.wire.send(&commands)?;
            for _ in 0..BATCH {
                self.wire.answer()?;
            }
            theirs.push(self.wire.script_us()? / f64::from(BATCH));
        }
        self.wire.ask(&["FLUSHALL"])?;
        Ok((percentile(&mut ours, 5), percentile(&mut theirs, 5)))
    }

    fn recipe_call(&mut self, sets: &[(String, Window)]) -> Vec<u8> {
        self.requests += 1;
        let mut command = vec!["EVALSHA".to_owned(), self.recipe.clone(), sets.len().to_string()];
        command.extend(sets.iter().map(|(key, _)| key.clone()));
        command.push(self.requests.to_string());
        let numbers = sets.iter().flat_map(|(_, window)| [window.length_ms, window.limit]);
        command.extend(numbers.map(|number| number.to_string()));
        encode(&command.iter().map(String::as_str).collect::<Vec<&str>>())
    }

    /// Gives the first `clients` of a case their units, in both forms, all consumed just now, `cost` at a time.
    async fn fill(&mut self, case: Case, clients: u32, cost: u32) -> Result<()> {
        let now = String::from_utf8(self.wire.ask(&["EVAL", "return redis.call('TIME')[1]", "0"])?)?;
        let now_ms = now.parse::<u64>()? * 1_000;
        for client in 0..clients {
            for charge in case.charges(client)? {
                for _ in 0..case.units / cost {
                    let some = [Charge { cost, ..charge.clone() }];
                    self.limits.decide(&some, Operation::Force).await?;
                }
            }
            for (key, _) in case.sets(client)? {
                let now = now_ms.to_string();
                let members: Vec<String> = (0..case.units).map(|unit| format!("unit{unit}")).collect();
                let mut command = vec!["ZADD", &key];
                command.extend(members.iter().flat_map(|member| [now.as_str(), member]));
                self.wire.ask(&command)?;
            }
        }
        Ok(())
    }

    /// Memory of one client.
    async fn bytes(&mut self) -> Result<()> {
        println!(
            "\nBytes of a client, 3 windows   |   ours  sorted set   (limits of 1,000,000: the ring may double past 10,000)"
        );
        for units in [10, 1_000, 10_000] {
            let case = Case { policies: 1, windows: 3, units, admits: true };
            self.fill(case, 1, 1).await?;
            let mut ours = 0;
            for charge in case.charges(0)? {
                ours += self.memory(&charge.key.redis_key("tg:"))?;
            }
            let mut sets = 0;
            for (key, _) in case.sets(0)? {
                sets += self.memory(&key)?;
            }
            println!("{units:>18} units       | {ours:>6}  {sets:>10}");
            self.wire.ask(&["FLUSHALL"])?;
        }
        Ok(())
    }

    fn memory(&mut self, key: &str) -> Result<u64> {
        Ok(String::from_utf8(self.wire.ask(&["MEMORY", "USAGE", key, "SAMPLES", "0"])?)?.parse()?)
    }

    /// One connection of our client under 64 tasks.
    async fn throughput(&mut self, duration: Duration) -> Result<()> {
        println!("\nOne connection, 64 tasks, 3 windows   | decisions/s     p50 us     p99 us");
        for (word, admits) in [("admitted", true), ("denied", false)] {
            let case = Case { policies: 1, windows: 3, units: 10, admits };
            self.fill(case, case.clients(), 10).await?;
            let end = self.clock.monotonic() + duration;
            let mut tasks = tokio::task::JoinSet::new();
            for task in 0..64_u32 {
                let asked = (0..case.clients()).filter(|client| client % 64 == task);
                let asked: Vec<Vec<Charge>> =
                    asked.map(|client| case.charges(client)).collect::<Result<_>>()?;
                tasks.spawn(worker(self.limits.clone(), Arc::clone(&self.clock), asked, end));
            }
            let mut took = Vec::new();
            while let Some(worker) = tasks.join_next().await {
                took.extend(worker??);
            }
            let rate = took.len() as f64 / duration.as_secs_f64();
            let (p50, p99) = (percentile(&mut took, 50), percentile(&mut took, 99));
            println!("{word:>37} | {rate:>11.0} {p50:>10.0} {p99:>10.0}");
            self.wire.ask(&["FLUSHALL"])?;
        }
        Ok(())
    }
}

/// Decides one after the other until `end`; how long each took, in microseconds.
async fn worker(
    limits: RedisLimits,
    clock: Arc<SystemClock>,
    asked: Vec<Vec<Charge>>,
    end: Duration,
) -> Result<Vec<f64>> {
    let mut took = Vec::new();
    for charges in asked.iter().cycle() {
        let began = clock.monotonic();
        if began >= end {
            break;
        }
        limits.decide(charges, Operation::Consume).await?;
        took.push((clock.monotonic() - began).as_secs_f64() * 1e6);
    }
    Ok(took)
}

fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() * percent / 100).or(values.last()).copied().unwrap_or_default()
}
