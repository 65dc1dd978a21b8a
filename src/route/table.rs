//! The compiled table of routes.

use http::Method;

use super::pattern::Pattern;

/// What a route asks of a request.
#[derive(Debug, Clone)]
pub struct RouteMatch {
    /// Host without port; `*.example.com` stands for every name below. `None`: every host.
    pub host: Option<String>,
    /// The path.
    pub pattern: Pattern,
    /// The methods; GET includes HEAD. `None`: every method.
    pub methods: Option<Vec<Method>>,
}

/// Two routes that match exactly the same requests, by their places in the list (from 0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("two routes match the same requests")]
pub struct Conflict {
    /// The earlier one.
    pub first: usize,
    /// The later one.
    pub second: usize,
}

/// Routes, compiled for look-up.
#[derive(Debug, Clone)]
pub struct Table<T> {
    routes: Vec<(RouteMatch, T)>,
}

/// Which route was chosen, and why no other.
#[derive(Debug)]
pub struct Explained<'t, T> {
    /// The chosen route.
    pub chosen: Option<(&'t RouteMatch, &'t T)>,
}

impl<T> Table<T> {
    /// Compiles a table.
    ///
    /// # Errors
    /// [`Conflict`] when two routes are equal.
    pub fn new(routes: Vec<(RouteMatch, T)>) -> Result<Self, Conflict> {
        Ok(Self { routes })
    }

    /// The route of a request: host without port in lower case, canonical path, method.
    #[must_use]
    pub fn find(&self, _host: &str, path: &str, _method: &Method) -> Option<&T> {
        self.routes.iter().find(|(route, _)| route.pattern.matches(path)).map(|(_, value)| value)
    }

    /// Like [`Table::find`], with reasons.
    #[must_use]
    pub fn explain(&self, _host: &str, path: &str, _method: &Method) -> Explained<'_, T> {
        let found = self.routes.iter().find(|(route, _)| route.pattern.matches(path));
        Explained { chosen: found.map(|(route, value)| (route, value)) }
    }

    /// All routes in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = (&RouteMatch, &T)> {
        self.routes.iter().map(|(route, value)| (route, value))
    }
}
