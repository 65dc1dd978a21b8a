//! The PROXY protocol: who the client is, from a header that a proxy of connections writes.

use super::Target;
use std::net::SocketAddr;
use tidegate::proxy::parse_preamble;

pub(crate) const TARGET: Target = Target {
    name: "preamble",
    holds,
    words: &[
        "PROXY ",
        "TCP4 ",
        "TCP6 ",
        "UNKNOWN",
        "192.0.2.1",
        "2001:db8::1",
        " ",
        "\r\n",
        "\n",
        "65535",
        "65536",
        "0",
        "+1",
        "01",
        "\r\n\r\n\u{0}\r\nQUIT\n",
        "!",
        "\u{11}",
        "\u{21}",
        "\u{0}\u{c}",
        "\u{0}\u{24}",
        "::ffff:1.2.3.4",
    ],
    seeds: &[],
};

fn holds(input: &[u8]) {
    let Some(found) = parse_preamble(input) else { return };
    let is_binary = input.starts_with(b"\r\n\r\n\0\r\nQUIT\n");
    assert!(is_binary || input.starts_with(b"PROXY "), "no header: {found:?}");
    match found {
        Some(client) if is_binary => {
            assert_eq!(addressed(input), Some(client), "not the address of the header");
        }
        Some(client) => {
            let text = str::from_utf8(input).expect("version 1 is text");
            let words: Vec<&str> = text.trim_end_matches("\r\n").split(' ').collect();
            assert_eq!(words.len(), 6, "{text:?}");
            assert_eq!(words[2].parse(), Ok(client.ip()), "{text:?}");
            assert_eq!(words[4].parse(), Ok(client.port()), "{text:?}");
        }
        None => assert!(is_binary || input.ends_with(b"\r\n"), "a header without an end"),
    }
}

/// The source in a header of version 2: after 16 octets, the addresses of source and destination, then their ports.
fn addressed(input: &[u8]) -> Option<SocketAddr> {
    let (family, rest) = (input.get(13)? >> 4, input.get(16..)?);
    match family {
        1 => {
            let address: [u8; 4] = rest.get(..4)?.try_into().ok()?;
            let port = u16::from_be_bytes(rest.get(8..10)?.try_into().ok()?);
            Some((address, port).into())
        }
        2 => {
            let address: [u8; 16] = rest.get(..16)?.try_into().ok()?;
            let port = u16::from_be_bytes(rest.get(32..34)?.try_into().ok()?);
            Some((address, port).into())
        }
        _ => None,
    }
}
