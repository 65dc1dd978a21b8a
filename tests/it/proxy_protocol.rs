//! The PROXY protocol: who the client is, said by a trusted proxy of connections before all else.

use crate::support::certificates::{Authority, Files, TlsClient};
use crate::support::{Gate, Origin, Wire};

async fn gate(origin: &Origin, trusted: &str) -> Gate {
    let config = format!(
        "server: {{listen: [{{address: '127.0.0.1:0', proxy_protocol: true, http2: true}}], trusted_proxies: ['{trusted}'],\
         connections: {{per_address: 2}}, request: {{head_timeout: 500ms}}}}\n\
         admin: {{listen: '127.0.0.1:0'}}\nupstreams: {{backend: '{}'}}\nroutes: [{{path: /}}]\n\
         limits: {{default: {{per: [ip], windows: {{1h: 1}}}}}}",
        origin.address()
    );
    Gate::start_with(&config).await
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n";

#[tokio::test]
async fn the_header_says_who_the_client_is() {
    let origin = Origin::counting().await;
    let gate = gate(&origin, "127.0.0.1").await;
    let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x02\xc0\0\x02\x63\x04\xd2\0\x50".to_vec();
    let v1 = b"PROXY TCP4 192.0.2.1 192.0.2.99 1234 80\r\n".to_vec();
    for (header, client) in [(v1, "192.0.2.1"), (v2, "192.0.2.2")] {
        let request = [&header[..], GET.as_bytes()].concat();
        let answer = Wire::exchange(gate.http, &request).await.expect("an answer");
        assert_eq!((answer.status, origin.last().header("x-forwarded-for")), (200, client));
        let again = Wire::exchange(gate.http, &request).await.expect("an answer");
        assert_eq!(again.status, 429, "limits count it");
    }
    let local = [&b"PROXY UNKNOWN\r\n"[..], GET.as_bytes()].concat();
    assert_eq!(Wire::exchange(gate.http, local).await.expect("an answer").status, 200);
    // The proxy speaks for itself, and it is trusted.
    assert_eq!(origin.last().header("x-forwarded-for"), "203.0.113.9, 127.0.0.1");
}

#[tokio::test]
async fn without_a_header_or_with_a_malformed_one_the_connection_ends() {
    let origin = Origin::counting().await;
    let gate = gate(&origin, "127.0.0.1").await;
    for bytes in [GET, "PROXY TCP4 nonsense\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 99999\r\n", "PROXY", ""] {
        let mut wire = Wire::connect(gate.http).await;
        wire.send(bytes).await;
        assert!(wire.is_closed().await, "{bytes:?}");
    }
    assert_eq!(origin.count(), 0);
    assert!(gate.metric("tidegate_connections_refused_total", &[("reason", "proxy-protocol")]).await >= 5.0);
}

#[tokio::test]
async fn nobody_else_is_believed() {
    let origin = Origin::counting().await;
    let gate = gate(&origin, "192.0.2.0/24").await;
    let mut wire = Wire::connect(gate.http).await;
    wire.send(format!("PROXY TCP4 192.0.2.1 192.0.2.99 1234 80\r\n{GET}")).await;
    assert!(wire.is_closed().await);
    assert_eq!(origin.count(), 0);
}

#[tokio::test]
async fn places_are_counted_by_the_client_that_is_named() {
    let origin = Origin::counting().await;
    let gate = gate(&origin, "127.0.0.1").await;
    let mut held = Vec::new();
    for client in [1, 1, 2, 2] {
        let mut wire = Wire::connect(gate.http).await;
        wire.send(format!("PROXY TCP4 192.0.2.{client} 192.0.2.99 1234 80\r\n{GET}")).await;
        assert!(wire.answer().await.is_some_and(|answer| answer.status != 503), "{client}");
        held.push(wire);
    }
    let third = format!("PROXY TCP4 192.0.2.1 192.0.2.99 1234 80\r\n{GET}");
    assert_eq!(Wire::exchange(gate.http, third).await.expect("an answer").status, 503);
}

#[tokio::test]
async fn the_header_comes_before_the_handshake() {
    let (authority, files) = (Authority::new(), Files::new());
    let origin = Origin::counting().await;
    let pair = files.pair("a", &authority.issue(&["a.example"]));
    let config = format!(
        "server: {{listen: {{address: '127.0.0.1:0', proxy_protocol: true, tls: {{{pair}}}}}, trusted_proxies: ['127.0.0.1']}}\n\
         admin: {{listen: '127.0.0.1:0'}}\nupstreams: {{backend: '{}'}}\nroutes: [{{path: /}}]",
        origin.address()
    );
    let gate = Gate::start_with(&config).await;
    let client = TlsClient::new().behind("PROXY TCP6 2001:db8::1 2001:db8::2 1234 443\r\n");
    let answer = client.ask(gate.http, "a.example", "").await.expect("an answer").answer;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let seen = origin.last();
    assert_eq!((seen.header("x-forwarded-for"), seen.header("x-forwarded-proto")), ("2001:db8::1", "https"));
    assert!(TlsClient::new().ask(gate.http, "a.example", "").await.is_err(), "no header, no handshake");
}
