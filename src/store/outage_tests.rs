//! The limiter over a real Redis that is shared, killed, hung, full, cut off, restarted, damaged or wrongly addressed.

use crate::base::{Clock, Secret, SystemClock, Tasks};
use crate::limit::{Charge, LimitKey, Mode, OnStoreFailure, Policy};
use crate::store::memory_limits::MemoryLimits;
use crate::store::redis::{Connection, RedisLimits, Surroundings};
use crate::store::testing::{Redis, Store, charge_of, connection, eventually, free_port, limiter_over};
use crate::store::{Admission, Limiter, Source};
use crate::telemetry::{Metrics, StoreName};
use parking_lot::Mutex;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

fn limiter(connection: Connection) -> Limiter {
    let local = MemoryLimits::new(Arc::new(SystemClock::new()), 1 << 20);
    limiter_over(connection, local)
}

fn is_admitted_by(admission: &Admission, by: Source) -> bool {
    matches!(admission, Admission::Admitted { source, .. } if *source == by)
}

async fn assert_admitted(limiter: &Limiter, charges: &[Charge], by: Source) {
    let admission = limiter.admit(charges).await;
    assert!(is_admitted_by(&admission, by), "{admission:?}");
}

fn failing(charge: Charge, rule: OnStoreFailure) -> Charge {
    let policy = Arc::new(Policy { on_store_failure: rule, ..Policy::clone(&charge.policy) });
    Charge { policy, ..charge }
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_11_four_instances_admit_exactly_the_limit() {
    let server = Redis::start().await;
    let hundred = Arc::new(charge_of("fleet", 11, &[(60, 100), (3_600, 1_000)], Mode::Enforce));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let instance = Arc::new(limiter(server.connection().await));
        for _ in 0..2 {
            let (instance, hundred) = (Arc::clone(&instance), Arc::clone(&hundred));
            clients.spawn(async move {
                let mut admitted = 0_u32;
                for _ in 0..60 {
                    let admission = instance.admit(std::slice::from_ref(&hundred)).await;
                    assert!(!matches!(admission, Admission::Admitted { source: Source::Local, .. }));
                    admitted += u32::from(is_admitted_by(&admission, Source::Store));
                }
                admitted
            });
        }
    }
    assert_eq!(clients.join_all().await.into_iter().sum::<u32>(), 100);
    let look = limiter(server.connection().await);
    let left = look.peek(std::slice::from_ref(&*hundred)).await.expect("it answers");
    assert_eq!(left[0].windows[1].remaining, 900, "the 380 denials cost nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_redis_costs_no_request_and_comes_back_by_itself() {
    let mut server = Redis::start().await;
    let limiter = limiter(server.connection().await);
    let ten = [charge_of("dead", 18, &[(60, 10)], Mode::Enforce)];
    for _ in 0..4 {
        assert_admitted(&limiter, &ten, Source::Store).await;
    }
    server.kill();
    let clock = SystemClock::new();
    let mut admitted = 0;
    for _ in 0..20 {
        admitted += u32::from(is_admitted_by(&limiter.admit(&ten).await, Source::Local));
    }
    assert_eq!(admitted, 6, "the fallback goes on from what was admitted before");
    let took = clock.monotonic();
    assert!(took < Duration::from_secs(5), "{took:?} for 20 requests, with a time-out of a second");
    assert!(!limiter.is_connected());
    server.restart().await;
    let clock = SystemClock::new();
    eventually(|| limiter.is_connected()).await;
    let took = clock.monotonic();
    assert!(took < Duration::from_secs(5), "{took:?} until it was used again");
    // The script is gone from the server and is sent again.
    assert_admitted(&limiter, &ten, Source::Store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_redis_costs_the_time_out_until_the_breaker_opens() {
    let server = Redis::start().await;
    let limiter = limiter(server.connection_within(Duration::from_millis(200)).await);
    let many = [charge_of("hung", 19, &[(60, 1_000)], Mode::Enforce)];
    assert_admitted(&limiter, &many, Source::Store).await;
    server.signal("STOP");
    for _ in 0..5 {
        let clock = SystemClock::new();
        assert_admitted(&limiter, &many, Source::Local).await;
        let took = clock.monotonic();
        assert!((200..2_000).contains(&took.as_millis()), "{took:?}");
    }
    let clock = SystemClock::new();
    for _ in 0..50 {
        assert_admitted(&limiter, &many, Source::Local).await;
    }
    let took = clock.monotonic();
    assert!(took < Duration::from_secs(2), "{took:?} for 50 requests with the breaker open");
    server.signal("CONT");
    let clock = SystemClock::new();
    eventually(|| limiter.is_connected()).await;
    let took = clock.monotonic();
    assert!(took < Duration::from_secs(5), "{took:?} until it was used again");
    assert_admitted(&limiter, &many, Source::Store).await;
}

#[tokio::test]
async fn a_redis_that_is_down_at_the_start_is_used_once_it_is_up() {
    let port = free_port();
    let clock = SystemClock::new();
    let limiter = limiter(connection(&format!("redis://127.0.0.1:{port}")));
    let two = [charge_of("early", 21, &[(60, 2)], Mode::Enforce)];
    assert_admitted(&limiter, &two, Source::Local).await;
    assert!(clock.monotonic() < Duration::from_secs(1), "nothing is waited for");
    let _server = Redis::start_at(port).await;
    eventually(|| limiter.is_connected()).await;
    assert_admitted(&limiter, &two, Source::Store).await;
}

#[tokio::test]
async fn a_forgotten_script_is_sent_again() {
    let server = Redis::start().await;
    let limiter = limiter(server.connection().await);
    let two = [charge_of("flush", 22, &[(60, 2)], Mode::Enforce)];
    assert_admitted(&limiter, &two, Source::Store).await;
    server.cli(&["SCRIPT", "FLUSH"]);
    assert_admitted(&limiter, &two, Source::Store).await;
    assert!(matches!(limiter.admit(&two).await, Admission::Denied { source: Source::Store, .. }));
}

#[tokio::test]
async fn a_full_redis_is_left_alone_until_it_has_room() {
    let server = Redis::start().await;
    let limiter = limiter(server.connection().await);
    let many = [charge_of("full", 23, &[(60, 100)], Mode::Enforce)];
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    for _ in 0..5 {
        assert_admitted(&limiter, &many, Source::Local).await;
    }
    assert!(!limiter.is_connected(), "a PING would still be answered");
    let scripts = || {
        let stats = server.cli(&["INFO", "commandstats"]);
        stats.lines().filter(|line| line.starts_with("cmdstat_eval")).map(str::to_owned).collect::<Vec<_>>()
    };
    let before = scripts();
    for _ in 0..50 {
        assert_admitted(&limiter, &many, Source::Local).await;
    }
    assert_eq!(scripts(), before, "it is not asked");
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    eventually(|| limiter.is_connected()).await;
    assert_admitted(&limiter, &many, Source::Store).await;
}

/// Passes bytes to and from `port`. `mute` makes what is connected silent without closing it, as a lost route does.
async fn relay(port: u16) -> (u16, impl Fn()) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let relayed: Arc<Mutex<Vec<tokio::task::JoinHandle<()>>>> = Arc::default();
    let (held, tasks) = (Arc::new(Mutex::new(Vec::new())), Arc::clone(&relayed));
    let accept = async move {
        while let Ok((client, _)) = listener.accept().await {
            let client = Arc::new(client);
            held.lock().push(Arc::clone(&client));
            relayed.lock().push(Handle::spawn(async move {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                tokio::join!(copy(&client, &server), copy(&server, &client));
            }));
        }
    };
    drop(Handle::spawn(accept));
    (address.port(), move || tasks.lock().drain(..).for_each(|task| task.abort()))
}

/// `tokio::spawn` is kept from the code; a test's helper may.
struct Handle;

impl Handle {
    fn spawn(future: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
        tokio::runtime::Handle::current().spawn(future)
    }
}

async fn copy(from: &TcpStream, to: &TcpStream) {
    let mut buffer = [0; 4_096];
    loop {
        from.readable().await.expect("open");
        match from.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                let mut rest = &buffer[..count];
                while !rest.is_empty() {
                    to.writable().await.expect("open");
                    rest = to.try_write(rest).map_or(rest, |sent| &rest[sent..]);
                }
            }
            Err(_would_block) => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_vanished_without_a_word_is_dialled_again() {
    let server = Redis::start().await;
    let (port, mute) = relay(server.port).await;
    let connection = connection(&format!("redis://127.0.0.1:{port}"));
    eventually(|| connection.is_up()).await;
    let limiter = limiter(connection);
    let many = [charge_of("silent", 24, &[(60, 100)], Mode::Enforce)];
    assert_admitted(&limiter, &many, Source::Store).await;
    mute();
    for _ in 0..5 {
        assert_admitted(&limiter, &many, Source::Local).await;
    }
    assert!(!limiter.is_connected());
    eventually(|| limiter.is_connected()).await;
    assert_admitted(&limiter, &many, Source::Store).await;
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn refused_credentials_are_told_once_and_without_the_secret() {
    let log = Log::default();
    let written = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || log.clone()).with_ansi(false).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let server = Redis::start_with(&["--requirepass", "right-password"]).await;
    let limiter = limiter(connection(&format!("redis://:hunter2-wrong@127.0.0.1:{}", server.port)));
    let many = [charge_of("auth", 25, &[(60, 100)], Mode::Enforce)];
    let text = || String::from_utf8_lossy(&written.0.lock()).into_owned();
    eventually(|| text().contains("credentials")).await;
    for _ in 0..10 {
        assert_admitted(&limiter, &many, Source::Local).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let text = text();
    assert_eq!(text.matches("store refuses the credentials").count(), 1, "{text}");
    assert_eq!(text.matches("store away").count(), 1, "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn a_url_that_cannot_be_read_is_refused_without_its_password() {
    let around = Surroundings {
        clock: Arc::new(SystemClock::new()),
        metrics: Arc::new(Metrics::new(0).expect("valid")),
        tasks: Tasks::new(),
        timeout: Duration::from_millis(50),
        prefix: "tg:".to_owned(),
    };
    for url in
        ["redis://:hunter2@", "http//:hunter2", "redis://:hunter2@host:99999", "redis://:hunter2@host/nine"]
    {
        let refused = Connection::open(StoreName::Redis, &Secret::new(url), around.clone());
        let told = refused.err().unwrap_or_else(|| panic!("{url} was taken")).to_string();
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[tokio::test]
async fn every_kind_of_redis_url_is_understood() {
    for url in [
        "rediss://user:secret@127.0.0.1:1",
        "redis-cluster://127.0.0.1:1?node=127.0.0.1:2",
        "redis-sentinel://127.0.0.1:1?sentinelServiceName=main&node=127.0.0.1:2",
    ] {
        let limiter = limiter(connection(url));
        let one = [charge_of("url", 26, &[(60, 1)], Mode::Enforce)];
        assert_admitted(&limiter, &one, Source::Local).await;
    }
}

#[tokio::test]
async fn without_the_store_deny_wins_then_local_decides_and_allow_is_not_asked() {
    let limiter = limiter(connection(&format!("redis://127.0.0.1:{}", free_port())));
    let local = failing(charge_of("local", 27, &[(60, 1)], Mode::Enforce), OnStoreFailure::Local);
    let allow = failing(charge_of("allow", 27, &[(60, 1)], Mode::Enforce), OnStoreFailure::Allow);
    let deny = failing(charge_of("deny", 27, &[(60, 1)], Mode::Enforce), OnStoreFailure::Deny);
    let shadow = failing(charge_of("shadow", 27, &[(60, 1)], Mode::Shadow), OnStoreFailure::Deny);

    let unavailable = Admission::Unavailable { policy: "deny".into() };
    assert_eq!(limiter.admit(&[local.clone(), allow.clone(), deny]).await, unavailable);
    assert_eq!(limiter.admit(std::slice::from_ref(&allow)).await, Admission::Degraded);
    assert_eq!(limiter.admit(&[allow.clone(), shadow.clone()]).await, Admission::Degraded);

    let mixed = [allow, local, shadow];
    let Admission::Admitted { decisions, source: Source::Local } = limiter.admit(&mixed).await else {
        panic!("the local policy has room");
    };
    let asked: Vec<bool> = decisions.iter().map(crate::limit::Decision::is_asked).collect();
    assert_eq!(asked, [false, true, false]);
    let Admission::Denied { decisions, source: Source::Local } = limiter.admit(&mixed).await else {
        panic!("the local policy is spent");
    };
    let admitted: Vec<bool> = decisions.iter().map(|decision| decision.admitted).collect();
    assert_eq!(admitted, [true, false, true]);
}

#[tokio::test]
async fn an_instance_learns_what_it_may_have_to_decide_alone_and_nothing_else() {
    let server = Redis::start().await;
    let limiter = limiter(server.connection().await);
    let of = |name: &str, mode, rule| failing(charge_of(name, 28, &[(60, 2)], mode), rule);
    let charges = [
        of("kept", Mode::Enforce, OnStoreFailure::Local),
        of("allow", Mode::Enforce, OnStoreFailure::Allow),
        Charge { cost: 5, ..of("watched", Mode::Shadow, OnStoreFailure::Local) },
    ];
    for _ in 0..3 {
        limiter.admit(&charges).await;
    }
    assert_eq!(limiter.local().keys(), 1, "neither the policy that passes anyway nor the would-be denial");
    let key: &LimitKey = &charges[0].key;
    limiter.reset(key).await.expect("it answers");
    assert_eq!(limiter.local().keys(), 0);
    assert_admitted(&limiter, &charges[..1], Source::Store).await;
}

#[tokio::test]
async fn a_refund_and_a_reset_open_the_limit_again() {
    let server = Redis::start().await;
    let limiter = limiter(server.connection().await);
    let two = [Charge { cost: 2, ..charge_of("refund", 29, &[(60, 2)], Mode::Enforce) }];
    let Admission::Admitted { decisions, .. } = limiter.admit(&two).await else { panic!("it has room") };
    assert!(matches!(limiter.admit(&two).await, Admission::Denied { .. }));
    let given = limiter.refund(&two[0], Some(decisions[0].stamp_ms)).await;
    assert_eq!(given, Ok(2));
    assert_admitted(&limiter, &two, Source::Store).await;
    assert!(matches!(limiter.admit(&two).await, Admission::Denied { .. }));
    limiter.reset(&two[0].key).await.expect("it answers");
    assert_admitted(&limiter, &two, Source::Store).await;
}

#[tokio::test]
async fn every_log_leaves_redis_soon_after_its_last_unit() {
    let server = Redis::start().await;
    let limiter = limiter(server.connection().await);
    let day = [charge_of("ttl", 30, &[(60, 60), (86_400, 100)], Mode::Enforce)];
    let key = day[0].key.redis_key("tg:");
    for _ in 0..10 {
        assert_admitted(&limiter, &day, Source::Store).await;
        let left: u64 = server.cli(&["PTTL", &key]).parse().expect("a number");
        assert!((86_400_000..=97_200_001).contains(&left), "{left}");
    }
    let bytes: u32 = server.cli(&["MEMORY", "USAGE", &key]).parse().expect("a number");
    assert!(bytes <= 256, "{bytes} bytes for 10 units");
}

#[tokio::test]
async fn a_damaged_or_foreign_value_never_opens_the_limit() {
    let server = Redis::start().await;
    let store = Store::Redis(RedisLimits::new(server.connection().await, "tg:"));
    let two = charge_of("damaged", 20, &[(60, 2)], Mode::Enforce);
    let beside = charge_of("beside", 20, &[(60, 1_000)], Mode::Enforce);
    let key = two.key.redis_key("tg:");
    let text = "x".repeat(200);
    let damages: [&[&str]; 9] = [
        &["SET", &key, "x"],
        &["SET", &key, &text],
        &["LPUSH", &key, "x"],
        &["SETRANGE", &key, "3", "zzzzzzzzzz"],
        &["SETRANGE", &key, "8", "zzzzzzzz"],
        &["SETRANGE", &key, "32", "zzzzzzzz"],
        &["APPEND", &key, "x"],
        &[
            "EVAL",
            "local v = redis.call('GET', KEYS[1]); redis.call('SET', KEYS[1], v:sub(1, 85))",
            "1",
            &key,
        ],
        &["HSET", &key, "a", "b"],
    ];
    for damage in damages {
        // A log is there, or what the damage needs.
        if matches!(damage[0], "LPUSH" | "HSET") {
            server.cli(&["DEL", &key]);
        } else {
            store.ask(0, &two).await;
        }
        server.cli(damage);
        let mut admitted = 0;
        for at in 0..5 {
            let charges = [two.clone(), beside.clone()];
            admitted += u32::from(
                store.run(at, &charges, crate::store::redis::limits::Operation::Consume).await[0].admitted,
            );
        }
        assert!(admitted <= 2, "{damage:?}: {admitted}");
        server.cli(&["DEL", &key]);
    }
}
