//! Tidegate itself, as a child process.

use crate::support::process::{Process, command};
use crate::support::{Setup, eventually, web};
use reqwest::Method;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};
use tempfile::TempDir;

/// A running instance with its configuration in a folder of its own.
pub(crate) struct Gate {
    /// The data listener.
    pub(crate) http: SocketAddr,
    /// The admin listener.
    pub(crate) admin: SocketAddr,
    pub(crate) process: Process,
    client: reqwest::Client,
    folder: TempDir,
}

impl Gate {
    /// Starts it with this configuration and waits until it says where it listens.
    pub(crate) async fn start(setup: &Setup) -> Self {
        Self::start_with(&setup.text()).await
    }

    /// The same with a whole file's text.
    pub(crate) async fn start_with(config: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        fs::write(folder.path().join("tidegate.yaml"), config).expect("a folder of ours");
        let file = folder.path().join("tidegate.yaml");
        Self::start_in(folder, &["run", "--config", &file.to_string_lossy()]).await
    }

    /// Starts it with these arguments.
    pub(crate) async fn start_as(arguments: &[&str]) -> Self {
        Self::start_in(TempDir::new().expect("a folder"), arguments).await
    }

    /// The same with a whole file's text, and variables in its environment.
    pub(crate) async fn start_under(config: &str, variables: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().expect("a folder");
        fs::write(folder.path().join("tidegate.yaml"), config).expect("a folder of ours");
        let file = folder.path().join("tidegate.yaml");
        let mut command = tidegate(folder.path(), &["run", "--config", &file.to_string_lossy()]);
        command.envs(variables.iter().copied());
        Self::start_command(folder, command).await
    }

    /// Starts it with these arguments; `folder` lives as long as it does.
    pub(crate) async fn start_in(folder: TempDir, arguments: &[&str]) -> Self {
        let command = tidegate(folder.path(), arguments);
        Self::start_command(folder, command).await
    }

    async fn start_command(folder: TempDir, command: Command) -> Self {
        let shown = format!("{command:?}");
        let mut process = Process::start(command);
        let mut line = None;
        eventually("tidegate says where it listens", async || {
            line = process.stdout().lines().find_map(ready_line);
            line.is_some() || process.ended().is_some()
        })
        .await;
        let Some((http, admin)) = line else {
            panic!("{shown} ended instead of listening:\n{}", process.stderr());
        };
        Self { http, admin, process, client: web::client(), folder }
    }

    /// Runs it to its end: exit code, standard output, standard error.
    pub(crate) async fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
        Self::run_under(arguments, &[]).await
    }

    /// The same with variables in its environment.
    pub(crate) async fn run_under(
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> (Option<i32>, String, String) {
        let folder = TempDir::new().expect("a folder");
        let mut command = tidegate(folder.path(), arguments);
        command.envs(variables.iter().copied());
        let mut process = Process::start(command);
        let status = process.exit().await;
        // The collecting threads see the end of the streams a moment after the process is gone.
        eventually("its last words are read", async || process.is_read()).await;
        (status.code(), process.stdout(), process.stderr())
    }

    /// The configuration file.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("tidegate.yaml")
    }

    /// Replaces the configuration file; whether it is taken is another matter.
    pub(crate) fn write(&self, setup: &Setup) {
        fs::write(self.file(), setup.text()).expect("a folder of ours");
    }

    /// Replaces the configuration, sends SIGHUP and waits until it is in force.
    pub(crate) async fn reload(&self, setup: &Setup) {
        let before = self.metric("tidegate_config_reloads_total", &[("result", "success")]).await;
        self.write(setup);
        self.process.signal("HUP");
        eventually("the new configuration is in force", async || {
            self.metric("tidegate_config_reloads_total", &[("result", "success")]).await > before
        })
        .await;
    }

    /// A GET of `path` on the data listener.
    pub(crate) fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.request(Method::GET, path)
    }

    /// Any request on the data listener.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.http))
    }

    /// A GET of `path` on the admin listener.
    pub(crate) fn ask(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.get(format!("http://{}{path}", self.admin))
    }

    /// The sum of a metric's samples that carry all these labels; 0 when there is none.
    pub(crate) async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let answer = self.ask("/metrics").send().await.expect("the admin listener answers");
        let text = answer.text().await.expect("metrics are text");
        web::sample(&text, name, labels)
    }
}

/// `listening http=ADDRESS admin=ADDRESS`; of several data listeners the first.
fn ready_line(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let rest = line.strip_prefix("listening http=")?;
    let (http, admin) = rest.split_once(" admin=")?;
    let first = http.split(',').next()?;
    Some((first.parse().ok()?, admin.trim().parse().ok()?))
}

/// The binary under test, with nothing in its environment that could change what it does.
pub(crate) fn tidegate(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = command(env!("CARGO_BIN_EXE_tidegate"));
    command.args(arguments).current_dir(folder).env_clear().env("TMPDIR", folder);
    for name in ["PATH", "RUST_BACKTRACE"] {
        if let Some(value) = env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}
