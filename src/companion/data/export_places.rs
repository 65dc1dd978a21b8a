//! Who may have another export: places for those under way, and the disk that finished files take, each tenant its own.

use crate::companion::data::database::Database;
use crate::companion::data::export_jobs::{DOING, ExportJob, first};
use crate::companion::data::fault::DatabaseFault;
use crate::companion::data::row::{Arg, Ask, Row, dialects};
use std::time::Duration;

/// An export that is asked for.
#[derive(Debug, Clone)]
pub struct NewExport {
    /// Its id, random.
    pub id: String,
    /// Whose rows.
    pub tenant: String,
    /// Who asks.
    pub user: String,
    /// `csv`, `json` or `xlsx`.
    pub format: &'static str,
    /// What is asked for, as JSON.
    pub request: String,
    /// A digest of what the client wrote, to know it again.
    pub request_digest: String,
    /// Whatever stands for the same request once more: a digest of tenant, user and the client's key.
    pub once: Option<String>,
    /// Rows, counted beforehand.
    pub rows: i64,
    /// Who works at it at once; `None`: it waits for somebody.
    pub worker: Option<String>,
}

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inserted {
    /// A new export.
    New(ExportJob),
    /// The one that the same key has made before.
    Known(ExportJob),
    /// The tenant has as many under way as it may.
    Full,
    /// Its finished files are as many, or take as much, as they may.
    NoSpace {
        /// When the oldest of them goes.
        frees_in: Duration,
    },
}

/// How much a tenant may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportBounds {
    /// Exports under way at once.
    pub under_way: u32,
    /// Finished files whose time is not over.
    pub files: u32,
    /// Bytes of those together.
    pub bytes: u64,
}

/// What a tenant's finished files take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportSpace {
    /// How many there are.
    pub files: u32,
    /// Their bytes together.
    pub bytes: u64,
    /// When the oldest of them goes; zero where there is none.
    pub frees_in: Duration,
}

impl ExportSpace {
    fn of(row: &Row) -> Result<Self, DatabaseFault> {
        Ok(Self {
            files: u32::try_from(row.integer("files")?).unwrap_or(u32::MAX),
            bytes: u64::try_from(row.integer("bytes")?).unwrap_or(0),
            frees_in: Duration::from_micros(u64::try_from(row.integer("frees_in_us")?).unwrap_or(0)),
        })
    }
}

impl Database {
    /// Adds an export, unless its key has made one that still stands, or the tenant has as many or as much as it may. Two
    /// that come at once are decided on one after the other.
    ///
    /// # Errors
    /// [`DatabaseFault`].
    pub async fn insert_export(
        &self,
        new: &NewExport,
        most: ExportBounds,
    ) -> Result<Inserted, DatabaseFault> {
        let text = |text: &str| Arg::Text(text.to_owned());
        let insert = vec![
            text(&new.id),
            text(&new.tenant),
            text(&new.user),
            text(new.format),
            text(&new.request),
            text(&new.request_digest),
            Arg::MaybeText(new.once.clone()),
            Arg::Integer(new.rows),
            Arg::Integer(i64::from(most.under_way)),
            Arg::MaybeText(new.worker.clone()),
            Arg::Integer(i64::from(most.files)),
            Arg::Integer(i64::try_from(most.bytes).unwrap_or(i64::MAX)),
        ];
        if let Some(once) = &new.once {
            let forget = Ask::new(DOING, dialects!("export_forget_key"), vec![text(once)]);
            self.change(&[forget]).await?;
            // A key that stands is found first: even where there is no place for another export.
            if let Some(job) = self.export_by_key(&new.tenant, once).await? {
                return Ok(Inserted::Known(job));
            }
        }
        let lock = Ask::new(DOING, dialects!("export_lock"), vec![text(&new.tenant)]);
        let insert = Ask::new(DOING, dialects!("export_insert"), insert);
        if let Some(job) = first(&self.changed(&[lock, insert]).await?)? {
            return Ok(Inserted::New(job));
        }
        // Either there is no place, or the same key came at the same time.
        let place = self.export_place(&new.tenant, new.once.as_deref(), most).await?;
        // What has made room meanwhile is there for whoever asks again.
        Ok(place.unwrap_or(Inserted::Full))
    }

    /// What [`Database::insert_export`] would say, as far as it can be said without a change: the export of a key that
    /// stands, or that there is no place for another. `None`: it may be asked for. For whoever would do much before.
    ///
    /// # Errors
    /// [`DatabaseFault`].
    pub async fn export_place(
        &self,
        tenant: &str,
        once: Option<&str>,
        most: ExportBounds,
    ) -> Result<Option<Inserted>, DatabaseFault> {
        let rows = self.export_standing(tenant, once).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        if let Some(id) = row.maybe_text("known")?
            && let Some(job) = self.export(tenant, &id).await?
        {
            return Ok(Some(Inserted::Known(job)));
        }
        if row.integer("under_way")? >= i64::from(most.under_way) {
            return Ok(Some(Inserted::Full));
        }
        let ExportSpace { files, bytes, frees_in } = ExportSpace::of(row)?;
        Ok((files >= most.files || bytes >= most.bytes).then_some(Inserted::NoSpace { frees_in }))
    }

    /// What the finished files of a tenant take.
    ///
    /// # Errors
    /// [`DatabaseFault`].
    pub async fn export_space(&self, tenant: &str) -> Result<ExportSpace, DatabaseFault> {
        let rows = self.export_standing(tenant, None).await?;
        let none = ExportSpace { files: 0, bytes: 0, frees_in: Duration::ZERO };
        rows.first().map_or(Ok(none), ExportSpace::of)
    }

    async fn export_standing(&self, tenant: &str, once: Option<&str>) -> Result<Vec<Row>, DatabaseFault> {
        let args = vec![Arg::Text(tenant.to_owned()), Arg::MaybeText(once.map(str::to_owned))];
        self.rows(&Ask::new(DOING, dialects!("export_place"), args)).await
    }

    async fn export_by_key(&self, tenant: &str, once: &str) -> Result<Option<ExportJob>, DatabaseFault> {
        let args = vec![Arg::Text(tenant.to_owned()), Arg::Text(once.to_owned())];
        first(&self.rows(&Ask::new(DOING, dialects!("export_by_key"), args)).await?)
    }
}
