//! Bodies of answers: JSON, or a problem document.

use crate::base::Problem;
use crate::base::problem::PROBLEM_JSON;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// An answer with a JSON body.
#[must_use]
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    typed(status, "application/json", serde_json::to_vec(body).unwrap_or_default())
}

/// An answer with a body of that media type.
#[must_use]
pub fn typed(status: StatusCode, media_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = (status, body.into()).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// An answer that says what is wrong.
#[must_use]
pub fn problem(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    typed(status, PROBLEM_JSON, problem.to_json())
}

/// What is wrong with a request, for whoever turns it into an answer with [`problem`].
#[must_use]
pub fn wrong(status: u16, name: &str, title: &str, detail: impl Into<String>) -> Box<Problem> {
    Box::new(Problem::new(status, name, title).detail(detail))
}
