//! gRPC as grpcio speaks it, through the gate: every kind of call, what goes along with them, and refusals that its
//! clients understand.

use crate::support::grpc::{Grpc, calls};
use crate::support::{Gate, Setup, Wire};
use serde_json::json;
use std::net::SocketAddr;

/// HTTP/2 on both sides; the response time-out is short.
async fn gate(backend: SocketAddr, sections: &str) -> Gate {
    let upstream = format!("{{servers: [\"{backend}\"], http2: true, response_timeout: 3s, retries: 0}}");
    let setup = Setup::new(backend).upstream(&upstream).with(sections);
    let listen = "server: {listen: {address: \"127.0.0.1:0\", http2: true}";
    Gate::start_with(&setup.text().replace("server: {listen: \"127.0.0.1:0\"", listen)).await
}

#[tokio::test]
async fn calls_of_every_kind_pass_with_metadata_trailers_and_deadlines() {
    let backend = Grpc::start().await;
    let gate = gate(backend.address(), "routes: [{path: /}]").await;
    let asked = [
        "unary",
        "metadata",
        "server_stream=50",
        "client_stream=20",
        "bidi=10",
        "fail",
        "unknown",
        "slow=0.3",
    ];
    let seen = calls(gate.http, &asked).await;
    let [unary, metadata, server_stream, client_stream, bidi, fail, unknown, slow] = &*seen else {
        panic!("{seen:?}")
    };
    assert_eq!((&unary["code"], &unary["answer"]), (&json!("OK"), &json!("hello")));
    assert_eq!(metadata["initial"]["x-first"], "mine", "{metadata}");
    // What a client says about itself is not believed; binary metadata stays binary.
    assert_eq!(
        (&metadata["trailing"]["x-last"], &metadata["trailing"]["blob-bin"]),
        (&json!("nobody"), &json!("00ff"))
    );
    assert_eq!(server_stream["answers"].as_array().map(Vec::len), Some(50));
    assert_eq!(client_stream["answer"].as_str().map(|text| text.split(',').count()), Some(20));
    assert_eq!((&bidi["answers"][9], &bidi["rest"], &bidi["code"]), (&json!("<9>"), &json!(0), &json!("OK")));
    assert_eq!((&fail["code"], &fail["details"]), (&json!("NOT_FOUND"), &json!("nothing like it: 100 %")));
    assert_eq!((&fail["trailing"]["x-why"], &unknown["code"]), (&json!("tested"), &json!("UNIMPLEMENTED")));
    assert_eq!(slow["code"], "DEADLINE_EXCEEDED");
    assert!(slow["took"].as_f64().is_some_and(|took| (0.29..2.0).contains(&took)), "{slow}");
}

#[tokio::test]
async fn a_quiet_stream_is_no_slow_answer() {
    let backend = Grpc::start().await;
    let gate = gate(backend.address(), "routes: [{path: /}]").await;
    let seen = calls(gate.http, &["quiet=3.5"]).await;
    assert_eq!(seen, [json!({"answers": ["first", "second"], "code": "OK"})]);
}

#[tokio::test]
async fn refusals_and_failures_have_a_status_of_grpc() {
    let mut backend = Grpc::start().await;
    let sections = "limits: {few: {windows: {1h: 2}}}\n\
        routes:\n\
        \x20 - {path: /test.Calls/Unary, limit: few, body_bytes: 1KiB, response_headers: {set: {X-Rule: one}}}\n\
        \x20 - {path: /test.Calls/Fail}";
    let gate = gate(backend.address(), sections).await;
    let seen = calls(gate.http, &["unary", "large=2000", "unary", "unary", "unknown"]).await;
    let [admitted, large, _, spent, nowhere] = &*seen else { panic!("{seen:?}") };
    assert_eq!(
        (&admitted["code"], &admitted["initial"]["x-ratelimit-remaining-3600s"]),
        (&json!("OK"), &json!("1"))
    );
    assert_eq!(large["code"], "RESOURCE_EXHAUSTED");
    assert!(
        large["details"].as_str().is_some_and(|text| text.contains("at most 1KiB are accepted")),
        "{large}"
    );
    assert_eq!(spent["code"], "RESOURCE_EXHAUSTED");
    assert!(spent["details"].as_str().is_some_and(|text| text.starts_with("Too many requests: ")), "{spent}");
    // A response of trailers only: its fields are trailing metadata.
    assert!(
        spent["trailing"]["retry-after"].as_str().is_some_and(|text| text.parse::<u32>().is_ok()),
        "{spent}"
    );
    assert_eq!(
        (&spent["trailing"]["x-rule"], &spent["trailing"]["cache-control"]),
        (&json!("one"), &json!("no-store"))
    );
    assert_eq!(nowhere["code"], "UNIMPLEMENTED");
    backend.stop();
    assert_eq!(calls(gate.http, &["fail"]).await[0]["code"], "UNAVAILABLE");
    let denied =
        gate.metric("tidegate_limit_decisions_total", &[("policy", "few"), ("decision", "deny")]).await;
    assert!(denied >= 1.0);
}

#[tokio::test]
async fn a_rejected_credential_and_grpc_web_are_answered_alike() {
    let backend = Grpc::start().await;
    let sections = "identity: {jwt: {secret: 0123456789abcdef0123456789abcdef, on_invalid: reject}}\nroutes: [{path: /}]";
    let gate = gate(backend.address(), sections).await;
    let request = "POST /test.Calls/Unary HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc-web+proto\r\n\
        Authorization: Bearer no.valid.token\r\nContent-Length: 0\r\n\r\n";
    let answer = Wire::exchange(gate.http, request).await.expect("an answer");
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/grpc-web+proto"));
    assert_eq!((answer.header("grpc-status"), answer.body.len()), ("16", 0));
    assert!(answer.header("grpc-message").starts_with("The credential is not accepted"), "{answer:?}");
    assert!(answer.header("www-authenticate").starts_with("Bearer"), "{answer:?}");
}
