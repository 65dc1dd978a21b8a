//! The first run: `tidegate demo`, walked as its guide says.

use crate::support::process::{Process, command};
use crate::support::{Answer, Fetch, eventually, web};
use serde_json::Value;
use std::process::Command;
use tempfile::TempDir;

struct Demo {
    places: Value,
    _process: Process,
    /// For what it keeps on the disk: it is killed, and takes nothing away itself.
    _folder: TempDir,
}

fn demo(folder: &TempDir) -> Command {
    let mut demo = command(env!("CARGO_BIN_EXE_tidegate"));
    demo.args(["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--json"]);
    demo.env("TMPDIR", folder.path());
    demo
}

impl Demo {
    async fn start() -> Self {
        let folder = TempDir::new().expect("a folder");
        let process = Process::start(demo(&folder));
        let mut places = Value::Null;
        eventually("the demo says where it is", async || {
            places = serde_json::from_str(&process.stdout()).unwrap_or_default();
            !places.is_null()
        })
        .await;
        Self { places, _process: process, _folder: folder }
    }

    async fn get(&self, path: &str, who: Option<&str>) -> Answer {
        let url = format!("{}{path}", self.places["http"].as_str().expect("a URL"));
        let request = web::client().get(url);
        let token = who.and_then(|who| self.places["tokens"][who].as_str());
        match token {
            Some(token) => request.bearer_auth(token).fetch().await,
            None => request.fetch().await,
        }
    }
}

#[tokio::test]
async fn the_walk_shows_a_limit_a_hit_and_tenants_kept_apart() {
    let demo = Demo::start().await;
    for left in (0..10).rev() {
        let answer = demo.get("/api/v1/ai_chat/tides", Some("ada")).await;
        let remaining =
            ["x-ratelimit-remaining-60s", "x-ratelimit-remaining-3600s"].map(|name| answer.number(name));
        assert_eq!((answer.status, remaining), (200, [left, 90 + left]));
    }
    for _ in 0..5 {
        let denied = demo.get("/api/v1/ai_chat/tides", Some("ada")).await;
        assert_eq!(denied.problem().0, 429);
        assert!((1..=60).contains(&denied.number("retry-after")));
    }
    let page = "/api/v1/analytics/report";
    let first = demo.get(page, Some("ada")).await;
    assert_eq!(first.cache(), "MISS");
    assert_eq!(demo.get(page, Some("ada")).await.cache(), "HIT");
    assert_eq!(demo.get(page, Some("bob")).await.cache(), "HIT", "of the same organisation");
    let other = demo.get(page, Some("cleo")).await;
    assert_eq!(other.cache(), "MISS");
    assert_ne!(other.json()["organization"], first.json()["organization"]);
    for stranger in [None, Some("forged")] {
        let answer = demo.get(page, stranger).await;
        assert_eq!((answer.cache(), &answer.json()["organization"]), ("BYPASS", &Value::Null));
    }
}

#[cfg(feature = "companion")]
#[tokio::test]
async fn a_signal_while_the_database_is_filled_leaves_nothing_behind() {
    let folder = TempDir::new().expect("a folder");
    let mut process = Process::start(demo(&folder));
    let left = || std::fs::read_dir(folder.path()).expect("a folder").count();
    eventually("it makes its folder", async || left() > 0).await;
    process.signal("TERM");
    process.exit().await;
    assert_eq!(left(), 0);
}
