//! What the tests of this module share: a real redis-server, and either store behind one face.

use crate::base::{Clock, Digest, ManualClock, Secret, StoreSettings, SystemClock, Tasks};
use crate::limit::{Charge, Decision, LimitKey, Mode, Per, Policy, Subject, Window, Windows};
use crate::store::limiter::{LimitStore, Limiter};
use crate::store::memory_limits::MemoryLimits;
use crate::store::redis::limits::Operation;
use crate::store::redis::{Connection, RedisLimits, Surroundings};
use crate::telemetry::{Metrics, StoreName};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

// The servers of the scenarios in `tests/it`, for the store alone.
#[path = "../../tests/it/support/cli.rs"]
mod cli;
#[path = "../../tests/it/support/cluster.rs"]
pub(super) mod cluster;
#[path = "../../tests/it/support/ports.rs"]
mod ports;
#[path = "../../tests/it/support/sentinel.rs"]
pub(super) mod sentinel;
pub(super) use crate::base::testing::{process, wait};
pub(super) use ports::free as free_port;

/// A call may take so long on a busy machine, where none is meant to fail.
const PATIENT: Duration = Duration::from_secs(1);

/// A running server.
pub(super) struct Redis {
    child: Child,
    pub(super) port: u16,
    arguments: Vec<String>,
    _dir: tempfile::TempDir,
}

impl Redis {
    /// Starts one and waits until it answers.
    pub(super) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts one with further arguments.
    pub(super) async fn start_with(arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        loop {
            let redis = Self::start_on(free_port(), arguments.clone());
            redis.wait().await;
            // Another test may have taken the port meanwhile: its server would answer here until it ends. One that wants
            // a password tells no process.
            let told = redis.cli(&["INFO", "server"]);
            let process = told.lines().find_map(|line| line.trim().strip_prefix("process_id:"));
            if process.is_none_or(|id| id == redis.child.id().to_string()) {
                return redis;
            }
        }
    }

    /// Starts one on `port`, which was free a moment ago.
    pub(super) async fn start_at(port: u16) -> Self {
        let redis = Self::start_on(port, Vec::new());
        redis.wait().await;
        redis
    }

    fn start_on(port: u16, arguments: Vec<String>) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let child = process::command("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--dir", dir.path().to_str().expect("a plain path")])
            .args(&arguments)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed (make test does it)");
        Self { child, port, arguments, _dir: dir }
    }

    async fn wait(&self) {
        for _ in 0..500 {
            if tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("redis-server does not listen");
    }

    /// Ends it at once.
    pub(super) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ended");
    }

    /// Starts it again on the same port, empty.
    pub(super) async fn restart(&mut self) {
        *self = Self::start_on(self.port, self.arguments.clone());
        self.wait().await;
    }

    /// Sends a signal by name, such as `STOP` or `CONT`.
    pub(super) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Runs one command through redis-cli and returns what it prints.
    pub(super) fn cli(&self, command: &[&str]) -> String {
        let run = Command::new("redis-cli").args(["-p", &self.port.to_string()]).args(command).output();
        let run = run.expect("redis-cli runs");
        assert!(run.status.success(), "{command:?}: {run:?}");
        String::from_utf8_lossy(&run.stdout).trim().to_owned()
    }

    /// A connection once it is up.
    pub(super) async fn connection(&self) -> Connection {
        self.connection_within(PATIENT).await
    }

    /// The same with so much time for each call.
    pub(super) async fn connection_within(&self, timeout: Duration) -> Connection {
        let connection = connection_within(&format!("redis://127.0.0.1:{}", self.port), timeout);
        eventually(|| connection.is_up()).await;
        connection
    }
}

/// A connection that has just begun to connect, and is soon given up when nobody answers.
pub(super) fn connection(url: &str) -> Connection {
    connection_within(url, Duration::from_millis(200))
}

/// The same with so much time for each call.
pub(super) fn connection_within(url: &str, timeout: Duration) -> Connection {
    Connection::open(StoreName::Redis, &Secret::new(url), surroundings(timeout)).expect("a valid URL")
}

/// A process of its own for a connection.
pub(super) fn surroundings(timeout: Duration) -> Surroundings {
    Surroundings {
        clock: Arc::new(SystemClock::new()),
        metrics: Arc::new(Metrics::new(0).expect("valid")),
        tasks: Tasks::new(),
        timeout,
        prefix: "tg:".to_owned(),
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A limiter over `connection` that goes on with `local`.
pub(super) fn limiter_over(connection: Connection, local: MemoryLimits) -> Limiter {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = LimitStore::Redis(RedisLimits::new(connection, "tg:"));
    Limiter::new(store, local, &clock, &StoreSettings::default())
}

/// Waits until `is_so`, at most ten seconds.
pub(super) async fn eventually(mut is_so: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never happened");
}

/// Where the clocks of the tests begin.
pub(super) const T0: u64 = 1_700_000_000_000;

/// Either store, with a clock that stands where the test puts it.
pub(super) enum Store {
    Memory(MemoryLimits, Arc<ManualClock>),
    Redis(RedisLimits),
}

impl Store {
    pub(super) fn memory() -> Self {
        let clock = Arc::new(ManualClock::at(T0));
        Self::Memory(MemoryLimits::new(Arc::clone(&clock) as _, 64 << 20), clock)
    }

    pub(super) async fn redis(server: &Redis) -> Self {
        Self::shared(server.connection().await)
    }

    /// Over any connection, whatever the topology behind it.
    pub(super) fn shared(connection: Connection) -> Self {
        Self::Redis(RedisLimits::new(connection, "tg:"))
    }

    /// Decides `charges` at `T0 + at_ms`.
    pub(super) async fn run(&self, at_ms: u64, charges: &[Charge], operation: Operation) -> Vec<Decision> {
        self.answers(at_ms, charges, operation).await.into_iter().map(|(decision, _)| decision).collect()
    }

    /// Decides one charge.
    pub(super) async fn ask(&self, at_ms: u64, charge: &Charge) -> Decision {
        self.run(at_ms, std::slice::from_ref(charge), Operation::Consume).await.remove(0)
    }

    /// Gives back units of one charge; how the log stands then, and how many there were.
    pub(super) async fn refund(&self, at_ms: u64, charge: &Charge, stamp_ms: Option<u64>) -> (Decision, u32) {
        self.answers(at_ms, std::slice::from_ref(charge), Operation::Refund { stamp_ms }).await.remove(0)
    }

    /// Forgets a log.
    pub(super) async fn reset(&self, key: &LimitKey) {
        match self {
            Self::Redis(redis) => redis.reset(key).await.expect("it answers"),
            Self::Memory(memory, _) => memory.reset(key),
        }
    }

    /// Decisions, with the units that a refund gave back.
    async fn answers(&self, at_ms: u64, charges: &[Charge], operation: Operation) -> Vec<(Decision, u32)> {
        match self {
            Self::Redis(redis) => {
                redis.decide_at_ms(T0 + at_ms, charges, operation).await.expect("it answers")
            }
            Self::Memory(memory, clock) => {
                clock.set(T0 + at_ms);
                let unmoved = |decision| (decision, 0);
                match operation {
                    Operation::Consume => memory.decide(charges).into_iter().map(unmoved).collect(),
                    Operation::Force => charges.iter().map(|charge| unmoved(memory.force(charge))).collect(),
                    Operation::Refund { stamp_ms } => {
                        let given =
                            charges.iter().map(|charge| memory.refund(charge, stamp_ms)).collect::<Vec<_>>();
                        let looks: Vec<Charge> =
                            charges.iter().map(|charge| Charge { cost: 0, ..charge.clone() }).collect();
                        memory.decide(&looks).into_iter().zip(given).collect()
                    }
                }
            }
        }
    }
}

/// Windows of so many seconds and units.
pub(super) fn windows(list: &[(u32, u32)]) -> Windows {
    let list = list.iter().map(|(seconds, limit)| Window { length_ms: seconds * 1_000, limit: *limit });
    Windows::new(list.collect()).expect("valid")
}

/// A charge of 1 on the log `identity` of policy `name`.
pub(super) fn charge_of(name: &str, identity: u8, list: &[(u32, u32)], mode: Mode) -> Charge {
    let windows = windows(list);
    let policy = Policy { mode, ..Policy::new(name, windows.clone()) };
    let key = LimitKey { identity: Digest([identity; 32]), policy: name.into() };
    let subject = Arc::new(Subject { per: Per::User, value: identity.to_string().into() });
    Charge { policy: Arc::new(policy), key, windows, cost: 1, consumes: true, subject }
}
