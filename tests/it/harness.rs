//! The harness itself: what the scenarios rely on works, seen without the gate.

use crate::support::{Cluster, Fetch, Keys, Legacy, Origin, Redis, Reply, Sentinel, Wire, eventually, web};
use jsonwebtoken::Algorithm;
use serde_json::json;

#[tokio::test]
async fn redis_can_be_killed_frozen_and_brought_back() {
    let mut redis = Redis::start().await;
    assert_eq!(redis.ask(&["SET", "a", "1"]), "OK");
    redis.freeze();
    redis.thaw();
    assert_eq!(redis.ask(&["GET", "a"]), "1");
    redis.kill();
    assert!(!redis.ask(&["PING"]).contains("PONG"));
    redis.restart().await;
    assert_eq!(redis.ask(&["EXISTS", "a"]), "0");
}

#[tokio::test]
async fn a_cluster_can_lose_and_regain_any_node() {
    let mut cluster = Cluster::start().await;
    let (slot, replica) = (cluster.slots(1).0, 4);
    assert_eq!(cluster.owner(slot), Some(1));
    cluster.kill(1);
    cluster.failed_over(1).await;
    assert_eq!(cluster.owner(slot), Some(replica));
    cluster.restart(1);
    eventually("it comes back as a replica", async || cluster.ask(1, &["ROLE"]).starts_with("slave")).await;
    cluster.freeze(replica);
    cluster.failed_over(1).await;
    assert_eq!(cluster.owner(slot), Some(1));
    cluster.thaw(replica);
}

#[tokio::test]
async fn sentinels_put_another_server_into_office() {
    let mut set = Sentinel::start().await;
    assert_eq!(set.primary(), Some(0));
    set.demote();
    set.failed_over(0).await;
    let second = set.primary().expect("a primary");
    assert_eq!(set.ask(second, &["SET", "a", "1"]), "OK");
    set.signal(second, "STOP");
    set.signal_sentinel(0, "STOP");
    set.signal_sentinel(0, "CONT");
    set.failed_over(second).await;
    set.signal(second, "CONT");
}

#[tokio::test]
async fn origin_records_the_exact_bytes_and_dies_on_request() {
    let mut origin = Origin::start(|seen| Reply::ok(&seen.body).header("X-Target", &seen.target)).await;
    let request = "POST /a?b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let answer = Wire::exchange(origin.address(), request).await.expect("an answer");
    assert_eq!((answer.status, answer.text().as_str(), answer.header("x-target")), (200, "abc", "/a?b"));
    assert!(request.as_bytes().starts_with(&origin.last().head));
    origin.stop().await;
    assert!(web::client().get(format!("http://{}/", origin.address())).send().await.is_err());
    origin.listen().await;
    let answer = web::client().get(format!("http://{}/", origin.address())).fetch().await;
    assert_eq!((answer.status, origin.count()), (200, 2));
}

#[tokio::test]
async fn legacy_backend_answers() {
    let legacy = Legacy::start().await;
    let url = format!("http://{}/api/v1/dashboard/summary", legacy.address());
    let answer = web::client().get(url).header("X-Organization-Id", "acme").fetch().await;
    assert_eq!(answer.json()["tenant"], "acme");
}

#[tokio::test]
async fn keys_of_every_family_sign() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let keys = Keys::generate(algorithm);
        assert_eq!(keys.sign(&json!({"sub": "ada"}), Some("k1")).split('.').count(), 3);
        assert_eq!(keys.jwk("k1")["kid"], "k1");
        assert!(keys.public_file().exists());
    }
}

#[tokio::test]
async fn a_dropped_redis_leaves_no_process() {
    let redis = Redis::start().await;
    let url = redis.url();
    let address = url.trim_start_matches("redis://").to_owned();
    drop(redis);
    eventually("the port is free", async || std::net::TcpStream::connect(&address).is_err()).await;
}
