//! Why Tidegate itself answers instead of the backend, and how that looks on the wire.
//!
//! One type, one place that turns it into bytes: every answer of ours is `application/problem+json` with a stable
//! `type`, never stored by any cache. Clients of gRPC get the same as a status of theirs.

use crate::base::Problem;
use crate::base::problem::{PROBLEM_JSON, QUOTA_EXCEEDED, REDUCED_CAPACITY};
use crate::identity::IdentityRefusal;
use crate::message::{MessageFault, grpc_message, grpc_status};
use crate::proxy::respond;
use http::{HeaderName, HeaderValue, header};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// A request that goes no further.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The message breaks a rule of HTTP; the connection is closed after the answer.
    Message(MessageFault),
    /// No route takes it.
    NoRoute,
    /// Its credential is not accepted, and the configuration says to reject rather than to treat as anonymous.
    Identity(IdentityRefusal),
    /// A limit is spent.
    Limit {
        /// Configured status, usually 429.
        status: u16,
        /// Names of the policies that refused.
        policies: Vec<String>,
        /// Whole seconds until the same request would pass; `None`: never, its cost is above the limit.
        retry_after_s: Option<u32>,
    },
    /// Too many requests of the same identity are under way.
    InFlight {
        /// Configured status, usually 429.
        status: u16,
        /// The policy.
        policy: String,
    },
    /// The store that counts is away and the policy says `deny`.
    StoreAway {
        /// The policy.
        policy: String,
    },
    /// The answer is not stored and the client asked for nothing else (RFC 9111 section 5.2.1.7).
    OnlyIfCached,
    /// No server of the upstream can be asked.
    NoServer {
        /// The upstream.
        upstream: String,
    },
    /// The upstream failed or answered nonsense.
    BadGateway {
        /// What happened.
        detail: &'static str,
    },
    /// The upstream did not answer in time.
    GatewayTimeout,
    /// The client was too slow with its body, or it is too large.
    Body {
        /// 408 or 413.
        status: u16,
        /// What to change.
        detail: String,
    },
    /// Its sender may not purge.
    Purge,
    /// There are too many connections, in all or from its address.
    Connections,
    /// There is too much to do, or too little memory to do it in.
    Overloaded,
    /// Our own fault.
    Internal,
}

/// An answer of ours, ready to be written.
#[derive(Debug)]
pub(super) struct Answer {
    /// Status.
    pub(super) status: u16,
    /// Fields; `Content-Length` is set by the writer.
    pub(super) fields: Vec<(HeaderName, HeaderValue)>,
    /// JSON.
    pub(super) body: Vec<u8>,
    /// The problem's short name, for the log.
    pub(super) kind: &'static str,
    /// Must the connection be closed after it?
    pub(super) is_last: bool,
}

impl Refusal {
    /// A body of more than so many bytes.
    #[must_use]
    pub(super) fn body_too_large(most: u64) -> Self {
        let detail = format!("at most {} are accepted", crate::base::units::format_size(most));
        Self::Body { status: 413, detail }
    }

    /// The answer for a client of gRPC that sent this media type: a response of trailers only.
    #[must_use]
    pub(super) fn grpc_answer(&self, request_id: &str, media: &HeaderValue) -> Answer {
        let mut answer = self.answer(request_id);
        let status = match self {
            // Whatever status the policy has for browsers.
            Self::Limit { .. } | Self::InFlight { .. } => 429,
            _ => answer.status,
        };
        let problem = self.problem();
        let text = match &*problem.detail {
            "" => problem.title,
            detail => format!("{}: {detail}", problem.title),
        };
        answer.fields.retain(|(name, _)| *name != header::CONTENT_TYPE);
        answer.fields.push((header::CONTENT_TYPE, media.clone()));
        answer.fields.push((GRPC_STATUS, HeaderValue::from(u16::from(grpc_status(status)))));
        answer
            .fields
            .extend(HeaderValue::try_from(grpc_message(&text)).ok().map(|text| (GRPC_MESSAGE, text)));
        Answer { status: 200, body: Vec::new(), ..answer }
    }

    /// The answer for the client.
    #[must_use]
    pub(super) fn answer(&self, request_id: &str) -> Answer {
        let mut problem = self.problem();
        problem.instance = (!request_id.is_empty()).then(|| request_id.to_owned());
        let mut fields = vec![
            (header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON)),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        if let Some(seconds) = self.retry_after_s() {
            fields.push((header::RETRY_AFTER, HeaderValue::from(seconds)));
        }
        if let Self::Identity(refusal) = self {
            fields.push((header::WWW_AUTHENTICATE, HeaderValue::from_static(refusal.challenge())));
        }
        if let Self::Message(fault) = self
            && fault.status() == 405
        {
            fields.push((header::ALLOW, HeaderValue::from_static(respond::METHODS)));
        }
        let is_last = matches!(self, Self::Message(_) | Self::Body { .. });
        Answer { status: problem.status, fields, body: problem.to_json(), kind: self.name(), is_last }
    }

    /// A word for logs and metrics.
    #[must_use]
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Message(fault) => fault.name(),
            Self::NoRoute => "no-route",
            Self::Identity(_) => "invalid-credential",
            Self::Limit { .. } => "limit",
            Self::InFlight { .. } => "in-flight",
            Self::StoreAway { .. } => "store-away",
            Self::OnlyIfCached => "only-if-cached",
            Self::NoServer { .. } => "no-server",
            Self::BadGateway { .. } => "bad-gateway",
            Self::GatewayTimeout => "gateway-timeout",
            Self::Body { status: 413, .. } => "body-too-large",
            Self::Body { .. } => "body-too-slow",
            Self::Purge => "purge-forbidden",
            Self::Connections => "too-many-connections",
            Self::Overloaded => "overloaded",
            Self::Internal => "internal",
        }
    }

    fn retry_after_s(&self) -> Option<u32> {
        match self {
            Self::Limit { retry_after_s, .. } => *retry_after_s,
            Self::InFlight { .. }
            | Self::StoreAway { .. }
            | Self::NoServer { .. }
            | Self::Connections
            | Self::Overloaded => Some(1),
            _ => None,
        }
    }

    pub(super) fn problem(&self) -> Problem {
        match self {
            Self::Message(fault) => {
                Problem::new(fault.status(), fault.name(), fault.title()).detail(fault.detail())
            }
            Self::NoRoute => Problem::new(404, "no-route", "No route takes this request")
                .detail("no configured path matches; `tidegate explain` shows the routes that come close"),
            Self::Identity(refusal) => {
                Problem::new(401, "invalid-credential", "The credential is not accepted")
                    .detail(refusal.to_string())
            }
            Self::Limit { status, policies, retry_after_s } => {
                limit_problem(*status, policies, *retry_after_s)
            }
            Self::InFlight { status, policy } => {
                let detail =
                    format!("{policy} lets no more requests be under way at once; wait for one to end");
                let mut problem =
                    Problem::of_type(*status, QUOTA_EXCEEDED, "Too many requests at once").detail(detail);
                problem.violated_policies = vec![policy.clone()];
                problem
            }
            Self::StoreAway { policy } => {
                let mut problem =
                    Problem::of_type(503, REDUCED_CAPACITY, "Capacity is reduced for the moment").detail(
                        "requests cannot be counted right now and this limit does not pass uncounted ones",
                    );
                problem.violated_policies = vec![policy.clone()];
                problem
            }
            Self::OnlyIfCached => Problem::new(504, "not-stored", "No stored answer")
                .detail("the request says only-if-cached and nothing fitting is stored"),
            Self::NoServer { upstream } => Problem::new(503, "no-server", "No server can take the request")
                .detail(format!("every server of `{upstream}` is failing; it will be tried again shortly")),
            Self::BadGateway { detail } => {
                Problem::new(502, "bad-gateway", "The backend failed").detail(*detail)
            }
            Self::GatewayTimeout => {
                Problem::new(504, "gateway-timeout", "The backend did not answer in time")
            }
            Self::Body { status, detail } => {
                let (name, title) = match status {
                    413 => ("body-too-large", "The request body is too large"),
                    _ => ("body-too-slow", "The request body arrives too slowly"),
                };
                Problem::new(*status, name, title).detail(detail.clone())
            }
            Self::Purge => Problem::new(403, "purge-forbidden", "PURGE is not allowed from here")
                .detail("`cache.purge_from` does not name this address, or the credential is not accepted"),
            Self::Connections => Problem::new(503, "too-many-connections", "Too many connections")
                .detail("the limit of connections is reached; close some, or retry"),
            Self::Overloaded => Problem::new(503, "overloaded", "Too much is under way")
                .detail("new requests are refused for a moment so that those under way succeed; retry"),
            Self::Internal => Problem::new(500, "internal", "The proxy failed")
                .detail("this is a fault of the proxy; its log names the request id"),
        }
    }
}

fn limit_problem(status: u16, policies: &[String], retry_after_s: Option<u32>) -> Problem {
    let names = policies.join(", ");
    let detail = match retry_after_s {
        Some(seconds) => format!("the limit of {names} is spent; retry in {seconds} s"),
        None => format!("the request costs more than {names} can ever admit"),
    };
    let mut problem = Problem::of_type(status, QUOTA_EXCEEDED, "Too many requests").detail(detail);
    problem.violated_policies = policies.to_vec();
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spent_limit_says_when_to_come_back() {
        let refusal =
            Refusal::Limit { status: 429, policies: vec!["ai_chat".to_owned()], retry_after_s: Some(12) };
        let answer = refusal.answer("r1");
        let body: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!((answer.status, body["status"].as_u64()), (429, Some(429)));
        assert_eq!(body["violated-policies"][0], "ai_chat");
        assert_eq!(body["instance"], "r1");
        assert!(answer.fields.contains(&(header::RETRY_AFTER, HeaderValue::from(12))));
        assert!(answer.fields.contains(&(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))));
    }

    #[test]
    fn a_client_of_grpc_gets_a_status_and_no_body() {
        let refusal = Refusal::Limit { status: 503, policies: vec!["é".to_owned()], retry_after_s: Some(2) };
        let answer = refusal.grpc_answer("", &HeaderValue::from_static("application/grpc+proto"));
        let field = |name: &str| {
            let mut found = answer.fields.iter().filter(|(other, _)| other.as_str() == name);
            let value = found.next().map(|(_, value)| value.to_str().expect("ASCII"));
            assert!(found.next().is_none(), "{name} stands twice");
            value
        };
        assert_eq!((answer.status, answer.body.len()), (200, 0));
        assert_eq!((field("grpc-status"), field("retry-after")), (Some("8"), Some("2")));
        assert_eq!(field("content-type"), Some("application/grpc+proto"));
        assert_eq!(
            field("grpc-message"),
            Some("Too many requests: the limit of %C3%A9 is spent; retry in 2 s")
        );
    }

    #[test]
    fn a_cost_above_the_limit_has_no_retry_after() {
        let answer = Refusal::Limit { status: 429, policies: Vec::new(), retry_after_s: None }.answer("");
        assert!(answer.fields.iter().all(|(name, _)| name != header::RETRY_AFTER));
    }
}
