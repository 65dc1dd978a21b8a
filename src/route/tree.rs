//! A tree over path segments: finds every exact, parameter and prefix pattern that fits a path in one descent.
//!
//! The descent visits nodes that fit the path only, so its cost follows the depth of the path, not the number of
//! routes.

use std::collections::HashMap;

use super::pattern::{Kind, Segment};

/// How far a pattern reached, and how many of its segments were literal: what decides between patterns of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Reach {
    pub(super) depth: usize,
    pub(super) literals: usize,
}

impl Reach {
    fn literal(self) -> Self {
        Self { depth: self.depth + 1, literals: self.literals + 1 }
    }

    fn any(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    literals: HashMap<Box<str>, Node>,
    any: Option<Box<Node>>,
    /// Routes whose pattern ends here.
    ends: Vec<usize>,
    /// Routes whose prefix ends here.
    prefixes: Vec<usize>,
}

impl Node {
    pub(super) fn insert(&mut self, segments: &[Segment], prefix: bool, route: usize) {
        let Some((first, rest)) = segments.split_first() else {
            if prefix { &mut self.prefixes } else { &mut self.ends }.push(route);
            return;
        };
        let child = match first {
            Segment::Literal(literal) => self.literals.entry(literal.clone()).or_default(),
            Segment::Any => self.any.get_or_insert_default(),
        };
        child.insert(rest, prefix, route);
    }

    /// Calls `found` with all routes whose pattern fits the path that `rest` goes through.
    pub(super) fn visit<'p, I>(&self, mut rest: I, reach: Reach, found: &mut dyn FnMut(Kind, Reach, &[usize]))
    where
        I: Iterator<Item = &'p str> + Clone,
    {
        if !self.prefixes.is_empty() {
            found(Kind::Prefix, reach, &self.prefixes);
        }
        let Some(segment) = rest.next() else {
            let kind = if reach.literals == reach.depth { Kind::Exact } else { Kind::Parameters };
            if !self.ends.is_empty() {
                found(kind, reach, &self.ends);
            }
            return;
        };
        if let Some(child) = self.literals.get(segment) {
            child.visit(rest.clone(), reach.literal(), found);
        }
        if let Some(child) = &self.any {
            child.visit(rest, reach.any(), found);
        }
    }
}
