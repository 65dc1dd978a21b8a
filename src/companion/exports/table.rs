//! What an export is made of, before it is any format: tables of typed cells, and facts about them.

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Nothing is known.
    Empty,
    /// Words of whoever uses the application: anything may stand in them.
    Text(String),
    /// A count or a number.
    Integer(i64),
    /// A measured figure.
    Real(f64),
    /// A moment, in microseconds since 1970.
    Time(i64),
    /// A day as `YYYY-MM-DD`.
    Day(String),
}

/// What stands in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Words.
    Text,
    /// Ids and other words of one length.
    Id,
    /// Numbers.
    Number,
    /// Moments.
    Time,
    /// Days.
    Day,
}

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name in every format.
    pub name: &'static str,
    /// What stands in it.
    pub kind: Kind,
}

/// The head of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its name: a key in JSON, a sheet in a workbook.
    pub name: &'static str,
    /// Its columns.
    pub columns: Vec<Column>,
}

/// A row: as many cells as the table has columns.
pub type Cells = Vec<Cell>;

/// What comes down the pipe from whoever reads to whoever writes.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// A table begins, and the one before it is over.
    Table(Head),
    /// Rows of it.
    Rows(Vec<Cells>),
    /// Everything was told. A pipe that ends without it was broken off.
    End,
}

/// What is said about the whole, in the order in which it is shown.
pub type Facts = Vec<(&'static str, Cell)>;

impl Cell {
    /// Words, or nothing.
    pub fn text(text: Option<String>) -> Self {
        text.map_or(Self::Empty, Self::Text)
    }

    /// A moment, or nothing.
    pub fn time(us: Option<i64>) -> Self {
        us.map_or(Self::Empty, Self::Time)
    }

    /// A figure, or nothing.
    pub fn real(figure: Option<f64>) -> Self {
        figure.filter(|figure| figure.is_finite()).map_or(Self::Empty, Self::Real)
    }
}

/// A moment as RFC 3339 has it, in UTC, always of the same length, so that texts sort as moments do.
pub fn rfc3339(us: i64) -> String {
    use crate::base::calendar::civil;
    let (seconds, part) = (us.div_euclid(1_000_000), us.rem_euclid(1_000_000));
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let of_day = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{part:06}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_to_the_microsecond() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(rfc3339(1_781_526_896_000_042), "2026-06-15T12:34:56.000042Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59.999999Z");
    }

    #[test]
    fn what_is_no_number_is_nothing() {
        assert_eq!(Cell::real(Some(f64::NAN)), Cell::Empty);
        assert_eq!(Cell::real(Some(0.5)), Cell::Real(0.5));
    }
}
