//! A purge: which stored responses are good no more, and how hard. Its text is what instances tell each other and what
//! the shared ledger keeps; the same purge always has the same text, so a repetition replaces itself.

use crate::cache::label::{PREFIX_DEPTH_MAX, prefixes};
use serde::{Deserialize, Serialize};

/// What becomes of the entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// They expired at this moment: they may still be served while they are refreshed or when the origin fails, as long
    /// as their windows allow.
    Soft,
    /// They are gone.
    Hard,
}

/// Whose entries.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Whose {
    /// Everybody's.
    All,
    /// Those without a tenant in their key.
    Nobody,
    /// One tenant's.
    Tenant(String),
}

/// Which of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// All.
    All,
    /// Those with this tag.
    Tag(String),
    /// Those of this canonical path, whatever the query; with `?query` those of exactly this target.
    Path(String),
    /// Those whose path begins so; ends in `/`, and is at most [`PREFIX_DEPTH_MAX`] segments deep.
    Prefix(String),
    /// Those whose target matches ([`crate::cache::glob`]).
    Glob(String),
    /// Those of a path that was written to, by its bucket ([`crate::cache::label::bucket`]).
    Written(u32),
}

/// A purge.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purge {
    /// How hard.
    #[serde(rename = "m")]
    pub mode: Mode,
    /// Whose.
    #[serde(rename = "t")]
    pub whose: Whose,
    /// Of which namespace; `None`: of each.
    #[serde(rename = "n")]
    pub namespace: Option<String>,
    /// Which.
    #[serde(rename = "w")]
    pub what: What,
}

impl Purge {
    /// The purge of everything.
    #[must_use]
    pub fn everything() -> Self {
        Self { mode: Mode::Hard, whose: Whose::All, namespace: None, what: What::All }
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> String {
        // Enums and strings only: serde_json has no reason to refuse.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a text; `None` for what [`Purge::text`] of this version did not write.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

impl What {
    /// Targets that begin with `prefix`: by name where the prefix has one, else by pattern.
    #[must_use]
    pub fn prefix(prefix: &str) -> Self {
        let named =
            prefixes(prefix).last() == Some(prefix) && prefixes(prefix).count() <= PREFIX_DEPTH_MAX + 1;
        if named { Self::Prefix(prefix.to_owned()) } else { Self::Glob(format!("{prefix}*")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_text_is_short_and_read_back() {
        let purge = Purge {
            mode: Mode::Hard,
            whose: Whose::Tenant("a\"b".to_owned()),
            namespace: Some("content".to_owned()),
            what: What::Tag("x".to_owned()),
        };
        let text = r#"{"m":"hard","t":{"tenant":"a\"b"},"n":"content","w":{"tag":"x"}}"#;
        assert_eq!((purge.text().as_str(), Purge::parse(text)), (text, Some(purge)));
        let all = Purge { mode: Mode::Soft, whose: Whose::Nobody, namespace: None, what: What::All };
        assert_eq!(all.text(), r#"{"m":"soft","t":"nobody","n":null,"w":"all"}"#);
        assert_eq!(Purge::parse(&all.text()), Some(all));
        for foreign in ["", "{}", r#"{"m":"hard","t":"all","n":null,"w":{"new":"x"}}"#] {
            assert_eq!(Purge::parse(foreign), None);
        }
    }

    #[test]
    fn a_prefix_has_a_name_where_it_ends_a_segment_not_too_deep() {
        for named in ["/", "/a/", "/a/b/c/d/"] {
            assert_eq!(What::prefix(named), What::Prefix(named.to_owned()));
        }
        for other in ["/a", "/a/b", "/a/b/c/d/e/", ""] {
            assert_eq!(What::prefix(other), What::Glob(format!("{other}*")));
        }
    }
}
