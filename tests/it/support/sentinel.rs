//! A real Sentinel set: a primary, two replicas, three sentinels that watch them.

use super::cli::ask;
use super::ports;
use super::process::{Process, command};
use super::wait::eventually;
use tempfile::TempDir;

/// After so long without an answer a sentinel counts the primary as dead.
const DOWN_AFTER_MS: u32 = 1_000;

/// The name of the watched primary.
pub(crate) const SERVICE: &str = "main";

const SERVERS: usize = 3;
const SENTINELS: usize = 3;

/// Another process may take a free port between our look and the server's start.
const TRIES: usize = 5;

/// Servers (the first begins as the primary) and sentinels.
pub(crate) struct Sentinel {
    servers: Vec<Member>,
    sentinels: Vec<Member>,
}

struct Member {
    port: u16,
    folder: TempDir,
    process: Option<Process>,
}

impl Sentinel {
    /// Starts all of them and waits until the sentinels know the replicas and each other.
    pub(crate) async fn start() -> Self {
        for _ in 0..TRIES {
            let mut set = Self::planned();
            if set.launch().await {
                return set;
            }
        }
        panic!("no sentinels could be started; `scripts/setup.sh test` installs redis-server");
    }

    fn planned() -> Self {
        let of = |_| {
            let held = ports::hold();
            (
                Member {
                    port: ports::number(&held),
                    folder: TempDir::new().expect("a folder"),
                    process: None,
                },
                held,
            )
        };
        // All are held until all are known: the same port must not be drawn twice.
        let (mut servers, _held): (Vec<Member>, Vec<_>) = (0..SERVERS + SENTINELS).map(of).unzip();
        let sentinels = servers.split_off(SERVERS);
        Self { servers, sentinels }
    }

    async fn launch(&mut self) -> bool {
        let primary = self.servers[0].port;
        for number in 0..SERVERS {
            self.launch_server(number, (number > 0).then_some(primary));
        }
        let is_linked =
            |server: &Member| ask(server.port, &["INFO", "replication"]).contains("master_link_status:up");
        let servers = &mut self.servers;
        let mut has_ended = false;
        eventually("the replicas follow", async || {
            has_ended = servers.iter_mut().any(|server| server.running().ended().is_some());
            has_ended || servers.iter().skip(1).all(is_linked)
        })
        .await;
        // Only now: a sentinel asks the primary for its replicas at once, and again after ten seconds.
        for sentinel in &mut self.sentinels {
            launch_sentinel(sentinel, primary);
        }
        let members = self.servers.iter_mut().chain(&mut self.sentinels);
        let mut members: Vec<&mut Member> = members.collect();
        eventually("the sentinels know everybody", async || {
            has_ended |= members.iter_mut().any(|member| member.running().ended().is_some());
            has_ended || members.iter().skip(SERVERS).all(|sentinel| knows_all(sentinel.port))
        })
        .await;
        !has_ended
    }

    fn launch_server(&mut self, number: usize, follows: Option<u16>) {
        let member = &mut self.servers[number];
        let mut server = command("redis-server");
        server.args(["--port", &member.port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        server.args(["--appendonly", "no", "--repl-diskless-sync-delay", "0", "--dir"]);
        server.arg(member.folder.path());
        if let Some(primary) = follows {
            server.args(["--replicaof", "127.0.0.1", &primary.to_string()]);
        }
        member.process = Some(Process::start(server));
    }

    /// `store.url` for it; all sentinels are named.
    pub(crate) fn url(&self) -> String {
        let ports: Vec<u16> = self.sentinels.iter().map(|sentinel| sentinel.port).collect();
        format!(
            "redis-sentinel://127.0.0.1:{}?sentinelServiceName={SERVICE}&node=127.0.0.1:{}&node=127.0.0.1:{}",
            ports[0], ports[1], ports[2]
        )
    }

    /// Which server do the sentinels call the primary, as soon as it says so itself?
    pub(crate) fn primary(&self) -> Option<usize> {
        self.primary_but(usize::MAX)
    }

    /// The same while server `hung` must not be asked.
    pub(crate) fn primary_but(&self, hung: usize) -> Option<usize> {
        let told = |sentinel: &Member| {
            let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE];
            ask(sentinel.port, &words).lines().last().and_then(|port| port.parse::<u16>().ok())
        };
        let ports: Vec<Option<u16>> =
            self.sentinels.iter().filter(|member| member.process.is_some()).map(told).collect();
        let port = ports.first().copied().flatten()?;
        let number = self.servers.iter().position(|server| server.port == port)?;
        if number == hung {
            return None;
        }
        let is_primary = ask(port, &["ROLE"]).starts_with("master");
        (is_primary && ports.iter().all(|other| *other == Some(port))).then_some(number)
    }

    /// Waits until another server than `number` is the primary.
    pub(crate) async fn failed_over(&self, number: usize) {
        eventually("a replica takes over", async || self.primary_but(number).is_some()).await;
    }

    /// kill -9.
    pub(crate) fn kill(&mut self, number: usize) {
        self.servers[number].process = None;
    }

    /// Sends a signal by name to a server, such as `STOP` or `CONT`.
    pub(crate) fn signal(&mut self, number: usize, name: &str) {
        self.servers[number].running().signal(name);
    }

    /// Sends a signal by name to a sentinel.
    pub(crate) fn signal_sentinel(&mut self, number: usize, name: &str) {
        self.sentinels[number].running().signal(name);
    }

    /// Has the sentinels put another primary into office while the old one lives.
    pub(crate) fn demote(&self) {
        assert_eq!(ask(self.sentinels[0].port, &["SENTINEL", "FAILOVER", SERVICE]), "OK");
    }

    /// The reply of a server to one command as `redis-cli` prints it.
    pub(crate) fn ask(&self, number: usize, words: &[&str]) -> String {
        ask(self.servers[number].port, words)
    }
}

impl Member {
    fn running(&mut self) -> &mut Process {
        self.process.as_mut().expect("it runs")
    }
}

fn launch_sentinel(member: &mut Member, primary: u16) {
    let file = member.folder.path().join("sentinel.conf");
    let text = format!(
        "port {}\nbind 127.0.0.1\nsentinel monitor {SERVICE} 127.0.0.1 {primary} 2\n\
         sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}\nsentinel failover-timeout {SERVICE} 4000\n",
        member.port
    );
    std::fs::write(&file, text).expect("a folder of ours");
    let mut sentinel = command("redis-server");
    sentinel.arg(&file).args(["--sentinel", "--dir"]).arg(member.folder.path());
    member.process = Some(Process::start(sentinel));
}

fn knows_all(port: u16) -> bool {
    let told = ask(port, &["SENTINEL", "MASTER", SERVICE]);
    let words: Vec<&str> = told.lines().collect();
    let is = |name: &str, value: usize| {
        words.windows(2).any(|pair| pair[0] == name && pair[1].parse() == Ok(value))
    };
    is("num-slaves", SERVERS - 1) && is("num-other-sentinels", SENTINELS - 1) && words.contains(&"master")
}
