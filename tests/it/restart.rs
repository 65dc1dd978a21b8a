//! What outlives a process that counts by itself.

use crate::support::{Fetch, Gate, Origin, Setup, eventually};
use std::fs;
use tempfile::TempDir;

const FIVE: &str = "limits: {default: {windows: {1d: 5}}}\nroutes: [{path: /}]";

fn setup(origin: &Origin, folder: &TempDir) -> Setup {
    let file = folder.path().join("counts");
    let inside = format!("url: \"memory:\", memory: {{snapshot: \"{}\"}}", file.display());
    Setup::new(origin.address()).store_text(&inside).with(FIVE)
}

async fn remaining(gate: &Gate) -> u64 {
    gate.get("/").fetch().await.number("x-ratelimit-remaining-86400s")
}

#[tokio::test]
async fn a_daily_quota_survives_a_restart() {
    let (origin, folder) = (Origin::counting().await, TempDir::new().expect("a folder"));
    let setup = setup(&origin, &folder);
    let mut gate = Gate::start(&setup).await;
    for left in [4, 3, 2] {
        assert_eq!(remaining(&gate).await, left);
    }
    gate.process.signal("TERM");
    assert_eq!(gate.process.exit().await.code(), Some(0));
    let gate = Gate::start(&setup).await;
    assert_eq!(remaining(&gate).await, 1);
    assert_eq!(remaining(&gate).await, 0);
    assert_eq!(gate.get("/").fetch().await.status, 429);
}

#[tokio::test]
async fn a_damaged_file_is_told_and_keeps_nobody_from_starting() {
    let (origin, folder) = (Origin::counting().await, TempDir::new().expect("a folder"));
    fs::write(folder.path().join("counts"), "TGCOUNTS and nonsense").expect("ours");
    let gate = Gate::start(&setup(&origin, &folder)).await;
    assert_eq!(remaining(&gate).await, 4);
    eventually("it is told", async || gate.process.stderr().contains("store.memory.snapshot is not used"))
        .await;
}
