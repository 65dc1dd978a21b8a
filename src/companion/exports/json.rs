//! JSON: one object, facts first, then an array of objects for each table. Nothing is held but the row that is written.

use crate::companion::exports::table::{Cell, Cells, Facts, Head, rfc3339};
use serde_json::Value;
use std::io::{self, Write};

/// Writes an object.
#[derive(Debug)]
pub(super) struct JsonWriter<W> {
    out: W,
    /// What stands in front of the value, by column: `{"id":`, `,"name":`.
    keys: Vec<Vec<u8>>,
    is_first_row: bool,
}

impl<W: Write> JsonWriter<W> {
    /// Begins the object with what is known of the whole.
    pub(super) fn new(mut out: W, facts: &Facts) -> io::Result<Self> {
        let facts: serde_json::Map<String, Value> =
            facts.iter().map(|(name, cell)| ((*name).to_owned(), value(cell))).collect();
        write!(out, "{{\"metadata\":{}", Value::Object(facts))?;
        Ok(Self { out, keys: Vec::new(), is_first_row: true })
    }

    /// Begins an array; the one before is closed.
    pub(super) fn table(&mut self, head: &Head) -> io::Result<()> {
        self.close()?;
        write!(self.out, ",\n{}:[", Value::from(head.name))?;
        let key = |(index, column): (usize, &crate::companion::exports::table::Column)| {
            let before = if index == 0 { '{' } else { ',' };
            format!("{before}{}:", Value::from(column.name)).into_bytes()
        };
        self.keys = head.columns.iter().enumerate().map(key).collect();
        self.is_first_row = true;
        Ok(())
    }

    /// An object of the array.
    pub(super) fn row(&mut self, cells: &Cells) -> io::Result<()> {
        self.out.write_all(if self.is_first_row { b"\n" } else { b",\n" })?;
        self.is_first_row = false;
        for (key, cell) in self.keys.iter().zip(cells) {
            self.out.write_all(key)?;
            match cell {
                Cell::Text(text) => serde_json::to_writer(&mut self.out, text)?,
                Cell::Integer(number) => write!(self.out, "{number}")?,
                other => write!(self.out, "{}", value(other))?,
            }
        }
        self.out.write_all(b"}")
    }

    /// Closes everything; `rows` is how many there were.
    pub(super) fn finish(mut self, rows: u64) -> io::Result<W> {
        self.close()?;
        writeln!(self.out, ",\n\"rows\":{rows}}}")?;
        Ok(self.out)
    }

    fn close(&mut self) -> io::Result<()> {
        if self.keys.is_empty() { Ok(()) } else { self.out.write_all(b"\n]") }
    }
}

fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Empty => Value::Null,
        Cell::Text(text) | Cell::Day(text) => Value::from(text.clone()),
        Cell::Integer(number) => Value::from(*number),
        Cell::Real(number) => Value::from(*number),
        Cell::Time(us) => Value::from(rfc3339(*us)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::companion::exports::table::{Column, Kind};
    use serde_json::json;

    #[test]
    fn tables_are_arrays_of_objects_behind_the_facts() {
        let facts = vec![("report", Cell::Text("users".to_owned())), ("from", Cell::Empty)];
        let mut json = JsonWriter::new(Vec::new(), &facts).expect("memory");
        let column = |name| Column { name, kind: Kind::Text };
        json.table(&Head { name: "users", columns: vec![column("id"), column("at")] }).expect("memory");
        json.row(&vec![Cell::Text("a\"\u{1}\u{2028}\n=x".to_owned()), Cell::Time(0)]).expect("memory");
        json.row(&vec![Cell::Real(0.5), Cell::Integer(i64::MIN)]).expect("memory");
        json.table(&Head { name: "activity", columns: vec![column("day")] }).expect("memory");
        let told: Value = serde_json::from_slice(&json.finish(2).expect("memory")).expect("JSON");
        let expected = json!({
            "metadata": {"report": "users", "from": null},
            "users": [
                {"id": "a\"\u{1}\u{2028}\n=x", "at": "1970-01-01T00:00:00.000000Z"},
                {"id": 0.5, "at": i64::MIN},
            ],
            "activity": [],
            "rows": 2,
        });
        assert_eq!(told, expected);
    }
}
