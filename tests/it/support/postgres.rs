//! A real PostgreSQL in a folder of its own, reached through a socket in that folder, with nothing kept from a crash.

use super::process::Process;
use super::wait::eventually;
use std::ffi::OsStr;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The superuser of the server; nobody asks for a password.
const SUPERUSER: &str = "tidegate";

/// One server. Ended, with all that it stored, when it is dropped.
pub(crate) struct Postgres {
    folder: TempDir,
    process: Option<Process>,
}

impl Postgres {
    /// Makes a cluster, which takes half a second, starts it and waits until it takes connections.
    pub(crate) async fn start() -> Self {
        Self::start_with(&["fsync=off", "full_page_writes=off", "autovacuum=off", "shared_buffers=64MB"])
            .await
    }

    /// The same with settings of its own.
    pub(crate) async fn start_with(settings: &[&str]) -> Self {
        let folder = TempDir::new().expect("a folder");
        let user = other_user();
        if let Some(user) = &user {
            chown(folder.path(), Some(user.id), Some(user.group)).expect("root may give a folder away");
        }
        let data = folder.path().join("data");
        let mut initdb = program("initdb", user.as_ref());
        initdb.args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "--username", SUPERUSER]);
        let made =
            initdb.arg("--pgdata").arg(&data).output().expect("`scripts/setup.sh test` installs postgresql");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let mut server = program("postgres", user.as_ref());
        server.arg("-D").arg(&data).arg("-k").arg(folder.path()).args(["-h", ""]);
        for setting in settings {
            server.args(["-c", setting]);
        }
        let process = Process::start(server);
        eventually("postgres takes connections", async || {
            process.stderr().contains("ready to accept connections")
        })
        .await;
        Self { folder, process: Some(process) }
    }

    /// A new, empty database, as a URL.
    pub(crate) fn database(&self, name: &str) -> String {
        self.ask("postgres", &format!("CREATE DATABASE {name}"));
        self.url(name)
    }

    /// The URL of a database.
    pub(crate) fn url(&self, name: &str) -> String {
        self.url_as(SUPERUSER, name)
    }

    /// The URL of a database for another user.
    pub(crate) fn url_as(&self, user: &str, name: &str) -> String {
        format!("postgres://{user}@localhost/{name}?host={}", self.folder.path().display())
    }

    /// What `psql` prints for a statement, columns with | between them.
    pub(crate) fn ask(&self, database: &str, sql: &str) -> String {
        let mut psql = program("psql", None);
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", SUPERUSER, "-d", database, "-h"]);
        let output = psql.arg(self.folder.path()).args(["-c", sql]).output().expect("psql runs");
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()
    }

    /// A session of its own, which lasts until its statements are done or it is dropped.
    pub(crate) fn session(&self, database: &str, sql: &str) -> Process {
        let mut psql = program("psql", None);
        psql.args(["-X", "-q", "-U", SUPERUSER, "-d", database, "-h"]).arg(self.folder.path());
        for statement in sql.split_inclusive(';') {
            psql.args(["-c", statement]);
        }
        Process::start(psql)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // At once, but with its children and its shared memory.
            process.signal("QUIT");
            while process.ended().is_none() {
                std::thread::yield_now();
            }
        }
    }
}

/// Whom the server runs as, since it refuses to be root.
struct User {
    name: String,
    id: u32,
    group: u32,
}

fn other_user() -> Option<User> {
    use std::os::unix::fs::MetadataExt;
    let owner = std::fs::metadata("/proc/self").map(|own| own.uid()).unwrap_or(0);
    if owner != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("there are users");
    let user = |wanted: &str| {
        let line = users.lines().find(|line| line.starts_with(&format!("{wanted}:")))?;
        let mut fields = line.split(':').skip(2);
        let mut number = || fields.next()?.parse().ok();
        Some(User { name: wanted.to_owned(), id: number()?, group: number()? })
    };
    user("postgres").or_else(|| user("nobody"))
}

/// A program of PostgreSQL as `user`. The kernel ends it should the thread end that starts it.
fn program(name: &str, user: Option<&User>) -> Command {
    let path = installed(name);
    if !Path::new("/usr/bin/setpriv").exists() {
        return Command::new(path);
    }
    let mut command = Command::new("/usr/bin/setpriv");
    if let Some(user) = user {
        command.args(["--reuid", &user.name, "--regid", &user.group.to_string(), "--clear-groups"]);
    }
    command.args(["--pdeathsig", "QUIT", "--"]).arg(path);
    command
}

/// Debian keeps the server's programs out of the way of several versions.
fn installed(name: &str) -> PathBuf {
    let of_debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<PathBuf> = of_debian.map(|version| version.path().join("bin").join(name)).collect();
    versions.retain(|path| path.exists());
    let number = |path: &PathBuf| -> u32 {
        let version = path.iter().rev().nth(2).and_then(OsStr::to_str);
        version.and_then(|version| version.parse().ok()).unwrap_or(0)
    };
    versions.into_iter().max_by_key(number).unwrap_or_else(|| PathBuf::from(name))
}
