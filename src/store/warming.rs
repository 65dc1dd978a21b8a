//! Jobs of warming with what came of each request, and the refreshes that writes call for. Whoever makes the requests takes
//! both from here; whoever asks for them never waits.

use crate::cache::refresh::{Asked, Next};
use crate::cache::{Refresh, Refreshes, WarmItem, WarmOrder, Warmed};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Jobs that are remembered; the oldest that are done leave first.
pub const JOBS_MAX: usize = 64;

/// Results that are remembered of all jobs together.
const RESULTS_MAX: usize = 50_000;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Others are before it.
    Queued,
    /// Its requests are being made.
    Running,
    /// All have been made.
    Done,
}

impl Stage {
    /// The word of the admin API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
        }
    }
}

/// What came of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarmResult {
    /// In a word.
    pub warmed: Warmed,
    /// The answer's status; `None`: there was none.
    pub status: Option<u16>,
    /// `X-Cache` of the answer.
    pub cache: Option<String>,
    /// Why it was not stored, or why there was no answer.
    pub detail: Option<String>,
    /// How long it took, milliseconds.
    pub took_ms: u64,
}

/// A request, and what came of it once it was made.
pub type Made = (WarmItem, Option<WarmResult>);

/// How many requests of a job ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Requests in all.
    pub items: usize,
    /// Made.
    pub done: usize,
    /// The answer was stored.
    pub stored: usize,
    /// There was one that is fresh for long enough.
    pub fresh: usize,
    /// The answer was not stored.
    pub unstored: usize,
    /// There was no answer, or an error.
    pub failed: usize,
}

/// A job and where it stands.
#[derive(Debug, Clone)]
pub struct WarmProgress {
    /// Names it in this process.
    pub id: String,
    /// What was ordered.
    pub order: Arc<WarmOrder>,
    /// Where it stands.
    pub stage: Stage,
    /// How its requests ended so far.
    pub tally: Tally,
    /// The pause between two requests because the origin is slow.
    pub pause: Duration,
    /// When it was ordered, begun and done, wall milliseconds.
    pub times_ms: [Option<u64>; 3],
}

/// Why a job is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// A job of this name waits or runs.
    #[error("the job runs already, as {id}")]
    Runs {
        /// As what.
        id: String,
    },
    /// Too many jobs wait or run.
    #[error("{JOBS_MAX} jobs wait or run")]
    Full,
}

#[derive(Debug)]
struct Record {
    progress: WarmProgress,
    /// One place a request.
    results: Vec<Option<WarmResult>>,
}

/// Jobs and refreshes of this process.
#[derive(Debug, Default)]
pub struct Warming {
    jobs: Mutex<VecDeque<Record>>,
    refreshes: Mutex<Refreshes>,
    /// There is a job to begin.
    ordered: Notify,
    /// There is a refresh to make.
    asked: Notify,
    /// The configuration may have other jobs.
    changed: Notify,
}

impl Warming {
    /// Takes a job on and gives its id. `now_ms`: wall milliseconds.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub fn order(&self, order: WarmOrder, now_ms: u64) -> Result<String, NotTaken> {
        let mut jobs = self.jobs.lock();
        let live = || jobs.iter().filter(|record| record.progress.stage != Stage::Done);
        let same = |record: &&Record| order.name.is_some() && record.progress.order.name == order.name;
        if let Some(same) = live().find(same) {
            return Err(NotTaken::Runs { id: same.progress.id.clone() });
        }
        if live().count() >= JOBS_MAX {
            return Err(NotTaken::Full);
        }
        let id = format!("{:016x}", rand::random::<u64>());
        let items = order.items.len();
        let progress = WarmProgress {
            id: id.clone(),
            order: Arc::new(order),
            stage: Stage::Queued,
            tally: Tally { items, ..Tally::default() },
            pause: Duration::ZERO,
            times_ms: [Some(now_ms), None, None],
        };
        jobs.push_back(Record { progress, results: vec![None; items] });
        forget_oldest(&mut jobs);
        drop(jobs);
        self.ordered.notify_one();
        Ok(id)
    }

    /// The next job, which begins with this.
    ///
    /// Cancel safe.
    pub async fn begin(&self, now_ms: impl Fn() -> u64) -> (String, Arc<WarmOrder>) {
        loop {
            // One who waits before the look hears of what comes after it.
            let ordered = self.ordered.notified();
            if let Some(begun) = self.begin_now(now_ms()) {
                return begun;
            }
            ordered.await;
        }
    }

    fn begin_now(&self, now_ms: u64) -> Option<(String, Arc<WarmOrder>)> {
        let mut jobs = self.jobs.lock();
        let record = jobs.iter_mut().find(|record| record.progress.stage == Stage::Queued)?;
        record.progress.stage = Stage::Running;
        record.progress.times_ms[1] = Some(now_ms);
        Some((record.progress.id.clone(), Arc::clone(&record.progress.order)))
    }

    /// What came of the request in this place of the job, and the pause after it.
    pub fn note(&self, id: &str, place: usize, result: WarmResult, pause: Duration) {
        self.change(id, |record| {
            let tally = &mut record.progress.tally;
            tally.done += 1;
            match result.warmed {
                Warmed::Stored => tally.stored += 1,
                Warmed::Fresh => tally.fresh += 1,
                Warmed::Unstored => tally.unstored += 1,
                Warmed::Failed => tally.failed += 1,
            }
            record.progress.pause = pause;
            if let Some(slot) = record.results.get_mut(place) {
                *slot = Some(result);
            }
        });
    }

    /// The job is done. Gives how its requests ended.
    pub fn end(&self, id: &str, now_ms: u64) -> Tally {
        let mut tally = Tally::default();
        self.change(id, |record| {
            record.progress.stage = Stage::Done;
            record.progress.pause = Duration::ZERO;
            record.progress.times_ms[2] = Some(now_ms);
            tally = record.progress.tally;
        });
        tally
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Record)) {
        let mut jobs = self.jobs.lock();
        if let Some(record) = jobs.iter_mut().find(|record| record.progress.id == id) {
            change(record);
        }
    }

    /// All jobs that are remembered, the newest first.
    #[must_use]
    pub fn list(&self) -> Vec<WarmProgress> {
        self.jobs.lock().iter().rev().map(|record| record.progress.clone()).collect()
    }

    /// One job, with its requests and what came of those that were made.
    #[must_use]
    pub fn job(&self, id: &str) -> Option<(WarmProgress, Vec<Made>)> {
        let jobs = self.jobs.lock();
        let record = jobs.iter().find(|record| record.progress.id == id)?;
        let items = record.progress.order.items.iter().cloned();
        Some((record.progress.clone(), items.zip(record.results.iter().cloned()).collect()))
    }

    /// A write calls for a refresh. `now_ms`: monotonic milliseconds.
    pub fn ask(&self, refresh: &Refresh, now_ms: u64) -> Asked {
        let asked = self.refreshes.lock().ask(refresh, now_ms);
        if asked == Asked::Planned {
            self.asked.notify_one();
        }
        asked
    }

    /// The next refresh, as soon as it is due.
    ///
    /// Cancel safe.
    pub async fn refresh(&self, now_ms: impl Fn() -> u64) -> Refresh {
        loop {
            let asked = self.asked.notified();
            let next = self.refreshes.lock().next(now_ms());
            match next {
                Next::Now(refresh) => return refresh,
                // Or a new one that is due earlier.
                Next::In(ms) => drop(tokio::time::timeout(Duration::from_millis(ms), asked).await),
                Next::Nothing => asked.await,
            }
        }
    }

    /// Refreshes that wait.
    #[must_use]
    pub fn refreshes_waiting(&self) -> usize {
        self.refreshes.lock().len()
    }

    /// Another configuration is in force.
    pub fn reloaded(&self) {
        self.changed.notify_one();
    }

    /// Waits for [`Warming::reloaded`].
    ///
    /// Cancel safe.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// Those that wait or run stay, whatever they weigh.
fn forget_oldest(jobs: &mut VecDeque<Record>) {
    let weigh = |jobs: &VecDeque<Record>| jobs.iter().map(|record| record.results.len()).sum::<usize>();
    while jobs.len() > JOBS_MAX || weigh(jobs) > RESULTS_MAX {
        let done = jobs.iter().position(|record| record.progress.stage == Stage::Done);
        let Some(done) = done else { return };
        drop(jobs.remove(done));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::warm::Cause;
    use crate::cache::{Site, Slow};

    fn order(name: Option<&str>, items: usize) -> WarmOrder {
        let item = |number: usize| WarmItem { caller: None, target: format!("/{number}") };
        WarmOrder {
            name: name.map(Into::into),
            cause: Cause::Order,
            site: site(),
            fields: Vec::new(),
            items: (0..items).map(item).collect(),
            concurrency: 1,
            slow: Slow::default(),
        }
    }

    fn site() -> Site {
        Site { scheme: "http", authority: "api.example".into() }
    }

    fn result(warmed: Warmed) -> WarmResult {
        WarmResult { warmed, status: Some(200), cache: None, detail: None, took_ms: 3 }
    }

    #[tokio::test]
    async fn a_job_goes_from_queued_to_done_and_tells_what_came_of_each_request() {
        let warming = Warming::default();
        let id = warming.order(order(Some("dash"), 3), 10).expect("room");
        assert_eq!(warming.job(&id).expect("known").0.stage, Stage::Queued);
        let (begun, asked) = warming.begin(|| 20).await;
        assert_eq!((&begun, asked.items.len()), (&id, 3));
        warming.note(&id, 2, result(Warmed::Stored), Duration::from_millis(250));
        warming.note(&id, 0, result(Warmed::Failed), Duration::from_millis(500));
        let (progress, items) = warming.job(&id).expect("known");
        let expected = Tally { items: 3, done: 2, stored: 1, failed: 1, ..Tally::default() };
        assert_eq!((progress.stage, progress.tally), (Stage::Running, expected));
        assert_eq!(progress.pause, Duration::from_millis(500));
        let came: Vec<Option<Warmed>> =
            items.iter().map(|(_, came)| came.as_ref().map(|came| came.warmed)).collect();
        assert_eq!(came, [Some(Warmed::Failed), None, Some(Warmed::Stored)]);
        assert_eq!(warming.end(&id, 30), expected);
        let (progress, _) = warming.job(&id).expect("known");
        assert_eq!(progress.times_ms, [Some(10), Some(20), Some(30)]);
    }

    #[tokio::test]
    async fn a_name_runs_once_at_a_time_and_lists_without_one_side_by_side() {
        let warming = Warming::default();
        let id = warming.order(order(Some("dash"), 1), 0).expect("room");
        assert_eq!(warming.order(order(Some("dash"), 1), 0), Err(NotTaken::Runs { id: id.clone() }));
        assert!(warming.order(order(None, 1), 0).is_ok() && warming.order(order(None, 1), 0).is_ok());
        warming.begin(|| 0).await;
        assert!(warming.order(order(Some("dash"), 1), 0).is_err(), "it runs");
        warming.end(&id, 0);
        assert!(warming.order(order(Some("dash"), 1), 0).is_ok());
    }

    #[tokio::test]
    async fn what_is_remembered_is_bounded_and_what_is_to_be_done_is_never_forgotten() {
        let warming = Warming::default();
        for _ in 0..3 * JOBS_MAX {
            let id = warming.order(order(None, 2_000), 0).expect("room");
            warming.begin(|| 0).await;
            warming.end(&id, 0);
        }
        let results: usize = warming.list().iter().map(|progress| progress.tally.items).sum();
        assert!(results <= RESULTS_MAX && results > RESULTS_MAX - 2_000, "{results}");
        for _ in 0..JOBS_MAX {
            warming.order(order(None, 2_000), 0).expect("room");
        }
        assert_eq!(warming.order(order(None, 1), 0), Err(NotTaken::Full));
        assert!(warming.list().iter().all(|progress| progress.stage == Stage::Queued));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refresh_is_handed_out_when_it_is_due() {
        let warming = Arc::new(Warming::default());
        let began = tokio::time::Instant::now();
        let now_ms = move || u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let one = Refresh { tenant: Some("a".into()), site: site(), target: "/1".into() };
        let other = Refresh { target: "/2".into(), ..one.clone() };
        warming.ask(&one, now_ms());
        assert_eq!(warming.refresh(now_ms).await, one);
        assert_eq!(warming.ask(&one, now_ms()), Asked::Planned);
        let first = async {
            let first = warming.refresh(now_ms).await;
            (first, warming.refresh(now_ms).await, now_ms())
        };
        let later = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            warming.ask(&other, now_ms())
        };
        let ((first, second, at_ms), _) = tokio::join!(first, later);
        assert_eq!((first, second), (other, one));
        assert!((1_000..1_100).contains(&at_ms), "{at_ms}");
    }
}
