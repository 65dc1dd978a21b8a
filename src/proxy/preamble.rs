//! The PROXY protocol: a header before all else, in which a trusted proxy of connections says who the client is
//! (<https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>, versions 1 and 2).

use ppp::{HeaderResult, v1, v2};
use std::io;
use std::net::SocketAddr;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// The first twelve bytes of version 2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The longest header of version 1, with its CR LF.
const TEXT_BYTES_MAX: usize = 107;

/// The longest header of version 2 that is read: addresses and extensions. Longer ones are refused.
const BINARY_BYTES_MAX: usize = 2_048;

/// Reads the header and not one byte more. `None`: the proxy speaks for itself (a health check, `LOCAL`, `UNKNOWN`).
///
/// # Errors
/// When there is no header, a malformed one, or the connection ends. The caller bounds the time.
pub(super) async fn read(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut head = vec![0; SIGNATURE.len()];
    stream.read_exact(&mut head).await?;
    if head == SIGNATURE {
        head.resize(16, 0);
        stream.read_exact(head.get_mut(12..).unwrap_or_default()).await?;
        let length = match head.get(14..16) {
            Some([high, low]) => usize::from(u16::from_be_bytes([*high, *low])),
            _ => 0,
        };
        if length > BINARY_BYTES_MAX {
            return Err(malformed());
        }
        head.resize(length.saturating_add(16), 0);
        stream.read_exact(head.get_mut(16..).unwrap_or_default()).await?;
    } else if head.starts_with(b"PROXY ") {
        read_line(stream, &mut head).await?;
    } else {
        return Err(malformed());
    }
    parse(&head).ok_or_else(malformed)
}

/// Reads to the end of the line. What is there is looked at before it is taken, as the rest is not ours.
async fn read_line(stream: &mut TcpStream, line: &mut Vec<u8>) -> io::Result<()> {
    while !line.ends_with(b"\n") {
        let mut ahead = [0; TEXT_BYTES_MAX];
        let room = TEXT_BYTES_MAX.checked_sub(line.len()).filter(|room| *room > 0).ok_or_else(malformed)?;
        let seen = stream.peek(ahead.get_mut(..room).unwrap_or_default()).await?;
        if seen == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let ahead = ahead.get(..seen).unwrap_or_default();
        let taken = memchr::memchr(b'\n', ahead).map_or(seen, |at| at.saturating_add(1));
        let before = line.len();
        line.resize(before.saturating_add(taken), 0);
        stream.read_exact(line.get_mut(before..).unwrap_or_default()).await?;
    }
    Ok(())
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no PROXY protocol header")
}

/// The client of a whole header: `None` is no header, `Some(None)` one that names nobody. Public for the fuzz targets.
#[must_use]
pub fn parse(header: &[u8]) -> Option<Option<SocketAddr>> {
    match HeaderResult::parse(header) {
        HeaderResult::V1(Ok(v1::Header { addresses, header: text }))
            if text.len() == header.len() && header.ends_with(b"\r\n") =>
        {
            Some(match addresses {
                v1::Addresses::Tcp4(tcp) => Some((tcp.source_address, tcp.source_port).into()),
                v1::Addresses::Tcp6(tcp) => Some((tcp.source_address, tcp.source_port).into()),
                v1::Addresses::Unknown => None,
            })
        }
        HeaderResult::V2(Ok(v2::Header { command: v2::Command::Local, .. })) => Some(None),
        HeaderResult::V2(Ok(v2::Header { addresses, .. })) => Some(match addresses {
            v2::Addresses::IPv4(ip) => Some((ip.source_address, ip.source_port).into()),
            v2::Addresses::IPv6(ip) => Some((ip.source_address, ip.source_port).into()),
            v2::Addresses::Unix(_) | v2::Addresses::Unspecified => None,
        }),
        HeaderResult::V1(_) | HeaderResult::V2(Err(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    /// What is read of `bytes`, and what is left.
    async fn of(bytes: &[u8]) -> (Result<Option<SocketAddr>, io::ErrorKind>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut client =
            TcpStream::connect(listener.local_addr().expect("bound")).await.expect("a connection");
        let (mut stream, _) = listener.accept().await.expect("a connection");
        client.write_all(bytes).await.expect("sent");
        client.shutdown().await.expect("ended");
        let found = read(&mut stream).await.map_err(|error| error.kind());
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.expect("the rest");
        (found, rest)
    }

    fn binary(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len()).expect("short").to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, payload].concat()
    }

    #[tokio::test]
    async fn both_forms_name_the_client_and_leave_the_rest() {
        let v4 = binary(0x21, 0x11, &[192, 0, 2, 1, 192, 0, 2, 2, 0x04, 0xd2, 0, 80]);
        let v6 = [&[0x20, 1, 0x0d, 0xb8][..], &[0; 11], &[1], &[0; 16], &[0x04, 0xd2, 0, 80]].concat();
        let extended = [&v4[16..], &[4, 0, 1, 0]].concat();
        for (header, expected) in [
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\r\n".to_vec(), Some("192.0.2.1:1234")),
            (b"PROXY TCP6 2001:db8::1 ::2 1234 80\r\n".to_vec(), Some("[2001:db8::1]:1234")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), None),
            (v4.clone(), Some("192.0.2.1:1234")),
            (binary(0x21, 0x11, &extended), Some("192.0.2.1:1234")),
            (binary(0x21, 0x21, &v6), Some("[2001:db8::1]:1234")),
            (binary(0x20, 0x00, &[]), None),
            (binary(0x20, 0x11, &v4[16..]), None),
            (binary(0x21, 0x00, &[]), None),
        ] {
            let (found, rest) = of(&[&header[..], b"GET / HTTP/1.1\r\n"].concat()).await;
            let expected = expected.map(|text| text.parse().expect("an address"));
            assert_eq!(found, Ok(expected), "{}", header.escape_ascii());
            assert_eq!(rest, b"GET / HTTP/1.1\r\n");
        }
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        for bytes in [
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 192.0.2.2 99999 80\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\n".to_vec(),
            b"PROXY TCP4 a b 1 2\r\n".to_vec(),
            b"PROXY UNKNOWN \n".to_vec(),
            b"PROXY TCP4 192.0.2.1\r\n".to_vec(),
            [&b"PROXY TCP4 "[..], &[b'1'; 200]].concat(),
            binary(0x11, 0x11, &[0; 12]),
            binary(0x2f, 0x11, &[0; 12]),
            binary(0x21, 0x11, &[0; 11]),
            binary(0x21, 0x11, &[0; 4_000]),
        ] {
            assert!(of(&bytes).await.0.is_err(), "{}", bytes.escape_ascii());
        }
        assert_eq!(of(b"PROXY TCP4 1").await.0, Err(io::ErrorKind::UnexpectedEof));
        assert_eq!(of(b"PRO").await.0, Err(io::ErrorKind::UnexpectedEof));
    }
}
