//! CSV (RFC 4180): one table, a line of names first, CR LF behind each line, UTF-8.
//!
//! Words that a spreadsheet would take for a formula get an apostrophe in front: who fills in a name must not be able to
//! have something calculated, or fetched, on the desk of whoever opens the file. Numbers are numbers and stay so.

use crate::companion::exports::table::{Cell, Cells, Head, rfc3339};
use std::borrow::Cow;
use std::io::{self, Write};

/// By which programs of offices know that a file is UTF-8.
const BOM: &[u8] = "\u{feff}".as_bytes();

/// With these a formula may begin; also in the wide forms of East Asian scripts.
const SIGNS: &[char] = &['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// Behind these a cell begins for a spreadsheet whose list separator is not the comma: to it a quotation mark that follows
/// a comma is a letter like others, and quotes nothing.
const SEPARATORS: &[char] = &[';', '\t', '\r', '\n'];

/// Writes a table.
#[derive(Debug)]
pub(super) struct CsvWriter<W> {
    out: W,
}

impl<W: Write> CsvWriter<W> {
    /// Begins a file, with a mark of its encoding if `bom`.
    pub(super) fn new(mut out: W, bom: bool) -> io::Result<Self> {
        if bom {
            out.write_all(BOM)?;
        }
        Ok(Self { out })
    }

    /// The line of names.
    pub(super) fn table(&mut self, head: &Head) -> io::Result<()> {
        let names: Vec<&str> = head.columns.iter().map(|column| column.name).collect();
        self.out.write_all(names.join(",").as_bytes())?;
        self.out.write_all(b"\r\n")
    }

    /// A line.
    pub(super) fn row(&mut self, cells: &Cells) -> io::Result<()> {
        for (index, cell) in cells.iter().enumerate() {
            if index > 0 {
                self.out.write_all(b",")?;
            }
            match cell {
                // A line of nothing at all would be taken for none.
                Cell::Empty if cells.len() == 1 => self.out.write_all(b"\"\"")?,
                Cell::Empty => {}
                Cell::Text(text) => self.text(text, cells.len() == 1)?,
                Cell::Integer(number) => write!(self.out, "{number}")?,
                Cell::Real(number) => write!(self.out, "{number}")?,
                Cell::Time(us) => self.out.write_all(rfc3339(*us).as_bytes())?,
                Cell::Day(day) => self.out.write_all(day.as_bytes())?,
            }
        }
        self.out.write_all(b"\r\n")
    }

    fn text(&mut self, text: &str, is_alone: bool) -> io::Result<()> {
        let text = guarded(text);
        let must_quote = |byte: u8| matches!(byte, b'"' | b',' | b';' | b'\t' | b'\r' | b'\n');
        let is_padded = text.starts_with(' ') || text.ends_with(' ');
        if !(text.bytes().any(must_quote) || is_padded || (is_alone && text.is_empty())) {
            return self.out.write_all(text.as_bytes());
        }
        self.out.write_all(b"\"")?;
        let mut parts = text.split('"');
        if let Some(first) = parts.next() {
            self.out.write_all(first.as_bytes())?;
        }
        for part in parts {
            self.out.write_all(b"\"\"")?;
            self.out.write_all(part.as_bytes())?;
        }
        self.out.write_all(b"\"")
    }

    /// What it was written to.
    pub(super) fn finish(self) -> W {
        self.out
    }
}

/// The text with an apostrophe wherever a formula might begin.
fn guarded(text: &str) -> Cow<'_, str> {
    let begins = text.starts_with(SIGNS) || text.starts_with(['\t', '\r', '\n']);
    if !begins && !text.contains(SEPARATORS) {
        return Cow::Borrowed(text);
    }
    let mut guarded = String::with_capacity(text.len() + 2);
    if begins {
        guarded.push('\'');
    }
    let mut is_first = false;
    for letter in text.chars() {
        if is_first && SIGNS.contains(&letter) {
            guarded.push('\'');
        }
        // Quotation marks in front are taken away by whoever splits there.
        is_first = SEPARATORS.contains(&letter) || (is_first && letter == '"');
        guarded.push(letter);
    }
    Cow::Owned(guarded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::companion::exports::table::{Column, Kind};
    use csv_core::{ReadFieldResult, Reader};
    use proptest::prelude::*;

    fn written(rows: &[Cells], bom: bool) -> String {
        let mut csv = CsvWriter::new(Vec::new(), bom).expect("memory");
        let columns = vec![Column { name: "a", kind: Kind::Text }, Column { name: "b", kind: Kind::Text }];
        csv.table(&Head { name: "t", columns }).expect("memory");
        rows.iter().for_each(|row| csv.row(row).expect("memory"));
        String::from_utf8(csv.finish()).expect("UTF-8")
    }

    /// As another reader of CSV understands it.
    fn read(text: &str) -> Vec<Vec<String>> {
        let (mut reader, mut input) = (Reader::new(), text.as_bytes());
        let (mut records, mut record, mut field) = (Vec::new(), Vec::new(), Vec::new());
        let mut out = [0; 16];
        loop {
            let (result, taken, given) = reader.read_field(input, &mut out);
            input = &input[taken..];
            field.extend_from_slice(&out[..given]);
            match result {
                ReadFieldResult::InputEmpty | ReadFieldResult::OutputFull => {}
                ReadFieldResult::Field { record_end } => {
                    record.push(String::from_utf8(std::mem::take(&mut field)).expect("UTF-8"));
                    if record_end {
                        records.push(std::mem::take(&mut record));
                    }
                }
                ReadFieldResult::End => return records,
            }
        }
    }

    fn text(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }

    #[test]
    fn fields_are_quoted_where_they_must_and_lines_end_with_cr_lf() {
        let rows = [
            vec![text("a \"b\", c"), text("two\r\nlines")],
            vec![Cell::Empty, Cell::Integer(-5)],
            vec![Cell::Real(-0.25), Cell::Time(1_000_000)],
            vec![Cell::Day("2026-01-31".to_owned()), text(" padded")],
        ];
        let expected = "a,b\r\n\"a \"\"b\"\", c\",\"two\r\nlines\"\r\n,-5\r\n-0.25,1970-01-01T00:00:01.000000Z\r\n\
            2026-01-31,\" padded\"\r\n";
        assert_eq!(written(&rows, false), expected);
        assert_eq!(written(&[], true), "\u{feff}a,b\r\n");
    }

    /// Is it the same but for apostrophes in front of signs, and in front of what may begin no cell?
    fn is_but_for_guards(told: &str, words: &str) -> bool {
        let mut told = told.chars();
        let is_same = words.chars().all(|letter| match told.next() {
            Some('\'') if letter != '\'' => {
                (SIGNS.contains(&letter) || SEPARATORS.contains(&letter)) && told.next() == Some(letter)
            }
            next => next == Some(letter),
        });
        is_same && told.next().is_none()
    }

    #[test]
    fn a_spreadsheet_that_splits_at_semicolons_finds_no_formula_either() {
        for (words, told) in [
            ("a;=1+1", "a;'=1+1"),
            ("a\t@SUM(A1)", "a\t'@SUM(A1)"),
            ("a;\"=1\"", "a;\"'=1\""),
            ("\t;-1", "'\t;'-1"),
            ("list:\r\n- x", "list:\r\n'- x"),
            ("a; b", "a; b"),
            ("1;2\t3", "1;2\t3"),
        ] {
            let file = written(&[vec![text("x"), text(words)]], false);
            assert!(file.ends_with("\"\r\n"), "it is quoted: {file:?}");
            assert_eq!(read(&file)[1][1], told);
        }
    }

    #[test]
    fn words_that_look_like_a_formula_are_words() {
        for odd in
            ["=1+1", "+49 30", "-2", "@SUM(A1)", "\tx", "\rx", "\nx", "=HYPERLINK(\"http://a\")", "＝1"]
        {
            let cell = &read(&written(&[vec![text(odd), Cell::Empty]], false))[1][0];
            assert_eq!(*cell, format!("'{odd}"));
        }
        for sound in ["a=b", "'=1", "1-2", "", "ü"] {
            assert_eq!(read(&written(&[vec![text(sound), text("x")]], false))[1][0], sound);
        }
    }

    proptest! {
        #[test]
        fn any_cell_is_read_back_as_it_was(rows in prop::collection::vec(("[\\PC\r\n\t\"', ;=@-]{0,12}", any::<i64>()), 1..8)) {
            let cells: Vec<Cells> = rows.iter().map(|(words, number)| vec![text(words), Cell::Integer(*number)]).collect();
            let told = read(&written(&cells, false));
            prop_assert_eq!(told.len(), rows.len() + 1);
            for ((words, number), record) in rows.iter().zip(&told[1..]) {
                prop_assert!(!record[0].starts_with(SIGNS) && !record[0].starts_with(['\t', '\r', '\n']));
                prop_assert!(is_but_for_guards(&record[0], words), "{:?} of {words:?}", &record[0]);
                prop_assert_eq!(&record[1], &number.to_string());
            }
        }

        #[test]
        fn no_formula_begins_wherever_a_line_is_split(words in "[a\r\n\t\"', ;=@+-]{0,12}") {
            let line = written(&[vec![Cell::Empty, text(&words), text("x")]], false);
            for cell in line.split(SEPARATORS).map(|cell| cell.trim_start_matches('"')) {
                prop_assert!(!cell.starts_with(SIGNS), "{cell:?} of {line:?}");
            }
        }

        #[test]
        fn a_column_alone_loses_no_line(rows in prop::collection::vec("[a\"\r\n ]{0,3}", 0..8)) {
            let cells: Vec<Cells> = rows.iter().map(|words| vec![text(words)]).collect();
            prop_assert_eq!(read(&written(&cells, false)).len(), rows.len() + 1);
        }
    }
}
