//! The legacy backend: a `FastAPI` application on uvicorn, see `tests/legacy/app.py`.

use crate::support::eventually;
use crate::support::process::{Process, command};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A running application.
pub(crate) struct Legacy {
    address: SocketAddr,
    _process: Process,
}

impl Legacy {
    /// Starts it on a free port and waits until it says which.
    pub(crate) async fn start() -> Self {
        let mut uvicorn = command(python());
        uvicorn.args(["-m", "uvicorn", "app:app", "--host", "127.0.0.1", "--port", "0", "--app-dir"]);
        uvicorn
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/legacy"))
            .env("PYTHONDONTWRITEBYTECODE", "1");
        let mut process = Process::start(uvicorn);
        let mut address = None;
        eventually("uvicorn listens", async || {
            address = process.stderr().lines().find_map(running_line);
            address.is_some() || process.ended().is_some()
        })
        .await;
        let address = address.unwrap_or_else(|| panic!("uvicorn ended:\n{}", process.stderr()));
        Self { address, _process: process }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// The interpreter with what `tests/legacy/requirements.txt` lists.
pub(crate) fn python() -> PathBuf {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    assert!(python.exists(), "{} is missing; run scripts/setup.sh test", python.display());
    python
}

/// `INFO:     Uvicorn running on http://127.0.0.1:40123 (Press CTRL+C to quit)`
fn running_line(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("running on http://")?;
    rest.split(' ').next()?.parse().ok()
}
