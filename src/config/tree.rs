//! The file as a tree with positions: what was typed, before anything is made of it.
//!
//! Reading the whole tree first is what lets every fault of a file be shown at once: a derived reader stops at the
//! first. Repeated keys are kept here and refused where the section is read.

use crate::config::fault::{Fault, Position, lines};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Budget, DuplicateKeyPolicy, Options, Spanned};
use std::fmt;

/// Nodes of a file at most: an alias bomb ends here.
const NODES_MAX: usize = 20_000;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it begins.
    pub at: Position,
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Nothing, `~` or `null`.
    Null,
    /// Anything on one line, as text: `10`, `true`, `5m`.
    Scalar(String),
    /// A list.
    List(Vec<Node>),
    /// Keys and values in the order of the file.
    Map(Vec<(Key, Node)>),
}

/// A key and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its text.
    pub name: String,
    /// Where it begins.
    pub at: Position,
}

impl Node {
    /// The kind in words, for messages.
    #[must_use]
    pub fn describe(&self) -> &'static str {
        match self.kind {
            Kind::Null => "nothing",
            Kind::Scalar(_) => "a single value",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }
}

/// Reads YAML.
///
/// # Errors
/// One [`Fault`] for text that is no YAML.
pub fn parse(text: &str) -> Result<Node, Fault> {
    let mut budget = Budget::default();
    budget.max_nodes = NODES_MAX;
    let mut options = Options::default();
    options.duplicate_keys = DuplicateKeyPolicy::PassThrough;
    // Only `true` and `false`: a policy may be called `n` or `on`.
    options.strict_booleans = true;
    options.with_snippet = false;
    options.budget = Some(budget);
    let tree = serde_saphyr::from_str_with_options::<Option<Tree>>(text, options);
    match tree {
        Ok(Some(tree)) => Ok(tree.into_node(&lines(text).collect::<Vec<_>>())),
        Ok(None) => Ok(Node { at: Position::START, kind: Kind::Null }),
        Err(error) => {
            let at = error.location().map_or(Position::START, |at| position(at.line(), at.column()));
            let says = error.without_snippet().to_string();
            let says = says.split(" at line").next().unwrap_or(&says).trim_end_matches('.').to_owned();
            if says.contains("multiple YAML documents") {
                let says = "a second document begins before this line";
                return Err(Fault::new(at, "", says, "keep one, without `---` after it"));
            }
            Err(Fault::new(
                at,
                "",
                format!("this is no YAML: {says}"),
                "correct the syntax on or before this line",
            ))
        }
    }
}

fn position(line: u64, column: u64) -> Position {
    let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX).max(1);
    Position { line: number(line), column: number(column) }
}

#[derive(Debug)]
struct Tree(Spanned<Raw>);

#[derive(Debug)]
enum Raw {
    Null,
    Scalar(String),
    /// A number as the library writes it, which is not always how it was typed.
    Number(String),
    List(Vec<Tree>),
    Map(Vec<(Spanned<Raw>, Tree)>),
}

impl Tree {
    fn into_node(self, lines: &[&str]) -> Node {
        let at = place(&self.0);
        let typed = as_typed(&self.0, lines);
        let kind = match self.0.value {
            Raw::Null => Kind::Null,
            Raw::Scalar(text) | Raw::Number(text) => Kind::Scalar(typed.unwrap_or(text)),
            Raw::List(list) => Kind::List(list.into_iter().map(|item| item.into_node(lines)).collect()),
            Raw::Map(map) => {
                let entry =
                    |(key, value): (Spanned<Raw>, Self)| (into_key(key, lines), value.into_node(lines));
                Kind::Map(map.into_iter().map(entry).collect())
            }
        };
        Node { at, kind }
    }
}

/// A number as it was typed: `007` and `1e5` may be a password or a name.
fn as_typed(spanned: &Spanned<Raw>, lines: &[&str]) -> Option<String> {
    let Raw::Number(_) = spanned.value else { return None };
    let at = position(spanned.defined.line(), spanned.defined.column());
    let letters = lines.get(at.line.checked_sub(1)?)?.chars().skip(at.column.checked_sub(1)?);
    let is_part = |letter: &char| letter.is_ascii_alphanumeric() || "+-._".contains(*letter);
    let typed: String = letters.take_while(is_part).collect();
    // Behind a tag or an anchor stands something else.
    typed.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first)).then_some(typed)
}

fn into_key(key: Spanned<Raw>, lines: &[&str]) -> Key {
    let at = place(&key);
    let typed = as_typed(&key, lines);
    let name = match key.value {
        Raw::Scalar(text) | Raw::Number(text) => typed.unwrap_or(text),
        Raw::Null => "null".to_owned(),
        Raw::List(_) | Raw::Map(_) => "(a composite key)".to_owned(),
    };
    Key { name, at }
}

fn place<T>(spanned: &Spanned<T>) -> Position {
    position(spanned.referenced.line(), spanned.referenced.column())
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::<Raw>::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Scalar(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = access.next_element::<Tree>()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = access.next_key::<Spanned<Raw>>()? {
            map.push((key, access.next_value::<Tree>()?));
        }
        Ok(Raw::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_and_value_knows_its_place() {
        let root = parse("server:\n  listen: 127.0.0.1:0\nroutes:\n  - {path: /, limit: 10}\nempty:\n")
            .expect("YAML");
        let Kind::Map(sections) = root.kind else { panic!("a mapping") };
        assert_eq!(
            sections.iter().map(|(key, _)| (&*key.name, key.at.line, key.at.column)).collect::<Vec<_>>(),
            [("server", 1, 1), ("routes", 3, 1), ("empty", 5, 1)]
        );
        let Kind::Map(server) = &sections[0].1.kind else { panic!("a mapping") };
        assert_eq!((server[0].0.at.column, server[0].1.at.line, server[0].1.at.column), (3, 2, 11));
        let Kind::List(routes) = &sections[1].1.kind else { panic!("a list") };
        let Kind::Map(route) = &routes[0].kind else { panic!("a mapping") };
        assert_eq!(
            route[1].1,
            Node { at: Position { line: 4, column: 22 }, kind: Kind::Scalar("10".into()) }
        );
        assert_eq!(sections[2].1.kind, Kind::Null);
    }

    #[test]
    fn repeated_keys_are_kept_for_the_reader_to_refuse() {
        let root = parse("a: 1\nb: 2\na: 3\n").expect("YAML");
        let Kind::Map(keys) = root.kind else { panic!("a mapping") };
        assert_eq!(keys.len(), 3);
    }

    #[test]
    fn what_is_no_yaml_is_a_fault_with_a_place() {
        for (text, line) in [("a: [1, 2\nb: 3", 2), ("a:\n\t- b", 2), ("a: 'x\n", 1)] {
            let fault = parse(text).expect_err("no YAML");
            assert!(fault.at.line >= 1 && fault.at.line <= line + 1, "{text:?}: {fault:?}");
        }
        assert_eq!(parse("").expect("nothing").kind, Kind::Null);
    }
}
