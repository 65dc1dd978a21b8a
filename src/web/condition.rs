//! Conditions of requests.

use http::{HeaderMap, header};

/// Has the client what has this tag already? `If-None-Match` by the weak comparison (RFC 9110 section 13.1.2). For tags
/// without a comma in them, as all of ours are.
#[must_use]
pub fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let lines = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
    let mut members = lines.flat_map(|line| line.split(',')).map(str::trim);
    members.any(|member| member == "*" || opaque(member) == opaque(tag))
}

/// A tag without whether it is weak.
fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}
