//! What a path of `cache.warm` or of a route's `refresh` leads to, and the orders that are made of configured or sent lists.
//!
//! Every path is looked up in the routes: one that no route caches would be asked for in vain, and is a fault.

use crate::cache::warm::{CONCURRENCY_MAX, Cause, ITEMS_MAX, plan};
use crate::cache::{Namespace, Scope, Warm, WarmIdentity, WarmOrder};
use crate::config::fault::hint;
use crate::config::reader::{Reader, Taken};
use crate::config::snapshot::{Route, Snapshot};
use crate::config::tree::Kind;
use crate::route::{EncodedSlash, Table};
use http::Method;
use std::sync::Arc;

/// Requests of a job under way at once, where it does not say.
pub(super) const CONCURRENCY: usize = 2;

/// The routes that a path may be served by.
pub(super) struct Served<'a> {
    /// They.
    pub(super) routes: &'a Table<Arc<Route>>,
    /// What `%2F` in a path means.
    pub(super) slash: EncodedSlash,
    /// Is caching switched on?
    pub(super) has_caching: bool,
}

/// Why a path cannot be warmed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum PathFault {
    /// It is no path.
    Malformed,
    /// No route that caches answers GET of it.
    NotCached,
}

/// The canonical form of a path with or without `?query`; `None` for what is no target of a request.
pub(super) fn canonical_target(text: &str, slash: EncodedSlash) -> Option<String> {
    let (path, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
    let is_target = text.parse::<http::uri::PathAndQuery>().is_ok_and(|parsed| parsed.as_str() == text);
    if !is_target || !path.starts_with('/') {
        return None;
    }
    let path = crate::route::canonical_path(path, slash).ok()?;
    Some(query.map_or_else(|| path.clone(), |query| format!("{path}?{query}")))
}

impl Served<'_> {
    /// The canonical target, and the namespace that keeps its answer; no namespace where caching is switched off.
    fn target(&self, host: &str, text: &str) -> Result<(String, Option<Arc<Namespace>>), PathFault> {
        let target = canonical_target(text, self.slash).ok_or(PathFault::Malformed)?;
        let path = target.split('?').next().unwrap_or_default();
        let route = self.routes.find(host, path, &Method::GET);
        match route.and_then(|route| route.namespace.clone()) {
            None if self.has_caching => Err(PathFault::NotCached),
            namespace => Ok((target, namespace)),
        }
    }
}

/// A target that can be filled by requests with credentials, or without.
pub(super) fn checked(
    served: &Served<'_>,
    host: &str,
    text: &str,
    has_credentials: bool,
) -> Result<String, (String, &'static str)> {
    match served.target(host, text) {
        Err(PathFault::Malformed) => Err((format!("`{text}` is no path"), "write one such as /a or /a?b=c")),
        Err(PathFault::NotCached) => Err((
            format!("no route of this host caches `{text}`"),
            "give its route `cache`, or leave the path out",
        )),
        Ok((target, namespace)) => {
            let is_public = namespace.is_none_or(|namespace| namespace.scope == Scope::Public);
            if is_public || has_credentials {
                return Ok(target);
            }
            let says = format!("`{text}` is kept for each tenant or user, and no identity asks for it");
            Err((says, "name identities of `cache.warm.identities`"))
        }
    }
}

/// All identities, or one request without a credential where there is none.
pub(super) fn everybody(identities: &[Arc<WarmIdentity>]) -> Vec<Option<Arc<WarmIdentity>>> {
    if identities.is_empty() { vec![None] } else { identities.iter().cloned().map(Some).collect() }
}

/// Are the paths of a route's `refresh` paths that some route caches?
pub(super) fn check_refresh(
    reader: &mut Reader<'_>,
    route: &Taken,
    table: &Table<Arc<Route>>,
    slash: EncodedSlash,
) {
    let Kind::Map(entries) = &route.node.kind else { return };
    let Some((key, node)) = entries.iter().find(|(key, _)| key.name == "refresh") else { return };
    let taken = Taken { path: format!("{}.refresh", route.path), node: node.clone(), key_at: key.at };
    for item in reader.list(&taken) {
        let Kind::Scalar(text) = &item.node.kind else { continue };
        let Some(target) = canonical_target(text, slash) else { continue };
        let path = target.split('?').next().unwrap_or_default();
        // The host is the writer's, which is known only then.
        let is_cached =
            table.iter().any(|(matched, route)| route.namespace.is_some() && matched.pattern.matches(path));
        if !is_cached {
            let remedy = "give its route `cache`, or leave the path out";
            reader.fault(item.node.at, &item.path, format!("no route caches `{text}`"), remedy);
        }
    }
}

/// What somebody wants warmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WarmWanted {
    /// A job of the configuration.
    Job(String),
    /// A list.
    List {
        /// Names of identities; `None`: all there are, nobody where the list is empty.
        identities: Option<Vec<String>>,
        /// Paths, with `?query`.
        paths: Vec<String>,
        /// Requests under way at once.
        concurrency: Option<usize>,
    },
}

/// The order to warm what is wanted.
///
/// # Errors
/// Everything that is wrong with it, a sentence each.
pub fn warm_order(snapshot: &Snapshot, wanted: &WarmWanted) -> Result<WarmOrder, Vec<String>> {
    let Some(warm) = &snapshot.warm else {
        return Err(vec![
            "the configuration has no `cache.warm`; its `host` says what clients ask".to_owned(),
        ]);
    };
    match wanted {
        WarmWanted::Job(name) => {
            let names: Vec<&str> = warm.jobs.iter().map(|job| &*job.name).collect();
            let job = warm.jobs.iter().find(|job| *job.name == **name);
            let job = job.ok_or_else(|| vec![format!("there is no job `{name}`; {}", hint(name, &names))])?;
            Ok(warm.order(job, Cause::Order))
        }
        WarmWanted::List { identities, paths, concurrency } => {
            list(snapshot, warm, (identities.as_deref(), paths), concurrency.unwrap_or(CONCURRENCY))
        }
    }
}

fn list(
    snapshot: &Snapshot,
    warm: &Warm,
    (identities, paths): (Option<&[String]>, &[String]),
    concurrency: usize,
) -> Result<WarmOrder, Vec<String>> {
    let (callers, mut faults) = named(warm, identities);
    let slash = snapshot.server.request.encoded_slash;
    let served = Served { routes: &snapshot.routes, slash, has_caching: true };
    let host = crate::message::host(&warm.site.authority);
    let mut targets = Vec::new();
    let has_credentials = callers.iter().any(Option::is_some) || !faults.is_empty();
    for path in paths {
        match checked(&served, host, path, has_credentials) {
            Ok(target) => targets.push(target),
            Err((says, remedy)) => faults.push(format!("{says}; {remedy}")),
        }
    }
    if paths.is_empty() {
        faults.push("no path is named".to_owned());
    }
    if callers.len().saturating_mul(targets.len()) > ITEMS_MAX {
        faults.push(format!("it makes more than {ITEMS_MAX} requests; send several lists"));
    }
    if !(1..=CONCURRENCY_MAX).contains(&concurrency) {
        faults.push(format!("`concurrency` is a number from 1 to {CONCURRENCY_MAX}"));
    }
    if faults.is_empty() {
        Ok(warm.list(plan(&callers, &targets), concurrency, Cause::Order))
    } else {
        Err(faults)
    }
}

fn named(warm: &Warm, names: Option<&[String]>) -> (Vec<Option<Arc<WarmIdentity>>>, Vec<String>) {
    let Some(names) = names else { return (everybody(&warm.identities), Vec::new()) };
    let known: Vec<&str> = warm.identities.iter().map(|identity| &*identity.name).collect();
    let (mut callers, mut faults) = (Vec::new(), Vec::new());
    for name in names {
        match warm.identities.iter().find(|identity| *identity.name == **name) {
            Some(identity) => callers.push(Some(Arc::clone(identity))),
            None => faults.push(format!("there is no identity `{name}`; {}", hint(name, &known))),
        }
    }
    if names.is_empty() {
        callers.push(None);
    }
    (callers, faults)
}
