//! The companion's service, as a child process over a seeded database.

use super::gate::tidegate;
use super::process::Process;
use super::tokens::{SECRET, in_seconds, signed};
use super::{Answer, Fetch, Gate, Postgres, eventually, web};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use tempfile::TempDir;

/// A tenant of a seeded database.
#[derive(Debug, Clone)]
pub(crate) struct Tenant {
    pub(crate) id: String,
    /// One of its users, an administrator.
    pub(crate) admin: String,
    pub(crate) users: i64,
}

impl Tenant {
    /// A token of its administrator.
    pub(crate) fn token(&self) -> String {
        self.token_as("admin")
    }

    /// The same with another role.
    pub(crate) fn token_as(&self, role: &str) -> String {
        let claims =
            json!({"sub": self.admin, "organization_id": self.id, "role": role, "exp": in_seconds(3_600)});
        signed(&claims)
    }
}

/// A database of either engine with synthetic tenants in it.
pub(crate) struct Seeded {
    /// Its URL.
    pub(crate) url: String,
    /// The largest ten, the largest first.
    pub(crate) tenants: Vec<Tenant>,
    /// Where the file is, if it is one.
    _folder: TempDir,
}

impl Seeded {
    /// A SQLite file; `arguments` are those of `dashboard seed`.
    pub(crate) async fn sqlite(arguments: &[&str]) -> Self {
        let folder = TempDir::new().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("a.db").display());
        Self::fill(url, folder, arguments).await
    }

    /// A new database of this server.
    pub(crate) async fn postgres(server: &Postgres, name: &str, arguments: &[&str]) -> Self {
        Self::fill(server.database(name), TempDir::new().expect("a folder"), arguments).await
    }

    async fn fill(url: String, folder: TempDir, arguments: &[&str]) -> Self {
        let told = async |words: &[&str]| -> Value {
            let words = [&["dashboard", "--json"], words].concat();
            let (code, stdout, stderr) = Gate::run_under(&words, &[("DATABASE_URL", &url)]).await;
            assert_eq!(code, Some(0), "{words:?}: {stdout}{stderr}");
            serde_json::from_str(&stdout).expect("JSON")
        };
        told(&["migrate"]).await;
        let seeded = told(&[&["seed"], arguments].concat()).await;
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let tenant = |value: &Value| Tenant {
            id: text(&value["id"]),
            // The smallest have none.
            admin: value["admin"].as_str().unwrap_or("somebody").to_owned(),
            users: value["users"].as_i64().expect("a number"),
        };
        let tenants = seeded["tenants"].as_array().expect("a list").iter().map(tenant).collect();
        Self { url, tenants, _folder: folder }
    }
}

/// A running service. It believes the tokens of [`super::tokens`].
pub(crate) struct Companion {
    /// Where it listens.
    pub(crate) at: SocketAddr,
    pub(crate) process: Process,
    client: reqwest::Client,
    /// Its working directory.
    pub(crate) folder: TempDir,
}

impl Companion {
    /// Over this database; `settings` are more members of the section `dashboard`, such as `roles: {read: [boss]}, `.
    pub(crate) async fn start(url: &str, settings: &str) -> Self {
        Self::start_beside("", url, settings).await
    }

    /// The same beside other sections of the file, each on lines of its own.
    pub(crate) async fn start_beside(sections: &str, url: &str, settings: &str) -> Self {
        let text = format!(
            "{sections}identity: {{jwt: {{algorithms: [HS256], secret: \"{SECRET}\"}}}}\n\
             dashboard: {{{settings}listen: \"127.0.0.1:0\", database: \"{url}\"}}\n"
        );
        Self::start_with(&text).await
    }

    /// With a whole file's text.
    pub(crate) async fn start_with(config: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        fs::write(folder.path().join("dashboard.yaml"), config).expect("a folder of ours");
        Self::start_in(folder).await
    }

    /// Once more in a folder in which one has run.
    pub(crate) async fn start_in(folder: TempDir) -> Self {
        let file = folder.path().join("dashboard.yaml");
        let arguments = ["dashboard", "serve", "--config", &file.to_string_lossy()];
        let mut process = Process::start(tidegate(folder.path(), &arguments));
        let mut at = None;
        eventually("the companion says where it listens", async || {
            let line = |line: &str| line.strip_prefix("listening dashboard=")?.trim().parse().ok();
            at = process.stdout().lines().find_map(line);
            at.is_some() || process.ended().is_some()
        })
        .await;
        let Some(at) = at else { panic!("it ended instead of listening:\n{}", process.stderr()) };
        Self { at, process, client: web::client(), folder }
    }

    /// A GET.
    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    /// The dashboard's figures for a tenant's administrator: `target` stands behind `/api/v1/dashboard/`.
    pub(crate) async fn figures(&self, tenant: &Tenant, target: &str) -> Answer {
        self.get(&format!("/api/v1/dashboard/{target}")).bearer_auth(tenant.token()).fetch().await
    }

    /// Their `data`; they must be told.
    pub(crate) async fn data(&self, tenant: &Tenant, target: &str) -> Value {
        let answer = self.figures(tenant, target).await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        answer.json()["data"].take()
    }

    /// The sum of a metric's samples that carry all these labels.
    pub(crate) async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        web::sample(&self.get("/metrics").fetch().await.text(), name, labels)
    }

    /// Any request.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.at))
    }
}
