//! A gRPC backend and client as others build them: grpcio, see `tests/legacy/grpc_server.py` and `grpc_client.py`.

use crate::support::eventually;
use crate::support::legacy::python;
use crate::support::process::{Process, command};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;

/// A running backend.
pub(crate) struct Grpc {
    address: SocketAddr,
    process: Process,
}

impl Grpc {
    /// Starts it on a free port and waits until it says which.
    pub(crate) async fn start() -> Self {
        let mut process = run("grpc_server.py", &[]);
        let mut port = None;
        eventually("the gRPC server listens", async || {
            port = process.stdout().lines().find_map(|line| line.strip_prefix("port ")?.parse().ok());
            port.is_some() || process.ended().is_some()
        })
        .await;
        let port: u16 = port.unwrap_or_else(|| panic!("the gRPC server ended:\n{}", process.stderr()));
        Self { address: SocketAddr::from(([127, 0, 0, 1], port)), process }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Dies.
    pub(crate) fn stop(&mut self) {
        self.process.kill();
    }
}

/// What a client sees of each of these calls at `address`.
pub(crate) async fn calls(address: SocketAddr, calls: &[&str]) -> Vec<Value> {
    let address = address.to_string();
    let arguments: Vec<&str> = [&*address].iter().chain(calls).copied().collect();
    let mut client = run("grpc_client.py", &arguments);
    client.exit().await;
    eventually("its last words are read", async || client.is_read()).await;
    let lines: Vec<Value> =
        client.stdout().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(lines.len(), calls.len(), "{calls:?}\n{}", client.stderr());
    lines
}

fn run(script: &str, arguments: &[&str]) -> Process {
    let mut command = command(python());
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/legacy").join(script)).args(arguments);
    command.env("PYTHONDONTWRITEBYTECODE", "1").env_remove("http_proxy").env_remove("https_proxy");
    Process::start(command)
}
