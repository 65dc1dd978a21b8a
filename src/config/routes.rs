//! The section `routes`: which requests go where, under which limits and cache.

use crate::cache::{Invalidates, Namespace};
use crate::config::fault::hint;
use crate::config::policies::is_none_word;
use crate::config::reader::{Reader, Taken};
use crate::config::route_fields;
use crate::config::snapshot::{Route, Target};
use crate::config::tree::{Kind, Node};
use crate::config::warm_order::{canonical_target, check_refresh};
use crate::limit::Policy;
use crate::route::{EncodedSlash, Pattern, RouteMatch, Table};
use crate::upstream::UpstreamSettings;
use http::Method;
use std::sync::Arc;
use std::time::Duration;

/// Methods that a route may name: those of HTTP that are passed on, of `WebDAV`, and those that caches and APIs use.
/// A closed list, so that a misspelt one is a fault and not a route that never matches.
const METHODS: &[&str] = &[
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "QUERY",
    "PURGE",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "REPORT",
    "SEARCH",
];

/// What routes may name.
pub(super) struct Named<'a> {
    /// Upstreams.
    pub(super) upstreams: &'a [Arc<UpstreamSettings>],
    /// Is any upstream written down, sound or not?
    pub(super) has_upstreams: bool,
    /// Policies.
    pub(super) policies: &'a [Arc<Policy>],
    /// Namespaces.
    pub(super) namespaces: &'a [Arc<Namespace>],
    /// `ttl` of namespaces written into a route.
    pub(super) default_ttl: Option<Duration>,
    /// Is limiting switched on?
    pub(super) has_limits: bool,
    /// Is caching switched on?
    pub(super) has_caching: bool,
    /// What `%2F` in a path means.
    pub(super) slash: EncodedSlash,
}

/// Reads `routes`.
pub(super) fn routes(
    reader: &mut Reader<'_>,
    taken: Option<&Taken>,
    root: &Node,
    named: &Named<'_>,
) -> Table<Arc<Route>> {
    let items = taken.map_or_else(Vec::new, |taken| reader.list(taken));
    if items.is_empty() {
        let remedy = "add `routes: [{path: /}]` to pass everything to the upstream";
        reader.fault(root.at, "routes", "there is no route, so nothing would be served", remedy);
    }
    let names_none = |item: &Taken| match &item.node.kind {
        Kind::Map(entries) => entries.iter().all(|(key, _)| key.name != "upstream"),
        Kind::Null | Kind::Scalar(_) | Kind::List(_) => false,
    };
    if !named.has_upstreams && items.iter().any(names_none) {
        let remedy = "add `upstreams: {backend: HOST:PORT}`";
        reader.fault(root.at, "upstreams", "there is no upstream that a route could go to", remedy);
    }
    let mut routes = Vec::new();
    let mut places = Vec::new();
    for item in &items {
        if let Some(route) = route(reader, item, named) {
            routes.push(route);
            places.push(item.clone());
        }
    }
    match Table::new(routes) {
        Ok(table) => {
            for place in places.iter().filter(|_| named.has_caching) {
                check_refresh(reader, place, &table, named.slash);
            }
            table
        }
        Err(conflict) => {
            if let (Some(first), Some(second)) = (places.get(conflict.first), places.get(conflict.second)) {
                let says =
                    format!("the route matches exactly what the one in line {} does", first.node.at.line);
                reader.fault(
                    second.node.at,
                    &second.path,
                    says,
                    "remove one of the two, or tell them apart by host or methods",
                );
            }
            Table::new(Vec::new()).unwrap_or_else(|_| unreachable!("an empty table has no conflicts"))
        }
    }
}

fn route(reader: &mut Reader<'_>, item: &Taken, named: &Named<'_>) -> Option<(RouteMatch, Arc<Route>)> {
    let mut section = reader.section(&item.node, &item.path);
    let host = section.take("host").and_then(|taken| host(reader, &taken));
    let pattern = match section.take("path") {
        Some(taken) => pattern(reader, &taken),
        None => {
            reader.fault(item.node.at, &item.path, "`path` is missing", "add `path: /`");
            None
        }
    };
    let methods = section.take("methods").map(|taken| methods(reader, &taken));
    let target = target(reader, section.take("upstream"), item, named);
    let policies = limits(reader, section.take("limit"), named);
    let namespace = section.take("cache").and_then(|taken| namespace(reader, &taken, named));
    let invalidates = section.take("invalidates").map(|taken| invalidates(reader, &taken, named));
    let refresh = section.take("refresh").map_or_else(Vec::new, |taken| refresh(reader, &taken, named));
    let body_bytes = section.take("body_bytes").and_then(|taken| reader.size(&taken));
    let is_compressed = section.take("compression").and_then(|taken| reader.flag(&taken));
    let request_fields = route_fields::request(reader, &mut section);
    let response_fields = route_fields::response(reader, &mut section, namespace.as_deref());
    reader.finish(&section);
    let matched = RouteMatch { host, pattern: pattern?, methods };
    let route = Route {
        name: name(&matched).into(),
        target: target?,
        policies: if named.has_limits { policies } else { Vec::new() },
        namespace: namespace.filter(|_| named.has_caching),
        invalidates: invalidates.filter(|_| named.has_caching),
        refresh: if named.has_caching { refresh } else { Vec::new() },
        body_bytes,
        is_compressed: is_compressed.unwrap_or(true),
        request_fields,
        response_fields,
        line: item.node.at.line,
    };
    Some((matched, Arc::new(route)))
}

/// What the route's writes invalidate.
fn invalidates(reader: &mut Reader<'_>, taken: &Taken, named: &Named<'_>) -> Invalidates {
    let mut section = reader.section(&taken.node, &taken.path);
    let tags = section.take("tags").map_or_else(Vec::new, |taken| reader.texts(&taken));
    let mut namespaces = Vec::new();
    for item in section.take("namespaces").map_or_else(Vec::new, |taken| reader.list(&taken)) {
        let Some(name) = reader.name(&item) else { continue };
        if !named.namespaces.iter().any(|known| *known.name == *name) {
            let known: Vec<&str> = named.namespaces.iter().map(|known| &*known.name).collect();
            let says = format!("there is no namespace `{name}`");
            reader.fault(item.node.at, &item.path, says, hint(&name, &known));
        }
        namespaces.push(name);
    }
    let mut paths = Vec::new();
    for item in section.take("paths").map_or_else(Vec::new, |taken| reader.list(&taken)) {
        let Some(path) = reader.name(&item) else { continue };
        if !path.starts_with('/') && !path.starts_with('*') {
            let remedy = "write one such as /a, /a/ (and below) or /a/*/b";
            reader.fault(item.node.at, &item.path, format!("`{path}` is no path"), remedy);
        }
        paths.push(path);
    }
    reader.finish(&section);
    Invalidates { tags, namespaces, paths }
}

/// What is asked for again after the route's writes: whole paths, for nobody knows which ones a pattern stands for.
fn refresh(reader: &mut Reader<'_>, taken: &Taken, named: &Named<'_>) -> Vec<String> {
    let mut targets = Vec::new();
    for item in reader.list(taken) {
        let Some(text) = reader.name(&item) else { continue };
        match canonical_target(&text, named.slash).filter(|target| !target.contains('*')) {
            Some(target) => targets.push(target),
            None => {
                let remedy = "write a whole one such as /a or /a?b=c";
                reader.fault(item.node.at, &item.path, format!("`{text}` is no path"), remedy);
            }
        }
    }
    targets
}

/// Methods, host and path as one label.
fn name(matched: &RouteMatch) -> String {
    let methods = matched
        .methods
        .as_ref()
        .map(|methods| methods.iter().map(Method::as_str).collect::<Vec<_>>().join(","));
    let host = matched.host.as_deref().unwrap_or("");
    let place = format!("{host}{}", matched.pattern.as_str());
    methods.map_or(place.clone(), |methods| format!("{methods} {place}"))
}

fn host(reader: &mut Reader<'_>, taken: &Taken) -> Option<String> {
    let text = reader.name(taken)?;
    let host = crate::route::parse_host(&text).ok();
    if host.is_none() {
        let remedy = "write it without scheme, port and path, such as api.example.com or *.example.com";
        reader.fault(taken.node.at, &taken.path, format!("`{text}` is no host name"), remedy);
    }
    host
}

fn pattern(reader: &mut Reader<'_>, taken: &Taken) -> Option<Pattern> {
    let text = reader.name(taken)?;
    match Pattern::parse(&text) {
        Ok(pattern) => Some(pattern),
        Err(fault) => {
            let says = fault.to_string().lines().map(str::trim).collect::<Vec<&str>>().join(" ");
            let remedy = "write one such as /a/, /a/{id} or ~^/a/[0-9]+$";
            reader.fault(taken.node.at, &taken.path, says, remedy);
            None
        }
    }
}

fn methods(reader: &mut Reader<'_>, taken: &Taken) -> Vec<Method> {
    let items = reader.list(taken);
    let mut methods = Vec::new();
    for item in &items {
        let Some(text) = reader.name(item) else { continue };
        match Method::try_from(&*text).ok().filter(|_| METHODS.contains(&&*text)) {
            Some(method) => methods.push(method),
            None => {
                let says = format!("`{text}` is no method that is passed on");
                reader.fault(item.node.at, &item.path, says, hint(&text.to_uppercase(), METHODS));
            }
        }
    }
    if items.is_empty() {
        reader.fault(
            taken.node.at,
            &taken.path,
            "no method is named",
            "name one, or leave `methods` out for all",
        );
    }
    methods
}

fn target(reader: &mut Reader<'_>, taken: Option<Taken>, item: &Taken, named: &Named<'_>) -> Option<Target> {
    let names: Vec<&str> = named.upstreams.iter().map(|upstream| &*upstream.name).collect();
    let place = |name: &str| names.iter().position(|known| *known == name).map(Target::Upstream);
    let Some(taken) = taken else {
        let only = if names.len() == 1 { Some(Target::Upstream(0)) } else { place("backend") };
        if only.is_none() && !names.is_empty() {
            let remedy = format!("add `upstream`: {}", hint("", &names));
            reader.fault(
                item.node.at,
                &item.path,
                "there are several upstreams and none is called `backend`",
                remedy,
            );
        }
        return only.or(names.is_empty().then_some(Target::CacheStats));
    };
    let text = reader.name(&taken)?;
    if text == Target::CACHE_STATS {
        return Some(Target::CacheStats);
    }
    let found = place(&text);
    if found.is_none() {
        reader.fault(
            taken.node.at,
            &taken.path,
            format!("there is no upstream `{text}`"),
            hint(&text, &names),
        );
    }
    found
}

/// A policy, a list of policies, `none`, or nothing: `default` where it is defined.
fn limits(reader: &mut Reader<'_>, taken: Option<Taken>, named: &Named<'_>) -> Vec<Arc<Policy>> {
    let find = |name: &str| named.policies.iter().find(|policy| &*policy.name == name).cloned();
    let Some(taken) = taken else { return find("default").into_iter().collect() };
    if is_none_word(&taken.node) {
        return Vec::new();
    }
    let items = reader.list(&taken);
    let mut policies: Vec<Arc<Policy>> = Vec::new();
    for item in &items {
        let Some(text) = reader.name(item) else { continue };
        let names: Vec<&str> = named.policies.iter().map(|policy| &*policy.name).collect();
        match find(&text) {
            Some(policy) if policies.iter().any(|other| other.name == policy.name) => {
                reader.fault(
                    item.node.at,
                    &item.path,
                    format!("`{text}` stands here twice"),
                    "remove one of the two",
                );
            }
            Some(policy) => policies.push(policy),
            None => reader.fault(
                item.node.at,
                &item.path,
                format!("there is no policy `{text}`"),
                hint(&text, &names),
            ),
        }
    }
    if items.is_empty() {
        reader.fault(
            taken.node.at,
            &taken.path,
            "no policy is named",
            "write `none` if the route shall have no limit",
        );
    }
    policies
}

/// The name of a namespace, or one written out.
fn namespace(reader: &mut Reader<'_>, taken: &Taken, named: &Named<'_>) -> Option<Arc<Namespace>> {
    if let Kind::Map(_) = taken.node.kind {
        // Its place names it: two routes never share an entry by accident.
        let name = format!("route-line-{}-{}", taken.node.at.line, taken.node.at.column);
        return Some(Arc::new(crate::config::namespaces::namespace(reader, &name, taken, named.default_ttl)));
    }
    let text = reader.name(taken)?;
    let found = named.namespaces.iter().find(|space| *space.name == *text).cloned();
    if found.is_none() {
        let names: Vec<&str> = named.namespaces.iter().map(|space| &*space.name).collect();
        reader.fault(
            taken.node.at,
            &taken.path,
            format!("there is no namespace `{text}`"),
            hint(&text, &names),
        );
    }
    found
}
