//! The byte-level reader: every rule, and that it does not matter where the reads cut.

use super::wire::*;
use proptest::prelude::*;

const BOUNDS: WireBounds = WireBounds { head_bytes: 400, line_bytes: 200, fields: 8 };
const HOST: &str = "Host: a\r\n";

fn wire() -> Wire {
    Wire::new(BOUNDS)
}

/// The status and name of what is wrong with `bytes`; `None` when nothing is.
fn fault(bytes: impl AsRef<[u8]>) -> Option<(u16, &'static str)> {
    wire().feed(bytes.as_ref()).err().map(|fault| (fault.fault.status(), fault.fault.name()))
}

fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\n{HOST}{fields}\r\n")
}

fn chunked(body: &str) -> String {
    format!("POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n{body}")
}

#[test]
fn well_formed_messages_pass_one_after_the_other() {
    let all = [
        get(""),
        "\r\n\r\nGET http://a/?b HTTP/1.0\r\n\r\n".to_owned(),
        format!("POST / HTTP/1.1\r\n{HOST}Content-Length: 3\r\n\r\nabc"),
        chunked("3\r\nabc\r\n000a;x=\"y z\"\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n"),
        get("X-Empty:\r\nX-Tab:\ta\tb\t\r\nX-Obs: \u{e9}\r\n"),
        "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(),
    ];
    let mut wire = wire();
    for message in &all {
        assert_eq!(wire.feed(message.as_bytes()), Ok(()), "{message:?}");
        assert_eq!(wire.place(), Place::Between, "{message:?}");
    }
    assert_eq!(fault(all.concat()), None);
}

#[test]
fn the_place_is_known_within_a_message() {
    let mut wire = wire();
    for (bytes, place) in [
        ("G", Place::Head),
        ("ET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r", Place::Head),
        ("\n", Place::Body),
        ("2\r\na", Place::Body),
        ("b\r\n0\r\n", Place::Body),
        ("\r\n", Place::Between),
        ("\r\n", Place::Head),
    ] {
        wire.feed(bytes.as_bytes()).expect("well formed");
        assert_eq!(wire.place(), place, "{bytes:?}");
    }
    wire.free();
    wire.feed(b"\x81\x85anything").expect("no longer ours");
    assert_eq!(wire.place(), Place::Free);
}

#[test]
fn lines_have_one_form() {
    for line in [
        "GET / HTTP/1.1\n",
        "GET  / HTTP/1.1\r\n",
        "GET / HTTP/1.1 \r\n",
        " GET / HTTP/1.1\r\n",
        "GET / a HTTP/1.1\r\n",
        "GET /\r\n",
        "GET\t/ HTTP/1.1\r\n",
        "G(T / HTTP/1.1\r\n",
        "GET / http/1.1\r\n",
        "GET / HTTP/1.10\r\n",
        "GET / HTTP/11\r\n",
        "GET / HTTP/1,1\r\n",
        "GET /\r HTTP/1.1\r\n",
        "\r\n\r\n\r\n",
        "\n",
    ] {
        assert_eq!(fault(line), Some((400, "bad-line")), "{line:?}");
    }
    assert_eq!(fault("GET /\0 HTTP/1.1\r\n"), Some((400, "bad-line")));
    for target in ["/a#b", "/<a>", "/a`", "/\u{e9}", "a", "http:/a", "a.example:80"] {
        assert_eq!(fault(format!("GET {target} HTTP/1.1\r\n")), Some((400, "bad-target")), "{target:?}");
    }
    for version in ["HTTP/2.0", "HTTP/3.0", "HTTP/0.9", "HTTP/1.2"] {
        assert_eq!(fault(format!("GET / {version}\r\n")), Some((505, "version-not-supported")), "{version}");
    }
    for fields in [
        "X-A : 1\r\n",
        " X-A: 1\r\n",
        "X-A: 1\r\n 2\r\n",
        "X-A: 1\r\n\t2\r\n",
        ": 1\r\n",
        "X-A\r\n",
        "X A: 1\r\n",
        "X-\u{e9}: 1\r\n",
        "X-A: 1\n",
        "X-A: a\rb\r\n",
        "X-A: a\0b\r\n",
        "X-A: a\x7fb\r\n",
    ] {
        assert_eq!(fault(get(fields)), Some((400, "bad-line")), "{fields:?}");
    }
}

#[test]
fn a_message_has_one_length_and_one_host() {
    for (fields, name) in [
        ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", "ambiguous-length"),
        ("Content-Length: 1\r\ncontent-length: 1\r\n", "bad-content-length"),
        ("Content-Length: +1\r\n", "bad-content-length"),
        ("Transfer-Encoding: xchunked\r\n", "bad-transfer-encoding"),
        ("Host: a\r\n", "bad-host"),
        ("Host: u@a\r\n", "bad-host"),
    ] {
        assert_eq!(fault(get(fields)), Some((400, name)), "{fields:?}");
    }
    let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(fault(old), Some((400, "bad-transfer-encoding")));
    assert_eq!(fault(get("Transfer-Encoding: gzip, chunked\r\n")), Some((501, "unknown-transfer-coding")));
    for (target, name) in
        [("http://b/", Some("bad-host")), ("http://A:80/x", None), ("http://u@a/", Some("bad-host"))]
    {
        let found = fault(format!("GET {target} HTTP/1.1\r\n{HOST}\r\n")).map(|(_, name)| name);
        assert_eq!(found, name, "{target}");
    }
    assert_eq!(fault("CONNECT a:1 HTTP/1.1\r\n"), Some((405, "method-not-allowed")));
}

#[test]
fn chunks_have_one_form() {
    for body in [
        "\r\n",
        "x\r\n",
        "0x1\r\na\r\n",
        "-1\r\n",
        "+1\r\na\r\n",
        "1_0\r\n",
        " 1\r\na\r\n",
        "1 \r\na\r\n",
        "1 x\r\na\r\n",
        "1\na\r\n",
        "1;a\nb\r\nc\r\n",
        "1;a\rb\r\nc\r\n",
        "1;a\0\r\nc\r\n",
        "1\r\nab\r\n",
        "1\r\na\n",
        "1\r\na0\r\n\r\n",
        "10000000000000000\r\n",
        "ffffffffffffffff\r\n",
        "00000000000000001\r\na\r\n",
    ] {
        assert_eq!(fault(chunked(body)), Some((400, "bad-chunk")), "{body:?}");
    }
    assert_eq!(fault(chunked("0\r\nX-A : 1\r\n\r\n")), Some((400, "bad-line")));
    assert_eq!(fault(chunked(&format!("1;{}\r\na\r\n", "x".repeat(201)))), Some((400, "bad-chunk")));
    let extended = format!("1;{}\r\na\r\n", "x".repeat(150));
    assert_eq!(fault(chunked(&extended.repeat(3))), Some((400, "bad-chunk")), "extensions add up");
    assert_eq!(fault(chunked(&format!("{}0\r\n\r\n", "1\r\na\r\n".repeat(1_000)))), None);
}

#[test]
fn heads_are_bounded_before_they_end() {
    let long = "a".repeat(300);
    assert_eq!(fault(format!("GET /{long}")), Some((414, "target-too-long")));
    assert_eq!(fault(format!("GET / HTTP/1.1\r\nX-A: {long}")), Some((431, "fields-too-large")));
    let many = format!("GET / HTTP/1.1\r\n{}", "X-A: 1\r\n".repeat(9));
    assert_eq!(fault(format!("{many}\r\n")), Some((431, "fields-too-large")));
    let wide = format!("X-A: {}\r\n", "a".repeat(150)).repeat(3);
    assert_eq!(fault(get(&wide)), Some((431, "fields-too-large")));
    let trailers = format!("0\r\n{}\r\n", "X-A: 1\r\n".repeat(9));
    assert_eq!(fault(chunked(&trailers)), Some((431, "fields-too-large")));
}

#[test]
fn whole_messages_before_a_bad_one_are_good() {
    let two = format!("{}{}", get(""), chunked("1\r\na\r\n0\r\n\r\n"));
    let error = wire().feed(format!("{two}nonsense\r\n").as_bytes()).expect_err("nonsense");
    assert_eq!(error.good, two.len());
    let error = wire().feed(chunked("1\r\nabc").as_bytes()).expect_err("a bad chunk");
    assert_eq!(error.good, 0);
}

proptest! {
    /// Where the reads cut the bytes makes no difference.
    #[test]
    fn pieces_read_like_the_whole(
        parts in proptest::collection::vec(
            prop_oneof![
                Just(get("")), Just(chunked("3\r\nabc\r\n0\r\n\r\n")), Just("\r\n".to_owned()),
                Just(chunked("3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n")), Just("GET / HTTP/1.1\r\n".to_owned()),
                Just("X: y\r\n".to_owned()), Just(get("Content-Length: 4\r\n")), "[ -~\r\n]{0,12}",
            ],
            0..8,
        ),
        cut in 1usize..40,
    ) {
        let bytes = parts.concat();
        let (mut whole, mut pieces) = (wire(), wire());
        let all = whole.feed(bytes.as_bytes()).map_err(|fault| fault.fault);
        let each = bytes.as_bytes().chunks(cut).try_for_each(|part| pieces.feed(part)).map_err(|fault| fault.fault);
        prop_assert_eq!(&all, &each);
        if all.is_ok() {
            prop_assert_eq!(whole.place(), pieces.place());
        }
    }
}
