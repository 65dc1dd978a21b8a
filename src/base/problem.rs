//! The body of every error that Tidegate itself answers: `application/problem+json` (RFC 9457).

use serde::Serialize;

/// The media type of [`Problem::to_json`].
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Stable `type` of problems that have no registered one; the name of the problem follows.
pub const TYPE_BASE: &str = "https://tidegate.dev/problems/";

/// IANA-registered type for a spent quota (draft-ietf-httpapi-ratelimit-headers-10, section 6).
pub const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

/// IANA-registered type for capacity that is missing for a while (same draft).
pub const REDUCED_CAPACITY: &str =
    "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";

/// A problem document. `type` is stable: clients may branch on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// A URI that names the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words, the same for every occurrence.
    pub title: String,
    /// The response status.
    pub status: u16,
    /// What happened this time and what to do about it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The request id of this occurrence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Names of the policies that refused (same draft, section 6).
    #[serde(rename = "violated-policies", skip_serializing_if = "Vec::is_empty")]
    pub violated_policies: Vec<String>,
}

impl Problem {
    /// A problem of our own kind; `name` is the last part of its `type`.
    #[must_use]
    pub fn new(status: u16, name: &str, title: &str) -> Self {
        Self::of_type(status, &format!("{TYPE_BASE}{name}"), title)
    }

    /// A problem with a registered `type`.
    #[must_use]
    pub fn of_type(status: u16, kind: &str, title: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            title: title.to_owned(),
            status,
            detail: String::new(),
            instance: None,
            violated_policies: Vec::new(),
        }
    }

    /// Says what happened this time.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// The document as JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_out_what_is_empty() {
        let json = String::from_utf8(Problem::new(404, "no-route", "No route").to_json()).expect("text");
        assert_eq!(
            json,
            r#"{"type":"https://tidegate.dev/problems/no-route","title":"No route","status":404}"#
        );
    }
}
