//! Child processes that never outlive their test.

use super::wait::eventually;
use parking_lot::Mutex;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;

/// A command whose process the kernel ends when the thread that starts it ends, so that even a killed test run
/// leaves nothing behind. Without `setpriv` only [`Process`]'s drop does that.
pub(crate) fn command(program: impl AsRef<Path>) -> Command {
    let program = program.as_ref();
    if !Path::new("/usr/bin/setpriv").exists() {
        return Command::new(program);
    }
    let mut command = Command::new("/usr/bin/setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// A running child; killed and reaped on drop.
pub(crate) struct Process {
    child: Child,
    status: Option<ExitStatus>,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
}

impl Process {
    /// Starts `command` without standard input and collects what it writes.
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = collect(child.stdout.take().expect("piped"));
        let stderr = collect(child.stderr.take().expect("piped"));
        Self { child, status: None, stdout, stderr }
    }

    /// What it wrote to standard output so far.
    pub(crate) fn stdout(&self) -> String {
        self.stdout.lock().clone()
    }

    /// What it wrote to standard error so far.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.lock().clone()
    }

    /// Has everything that it wrote been collected? A collecting thread lets go of its text at the end of the stream.
    pub(crate) fn is_read(&self) -> bool {
        [&self.stdout, &self.stderr].into_iter().all(|text| Arc::strong_count(text) == 1)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -s {name} {} failed", self.id());
    }

    /// The exit status if it has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().expect("a child can be waited for");
        }
        self.status
    }

    /// Waits for its end.
    pub(crate) async fn exit(&mut self) -> ExitStatus {
        let this = Mutex::new(self);
        eventually("the process ends", async || this.lock().ended().is_some()).await;
        this.into_inner().status.expect("it has ended")
    }

    /// SIGKILL, and waits until the kernel is done with it.
    pub(crate) fn kill(&mut self) {
        if self.ended().is_none() {
            drop(self.child.kill());
            self.status = self.child.wait().ok();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn collect(stream: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let writer = Arc::clone(&text);
    drop(thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            writer.lock().push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    }));
    text
}
