//! What Redis is asked while requests pass: nothing that looks at all keys or takes longer the more there are.

use super::{Arena, bearer};
use crate::support::tokens::HS256;
use crate::support::{Redis, Reply, Seen, Setup, Store, Wire, eventually};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use tokio::net::TcpStream;

const SECTIONS: &str = "limits:
  default: {windows: {1h: 100}}
  narrow: {windows: {1h: 1}}
  places: {windows: {1h: 100}, in_flight: 5}
  late: {windows: {1h: 100}, refund_on: [5xx]}
cache: {namespaces: {tenant: {ttl: 5m, tags: [dash]}, public: {ttl: 5m, scope: public}}}
routes:
  - {path: /c/, cache: tenant}
  - {path: /p/, cache: public, limit: none}
  - {path: /narrow, limit: narrow}
  - {path: /places, limit: places}
  - {path: /late, limit: late}
  - {path: /w/, invalidates: {tags: [dash], namespaces: [public], paths: ['/c/*']}}
  - {path: /}";

/// All that requests and the tasks beside them may ask, by clients and inside scripts: each names its keys, and none
/// costs more where more keys are stored. Two of them read a range of a sorted set, within a limit.
#[rustfmt::skip]
const ALLOWED: &[&str] = &[
    "EVALSHA", "EVAL", "SCRIPT", "TIME", "PING", "PUBLISH", "SUBSCRIBE", "TYPE", "PEXPIRE", "PTTL", "DEL",
    "GET", "MGET", "SET", "APPEND", "GETRANGE", "SETRANGE", "STRLEN",
    "HGET", "HSET", "HDEL", "HEXISTS", "HGETALL", "HLEN",
    "ZADD", "ZCARD", "ZRANGE", "ZRANGEBYSCORE", "ZREVRANGEBYSCORE", "ZREM", "ZREMRANGEBYSCORE",
];

/// What a connection asks before it is used.
const GREETING: &[&str] = &["HELLO", "AUTH", "CLIENT", "SELECT", "INFO"];

/// Everything that a server is asked, as it tells `MONITOR`.
struct Monitor {
    wire: Wire,
}

impl Monitor {
    async fn start(redis: &Redis) -> Self {
        let address = redis.url().trim_start_matches("redis://").parse::<SocketAddr>().expect("an address");
        let mut wire = Wire::of(TcpStream::connect(address).await.expect("it runs"));
        wire.send("MONITOR\r\n").await;
        wire.until("+OK\r\n").await.expect("it monitors");
        Self { wire }
    }

    /// The names of all commands so far, in capitals.
    async fn commands(&mut self, redis: &Redis) -> BTreeSet<String> {
        redis.ask(&["ECHO", "that was all"]);
        let text = self.wire.until("\"ECHO\" \"that was all\"\r\n").await.expect("it monitors");
        let text = String::from_utf8_lossy(&text).into_owned();
        // `+1700000000.123456 [0 127.0.0.1:40000] "GET" "key"`, and `[0 lua]` for what a script does.
        let name = |line: &str| Some(line.split_once("] \"")?.1.split('"').next()?.to_ascii_uppercase());
        let mut names: BTreeSet<String> = text.lines().filter_map(name).collect();
        names.remove("ECHO");
        names
    }
}

/// A backend whose answers vary, are large, are missing or fail, by path.
fn script(seen: &Seen) -> Reply {
    match seen.target.rsplit('/').next().unwrap_or("") {
        "vary" => Reply::ok(seen.header("accept")).header("Vary", "Accept"),
        "large" => Reply::ok(vec![b'x'; 200_000]),
        "stale" => Reply::ok("x").header("Cache-Control", "max-age=0, stale-while-revalidate=60"),
        "etag" => Reply::ok("x").header("Cache-Control", "no-cache").header("ETag", "\"e\""),
        "none" => Reply::status(404, "x"),
        "broken" | "late" => Reply::status(500, "x"),
        _ => Reply::ok("x"),
    }
}

async fn start(store: &Store) -> Arena {
    let change = |setup: Setup| setup.store(store).with(HS256).with(SECTIONS);
    let arena = Arena::of(change, script).await;
    arena.connected().await;
    arena
}

/// Requests of every kind, twice, so that each is a miss and whatever it is afterwards.
async fn every_kind(arena: &Arena) {
    let bearer = bearer("ada", "acme");
    let ask = async |method: &str, target: &str, lines: &str| {
        let bytes = format!("{method} {target} HTTP/1.1\r\nHost: a.test\r\n{lines}Connection: close\r\n\r\n");
        let mut wire = Wire::connect(arena.gate.http).await;
        wire.send(bytes).await;
        wire.answer_to(method).await.expect("an answer")
    };
    let token = format!("{bearer}\r\n");
    for _ in 0..2 {
        for kind in ["a", "large", "stale", "etag", "none", "broken"] {
            for space in ["c", "p"] {
                ask("GET", &format!("/{space}/{kind}"), &token).await;
                ask("HEAD", &format!("/{space}/{kind}"), &token).await;
            }
        }
        for accept in ["Accept: a\r\n", "Accept: b\r\n", ""] {
            ask("GET", "/p/vary", accept).await;
        }
        ask("GET", "/p/a", "Cookie: id=1\r\n").await;
        ask("GET", "/c/a", "Authorization: Bearer x.y.z\r\n").await;
        ask("GET", "/places", &token).await;
        ask("GET", "/late", &token).await;
        ask("GET", "/else", "").await;
    }
    let limited = [ask("GET", "/narrow", &token).await, ask("GET", "/narrow", &token).await];
    assert_eq!(limited.map(|answer| answer.status), [200, 429]);
    eventually("an answer comes from the store", async || ask("GET", "/c/a", &token).await.cache() == "HIT")
        .await;
    for (method, target) in [("POST", "/w/x"), ("DELETE", "/c/a"), ("PUT", "/p/a"), ("POST", "/c/none")] {
        ask(method, target, &token).await;
    }
    assert_eq!(ask("GET", "/c/a", &token).await.cache(), "MISS", "the write purged it");
}

fn only_known_commands(seen: &BTreeSet<String>) {
    let is_known = |name: &&str| ALLOWED.contains(name) || GREETING.contains(name);
    let strange: Vec<&str> = seen.iter().map(String::as_str).filter(|name| !is_known(name)).collect();
    assert!(strange.is_empty(), "{strange:?} of {seen:?}");
}

/// Of every kind of request, of purges, of an instance that fills and of one that finds.
#[tokio::test]
async fn no_request_makes_redis_look_at_all_keys() {
    let redis = Redis::start().await;
    let mut monitor = Monitor::start(&redis).await;
    let store = Store::Redis(redis);
    let Store::Redis(redis) = &store else { panic!("it is Redis") };
    let arena = start(&store).await;
    every_kind(&arena).await;
    for body in [r#"{"tenant":"acme"}"#, r#"{"tags":["dash"]}"#, r#"{"glob":"/c/*"}"#, r#"{"prefix":"/"}"#] {
        arena.purge(body).await;
        arena.get(super::PUBLIC, "/p/large", &[]).await;
    }
    let seen = monitor.commands(redis).await;
    only_known_commands(&seen);
    // Without these the list would prove nothing: limits, look-ups, fills and purges were seen.
    for name in ["EVALSHA", "GET", "SET", "SETRANGE", "TIME", "ZADD"] {
        assert!(seen.contains(name), "{name} is missing in {seen:?}");
    }
    let second = start(&store).await;
    assert_eq!(second.get(super::PUBLIC, "/p/large", &[]).await.status, 200);
    only_known_commands(&monitor.commands(redis).await);
}
