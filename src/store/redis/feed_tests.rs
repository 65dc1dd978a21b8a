//! The feed on a server, on sentinels and on a Cluster that are killed, hung and flooded.

use super::*;
use crate::store::testing::cluster::Cluster;
use crate::store::testing::sentinel::Sentinel;
use crate::store::testing::{Redis, connection, eventually, free_port};
use parking_lot::Mutex;

/// A feed and what it has told.
struct Ear {
    feed: Feed,
    heard: Arc<Mutex<Vec<Event>>>,
}

impl Ear {
    fn at(url: &str) -> Self {
        let heard: Arc<Mutex<Vec<Event>>> = Arc::default();
        let told = Arc::clone(&heard);
        let feed = Feed::open(connection(url), move |event| told.lock().push(event));
        Self { feed, heard }
    }

    async fn live(url: &str) -> Self {
        let ear = Self::at(url);
        eventually(|| ear.feed.is_live()).await;
        ear
    }

    fn count(&self, event: &Event) -> usize {
        self.heard.lock().iter().filter(|heard| *heard == event).count()
    }

    fn has(&self, text: &str) -> bool {
        self.count(&Event::Message(text.to_owned())) > 0
    }
}

fn url(server: &Redis) -> String {
    format!("redis://127.0.0.1:{}", server.port)
}

/// Published again and again, as the application does when it matters: the way there may be down as well.
async fn reaches(from: &Ear, to: &Ear, text: &str) {
    for _ in 0..200 {
        drop(from.feed.publish(text).await);
        if to.has(text) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{text:?} was never heard");
}

#[tokio::test]
async fn what_one_instance_publishes_all_hear_once_and_in_order() {
    let server = Redis::start().await;
    let (one, two) = (Ear::live(&url(&server)).await, Ear::live(&url(&server)).await);
    for number in 0..100 {
        one.feed.publish(&number.to_string()).await.expect("it answers");
    }
    for ear in [&one, &two] {
        eventually(|| ear.has("99")).await;
        let mut expected = vec![Event::Live];
        expected.extend((0..100).map(|number| Event::Message(number.to_string())));
        assert_eq!(*ear.heard.lock(), expected);
    }
}

#[tokio::test]
async fn a_lost_connection_is_told_at_once_and_its_return_as_a_gap() {
    let mut server = Redis::start().await;
    let ear = Ear::live(&url(&server)).await;
    server.kill();
    eventually(|| !ear.feed.is_live()).await;
    assert_eq!(ear.count(&Event::Lost), 1);
    assert!(ear.feed.publish("nobody hears").await.is_err());
    server.restart().await;
    eventually(|| ear.feed.is_live()).await;
    assert_eq!((ear.count(&Event::Live), ear.count(&Event::Lost)), (2, 1));
    reaches(&ear, &ear, "after").await;
}

#[tokio::test]
async fn a_client_that_the_server_throws_out_comes_back() {
    let server = Redis::start().await;
    let ear = Ear::live(&url(&server)).await;
    server.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    eventually(|| ear.count(&Event::Live) == 2).await;
    reaches(&ear, &ear, "after").await;
}

#[tokio::test]
async fn a_hung_server_is_not_taken_for_a_silent_feed() {
    let server = Redis::start().await;
    let ear = Ear::live(&url(&server)).await;
    server.signal("STOP");
    eventually(|| !ear.feed.is_live()).await;
    server.signal("CONT");
    eventually(|| ear.feed.is_live()).await;
    reaches(&ear, &ear, "after").await;
}

#[tokio::test]
async fn a_server_that_comes_later_is_found() {
    let port = free_port();
    let ear = Ear::at(&format!("redis://127.0.0.1:{port}"));
    assert!(!ear.feed.is_live());
    assert!(ear.feed.publish("nobody hears").await.is_err());
    let _server = Redis::start_at(port).await;
    eventually(|| ear.feed.is_live()).await;
    assert_eq!(ear.heard.lock().first(), Some(&Event::Live));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_on_a_cluster_outlives_any_node() {
    let mut cluster = Cluster::start().await;
    let (one, two) = (Ear::live(&cluster.url()).await, Ear::live(&cluster.url()).await);
    reaches(&one, &two, "before").await;
    for dead in [0, 1] {
        cluster.kill(dead);
        reaches(&one, &two, &format!("without {dead}")).await;
        cluster.failed_over(dead).await;
        eventually(|| one.feed.is_live() && two.feed.is_live()).await;
    }
    reaches(&two, &one, "after").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_follows_the_primary_that_sentinels_name() {
    let mut set = Sentinel::start().await;
    let ear = Ear::live(&set.url()).await;
    set.kill(0);
    eventually(|| !ear.feed.is_live()).await;
    set.failed_over(0).await;
    eventually(|| ear.feed.is_live()).await;
    reaches(&ear, &ear, "after").await;
}
