//! The checks of a request head and its target: what passes has one meaning.

use super::{Target, fields_of, lines, text};
use http::{HeaderMap, HeaderValue, Method, Version, header};
use tidegate::message::{
    Checked, MessageFault, RequestBounds, RequestHead, check_loop, check_request, hop_by_hop, is_websocket,
    nominated,
};

pub(crate) const TARGET: Target = Target {
    name: "request",
    holds,
    words: &[
        "GET ",
        "HEAD ",
        "POST ",
        "OPTIONS ",
        "CONNECT ",
        "TRACE ",
        "PRI ",
        "*",
        "/",
        "http://",
        "https://",
        "HTTP://",
        "a.example",
        "@",
        ":80",
        "?",
        "#",
        "//",
        " HTTP/1.0",
        " HTTP/1.1",
        " HTTP/2",
        "\nHost: ",
        "\nContent-Length: ",
        "\nTransfer-Encoding: chunked",
        "\nTransfer-Encoding: ",
        "gzip, chunked",
        "chunked, chunked",
        "+5",
        "5, 5",
        "0x5",
        "\nConnection: ",
        "close",
        "host",
        "content-length",
        "\nTE: trailers",
        "\nUpgrade: websocket",
        "\nVia: 1.1 tidegate",
        "\nExpect: 100-continue",
        "\nMax-Forwards: 0",
        "\nContent_Length: 1",
        "\nAuthorization: x",
        "\t",
        "%20",
        " ",
    ],
    seeds: &[],
};

const BOUNDS: RequestBounds = RequestBounds { head_bytes: 4_096, fields: 20, line_bytes: 1_024 };

fn holds(input: &[u8]) {
    let mut rest = lines(input);
    let first = text(rest.next().unwrap_or_default()).into_owned();
    let headers = fields_of(rest);
    let mut words = first.splitn(3, ' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let Ok(method) = Method::from_bytes(method.as_bytes()) else { return };
    let version = match words.next().unwrap_or_default().trim() {
        "HTTP/1.0" => Version::HTTP_10,
        "HTTP/2" => Version::HTTP_2,
        _ => Version::HTTP_11,
    };
    let head = |target, headers| RequestHead {
        method: &method,
        target,
        version,
        scheme: "http",
        authority: None,
        headers,
    };
    hops(&headers, &method, version);
    let Ok(checked) = check_request(&head(target, &headers), &BOUNDS) else { return };
    whole(&headers, &method, version, &checked);
    // What is sent on: origin-form, one Host.
    let mut sent = headers.clone();
    if !checked.authority.is_empty() {
        sent.insert(header::HOST, HeaderValue::from_str(&checked.authority).expect("a plain authority"));
    }
    let query = checked.query.map(|query| format!("?{query}")).unwrap_or_default();
    let origin_form = format!("{}{query}", checked.path);
    let again: Result<Checked<'_>, MessageFault> = check_request(&head(&origin_form, &sent), &BOUNDS);
    let again =
        again.unwrap_or_else(|fault| panic!("{origin_form} is refused when it is sent on: {fault:?}"));
    assert_eq!((again.path, again.query), (checked.path, checked.query));
    assert_eq!(again.has_body, checked.has_body, "the body is framed otherwise");
    // An `https` target has another default port than the connection on which it is sent on.
    if !target.starts_with("https") && !target.starts_with("HTTPS") {
        assert_eq!(again.authority, checked.authority);
    }
}

/// What passed has one framing, one Host and a plain path.
fn whole(headers: &HeaderMap, method: &Method, version: Version, checked: &Checked<'_>) {
    assert!(checked.path.starts_with('/'), "{checked:?}");
    assert!(checked.path.bytes().all(|byte| byte.is_ascii_graphic()), "{checked:?}");
    assert!(!matches!(*method, Method::CONNECT | Method::TRACE), "{method}");
    let count = |name| headers.get_all(name).iter().count();
    let coded = headers.contains_key(header::TRANSFER_ENCODING);
    assert!(!(coded && headers.contains_key(header::CONTENT_LENGTH)), "two framings");
    assert!(count(header::HOST) <= 1 && count(header::AUTHORIZATION) <= 1, "{headers:?}");
    assert!(version != Version::HTTP_11 || !checked.authority.is_empty(), "{checked:?}");
    if coded {
        let value = headers.get(header::TRANSFER_ENCODING).map(HeaderValue::as_bytes).unwrap_or_default();
        assert!(value.eq_ignore_ascii_case(b"chunked"), "{value:?}");
        assert!(checked.has_body, "{checked:?}");
    }
}

/// The readers of `Connection`, `Upgrade` and `Via` take anything.
fn hops(headers: &HeaderMap, method: &Method, version: Version) {
    let connection = headers.contains_key(header::CONNECTION);
    assert!(nominated(headers).is_empty() || connection, "named by nobody");
    for name in hop_by_hop(headers) {
        assert!(headers.contains_key(&name), "{name} is to be removed and is not there");
    }
    assert!(!is_websocket(method, version, headers) || *method == Method::GET);
    if !headers.contains_key(header::VIA) {
        assert!(check_loop(headers).is_ok());
    }
}
