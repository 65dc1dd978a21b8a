//! The reader of HTTP/1 that decides where messages begin and end.

use super::Target;
use tidegate::message::{Place, Wire, WireBounds, WireFault};

pub(crate) const TARGET: Target = Target {
    name: "wire",
    holds,
    words: &[
        "\r\n",
        "\n",
        "\r",
        "\r\n\r\n",
        "GET / HTTP/1.1\r\n",
        "POST /a HTTP/1.1\r\n",
        "HTTP/1.0",
        "HTTP/2.0",
        "Host: a\r\n",
        "Content-Length: 5\r\n",
        "Content-Length: ",
        "Transfer-Encoding: chunked\r\n",
        "transfer-encoding: ",
        "chunked, chunked",
        "5\r\nhello\r\n",
        "0\r\n\r\n",
        "0\r\n",
        "ffffffffffffffff",
        "0x5",
        "+5",
        ";a=b",
        "; ",
        " ",
        "\t",
        ":",
        "Host : a\r\n",
        "http://a/",
        "\u{0}",
        "#",
        "CONNECT",
        "Expect: 100-continue\r\n",
        "X: y\r\n",
    ],
    seeds: &[],
};

const BOUNDS: WireBounds = WireBounds { head_bytes: 600, line_bytes: 200, fields: 8 };

fn read(pieces: &[&[u8]]) -> (Result<(), WireFault>, Place) {
    let mut wire = Wire::new(BOUNDS);
    let mut before = 0;
    let mut good = 0;
    for piece in pieces {
        // `good` counts within a piece; what matters is where it is in the whole.
        match wire.feed(piece) {
            Ok(()) if wire.place() == Place::Between => good = before + piece.len(),
            Ok(()) => {}
            Err(fault) => {
                let at = if fault.good > 0 { before + fault.good } else { good };
                return (Err(WireFault { good: at, fault: fault.fault }), wire.place());
            }
        }
        before += piece.len();
    }
    (Ok(()), wire.place())
}

fn holds(input: &[u8]) {
    let whole = read(&[input]);
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    let halves = input.split_at(input.len() / 2);
    for (pieces, is_bytewise) in [(bytes, true), (vec![halves.0, halves.1], false)] {
        let cut = read(&pieces);
        assert_eq!(cut.0.is_ok(), whole.0.is_ok(), "the reads decide what is refused: {cut:?} {whole:?}");
        match (&cut.0, &whole.0) {
            (Err(cut), Err(whole)) => {
                assert_eq!(cut.fault, whole.fault);
                assert!(!is_bytewise || cut.good == whole.good, "{cut:?} {whole:?}");
            }
            _ => assert_eq!(cut.1, whole.1),
        }
    }
    // What stands before the bad one is whole messages, and stays so whatever follows.
    if let Err(WireFault { good, .. }) = whole.0 {
        let before = read(&[&input[..good]]);
        assert_eq!(
            before,
            (Ok(()), Place::Between),
            "not whole messages: {:?}",
            input[..good].escape_ascii().to_string()
        );
    }
    if whole == (Ok(()), Place::Between) {
        let next = [input, b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
        assert_eq!(read(&[&next]), (Ok(()), Place::Between), "the next request is not seen as one");
        assert!(read(&[&[input, b"\0\r\n"].concat()]).0.is_err(), "what is no request passes");
    }
}
