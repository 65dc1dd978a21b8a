//! Opens listeners before anything else runs, so that a taken port ends the start and not the first request.

use std::io;
use std::net::{SocketAddr, TcpListener};

use tokio::net::TcpSocket;

/// Connections that may wait to be accepted; the system may cap it lower (`net.core.somaxconn`).
const BACKLOG: u32 = 4_096;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({key}): {source}{remedy}", remedy = remedy(source))]
pub struct BindFault {
    address: SocketAddr,
    key: &'static str,
    source: io::Error,
}

/// Listens on `address`; port 0 picks a free one. `key` is where the configuration names the address. Needs a tokio
/// runtime. The listener does not block.
///
/// # Errors
/// [`BindFault`] when the port is taken, forbidden, or the address is not of this machine.
pub fn listen(address: SocketAddr, key: &'static str) -> Result<TcpListener, BindFault> {
    open(address).map_err(|source| BindFault { address, key, source })
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart must not wait for connections of the process before (TIME_WAIT).
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

fn remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            "; another process listens there: stop it or choose another port (--listen, --admin)"
        }
        io::ErrorKind::PermissionDenied => "; ports below 1024 need the capability CAP_NET_BIND_SERVICE",
        io::ErrorKind::AddrNotAvailable => "; no interface of this machine has that address",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_named_with_its_key_and_a_remedy() {
        let taken = listen(SocketAddr::from(([127, 0, 0, 1], 0)), "admin.listen").expect("a free port");
        let address = taken.local_addr().expect("is bound");
        assert_ne!(address.port(), 0);
        let says = listen(address, "server.listen").expect_err("is taken").to_string();
        assert!(says.starts_with(&format!("cannot listen on {address} (server.listen): ")), "{says}");
        assert!(says.ends_with("(--listen, --admin)"), "{says}");
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_told_apart() {
        let elsewhere = SocketAddr::from(([192, 0, 2, 1], 0));
        let says = listen(elsewhere, "server.listen").expect_err("documentation address").to_string();
        assert!(says.ends_with("no interface of this machine has that address"), "{says}");
    }
}
