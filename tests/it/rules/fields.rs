//! Field lines of a request: names, values, what surrounds them (RFC 9110 section 5, RFC 9112 section 5).

use super::Case;

const NAME: &str = "RFC 9110 5.1";
const VALUE: &str = "RFC 9110 5.5";

pub(super) const CASES: &[Case] = &[
    Case::client("field.name-space", "RFC 9112 5.1", "GET /x {h}X-A : b\r\n\r\n").refused(),
    Case::client("field.name-tab", "RFC 9112 5.1", "GET /x {h}X-A\t: b\r\n\r\n").refused(),
    Case::client("field.name-space-inside", NAME, "GET /x {h}X A: b\r\n\r\n").refused(),
    Case::client("field.name-empty", NAME, "GET /x {h}: b\r\n\r\n").refused(),
    Case::client("field.name-parenthesis", NAME, "GET /x {h}X(A): b\r\n\r\n").refused(),
    Case::client("field.name-slash", NAME, "GET /x {h}X/A: b\r\n\r\n").refused(),
    Case::client("field.name-quote", NAME, "GET /x {h}\"X-A\": b\r\n\r\n").refused(),
    Case::client("field.name-nul", NAME, "GET /x {h}X\0A: b\r\n\r\n").refused(),
    Case::client("field.name-control", NAME, "GET /x {h}X\u{1}A: b\r\n\r\n").refused(),
    Case::client("field.name-delete", NAME, "GET /x {h}X\u{7f}A: b\r\n\r\n").refused(),
    Case::client("field.name-other-letters", NAME, "GET /x {h}X-\u{e4}: b\r\n\r\n").refused(),
    Case::client("field.no-colon", "RFC 9112 5", "GET /x {h}nonsense\r\n\r\n").refused(),
    Case::client("field.name-all-signs", NAME, "GET /x {h}!#$%&'*+-.^_`|~: b\r\n\r\n")
        .kept()
        .forwards(&["!#$%&'*+-.^_`|~: b"]),
    Case::client("field.value-nul", VALUE, "GET /x {h}X-A: b\0c\r\n\r\n").refused(),
    Case::client("field.value-control", VALUE, "GET /x {h}X-A: b\u{1}c\r\n\r\n").refused(),
    Case::client("field.value-escape", VALUE, "GET /x {h}X-A: b\u{1b}[31m\r\n\r\n").refused(),
    Case::client("field.value-delete", VALUE, "GET /x {h}X-A: b\u{7f}\r\n\r\n").refused(),
    Case::client("field.value-vertical-tab", VALUE, "GET /x {h}X-A: \u{b}b\r\n\r\n").refused(),
    Case::client("field.value-empty", VALUE, "GET /x {h}X-A:\r\n\r\n").kept().forwards(&["x-a:"]),
    Case::client("field.value-tab", VALUE, "GET /x {h}X-A: b\tc\r\n\r\n").kept().forwards(&["x-a: b\tc"]),
    Case::client("field.value-space-around", "RFC 9112 5.1", "GET /x {h}X-A:\t  b c \t\r\n\r\n")
        .kept()
        .forwards(&["x-a: b c\r\n"]),
    Case::client("field.value-obs-text", VALUE, "GET /x {h}X-A: caf\u{e9}\r\n\r\n")
        .kept()
        .forwards(&["x-a: caf\u{e9}\r\n"]),
    Case::client("field.value-colon", VALUE, "GET /x {h}X-A: b: c\r\n\r\n")
        .kept()
        .forwards(&["x-a: b: c\r\n"]),
    Case::client("field.two-lines", "RFC 9110 5.3", "GET /x {h}X-A: b\r\nX-A: c\r\n\r\n")
        .kept()
        .forwards(&["x-a: b", "x-a: c"]),
    Case::client("field.order", "RFC 9110 5.3", "GET /x {h}X-A: 1\r\nX-B: 2\r\nX-A: 3\r\n\r\n")
        .kept()
        .forwards(&["x-a: 1\r\nx-a: 3"]),
];

#[tokio::test]
async fn fields_have_token_names_and_text_values() {
    super::check(CASES).await;
}
