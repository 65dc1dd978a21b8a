//! The lines of a log, one by one, in a buffer of fixed size: a file, standard input, either of them gzipped.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use memchr::memchr;

use crate::app::replay::progress::Progress;

/// Longer lines are not read. Ours are at most some 6 KiB long.
pub const LINE_BYTES_MAX: usize = 64 << 10;

const BUFFER_BYTES: usize = 512 << 10;

/// How a gzip stream begins (RFC 1952 section 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The word for standard input.
const STDIN: &str = "-";

/// One line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// It was longer than [`LINE_BYTES_MAX`].
    TooLong,
}

/// A log being read.
pub struct Lines {
    source: Box<dyn Read>,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Lines {
    /// Opens a log; `-` is standard input. Gzip is told by its first bytes.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn open(path: &Path, progress: &Progress) -> io::Result<Self> {
        if path.as_os_str() == STDIN {
            return Self::of(progress.follow(io::stdin().lock(), None));
        }
        let file = File::open(path)?;
        let length = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|file| file.len());
        Self::of(progress.follow(file, length))
    }

    /// The lines of any source.
    ///
    /// # Errors
    /// What reading its first bytes says.
    pub fn of(mut source: impl Read + 'static) -> io::Result<Self> {
        let mut head = Vec::with_capacity(GZIP.len());
        source.by_ref().take(2).read_to_end(&mut head)?;
        let is_gzip = head == GZIP;
        let whole = io::Cursor::new(head).chain(source);
        let source: Box<dyn Read> =
            if is_gzip { Box::new(MultiGzDecoder::new(whole)) } else { Box::new(whole) };
        Ok(Self { source, buffer: vec![0; BUFFER_BYTES].into(), start: 0, end: 0 })
    }

    /// The beginning of what is not read yet, as much as the buffer takes.
    ///
    /// # Errors
    /// What the source says.
    pub fn head(&mut self) -> io::Result<&[u8]> {
        while self.end - self.start < self.buffer.len() && self.fill()? {}
        Ok(self.buffer.get(self.start..self.end).unwrap_or_default())
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// What the source says, a broken gzip stream among it.
    pub fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        let mut is_long = false;
        let mut searched = 0;
        let (from, until) = loop {
            let unseen = self.buffer.get(self.start + searched..self.end).unwrap_or_default();
            if let Some(at) = memchr(b'\n', unseen) {
                let (from, until) = (self.start, self.start + searched + at);
                self.start = until + 1;
                break (from, until);
            }
            searched = self.end - self.start;
            if searched > LINE_BYTES_MAX {
                is_long = true;
                self.start = self.end;
                searched = 0;
            }
            if !self.fill()? {
                if searched == 0 && !is_long {
                    return Ok(None);
                }
                let from = self.start;
                self.start = self.end;
                break (from, self.end);
            }
        };
        let line = self.buffer.get(from..until).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let is_long = is_long || line.len() > LINE_BYTES_MAX;
        Ok(Some(if is_long { Line::TooLong } else { Line::Whole(line) }))
    }

    /// Reads more behind what is there, which moves to the front. False at the end of the source.
    fn fill(&mut self) -> io::Result<bool> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        loop {
            match self.source.read(self.buffer.get_mut(self.end..).unwrap_or_default()) {
                Ok(bytes) => {
                    self.end += bytes;
                    return Ok(bytes > 0);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use std::io::Write;

    fn all(bytes: Vec<u8>) -> io::Result<Vec<Option<Vec<u8>>>> {
        let mut lines = Lines::of(io::Cursor::new(bytes))?;
        let mut read = Vec::new();
        while let Some(line) = lines.next_line()? {
            read.push(match line {
                Line::Whole(line) => Some(line.to_vec()),
                Line::TooLong => None,
            });
        }
        Ok(read)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    #[test]
    fn a_line_without_bound_is_passed_over_and_the_next_is_read() {
        let mut log = b"first\n".to_vec();
        log.resize(log.len() + (1 << 20), b'x');
        log.extend_from_slice(b"\nlast");
        let expected = [Some(b"first".to_vec()), None, Some(b"last".to_vec())];
        assert_eq!(all(log).expect("memory"), expected);
        assert_eq!(all(vec![b'x'; 2 << 20]).expect("memory"), [None]);
    }

    #[test]
    fn gzip_is_told_by_its_first_bytes_even_in_several_members() {
        let log = [gzip(b"one\r\ntw"), gzip(b"o\n")].concat();
        assert_eq!(all(log).expect("gzip"), [Some(b"one".to_vec()), Some(b"two".to_vec())]);
        let mut cut = gzip(&b"line\n".repeat(1_000));
        cut.truncate(cut.len() / 2);
        assert!(all(cut).is_err(), "a broken stream is no short log");
    }

    #[test]
    fn short_sources_have_the_lines_they_have() {
        for (text, lines) in [("", 0), ("a", 1), ("\n", 1), ("a\n", 1), ("a\nb", 2), ("\n\n", 2)] {
            assert_eq!(all(text.into()).expect("memory").len(), lines, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn lines_are_those_of_splitting_the_whole(
            parts in prop::collection::vec(prop_oneof![1..80_usize, 65_000..66_000_usize, 250_000..530_000_usize], 0..8),
        ) {
            let text: Vec<Vec<u8>> = parts.iter().map(|length| vec![b'l'; *length]).collect();
            let expected: Vec<Option<Vec<u8>>> =
                text.iter().map(|line| (line.len() <= LINE_BYTES_MAX).then(|| line.clone())).collect();
            prop_assert_eq!(all(text.join(&b'\n')).expect("memory"), expected);
        }
    }
}
