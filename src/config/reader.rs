//! Reads sections of the tree: every value with its type, every fault kept, no key overlooked.

use crate::base::units::{parse_duration, parse_size};
use crate::base::{Clock, SystemClock};
use crate::config::env::Env;
use crate::config::fault::{Fault, Position, hint};
use crate::config::files::FileSeen;
use crate::config::tree::{Key, Kind, Node};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Collects what is wrong while sections are read.
pub struct Reader<'e> {
    env: &'e Env,
    dir: PathBuf,
    /// What makes the configuration unusable.
    pub faults: Vec<Fault>,
    /// What is worth a look.
    pub warnings: Vec<Fault>,
    /// Fields that caches key by, and where that stands: whether a client sets them is known when `identity` has been read.
    pub keyed: Vec<(http::HeaderName, Position, String)>,
    /// Request fields that routes set or remove: whether Tidegate writes them is known when `identity` has been read.
    pub edited: Vec<(http::HeaderName, Position, String)>,
    /// Every file that was read, or should have been.
    pub files: Vec<FileSeen>,
    /// Unix seconds: certificates have a time.
    pub now_s: u64,
}

/// A mapping whose keys are taken one by one; what is left at the end is unknown.
#[derive(Debug)]
pub struct Section {
    /// The path to it, such as `server.request`.
    pub path: String,
    /// Where it begins.
    pub at: Position,
    entries: Vec<(Key, Node)>,
    known: Vec<&'static str>,
}

/// A value that was taken out of a section.
#[derive(Debug, Clone)]
pub struct Taken {
    /// Its path.
    pub path: String,
    /// The value.
    pub node: Node,
    /// Where its key stands.
    pub key_at: Position,
}

impl<'e> Reader<'e> {
    /// A reader for a file in `dir`, to which paths in it are relative.
    #[must_use]
    pub fn new(env: &'e Env, dir: &Path) -> Self {
        Self {
            env,
            dir: dir.to_owned(),
            faults: Vec::new(),
            warnings: Vec::new(),
            keyed: Vec::new(),
            edited: Vec::new(),
            files: Vec::new(),
            now_s: SystemClock::new().wall_ms() / 1_000,
        }
    }

    /// Notes a fault.
    pub fn fault(&mut self, at: Position, key: &str, says: impl Into<String>, remedy: impl Into<String>) {
        self.faults.push(Fault::new(at, key, says, remedy));
    }

    /// Notes a warning.
    pub fn warn(&mut self, at: Position, key: &str, says: impl Into<String>, remedy: impl Into<String>) {
        self.warnings.push(Fault::new(at, key, says, remedy));
    }

    /// Opens a mapping. Nothing at all is an empty one.
    pub fn section(&mut self, node: &Node, path: &str) -> Section {
        let entries = match &node.kind {
            Kind::Map(entries) => entries.clone(),
            Kind::Null => Vec::new(),
            Kind::Scalar(_) | Kind::List(_) => {
                self.fault(
                    node.at,
                    path,
                    format!("here stands {}", node.describe()),
                    "write a mapping (`key: value`)",
                );
                Vec::new()
            }
        };
        let mut section =
            Section { path: path.to_owned(), at: node.at, entries: Vec::new(), known: Vec::new() };
        for (key, value) in entries {
            if section.entries.iter().any(|(earlier, _)| earlier.name == key.name) {
                let path = section.of(&key.name);
                self.fault(key.at, &path, "the key stands here a second time", "remove one of the two");
            } else {
                section.entries.push((key, value));
            }
        }
        section
    }

    /// Closes a section: every key that nobody took is a fault.
    pub fn finish(&mut self, section: &Section) {
        for (key, _) in &section.entries {
            self.fault(key.at, &section.of(&key.name), "no such key", hint(&key.name, &section.known));
        }
    }

    /// A single value as text, variables expanded.
    pub fn text(&mut self, taken: &Taken) -> Option<String> {
        let Kind::Scalar(text) = &taken.node.kind else {
            let says = format!("here stands {}", taken.node.describe());
            self.fault(taken.node.at, &taken.path, says, "write a single value");
            return None;
        };
        match self.env.expand(text) {
            Ok(expanded) => Some(expanded),
            Err((says, remedy)) => {
                self.fault(taken.node.at, &taken.path, says, remedy);
                None
            }
        }
    }

    /// A text that must not be empty.
    pub fn name(&mut self, taken: &Taken) -> Option<String> {
        let text = self.text(taken)?;
        if text.trim().is_empty() {
            self.fault(taken.node.at, &taken.path, "it is empty", "write a value, or leave the key out");
            return None;
        }
        Some(text)
    }

    /// A duration.
    pub fn duration(&mut self, taken: &Taken) -> Option<Duration> {
        let text = self.text(taken)?;
        match parse_duration(&text) {
            Ok(duration) => Some(duration),
            Err(fault) => self.misread(taken, &fault.to_string()),
        }
    }

    /// A size in bytes.
    pub fn size(&mut self, taken: &Taken) -> Option<u64> {
        let text = self.text(taken)?;
        match parse_size(&text) {
            Ok(bytes) => Some(bytes),
            Err(fault) => self.misread(taken, &fault.to_string()),
        }
    }

    /// The sentences of [`crate::base::units`] hold the remedy after a semicolon.
    fn misread<T>(&mut self, taken: &Taken, sentence: &str) -> Option<T> {
        let (says, remedy) = sentence.split_once("; ").unwrap_or((sentence, "correct it"));
        self.fault(taken.node.at, &taken.path, says, remedy);
        None
    }

    /// A whole number between `least` and `most`.
    pub fn number(&mut self, taken: &Taken, least: u64, most: u64) -> Option<u64> {
        let text = self.text(taken)?;
        match text.parse::<u64>() {
            Ok(number) if (least..=most).contains(&number) => Some(number),
            _ => {
                let remedy = format!("write a whole number from {least} to {most}");
                self.fault(taken.node.at, &taken.path, format!("`{text}` does not do"), remedy);
                None
            }
        }
    }

    /// `true` or `false`.
    pub fn flag(&mut self, taken: &Taken) -> Option<bool> {
        self.choice(taken, &[("true", true), ("false", false)])
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&mut self, taken: &Taken, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(taken)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let all = known.join(", ");
        self.fault(taken.node.at, &taken.path, format!("`{text}` is none of {all}"), hint(&text, &known));
        None
    }

    /// A list of values; a single value is a list of one.
    pub fn list(&mut self, taken: &Taken) -> Vec<Taken> {
        match &taken.node.kind {
            Kind::List(items) => {
                let item = |(index, node): (usize, &Node)| Taken {
                    path: format!("{}[{index}]", taken.path),
                    node: node.clone(),
                    key_at: node.at,
                };
                items.iter().enumerate().map(item).collect()
            }
            Kind::Null => Vec::new(),
            Kind::Scalar(_) | Kind::Map(_) => vec![taken.clone()],
        }
    }

    /// A list of texts.
    pub fn texts(&mut self, taken: &Taken) -> Vec<String> {
        let items = self.list(taken);
        items.iter().filter_map(|item| self.name(item)).collect()
    }

    /// The content of the file that a `*_file` key names.
    pub fn file(&mut self, taken: &Taken) -> Option<Vec<u8>> {
        let path = self.path(taken)?;
        let (read, seen) = FileSeen::read(path);
        let says = |error| format!("`{}` cannot be read: {error}", seen.path().display());
        let read = read.map_err(says);
        self.files.push(seen);
        match read {
            Ok(bytes) => Some(bytes),
            Err(says) => {
                self.fault(taken.node.at, &taken.path, says, "name a file that this process may read");
                None
            }
        }
    }

    /// A path, relative to the configuration's directory.
    pub fn path(&mut self, taken: &Taken) -> Option<PathBuf> {
        self.name(taken).map(|name| self.dir.join(name))
    }
}

impl Section {
    /// Takes a key's value; `null` is as good as absent.
    pub fn take(&mut self, name: &'static str) -> Option<Taken> {
        self.known.push(name);
        let index = self.entries.iter().position(|(key, _)| key.name == name)?;
        let (key, node) = self.entries.remove(index);
        (node.kind != Kind::Null).then(|| Taken { path: self.of(name), node, key_at: key.at })
    }

    /// Is a key written with nothing behind it, where nothing says more than the key's absence?
    #[must_use]
    pub fn is_null(&self, name: &str) -> bool {
        self.entries.iter().any(|(key, node)| key.name == name && node.kind == Kind::Null)
    }

    /// Does the key stand there, with something behind it?
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|(key, node)| key.name == name && node.kind != Kind::Null)
    }

    /// Takes all that is left: mappings whose keys are names of the operator's.
    pub fn take_all(&mut self) -> Vec<(Key, Taken)> {
        let entries = std::mem::take(&mut self.entries);
        let taken = |(key, node): (Key, Node)| {
            let taken = Taken { path: self.of(&key.name), node, key_at: key.at };
            (key, taken)
        };
        entries.into_iter().map(taken).collect()
    }

    /// The path of a key in it.
    #[must_use]
    pub fn of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}
