//! Where an export stands, as clients are told.

use crate::companion::data::{ExportJob, ExportStatus};
use crate::companion::exports::asked::Order;
use crate::companion::exports::link::Links;
use crate::companion::exports::table::rfc3339;
use serde::Serialize;

/// Where the routes of exports begin.
pub(super) const BASE: &str = "/api/v1/dashboard/export";

/// Where an export stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Its id.
    pub export_id: String,
    /// Whether its file is there, will be, or was.
    pub status: ExportStatus,
    /// What is told; `None` for one that nobody asked this service for.
    pub report: Option<&'static str>,
    /// In which format.
    pub format: String,
    /// From 0 to 100.
    pub progress: i64,
    /// Somebody has asked to end it, and it is not over yet.
    pub cancelling: bool,
    /// Rows of the file; `None` until they are known.
    pub rows: Option<i64>,
    /// Bytes of the file.
    pub bytes: Option<i64>,
    /// Their SHA-256.
    pub sha256: Option<String>,
    /// Why it came to nothing.
    pub error: Option<String>,
    /// A name for the file.
    pub filename: Option<String>,
    /// Where the file is, while it is there. Whoever has this may fetch it.
    pub download_url: Option<String>,
    /// When it was asked for.
    pub created_at: String,
    /// When the file goes.
    pub expires_at: Option<String>,
}

impl Standing {
    pub(super) fn of(job: &ExportJob, links: &Links, now_ms: u64) -> Self {
        let order: Option<Order> = serde_json::from_str(&job.request).ok();
        let expires_s = job.expires_at_us.and_then(|us| u64::try_from(us / 1_000_000).ok());
        // Nobody may have come by yet to say so.
        let is_over = expires_s.is_none_or(|expires_s| expires_s <= now_ms / 1_000);
        let status = match job.status {
            ExportStatus::Done if is_over => ExportStatus::Expired,
            status => status,
        };
        let is_done = status == ExportStatus::Done;
        let link = expires_s.filter(|_| is_done).map(|expires_s| {
            format!("{BASE}/{}/download?{}", job.id, links.query(&job.id, &job.tenant, expires_s))
        });
        Self {
            export_id: job.id.clone(),
            status,
            report: order.as_ref().map(|order| order.report.as_str()),
            format: job.format.clone(),
            progress: job.progress,
            cancelling: job.is_cancelled && job.status == ExportStatus::Running,
            rows: job.rows.filter(|_| job.status == ExportStatus::Done || job.sha256.is_some()),
            bytes: job.bytes,
            sha256: job.sha256.clone(),
            error: job.error.clone(),
            filename: order.map(|order| order.file_name()),
            download_url: link,
            created_at: rfc3339(job.created_at_us),
            expires_at: job.expires_at_us.map(rfc3339),
        }
    }

    /// Is there nothing to wait for?
    #[must_use]
    pub fn is_over(&self) -> bool {
        !matches!(self.status, ExportStatus::Queued | ExportStatus::Running)
    }

    /// Where it is asked after.
    #[must_use]
    pub fn location(&self) -> String {
        format!("{BASE}/{}", self.export_id)
    }
}
