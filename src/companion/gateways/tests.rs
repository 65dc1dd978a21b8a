//! Asking over real sockets.

use super::*;
use crate::base::SystemClock;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const STATS: &str = r#"{"version":"0.1.0","started_at":"2026-06-15T00:00:00Z","uptime_seconds":100,"draining":false,
    "requests":{"total":200,"by_class":{"2xx":200},"rate_limited":20,"in_flight":0},
    "latency":{"buckets":[{"le":0.01,"count":200}],"sum_seconds":1.0,"count":200},
    "cache":{"hits":50,"misses":50,"total":100,"hit_rate":0.5},"store":{"kind":"memory","connected":true}}"#;

/// Answers every connection with `status` and `body`; counts them, and keeps what it was asked last.
async fn listener(
    tasks: &Tasks,
    status: &'static str,
    body: &'static str,
) -> (String, Arc<AtomicUsize>, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("is bound");
    let (count, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(String::new())));
    let (counted, heard) = (Arc::clone(&count), Arc::clone(&asked));
    tasks.spawn_until_stop("a gateway", async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("somebody asks");
            counted.fetch_add(1, Ordering::SeqCst);
            let mut head = vec![0; 2_048];
            let length = stream.read(&mut head).await.expect("a request");
            *heard.lock() = String::from_utf8_lossy(&head[..length]).into_owned();
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            // Whoever asks may be gone.
            drop(stream.write_all(answer.as_bytes()).await);
        }
    });
    (address.to_string(), count, asked)
}

fn gateways(places: &[&str], token: Option<&str>, tasks: &Tasks) -> Gateways {
    let places: Vec<String> = places.iter().map(|place| (*place).to_owned()).collect();
    Gateways::new(&places, token.map(Secret::new), Arc::new(SystemClock::new()), tasks.clone())
}

#[tokio::test]
async fn many_who_ask_at_once_cause_one_poll_with_the_token() {
    let tasks = Tasks::new();
    let (url, count, asked) = listener(&tasks, "200 OK", STATS).await;
    let gateways = gateways(&[&url], Some("s3cret"), &tasks);
    let mut crowd = JoinSet::new();
    for _ in 0..50 {
        let gateways = gateways.clone();
        crowd.spawn(async move { gateways.health().await });
    }
    let told = crowd.join_all().await;
    assert_eq!((told.len(), count.load(Ordering::SeqCst)), (50, 1));
    assert!(
        told.iter()
            .all(|health| health.status == HealthStatus::Ok && health.requests_per_second == Some(2.0))
    );
    assert!(asked.lock().contains("authorization: Bearer s3cret\r\n"), "{}", asked.lock());
    gateways.health().await;
    assert_eq!(count.load(Ordering::SeqCst), 1, "it is kept for a while");
    tasks.drain(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn two_names_of_one_instance_count_once() {
    let tasks = Tasks::new();
    let (url, ..) = listener(&tasks, "200 OK", STATS).await;
    let by_name = url.replace("127.0.0.1", "localhost");
    let health = gateways(&[&url, &by_name], None, &tasks).health().await;
    assert_eq!(health.instances, Instances { asked: 1, reachable: 1 });
    tasks.drain(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn whoever_answers_otherwise_is_not_there() {
    let tasks = Tasks::new();
    let sound = listener(&tasks, "200 OK", STATS).await.0;
    let nowhere = "no-such-host.invalid:9901";
    for (status, body) in [("401 Unauthorized", "{}"), ("200 OK", "<html>"), ("200 OK", "{\"version\":1}")] {
        let odd = listener(&tasks, status, body).await.0;
        let health = gateways(&[&odd], None, &tasks).health().await;
        assert_eq!((health.status, health.instances.asked), (HealthStatus::Unknown, 1), "{body}");
        let health = gateways(&[&odd, &sound, nowhere], None, &tasks).health().await;
        assert_eq!(health.status, HealthStatus::Degraded);
        assert_eq!(health.instances, Instances { asked: 3, reachable: 1 });
    }
    let health = gateways(&[], None, &tasks).health().await;
    assert_eq!((health.status, health.source), (HealthStatus::Unknown, "none"));
    tasks.drain(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn a_gateway_that_hangs_is_waited_for_no_longer_than_a_second() {
    let tasks = Tasks::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = listener.local_addr().expect("is bound").to_string();
    let clock = SystemClock::new();
    let health = gateways(&[&url], None, &tasks).health().await;
    assert_eq!(health.status, HealthStatus::Unknown);
    assert!((900..3_000).contains(&clock.monotonic_ms()), "{} ms", clock.monotonic_ms());
    tasks.drain(Duration::from_secs(1)).await;
}
