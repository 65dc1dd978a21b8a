//! Two readings of one message: whatever a second reader could take for another request never leaves here.

use super::{ALL, Arena, PUBLIC, TENANT, bearer};
use crate::support::{Answer, Reply, Seen, Wire};

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: public.test\r\nX-A: ";

/// A backend that answers with the target and the body that it was sent.
async fn arena() -> Arena {
    let script = |seen: &Seen| {
        let body = String::from_utf8_lossy(&seen.body).into_owned();
        Reply::ok(format!("{} {body}", seen.target)).header("Cache-Control", "public, max-age=60")
    };
    Arena::start(script).await
}

/// Everything that comes back on one connection until it is closed.
async fn converse(arena: &Arena, bytes: &[u8]) -> Vec<Answer> {
    let mut wire = Wire::connect(arena.gate.http).await;
    wire.send(bytes).await;
    let mut answers = Vec::new();
    while let Some(answer) = wire.answer().await {
        answers.push(answer);
    }
    answers
}

/// Whoever comes next gets the answer to their own question: no connection to the backend is out of step.
async fn nobody_else_is_hurt(arena: &Arena, name: &str) {
    for number in 0..2 {
        let target = format!("/victim/{}/{number}", arena.origin.count());
        let victim = arena.get(PUBLIC, &target, &[]).await;
        assert_eq!(victim.text(), format!("{target} "), "{name}");
    }
    for seen in arena.origin.seen() {
        assert!(!seen.target.contains("smuggled"), "{name}: {:?}", seen.head);
        assert!(is_plain(&seen.head), "{name}: {:?}", seen.head);
    }
}

/// Lines end in CR LF and nowhere else, names are tokens, and one field at most says how long the body is.
fn is_plain(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let is_start = lines.next().is_some_and(|line| line.split(' ').count() == 3);
    let fields: Vec<&str> = lines.collect();
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
    let is_field = |line: &&str| line.split_once(':').is_some_and(|(name, _)| is_name(name));
    let is_framing = |line: &&str| {
        let line = line.to_ascii_lowercase();
        line.starts_with("content-length:") || line.starts_with("transfer-encoding:")
    };
    let framings: Vec<&str> = fields.iter().copied().filter(|line| is_framing(line)).collect();
    let is_exact = framings.iter().all(|line| {
        let (name, value) = line.split_once(": ").unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()),
            _ => value == "chunked",
        }
    });
    let has_stray = text.replace("\r\n", "").contains(['\r', '\n', '\0']);
    is_start && fields.iter().all(is_field) && framings.len() <= 1 && is_exact && !has_stray
}

/// Sends a request with these lines and this body, and another one behind it; the second must not exist.
async fn refused(arena: &Arena, name: &str, lines: &str, body: &str) {
    for method in ["POST", "GET", "PUT", "OPTIONS", "DELETE"] {
        for credential in [String::new(), format!("{}\r\n", bearer("ada", "acme"))] {
            let host = if credential.is_empty() { PUBLIC.host } else { TENANT.host };
            let head = format!("{method} /attack HTTP/1.1\r\nHost: {host}\r\n{credential}{lines}\r\n\r\n");
            let before = arena.origin.count();
            let answers = converse(arena, format!("{head}{body}{SMUGGLED}x\r\n\r\n").as_bytes()).await;
            let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
            let is_refused = statuses.iter().all(|status| (400..600).contains(status)) && statuses.len() <= 1;
            // With both lengths the reader may take the chunks, alone and as the last (RFC 9112 section 6.3); of
            // chunks the backend gets what was read, written anew.
            let is_settled = statuses == [200] && arena.origin.count() == before + 1;
            let may_settle = name.starts_with("both") || name.starts_with("chunk");
            assert!(is_refused || (is_settled && may_settle), "{name} {method}: {statuses:?}");
        }
    }
    nobody_else_is_hurt(arena, name).await;
}

/// c49.
#[tokio::test]
async fn two_kinds_of_length_are_one_or_none() {
    let arena = arena().await;
    for (name, lines, body) in [
        ("both, length first", "Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
        ("both, chunks first", "Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n"),
        ("both, nothing", "Content-Length: 0\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
        ("both, in capitals", "CONTENT-LENGTH: 5\r\nTRANSFER-ENCODING: CHUNKED", "0\r\n\r\n"),
        ("a coding and a length", "Content-Length: 5\r\nTransfer-Encoding: gzip", "0\r\n\r\n"),
        ("a false coding and a length", "Content-Length: 5\r\nTransfer-Encoding: xchunked", "0\r\n\r\n"),
    ] {
        refused(&arena, name, lines, body).await;
    }
}

/// c50, c54.
#[tokio::test]
async fn there_is_one_length_in_one_spelling() {
    let arena = arena().await;
    for value in [
        "+5",
        "-5",
        "-0",
        "0x5",
        "5 5",
        "5,",
        ",5",
        "5, 5",
        "0, 44",
        "5;",
        "5_0",
        "",
        "five",
        "5.0",
        "\"5\"",
        "5e1",
        "18446744073709551621",
        "99999999999999999999999",
    ] {
        refused(&arena, &format!("length {value:?}"), &format!("Content-Length: {value}"), "hello").await;
    }
    for lines in [
        "Content-Length: 0\r\nContent-Length: 44",
        "Content-Length: 44\r\nContent-Length: 0",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\ncontent-length: +5",
        "Content-Length: 5\r\nContent_Length: 0",
    ] {
        refused(&arena, lines, lines, "hello").await;
    }
}

/// c51.
#[tokio::test]
async fn chunked_is_the_only_coding_and_the_last() {
    let arena = arena().await;
    for value in [
        "xchunked",
        "chunkedx",
        "chunked, identity",
        "identity",
        "identity, chunked",
        "chunked, chunked",
        "gzip, chunked",
        "chunked;q=1",
        "\"chunked\"",
        "chunked,",
        ",chunked",
        "chunked x",
        "\u{b}chunked",
        "chun ked",
        "x-chunked",
        "",
        "c\u{212a}hunked",
    ] {
        refused(&arena, &format!("coding {value:?}"), &format!("Transfer-Encoding: {value}"), "0\r\n\r\n")
            .await;
    }
    for lines in [
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer_Encoding: identity",
    ] {
        refused(&arena, lines, lines, "0\r\n\r\n").await;
    }
}

/// c52, c53, c56, c57.
#[tokio::test]
async fn a_line_has_one_reading() {
    let arena = arena().await;
    for lines in [
        "Content-Length : 5",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        "Host : public.test",
        "X-A: 1\r\n Content-Length: 5",
        "X-A: 1\r\n\tTransfer-Encoding: chunked",
        "Transfer-Encoding:\r\n chunked",
        " Content-Length: 5",
        "X-A: 1\rContent-Length: 5",
        "X-A: 1\r\rContent-Length: 5",
        "Content-Length: 5\r",
        "\rContent-Length: 5",
        "Content-Length: 5\0",
        "Content-Length\0: 5",
        "\0Content-Length: 5",
        "X-A: 1\0Content-Length: 5",
        "Content Length: 5",
        "Content-Length",
        ": 5",
        "Content-Length: 5\u{b}",
        "(Content-Length): 5",
        "Cont\u{e9}nt-Length: 5",
    ] {
        refused(&arena, &format!("{lines:?}"), lines, "hello").await;
    }
}

/// c52, c53, c56, c57 in the request line.
#[tokio::test]
async fn a_request_line_has_one_reading() {
    let arena = arena().await;
    for start in [
        "GET /attack HTTP/1.1\rHost: evil.example",
        "GET /attack\0 HTTP/1.1",
        "GET /attack HTTP/1.1\0",
        "GET  /attack  HTTP/1.1 ",
        "GET\t/attack\tHTTP/1.1",
        " GET /attack HTTP/1.1",
        "GET /attack HTTP/1.2 ",
        "GET /attack HTTP/2.0",
        "GET /attack HTTP/0.9",
        "GET /attack http/1.1",
        "GET /attack",
        "G\u{e9}T /attack HTTP/1.1",
        "GET /caf\u{e9} HTTP/1.1",
        "GET attack HTTP/1.1",
        "GET * HTTP/1.1",
        "GET : HTTP/1.1",
        "PRI * HTTP/2.0",
    ] {
        let bytes = format!("{start}\r\nHost: {}\r\n\r\n{SMUGGLED}x\r\n\r\n", PUBLIC.host);
        let answers = converse(&arena, bytes.as_bytes()).await;
        assert!(answers.len() <= 1, "{start:?}: {answers:?}");
        assert!(answers.iter().all(|answer| answer.status >= 400), "{start:?}: {answers:?}");
    }
    nobody_else_is_hurt(&arena, "request line").await;
}

/// c55.
#[tokio::test]
async fn a_chunk_has_one_size() {
    let arena = arena().await;
    for body in [
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5g\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "5_\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff5\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5\0\r\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "3\r\nhello\r\n0\r\n\r\n",
        "0 5\r\nhello\r\n0\r\n\r\n",
        "5,5\r\nhello\r\n0\r\n\r\n",
    ] {
        refused(&arena, &format!("chunk {body:?}"), "Transfer-Encoding: chunked", body).await;
    }
}

/// c55: what a chunk may carry besides its data ends here, be it an extension or a trailer with a fact.
#[tokio::test]
async fn extensions_and_trailers_of_chunks_end_here() {
    let arena = arena().await;
    for (body, name) in [
        ("5;a=b\r\nhello\r\n0;c\r\n\r\n", "extension"),
        ("5\r\nhello\r\n0\r\nX-Organization-Id: evil\r\nContent-Length: 9\r\n\r\n", "trailer"),
        ("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "two chunks"),
        ("005\r\nhello\r\n00\r\n\r\n", "leading zeros"),
    ] {
        let head = format!(
            "POST /{} HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
            name.replace(' ', "-"),
            PUBLIC.host
        );
        let answer = arena.raw(format!("{head}{body}")).await;
        if let Some(answer) = answer.filter(|answer| answer.status == 200) {
            assert!(answer.text().ends_with(" hello"), "{name}: {}", answer.text());
        }
        assert!(!arena.origin.wire().contains("evil"), "{name}");
        assert!(!arena.origin.wire().contains("a=b"), "{name}");
        nobody_else_is_hurt(&arena, name).await;
    }
}

/// c58.
#[tokio::test]
async fn the_body_of_a_get_is_no_second_request() {
    let arena = arena().await;
    for profile in ALL {
        let credential =
            if profile.has_tenant { format!("{}\r\n", bearer("ada", "acme")) } else { String::new() };
        let smuggled = format!("{SMUGGLED}x\r\n\r\n");
        for method in ["GET", "HEAD", "OPTIONS", "DELETE", "POST"] {
            let mut wire = Wire::connect(arena.gate.http).await;
            let head = format!(
                "{method} /{method} HTTP/1.1\r\nHost: {}\r\n{credential}Content-Length: {}\r\n\r\n",
                profile.host,
                smuggled.len()
            );
            wire.send(format!("{head}{smuggled}")).await;
            let answer = wire.answer_to(method).await.expect("an answer");
            assert_eq!(answer.status, 200, "{method}");
            let seen = arena.origin.last();
            assert_eq!(
                (seen.method.as_str(), &*seen.body),
                (method, smuggled.as_bytes()),
                "{}",
                profile.host
            );
            // The connection goes on in step, or not at all.
            let next = format!("GET /next HTTP/1.1\r\nHost: {}\r\n{credential}\r\n", profile.host);
            wire.send(next).await;
            if let Some(answer) = wire.answer().await {
                assert_eq!(answer.text(), "/next ", "{method}");
            }
        }
        // A stored answer does not leave the body of a request behind either.
        for target in ["/stored", "/stored"] {
            arena.get(profile, target, &[]).await;
        }
        let mut wire = Wire::connect(arena.gate.http).await;
        let head = format!(
            "GET /stored HTTP/1.1\r\nHost: {}\r\n{credential}Content-Length: {}\r\n\r\n{smuggled}",
            profile.host,
            smuggled.len()
        );
        wire.send(format!("{head}GET /next HTTP/1.1\r\nHost: {}\r\n{credential}\r\n", profile.host)).await;
        assert_eq!(wire.answer().await.map(|answer| answer.status), Some(200));
        if let Some(answer) = wire.answer().await {
            assert_eq!(answer.text(), "/next ");
        }
    }
    nobody_else_is_hurt(&arena, "body of a GET").await;
}

/// c58: a refusal or an answer of our own leaves no body behind that would be read as the next request.
#[tokio::test]
async fn the_body_of_a_refused_request_is_no_second_request() {
    let arena =
        Arena::with("limits: {default: {windows: {1h: 1}}}\nroutes: [{path: /}]", |_: &Seen| Reply::ok("x"))
            .await;
    arena.get(PUBLIC, "/", &[]).await;
    let smuggled = format!("{SMUGGLED}x\r\n\r\n");
    let length = smuggled.len();
    for head in [
        format!("POST /denied HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"),
        format!("OPTIONS /denied HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\nContent-Length: {length}\r\n\r\n"),
        format!("POST /bad%00 HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"),
        format!("POST /bad HTTP/1.1\r\nHost: a\r\nExpect: magic\r\nContent-Length: {length}\r\n\r\n"),
    ] {
        let mut wire = Wire::connect(arena.gate.http).await;
        wire.send(format!("{head}{smuggled}")).await;
        let answer = wire.answer().await.expect("an answer");
        assert!(answer.status >= 400, "{head:?}: {answer:?}");
        wire.send("GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        // At most one more: that to `/next`. Were the body a request, there would be two.
        let mut more = 0;
        while wire.answer().await.is_some() {
            more += 1;
        }
        assert!(more <= 1, "{head:?}: {more} more answers");
    }
    assert_eq!(arena.origin.count(), 1);
}

/// c59.
#[tokio::test]
async fn an_upgrade_to_http2_is_not_passed_on() {
    let arena = arena().await;
    for profile in ALL {
        let lines = [
            "Connection: Upgrade, HTTP2-Settings",
            "Upgrade: h2c",
            "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
        ];
        let answer = arena.get(profile, "/h2c", &lines).await;
        assert_eq!(answer.status, 200, "answered as if there were none");
        let seen = arena.origin.last();
        for name in ["upgrade", "http2-settings", "connection"] {
            assert_eq!(seen.header(name), "", "{name}: {:?}", seen.head);
        }
        for upgrade in [
            "Upgrade: websocket, h2c",
            "Upgrade: H2C",
            "Upgrade: h2c\r\nUpgrade: websocket",
            "Upgrade: TLS/1.0",
        ] {
            let answer = arena.get(profile, "/other", &["Connection: Upgrade", upgrade]).await;
            assert_eq!(answer.status, 200, "{upgrade}");
            assert_eq!(arena.origin.last().header("upgrade"), "", "{upgrade}");
        }
    }
}
