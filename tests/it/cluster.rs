//! Instances on a real Redis Cluster: what fails there costs features, not traffic, and no limit is overrun.

use crate::support::tokens::HS256;
use crate::support::web::hammer;
use crate::support::{Cluster, Fetch, Gate, Origin, Setup, eventually, token, within};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

/// What is promised, from the moment when the cluster is healthy.
const RECOVERY_MAX: Duration = Duration::from_secs(5);

async fn on(cluster: &Cluster, origin: &Origin, sections: &str) -> Gate {
    let store = format!("url: \"{}\", timeout: 1s", cluster.url());
    let gate = Gate::start(&Setup::new(origin.address()).store_text(&store).with(HS256).with(sections)).await;
    eventually("it is connected", async || is_up(&gate).await).await;
    gate
}

async fn is_up(gate: &Gate) -> bool {
    gate.metric("tidegate_store_up", &[("store", "redis")]).await > 0.0
}

async fn decisions(gate: &Gate, decision: &str) -> f64 {
    gate.metric("tidegate_limit_decisions_total", &[("decision", decision)]).await
}

/// Users of which some count at each primary, each with a limit that is soon spent. Ends with what each was granted.
fn users(gate: &Gate, goes_on: &Arc<AtomicBool>) -> JoinSet<(u32, u32)> {
    let mut users = JoinSet::new();
    for user in 0..12 {
        let request = gate.get("/").bearer_auth(token(&format!("user-{user}"), "acme"));
        let goes_on = Arc::clone(goes_on);
        users.spawn(async move {
            let (mut granted, mut answers) = (0, 0);
            while goes_on.load(Ordering::Relaxed) {
                let answer = request.try_clone().expect("no body").fetch().await;
                assert!(matches!(answer.status, 200 | 429), "{answer:?}");
                granted += u32::from(answer.status == 200);
                answers += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            (granted, answers)
        });
    }
    users
}

#[tokio::test(flavor = "multi_thread")]
async fn four_instances_on_a_cluster_admit_exactly_the_limit() {
    let (cluster, origin) = (Cluster::start().await, Origin::counting().await);
    let sections = "limits: {default: {windows: {1m: 100, 1h: 1000}}}\nroutes: [{path: /}]";
    let mut gates = Vec::new();
    for _ in 0..4 {
        gates.push(on(&cluster, &origin, sections).await);
    }
    let gates: Vec<&Gate> = gates.iter().collect();
    assert_eq!(hammer(&gates, 8, 60).await, (100, 380));
    assert_eq!(origin.count(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_under_load_is_seen_by_no_client() {
    let (mut cluster, origin) = (Cluster::start().await, Origin::counting().await);
    let sections = "limits: {default: {windows: {1h: 100000}}}\nroutes: [{path: /}]";
    let gate = on(&cluster, &origin, sections).await;
    let goes_on = Arc::new(AtomicBool::new(true));
    let users = users(&gate, &goes_on);
    eventually("decisions are shared", async || decisions(&gate, "allow").await > 50.0).await;
    assert_eq!(decisions(&gate, "local_allow").await, 0.0);
    cluster.kill(0);
    let shared = decisions(&gate, "allow").await;
    eventually("decisions go on", async || {
        decisions(&gate, "local_allow").await > 5.0 && decisions(&gate, "allow").await > shared + 20.0
    })
    .await;
    assert!(!is_up(&gate).await, "a part is away");
    cluster.failed_over(0).await;
    let recovers = async {
        while !is_up(&gate).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(RECOVERY_MAX, "until the store is up again", recovers).await;
    let (local, shared) = (decisions(&gate, "local_allow").await, decisions(&gate, "allow").await);
    eventually("all go on", async || decisions(&gate, "allow").await > shared + 100.0).await;
    assert!(decisions(&gate, "local_allow").await - local <= 12.0, "one of each user was under way");
    goes_on.store(false, Ordering::Relaxed);
    assert!(users.join_all().await.iter().all(|(granted, answers)| *answers > 20 && granted == answers));
    let log = gate.process.stderr() + &gate.process.stdout();
    assert_eq!(log.matches("store away").count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_moved_under_load_overrun_no_limit() {
    let (cluster, origin) = (Cluster::start().await, Origin::counting().await);
    let sections = "limits: {default: {windows: {1h: 40}}}\nroutes: [{path: /}]";
    let gate = on(&cluster, &origin, sections).await;
    let goes_on = Arc::new(AtomicBool::new(true));
    let users = users(&gate, &goes_on);
    eventually("decisions are shared", async || decisions(&gate, "allow").await > 60.0).await;
    for number in 0..3 {
        let keys = cluster.ask(number, &["KEYS", "*rl:*"]);
        for key in keys.lines().filter(|key| !key.is_empty()) {
            let (slot, to) = (cluster.slot_of(key), (number + 1) % 3);
            cluster.begin_to_move(slot, number, to);
            cluster.ask_all(&["SCRIPT", "FLUSH"]);
            cluster.move_keys(slot, number, to);
            cluster.end_move(slot, number, to);
        }
    }
    eventually("all limits are spent", async || decisions(&gate, "deny").await > 100.0).await;
    goes_on.store(false, Ordering::Relaxed);
    let granted: Vec<u32> = users.join_all().await.into_iter().map(|(granted, _)| granted).collect();
    assert_eq!(granted, vec![40; 12]);
    assert_eq!(decisions(&gate, "local_allow").await + decisions(&gate, "local_deny").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_on_a_cluster_are_shared_and_removed() {
    let (cluster, origin) = (Cluster::start().await, Origin::counting().await);
    let sections = "cache: {namespaces: {pages: {ttl: 5m}}}\nroutes: [{path: /, cache: pages}]";
    let (one, two) = (on(&cluster, &origin, sections).await, on(&cluster, &origin, sections).await);
    for page in 0..12 {
        let ask = async |gate: &Gate| {
            let request = gate.get(&format!("/{page}")).header("Host", "one.example");
            request.bearer_auth(token("ada", "acme")).fetch().await
        };
        let first = ask(&one).await;
        assert_eq!(first.cache(), "MISS");
        eventually("the other instance has it", async || {
            let answer = ask(&two).await;
            answer.cache() == "HIT" || answer.text() != first.text()
        })
        .await;
    }
}
