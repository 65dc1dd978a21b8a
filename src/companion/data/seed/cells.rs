//! Values of rows, as PostgreSQL's COPY and SQLite's JSON functions read them.

use jiff::Timestamp;
use serde_json::Value;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Null,
    Text(String),
    Word(&'static str),
    Integer(i64),
    Real(f64),
    /// Microseconds since 1970.
    Time(i64),
    /// A UUID.
    Id(u128),
    /// Hexadecimal digits.
    Bytes(String),
}

impl Cell {
    pub(super) fn time(us: Option<i64>) -> Self {
        us.map_or(Self::Null, Self::Time)
    }
}

/// A table that is filled.
#[derive(Debug)]
pub(super) struct Table {
    pub name: &'static str,
    pub columns: &'static [&'static str],
}

impl Table {
    /// How PostgreSQL takes rows in.
    pub(super) fn copy(&self) -> String {
        format!("COPY {} ({}) FROM STDIN", self.name, self.columns.join(", "))
    }

    /// How SQLite takes rows in: a JSON array of arrays.
    pub(super) fn insert(&self) -> String {
        let value = |(index, column): (usize, &&str)| match *column {
            "key_hash" => format!("unhex(json_extract(value, '$[{index}]'))"),
            _ => format!("json_extract(value, '$[{index}]')"),
        };
        let values: Vec<String> = self.columns.iter().enumerate().map(value).collect();
        format!(
            "INSERT INTO {} ({}) SELECT {} FROM json_each(?1)",
            self.name,
            self.columns.join(", "),
            values.join(", ")
        )
    }
}

/// Rows in COPY's text format.
pub(super) fn copy_text(rows: &[Vec<Cell>]) -> String {
    let mut text = String::new();
    for row in rows {
        for (index, cell) in row.iter().enumerate() {
            if index > 0 {
                text.push('\t');
            }
            copy_cell(&mut text, cell);
        }
        text.push('\n');
    }
    text
}

fn copy_cell(text: &mut String, cell: &Cell) {
    match cell {
        Cell::Null => text.push_str("\\N"),
        Cell::Text(words) => escape(text, words),
        Cell::Word(word) => escape(text, word),
        Cell::Integer(number) => text.push_str(&number.to_string()),
        Cell::Real(number) => text.push_str(&number.to_string()),
        Cell::Time(us) => {
            let time = Timestamp::from_microsecond(*us).unwrap_or(Timestamp::UNIX_EPOCH);
            text.push_str(&time.to_string());
        }
        Cell::Id(id) => text.push_str(&uuid(*id)),
        Cell::Bytes(digits) => {
            text.push_str("\\\\x");
            text.push_str(digits);
        }
    }
}

fn escape(text: &mut String, words: &str) {
    for letter in words.chars() {
        match letter {
            '\\' => text.push_str("\\\\"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            _ => text.push(letter),
        }
    }
}

/// Rows as JSON.
pub(super) fn json(rows: &[Vec<Cell>]) -> String {
    let value = |cell: &Cell| match cell {
        Cell::Null => Value::Null,
        Cell::Text(words) | Cell::Bytes(words) => Value::from(words.clone()),
        Cell::Word(word) => Value::from(*word),
        Cell::Integer(number) | Cell::Time(number) => Value::from(*number),
        Cell::Real(number) => Value::from(*number),
        Cell::Id(id) => Value::from(uuid(*id)),
    };
    rows.iter().map(|row| row.iter().map(value).collect::<Value>()).collect::<Value>().to_string()
}

/// A UUID as text (RFC 9562 section 4).
pub(super) fn uuid(id: u128) -> String {
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        id >> 96,
        (id >> 80) & 0xFFFF,
        (id >> 64) & 0xFFFF,
        (id >> 48) & 0xFFFF,
        id & 0xFFFF_FFFF_FFFF
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_one_line_whatever_is_in_it() {
        let row = vec![
            Cell::Text("a\tb\nc\\d".to_owned()),
            Cell::Null,
            Cell::Time(1_500_000),
            Cell::Bytes("0aff".to_owned()),
            Cell::Id(1),
        ];
        let text = copy_text(&[row]);
        assert_eq!(
            text,
            "a\\tb\\nc\\\\d\t\\N\t1970-01-01T00:00:01.5Z\t\\\\x0aff\t00000000-0000-0000-0000-000000000001\n"
        );
    }
}
