//! Working at jobs: one attempt, and the loops that look for the next, end what has no future, and tidy the folder up.

use crate::companion::data::{DatabaseFault, ExportFile, ExportJob, ExportStatus, FaultKind};
use crate::companion::exports::Exports;
use crate::companion::exports::asked::Order;
use crate::companion::exports::files::{self, Listed};
use crate::companion::exports::report::{ReadFault, Source, facts};
use crate::companion::exports::writer::{Manner, Pulse, WriteFault, write};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Queued jobs that an instance works at, at once: each takes a connection and a thread.
const WORKERS: usize = 2;

/// Attempts at most: what has ended three workers is not tried on a fourth.
const TRIES: u32 = 3;

/// How often an attempt says that it is under way, and hears whether somebody still wants it.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// After so long without a word an attempt is given up: ten beats, or two statements that took as long as they may.
const SILENT: Duration = Duration::from_secs(10);

/// What the database could not give is asked of it once more after that: before another takes the attempt for silent.
const PAUSE: Duration = Duration::from_secs(5);

/// How often jobs are looked for that others have queued or given up.
const LOOK: Duration = Duration::from_secs(2);

/// How often files whose time is over are taken away. Links to them are refused before.
const TIDY: Duration = Duration::from_secs(60);

/// How long what is over can still be asked after.
const KEPT: Duration = Duration::from_secs(30 * 86_400);

/// A file that nobody knows is left alone for so long: more than the longest `exports.lifetime`.
const FOREIGN: Duration = Duration::from_secs(8 * 86_400);

/// Parts between whoever reads and whoever writes. When it is full, reading waits for the disk.
const PIPE: usize = 1;

const GIVEN_UP: &str =
    "it was tried three times, and each time what worked at it ended; ask again, or for less";
/// Why an export that was asked for has no file: also known again, to answer whoever has waited for it.
pub(super) const NO_ROOM: &str = "its file is larger than what the organisation's finished exports leave: delete one of those, or ask for less";
const NOT_WRITTEN: &str = "the file could not be written; the operator's log says why";

/// Why the folder stays as it is.
#[derive(Debug, thiserror::Error)]
enum TidyFault {
    #[error(transparent)]
    Disk(#[from] std::io::Error),
    #[error(transparent)]
    Database(#[from] DatabaseFault),
    #[error(transparent)]
    Thread(#[from] tokio::task::JoinError),
}

/// How an attempt ended.
enum End {
    File(ExportFile),
    /// It comes to nothing: told to whoever asked.
    Failed(String),
    /// The database may be there again later.
    Later(String),
    /// Nobody wants it any longer.
    Cancelled,
    /// Another works at it.
    Lost,
    /// The service stops: it is another's, or one's own after the next start.
    Stopped,
}

impl Exports {
    /// Begins to work at jobs, and to tidy up. Ends with the tasks that were given at the opening.
    pub fn start(&self) {
        let tasks = &self.inner.parts.tasks;
        for _ in 0..WORKERS {
            let exports = self.clone();
            // It ends by itself, and gives back what it is at.
            tasks.spawn("exports", async move { exports.work().await });
        }
        let exports = self.clone();
        tasks.spawn_until_stop("exports tidy", async move {
            loop {
                exports.tidy().await;
                tokio::time::sleep(TIDY).await;
            }
        });
    }

    async fn work(&self) {
        let tasks = &self.inner.parts.tasks;
        // A claim is not broken off: it may have been made.
        while !tasks.is_stopped() {
            let rest = match self.inner.parts.own.claim_export(&self.inner.name, TRIES, SILENT).await {
                Ok(Some(job)) => {
                    // Another may wait behind it.
                    self.inner.queued.notify_one();
                    self.attempt(&job).await;
                    continue;
                }
                Ok(None) => LOOK,
                Err(fault) => {
                    tracing::warn!(%fault, "exports wait for the database");
                    SILENT
                }
            };
            tokio::select! {
                () = tasks.stopped() => {}
                () = self.inner.queued.notified(), if rest == LOOK => {}
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    /// Makes one attempt. `None`: it is another's now, or the database could not be told how it ended.
    pub(super) async fn attempt(&self, job: &ExportJob) -> Option<ExportJob> {
        let parts = &self.inner.parts;
        let begun = parts.clock.monotonic();
        let end = match serde_json::from_str::<Order>(&job.request) {
            Ok(order) => self.make(job, order).await,
            Err(error) => {
                tracing::warn!(export = job.id, %error, "an export of another version");
                End::Failed("this version of the service does not know such exports".to_owned())
            }
        };
        let outcome = match &end {
            End::File(_) => "done",
            End::Failed(_) => "failed",
            End::Later(_) => "retried",
            End::Cancelled => "cancelled",
            End::Lost => "lost",
            End::Stopped => "stopped",
        };
        let left = self.leave(job, end).await;
        let is_failed = matches!(&left, Ok(Some(left)) if left.status == ExportStatus::Failed);
        // A whole file may still be one too many.
        let outcome = if is_failed { "failed" } else { outcome };
        let format = match job.format.as_str() {
            "csv" => "csv",
            "xlsx" => "xlsx",
            _ => "json",
        };
        parts.metrics.export(format, outcome, parts.clock.monotonic().saturating_sub(begun));
        left.unwrap_or_else(|fault| {
            tracing::warn!(export = job.id, %fault, "an export ended, and nobody could be told");
            None
        })
    }

    async fn leave(&self, job: &ExportJob, end: End) -> Result<Option<ExportJob>, DatabaseFault> {
        let own = &self.inner.parts.own;
        match end {
            End::File(file) => {
                let settings = &self.inner.parts.settings;
                let bounds = (settings.lifetime, settings.bytes_per_tenant);
                if let Some(done) = own.finish_export(job, &file, bounds).await? {
                    return Ok(Some(done));
                }
                // Cancelled in the last moment, or taken by another, whose file has another name; else it does not fit.
                let files = self.inner.files.clone();
                drop(tokio::task::spawn_blocking(move || files.remove(&file.name)).await);
                let standing = own.export(&job.tenant, &job.id).await?;
                if standing.is_some_and(|standing| standing.is_cancelled) {
                    return own.leave_export(job, ExportStatus::Cancelled, None).await;
                }
                own.leave_export(job, ExportStatus::Failed, Some(NO_ROOM)).await
            }
            End::Failed(says) => own.leave_export(job, ExportStatus::Failed, Some(&says)).await,
            End::Later(says) if job.tries >= i64::from(TRIES) => {
                own.leave_export(job, ExportStatus::Failed, Some(&says)).await
            }
            End::Later(_) => {
                // A server that starts anew takes its time: three attempts within a second would be none.
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => own.leave_export(job, ExportStatus::Queued, None).await,
                    () = self.inner.parts.tasks.stopped() => own.give_export_back(job).await,
                }
            }
            End::Cancelled => own.leave_export(job, ExportStatus::Cancelled, None).await,
            End::Lost => Ok(None),
            End::Stopped => own.give_export_back(job).await,
        }
    }

    /// Reads and writes side by side, and says all the while that it does.
    async fn make(&self, job: &ExportJob, order: Order) -> End {
        let name = files::name(&job.id, job.tries, order.format.as_str());
        let space = match self.inner.parts.own.export_space(&job.tenant).await {
            Ok(space) => space,
            Err(fault) => return end(job, Err(fault.into()), Ok(Err(WriteFault::BrokenOff))),
        };
        let manner = Manner {
            format: order.format,
            bom: order.bom,
            facts: facts(&job.tenant, &order),
            bytes_max: self.inner.parts.settings.bytes_per_tenant.saturating_sub(space.bytes),
        };
        let (pipe, mut parts) = mpsc::channel(PIPE);
        let pulse = Arc::new(Pulse::default());
        // Whatever ends this future ends the writer too.
        let _ending = pulse.end_with_me();
        let (files, told) = (self.inner.files.clone(), Arc::clone(&pulse));
        let writing = tokio::task::spawn_blocking(move || write(&files, &name, &manner, &mut parts, &told));
        let work = async {
            let database = &self.inner.parts.database;
            let reading = &self.inner.reading;
            let source = Source { database, tenant: &job.tenant, order: &order, pipe: &pipe, reading };
            let read = source.send().await;
            drop(pipe);
            end(job, read, writing.await)
        };
        tokio::select! {
            end = work => end,
            end = self.beat(job, &pulse) => end,
            () = self.inner.parts.tasks.stopped() => End::Stopped,
        }
    }

    /// Until the attempt is another's, or nobody wants it any longer.
    async fn beat(&self, job: &ExportJob, pulse: &Pulse) -> End {
        loop {
            tokio::time::sleep(HEARTBEAT).await;
            let all = u64::try_from(job.rows.unwrap_or(0)).unwrap_or(0).max(1);
            let progress = i64::try_from(pulse.rows().saturating_mul(99) / all).unwrap_or(99);
            match self.inner.parts.own.beat_export(job, progress).await {
                Ok(Some(standing)) if standing.is_cancelled => return End::Cancelled,
                Ok(Some(_)) => {}
                Ok(None) => return End::Lost,
                // Who cannot say anything for long has lost the job to another, and hears of it later.
                Err(fault) => tracing::debug!(%fault, "an export could not say how far it is"),
            }
        }
    }

    /// Ends what has no future, and takes away what belongs to nothing that is there.
    async fn tidy(&self) {
        let own = &self.inner.parts.own;
        match own.end_exports(TRIES, SILENT, (KEPT, GIVEN_UP)).await {
            Ok(ended) => tracing::debug!(exports = ended.len(), "their time is over"),
            Err(fault) => tracing::warn!(%fault, "exports could not be tidied up"),
        }
        if let Err(error) = self.tidy_folder().await {
            tracing::warn!(%error, "the folder of exports could not be tidied up");
        }
    }

    async fn tidy_folder(&self) -> Result<(), TidyFault> {
        let files = self.inner.files.clone();
        let listed = tokio::task::spawn_blocking(move || files.list()).await??;
        let now_s = self.inner.parts.clock.wall_ms() / 1_000;
        for some in listed.chunks(500) {
            let mut ids: Vec<String> = some.iter().map(|file| file.named.id.clone()).collect();
            ids.dedup();
            let known = self.inner.parts.own.exports_among(ids).await?;
            let known: BTreeMap<&str, &ExportJob> = known.iter().map(|job| (job.id.as_str(), job)).collect();
            let is_left = |file: &&Listed| match known.get(file.named.id.as_str()) {
                Some(job) if job.status == ExportStatus::Done => job.file.as_ref() != Some(&file.name),
                Some(job) if job.status == ExportStatus::Running => job.tries != file.named.tries,
                Some(_) => true,
                // It may be of a service with another database, which shares the folder: until no file can be of use.
                None => file.changed_s + FOREIGN.as_secs() < now_s,
            };
            let left: Vec<String> = some.iter().filter(is_left).map(|file| file.name.clone()).collect();
            let files = self.inner.files.clone();
            let removing = move || left.iter().try_for_each(|name| files.remove(name));
            tokio::task::spawn_blocking(removing).await??;
        }
        Ok(())
    }
}

/// What came of reading and writing.
fn end(
    job: &ExportJob,
    read: Result<(), ReadFault>,
    written: Result<Result<ExportFile, WriteFault>, tokio::task::JoinError>,
) -> End {
    if let Err(ReadFault::Database(fault)) = read {
        tracing::warn!(export = job.id, %fault, "the rows of an export cannot be read");
        return unread(&fault);
    }
    match written {
        Ok(Ok(file)) => End::File(file),
        Ok(Err(WriteFault::BrokenOff)) => End::Lost,
        Ok(Err(WriteFault::NoRoom(_))) => End::Failed(NO_ROOM.to_owned()),
        Ok(Err(fault)) => {
            tracing::error!(export = job.id, %fault, "an export was not written");
            End::Failed(NOT_WRITTEN.to_owned())
        }
        Err(error) => {
            tracing::error!(export = job.id, %error, "an export was not written");
            End::Failed(NOT_WRITTEN.to_owned())
        }
    }
}

/// What became of an export whose rows cannot be read, in words for whoever wants it: what the database says is for the log.
fn unread(fault: &DatabaseFault) -> End {
    match fault.kind {
        FaultKind::Unreachable => {
            End::Later("the database could not be reached, three times: ask again later".to_owned())
        }
        FaultKind::Busy => {
            End::Later("the database had too much to do, three times: ask again later".to_owned())
        }
        FaultKind::Slow => {
            End::Later("the database took too long for it, three times: ask for less, or later".to_owned())
        }
        FaultKind::NotMigrated => {
            End::Later("the database is not ready for it: its operator has to migrate it".to_owned())
        }
        FaultKind::UnknownTenant => End::Failed("the organisation is no longer there".to_owned()),
        FaultKind::Unreadable | FaultKind::ReadOnly | FaultKind::Refused | FaultKind::Failed => {
            End::Failed("its rows could not be read; the operator's log says why".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_an_export_failed_is_a_sentence_for_whoever_wants_it() {
        for (kind, is_later, words) in [
            (FaultKind::Unreachable, true, "could not be reached"),
            (FaultKind::Busy, true, "too much to do"),
            (FaultKind::Slow, true, "ask for less"),
            (FaultKind::NotMigrated, true, "operator"),
            (FaultKind::UnknownTenant, false, "organisation"),
            (FaultKind::Unreadable, false, "operator's log"),
            (FaultKind::Failed, false, "operator's log"),
        ] {
            let says = "relation \"users\" is a secret";
            let end = unread(&DatabaseFault::new(kind, "postgres://db.example", "reading", says, "grant it"));
            let told = match end {
                End::Later(told) if is_later => told,
                End::Failed(told) if !is_later => told,
                _ => panic!("{kind:?}"),
            };
            assert!(told.contains(words), "{told}");
            assert!(["secret", "db.example", "grant"].iter().all(|word| !told.contains(word)), "{told}");
        }
    }
}
