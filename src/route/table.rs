//! The compiled table of routes and its order of precedence.
//!
//! Exact > `{name}` (more literal segments first) > longest prefix > regex in file order; among equals a host beats
//! none (exact host > wildcard), then methods beat none, then the file order decides.

use std::cmp::Reverse;
use std::collections::HashMap;

use http::Method;

use super::explain::{Candidate, Explained, Lost};
use super::host::{HostRank, HostRule};
use super::pattern::{Kind, Pattern, Shape};
use super::tree::{Node, Reach};

/// What a route asks of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteMatch {
    /// Host without port, as [`super::parse_host`] spells it; `*.example.com` stands for every name below.
    /// `None`: every host.
    pub host: Option<String>,
    /// The path.
    pub pattern: Pattern,
    /// The methods; GET includes HEAD. `None`: every method. An empty list matches nothing.
    pub methods: Option<Vec<Method>>,
}

/// Two routes that match exactly the same requests, by their places in the list (from 0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("two routes match the same requests, so the second would never be used")]
pub struct Conflict {
    /// The earlier one.
    pub first: usize,
    /// The later one.
    pub second: usize,
}

/// How well a route fits a request; the greatest wins. The fields are compared in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) kind: Kind,
    pub(super) expression: Reverse<usize>,
    pub(super) reach: Reach,
    pub(super) host: HostRank,
    pub(super) methods: MethodRank,
    pub(super) order: Reverse<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum MethodRank {
    None,
    /// HEAD, through a route that names GET.
    ThroughGet,
    Named,
}

/// Where a pattern stands before host and methods are looked at.
#[derive(Debug, Clone, Copy)]
struct Fit {
    kind: Kind,
    expression: usize,
    reach: Reach,
}

#[derive(Debug, Clone)]
struct Slot<T> {
    route: RouteMatch,
    host: HostRule,
    value: T,
}

/// Routes, compiled for look-up.
#[derive(Debug, Clone)]
pub struct Table<T> {
    slots: Vec<Slot<T>>,
    tree: Node,
    /// Routes of each distinct expression, in file order of its first use.
    expressions: Vec<(Pattern, Vec<usize>)>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), tree: Node::default(), expressions: Vec::new() }
    }
}

impl<T> Table<T> {
    /// Compiles a table; the order of the list is the file order.
    ///
    /// # Errors
    /// [`Conflict`] when two routes have equal host, path (whatever the names of parameters) and methods.
    pub fn new(routes: Vec<(RouteMatch, T)>) -> Result<Self, Conflict> {
        let mut table = Self::default();
        let mut seen = HashMap::new();
        for (index, (route, value)) in routes.into_iter().enumerate() {
            let host = HostRule::new(route.host.as_deref());
            let identity = (route.pattern.identity(), host.clone(), method_set(route.methods.as_deref()));
            if let Some(first) = seen.insert(identity, index) {
                return Err(Conflict { first, second: index });
            }
            table.insert(&route.pattern, index);
            table.slots.push(Slot { route, host, value });
        }
        Ok(table)
    }

    fn insert(&mut self, pattern: &Pattern, index: usize) {
        match pattern.shape() {
            Shape::Segments { segments, prefix } => self.tree.insert(segments, *prefix, index),
            Shape::Regex(_) => match self.expressions.iter_mut().find(|(known, _)| known == pattern) {
                Some((_, routes)) => routes.push(index),
                None => self.expressions.push((pattern.clone(), vec![index])),
            },
        }
    }

    /// The route of a request: host in lower case without port, canonical path, method.
    ///
    /// Hashes once per path segment; expressions are tried only when nothing else fits.
    #[must_use]
    pub fn find(&self, host: &str, path: &str, method: &Method) -> Option<&T> {
        let mut best: Option<(Rank, usize)> = None;
        self.visit_tree(path, &mut |fit, index| {
            if let Ok(rank) = self.rank(index, fit, host, method) {
                best = best.max(Some((rank, index)));
            }
        });
        if best.is_none() {
            self.visit_expressions(path, &mut |fit, index| {
                if let Ok(rank) = self.rank(index, fit, host, method) {
                    best = best.max(Some((rank, index)));
                }
                best.is_some()
            });
        }
        self.slots.get(best?.1).map(|slot| &slot.value)
    }

    /// Like [`Table::find`], with the kind of match and with every other route whose path fits and why it lost.
    #[must_use]
    pub fn explain(&self, host: &str, path: &str, method: &Method) -> Explained<'_, T> {
        let mut fitting: Vec<(Rank, usize)> = Vec::new();
        let mut unfit: Vec<(Candidate<'_, T>, Lost)> = Vec::new();
        let mut note = |fit: Fit, index: usize| match self.rank(index, fit, host, method) {
            Ok(rank) => fitting.push((rank, index)),
            Err(reason) => unfit.extend(self.candidate(index, fit.kind).map(|candidate| (candidate, reason))),
        };
        self.visit_tree(path, &mut note);
        self.visit_expressions(path, &mut |fit, index| {
            note(fit, index);
            false
        });
        fitting.sort_by_key(|&entry| Reverse(entry));
        unfit.sort_by_key(|(candidate, _)| candidate.index);
        let mut ranked = fitting.into_iter();
        let Some((winner, index)) = ranked.next() else {
            return Explained { chosen: None, lost: unfit };
        };
        let beaten = |(rank, index): (Rank, usize)| {
            self.candidate(index, rank.kind).map(|candidate| (candidate, Lost::against(winner, rank)))
        };
        let mut lost: Vec<_> = ranked.filter_map(beaten).collect();
        lost.append(&mut unfit);
        Explained { chosen: self.candidate(index, winner.kind), lost }
    }

    /// All routes in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = (&RouteMatch, &T)> {
        self.slots.iter().map(|slot| (&slot.route, &slot.value))
    }

    fn visit_tree(&self, path: &str, note: &mut dyn FnMut(Fit, usize)) {
        let segments = path.split('/').filter(|segment| !segment.is_empty());
        self.tree.visit(segments, Reach::default(), &mut |kind, reach, routes| {
            for index in routes {
                note(Fit { kind, expression: 0, reach }, *index);
            }
        });
    }

    /// Stops after the first expression for which `note` returned true.
    fn visit_expressions(&self, path: &str, note: &mut dyn FnMut(Fit, usize) -> bool) {
        let all = self.expressions.iter().enumerate();
        for (expression, (_, routes)) in all.filter(|(_, (pattern, _))| pattern.matches(path)) {
            let fit = Fit { kind: Kind::Regex, expression, reach: Reach::default() };
            let mut done = false;
            for index in routes {
                done |= note(fit, *index);
            }
            if done {
                return;
            }
        }
    }

    fn rank(&self, index: usize, fit: Fit, host: &str, method: &Method) -> Result<Rank, Lost> {
        let slot = self.slots.get(index).ok_or(Lost::Host)?;
        Ok(Rank {
            kind: fit.kind,
            expression: Reverse(fit.expression),
            reach: fit.reach,
            host: slot.host.rank(host).ok_or(Lost::Host)?,
            methods: method_rank(slot.route.methods.as_deref(), method).ok_or(Lost::Method)?,
            order: Reverse(index),
        })
    }

    fn candidate(&self, index: usize, kind: Kind) -> Option<Candidate<'_, T>> {
        let slot = self.slots.get(index)?;
        Some(Candidate { index, route: &slot.route, value: &slot.value, kind })
    }
}

fn method_rank(methods: Option<&[Method]>, method: &Method) -> Option<MethodRank> {
    match methods {
        None => Some(MethodRank::None),
        Some(list) if list.contains(method) => Some(MethodRank::Named),
        // RFC 9110 section 9.3.2: HEAD is GET without the content.
        Some(list) if method == Method::HEAD && list.contains(&Method::GET) => Some(MethodRank::ThroughGet),
        Some(_) => None,
    }
}

fn method_set(methods: Option<&[Method]>) -> Option<Vec<String>> {
    let mut names: Vec<String> = methods?.iter().map(ToString::to_string).collect();
    names.sort_unstable();
    names.dedup();
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{EncodedSlash, canonical_path};
    use proptest::prelude::*;

    fn route(line: &str) -> RouteMatch {
        let (mut host, mut methods, mut path) = (None, None, "");
        for word in line.split(' ') {
            match word.split_once('=') {
                Some(("host", name)) => host = Some(name.to_owned()),
                Some(("methods", list)) => {
                    methods = Some(list.split(',').map(|name| name.parse().expect("method")).collect());
                }
                _ => path = word,
            }
        }
        RouteMatch { host, pattern: Pattern::parse(path).expect("pattern"), methods }
    }

    fn table<'l>(lines: &[&'l str]) -> Table<&'l str> {
        Table::new(lines.iter().map(|line| (route(line), *line)).collect()).expect("no conflict")
    }

    fn found<'l>(table: &Table<&'l str>, path: &str) -> Option<&'l str> {
        table.find("h", path, &Method::GET).copied()
    }

    #[test]
    fn matching_scenario_of_the_limits_page() {
        let table = table(&["/api/v1/agents/", "/api/v1/agents/stats", "~^/api/v1/.*"]);
        for (path, rule) in [
            ("/api/v1/agents/7", "/api/v1/agents/"),
            ("/api/v1/agents", "/api/v1/agents/"),
            ("/api/v1/agents/stats/", "/api/v1/agents/stats"),
            ("/api/v1/agents2", "~^/api/v1/.*"),
            ("//api/v1/./agents/7", "/api/v1/agents/"),
        ] {
            let path = canonical_path(path, EncodedSlash::Reject).expect("path");
            assert_eq!(found(&table, &path), Some(rule), "{path}");
        }
        assert_eq!(found(&table, "/other"), None);
    }

    #[test]
    fn kinds_win_in_order_whatever_the_file_order() {
        let table =
            table(&["~/a/b/c", "/", "/a/", "/a/b/", "/a/{x}/{y}", "/a/{x}/c", "/{x}/{y}/c", "/a/b/c"]);
        assert_eq!(found(&table, "/a/b/c"), Some("/a/b/c"));
        assert_eq!(found(&table, "/a/x/c"), Some("/a/{x}/c"));
        assert_eq!(found(&table, "/a/x/y"), Some("/a/{x}/{y}"));
        assert_eq!(found(&table, "/a/b/d"), Some("/a/{x}/{y}"));
        assert_eq!(found(&table, "/a/b/c/d"), Some("/a/b/"));
        assert_eq!(found(&table, "/a/x/c/d"), Some("/a/"));
        assert_eq!(found(&table, "/z/z"), Some("/"));
    }

    #[test]
    fn equally_literal_parameters_fall_to_the_file_order() {
        assert_eq!(found(&table(&["/{x}/b", "/a/{x}"]), "/a/b"), Some("/{x}/b"));
        assert_eq!(found(&table(&["/a/{x}", "/{x}/b"]), "/a/b"), Some("/a/{x}"));
        assert_eq!(found(&table(&["/{x}/b", "host=h /a/{x}"]), "/a/b"), Some("host=h /a/{x}"));
    }

    #[test]
    fn hosts_then_methods_then_order_decide_among_equals() {
        let lines = ["/a", "methods=GET /a", "host=*.example.com /a", "host=h.example.com /a"];
        let table = table(&lines);
        let find = |host, method| table.find(host, "/a", &method).copied();
        assert_eq!(find("h.example.com", Method::GET), Some(lines[3]));
        assert_eq!(find("x.example.com", Method::GET), Some(lines[2]));
        assert_eq!(find("other", Method::GET), Some(lines[1]));
        assert_eq!(find("other", Method::PUT), Some(lines[0]));
    }

    #[test]
    fn a_route_for_another_host_or_method_leaves_the_request_to_weaker_paths() {
        let table = table(&["/", "/api/", "methods=POST /api/make", "host=other /api/make"]);
        assert_eq!(found(&table, "/api/make"), Some("/api/"));
        assert_eq!(table.find("h", "/api/make", &Method::POST).copied(), Some("methods=POST /api/make"));
    }

    #[test]
    fn head_takes_the_route_of_get_unless_it_is_named() {
        let find_head = |lines: &[&'static str]| table(lines).find("h", "/a", &Method::HEAD).copied();
        assert_eq!(find_head(&["/a", "methods=GET /a"]), Some("methods=GET /a"));
        assert_eq!(find_head(&["methods=GET /a", "methods=HEAD /a"]), Some("methods=HEAD /a"));
        assert_eq!(find_head(&["methods=POST /a"]), None);
    }

    #[test]
    fn expressions_are_tried_in_file_order_and_last() {
        let lines = ["methods=PUT ~/x/.*", "~/x/[0-9]+", "~/x/7", "/x/{id}/y"];
        let table = table(&lines);
        assert_eq!(found(&table, "/x/7"), Some("~/x/[0-9]+"));
        assert_eq!(table.find("h", "/x/7", &Method::PUT).copied(), Some(lines[0]));
        assert_eq!(table.find("h", "/x/7/y", &Method::PUT).copied(), Some("/x/{id}/y"));
    }

    #[test]
    fn hosts_of_one_expression_compete_with_each_other() {
        let lines = ["~/x.*", "~/x/y", "host=h ~/x.*"];
        assert_eq!(found(&table(&lines), "/x/y"), Some("host=h ~/x.*"));
    }

    #[test]
    fn equal_routes_conflict() {
        let conflict = |lines: &[&str]| {
            Table::new(lines.iter().map(|line| (route(line), ())).collect())
                .err()
                .map(|c| (c.first, c.second))
        };
        assert_eq!(conflict(&["/a", "/b", "/a"]), Some((0, 2)));
        assert_eq!(conflict(&["/a/{x}", "/a/{y}"]), Some((0, 1)));
        assert_eq!(conflict(&["/%61", "/a"]), Some((0, 1)));
        assert_eq!(conflict(&["methods=GET,PUT /a", "methods=PUT,GET,GET /a"]), Some((0, 1)));
        assert_eq!(conflict(&["host=A.example /a", "host=a.example /a"]), Some((0, 1)));
        assert_eq!(conflict(&["~/a", "~/a"]), Some((0, 1)));
        assert_eq!(conflict(&["/a", "/a/", "host=h /a", "methods=GET /a", "~/a", "/{x}"]), None);
    }

    #[test]
    fn keeps_the_order_of_the_configuration() {
        let table = table(&["/b", "/a", "~/c"]);
        let order: Vec<&str> = table.iter().map(|(route, _)| route.pattern.as_str()).collect();
        assert_eq!(order, ["/b", "/a", "~/c"]);
    }

    /// The documented order, by trying every route.
    fn oracle<'t>(
        routes: &'t [RouteMatch],
        host: &str,
        path: &str,
        method: &Method,
    ) -> Option<&'t RouteMatch> {
        let literals = |route: &RouteMatch| {
            route.pattern.as_str().split('/').filter(|s| !s.is_empty() && !s.starts_with('{')).count()
        };
        let depth = |route: &RouteMatch| route.pattern.as_str().split('/').filter(|s| !s.is_empty()).count();
        let host_rank = |route: &RouteMatch| match route.host.as_deref() {
            None => Some(0),
            Some(name) if name == host => Some(9),
            Some(name) => name.strip_prefix('*').filter(|suffix| host.ends_with(suffix)).map(|_| 1),
        };
        let method_rank = |route: &RouteMatch| match &route.methods {
            None => Some(0),
            Some(list) => list.contains(method).then_some(1),
        };
        routes
            .iter()
            .enumerate()
            .filter(|(_, route)| route.pattern.matches(path))
            .filter_map(|(index, route)| {
                let kind = route.pattern.kind();
                Some((
                    (
                        kind,
                        depth(route),
                        literals(route),
                        host_rank(route)?,
                        method_rank(route)?,
                        Reverse(index),
                    ),
                    route,
                ))
            })
            .max_by_key(|(rank, _)| *rank)
            .map(|(_, route)| route)
    }

    proptest! {
        #[test]
        fn find_and_explain_agree_with_trying_every_route(
            lines in prop::collection::vec("(host=(h|x|\\*\\.h) )?(methods=(GET|POST|GET,POST) )?((/(a|b|\\{p\\})){1,3}/?|/)", 0..14),
            host in "h|x|y\\.h",
            path in "(/[abc]){1,4}/?|/",
            post in any::<bool>(),
        ) {
            let routes: Vec<RouteMatch> = lines.iter().map(|line| route(line)).collect();
            let method = if post { Method::POST } else { Method::GET };
            let built = Table::new(routes.iter().map(|rule| (rule.clone(), rule.clone())).collect());
            if let Ok(table) = built {
                let expected = oracle(&routes, &host, &path, &method);
                prop_assert_eq!(table.find(&host, &path, &method), expected);
                let told = table.explain(&host, &path, &method);
                prop_assert_eq!(told.chosen.as_ref().map(|candidate| candidate.route), expected);
                let fitting = routes.iter().filter(|rule| rule.pattern.matches(&path)).count();
                prop_assert_eq!(told.lost.len() + usize::from(told.chosen.is_some()), fitting);
            }
        }
    }
}
