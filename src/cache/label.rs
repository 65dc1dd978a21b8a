//! What a stored response is called by, for those who want it gone: whose it is, where it is, its tags.

use crate::base::Digester;
use crate::cache::purge::What;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// How many leading path segments have a name of their own, so that a purge by prefix costs nothing.
pub const PREFIX_DEPTH_MAX: usize = 4;

/// How many tags an entry may have. More is not stored: a tag that is forgotten is a purge that does nothing.
pub const TAGS_MAX: usize = 64;

/// How long a tag may be, in bytes.
pub const TAG_BYTES_MAX: usize = 256;

/// Buckets of paths that were written to. Two paths share one by chance of 1 : 65,536; both are then fetched again.
pub const BUCKETS: u32 = 1 << 16;

/// What an entry is called by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The tenant that it belongs to; `None` where no tenant is in its key.
    pub tenant: Option<Arc<str>>,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Scheme and authority of the request that filled it.
    pub origin: String,
    /// Canonical path, with `?query` where there is one.
    pub target: String,
    /// Tags of the namespace and of the response.
    pub tags: Vec<String>,
}

/// The names as numbers, for a quick comparison with what was purged. Only in this process; never stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Of the tenant, or of none.
    pub(super) tenant: u64,
    /// Of the namespace.
    pub(super) namespace: u64,
    /// Everything, each tag, the path, the path with its query, each prefix.
    pub(super) whats: Vec<u64>,
    /// The bucket of a write to its path by its tenant.
    pub(super) bucket: u32,
}

impl Label {
    /// The path without its query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The names as numbers.
    #[must_use]
    pub fn names(&self) -> Names {
        let path = self.path();
        let mut whats = vec![number(&What::All), number_of("path", path)];
        if self.target.len() > path.len() {
            whats.push(number_of("path", &self.target));
        }
        whats.extend(self.tags.iter().map(|tag| number_of("tag", tag)));
        whats.extend(prefixes(path).map(|prefix| number_of("prefix", prefix)));
        Names {
            tenant: tenant_number(self.tenant.as_deref()),
            namespace: number_of("namespace", &self.namespace),
            whats,
            bucket: bucket(self.tenant.as_deref(), path),
        }
    }

    /// Bytes it occupies in memory with its names, estimated upwards.
    #[must_use]
    pub fn weight(&self) -> usize {
        let texts: usize = self.tags.iter().map(|tag| tag.len() + 32).sum();
        160 + texts
            + self.origin.len()
            + self.target.len()
            + self.tenant.as_ref().map_or(0, |name| name.len())
    }
}

/// The prefixes of a path that have a name: `/`, `/a/`, `/a/b/`, …, at most [`PREFIX_DEPTH_MAX`] segments deep.
pub(super) fn prefixes(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.char_indices().filter(|(_, character)| *character == '/');
    ends.take(PREFIX_DEPTH_MAX + 1).filter_map(|(place, _)| path.get(..=place))
}

/// The bucket of a path that `tenant` (or nobody in particular) writes to. The same in every instance.
#[must_use]
pub fn bucket(tenant: Option<&str>, path: &str) -> u32 {
    let digester = Digester::new("tidegate written path 1");
    let digester = digester.part(&[u8::from(tenant.is_some())]).part(tenant.unwrap_or_default().as_bytes());
    let [a, b, c, d] = digester.part(path.as_bytes()).finish().head();
    u32::from_le_bytes([a, b, c, d]) % BUCKETS
}

pub(super) fn tenant_number(tenant: Option<&str>) -> u64 {
    tenant.map_or(0, |tenant| number_of("tenant", tenant))
}

pub(super) fn number(what: &What) -> u64 {
    match what {
        What::All => 0,
        What::Tag(tag) => number_of("tag", tag),
        What::Path(path) => number_of("path", path),
        What::Prefix(prefix) => number_of("prefix", prefix),
        What::Glob(glob) => number_of("glob", glob),
        What::Written(bucket) => u64::from(*bucket),
    }
}

/// Two names with one number are purged together, so chance does no harm.
pub(super) fn number_of(kind: &'static str, name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (kind, name).hash(&mut hasher);
    hasher.finish().max(1)
}

/// The tags of a response: `Surrogate-Key` (separated by spaces) and `Cache-Tag` (by commas), behind those of its
/// namespace, each once. `None`: more or longer ones than an entry may have.
#[must_use]
pub fn tags(namespace: &[String], headers: &http::HeaderMap) -> Option<Vec<String>> {
    let mut tags: Vec<String> = namespace.to_vec();
    let lines = |name| headers.get_all(name).into_iter().map(http::HeaderValue::to_str);
    for line in lines(SURROGATE_KEY) {
        tags.extend(line.ok()?.split_ascii_whitespace().map(str::to_owned));
    }
    for line in lines(CACHE_TAG) {
        tags.extend(line.ok()?.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned));
    }
    tags.sort_unstable();
    tags.dedup();
    let fits = tags.len() <= TAGS_MAX && tags.iter().all(|tag| tag.len() <= TAG_BYTES_MAX);
    fits.then_some(tags)
}

/// Tags of an answer, separated by spaces.
pub const SURROGATE_KEY: http::HeaderName = http::HeaderName::from_static("surrogate-key");

/// Tags of an answer, separated by commas.
pub const CACHE_TAG: http::HeaderName = http::HeaderName::from_static("cache-tag");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::testing::headers;

    #[test]
    fn prefixes_end_at_segments_and_at_the_fourth() {
        let of = |path| prefixes(path).collect::<Vec<_>>();
        assert_eq!(of("/"), ["/"]);
        assert_eq!(of("/a/b"), ["/", "/a/"]);
        assert_eq!(of("/a/b/c/d/e/f"), ["/", "/a/", "/a/b/", "/a/b/c/", "/a/b/c/d/"]);
    }

    #[test]
    fn tags_come_from_both_fields_and_the_namespace_each_once() {
        let fields =
            headers(&[("surrogate-key", "b a"), ("surrogate-key", "c"), ("cache-tag", "d d, , a b")]);
        let found = tags(&["content".to_owned()], &fields).expect("few");
        assert_eq!(found, ["a", "a b", "b", "c", "content", "d d"]);
    }

    #[test]
    fn too_many_or_too_long_tags_are_none_at_all() {
        let many = (0..=TAGS_MAX).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        let long = "x".repeat(TAG_BYTES_MAX + 1);
        for text in [many.as_str(), long.as_str()] {
            assert_eq!(tags(&[], &headers(&[("surrogate-key", text)])), None);
        }
    }

    #[test]
    fn buckets_keep_tenants_and_nobody_apart() {
        let of = |tenant| bucket(tenant, "/a");
        assert!(of(None) != of(Some("")) && of(Some("a")) != of(Some("b")) && of(None) < BUCKETS);
    }
}
