//! The formats of access logs, and which of them a log has.

pub mod combined;
pub mod csv;
pub mod json;

use clap::ValueEnum;

use crate::app::replay::entry::{Entry, Skip};
use crate::app::replay::formats::csv::{ColumnChoice, Csv, HeaderFault};

/// The formats, as the command line names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogKind {
    /// Whatever the first lines look like
    Auto,
    /// Access lines of Tidegate
    Json,
    /// Combined or common lines of nginx or Apache
    Combined,
    /// CSV below a row of column names
    Csv,
}

/// A format, ready to read lines.
#[derive(Debug)]
pub enum Format {
    /// Access lines of Tidegate.
    Json,
    /// Combined or common lines.
    Combined,
    /// CSV, of which the row of names is still to come, with the columns that are chosen.
    CsvHeader(Vec<ColumnChoice>),
    /// CSV below its row of names.
    Csv(Box<Csv>),
}

impl Format {
    /// The format of that kind; of a log that begins with `head` where the kind is `auto`. `None` when nothing in there
    /// is like any.
    #[must_use]
    pub fn of(kind: LogKind, head: &[u8], columns: &[ColumnChoice]) -> Option<Self> {
        let csv = || Self::CsvHeader(columns.to_vec());
        match kind {
            LogKind::Json => Some(Self::Json),
            LogKind::Combined => Some(Self::Combined),
            LogKind::Csv => Some(csv()),
            // Whoever names columns has some.
            LogKind::Auto if !columns.is_empty() => Some(csv()),
            LogKind::Auto => {
                let mut lines =
                    head.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
                let is_csv =
                    lines.clone().next().is_some_and(|first| Csv::new(first.trim_ascii_end(), &[]).is_ok());
                if is_csv { Some(csv()) } else { lines.find_map(looks_like) }
            }
        }
    }

    /// Its name in reports.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Combined => "combined",
            Self::CsvHeader(_) | Self::Csv(_) => "csv",
        }
    }

    /// Reads a line; the row of names of CSV is no request.
    ///
    /// # Errors
    /// [`HeaderFault`] when nothing of a CSV could be read.
    pub fn read<'a>(&'a mut self, line: &'a [u8]) -> Result<Result<Entry<'a>, Skip>, HeaderFault> {
        if let Self::CsvHeader(columns) = self {
            if line.trim_ascii().is_empty() {
                return Ok(Err(Skip::Other));
            }
            *self = Self::Csv(Box::new(Csv::new(line, columns)?));
            return Ok(Err(Skip::Other));
        }
        Ok(match self {
            Self::Json => json::read(line),
            Self::Combined => combined::read(line),
            Self::Csv(csv) => csv.read(line),
            Self::CsvHeader(_) => Err(Skip::Other),
        })
    }
}

fn looks_like(line: &[u8]) -> Option<Format> {
    if json::is_own(line) {
        return Some(Format::Json);
    }
    (!matches!(combined::read(line), Err(Skip::Unreadable(_)))).then_some(Format::Combined)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(head: &str) -> Option<&'static str> {
        Format::of(LogKind::Auto, head.as_bytes(), &[]).map(|format| format.name())
    }

    #[test]
    fn the_first_line_that_is_like_something_tells_the_format() {
        assert_eq!(name("warning: odd\n\n{\"timestamp\":\"x\",\"target\":\"tidegate\"}\n"), Some("json"));
        assert_eq!(
            name("192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.0\" 200 1\n"),
            Some("combined")
        );
        assert_eq!(name("\ntime,path,ip\r\n"), Some("csv"));
        for nothing in ["", "\n\n", "hello\nworld", "{}", "a,b,c", "\0\0\0", "time path ip"] {
            assert_eq!(name(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn whoever_names_columns_has_csv() {
        let columns = ["time=a", "path=b", "ip=c"].map(|text| text.parse().expect("a choice"));
        let mut format = Format::of(LogKind::Auto, b"", &columns).expect("csv");
        assert_eq!(format.read(b"").expect("an empty line"), Err(Skip::Other));
        assert_eq!(format.read(b"c,b,a").expect("a header"), Err(Skip::Other));
        let entry = format.read(b"192.0.2.1,/x,1782907200").expect("below it").expect("a request");
        assert_eq!((&*entry.client, &*entry.target), ("192.0.2.1", "/x"));
        assert!(Format::CsvHeader(columns.to_vec()).read(b"x").is_err());
    }
}
