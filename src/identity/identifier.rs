//! From a request's evidence to a [`Caller`].

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use super::api_keys::ApiKeys;
use super::caller::Caller;
use super::token::{TokenFault, VerifiedToken};
use super::verifier::JwtVerifier;

/// What a credential that is not accepted does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnInvalid {
    /// The request goes on as anonymous.
    #[default]
    Anonymous,
    /// 401.
    Reject,
}

/// Names of the fields in which the backend gets the verified facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// The user.
    pub user: Option<HeaderName>,
    /// The tenant.
    pub tenant: Option<HeaderName>,
    /// The client's address.
    pub client: HeaderName,
}

/// All that identification needs to know.
#[derive(Debug, Clone)]
pub struct IdentitySettings {
    /// Networks whose peers are believed about addresses and tenants.
    pub trusted_proxies: Vec<IpNet>,
    /// Token verification.
    pub jwt: Option<JwtVerifier>,
    /// What a rejected credential does.
    pub on_invalid: OnInvalid,
    /// Known API keys.
    pub api_keys: Option<ApiKeys>,
    /// The field that carries an API key.
    pub api_key_header: HeaderName,
    /// The field in which trusted proxies name the tenant.
    pub tenant_header: Option<HeaderName>,
    /// What the backend gets.
    pub forward: Forward,
}

/// What came of the request's bearer token.
#[derive(Debug, Clone)]
pub enum TokenEvidence<'t> {
    /// There was none.
    Absent,
    /// It was verified.
    Valid(&'t VerifiedToken),
    /// It was not believed.
    Invalid(TokenFault),
}

/// The request is refused for its credential (401).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityRefusal {
    /// The token is not believed.
    #[error("{0}")]
    Token(TokenFault),
    /// The API key is not known.
    #[error("the API key is not known")]
    UnknownKey,
}

/// Tells who is asking.
#[derive(Debug, Clone)]
pub struct Identifier {
    settings: IdentitySettings,
}

impl Identifier {
    /// An identifier for these settings.
    #[must_use]
    pub fn new(settings: IdentitySettings) -> Self {
        Self { settings }
    }

    /// Is this peer one of the trusted proxies?
    #[must_use]
    pub fn is_trusted(&self, peer: IpAddr) -> bool {
        self.settings.trusted_proxies.iter().any(|net| net.contains(&peer.to_canonical()))
    }

    /// The client's address: the peer's, or what a trusted peer says.
    #[must_use]
    pub fn client_address(&self, peer: IpAddr, _headers: &HeaderMap) -> IpAddr {
        peer.to_canonical()
    }

    /// The bearer token of the request; `None` when tokens are not configured.
    #[must_use]
    pub fn bearer<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        self.settings.jwt.as_ref()?;
        headers.get(http::header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
    }

    /// Verifies a token at `now_s` (Unix seconds). Costs a signature check: remember the result by
    /// [`super::token_digest`] until `expires_s`.
    ///
    /// # Errors
    /// [`TokenFault`] says why the token is not believed.
    pub fn verify(&self, _token: &str, _now_s: u64) -> Result<VerifiedToken, TokenFault> {
        Err(TokenFault::Malformed)
    }

    /// Puts the evidence together.
    ///
    /// # Errors
    /// [`IdentityRefusal`] when a credential is rejected and the settings say [`OnInvalid::Reject`].
    pub fn caller(
        &self,
        peer: IpAddr,
        headers: &HeaderMap,
        _token: TokenEvidence<'_>,
    ) -> Result<Caller, IdentityRefusal> {
        Ok(Caller::anonymous(self.client_address(peer, headers)))
    }
}
