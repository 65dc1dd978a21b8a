//! A real Redis Cluster: three primaries with a replica each, or primaries alone.
//!
//! The nodes begin with a `nodes.conf` that already knows everybody, so that no time is spent on gossip. A dead
//! primary is given up after [`NODE_TIMEOUT_MS`]; its replica takes over within two more seconds.

use super::cli::ask;
use super::ports;
use super::process::{Process, command};
use super::wait::eventually;
use std::fmt::Write as _;
use tempfile::TempDir;

/// After so long without an answer a node counts as dead.
const NODE_TIMEOUT_MS: u32 = 1_500;

/// Slots of a cluster.
const SLOTS: u32 = 16_384;

/// Another process may take a free port between our look and the server's start.
const TRIES: usize = 5;

/// The nodes: first the primaries, then the replica of each in the same order.
pub(crate) struct Cluster {
    nodes: Vec<Node>,
    primaries: usize,
}

struct Node {
    port: u16,
    bus: u16,
    /// The primary that it follows.
    follows: Option<usize>,
    folder: TempDir,
    process: Option<Process>,
    is_frozen: bool,
}

impl Cluster {
    /// Three primaries and three replicas, once all of them agree that the cluster works.
    pub(crate) async fn start() -> Self {
        Self::start_of(3, 1).await
    }

    /// `primaries` with so many `replicas` each. Slots without a node do not stop the others.
    pub(crate) async fn start_of(primaries: usize, replicas: usize) -> Self {
        for _ in 0..TRIES {
            let mut cluster = Self::planned(primaries, replicas);
            if cluster.launch().await {
                return cluster;
            }
        }
        panic!("no cluster could be started; `scripts/setup.sh test` installs redis-server");
    }

    fn planned(primaries: usize, replicas: usize) -> Self {
        let of = |number: usize| {
            let held = (ports::hold(), ports::hold());
            let node = Node {
                port: ports::number(&held.0),
                bus: ports::number(&held.1),
                follows: (number >= primaries).then_some(number % primaries),
                folder: TempDir::new().expect("a folder"),
                process: None,
                is_frozen: false,
            };
            (node, held)
        };
        // All are held until all are known: the same port must not be drawn twice.
        let (nodes, _held): (Vec<Node>, Vec<_>) = (0..primaries * (replicas + 1)).map(of).unzip();
        Self { nodes, primaries }
    }

    async fn launch(&mut self) -> bool {
        for number in 0..self.nodes.len() {
            let known = self.table(number);
            let node = &mut self.nodes[number];
            std::fs::write(node.folder.path().join("nodes.conf"), known).expect("a folder of ours");
            node.launch();
        }
        let mut has_ended = false;
        let nodes = &mut self.nodes;
        eventually("all nodes agree", async || {
            has_ended = nodes.iter_mut().any(|node| node.running().ended().is_some());
            has_ended || nodes.iter().all(Node::is_settled)
        })
        .await;
        !has_ended
    }

    /// `nodes.conf` as node `number` would have written it.
    fn table(&self, number: usize) -> String {
        let mut text = String::new();
        for (other, node) in self.nodes.iter().enumerate() {
            let myself = if other == number { "myself," } else { "" };
            let (role, follows) = match node.follows {
                Some(primary) => ("slave", id(primary)),
                None => ("master", "-".to_owned()),
            };
            let epoch = node.follows.unwrap_or(other) + 1;
            write!(text, "{} 127.0.0.1:{}@{} {myself}{role} ", id(other), node.port, node.bus).expect("text");
            write!(text, "{follows} 0 0 {epoch} connected").expect("text");
            if node.follows.is_none() {
                let (first, last) = self.slots(other);
                write!(text, " {first}-{last}").expect("text");
            }
            text.push('\n');
        }
        writeln!(text, "vars currentEpoch {} lastVoteEpoch 0", self.primaries).expect("text");
        text
    }

    /// First and last slot that primary `number` begins with.
    pub(crate) fn slots(&self, number: usize) -> (u32, u32) {
        let at = |number: usize| {
            SLOTS * u32::try_from(number).expect("few") / u32::try_from(self.primaries).expect("few")
        };
        (at(number), at(number + 1) - 1)
    }

    /// `store.url` for it; all nodes are named.
    pub(crate) fn url(&self) -> String {
        let address = |node: &Node| format!("127.0.0.1:{}", node.port);
        let others: Vec<String> =
            self.nodes.iter().skip(1).map(|node| format!("node={}", address(node))).collect();
        format!("redis-cluster://{}?{}", address(&self.nodes[0]), others.join("&"))
    }

    /// kill -9. Persistence is off: what it held and nobody replicated is gone.
    pub(crate) fn kill(&mut self, number: usize) {
        self.nodes[number].process = None;
    }

    /// Starts it again with what it knew of the cluster.
    pub(crate) fn restart(&mut self, number: usize) {
        self.nodes[number].launch();
    }

    /// Accepts connections and answers nothing.
    pub(crate) fn freeze(&mut self, number: usize) {
        self.nodes[number].running().signal("STOP");
        self.nodes[number].is_frozen = true;
    }

    /// Ends [`Self::freeze`].
    pub(crate) fn thaw(&mut self, number: usize) {
        self.nodes[number].running().signal("CONT");
        self.nodes[number].is_frozen = false;
    }

    /// The reply of one node to one command as `redis-cli` prints it.
    pub(crate) fn ask(&self, number: usize, words: &[&str]) -> String {
        ask(self.nodes[number].port, words)
    }

    /// Sends a command to every node that answers.
    pub(crate) fn ask_all(&self, words: &[&str]) {
        for node in self.nodes.iter().filter(|node| node.answers()) {
            ask(node.port, words);
        }
    }

    /// Which node that answers says that it owns `slot`?
    pub(crate) fn owner(&self, slot: u32) -> Option<usize> {
        (0..self.nodes.len()).find(|number| self.nodes[*number].answers() && self.owns(*number, slot))
    }

    fn owns(&self, number: usize, slot: u32) -> bool {
        let table = self.ask(number, &["CLUSTER", "NODES"]);
        let Some(line) = table.lines().find(|line| line.contains("myself")) else { return false };
        let mut ranges = line.split(' ').skip(8).filter(|range| !range.starts_with('['));
        ranges.any(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let number = |text: &str| text.parse::<u32>().unwrap_or(u32::MAX);
            (number(first)..=number(last)).contains(&slot)
        })
    }

    /// Waits until a replica has taken over the slots of the dead primary `number` and the others know.
    pub(crate) async fn failed_over(&self, number: usize) {
        let (first, _) = self.slots(number);
        eventually("a replica takes over", async || {
            self.owner(first).is_some() && self.nodes.iter().filter(|node| node.answers()).all(Node::is_ok)
        })
        .await;
    }

    /// The slot of a key.
    pub(crate) fn slot_of(&self, key: &str) -> u32 {
        self.ask(0, &["CLUSTER", "KEYSLOT", key]).parse().expect("a number")
    }

    /// Begins to move `slot`: from now on new keys are made at `to`, and old ones still stand at `from`.
    pub(crate) fn begin_to_move(&self, slot: u32, from: usize, to: usize) {
        let slot = slot.to_string();
        assert_eq!(self.ask(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id(from)]), "OK");
        assert_eq!(self.ask(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id(to)]), "OK");
    }

    /// Moves the keys of `slot` that stand at `from` now.
    pub(crate) fn move_keys(&self, slot: u32, from: usize, to: usize) {
        let (slot, port) = (slot.to_string(), self.nodes[to].port.to_string());
        let keys = self.ask(from, &["CLUSTER", "GETKEYSINSLOT", &slot, "1000"]);
        let keys: Vec<&str> = keys.lines().filter(|key| !key.is_empty()).collect();
        if keys.is_empty() {
            return;
        }
        let mut words = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
        words.extend(keys);
        let moved = self.ask(from, &words);
        assert!(moved == "OK" || moved == "NOKEY", "{moved}");
    }

    /// Ends the move: `to` owns `slot`.
    pub(crate) fn end_move(&self, slot: u32, from: usize, to: usize) {
        for number in [to, from] {
            let words = ["CLUSTER", "SETSLOT", &slot.to_string(), "NODE", &id(to)];
            assert_eq!(self.ask(number, &words), "OK");
        }
    }
}

impl Node {
    fn launch(&mut self) {
        let mut server = command("redis-server");
        server.args(["--port", &self.port.to_string(), "--cluster-port", &self.bus.to_string()]);
        server.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        server.args(["--cluster-enabled", "yes", "--cluster-require-full-coverage", "no"]);
        server.args(["--cluster-node-timeout", &NODE_TIMEOUT_MS.to_string()]);
        server.args(["--cluster-replica-validity-factor", "0", "--cluster-migration-barrier", "9"]);
        server.args(["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1", "--dir"]);
        self.process = Some(Process::start({
            server.arg(self.folder.path());
            server
        }));
    }

    fn running(&mut self) -> &mut Process {
        self.process.as_mut().expect("the node runs")
    }

    fn answers(&self) -> bool {
        self.process.is_some() && !self.is_frozen
    }

    fn is_ok(&self) -> bool {
        ask(self.port, &["CLUSTER", "INFO"]).contains("cluster_state:ok")
    }

    fn is_settled(&self) -> bool {
        let is_linked = || ask(self.port, &["INFO", "replication"]).contains("master_link_status:up");
        self.is_ok() && (self.follows.is_none() || is_linked())
    }
}

/// A node's name.
fn id(number: usize) -> String {
    format!("{:040x}", number + 1)
}
