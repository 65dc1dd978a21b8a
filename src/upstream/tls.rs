//! TLS to the servers of an upstream, as far as the configuration says it. The contents of files are part of it, so
//! that settings differ when a file does.

use std::fmt;
use std::sync::Arc;

/// TLS to the servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamTls {
    /// Name to verify and send as SNI (RFC 6066 section 3); the server's host when absent.
    pub server_name: Option<Arc<str>>,
    /// Own certificate authority; those of the system when absent.
    pub authority: Option<Authority>,
    /// What is shown to servers that ask for a certificate.
    pub identity: Option<ClientIdentity>,
    /// Is the server's certificate verified? Without it anybody on the way can be the server.
    pub verify: bool,
}

impl Default for UpstreamTls {
    fn default() -> Self {
        Self { server_name: None, authority: None, identity: None, verify: true }
    }
}

/// Certificates of an authority, DER, at least one; each can be read and used.
#[derive(Clone, PartialEq, Eq)]
pub struct Authority {
    /// Their file.
    pub file: Arc<str>,
    /// They.
    pub certificates: Vec<Vec<u8>>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({})", self.file)
    }
}

/// A certificate of ours with its chain and key, DER; they fit together.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The chain's file.
    pub file: Arc<str>,
    /// The key's file.
    pub key_file: Arc<str>,
    /// Our own certificate first.
    pub chain: Vec<Vec<u8>>,
    /// The private key; never shown.
    pub key: Vec<u8>,
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientIdentity({})", self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_differ_with_the_contents_of_files_and_never_show_a_key() {
        let with = |key: &[u8]| {
            let (file, key_file) = (Arc::from("c.pem"), Arc::from("k.pem"));
            let identity = ClientIdentity { file, key_file, chain: vec![vec![1]], key: key.to_vec() };
            UpstreamTls { identity: Some(identity), ..UpstreamTls::default() }
        };
        assert_eq!(with(b"one"), with(b"one"));
        assert_ne!(with(b"one"), with(b"two"));
        let shown = format!("{:?}", with(&[77, 78]));
        assert!(shown.contains("c.pem") && !shown.contains("77"), "{shown}");
        assert!(UpstreamTls::default().verify);
    }
}
