//! The limiter over a real Cluster and a real Sentinel set: shared, killed, moved, flushed, damaged.

use crate::store::testing::cluster::Cluster;
use crate::store::testing::sentinel::Sentinel;
use fred::clients::Client;
use fred::interfaces::{ClientLike, KeysInterface};
use fred::types::Builder;
use fred::types::config::{Config, ReconnectPolicy};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn scratch_harness() {
    let began = Instant::now();
    let mut cluster = Cluster::start().await;
    println!("cluster up after {:?}", began.elapsed());
    let mut config = Config::from_url(&cluster.url()).expect("url");
    config.fail_fast = false;
    let client: Client = Builder::from_config(config)
        .set_policy(ReconnectPolicy::new_exponential(0, 50, 1000, 2))
        .with_connection_config(|c| {
            c.connection_timeout = Duration::from_secs(1);
            c.internal_command_timeout = Duration::from_secs(1);
            c.max_command_attempts = 3;
        })
        .build()
        .expect("built");
    let _task = client.init().await.expect("connects");
    let healthy = (0..).map(|n| format!("k{n}")).find(|k| cluster.slot_of(k) < 5461).expect("one");
    let dead = (0..).map(|n| format!("k{n}")).find(|k| cluster.slot_of(k) > 10923).expect("one");
    client.set::<(), _, _>(&healthy, 1, None, None, false).await.expect("set");
    client.set::<(), _, _>(&dead, 1, None, None, false).await.expect("set");
    cluster.kill(2);
    let began = Instant::now();
    let (mut ok, mut bad) = (0, 0);
    let mut first_ok = None;
    while began.elapsed() < Duration::from_secs(8) {
        let at = began.elapsed();
        let one = tokio::time::timeout(Duration::from_millis(50), client.get::<i64, _>(&healthy)).await;
        if matches!(one, Ok(Ok(_))) {
            ok += 1;
            if bad > 0 && first_ok.is_none() {
                first_ok = Some(at);
            }
        } else {
            bad += 1;
        }
        let _ = tokio::time::timeout(Duration::from_millis(50), client.get::<i64, _>(&dead)).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("FRED healthy slot: ok {ok}, failed {bad}, ok again after {first_ok:?}");
    drop(cluster);
    let began = Instant::now();
    let mut set = Sentinel::start().await;
    println!("sentinel up after {:?}, primary {:?}", began.elapsed(), set.primary());
    set.kill(0);
    let began = Instant::now();
    set.failed_over(0).await;
    println!("sentinel failover {:?}", began.elapsed());
}
