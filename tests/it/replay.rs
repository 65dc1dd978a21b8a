//! `tidegate replay` on logs that a gate wrote and on those of others.

use crate::support::process::command;
use crate::support::{Fetch, Gate, Origin, Setup, eventually};
use serde_json::Value;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const LIMITS: &str = "limits:\n  both: {windows: {1m: 25, 1h: 100}}\n  chat: {windows: {1m: 10}}\n\
    routes:\n  - {path: /, limit: both}\n  - {path: /chat/, limit: [chat, both]}\n  - {path: /free, limit: none}";

/// Runs `tidegate replay` to its end: exit code and both outputs.
async fn replay(log: &Path, config: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    let mut replay = command(env!("CARGO_BIN_EXE_tidegate"));
    replay.arg("replay").arg(log).arg("--config").arg(config).args(more).env_clear();
    let ended = tokio::process::Command::from(replay).output().await.expect("the binary is there");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (ended.status.code(), text(ended.stdout), text(ended.stderr))
}

async fn facts(log: &Path, config: &Path, more: &[&str]) -> Value {
    let (code, out, err) = replay(log, config, &[&["--json"], more].concat()).await;
    assert_eq!((code, &*err), (Some(0), ""), "{out}");
    serde_json::from_str(&out).expect("JSON")
}

/// A folder with this file and a configuration of the limits above.
fn folder(log: impl AsRef<[u8]>) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("access.log"), log).expect("a folder of ours");
    let nobody = ([127, 0, 0, 1], 9).into();
    fs::write(folder.path().join("tidegate.yaml"), Setup::new(nobody).with(LIMITS).text()).expect("likewise");
    folder
}

async fn of_folder(folder: &TempDir, more: &[&str]) -> Value {
    facts(&folder.path().join("access.log"), &folder.path().join("tidegate.yaml"), more).await
}

#[tokio::test]
async fn the_log_of_a_gate_is_denied_again_exactly_where_it_was() {
    let origin = Origin::counting().await;
    let folder = folder("");
    let config = folder.path().join("running.yaml");
    fs::write(&config, Setup::new(origin.address()).with(LIMITS).text()).expect("a folder of ours");
    let arguments = ["run", "--log-format", "json", "--config", &config.to_string_lossy()];
    let gate = Gate::start_in(TempDir::new().expect("a folder"), &arguments).await;
    let (mut chat, mut both) = (0_u64, 0_u64);
    for number in 0..60 {
        let path = if number % 2 == 0 { "/chat/tides" } else { "/other" };
        let answer = gate.get(path).fetch().await;
        if answer.status == 429 {
            let policies = answer.json()["violated-policies"].to_string();
            chat += u64::from(policies.contains("chat"));
            both += u64::from(policies.contains("both"));
        }
    }
    assert_eq!(gate.get("/free").fetch().await.status, 200);
    assert_eq!(gate.get("/%00").fetch().await.status, 400);
    assert!(chat > 0 && both > 0);
    eventually("every request is in the log", async || {
        gate.process.stderr().matches("\"target\":\"access\"").count() == 62
    })
    .await;
    // As a supervisor collects it: both outputs in one file.
    let log = folder.path().join("access.log");
    fs::write(&log, gate.process.stdout() + &gate.process.stderr()).expect("a folder of ours");
    let found = facts(&log, &config, &[]).await;
    let was_denied = gate.process.stderr().matches("\"refusal\":\"limit\"").count();
    assert_eq!((&found["requests"], &found["denied"]), (&60.into(), &was_denied.into()), "{found:#}");
    assert_eq!(found["log"]["already_denied"], was_denied);
    assert_eq!((&found["log"]["unlimited"], &found["log"]["refused"]), (&1.into(), &1.into()));
    let denied = |name: &str| {
        let list = found["policies"].as_array().expect("a list");
        list.iter().find(|policy| policy["policy"] == name).expect("asked")["denied"].clone()
    };
    assert_eq!((denied("chat"), denied("both")), (chat.into(), both.into()));
    let without = facts(&log, &config, &["--include-denied=false"]).await;
    assert_eq!((&without["requests"], &without["denied"]), (&(60 - was_denied).into(), &0.into()));
}

fn combined(count: usize) -> String {
    let line = |number: usize| {
        let user = if number.is_multiple_of(3) { "ada" } else { "-" };
        format!(
            "198.51.100.7 - {user} [01/Jul/2026:12:00:{:02} +0200] \"GET /chat/?q={number} HTTP/1.1\" 200 12 \"-\" \"curl\"\n",
            number % 60
        )
    };
    (0..count).map(line).collect()
}

#[tokio::test]
async fn a_combined_log_is_read_from_file_and_from_gzip() {
    let plain = folder(combined(60));
    let found = of_folder(&plain, &["--top", "1", "--percentiles", "100"]).await;
    // 20 of ada and 40 of the address within a minute, 10 each are admitted.
    assert_eq!(
        (&found["log"]["format"], &found["requests"], &found["denied"]),
        (&"combined".into(), &60.into(), &40.into())
    );
    let chat = &found["policies"][1];
    assert_eq!((&chat["policy"], &chat["identities_denied"]), (&"chat".into(), &2.into()));
    assert_eq!(chat["top"][0]["identity"], "ip:198.51.100.7");
    assert_eq!(chat["top"][0]["denied"], 30);
    assert_eq!(chat["groups"][0]["windows"][0]["suggested"][0][1], 40);
    assert_eq!(found["suggestions"][0]["denied"], 0);
    let log = plain.path().join("access.log");
    let zipped = std::process::Command::new("gzip").arg("-k").arg(&log).status();
    assert!(zipped.expect("gzip is there").success());
    let again = facts(&plain.path().join("access.log.gz"), &plain.path().join("tidegate.yaml"), &[]).await;
    assert_eq!(again["denied"], found["denied"]);
}

#[tokio::test]
async fn a_csv_file_is_read_by_its_column_map_and_shown_as_tables() {
    let mut log = "when;verb;what;from;uid\n".to_owned();
    (0..12).for_each(|number| log += &format!("17829072{number:02}.5;POST;/chat/x;192.0.2.1;ada\n"));
    let folder = folder(log + "17829072xx;POST;/chat/x;192.0.2.1;ada\n");
    let columns = ["--columns", "time=when,method=verb,path=what,ip=from,user=uid"];
    let (code, out, err) =
        replay(&folder.path().join("access.log"), &folder.path().join("tidegate.yaml"), &columns).await;
    assert_eq!((code, &*err), (Some(0), ""));
    for part in
        ["12 requests", "2 (16.66%)", "user:ada", "line 14: its time cannot be read", "2026-07-01T12:00:10Z"]
    {
        assert!(out.contains(part), "{part}:\n{out}");
    }
}

#[tokio::test]
async fn exit_codes_tell_a_broken_configuration_from_an_unreadable_log() {
    let folder = folder("no log at all\n");
    let (log, config) = (folder.path().join("access.log"), folder.path().join("tidegate.yaml"));
    let (code, out, err) = replay(&log, &config, &[]).await;
    assert_eq!((code, &*out), (Some(1), ""));
    assert!(["json", "combined", "csv", "--columns"].iter().all(|word| err.contains(word)), "{err}");
    let (code, _, err) = replay(&folder.path().join("absent"), &config, &[]).await;
    assert!(code == Some(1) && err.contains("absent cannot be read"), "{err}");
    fs::write(&config, "limits: {p: {windows: {1m: many}}}").expect("a folder of ours");
    let (code, _, err) = replay(&log, &config, &[]).await;
    assert!(code == Some(2) && err.contains("limits.p.windows"), "{err}");
}
