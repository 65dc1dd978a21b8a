//! Values that are computed once, on memory alone and on memory in front of Redis.

use crate::base::{Clock, ManualClock, Secret, StoreSettings, StoreUrl, SystemClock, Tasks};
use crate::cache::{Mode, Namespace, Purge, Scope, What, Whose};
use crate::store::testing::{Redis, eventually};
use crate::store::{Cached, Question, Stores};
use crate::telemetry::{CacheResult, CacheStatsBy, Metrics};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};

/// A process with a clock that the test moves.
struct Process {
    stores: Arc<Stores>,
    clock: Arc<ManualClock>,
    metrics: Arc<Metrics>,
    tasks: Tasks,
    /// Those that never end.
    usual_tasks: usize,
    computed: Arc<AtomicUsize>,
}

impl Process {
    async fn on(server: Option<&Redis>) -> Self {
        let mut settings = StoreSettings::default();
        if let Some(server) = server {
            settings.url = StoreUrl::Redis(Secret::new(format!("redis://127.0.0.1:{}", server.port)));
            settings.timeout = Duration::from_secs(1);
        }
        let clock = Arc::new(ManualClock::at(SystemClock::new().wall_ms()));
        let metrics = Arc::new(Metrics::new(0).expect("valid"));
        let tasks = Tasks::new();
        let time: Arc<dyn Clock> = clock.clone();
        let stores = Stores::open(&settings, &time, &metrics, &tasks).expect("a good URL");
        assert!(stores.connected(Duration::from_secs(10)).await);
        let usual_tasks = tasks.len();
        Self { stores, clock, metrics, tasks, usual_tasks, computed: Arc::default() }
    }

    /// Asks; what is computed is the number of the computation.
    async fn ask(
        &self,
        namespace: &Arc<Namespace>,
        tenant: Option<&str>,
        key: &[&str],
    ) -> (String, CacheResult) {
        let computed = Arc::clone(&self.computed);
        let number = move || async move {
            Ok::<_, &str>(Bytes::from((computed.fetch_add(1, Ordering::SeqCst) + 1).to_string()))
        };
        let answer = told(self.stores.cached(Question { namespace, tenant, key }, number).await);
        // Redis is written in the background; the clock may be moved past what memory answers for.
        eventually(|| self.tasks.len() <= self.usual_tasks).await;
        answer
    }

    /// Asks when computing fails.
    async fn ask_failing(&self, namespace: &Arc<Namespace>, key: &[&str]) -> Result<Cached, &'static str> {
        let question = Question { namespace, tenant: Some("acme"), key };
        self.stores.cached(question, || async { Err("no database") }).await
    }

    async fn purge(&self, namespace: Option<&str>, what: What) {
        let whose = Whose::Tenant("acme".to_owned());
        let purge = Purge { mode: Mode::Hard, whose, namespace: namespace.map(str::to_owned), what };
        self.stores.purges.purge(&[purge]).await;
    }
}

fn told(cached: Result<Cached, &str>) -> (String, CacheResult) {
    let Cached { value, result } = cached.expect("it is computed");
    (String::from_utf8_lossy(&value).into_owned(), result)
}

fn namespace(change: impl FnOnce(&mut Namespace)) -> Arc<Namespace> {
    let mut namespace = Namespace { ttl: Some(Duration::from_secs(60)), ..Namespace::named("figures") };
    namespace.tags = vec!["sales".to_owned()];
    change(&mut namespace);
    Arc::new(namespace)
}

fn is(value: &str, result: CacheResult) -> (String, CacheResult) {
    (value.to_owned(), result)
}

use CacheResult::{Bypass, Hit, Miss, Stale};

async fn a_value_is_computed_once_for_each_tenant_and_key(server: Option<&Redis>) {
    let one = Process::on(server).await;
    let space = namespace(|_| ());
    assert_eq!(one.ask(&space, Some("acme"), &["a", "bc"]).await, is("1", Miss));
    assert_eq!(one.ask(&space, Some("acme"), &["a", "bc"]).await, is("1", Hit));
    for (number, (tenant, key)) in
        [("globex", &["a", "bc"][..]), ("acme", &["ab", "c"]), ("acme", &["abc"]), ("acme", &[])]
            .into_iter()
            .enumerate()
    {
        assert_eq!(one.ask(&space, Some(tenant), key).await, is(&(number + 2).to_string(), Miss));
    }
    let other = Arc::new(Namespace { name: "other".into(), ..(*space).clone() });
    assert_eq!(one.ask(&other, Some("acme"), &["a", "bc"]).await, is("6", Miss));
    let report = one.metrics.cache_report(CacheStatsBy::Tenant);
    assert_eq!((report.cache_hits, report.cache_misses, report.stored), (1, 6, 6));
    let public = namespace(|space| space.scope = Scope::Public);
    assert_eq!(one.ask(&public, Some("acme"), &["a"]).await, is("7", Miss));
    assert_eq!(one.ask(&public, None, &["a"]).await, is("7", Hit));
}

async fn purges_reach_values_by_tenant_namespace_and_tag(server: Option<&Redis>) {
    let one = Process::on(server).await;
    let space = namespace(|_| ());
    for (number, (named, what)) in
        [(None, What::All), (Some("figures"), What::All), (None, What::Tag("sales".to_owned()))]
            .into_iter()
            .enumerate()
    {
        let number = (number + 1).to_string();
        assert_eq!(one.ask(&space, Some("acme"), &["a"]).await, is(&number, Miss));
        assert_eq!(one.ask(&space, Some("acme"), &["a"]).await, is(&number, Hit));
        one.purge(named, what).await;
    }
    assert_eq!(one.ask(&space, Some("acme"), &["a"]).await, is("4", Miss));
    one.purge(Some("other"), What::All).await;
    one.purge(None, What::Path("/a".to_owned())).await;
    assert_eq!(one.ask(&space, Some("acme"), &["a"]).await, is("4", Hit));
    // What was read before a purge is given, and not kept.
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let (told_begun, waiting) = (Arc::clone(&begun), Arc::clone(&go_on));
    let question = Question { namespace: &space, tenant: Some("acme"), key: &["b"] };
    let slow = one.stores.cached(question, move || async move {
        told_begun.notify_one();
        drop(waiting.acquire().await);
        Ok::<_, &str>(Bytes::from_static(b"old"))
    });
    let purge = async {
        begun.notified().await;
        one.purge(None, What::All).await;
        go_on.add_permits(1);
    };
    let (answer, ()) = tokio::join!(slow, purge);
    assert_eq!(told(answer), is("old", Miss));
    assert_eq!(one.ask(&space, Some("acme"), &["b"]).await, is("5", Miss));
}

async fn stale_values_are_given_while_they_are_computed_anew_or_that_fails(server: Option<&Redis>) {
    let one = Process::on(server).await;
    let space = namespace(|space| {
        space.stale_while_revalidate = Some(Duration::from_secs(10));
        space.stale_if_error = Some(Duration::from_secs(100));
    });
    assert_eq!(one.ask_failing(&space, &["a"]).await, Err("no database"));
    assert_eq!(one.ask(&space, Some("acme"), &["a"]).await, is("1", Miss), "a failure is not kept");
    one.clock.advance(Duration::from_secs(65));
    assert_eq!(one.ask(&space, Some("acme"), &["a"]).await, is("1", Stale));
    eventually(|| one.computed.load(Ordering::SeqCst) == 2 && one.stores.flights.is_empty()).await;
    assert_eq!(one.ask(&space, Some("acme"), &["a"]).await, is("2", Hit));
    one.clock.advance(Duration::from_secs(75));
    let stale = one.ask_failing(&space, &["a"]).await.map_err(|error| error.to_owned());
    assert_eq!(stale.map(|cached| (cached.value, cached.result)), Ok((Bytes::from_static(b"2"), Stale)));
    assert_eq!(
        one.ask(&space, Some("acme"), &["a"]).await,
        is("3", Miss),
        "the window for serving it unasked is over"
    );
    one.clock.advance(Duration::from_secs(200));
    assert_eq!(one.ask_failing(&space, &["a"]).await, Err("no database"));
}

async fn of_many_who_ask_at_once_one_computes(server: Option<&Redis>) {
    let one = Process::on(server).await;
    let space = namespace(|_| ());
    let (go_on, begun) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let ask = || {
        let (go_on, begun) = (Arc::clone(&go_on), Arc::clone(&begun));
        let question = Question { namespace: &space, tenant: Some("acme"), key: &["a"] };
        one.stores.cached(question, move || async move {
            begun.fetch_add(1, Ordering::SeqCst);
            drop(go_on.acquire().await);
            Ok::<_, &str>(Bytes::from_static(b"once"))
        })
    };
    let release = async {
        eventually(|| begun.load(Ordering::SeqCst) == 1).await;
        go_on.add_permits(5);
    };
    let (a, b, c, d, e, ()) = tokio::join!(ask(), ask(), ask(), ask(), ask(), release);
    let mut results: Vec<CacheResult> = [a, b, c, d, e].map(|answer| told(answer).1).to_vec();
    results.retain(|result| *result == Miss);
    assert_eq!((begun.load(Ordering::SeqCst), results.len()), (1, 1));
    assert_eq!(one.metrics.cache_report(CacheStatsBy::Total).coalesced, 4);
    assert!(one.stores.flights.is_empty(), "nothing is left of the flight");
}

macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $name() {
                super::$name(None).await;
            })+
        }
        mod redis {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                let server = super::Redis::start().await;
                super::$name(Some(&server)).await;
            })+
        }
    };
}

on_both!(
    a_value_is_computed_once_for_each_tenant_and_key,
    purges_reach_values_by_tenant_namespace_and_tag,
    stale_values_are_given_while_they_are_computed_anew_or_that_fails,
    of_many_who_ask_at_once_one_computes,
);

#[tokio::test]
async fn what_belongs_to_nobody_or_is_too_large_is_not_kept() {
    let one = Process::on(None).await;
    let space = namespace(|_| ());
    for tenant in [None, Some("")] {
        assert_eq!(one.ask(&space, tenant, &["a"]).await.1, Bypass);
        assert_eq!(one.ask(&space, tenant, &["a"]).await.1, Bypass);
    }
    let user = namespace(|space| space.scope = Scope::User);
    let unlimited = namespace(|space| space.ttl = None);
    for space in [&user, &unlimited] {
        assert_eq!(one.ask(space, Some("acme"), &["a"]).await.1, Bypass);
    }
    let tiny = namespace(|space| space.max_object = 0);
    assert_eq!(one.ask(&tiny, Some("acme"), &["a"]).await.1, Miss);
    assert_eq!(one.ask(&tiny, Some("acme"), &["a"]).await.1, Miss);
    let report = one.metrics.cache_report(CacheStatsBy::Total);
    assert_eq!((report.bypassed, report.stored, report.cache_misses), (6, 0, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_instance_finds_the_value_and_hears_of_its_purge() {
    let server = Redis::start().await;
    let (one, two) = (Process::on(Some(&server)).await, Process::on(Some(&server)).await);
    let space = namespace(|_| ());
    assert_eq!(one.ask(&space, Some("acme"), &["a"]).await, is("1", Miss));
    eventually(|| !server.cli(&["KEYS", "tg:o:*"]).is_empty()).await;
    assert_eq!(two.ask(&space, Some("acme"), &["a"]).await, is("1", Hit));
    assert_eq!(two.computed.load(Ordering::SeqCst), 0);
    one.purge(None, What::All).await;
    two.stores.purges.read().await.expect("it answers");
    assert_eq!(two.ask(&space, Some("acme"), &["a"]).await.1, Miss);
    two.tasks.drain(Duration::from_secs(5)).await;
}
