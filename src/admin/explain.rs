//! `POST /api/v1/explain`: what would become of a request, and why. Nothing is consumed.

use crate::admin::body;
use crate::admin::cache;
use crate::admin::parts::AdminParts;
use crate::base::Problem;
use crate::config::{Asked, AskedResponse, Explanation};
use crate::web::answer::{json, problem, wrong};
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// The request that is asked about.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    method: String,
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    ip: Option<IpAddr>,
    certificate: Option<String>,
    response: Option<Answered>,
}

/// A response to it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answered {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

/// Explains by the configuration, the overrides and the counts in force.
pub(super) async fn explain(State(parts): State<AdminParts>, request: Request) -> Response {
    match explained(&parts, request).await {
        Ok(explanation) => json(StatusCode::OK, &explanation),
        Err(refusal) => problem(&refusal),
    }
}

async fn explained(parts: &AdminParts, request: Request) -> Result<Explanation, Box<Problem>> {
    let Some(Question { method, url, headers, ip, certificate, response }) = body::read(request).await?
    else {
        let detail = "send an object with `method`, `url` and, if they matter, `headers`, `ip`, `certificate` and `response`";
        return Err(wrong(400, "invalid-body", "The body is not understood", detail));
    };
    let asked = Asked {
        method,
        url,
        headers: headers.into_iter().collect(),
        ip: ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        now_s: parts.clock.wall_ms() / 1_000,
        certificate,
        response: response.map(|Answered { status, headers }| AskedResponse {
            status,
            headers: headers.into_iter().collect(),
        }),
    };
    let explained = crate::config::explain(&parts.current.load(), &asked, &parts.stores.overrides());
    let mut explanation =
        explained.map_err(|why| wrong(400, "refused", "Such a request would be refused", why))?;
    if let Some(place) = &explanation.place {
        explanation.entry = Some(cache::look(parts, place).await);
    }
    let charges = explanation.charges();
    if charges.is_empty() {
        explanation.tell(&[]);
        return Ok(explanation);
    }
    match parts.stores.limiter.peek(&charges).await {
        Ok(decisions) => explanation.tell(&decisions),
        // The rest is worth knowing all the same.
        Err(failure) => explanation.unknown = Some(failure.to_string()),
    }
    Ok(explanation)
}
