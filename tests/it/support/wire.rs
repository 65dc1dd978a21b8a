//! HTTP/1.1 byte by byte, for what no ordinary client would send or accept.

use crate::support::{Answer, within};
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(20);

/// One connection.
pub(crate) struct Wire {
    stream: TcpStream,
    buffer: BytesMut,
    record: Option<Arc<Mutex<Vec<u8>>>>,
}

impl Wire {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::of(TcpStream::connect(address).await.expect("somebody listens"))
    }

    pub(crate) fn of(stream: TcpStream) -> Self {
        // What is sent arrives before what happens next, not when the kernel has collected more.
        stream.set_nodelay(true).expect("an open socket");
        Self { stream, buffer: BytesMut::new(), record: None }
    }

    /// The same; what it reads is also added to `record`.
    pub(crate) fn recorded(stream: TcpStream, record: Arc<Mutex<Vec<u8>>>) -> Self {
        Self { record: Some(record), ..Self::of(stream) }
    }

    /// Sends `bytes` on a new connection and reads one answer. `None`: closed without one.
    pub(crate) async fn exchange(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Option<Answer> {
        let mut wire = Self::connect(address).await;
        wire.send(bytes).await;
        wire.answer().await
    }

    /// Sends; a peer that closed meanwhile shows when reading.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        drop(self.stream.write_all(bytes.as_ref()).await);
    }

    /// Reads one answer to a request other than HEAD. `None`: closed before a head came.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        self.answer_to("GET").await
    }

    /// Reads one answer to a request of this method.
    pub(crate) async fn answer_to(&mut self, method: &str) -> Option<Answer> {
        within(PATIENCE, "an answer on the wire", async {
            loop {
                let head = self.head().await.ok()?;
                let (start, headers) = split_head(&head);
                let status: u16 = start.split(' ').nth(1)?.parse().ok()?;
                if (100..200).contains(&status) && status != 101 {
                    continue;
                }
                let bodiless = method == "HEAD" || matches!(status, 101 | 204 | 304);
                let body = if bodiless { Bytes::new() } else { self.body(&headers, true).await.ok()? };
                return Some(Answer { status, headers, body });
            }
        })
        .await
    }

    /// Does the peer close without sending more?
    pub(crate) async fn is_closed(&mut self) -> bool {
        within(PATIENCE, "the peer closes or sends", async {
            self.buffer.is_empty() && !self.fill().await.is_ok_and(|read| read > 0)
        })
        .await
    }

    /// Reads until this text has come and gives everything up to its end; `None`: closed before.
    pub(crate) async fn until(&mut self, text: &str) -> Option<Bytes> {
        within(PATIENCE, text, async {
            loop {
                if let Some(at) = find(&self.buffer, text.as_bytes()) {
                    return Some(self.buffer.split_to(at + text.len()).freeze());
                }
                if self.fill().await.ok()? == 0 {
                    return None;
                }
            }
        })
        .await
    }

    /// Reads a head with its empty line.
    pub(crate) async fn head(&mut self) -> Result<Bytes> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                return Ok(self.buffer.split_to(at + 4).freeze());
            }
            self.fill_some().await?;
        }
    }

    /// Reads a body framed by `headers`; without framing it ends with the connection (`until_close`) or is empty.
    pub(crate) async fn body(&mut self, headers: &HeaderMap, until_close: bool) -> Result<Bytes> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if text("transfer-encoding").is_some_and(|coding| coding.ends_with("chunked")) {
            return self.chunks().await;
        }
        if let Some(length) = text("content-length") {
            let length = length.trim().parse().map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
            return self.exactly(length).await;
        }
        if until_close {
            while self.fill().await? > 0 {}
            return Ok(self.buffer.split().freeze());
        }
        Ok(Bytes::new())
    }

    /// Reads one chunk of a body; empty at its end. Trailers stay unread.
    pub(crate) async fn chunk(&mut self) -> Result<Bytes> {
        within(PATIENCE, "a chunk", async {
            let line = self.line().await?;
            let size = usize::from_str_radix(line.trim(), 16);
            let size = size.map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
            let chunk = self.exactly(size).await?;
            self.line().await?;
            Ok(chunk)
        })
        .await
    }

    async fn chunks(&mut self) -> Result<Bytes> {
        let mut body = BytesMut::new();
        loop {
            let line = self.line().await?;
            let size = line.split(';').next().unwrap_or("").trim();
            let size =
                usize::from_str_radix(size, 16).map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
            if size == 0 {
                while !self.line().await?.is_empty() {}
                return Ok(body.freeze());
            }
            body.extend_from_slice(&self.exactly(size).await?);
            self.line().await?;
        }
    }

    async fn line(&mut self) -> Result<String> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n") {
                let line = self.buffer.split_to(at + 2);
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            self.fill_some().await?;
        }
    }

    async fn exactly(&mut self, length: usize) -> Result<Bytes> {
        while self.buffer.len() < length {
            self.fill_some().await?;
        }
        Ok(self.buffer.split_to(length).freeze())
    }

    async fn fill_some(&mut self) -> Result<()> {
        match self.fill().await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    async fn fill(&mut self) -> Result<usize> {
        let read = self.stream.read_buf(&mut self.buffer).await?;
        if let Some(record) = &self.record {
            record.lock().extend_from_slice(&self.buffer[self.buffer.len() - read..]);
        }
        Ok(read)
    }
}

/// Start line and fields of a head, bytes outside ASCII kept. A line that is no field is left out: whoever tests what
/// came through looks at the bytes.
pub(crate) fn split_head(head: &[u8]) -> (String, HeaderMap) {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let start = lines.next().unwrap_or("").to_owned();
    let mut headers = HeaderMap::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        if let (Ok(name), Ok(value)) =
            (HeaderName::try_from(name.trim()), HeaderValue::try_from(value.trim()))
        {
            headers.append(name, value);
        }
    }
    (start, headers)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
