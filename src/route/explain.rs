//! Why a route was chosen, and why the others were not.

use std::fmt;

use super::pattern::Kind;
use super::table::{Rank, RouteMatch};

/// A route whose path fits.
#[derive(Debug)]
pub struct Candidate<'t, T> {
    /// Its place in the configuration, from 0.
    pub index: usize,
    /// What it asks of a request.
    pub route: &'t RouteMatch,
    /// What it stands for.
    pub value: &'t T,
    /// Which kind of match it is.
    pub kind: Kind,
}

/// The reason why a route whose path fits was not chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// Its kind of path is weaker: exact > parameters > prefix > regex.
    Kind,
    /// An expression further up in the file fits.
    Expression,
    /// Fewer segments of the path are named.
    Shorter,
    /// As long, but fewer of its segments are literal.
    FewerLiterals,
    /// The winner names the host, or names it more closely.
    LessHost,
    /// The winner names the method.
    LessMethod,
    /// The winner stands further up in the file.
    Order,
    /// It is for another host.
    Host,
    /// It is for other methods.
    Method,
}

impl Lost {
    pub(super) fn against(winner: Rank, loser: Rank) -> Self {
        if winner.kind != loser.kind {
            Self::Kind
        } else if winner.expression != loser.expression {
            Self::Expression
        } else if winner.reach.depth != loser.reach.depth {
            Self::Shorter
        } else if winner.reach != loser.reach {
            Self::FewerLiterals
        } else if winner.host != loser.host {
            Self::LessHost
        } else if winner.methods != loser.methods {
            Self::LessMethod
        } else {
            Self::Order
        }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kind => "weaker kind of path (exact > parameters > prefix > regex)",
            Self::Expression => "a regular expression further up matches",
            Self::Shorter => "shorter path",
            Self::FewerLiterals => "fewer literal segments",
            Self::LessHost => "less specific host",
            Self::LessMethod => "does not name the method",
            Self::Order => "further down in the file",
            Self::Host => "other host",
            Self::Method => "other methods",
        })
    }
}

/// The choice and the others: first those that fit the whole request, best first, then those for other hosts or
/// methods, in file order.
#[derive(Debug)]
pub struct Explained<'t, T> {
    /// The chosen route.
    pub chosen: Option<Candidate<'t, T>>,
    /// The others whose path fits.
    pub lost: Vec<(Candidate<'t, T>, Lost)>,
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, Lost, Pattern, RouteMatch, Table};
    use http::Method;

    fn route(path: &str, host: Option<&str>, methods: Option<&[Method]>) -> RouteMatch {
        let pattern = Pattern::parse(path).expect("pattern");
        RouteMatch { host: host.map(str::to_owned), pattern, methods: methods.map(<[Method]>::to_vec) }
    }

    #[test]
    fn says_which_kind_matched_and_why_each_other_lost() {
        let rules = [
            route("/", None, None),
            route("~/api/.*", None, None),
            route("/api/", None, None),
            route("/api/", Some("*.example.com"), None),
            route("/api/", Some("*.a.example.com"), None),
            route("/api/", Some("other.example.com"), None),
            route("/api/{id}", None, Some(&[Method::POST])),
            route("/api/{id}", None, None),
            route("/api/x", None, Some(&[Method::DELETE])),
            route("/{any}/", None, None),
        ];
        let table = Table::new(rules.into_iter().map(|rule| (rule, ())).collect()).expect("no conflict");
        let told = table.explain("h.a.example.com", "/api/x", &Method::GET);
        let chosen = told.chosen.expect("chosen");
        assert_eq!((chosen.index, chosen.kind), (7, Kind::Parameters));
        let lost: Vec<_> = told.lost.iter().map(|(candidate, why)| (candidate.index, *why)).collect();
        let expected = [
            (4, Lost::Kind),
            (3, Lost::Kind),
            (2, Lost::Kind),
            (9, Lost::Kind),
            (0, Lost::Kind),
            (1, Lost::Kind),
            (5, Lost::Host),
            (6, Lost::Method),
            (8, Lost::Method),
        ];
        assert_eq!(lost, expected);
        assert!(told.lost.iter().all(|(_, why)| !why.to_string().is_empty()));
    }

    #[test]
    fn reasons_within_one_kind() {
        let get = [Method::GET];
        let rules = [
            route("/a/b/", Some("h"), Some(&get)),
            route("/a/b/", Some("h"), None),
            route("/a/b/", None, Some(&get)),
            route("/a/{x}/", Some("h"), Some(&get)),
            route("/a/", Some("h"), Some(&get)),
            route("/a/b/", Some("h"), Some(&[Method::GET, Method::PUT])),
        ];
        let table = Table::new(rules.into_iter().map(|rule| (rule, ())).collect()).expect("no conflict");
        let told = table.explain("h", "/a/b/c", &Method::GET);
        assert_eq!(told.chosen.expect("chosen").index, 0);
        let lost: Vec<_> = told.lost.iter().map(|(candidate, why)| (candidate.index, *why)).collect();
        let expected = [
            (5, Lost::Order),
            (1, Lost::LessMethod),
            (2, Lost::LessHost),
            (3, Lost::FewerLiterals),
            (4, Lost::Shorter),
        ];
        assert_eq!(lost, expected);
    }

    #[test]
    fn expressions_lose_against_the_one_further_up() {
        let rules = [route("~/a.*", None, None), route("~/a/b", Some("h"), None)];
        let table = Table::new(rules.into_iter().map(|rule| (rule, ())).collect()).expect("no conflict");
        let told = table.explain("h", "/a/b", &Method::GET);
        assert_eq!(told.chosen.expect("chosen").index, 0);
        assert_eq!(
            told.lost.first().map(|(candidate, why)| (candidate.index, *why)),
            Some((1, Lost::Expression))
        );
    }

    #[test]
    fn nothing_fits_nothing_is_chosen() {
        let table = Table::new(vec![(route("/a", Some("h"), None), ())]).expect("no conflict");
        let told = table.explain("other", "/a", &Method::GET);
        assert!(told.chosen.is_none());
        assert_eq!(told.lost.first().map(|(_, why)| *why), Some(Lost::Host));
    }
}
