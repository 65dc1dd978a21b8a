//! What a hit costs: from memory, from Redis beside a plain GET of the same bytes, and while purges are noted.
//!
//! `cargo bench --bench cache` starts a redis-server of its own on a free port and takes it down again. Each figure is the
//! median of batches, ours and the plain GET in turn, so that neighbours on the machine disturb both alike.

#![expect(clippy::print_stdout, reason = "a bench prints what it found")]
#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]

mod server;

use crate::server::Server;
use anyhow::{Result, bail};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidegate::base::{Clock, Digest, Secret, SystemClock, Tasks};
use tidegate::cache::{Entry, EntryHead, Label, Lifetime, Purge, What, Whose};
use tidegate::store::memory_entries::MemoryEntries;
use tidegate::store::redis::{Connection, RedisEntries, Stored, Surroundings};
use tidegate::store::{EntryStore, Lookup, Purges};
use tidegate::telemetry::{Metrics, StoreName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Batches of which the median is taken.
const BATCHES: usize = 15;

const SIZES: [(&str, usize); 3] = [("1 KiB", 1 << 10), ("64 KiB", 64 << 10), ("1 MiB", 1 << 20)];

fn main() -> Result<()> {
    let server = Server::start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        memory().await;
        redis(&server).await
    })
}

/// An entry whose body is text like rows of a dashboard, or noise that nothing compresses.
fn entry(length: usize, is_text: bool, birth: u64) -> Entry {
    let now_ms = SystemClock::new().wall_ms();
    let row = |n: usize| {
        format!("{{\"id\": {n}, \"name\": \"row {n}\", \"score\": {}}}\n", n.wrapping_mul(7_919) % 1_000)
    };
    let noise = |n: usize| u8::try_from(n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56).unwrap_or(0);
    let body: Vec<u8> = if is_text {
        (0..length).flat_map(|n| row(n).into_bytes()).take(length).collect()
    } else {
        (0..length).map(noise).collect()
    };
    let label = Label {
        tenant: Some("acme".into()),
        namespace: "dashboard".into(),
        origin: "http://api.example".to_owned(),
        target: "/api/v1/dashboard/metrics?range=7d".to_owned(),
        tags: vec!["dashboard".to_owned(), "metrics".to_owned()],
    };
    let lifetime = Lifetime {
        age_base_ms: now_ms,
        fresh_until_ms: now_ms + 3_600_000,
        swr_s: 10,
        sie_s: 3_600,
        keep_s: 600,
        ours: true,
        strict: false,
    };
    let media = HeaderValue::from_static(if is_text { "application/json" } else { "image/png" });
    let head = EntryHead {
        owner: Digest([1; 32]),
        label: label.into(),
        status: 200,
        headers: HeaderMap::from_iter([(CONTENT_TYPE, media)]),
        lifetime,
        selecting: Vec::new(),
        stored_ms: now_ms,
        birth,
        cost_ms: 20,
    };
    Entry::new(head, body.into())
}

fn key(number: usize) -> Digest {
    let mut bytes = [0; 32];
    for (slot, byte) in bytes.iter_mut().zip(number.to_le_bytes()) {
        *slot = byte;
    }
    Digest(bytes)
}

async fn memory() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let purges = Arc::new(Purges::new(None, Arc::clone(&clock)));
    let store = EntryStore::Memory(MemoryEntries::new(clock, Arc::clone(&purges), 1 << 30));
    let request = Arc::new(HeaderMap::new());
    println!("hit from memory, ns            nothing purged   after a purge of others");
    for (place, (name, length)) in SIZES.into_iter().enumerate() {
        store.put(&key(place), &request, entry(length, true, purges.birth()));
        let quiet = median(1_000, async || hit(&store, place, &request).await).await;
        let other = Purge { whose: Whose::Tenant("globex".to_owned()), ..Purge::everything() };
        let busy = median(1, async || {
            purges.purge(std::slice::from_ref(&other)).await;
            let began = Instant::now();
            hit(&store, place, &request).await;
            began.elapsed()
        });
        println!("{name:<30} {:>14} {:>25}", quiet.as_nanos(), busy.await.as_nanos());
    }
    purging(&store, &purges, &request).await;
}

/// The cost of a purge does not follow what is stored.
async fn purging(store: &EntryStore, purges: &Purges, request: &Arc<HeaderMap>) {
    println!("\npurge of a tag, ns (median)");
    for count in [1_000, 200_000] {
        for number in 0..count {
            store.put(&key(number), request, entry(64, false, purges.birth()));
        }
        let tag = Purge { what: What::Tag("elsewhere".to_owned()), ..Purge::everything() };
        let took = median(1, async || {
            let began = Instant::now();
            purges.purge(std::slice::from_ref(&tag)).await;
            began.elapsed()
        });
        println!("{count:>7} entries {:>29}", took.await.as_nanos());
    }
}

async fn hit(store: &EntryStore, place: usize, request: &HeaderMap) -> Duration {
    let began = Instant::now();
    match store.lookup(&key(place), request).await {
        Lookup::Hit(entry, _) => drop(black_box(entry)),
        Lookup::Miss | Lookup::Unavailable => println!("a miss: the figure is worth nothing"),
    }
    began.elapsed()
}

/// Median over batches of `each` calls, for one call.
async fn median(each: u32, call: impl AsyncFn() -> Duration) -> Duration {
    let mut batches = Vec::with_capacity(BATCHES);
    for _ in 0..BATCHES {
        let began = Instant::now();
        let mut told = Duration::ZERO;
        for _ in 0..each {
            told = call().await;
        }
        // A call that tells its own time has prepared something outside of it.
        batches.push(if each == 1 { told } else { began.elapsed() / each });
    }
    batches.sort_unstable();
    batches.get(BATCHES / 2).copied().unwrap_or_default()
}

async fn redis(server: &Server) -> Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let around = Surroundings {
        clock: Arc::clone(&clock),
        metrics: Arc::new(Metrics::new(0)?),
        tasks: Tasks::new(),
        timeout: Duration::from_secs(1),
        prefix: "tg:".to_owned(),
    };
    let url = Secret::new(format!("redis://127.0.0.1:{}", server.port));
    let connection = Connection::open(StoreName::RedisCache, &url, around)?;
    for _ in 0..500 {
        if connection.is_up() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let entries = RedisEntries::new(connection.clone(), "tg:");
    let request = HeaderMap::new();
    println!("\nhit from Redis, us             text    noise    plain GET of the noise");
    for (place, (name, length)) in SIZES.into_iter().enumerate() {
        for (number, is_text) in [(2 * place, true), (2 * place + 1, false)] {
            let stored = entry(length, is_text, 0);
            if !entries.put(&key(number), &request, &stored, clock.wall_ms()).await? {
                bail!("it was not stored");
            }
        }
        let mut plain = Plain::open(server.port).await?;
        plain.set(&entry(length, false, 0).body).await?;
        let get = async |number: usize| {
            let began = Instant::now();
            let found = entries.get(&key(number), &request, None).await;
            if !matches!(found, Ok(Stored::Response(..))) {
                println!("a miss: the figure is worth nothing");
            }
            began.elapsed()
        };
        let text = median(100, async || get(2 * place).await).await;
        let noise = median(100, async || get(2 * place + 1).await).await;
        let began = Instant::now();
        for _ in 0..500 {
            black_box(plain.get(length).await?);
        }
        let raw = began.elapsed() / 500;
        println!("{name:<28} {:>6} {:>8} {:>12}", text.as_micros(), noise.as_micros(), raw.as_micros());
    }
    Ok(())
}

/// A connection that does nothing but GET.
struct Plain(TcpStream);

impl Plain {
    async fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    async fn set(&mut self, body: &Bytes) -> Result<()> {
        self.0.write_all(format!("*3\r\n$3\r\nSET\r\n$5\r\nplain\r\n${}\r\n", body.len()).as_bytes()).await?;
        self.0.write_all(body).await?;
        self.0.write_all(b"\r\n").await?;
        let mut answer = [0; 5];
        self.0.read_exact(&mut answer).await?;
        if answer == *b"+OK\r\n" { Ok(()) } else { bail!("Redis refuses a SET") }
    }

    async fn get(&mut self, length: usize) -> Result<Vec<u8>> {
        self.0.write_all(b"*2\r\n$3\r\nGET\r\n$5\r\nplain\r\n").await?;
        let mut answer = vec![0; format!("${length}\r\n").len() + length + 2];
        self.0.read_exact(&mut answer).await?;
        Ok(answer)
    }
}
