//! A real redis-server for tests of this module: started on a free port, ended with the test.

use crate::base::{Secret, SystemClock, Tasks};
use crate::store::redis::{Connection, Surroundings};
use crate::telemetry::{Metrics, StoreName};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// A running server.
pub(super) struct Redis {
    child: Child,
    pub(super) port: u16,
    _dir: tempfile::TempDir,
}

impl Redis {
    /// Starts one and waits until it answers.
    pub(super) async fn start() -> Self {
        let free =
            TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address").port();
        let redis = Self::start_on(free);
        redis.wait().await;
        redis
    }

    fn start_on(port: u16) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--dir", dir.path().to_str().expect("a plain path")])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed (make test does it)");
        Self { child, port, _dir: dir }
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
        *self = Self::start_on(self.port);
        self.wait().await;
    }

    /// Sends a signal by name, such as `STOP` or `CONT`.
    pub(super) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// A connection once it is up.
    pub(super) async fn connection(&self) -> Connection {
        let around = Surroundings {
            clock: Arc::new(SystemClock::new()),
            metrics: Arc::new(Metrics::new(0).expect("valid")),
            tasks: Tasks::new(),
            timeout: Duration::from_millis(200),
        };
        let url = Secret::new(format!("redis://127.0.0.1:{}", self.port));
        let connection = Connection::open(StoreName::Redis, &url, around).expect("a valid URL");
        eventually(|| connection.is_up()).await;
        connection
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
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
