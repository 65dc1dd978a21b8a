//! Where log lines go: a bounded buffer that a thread of its own writes to standard error.
//!
//! Whoever logs never waits for the terminal, pipe or disk behind it. When the buffer is full the line is dropped
//! and counted (`tidegate_log_lines_dropped_total`).

use parking_lot::{Condvar, Mutex};
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Bytes that may wait for the writer: some ten thousand access lines.
const BUFFER_BYTES_MAX: usize = 4 << 20;

/// How long the end of the process waits for the writer.
const FLUSH_BUDGET: Duration = Duration::from_secs(1);

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people, in colour on a terminal.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogFault {
    /// The writer's thread did not start.
    #[error("the log writer cannot be started: {0}")]
    Thread(#[from] io::Error),
    /// Somebody has set up another log in this process.
    #[error("a log is set up already")]
    Installed(#[from] tracing_subscriber::util::TryInitError),
}

/// The log of the process. Keep it to the end of `main`: dropping it waits (at most a second) until everything is
/// written.
#[derive(Debug)]
#[must_use = "dropping it at once makes the end of the process lose lines"]
pub struct Logging(Arc<Buffer>);

impl Logging {
    /// How many lines were dropped since the start, as a reading for [`Metrics::add_source`].
    ///
    /// [`Metrics::add_source`]: crate::telemetry::Metrics::add_source
    pub fn dropped(&self) -> impl Fn() -> u64 + Send + Sync + 'static {
        let buffer = Arc::clone(&self.0);
        move || buffer.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        self.0.flush(FLUSH_BUDGET);
    }
}

/// Sends all events to standard error. `verbosity` 0 is information about ourselves and warnings of others, 1 adds
/// our details, 2 and more everything of everybody.
///
/// # Errors
/// [`LogFault`] when the thread cannot be started or a log is set up already.
pub fn install(format: LogFormat, verbosity: u8) -> Result<Logging, LogFault> {
    let buffer = Arc::new(Buffer::default());
    start_writer(Arc::clone(&buffer), io::stderr())?;
    let look = Look { format, ansi: io::stderr().is_terminal() };
    subscriber(look, verbosity, Lines(Arc::clone(&buffer))).try_init()?;
    Ok(Logging(buffer))
}

#[derive(Debug, Clone, Copy)]
struct Look {
    format: LogFormat,
    ansi: bool,
}

fn subscriber(look: Look, verbosity: u8, lines: Lines) -> Box<dyn Subscriber + Send + Sync> {
    let registry = tracing_subscriber::registry().with(filter(verbosity));
    let layer = tracing_subscriber::fmt::layer().with_writer(lines);
    match look.format {
        LogFormat::Text => Box::new(registry.with(layer.with_ansi(look.ansi))),
        LogFormat::Json => {
            let json = layer.json().flatten_event(true).with_current_span(false).with_span_list(false);
            Box::new(registry.with(json))
        }
    }
}

fn filter(verbosity: u8) -> Targets {
    let (ours, others) = match verbosity {
        0 => (LevelFilter::INFO, LevelFilter::WARN),
        1 => (LevelFilter::DEBUG, LevelFilter::WARN),
        _ => (LevelFilter::TRACE, LevelFilter::TRACE),
    };
    Targets::new()
        .with_default(others)
        .with_target("tidegate", ours)
        .with_target(super::access::TARGET, LevelFilter::INFO)
}

/// Bytes on their way to the writer.
#[derive(Debug, Default)]
struct Buffer {
    state: Mutex<State>,
    filled: Condvar,
    emptied: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    is_writing: bool,
}

impl Buffer {
    fn push(&self, line: &[u8]) {
        let mut state = self.state.lock();
        if state.waiting.len().saturating_add(line.len()) > BUFFER_BYTES_MAX {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        state.waiting.extend_from_slice(line);
        drop(state);
        self.filled.notify_one();
    }

    /// Waits for lines and takes them all; `taken` comes empty and lends its room.
    fn take(&self, taken: &mut Vec<u8>) {
        let mut state = self.state.lock();
        state.is_writing = false;
        if state.waiting.is_empty() {
            self.emptied.notify_all();
        }
        while state.waiting.is_empty() {
            self.filled.wait(&mut state);
        }
        state.is_writing = true;
        std::mem::swap(&mut state.waiting, taken);
    }

    fn flush(&self, budget: Duration) {
        let mut state = self.state.lock();
        let is_pending = |state: &mut State| state.is_writing || !state.waiting.is_empty();
        self.emptied.wait_while_for(&mut state, is_pending, budget);
    }
}

/// Runs to the end of the process: the subscriber that feeds it does so too.
fn start_writer(buffer: Arc<Buffer>, mut sink: impl Write + Send + 'static) -> io::Result<()> {
    let write = move || {
        let mut lines = Vec::new();
        loop {
            buffer.take(&mut lines);
            // Nobody is left to be told when standard error is closed.
            drop(sink.write_all(&lines).and_then(|()| sink.flush()));
            lines.clear();
        }
    };
    std::thread::Builder::new().name("log".to_owned()).spawn(write).map(drop)
}

/// Gives each event its [`Line`].
struct Lines(Arc<Buffer>);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(&self.0)
    }
}

/// Takes one formatted event; the formatting layer writes it in one piece.
struct Line<'a>(&'a Buffer);

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::access::{AccessRecord, access};
    use crate::telemetry::labels::CacheResult;
    use std::sync::mpsc;

    /// A sink that shows what arrives, and that can be held back.
    struct Sink {
        arrived: Arc<Mutex<Vec<u8>>>,
        gate: Option<mpsc::Receiver<()>>,
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if let Some(gate) = self.gate.take() {
                gate.recv().expect("the test opens the gate");
            }
            self.arrived.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logging(gate: Option<mpsc::Receiver<()>>) -> (Logging, Arc<Mutex<Vec<u8>>>) {
        let (buffer, arrived) = (Arc::new(Buffer::default()), Arc::default());
        start_writer(Arc::clone(&buffer), Sink { arrived: Arc::clone(&arrived), gate }).expect("a thread");
        (Logging(buffer), arrived)
    }

    fn written(format: LogFormat, verbosity: u8, emit: impl FnOnce()) -> String {
        let (logging, arrived) = logging(None);
        let look = Look { format, ansi: false };
        tracing::subscriber::with_default(subscriber(look, verbosity, Lines(Arc::clone(&logging.0))), emit);
        drop(logging);
        let bytes = arrived.lock().clone();
        String::from_utf8(bytes).expect("text")
    }

    fn hostile_record() -> AccessRecord<'static> {
        AccessRecord {
            request_id: "01H\n",
            client: [192, 0, 2, 7].into(),
            method: "GET",
            host: "api.example",
            path: "/api/v1/dashboard/",
            query: Some("token=s3cret&page=2"),
            http: "1.1",
            status: 200,
            bytes: 17,
            duration: Duration::from_micros(1_500),
            upstream_duration: None,
            route: Some("/api/v1/dashboard/"),
            upstream: None,
            cache: Some(CacheResult::Hit),
            limit: None,
            policy: None,
            tenant: Some("acme"),
            user: None,
            api_key: None,
            tier: None,
            refusal: None,
            is_warming: false,
            user_agent: Some("curl\r\nstatus=500 \"quoted\""),
        }
    }

    #[test]
    fn an_access_line_in_json_is_one_flat_object_without_secrets() {
        let text = written(LogFormat::Json, 0, || access(&hostile_record()));
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(
            (&line["target"], &line["status"], &line["cache"], &line["duration_us"]),
            (&"access".into(), &200.into(), &"hit".into(), &1_500.into())
        );
        assert_eq!(line["query"], "token=*&page=*");
        assert_eq!(line["client"], "192.0.2.7");
        assert_eq!(line["user_agent"], "curl%0D%0Astatus=500 \"quoted\"");
        assert!(line.get("upstream").is_none(), "what is not known is left out: {line}");
    }

    #[test]
    fn an_access_line_as_text_cannot_be_forged() {
        let text = written(LogFormat::Text, 0, || access(&hostile_record()));
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains(r#"request_id="01H%0A""#) && text.contains(r#"\"quoted\""#), "{text}");
        assert!(!text.contains("s3cret"));
    }

    #[test]
    fn verbosity_opens_our_details_first_and_others_last() {
        let emit = || {
            tracing::debug!(target: "tidegate::store", "ours");
            tracing::info!(target: "pingora_core", "theirs");
            tracing::warn!(target: "pingora_core", "their warning");
        };
        let count = |verbosity| written(LogFormat::Text, verbosity, emit).lines().count();
        assert_eq!((count(0), count(1), count(2)), (1, 2, 3));
    }

    #[test]
    fn a_stuck_sink_makes_nobody_wait_and_what_is_lost_is_counted() {
        let (open, gate) = mpsc::channel();
        let (logging, arrived) = logging(Some(gate));
        let dropped = logging.dropped();
        let line = [b'x'; 1_024];
        for _ in 0..(2 * BUFFER_BYTES_MAX / line.len()) {
            logging.0.push(&line);
        }
        assert!(logging.0.state.lock().waiting.len() <= BUFFER_BYTES_MAX);
        assert!(dropped() > 0);
        open.send(()).expect("the writer waits");
        drop(logging);
        let lost_bytes = usize::try_from(dropped()).expect("small") * line.len();
        assert_eq!(arrived.lock().len() + lost_bytes, 2 * BUFFER_BYTES_MAX, "all but the lost lines arrive");
    }
}
