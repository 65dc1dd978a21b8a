//! The chunked coding of requests, octet by octet (RFC 9112 section 7.1).

use super::{Case, Connection};

const S: &str = "RFC 9112 7.1";
const EXT: &str = "RFC 9112 7.1.1";
const TRAILER: &str = "RFC 9112 7.1.2";
const HELLO: &[&str] = &["POST /x hello"];

/// A chunked request with this body.
macro_rules! chunked {
    ($name:literal, $section:expr, $body:literal) => {
        Case::client($name, $section, concat!("POST /x {h}Transfer-Encoding: chunked\r\n\r\n", $body))
    };
}

pub(super) const CASES: &[Case] = &[
    chunked!("chunk.one", S, "5\r\nhello\r\n0\r\n\r\n").kept().gets(HELLO),
    chunked!("chunk.many", S, "1\r\nh\r\n2\r\nel\r\n2\r\nlo\r\n0\r\n\r\n").kept().gets(HELLO),
    chunked!("chunk.none", S, "0\r\n\r\n").kept().gets(&["POST /x"]),
    chunked!("chunk.lower-hex", S, "a\r\nhellohello\r\n0\r\n\r\n").kept().gets(&["POST /x hellohello"]),
    chunked!("chunk.upper-hex", S, "A\r\nhellohello\r\n0\r\n\r\n").kept().gets(&["POST /x hellohello"]),
    chunked!("chunk.leading-zeros", S, "0005\r\nhello\r\n000\r\n\r\n").kept().gets(HELLO),
    chunked!("chunk.data-like-end", S, "5\r\n0\r\n\r\n\r\n0\r\n\r\n").kept().gets(&["POST /x 0"]),
    chunked!("chunk.next-request", S, "5\r\nhello\r\n0\r\n\r\nGET /y {h}\r\n")
        .answered(&[&[200], &[200]], Connection::Kept)
        .gets(&["POST /x hello", "GET /y"]),
    chunked!("chunk.extension", EXT, "5;a=b\r\nhello\r\n0;c\r\n\r\n").kept().gets(HELLO).withholds(&["a=b"]),
    chunked!("chunk.extension-quoted", EXT, "5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n").kept().gets(HELLO),
    chunked!("chunk.extension-name", EXT, "5;abc\r\nhello\r\n0\r\n\r\n").kept().gets(HELLO),
    chunked!("chunk.extension-space", EXT, "5 ; a = b\r\nhello\r\n0\r\n\r\n").kept().gets(HELLO),
    chunked!("chunk.extension-tab", EXT, "5\t;\ta=b\r\nhello\r\n0\r\n\r\n").kept().gets(HELLO),
    chunked!("chunk.extension-many", EXT, "5;a;b=c;d=\"e\"\r\nhello\r\n0\r\n\r\n").kept().gets(HELLO),
    chunked!("chunk.size-space-behind", S, "5 \r\nhello\r\n0\r\n\r\n")
        .answered(&[&[200, 400]], Connection::Either),
    chunked!("chunk.extension-lf", EXT, "5;a\nb\r\nhello\r\n0\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.extension-lf-line", EXT, "5;a\nhello\r\n0\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.extension-cr", EXT, "5;a\rb\r\nhello\r\n0\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.extension-nul", EXT, "5;a\0b\r\nhello\r\n0\r\n\r\n{tail}").broken_off(),
    // A line ends at its CRLF, in quotes too; what follows is the chunk, and then another request.
    chunked!("chunk.extension-quoted-line", EXT, "5;a=\"\r\nhello\r\n0\r\n\r\nGET /y {h}\r\n\"\r\n")
        .may_end_with(&[200, 400]),
    chunked!("chunk.extension-long", EXT, "5;a={b*100000}\r\nhello\r\n0\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.size-empty", S, "\r\nhello\r\n0\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.size-extension-only", S, ";a=b\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.size-0x", S, "0x5\r\nhello\r\n0\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.size-h", S, "5h\r\nhello\r\n0\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.size-minus", S, "-5\r\nhello\r\n0\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.size-minus-zero", S, "-0\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.size-plus", S, "+5\r\nhello\r\n0\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.size-text", S, "xyz\r\nhello\r\n0\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.size-fraction", S, "5.0\r\nhello\r\n0\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.size-comma", S, "5,5\r\nhello\r\n0\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.size-underscore", S, "0_5\r\nhello\r\n0\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.size-space-before", S, " 5\r\nhello\r\n0\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.size-space-inside", S, "0 5\r\nhello\r\n0\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.size-nul", S, "5\0\r\nhello\r\n0\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.size-wraps-64", S, "10000000000000005\r\nhello\r\n0\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.size-wraps-32", S, "100000005\r\nhello\r\n0\r\n\r\n{tail}")
        .half_closes()
        .broken_off()
        .withholds(&[]),
    chunked!("chunk.size-largest", S, "ffffffffffffffff\r\nhello\r\n0\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.size-many-digits", S, "{f*100}\r\nhello\r\n0\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.size-lf", S, "5\nhello\r\n0\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.size-cr", S, "5\rhello\r\n0\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.size-two-cr", S, "5\r\r\nhello\r\n0\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.data-no-end", S, "5\r\nhello0\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.data-long", S, "5\r\nhelloX\r\n0\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.data-short", S, "6\r\nhello\r\n0\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.data-lf", S, "5\r\nhello\n0\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.data-cr", S, "5\r\nhello\r0\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.data-xx", S, "5\r\nhelloXX0\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.end-lf", S, "5\r\nhello\r\n0\n\n{tail}").broken_off(),
    chunked!("chunk.end-lf-last", S, "5\r\nhello\r\n0\r\n\n{tail}").broken_off(),
    chunked!("chunk.end-cr", S, "5\r\nhello\r\n0\r\n\r{tail}").broken_off(),
    chunked!("chunk.cut-in-data", "RFC 9112 8", "5\r\nhel").half_closes().broken_off(),
    chunked!("chunk.cut-in-size", "RFC 9112 8", "5\r\nhello\r\n1").half_closes().broken_off(),
    chunked!("chunk.cut-before-last", "RFC 9112 8", "5\r\nhello\r\n").half_closes().broken_off(),
    chunked!("chunk.cut-in-last", "RFC 9112 8", "5\r\nhello\r\n0\r\n").half_closes().broken_off(),
    chunked!("chunk.trailer", TRAILER, "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n").kept().gets(HELLO),
    chunked!("chunk.trailer-next-request", TRAILER, "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\nGET /y {h}\r\n")
        .answered(&[&[200], &[200]], Connection::Kept)
        .gets(&["POST /x hello", "GET /y"]),
    chunked!("chunk.trailer-length", "RFC 9110 6.5.1", "5\r\nhello\r\n0\r\nContent-Length: 45\r\n\r\n")
        .answered(&[&[200, 400]], Connection::Either)
        .withholds(&["content-length: 45"]),
    chunked!("chunk.trailer-coding", "RFC 9110 6.5.1", "5\r\nhello\r\n0\r\nTransfer-Encoding: gzip\r\n\r\n")
        .answered(&[&[200, 400]], Connection::Either)
        .withholds(&["gzip"]),
    chunked!("chunk.trailer-host", "RFC 9110 6.5.1", "5\r\nhello\r\n0\r\nHost: evil.example\r\n\r\n")
        .answered(&[&[200, 400]], Connection::Either)
        .withholds(&["evil.example"]),
    chunked!("chunk.trailer-credential", "RFC 9110 6.5.1", "5\r\nhello\r\n0\r\nAuthorization: evil\r\n\r\n")
        .answered(&[&[200, 400]], Connection::Either)
        .withholds(&["evil"]),
    chunked!("chunk.trailer-no-colon", TRAILER, "5\r\nhello\r\n0\r\nnonsense\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.trailer-name-space", TRAILER, "5\r\nhello\r\n0\r\nX-A : b\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.trailer-folded", TRAILER, "5\r\nhello\r\n0\r\nX-A: b\r\n c\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.trailer-lf", TRAILER, "5\r\nhello\r\n0\r\nX-A: b\nX-B: c\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.trailer-nul", TRAILER, "5\r\nhello\r\n0\r\nX-A: b\0\r\n\r\n{tail}").broken_off(),
    chunked!("chunk.trailer-request", TRAILER, "5\r\nhello\r\n0\r\n{tail}").broken_off(),
    chunked!("chunk.trailer-long", TRAILER, "5\r\nhello\r\n0\r\nX-A: {b*200000}\r\n\r\n{tail}").broken_off(),
];

#[tokio::test]
async fn chunks_are_read_to_the_letter() {
    super::check(CASES).await;
}
