//! What is read when somebody looks: stores and upstreams say how they stand at scrape time, nobody keeps gauges
//! up to date on the path of a request.

use crate::telemetry::labels::{StoreName, Tier};
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;

/// One fact, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// How full a cache tier is, and how many entries were pushed out since the start.
    CacheTier {
        /// Which tier.
        tier: Tier,
        /// Stored responses.
        entries: u64,
        /// Their bytes.
        bytes: u64,
        /// Entries pushed out since the start; never falls.
        evictions: u64,
    },
    /// Does a store answer?
    StoreUp {
        /// Which store.
        store: StoreName,
        /// Reachable, breaker closed.
        up: bool,
    },
    /// Does a server take requests?
    UpstreamHealthy {
        /// The upstream's name.
        upstream: Arc<str>,
        /// `host:port` as configured.
        server: String,
        /// Neither its health check nor its breaker keeps it out.
        healthy: bool,
    },
    /// How many servers of an upstream have an open breaker.
    BreakerOpen {
        /// The upstream's name.
        upstream: Arc<str>,
        /// Servers with an open breaker.
        servers: u64,
    },
    /// The embedded counts.
    LimitMemory {
        /// Identities with counts.
        keys: u64,
        /// Memory, by estimate.
        bytes: u64,
        /// Counts that left because no window counted them any more, since the start; never falls.
        expired: u64,
        /// Counts that left although they still mattered, since the start; never falls.
        evicted: u64,
    },
    /// How this instance stands to the others that share its store of counts.
    LimitFleet {
        /// Instances that share the store, this one among them, as far as is known.
        instances: u64,
        /// Are resets, refunds and overrides of other instances heard at once?
        feed_up: bool,
        /// Denials that are remembered.
        denials: u64,
        /// Logs to which admissions of an outage are owed.
        owed: u64,
        /// Admissions of outages that will never be told to the store, since the start; never falls.
        owed_dropped: u64,
    },
    /// How much the ledger of purges holds.
    CacheLedger {
        /// Names: looked up at once, however many there are.
        names: u64,
        /// Patterns: compared one by one.
        patterns: u64,
    },
    /// When a certificate of a listener expires.
    CertificateExpiry {
        /// The listener's address as configured.
        listener: String,
        /// The certificate's first host name, or its file.
        name: String,
        /// Unix seconds.
        not_after_s: u64,
    },
    /// Lines that the log writer dropped since the start; never falls.
    LogLinesDropped(u64),
}

type Source = Arc<dyn Fn(&mut Vec<Reading>) + Send + Sync>;

/// Who is asked at scrape time. A source must answer from memory, at once.
#[derive(Default)]
pub struct Sources(Mutex<Vec<Source>>);

impl Sources {
    /// Adds a source for the life of the process.
    pub fn add(&self, source: impl Fn(&mut Vec<Reading>) + Send + Sync + 'static) {
        self.0.lock().push(Arc::new(source));
    }

    /// Asks everybody; no lock is held while a source answers.
    #[must_use]
    pub fn read(&self) -> Vec<Reading> {
        let sources: Vec<Source> = self.0.lock().clone();
        let mut readings = Vec::new();
        for source in sources {
            source(&mut readings);
        }
        readings
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sources({})", self.0.lock().len())
    }
}
