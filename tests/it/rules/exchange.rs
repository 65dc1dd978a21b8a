//! One case on the wire: send, read what comes, ask whether the connection lives, look at what the backend got.

use super::{After, Arena, Case, Connection, Gets, View};
use crate::support::wire::split_head;
use crate::support::{Reply, Wire};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

/// Only a case that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(5);
const HOST: &str = "HTTP/1.1\r\nHost: a.example\r\n";
const TAIL: &str = "GET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n";

/// One answer as the client reads it.
#[derive(Debug)]
struct Read {
    status: u16,
    body: Vec<u8>,
    is_whole: bool,
}

/// What a case came to.
pub(super) struct Outcome {
    raw: Vec<u8>,
    answers: Vec<Read>,
    connection: Option<Connection>,
    wire: String,
    requests: Vec<String>,
    is_sound: bool,
}

/// Writes out the short forms.
pub(super) fn expand(text: &str) -> String {
    let mut text = text.replace("{h}", HOST).replace("{tail}", TAIL);
    while let Some((before, rest)) = text.split_once('{') {
        let Some((inside, after)) = rest.split_once('}') else { break };
        let (part, times) = inside.rsplit_once('*').expect("a part and how often");
        let times = times.parse().expect("how often");
        text = format!("{before}{}{after}", part.repeat(times));
    }
    text
}

pub(super) async fn run(arena: &Arena, case: &Case) -> Outcome {
    let reply = Reply::raw(expand(case.reply));
    *arena.reply.lock() = if case.hangs_up { reply.close() } else { reply };
    let (wire_before, seen_before) = (arena.origin.wire().len(), arena.origin.count());
    let mut client = Client::connect(arena).await;
    client.send(&expand(case.sends)).await;
    if case.after == After::HalfCloses {
        drop(client.stream.shutdown().await);
    }
    let is_head = case.sends.starts_with("HEAD");
    client.read(case, is_head).await;
    let raw = client.raw.clone();
    let answers = parse(&raw, is_head, client.is_closed);
    let connection = client.fate(case).await;
    drop(client);
    // A request on a connection of its own: is everything sound behind this one?
    let probe = timeout(PATIENCE, Wire::exchange(arena.gate.http, "GET /probe {h}\r\n".replace("{h}", HOST)));
    let probe = probe.await.ok().flatten();
    let is_sound = probe.is_some_and(|answer| answer.status == 200 && answer.text() == "probe");
    let wire = arena.origin.wire().get(wire_before..).unwrap_or_default().to_owned();
    let requests = arena.origin.seen().into_iter().skip(seen_before).filter(|seen| seen.target != "/probe");
    let requests = requests.map(|seen| {
        format!("{} {} {}", seen.method, seen.target, String::from_utf8_lossy(&seen.body)).trim().to_owned()
    });
    Outcome { raw, answers, connection, wire, requests: requests.collect(), is_sound }
}

struct Client {
    stream: TcpStream,
    raw: Vec<u8>,
    is_closed: bool,
}

impl Client {
    async fn connect(arena: &Arena) -> Self {
        let stream = TcpStream::connect(arena.gate.http).await.expect("the gate listens");
        Self { stream, raw: Vec::new(), is_closed: false }
    }

    async fn send(&mut self, text: &str) {
        // Who refuses a head closes before all of it is sent.
        drop(self.stream.write_all(text.as_bytes()).await);
    }

    /// Reads until the answers are whole, or the connection is closed where it must be.
    async fn read(&mut self, case: &Case, is_head: bool) {
        let wanted = if let View::Answers(list) = case.view { list.len() } else { usize::MAX };
        let until_close = case.connection == Connection::Closed;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let whole = parse(&self.raw, is_head, false).iter().filter(|read| read.is_whole).count();
            if whole >= wanted && !until_close {
                return;
            }
            if !self.fill(deadline).await {
                return;
            }
        }
    }

    /// `false`: nothing more comes.
    async fn fill(&mut self, deadline: Instant) -> bool {
        match timeout_at(deadline, self.stream.read_buf(&mut self.raw)).await {
            Err(_late) => false,
            Ok(Ok(read)) if read > 0 => true,
            Ok(_closed) => {
                self.is_closed = true;
                false
            }
        }
    }

    /// Is the connection still good for a request? `None`: neither closed nor of use.
    async fn fate(&mut self, case: &Case) -> Option<Connection> {
        if self.is_closed || case.connection == Connection::Either {
            return Some(if self.is_closed { Connection::Closed } else { Connection::Either });
        }
        if case.connection == Connection::Closed {
            return None;
        }
        let (before, deadline) = (self.raw.len(), Instant::now() + PATIENCE);
        self.send(&format!("GET /probe {HOST}\r\n")).await;
        loop {
            let answers = parse(self.raw.get(before..).unwrap_or_default(), false, false);
            if answers.first().is_some_and(|read| read.is_whole) {
                let is_probe =
                    answers.first().is_some_and(|read| read.status == 200 && read.body == b"probe");
                return is_probe.then_some(Connection::Kept);
            }
            if !self.fill(deadline).await {
                return self.is_closed.then_some(Connection::Closed);
            }
        }
    }
}

/// The final answers in `raw`; the last one may be incomplete. One without a length ends with the connection.
fn parse(raw: &[u8], is_head: bool, is_closed: bool) -> Vec<Read> {
    let (mut answers, mut rest) = (Vec::new(), raw);
    while !rest.is_empty() {
        let Some(at) = rest.windows(4).position(|four| four == b"\r\n\r\n") else {
            answers.push(Read { status: 0, body: rest.to_vec(), is_whole: false });
            break;
        };
        let (head, after) = rest.split_at(at + 4);
        let (start, headers) = split_head(head);
        let status: u16 = start.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        if (100..200).contains(&status) && status != 101 {
            rest = after;
            continue;
        }
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let is_chunked =
            text("transfer-encoding").is_some_and(|coding| coding.to_ascii_lowercase().ends_with("chunked"));
        let (body, used, is_whole) = if is_head || matches!(status, 101 | 204 | 304) {
            (Vec::new(), 0, true)
        } else if is_chunked {
            chunks(after)
        } else if let Some(length) = text("content-length").and_then(|length| length.parse().ok()) {
            let used = after.len().min(length);
            (after[..used].to_vec(), used, after.len() >= length)
        } else {
            (after.to_vec(), after.len(), is_closed)
        };
        answers.push(Read { status, body, is_whole });
        rest = &after[used..];
        if !is_whole {
            break;
        }
    }
    answers
}

/// Body, bytes used, is it whole?
fn chunks(raw: &[u8]) -> (Vec<u8>, usize, bool) {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let Some(end) = raw[at..].windows(2).position(|two| two == b"\r\n") else { return (body, at, false) };
        let line = String::from_utf8_lossy(&raw[at..at + end]).into_owned();
        let Ok(size) = usize::from_str_radix(line.split(';').next().unwrap_or("").trim(), 16) else {
            return (body, at, false);
        };
        at += end + 2;
        if size == 0 {
            let end = if raw[at..].starts_with(b"\r\n") {
                Some(2)
            } else {
                raw[at..].windows(4).position(|four| four == b"\r\n\r\n").map(|end| end + 4)
            };
            return end.map_or((body.clone(), at, false), |end| (body, at + end, true));
        }
        let Some(data) = raw.get(at..at + size + 2) else { return (body, at, false) };
        body.extend_from_slice(&data[..size]);
        at += size + 2;
    }
}

impl Outcome {
    /// Everything in which it differs from what the case demands.
    pub(super) fn faults(&self, case: &Case) -> Option<String> {
        let mut faults = self.view_faults(case);
        if self.connection != Some(case.connection) && case.connection != Connection::Either {
            faults.push("the connection is not what it should be".to_owned());
        }
        let raw = String::from_utf8_lossy(&self.raw);
        let sides = [
            ("client", &*raw, case.shows, case.hides),
            ("backend", self.own_wire(), case.forwards, case.withholds),
        ];
        for (side, text, has, lacks) in sides {
            let text = text.to_ascii_lowercase();
            let held = |part: &str| text.contains(&expand(part).to_ascii_lowercase());
            faults
                .extend(has.iter().filter(|part| !held(part)).map(|part| format!("{side} misses {part:?}")));
            faults.extend(lacks.iter().filter(|part| held(part)).map(|part| format!("{side} sees {part:?}")));
        }
        faults.extend(self.backend_fault(case));
        if !self.is_sound {
            faults.push("the next request on another connection is not answered as it should be".to_owned());
        }
        if faults.is_empty() {
            return None;
        }
        let short = |text: &str| text.chars().take(600).collect::<String>();
        Some(format!(
            "{} ({}): {}\n   client saw {:?}\n   backend got {:?}",
            case.name,
            case.section,
            faults.join("; "),
            short(&raw),
            short(self.own_wire())
        ))
    }

    fn view_faults(&self, case: &Case) -> Vec<String> {
        let mut faults = Vec::new();
        let statuses: Vec<u16> = self.answers.iter().map(|read| read.status).collect();
        let is_whole = self.answers.iter().all(|read| read.is_whole);
        let is_seen = match case.view {
            View::Answers(wanted) => {
                is_whole
                    && wanted.len() == statuses.len()
                    && wanted.iter().zip(&statuses).all(|(wanted, status)| wanted.contains(status))
            }
            // Closed without a word would be an idle connection's end.
            View::Cut => !is_whole,
            View::Broken => !is_whole || statuses.is_empty() || statuses == [502],
            View::BrokenOff(wanted) => statuses.iter().all(|status| wanted.contains(status)),
        };
        if !is_seen {
            faults.push(format!("answers {statuses:?}, all whole: {is_whole}"));
        }
        let body = self.answers.last().map(|read| String::from_utf8_lossy(&read.body).into_owned());
        if case.body.is_some_and(|wanted| body.as_deref() != Some(&*expand(wanted))) {
            faults.push("another body".to_owned());
        }
        faults
    }

    /// What the backend got of the case itself, without the probes.
    fn own_wire(&self) -> &str {
        self.wire.split("GET /probe").next().unwrap_or_default()
    }

    fn backend_fault(&self, case: &Case) -> Option<String> {
        let is_right = match case.gets {
            Gets::Anything => true,
            Gets::Nothing => self.own_wire().is_empty(),
            Gets::NoWhole => self.requests.is_empty(),
            Gets::Requests(wanted) => {
                let wanted: Vec<String> = wanted.iter().map(|text| expand(text)).collect();
                self.requests == wanted
            }
        };
        let requests: Vec<String> =
            self.requests.iter().map(|text| text.chars().take(200).collect()).collect();
        (!is_right).then(|| format!("backend took {requests:?}"))
    }
}
