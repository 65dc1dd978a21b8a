//! Answers for those who never become a request: too many connections, bytes that are no HTTP, a head that does not
//! come. The data plane has nothing to answer on yet, so they are written as they go over the wire.

use crate::base::Clock;
use crate::proxy::refusal::Refusal;
use crate::telemetry::{AccessRecord, Metrics, RequestRecord};
use http::{Method, StatusCode};
use std::net::IpAddr;
use std::time::Duration;

/// A refusal as an HTTP/1.1 response that ends the connection, recorded like every other answer.
pub(super) fn refuse(refusal: &Refusal, client: IpAddr, metrics: &Metrics, clock: &dyn Clock) -> Vec<u8> {
    let request_id = format!("{:032x}", rand::random::<u128>());
    let answer = refusal.answer(&request_id);
    let status = StatusCode::from_u16(answer.status).unwrap_or_default();
    let mut bytes = Vec::with_capacity(768);
    let mut line = |name: &str, value: &[u8]| {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    };
    line("HTTP/1.1 ", format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or("")).as_bytes());
    for (name, value) in &answer.fields {
        line(&format!("{name}: "), value.as_bytes());
    }
    let length = answer.body.len().to_string();
    line("content-length: ", length.as_bytes());
    line("x-request-id: ", request_id.as_bytes());
    line("date: ", crate::cache::date::format_date(clock.wall_ms() / 1_000).as_bytes());
    line("connection: ", b"close");
    line("", b"");
    bytes.extend_from_slice(&answer.body);
    record(&answer, &request_id, client, metrics);
    bytes
}

fn record(answer: &crate::proxy::refusal::Answer, request_id: &str, client: IpAddr, metrics: &Metrics) {
    let bytes = u64::try_from(answer.body.len()).unwrap_or(0);
    // No method is known: it counts among the unusual ones.
    let method = Method::from_bytes(b"-").unwrap_or_default();
    let status = StatusCode::from_u16(answer.status).unwrap_or_default();
    metrics.request(&RequestRecord {
        route: "none",
        method: &method,
        status,
        duration: Duration::ZERO,
        bytes,
    });
    metrics.refusal(answer.kind);
    crate::telemetry::access(&AccessRecord {
        request_id,
        client,
        method: "",
        host: "",
        path: "",
        query: None,
        http: "1.1",
        status: answer.status,
        bytes,
        duration: Duration::ZERO,
        upstream_duration: None,
        route: None,
        upstream: None,
        cache: None,
        limit: None,
        policy: None,
        tenant: None,
        user: None,
        api_key: None,
        tier: None,
        refusal: Some(answer.kind),
        user_agent: None,
        is_warming: false,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ManualClock;
    use crate::message::MessageFault;

    #[test]
    fn the_answer_is_whole_and_counted() {
        let metrics = Metrics::new(0).expect("is consistent");
        let client = IpAddr::from([192, 0, 2, 1]);
        let bytes = refuse(&Refusal::Message(MessageFault::LINE), client, &metrics, &ManualClock::at(0));
        let text = String::from_utf8(bytes).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head}");
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
        assert!(head.contains("date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"), "{head}");
        assert!(head.ends_with("connection: close"), "{head}");
        assert!(body.contains("/problems/bad-line"), "{body}");
        assert!(metrics.render().contains("bad-line"));
    }
}
