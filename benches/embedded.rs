//! What a decision of the embedded store costs, by how many logs it keeps; and how many bytes a log takes.
//!
//! `cargo bench --bench embedded`; an argument such as `admit` selects. Time stands still, so nothing leaves a window.

#![expect(clippy::print_stdout, reason = "a bench prints what it found")]
#![expect(clippy::cast_precision_loss, reason = "bytes of logs stay far below 2^53")]

use divan::Bencher;
use std::sync::Arc;
use tidegate::base::{Digest, ManualClock};
use tidegate::limit::{Charge, LimitKey, Mode, Per, Policy, Subject, Window, Windows, WindowsFault};
use tidegate::store::memory_limits::MemoryLimits;

/// Logs in a store, and how many units each holds before anything is measured.
const LOGS: [u32; 3] = [1_000, 200_000, 1_000_000];
const UNITS: u32 = 10;

/// Bytes that no number of logs here fills.
const BYTES_MAX: u64 = 4 << 30;

fn main() {
    for logs in LOGS {
        if let Ok(store) = Store::new(logs, 1_000_000) {
            println!(
                "{logs} logs of {UNITS} units: {:.0} B each",
                store.limits.bytes() as f64 / f64::from(logs)
            );
        }
    }
    divan::main();
}

/// A store with logs in it, asked for in an order that no cache foresees.
struct Store {
    limits: MemoryLimits,
    charge: Charge,
    logs: u32,
    turn: u32,
}

impl Store {
    /// `logs` logs of [`UNITS`] units, under a minute's `limit`, an hour's and a day's.
    fn new(logs: u32, limit: u32) -> Result<Self, WindowsFault> {
        let window = |length_ms, limit| Window { length_ms, limit };
        let list = [window(60_000, limit), window(3_600_000, 1_000_000), window(86_400_000, 1_000_000)];
        let windows = Windows::new(list.to_vec())?;
        let mut policy = Policy::new("bench", windows.clone());
        policy.mode = Mode::Enforce;
        let charge = Charge {
            policy: Arc::new(policy),
            key: LimitKey { identity: Digest([0; 32]), policy: "bench".into() },
            windows,
            cost: 1,
            consumes: true,
            subject: Arc::new(Subject { per: Per::User, value: "bench".into() }),
        };
        let limits = MemoryLimits::new(Arc::new(ManualClock::at(1_000_000)), BYTES_MAX);
        let mut store = Self { limits, charge, logs, turn: 0 };
        for log in 0..logs {
            store.choose(log);
            for _ in 0..UNITS {
                store.limits.force(&store.charge);
            }
        }
        Ok(store)
    }

    fn choose(&mut self, log: u32) {
        let (head, _) = self.charge.key.identity.0.split_at_mut(4);
        head.copy_from_slice(&log.to_le_bytes());
    }

    /// Charges the next log; was it admitted?
    fn ask(&mut self) -> bool {
        // A stride that shares no factor with the numbers of logs: all of them in turn, neighbours far apart.
        self.turn = self.turn.wrapping_add(104_729) % self.logs;
        self.choose(self.turn);
        self.limits.decide(std::slice::from_ref(&self.charge)).iter().all(|decision| decision.admitted)
    }
}

/// A log that has room, so that each call consumes a unit.
#[divan::bench(args = LOGS, sample_size = 1_000, sample_count = 100)]
fn admit(bencher: Bencher<'_, '_>, logs: u32) {
    bench(bencher, logs, 1_000_000);
}

/// A log that is full, so that nothing changes.
#[divan::bench(args = LOGS, sample_size = 1_000, sample_count = 100)]
fn deny(bencher: Bencher<'_, '_>, logs: u32) {
    bench(bencher, logs, UNITS);
}

fn bench(bencher: Bencher<'_, '_>, logs: u32, limit: u32) {
    if let Ok(mut store) = Store::new(logs, limit) {
        bencher.bench_local(|| store.ask());
    }
}
