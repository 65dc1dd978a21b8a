//! A new configuration under traffic: taken whole or not at all, and no request notices.

use crate::support::{Fetch, Gate, Origin, Setup, Store, eventually, web};
use std::sync::atomic::{AtomicBool, Ordering};

/// `limit` units a minute, on everything.
fn setup(origin: &Origin, limit: u32) -> Setup {
    let sections = format!("limits: {{default: {{windows: {{1m: {limit}}}}}}}\nroutes: [{{path: /}}]");
    Setup::new(origin.address()).store(&Store::Memory).with(&sections)
}

/// Asks on one connection until `goes_on` is false; every answer must be 200. Gives their number.
async fn ask_on(gate: &Gate, goes_on: &AtomicBool) -> u64 {
    let (client, url, mut answers) = (web::client(), format!("http://{}/", gate.http), 0);
    while goes_on.load(Ordering::Relaxed) {
        let answer = client.get(&url).fetch().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answers += 1;
    }
    answers
}

/// C3.
#[tokio::test]
async fn reloads_under_load_fail_no_request_and_forget_no_unit() {
    let origin = Origin::counting().await;
    let gate = Gate::start(&setup(&origin, 100_000)).await;
    let goes_on = AtomicBool::new(true);
    let clients = futures_util::future::join_all((0..4).map(|_| ask_on(&gate, &goes_on)));
    let reloads = async {
        for round in 0..10 {
            gate.reload(&setup(&origin, 100_001 + round)).await;
        }
        goes_on.store(false, Ordering::Relaxed);
    };
    let (answers, ()) = futures_util::join!(clients, reloads);
    let asked: u64 = answers.iter().sum();
    let after = gate.get("/").fetch().await;
    assert_eq!(after.number("x-ratelimit-remaining-60s"), 100_010 - asked - 1);
    assert!(answers.iter().all(|answers| *answers > 0), "{answers:?}");
}

/// C1 and C2 under load.
#[tokio::test]
async fn a_refused_configuration_under_load_changes_nothing() {
    let origin = Origin::counting().await;
    let gate = Gate::start(&setup(&origin, 100_000)).await;
    let goes_on = AtomicBool::new(true);
    let broken = ["", "routes: [", "limits: {default: {windows: {1m: ten}}}", "unknown: true", "\u{0}"];
    let reloads = async {
        for (round, text) in (1_i32..).zip(broken) {
            std::fs::write(gate.file(), text).expect("ours");
            gate.process.signal("HUP");
            eventually("it is refused", async || {
                gate.metric("tidegate_config_reloads_total", &[("result", "failure")]).await
                    >= f64::from(round)
            })
            .await;
        }
        goes_on.store(false, Ordering::Relaxed);
    };
    let (answers, ()) = futures_util::join!(ask_on(&gate, &goes_on), reloads);
    assert!(answers > 0);
    assert_eq!(gate.metric("tidegate_config_last_reload_success", &[]).await, 0.0);
    assert_eq!(gate.get("/").fetch().await.number("x-ratelimit-limit-60s"), 100_000);
}

#[tokio::test]
async fn a_rewritten_file_is_taken_without_a_signal() {
    let origin = Origin::counting().await;
    let gate = Gate::start(&setup(&origin, 7)).await;
    gate.write(&setup(&origin, 9));
    eventually("the change is seen", async || {
        gate.get("/").fetch().await.number("x-ratelimit-limit-60s") == 9
    })
    .await;
}

#[tokio::test]
async fn a_request_keeps_the_configuration_it_began_with() {
    let door = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let waiting = std::sync::Arc::clone(&door);
    let old = Origin::start(move |_| crate::support::Reply::ok("old").when(&waiting)).await;
    let new = Origin::start(|_| crate::support::Reply::ok("new")).await;
    let gate = Gate::start(&setup(&old, 50)).await;
    let begun = gate.get("/").fetch();
    let reload = async {
        eventually("the request is under way", async || old.count() == 1).await;
        gate.reload(&setup(&new, 50)).await;
        assert_eq!(gate.get("/").fetch().await.text(), "new");
        door.add_permits(1);
    };
    let (answer, ()) = futures_util::join!(begun, reload);
    assert_eq!((answer.status, answer.text().as_str()), (200, "old"));
}
