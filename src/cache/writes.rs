//! What a successful write makes untrue: the written resource itself (RFC 9111 section 4.4), and what its route names.

use crate::cache::label::bucket;
use crate::cache::purge::{Mode, Purge, What, Whose};
use http::Method;
use http::header::{CONTENT_LOCATION, HeaderMap, LOCATION};

/// What a route's writes invalidate besides what they write to: entries of the writer's tenant, and those without a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Invalidates {
    /// Entries with one of these tags.
    pub tags: Vec<String>,
    /// Entries of these namespaces.
    pub namespaces: Vec<String>,
    /// Entries of these paths: `/a` itself, `/a/` and below, or a pattern with `*`.
    pub paths: Vec<String>,
}

/// Methods that only read (RFC 9110 section 9.2.1, and those of `WebDAV` and RFC 10008 that are registered as safe).
const SAFE: &[&str] = &["GET", "HEAD", "OPTIONS", "TRACE", "QUERY", "PROPFIND", "REPORT", "SEARCH"];

/// Did a request with this method and answer change something?
#[must_use]
pub fn is_write(method: &Method, status: u16) -> bool {
    (200..400).contains(&status) && !SAFE.contains(&method.as_str())
}

impl Invalidates {
    /// The purges after a write by `tenant`.
    #[must_use]
    pub fn purges(&self, tenant: Option<&str>) -> Vec<Purge> {
        let everything = self.namespaces.iter().map(|name| (Some(name.clone()), What::All));
        let tags = self.tags.iter().map(|tag| (None, What::Tag(tag.clone())));
        let paths = self.paths.iter().map(|path| (None, named(path)));
        let all: Vec<(Option<String>, What)> = everything.chain(tags).chain(paths).collect();
        let mut purges = Vec::new();
        for whose in
            [Some(Whose::Nobody), tenant.map(|name| Whose::Tenant(name.to_owned()))].into_iter().flatten()
        {
            purges.extend(all.iter().cloned().map(|(namespace, what)| Purge {
                mode: Mode::Hard,
                whose: whose.clone(),
                namespace,
                what,
            }));
        }
        purges
    }
}

fn named(path: &str) -> What {
    if path.contains('*') {
        What::Glob(path.to_owned())
    } else if path.ends_with('/') {
        What::prefix(path)
    } else {
        What::Path(path.to_owned())
    }
}

/// The purges after a write by `tenant` to canonical paths: entries of its own, and those without a tenant.
#[must_use]
pub fn written(paths: impl IntoIterator<Item: AsRef<str>>, tenant: Option<&str>) -> Vec<Purge> {
    let mut buckets: Vec<u32> = Vec::new();
    for path in paths {
        let path = path.as_ref();
        buckets.push(bucket(None, path));
        buckets.extend(tenant.map(|tenant| bucket(Some(tenant), path)));
    }
    buckets.sort_unstable();
    buckets.dedup();
    let purge = |number| Purge { what: What::Written(number), ..Purge::everything() };
    buckets.into_iter().map(purge).collect()
}

/// The paths (not canonical yet, without query) that `Location` and `Content-Location` of an answer name on the same
/// authority as the request (RFC 9111 section 4.4). `path` is the request's.
#[must_use]
pub fn named_by(headers: &HeaderMap, scheme: &str, authority: &str, path: &str) -> Vec<String> {
    let values = [LOCATION, CONTENT_LOCATION].into_iter().filter_map(|name| headers.get(name)?.to_str().ok());
    values.filter_map(|reference| resolve(reference, scheme, authority, path)).collect()
}

/// RFC 3986 section 5.2 as far as the path is concerned; `None` for another authority or scheme.
fn resolve(reference: &str, scheme: &str, authority: &str, base: &str) -> Option<String> {
    let reference = reference.split(['?', '#']).next().unwrap_or_default();
    let after_scheme = match reference.split_once("://") {
        Some((named, rest)) if !named.contains('/') => named.eq_ignore_ascii_case(scheme).then_some(rest)?,
        _ => match reference.strip_prefix("//") {
            Some(rest) => rest,
            None if reference.is_empty() => return Some(base.to_owned()),
            None if reference.starts_with('/') => return Some(reference.to_owned()),
            // Another scheme, such as `mailto:`.
            None if reference.split('/').next()?.contains(':') => return None,
            None => return Some(format!("{}{reference}", base.get(..=base.rfind('/')?)?)),
        },
    };
    let (host, path) = after_scheme.split_at(after_scheme.find('/').unwrap_or(after_scheme.len()));
    let port = if scheme == "https" { ":443" } else { ":80" };
    let plain =
        |host: &str| host.strip_suffix(port).unwrap_or(host).trim_end_matches('.').to_ascii_lowercase();
    (plain(host) == plain(authority)).then(|| if path.is_empty() { "/".to_owned() } else { path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::testing::headers;

    #[test]
    fn a_write_is_a_method_that_changes_and_an_answer_that_says_so() {
        for (method, status, expected) in [
            ("POST", 201, true),
            ("PUT", 204, true),
            ("DELETE", 303, true),
            ("M-SEARCH", 200, true),
            ("POST", 404, false),
            ("PUT", 500, false),
            ("GET", 200, false),
            ("QUERY", 200, false),
        ] {
            let parsed = Method::from_bytes(method.as_bytes()).expect("a method");
            assert_eq!(is_write(&parsed, status), expected, "{method} {status}");
        }
    }

    #[test]
    fn references_are_resolved_on_the_same_authority_only() {
        let of = |reference| resolve(reference, "http", "api.example:8080", "/a/b");
        for (reference, expected) in [
            ("/x", Some("/x")),
            ("x?y=1#z", Some("/a/x")),
            ("../x", Some("/a/../x")),
            ("?y", Some("/a/b")),
            ("http://api.example:8080/x", Some("/x")),
            ("HTTP://API.example:8080", Some("/")),
            ("//api.example:8080/x", Some("/x")),
            ("http://api.example/x", None),
            ("http://other:8080/x", None),
            ("https://api.example:8080/x", None),
            ("mailto:me@api.example", None),
        ] {
            assert_eq!(of(reference).as_deref(), expected, "{reference}");
        }
        assert_eq!(resolve("http://a:80/x", "http", "a", "/").as_deref(), Some("/x"));
        let named = named_by(&headers(&[("location", "/n/1"), ("content-location", "/n")]), "http", "a", "/");
        assert_eq!(named, ["/n/1", "/n"]);
    }

    #[test]
    fn a_write_purges_its_own_tenant_and_what_has_none() {
        let written = written(["/a", "/a"], Some("acme"));
        let mut expected = vec![bucket(None, "/a"), bucket(Some("acme"), "/a")];
        expected.sort_unstable();
        let whats: Vec<What> = written.into_iter().map(|purge| purge.what).collect();
        assert_eq!(whats, expected.into_iter().map(What::Written).collect::<Vec<_>>());

        let invalidates = Invalidates {
            tags: vec!["t".to_owned()],
            namespaces: vec!["n".to_owned()],
            paths: vec!["/a".to_owned(), "/b/".to_owned(), "/c/*/d".to_owned()],
        };
        assert_eq!(invalidates.purges(None).len(), 5);
        let purges = invalidates.purges(Some("acme"));
        let of_tenant: Vec<&Purge> = purges.iter().filter(|purge| purge.whose != Whose::Nobody).collect();
        assert_eq!((purges.len(), of_tenant.len()), (10, 5));
        assert!(of_tenant.iter().all(|purge| purge.whose == Whose::Tenant("acme".to_owned())));
        assert_eq!(of_tenant[0].namespace.as_deref(), Some("n"));
        assert_eq!(of_tenant[2].what, What::Path("/a".to_owned()));
        assert_eq!(of_tenant[3].what, What::Prefix("/b/".to_owned()));
        assert_eq!(of_tenant[4].what, What::Glob("/c/*/d".to_owned()));
    }
}
