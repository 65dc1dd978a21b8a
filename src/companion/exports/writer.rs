//! Takes the parts of an export as they come and writes a file. It waits for the disk: it belongs on a thread of its own.

use crate::companion::data::ExportFile;
use crate::companion::exports::asked::Format;
use crate::companion::exports::csv::CsvWriter;
use crate::companion::exports::files::Files;
use crate::companion::exports::json::JsonWriter;
use crate::companion::exports::room::{Room, Within};
use crate::companion::exports::table::{Cells, Facts, Head, Part};
use crate::companion::exports::xlsx::{XlsxWriter, unpacked_bytes};
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
    /// It would take more of the disk than it may.
    #[error("it would take more than {0} bytes")]
    NoRoom(u64),
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
    /// Bytes that it may take while it is written: those of the file, and of a workbook also those of its rows before they
    /// are packed.
    pub bytes_max: u64,
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

type Out = BufWriter<Within<File>>;

enum Writer {
    Csv(CsvWriter<Out>),
    Json(JsonWriter<Out>),
    Xlsx(Box<XlsxWriter>, Out, usize),
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
    let room = Room::new(manner.bytes_max);
    let written = write_within(&room, files, name, manner, (parts, pulse));
    if written.is_err() && room.is_exceeded() {
        return Err(WriteFault::NoRoom(manner.bytes_max));
    }
    written
}

fn write_within(
    room: &Arc<Room>,
    files: &Files,
    name: &str,
    manner: &Manner,
    (parts, pulse): (&mut Receiver<Part>, &Pulse),
) -> Result<ExportFile, WriteFault> {
    let draft = files.begin(name)?;
    let out = BufWriter::with_capacity(BUFFER_BYTES, Within::new(draft.file()?, room));
    let mut writer = Writer::begin(files, manner, out)?;
    let mut count = 0_u64;
    loop {
        match parts.blocking_recv() {
            None => return Err(WriteFault::BrokenOff),
            Some(Part::End) => break,
            Some(Part::Table(head)) => writer.table(&head)?,
            Some(Part::Rows(more)) => {
                writer.rows(&more, room)?;
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
    fn begin(files: &Files, manner: &Manner, out: Out) -> Result<Self, WriteFault> {
        Ok(match manner.format {
            Format::Csv => Self::Csv(CsvWriter::new(out, manner.bom)?),
            Format::Json => Self::Json(JsonWriter::new(out, &manner.facts)?),
            Format::Xlsx => {
                let workbook = XlsxWriter::new(files.folder(), &manner.facts)?;
                Self::Xlsx(Box::new(workbook), out, manner.facts.len())
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

    fn rows(&mut self, rows: &[Cells], room: &Room) -> Result<(), WriteFault> {
        match self {
            Self::Csv(csv) => rows.iter().try_for_each(|row| csv.row(row))?,
            Self::Json(json) => rows.iter().try_for_each(|row| json.row(row))?,
            Self::Xlsx(xlsx, _, _) => {
                // They wait on the disk until the workbook is put together.
                room.take(rows.iter().map(unpacked_bytes).sum())?;
                xlsx.rows(rows)?;
            }
        }
        Ok(())
    }

    fn finish(self, rows: u64) -> Result<(), WriteFault> {
        match self {
            Self::Csv(csv) => csv.finish().flush()?,
            Self::Json(json) => json.finish(rows)?.flush()?,
            Self::Xlsx(xlsx, mut out, facts) => {
                xlsx.finish(facts, &mut out)?;
                out.flush()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::companion::exports::table::{Cell, Column, Kind};

    /// Writes rows until the writer wants no more, and tells how many were taken.
    fn written(
        format: Format,
        bytes_max: u64,
        rows: usize,
    ) -> (Result<ExportFile, WriteFault>, usize, usize) {
        let place = tempfile::tempdir().expect("a folder");
        let files = Files::open(place.path()).expect("it is made");
        let name = crate::companion::exports::files::name("0123456789abcdefGHIJKL", 1, format.as_str());
        let manner = Manner { format, bom: false, facts: Facts::new(), bytes_max };
        let (pipe, mut parts) = tokio::sync::mpsc::channel(1);
        let sending = std::thread::spawn(move || {
            let column = Column { name: "summary", kind: Kind::Text };
            pipe.blocking_send(Part::Table(Head { name: "activity", columns: vec![column] })).expect("taken");
            let row = || vec![Cell::Text("what happened ".repeat(80))];
            let taken = (0..rows).take_while(|_| pipe.blocking_send(Part::Rows(vec![row()])).is_ok()).count();
            drop(pipe.blocking_send(Part::End));
            taken
        });
        let written = write(&files, &name, &manner, &mut parts, &Pulse::default());
        drop(parts);
        let taken = sending.join().expect("no panic");
        (written, taken, files.list().expect("a list").len())
    }

    #[test]
    fn a_file_ends_where_there_is_no_room_and_leaves_nothing() {
        for format in [Format::Csv, Format::Json, Format::Xlsx] {
            let (written, taken, left) = written(format, 1 << 20, 100_000);
            assert!(matches!(written, Err(WriteFault::NoRoom(_))), "{format:?}: {written:?}");
            // A row takes 1.1 KB; what is buffered comes to it.
            assert!(taken < 1_500, "{format:?}: {taken}");
            assert_eq!(left, 0, "{format:?}");
        }
    }

    #[test]
    fn what_fits_is_written() {
        for format in [Format::Csv, Format::Json, Format::Xlsx] {
            let (written, taken, left) = written(format, 1 << 20, 500);
            let file = written.expect("there is room");
            assert_eq!((taken, file.rows, left), (500, 500, 1), "{format:?}");
        }
    }
}
