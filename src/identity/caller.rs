//! What is known for certain about the one who sent a request.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// The verified facts about one request's sender. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The client's address: the peer's, or what trusted proxies say.
    pub address: IpAddr,
    /// The user, from a verified token or client certificate.
    pub user: Option<Arc<str>>,
    /// The name (never the secret) of a known API key.
    pub api_key: Option<Arc<str>>,
    /// The organisation, from a verified token, a key record, a client certificate or a trusted proxy's field.
    pub tenant: Option<Arc<str>>,
    /// The service tier, from a verified token or a key record.
    pub tier: Option<Arc<str>>,
    /// Further claims of the verified token that the configuration names (role and those in `vary_claims`), as text.
    pub claims: Arc<BTreeMap<String, String>>,
    /// Did the request carry a token or key that was not accepted? That credential proves nothing then (another one
    /// may), and answers are never shared with the request beyond scope `public`.
    pub rejected_credential: bool,
}

impl Caller {
    /// Someone of whom only the address is known.
    #[must_use]
    pub fn anonymous(address: IpAddr) -> Self {
        Self {
            address,
            user: None,
            api_key: None,
            tenant: None,
            tier: None,
            claims: Arc::default(),
            rejected_credential: false,
        }
    }
}

impl Default for Caller {
    fn default() -> Self {
        Self::anonymous(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }
}
