//! A real redis-server that can be killed, frozen and brought back on the same port.

use crate::support::cli::ask;
use crate::support::ports;
use crate::support::process::{Process, command};
use crate::support::wait::eventually;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Another process may take a free port between our look and the server's start.
const PORT_TRIES: usize = 5;

/// One server without persistence, in its own folder.
pub(crate) struct Redis {
    port: u16,
    folder: TempDir,
    process: Option<Process>,
}

impl Redis {
    /// Starts a server on a free port and waits until it answers.
    pub(crate) async fn start() -> Self {
        for _ in 0..PORT_TRIES {
            let mut redis = Self::absent();
            if redis.launch().await {
                return redis;
            }
        }
        panic!("no redis-server could be started; `scripts/setup.sh test` installs it");
    }

    /// A port where a server may be started later and nobody answers until then.
    pub(crate) fn absent() -> Self {
        Self { port: ports::free(), folder: TempDir::new().expect("a folder"), process: None }
    }

    /// Starts it (again) on its port.
    pub(crate) async fn restart(&mut self) {
        assert!(self.launch().await, "redis-server did not come back on port {}", self.port);
    }

    /// `store.url` for it.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// kill -9: connections are reset, everything is forgotten.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Accepts connections and answers nothing.
    pub(crate) fn freeze(&self) {
        self.running().signal("STOP");
    }

    /// Ends [`Self::freeze`].
    pub(crate) fn thaw(&self) {
        self.running().signal("CONT");
    }

    /// The reply to one command as `redis-cli` prints it.
    pub(crate) fn ask(&self, words: &[&str]) -> String {
        ask(self.port, words)
    }

    fn running(&self) -> &Process {
        self.process.as_ref().expect("the server runs")
    }

    async fn launch(&mut self) -> bool {
        let mut server = command("redis-server");
        server.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        server.args(["--appendonly", "no", "--dir"]).arg(self.folder.path());
        let mut process = Process::start(server);
        let port = self.port;
        let mut has_ended = false;
        eventually("redis-server answers", async || {
            has_ended = process.ended().is_some();
            has_ended || answers(port).await
        })
        .await;
        // Should another test's server have taken the port, it is that one which answers.
        let is_ours = !has_ended
            && self.ask(&["INFO", "server"]).lines().any(|line| {
                line.trim().strip_prefix("process_id:").is_some_and(|id| id == process.id().to_string())
            });
        self.process = Some(process);
        is_ours
    }
}

async fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await else { return false };
    let mut reply = [0; 7];
    let asked = stream.write_all(b"PING\r\n").await.is_ok();
    asked && stream.read_exact(&mut reply).await.is_ok() && &reply == b"+PONG\r\n"
}
