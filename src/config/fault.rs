//! What is wrong in a configuration, where, and what to do about it; all of it at once.

use crate::config::files::FileSeen;
use std::fmt;

/// A place in a file, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

impl Position {
    /// The beginning, for what has no place in the file.
    pub const START: Self = Self { line: 1, column: 1 };
}

/// One thing that is wrong, or (as a warning) worth a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub at: Position,
    /// The key's path, such as `limits.default.windows`; empty for the file as a whole.
    pub key: String,
    /// What is wrong.
    pub says: String,
    /// What to do.
    pub remedy: String,
}

impl Fault {
    /// A fault.
    #[must_use]
    pub fn new(at: Position, key: &str, says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { at, key: key.to_owned(), says: says.into(), remedy: remedy.into() }
    }

    /// The fault as a person wants it: place, key, what and what to do, then the line with a caret.
    #[must_use]
    pub fn render(&self, file: &str, text: &str) -> String {
        let Position { line, column } = self.at;
        let head = self.head(file);
        let Some(source) = lines(text).nth(line.saturating_sub(1)) else { return head };
        let caret = " ".repeat(column.saturating_sub(1));
        format!("{head}\n  {source}\n  {caret}^")
    }

    /// The same for a warning, which goes to the log too: a line with a URL that may hold a password is not shown.
    #[must_use]
    pub fn render_warning(&self, file: &str, text: &str) -> String {
        let source = lines(text).nth(self.at.line.saturating_sub(1)).unwrap_or("");
        let is_secret = source.split_once("://").is_some_and(|(_, rest)| rest.contains('@'));
        if is_secret { self.head(file) } else { self.render(file, text) }
    }

    /// The first line: place, key, what is wrong, remedy.
    fn head(&self, file: &str) -> String {
        let Position { line, column } = self.at;
        let key = if self.key.is_empty() { String::new() } else { format!("{}: ", self.key) };
        format!("{file}:{line}:{column}: {key}{}, {}", self.says, self.remedy)
    }
}

/// The lines of a text as YAML has them: they end in CR LF, LF or CR (YAML 1.2.2 section 5.4).
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('\r'))
}

/// A configuration that is refused: every fault, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults {
    /// The file's name.
    pub file: String,
    /// Its text, for the source lines.
    pub text: String,
    /// What is wrong.
    pub list: Vec<Fault>,
    /// The files beside it that were read: once one has changed, there may be no fault any more.
    pub files: Vec<FileSeen>,
}

impl Faults {
    /// Every fault on a line, without the source lines: for the log, where a secret on one of them must not end.
    #[must_use]
    pub fn brief(&self) -> String {
        let heads: Vec<String> = self.list.iter().map(|fault| fault.head(&self.file)).collect();
        heads.join("\n")
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.list.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&fault.render(&self.file, &self.text))?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// The known name that was probably meant.
#[must_use]
pub fn nearest<'n>(typed: &str, known: &[&'n str]) -> Option<&'n str> {
    let scored = known.iter().map(|name| (distance(typed, name), *name));
    let (distance, name) = scored.min_by_key(|(distance, _)| *distance)?;
    (distance <= typed.len().max(3) / 3 + 1).then_some(name)
}

/// What to write instead: the name that was probably meant, or the list of those that would do.
#[must_use]
pub fn hint(typed: &str, known: &[&str]) -> String {
    if let Some(name) = nearest(typed, known) {
        return format!("did you mean `{name}`?");
    }
    let names: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        "none is defined; define it first".to_owned()
    } else {
        format!("use one of {}", names.join(", "))
    }
}

/// Edits between two words (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = i;
        let mut before = i.saturating_add(1);
        let mut next = vec![before];
        for (b, above) in right.iter().zip(row.iter().skip(1)) {
            let cost = diagonal.saturating_add(usize::from(a != *b));
            before = cost.min(before.saturating_add(1)).min(above.saturating_add(1));
            next.push(before);
            diagonal = *above;
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_points_at_its_source() {
        let fault =
            Fault::new(Position { line: 2, column: 3 }, "a.lmit", "no such key", "did you mean `limit`?");
        assert_eq!(
            fault.render("f.yaml", "a:\n  lmit: 1\n"),
            "f.yaml:2:3: a.lmit: no such key, did you mean `limit`?\n    lmit: 1\n    ^"
        );
    }

    #[test]
    fn a_warning_shows_no_line_with_a_password() {
        let fault = Fault::new(Position::START, "a", "no such key", "remove it");
        let shown = fault.render_warning("f.yaml", "a: postgres://ada:hunter2@db.example/app");
        assert_eq!(shown, "f.yaml:1:1: a: no such key, remove it");
    }

    #[test]
    fn the_nearest_name_is_hinted() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(nearest("ai_chta", &["default", "ai_chat"]), Some("ai_chat"));
        assert_eq!(nearest("zzz", &["default", "ai_chat"]), None);
        assert_eq!(hint("x", &[]), "none is defined; define it first");
    }
}
