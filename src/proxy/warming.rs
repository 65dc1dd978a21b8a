//! Makes the requests that fill the cache before clients ask: jobs, when their time has come or somebody ordered them, and
//! refreshes after writes. They go through the internal listener, so that identity, tenant and cache treat them as anybody's.

use crate::base::{Clock, Tasks};
use crate::cache::warm::{Cause, next_run};
use crate::cache::{Pace, Refresh, Scope, Warm, WarmIdentity, WarmJob, WarmOrder};
use crate::config::{Current, Snapshot};
use crate::identity::TokenEvidence;
use crate::proxy::internal::{Door, Errand};
use crate::proxy::plane::Parts;
use crate::proxy::tokens::Tokens;
use crate::proxy::warm_client::{Ask, ask};
use crate::store::Stores;
use crate::store::warming::WarmResult;
use crate::telemetry::Metrics;
use http::{HeaderMap, Method};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Jobs that run at once; more wait.
const JOBS_AT_ONCE: usize = 4;

/// Refreshes that are made at once; more wait.
const REFRESHES_AT_ONCE: usize = 8;

/// How long a fleet's turn outlives an instance that was lost while it ran a job, at most; and how often it is made longer.
const TURN: Duration = Duration::from_secs(30);
const KEEP_EVERY: Duration = Duration::from_secs(10);

/// After the fleet could not be asked whose turn it is, it is asked again so soon.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// With nothing to do the schedule is looked at again after so long.
const LOOK_EVERY: Duration = Duration::from_secs(3_600);

/// Whoever makes the requests. One a process.
pub struct Warmer {
    current: Current,
    stores: Arc<Stores>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
    door: Door,
    tokens: Tokens,
    stop: CancellationToken,
}

/// A job of the schedule and when it runs next, monotonic milliseconds.
struct Planned {
    job: Arc<WarmJob>,
    due_ms: u64,
}

impl Warmer {
    /// One that asks through `door`.
    #[must_use]
    pub(super) fn new(parts: &Parts, door: Door) -> Self {
        Self {
            current: Arc::clone(&parts.current),
            stores: Arc::clone(&parts.stores),
            metrics: Arc::clone(&parts.metrics),
            clock: Arc::clone(&parts.clock),
            tasks: parts.tasks.clone(),
            door,
            tokens: Tokens::default(),
            stop: CancellationToken::new(),
        }
    }

    /// Begins to work, in the tasks of the data plane.
    pub fn start(self: &Arc<Self>) {
        let (jobs, schedule, refreshes) = (Arc::clone(self), Arc::clone(self), Arc::clone(self));
        self.spawn("warm jobs", async move { jobs.jobs().await });
        self.spawn("warm schedule", async move { schedule.schedule().await });
        self.spawn("refreshes", async move { refreshes.refreshes().await });
    }

    /// Begins nothing more and gives up what is under way: what is left is not worth a longer drain.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn_until_stop(name, async move {
            tokio::select! {
                () = work => {}
                () = stop.cancelled() => {}
            }
        });
    }

    /// Runs what is ordered.
    async fn jobs(self: Arc<Self>) {
        let room = Arc::new(Semaphore::new(JOBS_AT_ONCE));
        // The semaphore is never closed.
        while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
            let (id, order) = self.stores.warming.begin(|| self.clock.wall_ms()).await;
            let running = Arc::clone(&self);
            self.spawn("warm job", async move {
                running.job(&id, &order).await;
                drop(permit);
            });
        }
    }

    async fn job(self: &Arc<Self>, id: &str, order: &Arc<WarmOrder>) {
        let run = Arc::new(Run {
            warmer: Arc::clone(self),
            id: id.to_owned(),
            order: Arc::clone(order),
            pace: Mutex::new(Pace::new(order.slow)),
            next: AtomicUsize::new(0),
        });
        let mut workers = JoinSet::new();
        for _ in 0..order.concurrency.min(order.items.len()) {
            workers.spawn(Arc::clone(&run).work());
        }
        let all = async { while workers.join_next().await.is_some() {} };
        tokio::select! {
            () = all => {}
            () = self.keep_turn(order) => {}
        }
        let tally = self.stores.warming.end(id, self.clock.wall_ms());
        let name = order.name.as_deref();
        tracing::info!(name, id, ?tally, "warm job done");
    }

    /// While a scheduled job runs, no other instance begins it. Never ends.
    async fn keep_turn(&self, order: &WarmOrder) {
        let name = order.name.as_deref().filter(|_| order.cause == Cause::Schedule);
        let Some(name) = name else { return std::future::pending().await };
        loop {
            tokio::time::sleep(KEEP_EVERY).await;
            if let Err(failure) = self.stores.turns.keep(name, TURN).await {
                tracing::debug!(name, %failure, "the turn of a warm job is not kept");
            }
        }
    }

    /// Orders jobs whose time has come; a new or changed one at once.
    async fn schedule(self: Arc<Self>) {
        let mut plan: HashMap<Arc<str>, Planned> = HashMap::new();
        loop {
            let snapshot = self.current.load_full();
            let now_ms = self.clock.monotonic_ms();
            let jobs = snapshot.warm.iter().flat_map(|warm| &warm.jobs);
            let timed: Vec<&Arc<WarmJob>> = jobs.filter(|job| job.every.is_some()).collect();
            plan.retain(|name, planned| timed.iter().any(|job| job.name == *name && **job == planned.job));
            for job in timed {
                let planned = plan.entry(Arc::clone(&job.name));
                let planned = planned.or_insert_with(|| Planned { job: Arc::clone(job), due_ms: now_ms });
                let (Some(every), Some(warm)) = (job.every, &snapshot.warm) else { continue };
                if planned.due_ms <= now_ms {
                    let next = next_run(every, job.jitter_percent, rand::random());
                    let is_settled = self.begin(warm, job, every).await;
                    let next = if is_settled { next } else { ASK_AGAIN.min(next) };
                    planned.due_ms = now_ms.saturating_add(crate::base::clock::millis(next));
                }
            }
            let due_ms = plan.values().map(|planned| planned.due_ms).min();
            let pause = due_ms.map_or(LOOK_EVERY, |due_ms| {
                Duration::from_millis(due_ms.saturating_sub(self.clock.monotonic_ms()))
            });
            drop(tokio::time::timeout(pause, self.stores.warming.changed()).await);
        }
    }

    /// One instance of a fleet runs the job; the turn lasts until shortly before that instance's next one. `false`: nobody knows
    /// whose turn it is. What would be stored could not be shared then, and the origin has enough to do.
    async fn begin(&self, warm: &Warm, job: &WarmJob, every: Duration) -> bool {
        let name = &*job.name;
        // What is stored before the purges are known is good no more once they are.
        if let Err(failure) = self.stores.purges.trust().await {
            tracing::debug!(name, %failure, "warm job put off");
            return false;
        }
        let turn = next_run(every, job.jitter_percent, 0).mul_f64(0.95);
        match self.stores.turns.take(name, turn).await {
            Ok(true) => {
                let ordered =
                    self.stores.warming.order(warm.order(job, Cause::Schedule), self.clock.wall_ms());
                if let Err(why) = ordered {
                    tracing::debug!(name, %why, "warm job not begun");
                }
            }
            Ok(false) => tracing::debug!(name, "another instance runs the warm job"),
            Err(failure) => {
                tracing::debug!(name, %failure, "warm job put off");
                return false;
            }
        }
        true
    }

    /// Makes the refreshes that writes call for.
    async fn refreshes(self: Arc<Self>) {
        let room = Arc::new(Semaphore::new(REFRESHES_AT_ONCE));
        while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
            let refresh = self.stores.warming.refresh(|| self.clock.monotonic_ms()).await;
            let refreshing = Arc::clone(&self);
            self.spawn("refresh", async move {
                refreshing.refresh(&refresh).await;
                drop(permit);
            });
        }
    }

    async fn refresh(&self, refresh: &Refresh) {
        let snapshot = self.current.load_full();
        let target = &*refresh.target;
        let caller = match self.caller_for(&snapshot, refresh) {
            Ok(caller) => caller,
            Err(why) => {
                tracing::debug!(target_path = target, why, "not refreshed after a write");
                return;
            }
        };
        let fields = snapshot.warm.as_ref().map_or(&[][..], |warm| &warm.fields);
        let asked = Ask { site: &refresh.site, caller, fields, target, errand: Errand::Refresh };
        let result = self.ask(&asked).await;
        tracing::debug!(target_path = target, result = result.warmed.as_str(), "refreshed after a write");
    }

    /// On whose behalf: of the writer's tenant, or nobody's where the answer is everybody's.
    fn caller_for<'s>(
        &self,
        snapshot: &'s Snapshot,
        refresh: &Refresh,
    ) -> Result<Option<&'s WarmIdentity>, &'static str> {
        let path = refresh.target.split('?').next().unwrap_or_default();
        let host = crate::message::host(&refresh.site.authority);
        let route = snapshot.routes.find(host, path, &Method::GET);
        let namespace = route.and_then(|route| route.namespace.as_ref()).ok_or("no route caches it")?;
        match namespace.scope {
            Scope::Public => return Ok(None),
            Scope::User => return Err("each user has an answer of their own"),
            Scope::Tenant => {}
        }
        let tenant = refresh.tenant.as_deref().ok_or("the writer has no tenant")?;
        let identities = snapshot.warm.iter().flat_map(|warm| &warm.identities);
        let mut fitting =
            identities.filter(|identity| self.tenant_of(snapshot, identity).as_deref() == Some(tenant));
        fitting
            .next()
            .map(|identity| Some(&**identity))
            .ok_or("no identity of `cache.warm` has the writer's tenant")
    }

    /// The tenant that a request with this credential has: read as the data plane reads it.
    fn tenant_of(&self, snapshot: &Snapshot, identity: &WarmIdentity) -> Option<Arc<str>> {
        let headers = HeaderMap::from_iter([(identity.field.clone(), identity.value.clone())]);
        let identifier = &snapshot.identifier;
        let verified = identifier.bearer(&headers).map(|token| {
            self.tokens.verify(identifier, snapshot.generation, token, self.clock.wall_ms() / 1_000)
        });
        let evidence = match &verified {
            None => TokenEvidence::Absent,
            Some(Ok(token)) => TokenEvidence::Valid(token),
            Some(Err(fault)) => TokenEvidence::Invalid(fault.clone()),
        };
        let caller = identifier.caller(IpAddr::V4(Ipv4Addr::LOCALHOST), &headers, evidence, None).ok()?;
        caller.tenant.filter(|_| !caller.rejected_credential)
    }

    /// Asks, measures and counts.
    async fn ask(&self, asked: &Ask<'_>) -> WarmResult {
        let began_ms = self.clock.monotonic_ms();
        let result = ask(&self.door, asked).await;
        self.metrics.cache_warmed(result.warmed.as_str());
        WarmResult { took_ms: self.clock.monotonic_ms().saturating_sub(began_ms), ..result }
    }
}

/// A job under way.
struct Run {
    warmer: Arc<Warmer>,
    id: String,
    order: Arc<WarmOrder>,
    pace: Mutex<Pace>,
    /// The first request that nobody makes yet.
    next: AtomicUsize,
}

impl Run {
    /// Makes requests until there are none left.
    async fn work(self: Arc<Self>) {
        let (warmer, order) = (&self.warmer, &self.order);
        loop {
            let place = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = order.items.get(place) else { return };
            let wait_ms = self.pace.lock().wait_ms(warmer.clock.monotonic_ms());
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            let asked = Ask {
                site: &order.site,
                caller: item.caller.as_deref(),
                fields: &order.fields,
                target: &item.target,
                errand: Errand::Warm,
            };
            let result = warmer.ask(&asked).await;
            let pause = {
                let mut pace = self.pace.lock();
                if result.warmed.asked_origin() {
                    let is_error = result.warmed == crate::cache::Warmed::Failed;
                    pace.note(result.took_ms, is_error, warmer.clock.monotonic_ms());
                }
                pace.pause()
            };
            warmer.stores.warming.note(&self.id, place, result, pause);
        }
    }
}
