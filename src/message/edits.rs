//! Fields that the operator sets or removes on a route, and those that nobody may edit because they say how a message
//! is framed, what its body is, or what Tidegate itself has found out.

use http::header::{
    ACCEPT_RANGES, AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, EXPECT,
    HOST, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED,
    MAX_FORWARDS, RANGE, VARY, VIA,
};
use http::{HeaderName, HeaderValue};

use super::hop::is_hop_by_hop;

/// What a route changes in the fields of a message, on its last step out of Tidegate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldEdits {
    /// Fields that have this one value, whatever they had.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Fields that go.
    pub remove: Vec<HeaderName>,
}

impl FieldEdits {
    /// Is there nothing to do?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }

    /// Every name that is set or removed.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.set.iter().map(|(name, _)| name).chain(&self.remove)
    }
}

/// The message whose fields are edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edited {
    /// A request on its way to the backend.
    Request,
    /// A response on its way to the client.
    Response,
}

/// Why a field cannot be edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fixed {
    /// What the field is.
    pub says: &'static str,
    /// What to do instead.
    pub remedy: &'static str,
}

const HOP: Fixed = Fixed {
    says: "belongs to one connection or to the framing of a message",
    remedy: "leave it out: it is made anew on each side",
};
const AUTHORITY: Fixed = Fixed {
    says: "is what the client asked for: matched, keyed and forwarded as one",
    remedy: "leave it out, or send the route to another of the `upstreams`",
};
const OURS: Fixed = Fixed { says: "is written by Tidegate itself", remedy: "leave it out" };
const CONTENT: Fixed = Fixed {
    says: "describes the body, which the route does not change",
    remedy: "leave it out, or change it at the backend",
};
const CONDITION: Fixed = Fixed {
    says: "belongs to the exchange of client, cache and backend",
    remedy: "leave it out: `cache` says what is stored",
};
const HANDSHAKE: Fixed = Fixed { says: "belongs to the handshake of a WebSocket", remedy: "leave it out" };
const STATUS: Fixed = Fixed { says: "is the status of a gRPC call", remedy: "leave it out" };

/// May a route edit this field? Spellings with underscores count as those with hyphens: CGI-like backends read both as
/// one.
///
/// # Errors
/// [`Fixed`] with what the field is.
pub fn check_edit(message: Edited, name: &HeaderName) -> Result<(), Fixed> {
    let hyphenated = name.as_str().replace('_', "-");
    let Ok(name) = HeaderName::try_from(&*hyphenated) else { return Err(OURS) };
    let fixed = match message {
        _ if is_hop_by_hop(name.as_str()) || name == CONTENT_LENGTH || name == EXPECT => Some(HOP),
        _ if name == HOST => Some(AUTHORITY),
        _ if is_ours(&name) => Some(OURS),
        _ if [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_RANGE].contains(&name) => Some(CONTENT),
        _ if name.as_str().starts_with("sec-websocket-") => Some(HANDSHAKE),
        Edited::Request => is_condition(&name).then_some(CONDITION),
        Edited::Response if [VARY, ETAG, LAST_MODIFIED, ACCEPT_RANGES].contains(&name) => Some(CONTENT),
        Edited::Response => name.as_str().starts_with("grpc-").then_some(STATUS),
    };
    fixed.map_or(Ok(()), Err)
}

fn is_ours(name: &HeaderName) -> bool {
    let text = name.as_str();
    [DATE, AGE, VIA, MAX_FORWARDS].contains(name)
        || ["x-request-id", "x-cache", "cache-status", "forwarded"].contains(&text)
        || ["ratelimit", "x-ratelimit-", "x-forwarded-"].iter().any(|family| text.starts_with(family))
}

fn is_condition(name: &HeaderName) -> bool {
    [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE, RANGE].contains(name)
}

/// Does the field tell caches, or some of them, whether and how long an answer may be kept (RFC 9111 section 5, RFC
/// 9213)?
#[must_use]
pub fn tells_caches(name: &HeaderName) -> bool {
    let text = name.as_str();
    matches!(text, "cache-control" | "expires" | "pragma" | "surrogate-control")
        || text.ends_with("-cache-control")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(message: Edited, name: &'static str) -> Option<Fixed> {
        check_edit(message, &HeaderName::from_static(name)).err()
    }

    #[test]
    fn fields_of_the_hop_and_of_our_own_stay_as_they_are_in_both_directions() {
        for message in [Edited::Request, Edited::Response] {
            for name in [
                "connection",
                "te",
                "trailer",
                "transfer-encoding",
                "upgrade",
                "content-length",
                "keep_alive",
            ] {
                assert_eq!(fixed(message, name), Some(HOP), "{name}");
            }
            for name in ["date", "age", "via", "x-request-id", "x-cache", "cache-status", "ratelimit-policy"]
            {
                assert_eq!(fixed(message, name), Some(OURS), "{name}");
            }
            for name in ["x-ratelimit-limit-60s", "x-forwarded-for", "x_forwarded_host", "forwarded"] {
                assert_eq!(fixed(message, name), Some(OURS), "{name}");
            }
            assert_eq!(fixed(message, "host"), Some(AUTHORITY));
            assert_eq!(fixed(message, "content-encoding"), Some(CONTENT));
            assert_eq!(fixed(message, "content_type"), Some(CONTENT));
            assert_eq!(fixed(message, "sec-websocket-key"), Some(HANDSHAKE));
        }
    }

    #[test]
    fn what_the_cache_and_the_client_agree_on_is_not_edited() {
        assert_eq!(fixed(Edited::Request, "if-none-match"), Some(CONDITION));
        assert_eq!(fixed(Edited::Request, "range"), Some(CONDITION));
        assert_eq!(fixed(Edited::Response, "vary"), Some(CONTENT));
        assert_eq!(fixed(Edited::Response, "etag"), Some(CONTENT));
        assert_eq!(fixed(Edited::Response, "grpc-status"), Some(STATUS));
        assert_eq!(fixed(Edited::Request, "grpc-timeout"), None);
    }

    #[test]
    fn all_others_may_be_edited() {
        for name in ["authorization", "cookie", "accept-encoding", "x-tenant", "cache-control"] {
            assert_eq!(fixed(Edited::Request, name), None, "{name}");
        }
        for name in ["cache-control", "set-cookie", "server", "strict-transport-security", "location"] {
            assert_eq!(fixed(Edited::Response, name), None, "{name}");
        }
    }

    #[test]
    fn fields_for_some_caches_are_fields_for_caches() {
        for (name, expected) in [("cdn-cache-control", true), ("expires", true), ("server", false)] {
            assert_eq!(tells_caches(&HeaderName::from_static(name)), expected, "{name}");
        }
    }
}
