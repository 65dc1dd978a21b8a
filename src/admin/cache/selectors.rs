//! What a body of a purge selects, checked against the configuration and made canonical as requests are.

use crate::base::Problem;
use crate::cache::label::TAG_BYTES_MAX;
use crate::cache::{Mode, Purge, What, Whose};
use crate::config::Snapshot;
use crate::config::fault::hint;
use crate::route::{EncodedSlash, canonical_path};
use crate::web::answer::wrong;
use serde::Deserialize;

/// Tags and paths of one purge, each.
const NAMES_MAX: usize = 1_000;

/// Bytes of a glob, of a prefix and of a tenant.
const TEXT_BYTES_MAX: usize = 1 << 10;

/// Bytes of a path with its query: what a request line may have.
const PATH_BYTES_MAX: usize = 16 << 10;

const HOW: &str = "name at least one of `tenant`, `namespace`, `tags`, `paths`, `prefix` and `glob`; \
                   `{\"prefix\": \"/\"}` is everything";

/// The body of a purge.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    pub(super) tenant: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) tags: Option<Vec<String>>,
    pub(super) paths: Option<Vec<String>>,
    pub(super) prefix: Option<String>,
    pub(super) glob: Option<String>,
    pub(super) mode: Option<Mode>,
    #[serde(default)]
    pub(super) dry_run: bool,
}

impl Wanted {
    /// The purges that it stands for: the union of tags, paths, prefix and glob, each of that tenant and namespace.
    pub(super) fn purges(&self, snapshot: &Snapshot, mode: Mode) -> Result<Vec<Purge>, Box<Problem>> {
        if let Some(namespace) = &self.namespace {
            known(snapshot, namespace)?;
        }
        let slash = snapshot.server.request.encoded_slash;
        let whats = self.whats(slash).map_err(odd)?;
        let whose = match &self.tenant {
            None => Whose::All,
            Some(tenant) => Whose::Tenant(bounded("tenant", tenant, TEXT_BYTES_MAX).map_err(odd)?.to_owned()),
        };
        let purge = |what| Purge { mode, whose: whose.clone(), namespace: self.namespace.clone(), what };
        Ok(whats.into_iter().map(purge).collect())
    }

    fn whats(&self, slash: EncodedSlash) -> Result<Vec<What>, String> {
        let mut whats = Vec::new();
        for tag in listed("tags", self.tags.as_ref())? {
            whats.push(What::Tag(bounded("tags", tag, TAG_BYTES_MAX)?.to_owned()));
        }
        for path in listed("paths", self.paths.as_ref())? {
            whats.push(What::Path(target(path, slash).map_err(|why| format!("`paths`: `{path}`: {why}"))?));
        }
        if let Some(text) = &self.prefix {
            whats.push(prefix(text, slash).map_err(|why| format!("`prefix`: {why}"))?);
        }
        if let Some(text) = &self.glob {
            whats.push(What::Glob(glob(text, slash).map_err(|why| format!("`glob`: {why}"))?));
        }
        if whats.is_empty() {
            if self.tenant.is_none() && self.namespace.is_none() {
                return Err(HOW.to_owned());
            }
            whats.push(What::All);
        }
        whats.sort_unstable();
        whats.dedup();
        Ok(whats)
    }
}

/// The purges that a body stands for; `None` when it is refused. Public for the fuzz targets.
#[must_use]
pub fn selected(snapshot: &Snapshot, body: &[u8]) -> Option<Vec<Purge>> {
    let wanted: Wanted = serde_json::from_slice(body).ok()?;
    wanted.purges(snapshot, wanted.mode.unwrap_or(Mode::Hard)).ok()
}

fn odd(detail: String) -> Box<Problem> {
    wrong(400, "invalid-body", "The body is not understood", detail)
}

/// An unknown namespace would be a purge that does nothing. Those written into a route have names too; `explain` tells them.
fn known(snapshot: &Snapshot, name: &str) -> Result<(), Box<Problem>> {
    let of_routes = snapshot.routes.iter().filter_map(|(_, route)| route.namespace.as_ref());
    let mut names: Vec<&str> =
        snapshot.namespaces.iter().chain(of_routes).map(|space| &*space.name).collect();
    names.sort_unstable();
    names.dedup();
    if names.contains(&name) {
        return Ok(());
    }
    Err(wrong(400, "no-namespace", "There is no such namespace", hint(name, &names)))
}

/// An empty list is refused: whoever made it up meant none, not all.
fn listed<'w>(key: &str, list: Option<&'w Vec<String>>) -> Result<&'w [String], String> {
    match list {
        Some(list) if list.is_empty() => Err(format!("`{key}` is empty; leave it out, or name some")),
        Some(list) if list.len() > NAMES_MAX => {
            Err(format!("`{key}` names more than {NAMES_MAX}; send several purges"))
        }
        list => Ok(list.map_or(&[], Vec::as_slice)),
    }
}

fn bounded<'t>(key: &str, text: &'t str, bytes_max: usize) -> Result<&'t str, String> {
    match text {
        "" => Err(format!("`{key}`: an empty name selects nothing; leave it out")),
        long if long.len() > bytes_max => Err(format!("`{key}`: at most {bytes_max} bytes")),
        fits => Ok(fits),
    }
}

/// A canonical path, with `?query` where there is one. An absolute URL counts by its path, whatever its host: entries are
/// called by their path.
pub(super) fn target(text: &str, slash: EncodedSlash) -> Result<String, String> {
    let text = bounded("path", text, PATH_BYTES_MAX)?;
    let text = text.split('#').next().unwrap_or_default();
    let rest = match text.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['/', '?']) => {
            rest.find(['/', '?']).and_then(|at| rest.get(at..)).unwrap_or_default()
        }
        _ => return canonical(text, slash),
    };
    if rest.starts_with('/') { canonical(rest, slash) } else { canonical(&format!("/{rest}"), slash) }
}

fn canonical(text: &str, slash: EncodedSlash) -> Result<String, String> {
    let (path, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
    let path = canonical_path(path, slash).map_err(|fault| fault.to_string())?;
    match query {
        None => Ok(path),
        Some(query) if query.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(format!("{path}?{query}")),
        Some(_) => Err("the query has a character that must be percent-encoded".to_owned()),
    }
}

fn prefix(text: &str, slash: EncodedSlash) -> Result<What, String> {
    let prefix = canonical(pattern(text)?, slash)?;
    // Only prefixes of the path have names; a star in one is a character of the path like any other.
    let is_plain = !prefix.contains(['?', '*']);
    Ok(if is_plain { What::prefix(&prefix) } else { What::Glob(format!("{prefix}*")) })
}

/// Also one that begins with a star, although no path does.
fn glob(text: &str, slash: EncodedSlash) -> Result<String, String> {
    let text = pattern(text)?;
    if text.starts_with('*') {
        let canonical = canonical(&format!("/{text}"), slash)?;
        return Ok(canonical.strip_prefix('/').unwrap_or_default().to_owned());
    }
    canonical(text, slash)
}

/// Dots that climb over a star would name another part of the tree than they seem to.
fn pattern(text: &str) -> Result<&str, String> {
    let text = bounded("pattern", text, TEXT_BYTES_MAX)?;
    let path = text.split('?').next().unwrap_or_default();
    let is_dots = |segment: &str| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        plain == "." || plain == ".."
    };
    if path.split('/').any(is_dots) || text.contains('#') {
        return Err("it has a segment of dots, or a `#`; write it as the paths of requests look".to_owned());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Env, Source, load};
    use serde_json::{Value, json};

    fn snapshot() -> Snapshot {
        let text = "upstreams: {backend: \"127.0.0.1:1\"}\ncache: {namespaces: {content: {ttl: 5m}}}\n\
                    routes: [{path: /, cache: content}, {path: /x, cache: {ttl: 1m}}]";
        let source = Source::Text { name: "t.yaml".to_owned(), text: text.to_owned() };
        load(&source, &Env::default(), 1).expect("valid").snapshot
    }

    fn purges(body: Value) -> Result<Vec<Purge>, Box<Problem>> {
        let wanted: Wanted = serde_json::from_value(body).expect("its shape");
        wanted.purges(&snapshot(), wanted.mode.unwrap_or(Mode::Hard))
    }

    fn texts(body: Value) -> Vec<String> {
        purges(body).expect("sound").iter().map(Purge::text).collect()
    }

    #[test]
    fn several_names_are_a_union_that_tenant_and_namespace_narrow() {
        assert_eq!(
            texts(json!({"tags": ["b", "a", "b"]})),
            [
                r#"{"m":"hard","t":"all","n":null,"w":{"tag":"a"}}"#,
                r#"{"m":"hard","t":"all","n":null,"w":{"tag":"b"}}"#,
            ]
        );
        let narrow = json!({"tenant": "acme", "namespace": "content", "tags": ["a"], "paths": ["/p"], "prefix": "/a/", "glob": "*.json", "mode": "soft"});
        let of = |what: &str| format!(r#"{{"m":"soft","t":{{"tenant":"acme"}},"n":"content","w":{what}}}"#);
        let expected =
            [r#"{"tag":"a"}"#, r#"{"path":"/p"}"#, r#"{"prefix":"/a/"}"#, r#"{"glob":"*.json"}"#].map(of);
        assert_eq!(texts(narrow), expected);
        assert_eq!(
            texts(json!({"tenant": "acme"})),
            [r#"{"m":"hard","t":{"tenant":"acme"},"n":null,"w":"all"}"#]
        );
        assert_eq!(texts(json!({"namespace": "route-line-3-55"})).len(), 1, "those of routes have names too");
    }

    #[test]
    fn paths_are_spelt_as_requests_are() {
        let of = |text: &str| target(text, EncodedSlash::Reject);
        for (text, expected) in [
            ("/a//b/../%63", "/a/c"),
            ("/a?x=%41&y", "/a?x=%41&y"),
            ("/a?", "/a?"),
            ("https://api.example:8443/a/./b?x#top", "/a/b?x"),
            ("https://api.example", "/"),
            ("https://api.example?x", "/?x"),
            ("/go?to=https://api.example/b", "/go?to=https://api.example/b"),
        ] {
            assert_eq!(of(text).as_deref(), Ok(expected), "{text}");
        }
        for odd in ["", "a", "/a b", "/a%2Fb", "/a?x y", "/a?\u{fc}", "/a%zz", "mailto:a@b"] {
            assert!(of(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn prefixes_have_names_where_they_can_and_globs_stay_globs() {
        let prefix = |text| prefix(text, EncodedSlash::Reject);
        assert_eq!(prefix("/%61/"), Ok(What::Prefix("/a/".to_owned())));
        assert_eq!(prefix("/"), Ok(What::Prefix("/".to_owned())));
        assert_eq!(prefix("/a"), Ok(What::Glob("/a*".to_owned())));
        assert_eq!(prefix("/a?x/"), Ok(What::Glob("/a?x/*".to_owned())));
        let glob = |text| glob(text, EncodedSlash::Reject);
        assert_eq!(glob("/%61//*?page=*").as_deref(), Ok("/a/*?page=*"));
        assert_eq!(glob("*/x.json").as_deref(), Ok("*/x.json"));
        for odd in ["", "a*", "/a/*/../b", "/a/%2E%2e/*", "/a#*", &format!("/{}", "a".repeat(1_024))] {
            assert!(glob(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn what_selects_nothing_or_too_much_is_refused_with_the_reason() {
        let many: Vec<String> = (0..=NAMES_MAX).map(|n| format!("/{n}")).collect();
        for (body, name, detail) in [
            (json!({}), "invalid-body", "at least one"),
            (json!({"mode": "soft", "dry_run": true}), "invalid-body", "at least one"),
            (json!({"tenant": ""}), "invalid-body", "`tenant`"),
            (json!({"tenant": "acme", "tags": []}), "invalid-body", "`tags` is empty"),
            (json!({"tags": [""]}), "invalid-body", "`tags`"),
            (json!({"tags": ["x".repeat(257)]}), "invalid-body", "256"),
            (json!({"paths": many}), "invalid-body", "1000"),
            (json!({"paths": ["a"]}), "invalid-body", "`a`: the path does not begin"),
            (json!({"namespace": "contnt"}), "no-namespace", "did you mean `content`?"),
            (json!({"namespace": ""}), "no-namespace", "`content`"),
        ] {
            let problem = purges(body.clone()).expect_err("refused");
            assert_eq!(problem.status, 400, "{body}");
            assert!(problem.kind.ends_with(name) && problem.detail.contains(detail), "{body}: {problem:?}");
        }
    }
}
