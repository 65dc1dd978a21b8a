//! An HTTP/2 backend without TLS that tells which fields it gets and answers with trailers.

use parking_lot::Mutex;
use reqwest::header::{HeaderMap, HeaderValue};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A running backend; its connections end with it.
pub(crate) struct Http2Origin {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<HeaderMap>>>,
    _tasks: JoinSet<()>,
}

impl Http2Origin {
    /// Answers every request with `body` and the trailer `x-sum: 7`, which it announces if it is to.
    pub(crate) async fn start(body: &'static str, announces: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (record, mut tasks) = (Arc::clone(&seen), JoinSet::new());
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&record), (body, announces)));
            }
        });
        Self { address, seen, _tasks: tasks }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The fields of the last request.
    pub(crate) fn last(&self) -> HeaderMap {
        self.seen.lock().last().cloned().expect("the backend was asked")
    }
}

async fn serve(stream: TcpStream, seen: Arc<Mutex<Vec<HeaderMap>>>, (body, announces): (&'static str, bool)) {
    let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        seen.lock().push(request.headers().clone());
        let mut response = http::Response::builder().header("content-type", "text/plain");
        if announces {
            response = response.header("trailer", "x-sum");
        }
        let response = response.body(()).expect("a response");
        let mut stream = respond.send_response(response, false).expect("an open stream");
        stream.send_data(body.into(), false).expect("room for it");
        let trailers =
            HeaderMap::from_iter([("x-sum".parse().expect("a name"), HeaderValue::from_static("7"))]);
        stream.send_trailers(trailers).expect("an open stream");
    }
}

/// What came back over HTTP/2: fields, body, trailers.
pub(crate) struct WithTrailers {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
}

/// Asks with these fields and reads everything, trailers too.
pub(crate) async fn ask(address: SocketAddr, fields: &[(&str, &str)]) -> WithTrailers {
    let stream = TcpStream::connect(address).await.expect("somebody listens");
    let (sender, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    let connection = tokio::spawn(connection);
    let mut sender = sender.ready().await.expect("an open connection");
    let uri = format!("http://{address}/a");
    let request =
        fields.iter().fold(http::Request::get(uri), |request, (name, value)| request.header(*name, *value));
    let (answer, _) =
        sender.send_request(request.body(()).expect("a request"), true).expect("an open connection");
    let (head, mut stream) = answer.await.expect("an answer").into_parts();
    let mut body = Vec::new();
    while let Some(part) = stream.data().await {
        let part = part.expect("a whole body");
        stream.flow_control().release_capacity(part.len()).expect("room");
        body.extend_from_slice(&part);
    }
    let trailers = stream.trailers().await.expect("a whole answer");
    connection.abort();
    WithTrailers { headers: head.headers, body, trailers }
}
