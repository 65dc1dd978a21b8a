//! One path pattern of a route as it is written in the configuration.
//!
//! A pattern is compared with canonical paths only, so its literal parts are brought into canonical spelling here.

use std::fmt;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use super::path::{EncodedSlash, PathFault, canonical_path};

/// The longest pattern in bytes.
pub const PATTERN_BYTES_MAX: usize = 1_024;

/// The most segments of a pattern; bounds the depth of the table's tree.
pub const SEGMENTS_MAX: usize = 32;

/// What a compiled regular expression may occupy, in bytes.
const REGEX_BYTES_MAX: usize = 256 * 1_024;

/// The kinds of pattern in the order in which they win, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `~regex`, anchored at both ends.
    Regex,
    /// Ends in `/`: the path itself and everything below, on segment boundaries.
    Prefix,
    /// Has `{name}` segments and no trailing `/`.
    Parameters,
    /// One path; a trailing slash of the request is ignored.
    Exact,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Regex => "regex",
            Self::Prefix => "prefix",
            Self::Parameters => "parameters",
            Self::Exact => "exact",
        })
    }
}

/// One segment of a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Segment {
    /// These characters, in canonical spelling.
    Literal(Box<str>),
    /// Any one segment.
    Any,
}

#[derive(Debug, Clone)]
pub(super) enum Shape {
    /// Segments; with `prefix`, anything may follow them.
    Segments { segments: Vec<Segment>, prefix: bool },
    /// An anchored expression.
    Regex(Regex),
}

/// A checked pattern. Two patterns are equal when they are written alike.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: Arc<str>,
    shape: Shape,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

/// Why a pattern is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternFault {
    /// It begins with neither `/` nor `~`.
    #[error("a path begins with `/`, or with `~` for a regular expression")]
    NotAbsolute,
    /// Longer than [`PATTERN_BYTES_MAX`] or more than [`SEGMENTS_MAX`] segments.
    #[error("a path has at most {PATTERN_BYTES_MAX} bytes and {SEGMENTS_MAX} segments")]
    TooLong,
    /// A `*`, which people expect to be a wildcard.
    #[error(
        "`*` is not a wildcard here; end the path with `/` for all below it, or write `{{name}}` for one segment"
    )]
    Star,
    /// Braces that are not one whole segment `{name}`.
    #[error(
        "`{segment}` is not a parameter; `{{name}}` must be a whole segment, with a name of letters, digits and `_`"
    )]
    Parameter {
        /// The segment as written.
        segment: String,
    },
    /// An empty, `.` or `..` segment: no canonical path has one, so the route would never match.
    #[error("the path has an empty, `.` or `..` segment, which no request has after normalisation")]
    Segment,
    /// A character that no canonical path has.
    #[error("{0}, so no request can match")]
    Path(#[from] PathFault),
    /// The expression does not compile, or only into something too large.
    #[error("the regular expression is refused: {0}")]
    Regex(String),
}

impl Pattern {
    /// Reads a pattern: `~` begins an expression, a trailing `/` makes a prefix, anything else is exact but for its
    /// `{name}` segments.
    ///
    /// # Errors
    /// [`PatternFault`] says what is wrong and what would be right.
    pub fn parse(text: &str) -> Result<Self, PatternFault> {
        if text.len() > PATTERN_BYTES_MAX {
            return Err(PatternFault::TooLong);
        }
        let shape = match (text.strip_prefix('~'), text.strip_prefix('/')) {
            (Some(expression), _) => Shape::Regex(anchored(expression.trim())?),
            (None, Some(rest)) => segments(rest)?,
            (None, None) => return Err(PatternFault::NotAbsolute),
        };
        Ok(Self { text: Arc::from(text), shape })
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Which kind of pattern this is. A prefix with `{name}` segments is a prefix.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match &self.shape {
            Shape::Regex(_) => Kind::Regex,
            Shape::Segments { prefix: true, .. } => Kind::Prefix,
            Shape::Segments { segments, .. } if segments.contains(&Segment::Any) => Kind::Parameters,
            Shape::Segments { .. } => Kind::Exact,
        }
    }

    /// Does it match this canonical path?
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let (segments, prefix) = match &self.shape {
            Shape::Regex(regex) => return regex.is_match(path),
            Shape::Segments { segments, prefix } => (segments, *prefix),
        };
        let mut rest = path.split('/').filter(|segment| !segment.is_empty());
        let fits = |segment: &Segment| match (segment, rest.next()) {
            (Segment::Literal(literal), Some(actual)) => **literal == *actual,
            (Segment::Any, Some(_)) => true,
            (_, None) => false,
        };
        segments.iter().all(fits) && (prefix || rest.next().is_none())
    }

    pub(super) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Equal for patterns that match the same paths by construction: names of parameters do not count.
    pub(super) fn identity(&self) -> String {
        let Shape::Segments { segments, prefix } = &self.shape else { return self.text.to_string() };
        let mut out = String::new();
        for segment in segments {
            out.push('/');
            match segment {
                Segment::Literal(literal) => out.push_str(literal),
                Segment::Any => out.push_str("{}"),
            }
        }
        if *prefix {
            out.push('/');
        }
        out
    }
}

fn segments(rest: &str) -> Result<Shape, PatternFault> {
    let (body, prefix) = match rest.strip_suffix('/') {
        Some("") => return Err(PatternFault::Segment),
        Some(body) => (body, true),
        None => (rest, rest.is_empty()),
    };
    if body.contains('*') {
        return Err(PatternFault::Star);
    }
    let parts: Vec<&str> = if body.is_empty() { Vec::new() } else { body.split('/').collect() };
    if parts.len() > SEGMENTS_MAX {
        return Err(PatternFault::TooLong);
    }
    Ok(Shape::Segments { segments: parts.into_iter().map(segment).collect::<Result<_, _>>()?, prefix })
}

fn segment(text: &str) -> Result<Segment, PatternFault> {
    if text.contains(['{', '}']) {
        let name = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
        let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.chars().all(|each| each.is_ascii_alphanumeric() || each == '_');
        return if is_name {
            Ok(Segment::Any)
        } else {
            Err(PatternFault::Parameter { segment: text.to_owned() })
        };
    }
    let canonical = canonical_path(&format!("/{text}"), EncodedSlash::Keep)?;
    match canonical.strip_prefix('/') {
        None | Some("") => Err(PatternFault::Segment),
        Some(literal) => Ok(Segment::Literal(Box::from(literal))),
    }
}

fn anchored(expression: &str) -> Result<Regex, PatternFault> {
    let compile = |text: &str| {
        let built =
            RegexBuilder::new(text).size_limit(REGEX_BYTES_MAX).dfa_size_limit(REGEX_BYTES_MAX).build();
        built.map_err(|fault| PatternFault::Regex(fault.to_string()))
    };
    // Alone first: `a)|(b` is no expression, but would become one that is not anchored.
    compile(expression)?;
    compile(&format!(r"\A(?:{expression})\z"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault}"))
    }

    #[test]
    fn a_trailing_slash_makes_a_prefix_on_segment_boundaries() {
        let prefix = pattern("/a/");
        assert_eq!(prefix.kind(), Kind::Prefix);
        for path in ["/a", "/a/", "/a/b", "/a/b/c/"] {
            assert!(prefix.matches(path), "{path}");
        }
        for path in ["/ab", "/", "/b/a", "/A"] {
            assert!(!prefix.matches(path), "{path}");
        }
        assert!(pattern("/").matches("/") && pattern("/").matches("/x/y"));
    }

    #[test]
    fn an_exact_path_ignores_the_requests_trailing_slash() {
        let exact = pattern("/a/b");
        assert_eq!(exact.kind(), Kind::Exact);
        assert!(exact.matches("/a/b") && exact.matches("/a/b/"));
        assert!(!exact.matches("/a/b/c") && !exact.matches("/a"));
    }

    #[test]
    fn a_parameter_is_exactly_one_segment() {
        let parameters = pattern("/users/{id}/posts");
        assert_eq!(parameters.kind(), Kind::Parameters);
        assert!(parameters.matches("/users/7/posts/"));
        assert!(!parameters.matches("/users/posts") && !parameters.matches("/users/7/8/posts"));
        let prefix = pattern("/{org}/files/");
        assert_eq!(prefix.kind(), Kind::Prefix);
        assert!(prefix.matches("/acme/files/x/y") && !prefix.matches("/files/x"));
    }

    #[test]
    fn an_expression_is_anchored_at_both_ends() {
        for text in ["~/v[0-9]+/x", "~^/v[0-9]+/x$", "~ /v[0-9]+/x"] {
            let regex = pattern(text);
            assert_eq!((regex.kind(), regex.as_str()), (Kind::Regex, text));
            assert!(regex.matches("/v12/x"), "{text}");
            assert!(!regex.matches("/v12/xy") && !regex.matches("/a/v12/x"), "{text}");
        }
        let either = pattern("~/a|/b");
        assert!(
            either.matches("/a")
                && either.matches("/b")
                && !either.matches("/a/c")
                && !either.matches("/c/b")
        );
    }

    #[test]
    fn literals_are_brought_into_canonical_spelling() {
        assert!(pattern("/%7euser/caf%c3%a9").matches("/~user/caf%C3%A9"));
    }

    #[test]
    fn refuses_what_could_never_match_or_means_something_else() {
        let fault = |text: &str| Pattern::parse(text).expect_err(text);
        for (text, expected) in [
            ("a", PatternFault::NotAbsolute),
            ("", PatternFault::NotAbsolute),
            ("/api/*", PatternFault::Star),
            ("//", PatternFault::Segment),
            ("/a//b", PatternFault::Segment),
            ("/a/../b", PatternFault::Segment),
            ("/a/%2e/b", PatternFault::Segment),
            ("/a?x=1", PatternFault::Path(PathFault::Delimiter)),
            ("/café", PatternFault::Path(PathFault::NotEncoded)),
            (&"/a".repeat(SEGMENTS_MAX + 1), PatternFault::TooLong),
            (&format!("/{}", "a".repeat(PATTERN_BYTES_MAX)), PatternFault::TooLong),
        ] {
            assert_eq!(fault(text), expected, "{text}");
        }
    }

    #[test]
    fn refuses_braces_and_expressions_that_are_not_well_formed() {
        for text in ["/{}", "/{a}b", "/{a", "/a}", "/{1a}", "/{a-b}", "/{{a}}"] {
            assert!(matches!(Pattern::parse(text), Err(PatternFault::Parameter { .. })), "{text}");
        }
        for text in ["~(", "~a)|(b", "~(?x)a #"] {
            assert!(matches!(Pattern::parse(text), Err(PatternFault::Regex(_))), "{text}");
        }
    }

    #[test]
    fn a_regex_bomb_is_refused() {
        assert!(matches!(Pattern::parse("~(a{100}){100}{100}"), Err(PatternFault::Regex(_))));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "[/~]?.{0,30}") {
            let _any = Pattern::parse(&text);
        }

        #[test]
        fn prefixes_match_as_text_with_a_boundary_does(base in "(/[ab]{1,2}){0,3}", path in "(/[ab]{1,2}){1,4}") {
            let prefix = pattern(&format!("{base}/"));
            let oracle = format!("{path}/").starts_with(&format!("{base}/"));
            prop_assert_eq!(prefix.matches(&path), oracle);
        }
    }
}
