//! The database under a suite: the same cases run on SQLite and on PostgreSQL, and what is told is counted by other programs.

use super::legacy::python;
use super::process::command;
use super::{Companion, Postgres, Seeded, Tenant};

const DATABASE: &str = "app";

/// A seeded database, and another way into it than ours.
pub(crate) struct Engine {
    pub(crate) seeded: Seeded,
    server: Option<Postgres>,
}

impl Engine {
    /// A file.
    pub(crate) async fn sqlite(arguments: &[&str]) -> Self {
        Self { seeded: Seeded::sqlite(arguments).await, server: None }
    }

    /// A server.
    pub(crate) async fn postgres(arguments: &[&str]) -> Self {
        let server = Postgres::start().await;
        Self { seeded: Seeded::postgres(&server, DATABASE, arguments).await, server: Some(server) }
    }

    /// A service over it; `settings` are more members of `dashboard`.
    pub(crate) async fn companion(&self, settings: &str) -> Companion {
        Companion::start(&self.seeded.url, settings).await
    }

    /// The largest tenant, and the next.
    pub(crate) fn two(&self) -> [&Tenant; 2] {
        [&self.seeded.tenants[0], &self.seeded.tenants[1]]
    }

    /// The rows of a statement, with | between columns, by `psql` or by Python's own SQLite.
    pub(crate) fn ask(&self, sql: &str) -> Vec<String> {
        let text = match &self.server {
            Some(server) => server.ask(DATABASE, sql),
            None => self.ask_file(sql),
        };
        text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    /// The one number of a statement.
    pub(crate) fn number(&self, sql: &str) -> i64 {
        self.ask(sql)[0].parse().unwrap_or_else(|error| panic!("{error}: {sql}"))
    }

    /// A column of moments in microseconds since 1970.
    pub(crate) fn micros(&self, column: &str) -> String {
        match &self.server {
            Some(_) => format!("(extract(epoch FROM {column}) * 1000000)::bigint"),
            None => column.to_owned(),
        }
    }

    /// A moment as a value.
    pub(crate) fn moment(&self, micros: i64) -> String {
        match &self.server {
            Some(_) => format!("to_timestamp({micros} / 1000000.0)"),
            None => micros.to_string(),
        }
    }

    /// The server, which there is.
    pub(crate) fn server(&self) -> &Postgres {
        self.server.as_ref().expect("PostgreSQL")
    }

    /// Ends the server.
    pub(crate) fn stop(&mut self) {
        self.server = None;
    }

    fn ask_file(&self, sql: &str) -> String {
        const PROGRAM: &str = "import sqlite3, sys\n\
            c = sqlite3.connect(sys.argv[1], timeout=20)\n\
            for row in c.execute(sys.argv[2]):\n    print('|'.join('' if it is None else str(it) for it in row))\n\
            c.commit()";
        let path = self.seeded.url.strip_prefix("sqlite:").expect("a file");
        let output = command(python()).args(["-c", PROGRAM, path, sql]).output().expect("python3 runs");
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// Makes two tests of each named `async fn(Engine)`, over the same synthetic tenants: `sqlite::name` and `postgres::name`.
macro_rules! on_both_engines {
    ($seed:ident; $($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(crate::support::Engine::sqlite(super::$seed).await).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(crate::support::Engine::postgres(super::$seed).await).await;
            })+
        }
    };
}
pub(crate) use on_both_engines;
