//! An instance on a primary that real sentinels watch.

use crate::support::{Fetch, Gate, Origin, Sentinel, Setup, eventually, within};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_under_load_is_seen_by_no_client_and_the_new_primary_is_used() {
    let (mut set, origin) = (Sentinel::start().await, Origin::counting().await);
    let store = format!("url: \"{}\", timeout: 1s", set.url());
    let sections = "limits: {default: {windows: {1h: 100000}}}\nroutes: [{path: /}]";
    let gate = Gate::start(&Setup::new(origin.address()).store_text(&store).with(sections)).await;
    let is_up = async || gate.metric("tidegate_store_up", &[("store", "redis")]).await > 0.0;
    let decisions =
        async |word: &str| gate.metric("tidegate_limit_decisions_total", &[("decision", word)]).await;
    eventually("it is connected", is_up).await;
    let goes_on = Arc::new(AtomicBool::new(true));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (request, goes_on) = (gate.get("/"), Arc::clone(&goes_on));
        clients.spawn(async move {
            while goes_on.load(Ordering::Relaxed) {
                let answer = request.try_clone().expect("no body").fetch().await;
                assert_eq!(answer.status, 200, "{answer:?}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
    }
    eventually("decisions are shared", async || decisions("allow").await > 50.0).await;
    set.kill(0);
    eventually("decisions go on", async || decisions("local_allow").await > 20.0).await;
    set.failed_over(0).await;
    let recovers = async {
        while !is_up().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(Duration::from_secs(5), "until the store is up again", recovers).await;
    let (local, shared) = (decisions("local_allow").await, decisions("allow").await);
    eventually("decisions are shared again", async || decisions("allow").await > shared + 50.0).await;
    assert!(decisions("local_allow").await - local <= 4.0, "one of each client was under way");
    goes_on.store(false, Ordering::Relaxed);
    clients.join_all().await;
}
