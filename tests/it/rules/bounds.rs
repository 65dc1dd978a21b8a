//! How large a head and a body may be: what is legal passes, what is not is told (RFC 9110 section 5.4, RFC 6585).

use super::Case;

const TARGET: &str = "RFC 9112 3";
const FIELDS: &str = "RFC 6585 5";
const BODY: &str = "RFC 9110 15.5.14";

pub(super) const CASES: &[Case] = &[
    Case::client("limit.target-8000", TARGET, "GET /{a*7999} {h}\r\n").kept().gets(&["GET /{a*7999}"]),
    Case::client("limit.target-16000", TARGET, "GET /{a*15999} {h}\r\n").kept().gets(&["GET /{a*15999}"]),
    Case::client("limit.query-8000", TARGET, "GET /x?{a*8000} {h}\r\n").kept().gets(&["GET /x?{a*8000}"]),
    Case::client("limit.target-20000", "RFC 9110 15.5.15", "GET /{a*20000} {h}\r\n").refused_as(&[&[414]]),
    Case::client("limit.target-endless", "RFC 9110 15.5.15", "GET /{a*200000}").refused_as(&[&[400, 414]]),
    Case::client("limit.method-long", TARGET, "{A*20000} /x {h}\r\n").refused_as(&[&[400, 414, 431, 501]]),
    Case::client("limit.field-8000", FIELDS, "GET /x {h}X-A: {b*8000}\r\n\r\n").kept().forwards(&["x-a: {b*8000}\r\n"]),
    Case::client("limit.field-16000", FIELDS, "GET /x {h}X-A: {b*16000}\r\n\r\n").kept().forwards(&["x-a: {b*16000}\r\n"]),
    Case::client("limit.field-20000", FIELDS, "GET /x {h}X-A: {b*20000}\r\n\r\n").refused_as(&[&[431]]),
    Case::client("limit.field-endless", FIELDS, "GET /x {h}X-A: {b*200000}").refused_as(&[&[400, 431]]),
    Case::client("limit.name-20000", FIELDS, "GET /x {h}{n*20000}: b\r\n\r\n").refused_as(&[&[400, 431]]),
    Case::client("limit.fields-90", FIELDS, "GET /x {h}{X-A: b\r\n*90}\r\n").kept().gets(&["GET /x"]),
    Case::client("limit.fields-100", FIELDS, "GET /x {h}{X-A: b\r\n*99}\r\n").kept().gets(&["GET /x"]),
    Case::client("limit.fields-200", FIELDS, "GET /x {h}{X-A: b\r\n*200}\r\n").refused_as(&[&[431]]),
    Case::client("limit.fields-5000", FIELDS, "GET /x {h}{X-A: b\r\n*5000}\r\n").refused_as(&[&[431]]),
    Case::client("limit.fields-endless", FIELDS, "GET /x {h}{X-A: b\r\n*20000}").refused_as(&[&[431]]),
    Case::client("limit.head-40000", FIELDS, "GET /x {h}X-A: {b*10000}\r\nX-B: {b*10000}\r\nX-C: {b*10000}\r\nX-D: {b*10000}\r\n\r\n")
        .kept()
        .gets(&["GET /x"]),
    Case::client("limit.head-90000", FIELDS, "GET /x {h}X-A: {b*15000}\r\nX-B: {b*15000}\r\nX-C: {b*15000}\r\nX-D: {b*15000}\r\nX-E: {b*15000}\r\nX-F: {b*15000}\r\n\r\n")
        .refused_as(&[&[431]]),
    Case::client("limit.body", BODY, "POST /x {h}Content-Length: 1000000\r\n\r\n{a*1000000}").kept().gets(&["POST /x {a*1000000}"]),
    Case::client("limit.body-declared", BODY, "POST /x {h}Content-Length: 11000000\r\n\r\n").refused_as(&[&[413]]),
    Case::client("limit.body-chunks", BODY, "POST /x {h}Transfer-Encoding: chunked\r\n\r\nb00000\r\n{a*11534336}\r\n0\r\n\r\n")
        .broken_off(),
    Case::client("limit.empty-lines-endless", "RFC 9112 2.2", "{\r\n*100000}").answered(&[&[400, 431]], super::Connection::Closed).gets_nothing(),
];

#[tokio::test]
async fn heads_and_bodies_are_bounded_above_what_is_usual() {
    super::check(CASES).await;
}
