//! Exports: a tenant's figures and rows as files. Small ones are made while the client waits, large ones as jobs that any
//! instance takes up, and takes up again where another has died.
//!
//! `asked` is what a client wants, `report` reads it, a pipe with one place leads to `writer` on a thread of its own, `files`
//! is the folder, `work` does one job after the other, `link` is how a file is fetched, `routes` is all of it over HTTP.

pub mod asked;
mod csv;
mod fetch;
mod files;
mod json;
mod link;
mod report;
mod room;
pub(in crate::companion) mod routes;
mod standing;
pub mod table;
mod work;
mod writer;
mod xlsx;

use crate::base::units::format_size;
use crate::base::{Clock, Digester, ExportSettings, Tasks, clock};
use crate::companion::data::{Database, ExportBounds, ExportJob, ExportStatus, Inserted, NewExport};
use crate::companion::exports::asked::Order;
use crate::companion::exports::files::Files;
use crate::companion::exports::link::Links;
use crate::companion::exports::work::NO_ROOM;
use crate::companion::service::{Principal, Refusal, zone_of};
use crate::telemetry::Metrics;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};

pub use standing::Standing;

/// How long a client waits for its export before it is told to come back.
const WAIT: Duration = Duration::from_secs(2);

/// Exports that clients wait for at once. More are queued.
const WAITED_FOR: usize = 4;

/// Counts of rows at once: each may take as long as a statement may, and a connection.
const COUNTING: usize = 1;

/// Finished files of a tenant whose time is not over.
const FILES_MAX: u32 = 100;

/// When a client that has too many exports under way may ask again.
const FULL_RETRY: Duration = Duration::from_secs(10);

/// What exports are made of.
pub struct ExportParts {
    /// The application's database.
    pub database: Arc<Database>,
    /// Where jobs are kept.
    pub own: Arc<Database>,
    /// Their bounds.
    pub settings: ExportSettings,
    /// The time zone of tenants that have none, by its name.
    pub timezone: String,
    /// What links are signed with.
    pub signing_key: Vec<u8>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Who owns what goes on without a client.
    pub tasks: Tasks,
}

/// The exports of this instance. Clones share everything.
#[derive(Clone)]
pub struct Exports {
    inner: Arc<Inner>,
}

struct Inner {
    parts: ExportParts,
    files: Files,
    links: Links,
    /// This instance among others, for whoever looks at the table.
    name: String,
    /// Somebody has queued something.
    queued: Notify,
    waited_for: Arc<Semaphore>,
    /// Who counts rows beforehand.
    counting: Semaphore,
    /// Who reads for a file.
    reading: Semaphore,
}

impl Exports {
    /// Opens the folder. Nothing is done before [`Exports::start`].
    ///
    /// # Errors
    /// What the system says of the folder.
    pub fn open(parts: ExportParts) -> io::Result<Self> {
        let files = folder(&parts.settings)?;
        let links = Links::new(parts.signing_key.clone());
        let name = format!("{}-{:08x}", std::process::id(), rand::random::<u32>());
        // Half of the connections are for everybody else, and for saying that one is at it.
        let readers = usize::try_from(parts.database.connections() / 2).unwrap_or(1).max(1);
        let inner = Inner {
            parts,
            files,
            links,
            name,
            queued: Notify::new(),
            waited_for: Arc::new(Semaphore::new(WAITED_FOR)),
            counting: Semaphore::new(COUNTING),
            reading: Semaphore::new(readers),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Asks for an export. It is done, or it is under way: the standing says so. `key` makes the same request once more the
    /// same export. Dropping the future takes nothing back.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn request(
        &self,
        who: &Principal,
        body: &[u8],
        key: Option<&str>,
    ) -> Result<Standing, Refusal> {
        let order = self.read(who, body).await?;
        let settings = &self.inner.parts.settings;
        let (digest, once) = (digest_of(body), key.map(|key| once(who, key)));
        if let Some(standing) = self.stands(who, once.as_deref(), &digest).await? {
            return Ok(standing);
        }
        // Until it is written down: who waits behind it is then told that the tenant has no place left.
        let turn = match report::is_counted(&order) {
            true => self.inner.counting.acquire().await.ok(),
            false => None,
        };
        if turn.is_some()
            && let Some(standing) = self.stands(who, once.as_deref(), &digest).await?
        {
            return Ok(standing);
        }
        let rows = self.count(&who.tenant, &order).await?;
        let at_once = i64::try_from(settings.at_once_rows).unwrap_or(i64::MAX);
        let place = (rows <= at_once).then(|| Arc::clone(&self.inner.waited_for).try_acquire_owned().ok());
        let place = place.flatten();
        let new = NewExport {
            id: id(),
            tenant: who.tenant.clone(),
            user: who.user.clone(),
            format: order.format.as_str(),
            request: serde_json::to_string(&order).unwrap_or_default(),
            request_digest: digest,
            once,
            rows,
            worker: place.as_ref().map(|_| self.inner.name.clone()),
        };
        let job = match self.inner.parts.own.insert_export(&new, self.bounds()).await? {
            Inserted::New(job) => job,
            other => return self.told(&other, &new.request_digest),
        };
        drop(turn);
        let Some(place) = place else {
            self.inner.queued.notify_one();
            return Ok(self.standing(&job));
        };
        match self.attempt_waited_for(job.clone(), place).await {
            Some(ended) if ended.status == ExportStatus::Failed => Err(self.failed(ended).await),
            Some(ended) => Ok(self.standing(&ended)),
            None => Ok(self.standing(&job)),
        }
    }

    /// Where an export stands.
    ///
    /// # Errors
    /// 404 for another tenant's, and for what there is not.
    pub async fn look(&self, who: &Principal, id: &str) -> Result<Standing, Refusal> {
        if !is_id(id) {
            return Err(unknown());
        }
        let job = self.inner.parts.own.export(&who.tenant, id).await?;
        Ok(self.standing(&job.ok_or_else(unknown)?))
    }

    /// Ends an export: nobody works at it any more, and its file goes. One that is over stays as it is.
    ///
    /// # Errors
    /// As [`Exports::look`].
    pub async fn cancel(&self, who: &Principal, id: &str) -> Result<Standing, Refusal> {
        if !is_id(id) {
            return Err(unknown());
        }
        match self.inner.parts.own.cancel_export(&who.tenant, id).await? {
            Some(job) => {
                if let Some(file) = job.file.clone() {
                    let files = self.inner.files.clone();
                    // If it is another instance's, that one finds it with its next look at its folder.
                    let removed = tokio::task::spawn_blocking(move || files.remove(&file)).await;
                    tracing::debug!(?removed, "the file of a cancelled export");
                }
                Ok(self.standing(&job))
            }
            None => self.look(who, id).await,
        }
    }

    /// The export that a key stands for. Where the tenant has no place for another, a refusal: before anything is counted.
    async fn stands(
        &self,
        who: &Principal,
        once: Option<&str>,
        digest: &str,
    ) -> Result<Option<Standing>, Refusal> {
        let parts = &self.inner.parts;
        let place = parts.own.export_place(&who.tenant, once, self.bounds()).await?;
        place.map(|place| self.told(&place, digest)).transpose()
    }

    fn told(&self, inserted: &Inserted, digest: &str) -> Result<Standing, Refusal> {
        match inserted {
            Inserted::Known(job) if job.request_digest != digest => Err(key_reused()),
            Inserted::New(job) | Inserted::Known(job) => Ok(self.standing(job)),
            Inserted::Full => Err(full(self.inner.parts.settings.per_tenant)),
            Inserted::NoSpace { frees_in } => Err(self.no_space(*frees_in)),
        }
    }

    fn bounds(&self) -> ExportBounds {
        let settings = &self.inner.parts.settings;
        ExportBounds { under_way: settings.per_tenant, files: FILES_MAX, bytes: settings.bytes_per_tenant }
    }

    fn no_space(&self, frees_in: Duration) -> Refusal {
        let bytes = format_size(self.inner.parts.settings.bytes_per_tenant);
        let detail = format!(
            "the organisation's finished exports take all that they may, {bytes} and {FILES_MAX} files together: delete one, \
             or wait until the oldest goes"
        );
        space(detail, frees_in)
    }

    /// A client that has waited is told at once why there is no file.
    async fn failed(&self, job: ExportJob) -> Refusal {
        let says = job.error.unwrap_or_default();
        if says != NO_ROOM {
            return Refusal::new(500, "export-failed", "The export came to nothing", says);
        }
        match self.inner.parts.own.export_space(&job.tenant).await {
            Ok(taken) if taken.files > 0 => space(says, taken.frees_in),
            // Nothing is there that could go.
            Ok(_) => space(says, self.inner.parts.settings.lifetime),
            Err(fault) => fault.into(),
        }
    }

    async fn read(&self, who: &Principal, body: &[u8]) -> Result<Order, Refusal> {
        let parts = &self.inner.parts;
        let (zone, name) = zone_of(&parts.database, &who.tenant, &parts.timezone).await?;
        let now_us = clock::micros(parts.clock.wall_ms());
        Order::read(body, (&zone, &name), now_us)
    }

    /// Rows, counted once, and no further than to know that they are too many.
    async fn count(&self, tenant: &str, order: &Order) -> Result<i64, Refusal> {
        let (database, settings) = (&self.inner.parts.database, &self.inner.parts.settings);
        let most = i64::try_from(settings.rows_max).unwrap_or(i64::MAX - 1);
        let rows = report::count(database, tenant, order, most + 1).await?;
        if rows <= most {
            return Ok(rows);
        }
        let says = format!("it would have more than {most} rows: ask for a shorter range");
        Err(Refusal::unprocessable("from", says))
    }

    /// Works at a small export while the client waits, and goes on without it after a while.
    async fn attempt_waited_for(
        &self,
        job: ExportJob,
        place: tokio::sync::OwnedSemaphorePermit,
    ) -> Option<ExportJob> {
        let (told, ended) = tokio::sync::oneshot::channel();
        let exports = self.clone();
        self.inner.parts.tasks.spawn("export", async move {
            let ended = exports.attempt(&job).await;
            drop(place);
            // The client may have left.
            drop(told.send(ended));
        });
        tokio::time::timeout(WAIT, ended).await.ok()?.ok().flatten()
    }

    fn standing(&self, job: &ExportJob) -> Standing {
        Standing::of(job, &self.inner.links, self.inner.parts.clock.wall_ms())
    }
}

/// Makes the folder of exports if need be; [`Exports::open`] does so too.
///
/// # Errors
/// What the system says of it.
pub fn make_folder(settings: &ExportSettings) -> io::Result<()> {
    folder(settings).map(drop)
}

fn folder(settings: &ExportSettings) -> io::Result<Files> {
    match &settings.dir {
        Some(folder) => Files::open(folder),
        None => Files::open_own(&std::env::temp_dir()),
    }
}

/// An id that nobody guesses: 128 bits.
fn id() -> String {
    Digester::new("tidegate export 1").part(&rand::random::<[u8; 16]>()).finish().short()
}

/// May it be an id? PostgreSQL fails where a text holds a NUL.
fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// By what a body is known again, however its members are ordered and spaced.
fn digest_of(body: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    Digester::new("tidegate export request 1").part(value.to_string().as_bytes()).finish().short()
}

fn once(who: &Principal, key: &str) -> String {
    let digest = Digester::new("tidegate export key 1").part(who.tenant.as_bytes());
    digest.part(who.user.as_bytes()).part(key.as_bytes()).finish().short()
}

fn unknown() -> Refusal {
    Refusal::not_found("there is no such export, or it has been forgotten")
}

fn key_reused() -> Refusal {
    let detail = "the same `Idempotency-Key` came with another body: take a new key for another export";
    Refusal::new(422, "idempotency-key-reused", "The key stands for another request", detail)
}

fn full(most: u32) -> Refusal {
    let detail = format!("the organisation has {most} exports under way: wait for one, or cancel it");
    Refusal::new(429, "too-many-exports", "Too many exports at once", detail).retry_after(FULL_RETRY)
}

fn space(detail: String, frees_in: Duration) -> Refusal {
    Refusal::new(429, "export-space", "There is no room for another export", detail).retry_after(frees_in)
}
