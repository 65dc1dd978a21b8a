//! Workbooks (ECMA-376): a sheet of facts, and a sheet for each table, its names frozen on top.
//!
//! Words are always written as words, so that no cell is ever a formula or a link. Rows go to a temporary file as they
//! come: a sheet of a million needs no more memory than one of ten.

use crate::base::calendar::{DAY_US, days_from_civil};
use crate::companion::exports::table::{Cell, Cells, Column, Facts, Head, Kind, rfc3339};
use rust_xlsxwriter::{Format, FormatAlign, Workbook, Worksheet, XlsxError};
use std::io::Write;
use std::path::Path;

/// Rows of a sheet at most, its names included (Excel's specifications and limits).
const SHEET_ROWS: u32 = 1_048_576;

/// Letters of a cell at most, as UTF-16 counts them (same page).
const CELL_LETTERS: usize = 32_767;

/// Day 0 of workbooks is 30 December 1899; 1 January 1970 is this one.
const UNIX_DAY: f64 = 25_569.0;

/// Earlier than this the calendars of workbooks and of the world differ: 1 March 1900.
const FIRST_DAY: f64 = 61.0;

/// Around what stands in a cell, about: `<c r="A100000" t="inlineStr"><is><t>…</t></is></c>`, and its part of the row.
const CELL_BYTES: u64 = 64;

/// Bytes of a row on the disk until the workbook is put together, about.
pub(super) fn unpacked_bytes(cells: &Cells) -> u64 {
    let escaped = |byte: u8| match byte {
        b'&' | b'<' | b'>' | b'"' => 6,
        0..=0x1f => 7,
        _ => 1,
    };
    let content = |cell: &Cell| match cell {
        Cell::Text(text) => cut(text).bytes().map(escaped).sum(),
        _ => 0,
    };
    cells.iter().map(|cell| CELL_BYTES + content(cell)).sum()
}

/// Writes a workbook.
pub(super) struct XlsxWriter {
    workbook: Workbook,
    looks: Looks,
    head: Option<Head>,
    /// The sheet that is written, and its next row.
    sheet: usize,
    row: u32,
    /// How many sheets this table has.
    parts: u32,
    /// Rows by table, for the sheet of facts.
    counted: Vec<(&'static str, i64)>,
    rows_max: u32,
}

struct Looks {
    names: Format,
    time: Format,
    day: Format,
}

impl XlsxWriter {
    /// Begins a workbook; rows wait in files without a name in `folder`.
    pub(super) fn new(folder: &Path, facts: &Facts) -> Result<Self, XlsxError> {
        let mut workbook = Workbook::new();
        workbook.set_tempdir(folder)?;
        let looks = Looks {
            names: Format::new().set_bold().set_align(FormatAlign::Left),
            time: Format::new().set_num_format("yyyy-mm-dd hh:mm:ss"),
            day: Format::new().set_num_format("yyyy-mm-dd"),
        };
        let sheet = workbook.add_worksheet_with_constant_memory()?;
        sheet.set_name("Summary")?.set_column_width(0, 24)?.set_column_width(1, 44)?;
        let mut row = 0;
        for (name, cell) in facts {
            sheet.write_string_with_format(row, 0, *name, &looks.names)?;
            looks.write(sheet, (row, 1), cell)?;
            row += 1;
        }
        Ok(Self {
            workbook,
            looks,
            head: None,
            sheet: 0,
            row,
            parts: 0,
            counted: Vec::new(),
            rows_max: SHEET_ROWS,
        })
    }

    /// Begins a sheet.
    pub(super) fn table(&mut self, head: &Head) -> Result<(), XlsxError> {
        self.counted.push((head.name, 0));
        self.parts = 0;
        self.head = Some(head.clone());
        self.next_sheet()
    }

    fn next_sheet(&mut self) -> Result<(), XlsxError> {
        let Some(head) = &self.head else { return Ok(()) };
        self.parts += 1;
        let part = if self.parts > 1 { format!(" {}", self.parts) } else { String::new() };
        let sheet = self.workbook.add_worksheet_with_constant_memory()?;
        sheet.set_name(title(head.name) + &part)?.set_freeze_panes(1, 0)?;
        for (place, column) in (0_u16..).zip(&head.columns) {
            sheet.set_column_width(place, width(*column))?;
            sheet.write_string_with_format(0, place, column.name, &self.looks.names)?;
        }
        // The facts' sheet is the first, and every part of a table before it is there too.
        self.sheet = self.workbook.worksheets().len().saturating_sub(1);
        self.row = 1;
        Ok(())
    }

    /// The next rows of the table. A table of more rows than a sheet has goes on in another sheet.
    pub(super) fn rows(&mut self, rows: &[Cells]) -> Result<(), XlsxError> {
        for cells in rows {
            if self.row >= self.rows_max {
                self.next_sheet()?;
            }
            let sheet = self.workbook.worksheet_from_index(self.sheet)?;
            for (place, cell) in (0_u16..).zip(cells) {
                self.looks.write(sheet, (self.row, place), cell)?;
            }
            self.row += 1;
            if let Some((_, count)) = self.counted.last_mut() {
                *count += 1;
            }
        }
        Ok(())
    }

    /// Puts everything together; `facts` is how many lines the first sheet has.
    pub(super) fn finish(mut self, facts: usize, out: impl Write + Send) -> Result<(), XlsxError> {
        let sheet = self.workbook.worksheet_from_index(0)?;
        let first = u32::try_from(facts).unwrap_or(SHEET_ROWS);
        for (row, (name, count)) in (first..).zip(&self.counted) {
            sheet.write_string_with_format(row, 0, format!("rows_{name}"), &self.looks.names)?;
            self.looks.write(sheet, (row, 1), &Cell::Integer(*count))?;
        }
        self.workbook.save_to_writer(out)
    }
}

impl Looks {
    fn write(&self, sheet: &mut Worksheet, (row, place): (u32, u16), cell: &Cell) -> Result<(), XlsxError> {
        match cell {
            Cell::Empty => {}
            Cell::Text(text) => {
                sheet.write_string(row, place, cut(text))?;
            }
            Cell::Integer(number) => {
                match exactly(*number) {
                    Some(number) => sheet.write_number(row, place, number)?,
                    None => sheet.write_string(row, place, number.to_string())?,
                };
            }
            Cell::Real(number) => {
                sheet.write_number(row, place, *number)?;
            }
            Cell::Time(us) => match day_number(*us) {
                Some(number) => {
                    sheet.write_number_with_format(row, place, number, &self.time)?;
                }
                None => {
                    sheet.write_string(row, place, rfc3339(*us))?;
                }
            },
            Cell::Day(day) => match day_us(day).and_then(day_number) {
                Some(number) => {
                    sheet.write_number_with_format(row, place, number, &self.day)?;
                }
                None => {
                    sheet.write_string(row, place, day.as_str())?;
                }
            },
        }
        Ok(())
    }
}

/// Cells are doubles; a number that would become another is better read as words.
#[expect(clippy::cast_precision_loss, reason = "up to 2^53 nothing is lost")]
fn exactly(number: i64) -> Option<f64> {
    (number.unsigned_abs() <= 1 << 53).then_some(number as f64)
}

/// A moment as workbooks count days.
#[expect(clippy::cast_precision_loss, reason = "microseconds of today are below 2^53")]
fn day_number(us: i64) -> Option<f64> {
    let number = us as f64 / DAY_US as f64 + UNIX_DAY;
    (number >= FIRST_DAY).then_some(number)
}

fn day_us(day: &str) -> Option<i64> {
    let mut parts = day.splitn(3, '-').map(str::parse::<i64>);
    let (year, month, day) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    Some(days_from_civil(year, month, day) * DAY_US)
}

/// As much of a text as a cell takes, without half a letter at its end.
fn cut(text: &str) -> &str {
    if text.len() <= CELL_LETTERS {
        return text;
    }
    let mut letters = 0;
    let end = text.char_indices().find(|(_, letter)| {
        letters += letter.len_utf16();
        letters > CELL_LETTERS
    });
    end.and_then(|(at, _)| text.get(..at)).unwrap_or(text)
}

fn title(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}

fn width(column: Column) -> f64 {
    match column.kind {
        Kind::Id => 38.0,
        Kind::Text => 28.0,
        Kind::Number => 14.0,
        Kind::Time => 20.0,
        Kind::Day => 12.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use calamine::{Data, Reader, Xlsx, open_workbook_from_rs};
    use std::io::Cursor;

    fn read(bytes: Vec<u8>) -> Xlsx<Cursor<Vec<u8>>> {
        open_workbook_from_rs(Cursor::new(bytes)).expect("a workbook")
    }

    fn writer(folder: &Path) -> XlsxWriter {
        let facts =
            vec![("report", Cell::Text("users".to_owned())), ("since", Cell::Day("2026-01-31".to_owned()))];
        XlsxWriter::new(folder, &facts).expect("it begins")
    }

    fn head() -> Head {
        let column = |name, kind| Column { name, kind };
        Head { name: "users", columns: vec![column("name", Kind::Text), column("made", Kind::Time)] }
    }

    #[test]
    fn cells_are_what_they_were_and_never_a_formula() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut xlsx = writer(folder.path());
        xlsx.table(&head()).expect("a sheet");
        let text = |text: &str| Cell::Text(text.to_owned());
        let rows = vec![
            vec![text("=1+1"), Cell::Time(1_781_526_896_000_000)],
            vec![text("https://example.test/"), Cell::Integer(i64::MAX)],
            vec![text("_x0041_ \u{1} <&> \u{1F600}"), Cell::Real(-0.5)],
            vec![Cell::Empty, Cell::Integer(-7_000_000_000)],
            vec![text(&"\u{1F600}".repeat(20_000)), Cell::Time(-3_000_000_000_000_000)],
        ];
        xlsx.rows(&rows).expect("rows");
        let mut bytes = Vec::new();
        xlsx.finish(2, &mut bytes).expect("a file");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing is left");
        let mut book = read(bytes);
        assert_eq!(book.sheet_names(), ["Summary", "Users"]);
        assert!(book.worksheet_formula("Users").expect("a sheet").is_empty());
        let sheet = book.worksheet_range("Users").expect("a sheet");
        let cell = |row, place| sheet.get_value((row, place)).expect("a cell").clone();
        assert_eq!(
            (cell(0, 0), cell(1, 0)),
            (Data::String("name".to_owned()), Data::String("=1+1".to_owned()))
        );
        let Data::DateTime(made) = cell(1, 1) else { panic!("{:?}", cell(1, 1)) };
        assert!((made.as_f64() - (20_619.0 + 25_569.0 + 45_296.0 / 86_400.0)).abs() < 1e-8, "{made:?}");
        assert_eq!(cell(2, 1), Data::String(i64::MAX.to_string()));
        assert_eq!(cell(3, 0), Data::String("_x0041_ \u{1} <&> \u{1F600}".to_owned()));
        assert_eq!((cell(3, 1), cell(4, 1)), (Data::Float(-0.5), Data::Float(-7e9)));
        let Data::String(long) = cell(5, 0) else { panic!("no words") };
        assert_eq!(long.encode_utf16().count(), 32_766, "no half letter");
        assert_eq!(cell(5, 1), Data::String("1874-12-07T18:40:00.000000Z".to_owned()));
        let summary = book.worksheet_range("Summary").expect("a sheet");
        let told = summary.get_value((2, 0)).zip(summary.get_value((2, 1)));
        assert_eq!(told, Some((&Data::String("rows_users".to_owned()), &Data::Float(5.0))));
    }

    #[test]
    fn a_table_longer_than_a_sheet_goes_on_in_another() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut xlsx = writer(folder.path());
        xlsx.rows_max = 4;
        xlsx.table(&head()).expect("a sheet");
        let rows: Vec<Cells> = (0..7).map(|number| vec![Cell::Integer(number), Cell::Empty]).collect();
        xlsx.rows(&rows).expect("rows");
        xlsx.table(&Head { name: "activity", ..head() }).expect("a sheet");
        let mut bytes = Vec::new();
        xlsx.finish(2, &mut bytes).expect("a file");
        let mut book = read(bytes);
        assert_eq!(book.sheet_names(), ["Summary", "Users", "Users 2", "Users 3", "Activity"]);
        let last = book.worksheet_range("Users 3").expect("a sheet");
        assert_eq!(last.get_value((1, 0)), Some(&Data::Float(6.0)));
        assert_eq!(last.get_value((0, 0)), Some(&Data::String("name".to_owned())), "with the names on top");
    }
}
