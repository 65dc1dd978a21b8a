//! A file on its way to whoever has a link: looked up, checked, and read from the disk as the client takes it.

use crate::companion::data::{ExportJob, ExportStatus};
use crate::companion::exports::asked::{Format, Order};
use crate::companion::exports::{Exports, is_id};
use crate::companion::service::Refusal;
use std::io;
use tokio::fs::File;
use tokio::io::AsyncSeekExt;

/// A file to send.
pub(super) struct Fetched {
    /// Where it is read, at the first byte that is sent.
    pub file: File,
    /// Bytes of the whole.
    pub bytes: u64,
    /// Which of them are sent, if not all: the first and the last.
    pub part: Option<(u64, u64)>,
    /// Its media type.
    pub media_type: &'static str,
    /// A name for it.
    pub name: String,
    /// Its entity tag (RFC 9110 section 8.8.3).
    pub tag: String,
}

/// A link, taken apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link<'a> {
    /// The export.
    pub id: &'a str,
    /// Its end, in seconds since 1970.
    pub expires: u64,
    /// Its signature.
    pub signature: &'a str,
}

impl Exports {
    /// Opens the file of a link. `range` is the field of that name, and is looked at as RFC 9110 section 14.2 says: a form that
    /// is not understood counts for nothing.
    ///
    /// # Errors
    /// 403 for a link that was not signed here, 410 where its time is over, 404 where another instance has the file, 416 for
    /// a range outside of it.
    pub(super) async fn fetch(&self, link: Link<'_>, range: Option<&str>) -> Result<Fetched, Refusal> {
        let parts = &self.inner.parts;
        let job = match is_id(link.id) {
            true => parts.own.export_of_anybody(link.id).await?,
            false => None,
        };
        // Whether there is such an export is not told to whoever has no link to it.
        let is_signed = |job: &ExportJob| {
            self.inner.links.is_signed(&job.id, &job.tenant, (link.expires, link.signature))
        };
        let job = job.filter(is_signed).ok_or_else(not_signed)?;
        let is_over = link.expires <= parts.clock.wall_ms() / 1_000;
        if is_over || job.status != ExportStatus::Done {
            return Err(gone());
        }
        let order: Order = serde_json::from_str(&job.request).map_err(|_another_version| gone())?;
        let (Some(name), Some(sha256)) = (job.file, job.sha256) else { return Err(gone()) };
        let files = self.inner.files.clone();
        let opened = tokio::task::spawn_blocking(move || files.read(&name)).await.map_err(io::Error::from);
        let mut file = File::from_std(opened.and_then(|opened| opened).map_err(|error| elsewhere(&error))?);
        let bytes = file.metadata().await.map_err(|error| elsewhere(&error))?.len();
        let part = match range.and_then(|range| part(range, bytes)) {
            Some(None) => return Err(outside(bytes)),
            Some(Some(part)) => Some(part),
            None => None,
        };
        if let Some((first, _)) = part {
            file.seek(io::SeekFrom::Start(first)).await.map_err(|error| elsewhere(&error))?;
        }
        let format: Format = order.format;
        let tag = format!("\"{sha256}\"");
        Ok(Fetched { file, bytes, part, media_type: format.media_type(), name: order.file_name(), tag })
    }
}

/// One part of the bytes. `None`: that is no range of bytes, or more than one. `Some(None)`: it lies outside.
fn part(range: &str, bytes: u64) -> Option<Option<(u64, u64)>> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| -> Option<u64> {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let end = bytes.checked_sub(1);
    match (first.trim(), last.trim()) {
        ("", last) => {
            let count = number(last)?;
            Some(end.filter(|_| count > 0).map(|end| (bytes.saturating_sub(count), end)))
        }
        (first, "") => {
            let first = number(first)?;
            Some(end.filter(|end| first <= *end).map(|end| (first, end)))
        }
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            Some(end.filter(|end| first <= *end).map(|end| (first, last.min(end))))
        }
    }
}

fn not_signed() -> Refusal {
    let detail = "the link was not made here, or something of it has changed: ask for the export's status to get a new one";
    Refusal::new(403, "invalid-link", "The link is not good", detail)
}

fn gone() -> Refusal {
    Refusal::new(
        410,
        "export-expired",
        "The file is gone",
        "its time is over, or somebody ended it: export it anew",
    )
}

/// The table says that there is a file, and here is none.
fn elsewhere(error: &io::Error) -> Refusal {
    tracing::warn!(%error, "the file of an export is not to be had here");
    let detail = "another instance has the file, and the two do not share `dashboard.export_dir`: try again, or export it anew";
    Refusal::new(404, "export-elsewhere", "The file is not here", detail)
}

fn outside(bytes: u64) -> Refusal {
    let detail = format!("the file has {bytes} bytes");
    let refusal = Refusal::new(416, "invalid-range", "There are no such bytes", detail);
    Refusal { outside_of: Some(bytes), ..refusal }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_a_part_of_the_bytes_or_counts_for_nothing() {
        assert_eq!(part("bytes=0-4", 10), Some(Some((0, 4))));
        assert_eq!(part("bytes=4-", 10), Some(Some((4, 9))));
        assert_eq!(part("bytes=-3", 10), Some(Some((7, 9))));
        assert_eq!(part("bytes=-30", 10), Some(Some((0, 9))));
        assert_eq!(part("bytes=4-99999999999999999999999", 10), Some(Some((4, 9))));
        for outside in ["bytes=10-", "bytes=10-12", "bytes=-0"] {
            assert_eq!(part(outside, 10), Some(None), "{outside}");
        }
        assert_eq!(part("bytes=0-", 0), Some(None));
        for odd in ["bytes=5-4", "bytes=0-1,3-4", "rows=0-1", "bytes=a-b", "bytes=--1", "bytes=-"] {
            assert_eq!(part(odd, 10), None, "{odd}");
        }
    }
}
