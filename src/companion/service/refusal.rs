//! What is wrong with a request or with us, as every client of the API gets it: `application/problem+json` (RFC 9457)
//! with a code, the fields that are at fault, and the request's id.

use crate::base::problem::{PROBLEM_JSON, TYPE_BASE};
use crate::companion::{DatabaseFault, FaultKind};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use std::time::Duration;

/// After a failure of the database: long enough that a restarted one is there.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The code of a token that came and is not believed.
const INVALID_TOKEN: &str = "invalid-token";

/// The code of who is refused because the database has no such tenant.
const UNKNOWN_TENANT: &str = "unknown-tenant";

/// A parameter or a member of the body that is at fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldFault {
    /// Its name.
    pub field: String,
    /// What is wrong with it, and what would do.
    pub message: String,
}

/// An answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The response status.
    pub status: u16,
    /// The last part of its `type`, stable.
    pub code: &'static str,
    /// The kind in words.
    pub title: &'static str,
    /// What happened this time, and what to do about it.
    pub detail: String,
    /// Which fields are at fault.
    pub errors: Vec<FieldFault>,
    /// When to ask again.
    pub retry_after: Option<Duration>,
    /// Of how many bytes a range was asked for that lies outside of them.
    pub outside_of: Option<u64>,
}

impl Refusal {
    /// A refusal of this kind.
    #[must_use]
    pub fn new(status: u16, code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            title,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
            outside_of: None,
        }
    }

    /// A query that is not understood.
    #[must_use]
    pub fn query(field: &str, message: impl Into<String>) -> Self {
        Self::new(400, "invalid-query", "The query is not understood", "see `errors`").field(field, message)
    }

    /// What is understood and cannot be done.
    #[must_use]
    pub fn unprocessable(field: &str, message: impl Into<String>) -> Self {
        Self::new(422, "unprocessable", "What is asked for cannot be", "see `errors`").field(field, message)
    }

    /// Nothing of that name, or nothing that this tenant may see.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(404, "not-found", "Nothing is here", detail)
    }

    /// No token.
    #[must_use]
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(401, "unauthorized", "A token is needed", detail)
    }

    /// A token that is not believed.
    #[must_use]
    pub fn invalid_token(detail: impl Into<String>) -> Self {
        Self::new(401, INVALID_TOKEN, "The token is not believed", detail)
    }

    /// A token that may not.
    #[must_use]
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(403, "forbidden", "The token does not allow it", detail)
    }

    /// Is it because the database has no such tenant, which asking again will not change?
    pub(super) fn is_unknown_tenant(&self) -> bool {
        self.code == UNKNOWN_TENANT
    }

    /// Names a field that is at fault.
    #[must_use]
    pub fn field(mut self, field: &str, message: impl Into<String>) -> Self {
        self.errors.push(FieldFault { field: field.to_owned(), message: message.into() });
        self
    }

    /// Says when to ask again.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The whole answer, for a request of this path and id.
    pub(super) fn answer(&self, instance: &str, request_id: &str) -> Response {
        let document = Document {
            kind: format!("{TYPE_BASE}{}", self.code),
            title: self.title,
            status: self.status,
            detail: &self.detail,
            instance,
            code: self.code,
            errors: &self.errors,
            request_id,
        };
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, serde_json::to_vec(&document).unwrap_or_default()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == 401 {
            // RFC 6750 section 3: no error code where no token came.
            let challenge = match self.code {
                INVALID_TOKEN => r#"Bearer realm="tidegate dashboard", error="invalid_token""#,
                _ => r#"Bearer realm="tidegate dashboard""#,
            };
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        // RFC 9110 section 14.4: how long the whole is.
        if let Some(bytes) = self.outside_of
            && let Ok(range) = HeaderValue::try_from(format!("bytes */{bytes}"))
        {
            headers.insert(header::CONTENT_RANGE, range);
        }
        if let Some(after) = self.retry_after {
            let seconds = after.as_millis().div_ceil(1_000).max(1);
            headers
                .insert(header::RETRY_AFTER, HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX)));
        }
        response
    }
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    instance: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "<[FieldFault]>::is_empty")]
    errors: &'a [FieldFault],
    request_id: &'a str,
}

/// The body is written where the request's id is known: around everything else.
impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<DatabaseFault> for Refusal {
    /// What the database says is for the log: it may name hosts, tables and users.
    fn from(fault: DatabaseFault) -> Self {
        tracing::warn!(%fault, "the database does not do what it should");
        let unavailable = |code, detail: &str| {
            Self::new(503, code, "The figures are not to be had now", detail).retry_after(RETRY_AFTER)
        };
        match fault.kind {
            FaultKind::Unreachable => {
                unavailable("database-unreachable", "the database does not answer; try again")
            }
            FaultKind::Busy => unavailable("database-busy", "the database has too much to do; try again"),
            FaultKind::Slow => unavailable("database-slow", "it took too long; ask for less, or try again"),
            FaultKind::NotMigrated => {
                unavailable("database-not-migrated", "the operator has to run `tidegate dashboard migrate`")
            }
            FaultKind::UnknownTenant => {
                Self::new(403, UNKNOWN_TENANT, "The token's tenant is not one of this database", fault.says)
            }
            FaultKind::Unreadable | FaultKind::Refused | FaultKind::ReadOnly | FaultKind::Failed => {
                Self::new(500, "database-failed", "The figures are not to be had", "the log says why")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_database_says_is_not_told_to_clients() {
        for (kind, status, code) in [
            (FaultKind::Unreachable, 503, "database-unreachable"),
            (FaultKind::Busy, 503, "database-busy"),
            (FaultKind::Slow, 503, "database-slow"),
            (FaultKind::NotMigrated, 503, "database-not-migrated"),
            (FaultKind::Unreadable, 500, "database-failed"),
            (FaultKind::Refused, 500, "database-failed"),
            (FaultKind::ReadOnly, 500, "database-failed"),
            (FaultKind::Failed, 500, "database-failed"),
        ] {
            let says = "permission denied for table users";
            let fault = DatabaseFault::new(kind, "postgres://db.example/app", "counting", says, "grant it");
            let refusal = Refusal::from(fault);
            assert_eq!((refusal.status, refusal.code), (status, code));
            assert_eq!(refusal.retry_after.is_some(), status == 503, "{code}");
            let told = format!("{refusal:?}");
            assert!(["denied", "db.example", "grant"].iter().all(|word| !told.contains(word)), "{told}");
        }
    }
}
