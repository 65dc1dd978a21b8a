//! Hosts of routes: one name, or every name below one (`*.example.com`).

/// Why a host of a route is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostFault {
    /// Nothing there.
    #[error("the host is empty; leave the key out to match every host")]
    Empty,
    /// A scheme, port, path or other character that no host name has.
    #[error("`{0}` is not a host name; write it without scheme, port and path, for example api.example.com")]
    Name(String),
    /// A `*` that is not the whole first label.
    #[error("`{0}`: `*` stands for whole labels at the front only, as in *.example.com")]
    Star(String),
}

/// Reads the host of a route and brings it into the spelling that [`super::RouteMatch`] wants: lower case, no final
/// dot (RFC 3986 section 3.2.2: hosts are case-insensitive, a name may end in a dot).
///
/// # Errors
/// [`HostFault`] says what is wrong and what would be right.
pub fn parse_host(text: &str) -> Result<String, HostFault> {
    let host = text.trim().to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    let name = host.strip_prefix("*.").unwrap_or(host);
    if host.is_empty() {
        return Err(HostFault::Empty);
    }
    if name.contains('*') {
        return Err(HostFault::Star(text.to_owned()));
    }
    let is_literal_v6 = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if is_literal_v6 || name.split('.').all(is_label) {
        return Ok(host.to_owned());
    }
    Err(HostFault::Name(text.to_owned()))
}

/// How specific a host is: none < wildcard (longer is more) < exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum HostRank {
    None,
    Below(usize),
    Exact,
}

/// The compiled host of a route.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum HostRule {
    Every,
    /// The suffix with its leading dot.
    Below(Box<str>),
    Exact(Box<str>),
}

impl HostRule {
    pub(super) fn new(host: Option<&str>) -> Self {
        let Some(host) = host else { return Self::Every };
        let host = host.to_ascii_lowercase();
        match host.strip_prefix('*') {
            Some(suffix) => Self::Below(Box::from(suffix)),
            None => Self::Exact(Box::from(host)),
        }
    }

    /// How well it fits; `None`: not at all.
    pub(super) fn rank(&self, host: &str) -> Option<HostRank> {
        match self {
            Self::Every => Some(HostRank::None),
            Self::Below(suffix) => {
                let fits = host.len() > suffix.len() && host.ends_with(&**suffix);
                fits.then_some(HostRank::Below(suffix.len()))
            }
            Self::Exact(name) => (host == &**name).then_some(HostRank::Exact),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_lower_case_without_final_dot() {
        assert_eq!(parse_host("API.Example.com."), Ok("api.example.com".to_owned()));
        assert_eq!(parse_host("*.Example.com"), Ok("*.example.com".to_owned()));
        assert_eq!(parse_host("[::1]"), Ok("[::1]".to_owned()));
        assert_eq!(parse_host("10.0.0.1"), Ok("10.0.0.1".to_owned()));
    }

    #[test]
    fn refuses_ports_schemes_and_stray_stars() {
        for text in ["a:80", "http://a", "a/b", "a..b", "a b", "[::g]"] {
            assert!(matches!(parse_host(text), Err(HostFault::Name(_))), "{text}");
        }
        for text in ["*", "*.", "*a.example.com", "a.*.com", "*.*.com"] {
            assert!(matches!(parse_host(text), Err(HostFault::Star(_))), "{text}");
        }
        assert_eq!(parse_host(" "), Err(HostFault::Empty));
    }

    #[test]
    fn a_wildcard_stands_for_names_below_not_for_the_name_itself() {
        let rule = HostRule::new(Some("*.example.com"));
        assert!(rule.rank("a.example.com").is_some() && rule.rank("a.b.example.com").is_some());
        assert!(rule.rank("example.com").is_none() && rule.rank("badexample.com").is_none());
        assert!(rule.rank(".example.com").is_none());
    }
}
