//! A scripted backend on raw sockets: records the exact bytes that it gets and answers the exact bytes that it is told.

use crate::support::wire::{Wire, split_head};
use bytes::Bytes;
use parking_lot::Mutex;
use reqwest::header::HeaderMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// The head, byte for byte.
    pub(crate) head: Bytes,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    /// The body without its framing.
    pub(crate) body: Bytes,
}

impl Seen {
    /// A field's value; empty when it is absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| str::from_utf8(value.as_bytes()).expect("a field in UTF-8"))
    }
}

/// What to answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    bytes: Vec<u8>,
    has_length: bool,
    closes: bool,
    silent: bool,
    waits: Option<Arc<Semaphore>>,
    afterwards: Option<(Arc<Semaphore>, Vec<u8>)>,
}

impl Reply {
    /// 200 with this body.
    pub(crate) fn ok(body: impl AsRef<[u8]>) -> Self {
        Self::status(200, body)
    }

    /// A status and a body.
    pub(crate) fn status(status: u16, body: impl AsRef<[u8]>) -> Self {
        let length = body.as_ref().len();
        let mut bytes = format!("HTTP/1.1 {status} Status\r\nContent-Length: {length}\r\n\r\n").into_bytes();
        bytes.extend_from_slice(body.as_ref());
        Self { bytes, has_length: true, ..Self::raw("") }
    }

    /// These bytes and nothing else.
    pub(crate) fn raw(bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref().to_vec();
        Self { bytes, has_length: false, closes: false, silent: false, waits: None, afterwards: None }
    }

    /// Nothing at all until the peer gives up.
    pub(crate) fn never() -> Self {
        Self { silent: true, ..Self::raw("") }
    }

    /// One more field.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        let line = format!("{name}: {value}\r\n");
        let at = self.bytes.windows(2).position(|pair| pair == b"\r\n").expect("a status line") + 2;
        self.bytes.splice(at..at, line.into_bytes());
        self
    }

    /// Closes the connection afterwards.
    pub(crate) fn close(mut self) -> Self {
        self.closes = true;
        self
    }

    /// Comes when `gate` has a permit for it.
    pub(crate) fn when(mut self, gate: &Arc<Semaphore>) -> Self {
        self.waits = Some(Arc::clone(gate));
        self
    }

    /// These bytes follow on the same connection when `gate` has a permit for them.
    pub(crate) fn then(mut self, gate: &Arc<Semaphore>, bytes: &str) -> Self {
        self.afterwards = Some((Arc::clone(gate), bytes.as_bytes().to_vec()));
        self
    }

    /// The same head without the body, for HEAD and 304.
    fn head_only(&self) -> &[u8] {
        let end = self.bytes.windows(4).position(|four| four == b"\r\n\r\n");
        end.and_then(|end| self.bytes.get(..end + 4)).unwrap_or(&self.bytes)
    }
}

type Script = dyn Fn(&Seen) -> Reply + Send + Sync;

/// What its connections share.
#[derive(Clone)]
struct Shared {
    script: Arc<Script>,
    seen: Arc<Mutex<Vec<Seen>>>,
    bytes: Arc<Mutex<Vec<u8>>>,
    sent: Arc<AtomicUsize>,
}

/// A running backend; its connections end with it.
pub(crate) struct Origin {
    address: SocketAddr,
    shared: Shared,
    tasks: Option<JoinSet<()>>,
}

impl Origin {
    /// Answers every request by `script`.
    pub(crate) async fn start(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let mut origin = Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            shared: Shared {
                script: Arc::new(script),
                seen: Arc::default(),
                bytes: Arc::default(),
                sent: Arc::default(),
            },
            tasks: None,
        };
        origin.listen().await;
        origin
    }

    /// Answers 200 with the number of the request in the body.
    pub(crate) async fn counting() -> Self {
        let served = Mutex::new(0);
        Self::start(move |_| {
            let mut served = served.lock();
            *served += 1;
            Reply::ok(format!("answer {served}"))
        })
        .await
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything it was asked so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().clone()
    }

    /// The last thing it was asked.
    pub(crate) fn last(&self) -> Seen {
        self.shared.seen.lock().last().cloned().expect("the backend was asked")
    }

    /// How often it was asked.
    pub(crate) fn count(&self) -> usize {
        self.shared.seen.lock().len()
    }

    /// Every byte that it got, of all connections, as text.
    pub(crate) fn wire(&self) -> String {
        String::from_utf8_lossy(&self.shared.bytes.lock()).into_owned()
    }

    /// How often it sent what [`Reply::then`] added.
    pub(crate) fn sent(&self) -> usize {
        self.shared.sent.load(Ordering::Acquire)
    }

    /// Dies: connections are cut, new ones refused.
    pub(crate) async fn stop(&mut self) {
        if let Some(mut tasks) = self.tasks.take() {
            tasks.shutdown().await;
        }
    }

    /// Listens (again) on its address.
    pub(crate) async fn listen(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("a free port");
        self.address = listener.local_addr().expect("it listens");
        let shared = self.shared.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, shared.clone()));
            }
        });
        self.tasks = Some(tasks);
    }
}

async fn serve(stream: TcpStream, shared: Shared) {
    let mut wire = Wire::recorded(stream, shared.bytes);
    while let Ok(head) = wire.head().await {
        let (start, headers) = split_head(&head);
        let mut words = start.split(' ');
        let mut word = || words.next().unwrap_or("").to_owned();
        let (method, target) = (word(), word());
        if headers.get("expect").is_some() {
            wire.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        }
        let Ok(body) = wire.body(&headers, false).await else { return };
        let request = Seen { head, method, target, headers, body };
        let reply = (shared.script)(&request);
        let is_head = request.method == "HEAD";
        shared.seen.lock().push(request);
        if let Some(gate) = &reply.waits {
            gate.acquire().await.expect("never closed").forget();
        }
        if reply.silent {
            drop(wire.head().await);
            return;
        }
        let bodiless = reply.has_length && (is_head || reply.bytes.starts_with(b"HTTP/1.1 304"));
        wire.send(if bodiless { reply.head_only() } else { &reply.bytes }).await;
        if let Some((gate, bytes)) = &reply.afterwards {
            gate.acquire().await.expect("never closed").forget();
            wire.send(bytes).await;
            shared.sent.fetch_add(1, Ordering::Release);
        }
        if reply.closes {
            return;
        }
    }
}
