//! A PostgreSQL server: its pool, and whether it can be reached at all, which a pool hides behind a time-out of its own.

use crate::base::{Clock, SystemClock};
use crate::companion::data::fault::{DatabaseFault, FaultKind};
use parking_lot::Mutex;
use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{ConnectOptions, Connection, Error, Postgres, Transaction, pool::PoolConnection};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// Who has waited so long for a connection looks whether there is a server: a pool tries a refused address again until its
/// own time is over. Less than what a probe waits for `/readyz`.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long somebody who looks waits. Refused at once is the common case; this is for addresses that nothing answers from.
const LOOK: Duration = Duration::from_secs(2);

/// How long what was seen is believed.
const BELIEVED_MS: u64 = 1_000;

/// A server and its pool. While it cannot be reached one request a second looks for it, and all others are refused at once.
#[derive(Debug)]
pub(in crate::companion::data) struct Server {
    pub(in crate::companion::data) pool: PgPool,
    /// What it is called in messages.
    pub(in crate::companion::data) place: String,
    clock: SystemClock,
    seen: Mutex<Option<Seen>>,
    /// One looks at a time; who waits for it goes by what it sees.
    looking: tokio::sync::Mutex<()>,
}

/// What somebody has seen who looked.
#[derive(Debug, Clone)]
struct Seen {
    at_ms: u64,
    /// `None`: it was there.
    away: Option<DatabaseFault>,
}

impl Server {
    pub(super) fn new(pool: PgPool, place: String) -> Self {
        let (seen, looking) = (Mutex::new(None), tokio::sync::Mutex::new(()));
        Self { pool, place, clock: SystemClock::new(), seen, looking }
    }

    /// A connection of the pool.
    pub(super) async fn acquire(&self, doing: &str) -> Result<PoolConnection<Postgres>, DatabaseFault> {
        self.reached(doing, Box::pin(self.pool.acquire())).await
    }

    /// A transaction of the pool.
    pub(super) async fn begin(
        &self,
        doing: &str,
        statement: &'static str,
    ) -> Result<Transaction<'static, Postgres>, DatabaseFault> {
        self.reached(doing, Box::pin(self.pool.begin_with(statement))).await
    }

    async fn reached<T>(
        &self,
        doing: &str,
        mut acquiring: Pin<Box<impl Future<Output = Result<T, Error>>>>,
    ) -> Result<T, DatabaseFault> {
        self.not_away().await?;
        let acquired = match tokio::time::timeout(PATIENCE, &mut acquiring).await {
            Ok(Err(Error::PoolTimedOut)) => {
                self.look().await?;
                Err(Error::PoolTimedOut)
            }
            Ok(acquired) => acquired,
            Err(_elapsed) => tokio::select! {
                acquired = &mut acquiring => acquired,
                there = self.look() => {
                    there?;
                    acquiring.await
                }
            },
        };
        acquired.map_err(|error| DatabaseFault::of(&self.place, doing, &error))
    }

    /// Refuses while it is away, but for one who looks now and then.
    async fn not_away(&self) -> Result<(), DatabaseFault> {
        let Some(seen) = self.seen.lock().clone() else { return Ok(()) };
        let Some(away) = seen.away else { return Ok(()) };
        if self.is_believed(seen.at_ms) {
            return Err(away);
        }
        match self.looking.try_lock() {
            Ok(_alone) => self.look_now().await,
            Err(_another_looks) => Err(away),
        }
    }

    /// Is it there? Busy ones are.
    async fn look(&self) -> Result<(), DatabaseFault> {
        let _alone = self.looking.lock().await;
        let seen = self.seen.lock().clone();
        match seen.filter(|seen| self.is_believed(seen.at_ms)) {
            Some(seen) => seen.away.map_or(Ok(()), Err),
            None => self.look_now().await,
        }
    }

    async fn look_now(&self) -> Result<(), DatabaseFault> {
        let options = self.pool.connect_options();
        let away = Box::pin(connect_once(&options, LOOK, &self.place)).await.err();
        // Who has no room for another connection is there.
        let away = away.filter(|fault| fault.kind == FaultKind::Unreachable);
        *self.seen.lock() = Some(Seen { at_ms: self.clock.monotonic_ms(), away: away.clone() });
        away.map_or(Ok(()), Err)
    }

    fn is_believed(&self, at_ms: u64) -> bool {
        self.clock.monotonic_ms().saturating_sub(at_ms) < BELIEVED_MS
    }

    pub(super) fn fault(&self, doing: &str, error: &Error) -> DatabaseFault {
        DatabaseFault::of(&self.place, doing, error)
    }
}

/// Connects and leaves again.
pub(super) async fn connect_once(
    options: &PgConnectOptions,
    within: Duration,
    place: &str,
) -> Result<(), DatabaseFault> {
    let doing = "connecting";
    let connected = tokio::time::timeout(within, options.connect()).await;
    let connection = connected.map_err(|_elapsed| {
        let says = format!("no answer within {}", crate::base::units::format_duration(within));
        DatabaseFault::new(FaultKind::Unreachable, place, doing, says, "is the address right?")
    })?;
    let connection = connection.map_err(|error| DatabaseFault::of(place, doing, &error))?;
    connection.close().await.map_err(|error| DatabaseFault::of(place, doing, &error))
}
