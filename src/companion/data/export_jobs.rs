//! Exports as rows of a table of our own: who may work at one, how far it is, and how long its file is there.
//!
//! Every decision that two instances could take at once is one statement, or one transaction with a lock, and goes by the
//! database's clock. An attempt has a number: whoever has lost a job to another can change nothing of it any more.

use crate::companion::data::database::Database;
use crate::companion::data::fault::DatabaseFault;
use crate::companion::data::row::{Arg, Ask, Row, dialects};
use serde::Serialize;
use std::time::Duration;

/// Where an export stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportStatus {
    /// Nobody works at it yet.
    Queued,
    /// Somebody does.
    Running,
    /// Its file is there.
    Done,
    /// It came to nothing.
    Failed,
    /// Somebody wanted it no longer before it was done.
    Cancelled,
    /// Its file is gone.
    Expired,
}

impl ExportStatus {
    const NAMES: &[(&str, Self)] = &[
        ("queued", Self::Queued),
        ("running", Self::Running),
        ("done", Self::Done),
        ("failed", Self::Failed),
        ("cancelled", Self::Cancelled),
        ("expired", Self::Expired),
    ];

    /// Its name, as the database and JSON have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }

    fn parse(text: &str) -> Self {
        Self::NAMES.iter().find(|(name, _)| *name == text).map_or(Self::Failed, |(_, status)| *status)
    }
}

/// An export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportJob {
    /// Its id.
    pub id: String,
    /// Whose rows.
    pub tenant: String,
    /// Who asked.
    pub user: String,
    /// `csv`, `json` or `xlsx`.
    pub format: String,
    /// Where it stands.
    pub status: ExportStatus,
    /// How far it is, from 0 to 100; never less than before.
    pub progress: i64,
    /// Rows; counted beforehand until it is done.
    pub rows: Option<i64>,
    /// Bytes of the file.
    pub bytes: Option<i64>,
    /// SHA-256 of the file, in hexadecimal digits.
    pub sha256: Option<String>,
    /// The file's name in the folder of exports.
    pub file: Option<String>,
    /// Why it came to nothing, for whoever asked.
    pub error: Option<String>,
    /// What was asked for, as JSON; empty for those that `seed` makes.
    pub request: String,
    /// By what the client's text is known again.
    pub request_digest: String,
    /// The number of the attempt.
    pub tries: i64,
    /// Does somebody want it no longer?
    pub is_cancelled: bool,
    /// When it was asked for, in microseconds since 1970.
    pub created_at_us: i64,
    /// When its file goes.
    pub expires_at_us: Option<i64>,
}

/// A finished file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportFile {
    /// Its name in the folder.
    pub name: String,
    /// Rows in it.
    pub rows: i64,
    /// Its bytes.
    pub bytes: i64,
    /// Their SHA-256, in hexadecimal digits.
    pub sha256: String,
}

pub(super) const DOING: &str = "keeping an export";

impl Database {
    /// An export by its id, whosever it is: links to files carry no tenant. Whoever is told of it must be checked.
    ///
    /// # Errors
    /// [`DatabaseFault`].
    pub async fn export_of_anybody(&self, id: &str) -> Result<Option<ExportJob>, DatabaseFault> {
        let ask = Ask::new(DOING, dialects!("export_by_id"), vec![Arg::Text(id.to_owned())]);
        first(&self.rows(&ask).await?)
    }

    /// A tenant's export.
    ///
    /// # Errors
    /// [`DatabaseFault`].
    pub async fn export(&self, tenant: &str, id: &str) -> Result<Option<ExportJob>, DatabaseFault> {
        Ok(self.export_of_anybody(id).await?.filter(|job| job.tenant == tenant))
    }

    /// Those of some exports that there are.
    ///
    /// # Errors
    /// [`DatabaseFault`].
    pub async fn exports_among(&self, ids: Vec<String>) -> Result<Vec<ExportJob>, DatabaseFault> {
        let ask = Ask::new(DOING, dialects!("export_known"), vec![Arg::Texts(ids)]);
        self.rows(&ask).await?.iter().map(job).collect()
    }

    /// Takes the next export that waits, or whose worker has not been heard of for `silent`. None is taken more often than
    /// `tries`.
    ///
    /// # Errors
    /// [`DatabaseFault`].
    pub async fn claim_export(
        &self,
        worker: &str,
        tries: u32,
        silent: Duration,
    ) -> Result<Option<ExportJob>, DatabaseFault> {
        let args = vec![Arg::Text(worker.to_owned()), Arg::Integer(i64::from(tries)), micros(silent)];
        self.one_export(dialects!("export_claim"), args).await
    }

    /// Says that an attempt is under way, and how far. `None`: it is another's now.
    ///
    /// # Errors
    /// [`DatabaseFault`].
    pub async fn beat_export(
        &self,
        job: &ExportJob,
        progress: i64,
    ) -> Result<Option<ExportJob>, DatabaseFault> {
        let args =
            vec![Arg::Text(job.id.clone()), Arg::Integer(job.tries), Arg::Integer(progress.clamp(0, 99))];
        self.one_export(dialects!("export_beat"), args).await
    }

    /// The file is there, for `lifetime`. `None`: the attempt is another's now, nobody wants it any longer, or it does not
    /// fit: the files of a tenant take `bytes_max` together. Two that end at once are decided on one after the other.
    ///
    /// # Errors
    /// [`DatabaseFault`].
    pub async fn finish_export(
        &self,
        job: &ExportJob,
        file: &ExportFile,
        (lifetime, bytes_max): (Duration, u64),
    ) -> Result<Option<ExportJob>, DatabaseFault> {
        let lock = Ask::new(DOING, dialects!("export_lock"), vec![Arg::Text(job.tenant.clone())]);
        let args = vec![
            Arg::Text(job.id.clone()),
            Arg::Integer(job.tries),
            Arg::Integer(file.rows),
            Arg::Integer(file.bytes),
            Arg::Text(file.sha256.clone()),
            Arg::Text(file.name.clone()),
            micros(lifetime),
            Arg::Integer(i64::try_from(bytes_max).unwrap_or(i64::MAX)),
        ];
        let done = Ask::new(DOING, dialects!("export_done"), args);
        first(&self.changed(&[lock, done]).await?)
    }

    /// An attempt ends without a file: failed, cancelled, or queued for another.
    ///
    /// # Errors
    /// [`DatabaseFault`].
    pub async fn leave_export(
        &self,
        job: &ExportJob,
        status: ExportStatus,
        error: Option<&str>,
    ) -> Result<Option<ExportJob>, DatabaseFault> {
        let args = vec![
            Arg::Text(job.id.clone()),
            Arg::Integer(job.tries),
            Arg::Text(status.as_str().to_owned()),
            Arg::MaybeText(error.map(str::to_owned)),
        ];
        self.one_export(dialects!("export_left"), args).await
    }

    /// An attempt ends because its worker stops: it counts for nothing, and another may begin at once. The next has the
    /// same number, so whatever this one does must be over before.
    ///
    /// # Errors
    /// [`DatabaseFault`].
    pub async fn give_export_back(&self, job: &ExportJob) -> Result<Option<ExportJob>, DatabaseFault> {
        let args = vec![Arg::Text(job.id.clone()), Arg::Integer(job.tries)];
        self.one_export(dialects!("export_given_back"), args).await
    }

    /// A tenant wants an export no longer. `None`: it is over, or there is none.
    ///
    /// # Errors
    /// [`DatabaseFault`].
    pub async fn cancel_export(&self, tenant: &str, id: &str) -> Result<Option<ExportJob>, DatabaseFault> {
        let args = vec![Arg::Text(tenant.to_owned()), Arg::Text(id.to_owned())];
        self.one_export(dialects!("export_cancel"), args).await
    }

    /// Ends what has no future: files whose time is over, and attempts that nobody makes any more (of which some will not
    /// be made again: `tries`, `silent`, `error`). What has been over for `kept` is forgotten. Returns those whose files go.
    ///
    /// # Errors
    /// [`DatabaseFault`].
    pub async fn end_exports(
        &self,
        tries: u32,
        silent: Duration,
        (kept, error): (Duration, &str),
    ) -> Result<Vec<ExportJob>, DatabaseFault> {
        let bury = vec![Arg::Integer(i64::from(tries)), micros(silent), Arg::Text(error.to_owned())];
        let asks = [
            Ask::new(DOING, dialects!("export_forget"), vec![micros(kept)]),
            Ask::new(DOING, dialects!("export_bury"), bury),
            Ask::new(DOING, dialects!("export_expire"), vec![]),
        ];
        self.changed(&asks).await?.iter().map(job).collect()
    }

    async fn one_export(
        &self,
        texts: (&'static str, &'static str),
        args: Vec<Arg>,
    ) -> Result<Option<ExportJob>, DatabaseFault> {
        first(&self.changed(&[Ask::new(DOING, texts, args)]).await?)
    }
}

fn micros(duration: Duration) -> Arg {
    Arg::Integer(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX))
}

pub(super) fn first(rows: &[Row]) -> Result<Option<ExportJob>, DatabaseFault> {
    rows.first().map(job).transpose()
}

fn job(row: &Row) -> Result<ExportJob, DatabaseFault> {
    Ok(ExportJob {
        id: row.text("id")?,
        tenant: row.text("organization_id")?,
        user: row.text("requested_by")?,
        format: row.text("format")?,
        status: ExportStatus::parse(&row.text("status")?),
        progress: row.integer("progress")?,
        rows: row.maybe_integer("row_count")?,
        bytes: row.maybe_integer("byte_count")?,
        sha256: row.maybe_text("sha256")?,
        file: row.maybe_text("file")?,
        error: row.maybe_text("error")?,
        request: row.maybe_text("request")?.unwrap_or_default(),
        request_digest: row.maybe_text("request_digest")?.unwrap_or_default(),
        tries: row.integer("tries")?,
        is_cancelled: row.integer("cancel_requested")? != 0,
        created_at_us: row.integer("created_at_us")?,
        expires_at_us: row.maybe_integer("expires_at_us")?,
    })
}
