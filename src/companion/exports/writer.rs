//! Takes the parts of an export as they come and writes a file. It waits for the disk: it belongs on a thread of its own.

use crate::companion::data::ExportFile;
use crate::companion::exports::asked::Format;
use crate::companion::exports::csv::CsvWriter;
use crate::companion::exports::files::{Draft, Files};
use crate::companion::exports::json::JsonWriter;
use crate::companion::exports::table::{Cells, Facts, Head, Part};
use crate::companion::exports::xlsx::XlsxWriter;
use rust_xlsxwriter::XlsxError;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::mpsc::Receiver;

/// Bytes that are written at once.
const BUFFER_BYTES: usize = 256 << 10;

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteFault {
    /// Whoever reads has broken off.
    #[error("it was broken off")]
    BrokenOff,
    /// The disk.
    #[error("the file cannot be written: {0}")]
    Disk(#[from] io::Error),
    /// The workbook.
    #[error("the workbook cannot be written: {0}")]
    Workbook(#[from] XlsxError),
}

/// How a file is to be written.
#[derive(Debug, Clone)]
pub(super) struct Manner {
    /// Which format.
    pub format: Format,
    /// CSV begins with a mark of its encoding.
    pub bom: bool,
    /// What is said about the whole.
    pub facts: Facts,
}

/// What whoever writes and whoever waits tell each other.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    rows: AtomicU64,
    is_ended: AtomicBool,
}

/// Ends the writer when it is dropped.
pub(super) struct Ending(Arc<Pulse>);

impl Pulse {
    /// Rows that have been written.
    pub(super) fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Nobody wants the file any longer once the result is dropped. A file that has its name by then stays.
    pub(super) fn end_with_me(self: &Arc<Self>) -> Ending {
        Ending(Arc::clone(self))
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.is_ended.store(true, Ordering::Release);
    }
}

enum Writer {
    Csv(CsvWriter<BufWriter<File>>),
    Json(JsonWriter<BufWriter<File>>),
    Xlsx(Box<XlsxWriter>, File, usize),
}

/// Writes what comes until its end, under a name that nobody knows before everything is on the disk. `pulse` is told how far it
/// is, and tells whether anybody still wants it.
///
/// # Errors
/// [`WriteFault`]; nothing is left then.
pub(super) fn write(
    files: &Files,
    name: &str,
    manner: &Manner,
    parts: &mut Receiver<Part>,
    pulse: &Pulse,
) -> Result<ExportFile, WriteFault> {
    let draft = files.begin(name)?;
    let mut writer = Writer::begin(files, manner, &draft)?;
    let mut count = 0_u64;
    loop {
        match parts.blocking_recv() {
            None => return Err(WriteFault::BrokenOff),
            Some(Part::End) => break,
            Some(Part::Table(head)) => writer.table(&head)?,
            Some(Part::Rows(more)) => {
                writer.rows(&more)?;
                count += u64::try_from(more.len()).unwrap_or(u64::MAX);
                pulse.rows.store(count, Ordering::Relaxed);
            }
        }
    }
    writer.finish(count)?;
    if pulse.is_ended.load(Ordering::Acquire) {
        return Err(WriteFault::BrokenOff);
    }
    let (bytes, sha256) = draft.keep()?;
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    Ok(ExportFile { name: name.to_owned(), rows: number(count), bytes: number(bytes), sha256 })
}

impl Writer {
    fn begin(files: &Files, manner: &Manner, draft: &Draft) -> Result<Self, WriteFault> {
        let file = draft.file()?;
        let buffered = |file| BufWriter::with_capacity(BUFFER_BYTES, file);
        Ok(match manner.format {
            Format::Csv => Self::Csv(CsvWriter::new(buffered(file), manner.bom)?),
            Format::Json => Self::Json(JsonWriter::new(buffered(file), &manner.facts)?),
            Format::Xlsx => {
                let workbook = XlsxWriter::new(files.folder(), &manner.facts)?;
                Self::Xlsx(Box::new(workbook), file, manner.facts.len())
            }
        })
    }

    fn table(&mut self, head: &Head) -> Result<(), WriteFault> {
        match self {
            Self::Csv(csv) => csv.table(head)?,
            Self::Json(json) => json.table(head)?,
            Self::Xlsx(xlsx, _, _) => xlsx.table(head)?,
        }
        Ok(())
    }

    fn rows(&mut self, rows: &[Cells]) -> Result<(), WriteFault> {
        match self {
            Self::Csv(csv) => rows.iter().try_for_each(|row| csv.row(row))?,
            Self::Json(json) => rows.iter().try_for_each(|row| json.row(row))?,
            Self::Xlsx(xlsx, _, _) => xlsx.rows(rows)?,
        }
        Ok(())
    }

    fn finish(self, rows: u64) -> Result<(), WriteFault> {
        match self {
            Self::Csv(csv) => csv.finish().flush()?,
            Self::Json(json) => json.finish(rows)?.flush()?,
            Self::Xlsx(xlsx, file, facts) => {
                let mut out = BufWriter::with_capacity(BUFFER_BYTES, file);
                xlsx.finish(facts, &mut out)?;
                out.flush()?;
            }
        }
        Ok(())
    }
}
