//! From a request's evidence to a [`Caller`].

use std::net::IpAddr;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

use crate::base::Digest;

use super::address::{Trail, trail};
use super::api_keys::{ApiKeys, KnownKey};
use super::caller::Caller;
use super::certificate::{CertificateFacts, CertificateNames};
use super::claims::is_plain_fact;
use super::fields::{Fact, Guarded, Received, X_FORWARDED_PROTO, fact, forwarded};
use super::keys::JwtFault;
use super::token::{TokenFault, VerifiedToken};
use super::verifier::JwtVerifier;

/// What a credential that is not accepted does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnInvalid {
    /// The request goes on without the facts that the credential claims.
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
    /// The client's address. `X-Forwarded-For` is always sent as a list of hops; any other name gets the address
    /// alone.
    pub client: HeaderName,
}

/// All that identification needs to know.
#[derive(Debug, Clone)]
pub struct IdentitySettings {
    /// Networks whose peers are believed about addresses, scheme and tenants. They must append to or replace
    /// `X-Forwarded-For`, and drop what a client writes into `tenant_header`.
    pub trusted_proxies: Vec<IpNet>,
    /// Token verification.
    pub jwt: Option<JwtVerifier>,
    /// What a rejected credential does.
    pub on_invalid: OnInvalid,
    /// Known API keys.
    pub api_keys: Option<ApiKeys>,
    /// The field that carries an API key; not looked at without `api_keys`.
    pub api_key_header: HeaderName,
    /// What the certificate of a client says, where one is asked for.
    pub certificate: CertificateFacts,
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

/// The request is refused for its credential (401, RFC 9110 section 15.5.2).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityRefusal {
    /// The token is not believed.
    #[error("{0}")]
    Token(TokenFault),
    /// The API key is not known.
    #[error("the API key is not known")]
    UnknownKey,
    /// Token and key belong to different tenants.
    #[error("the API key belongs to another tenant than the token")]
    OtherTenant,
    /// The client's certificate belongs to another tenant than its token or API key.
    #[error("the client certificate belongs to another tenant than the token or API key")]
    OtherCertificate,
}

impl IdentityRefusal {
    /// The value of `WWW-Authenticate`, which a 401 must have (RFC 9110 section 11.6.1, RFC 6750 section 3).
    #[must_use]
    pub fn challenge(&self) -> &'static str {
        match self {
            Self::Token(_) => r#"Bearer error="invalid_token""#,
            Self::UnknownKey | Self::OtherTenant => "ApiKey",
            // No scheme stands for certificates: another token or key would do.
            Self::OtherCertificate => "Bearer, ApiKey",
        }
    }
}

/// Tells who is asking.
#[derive(Debug, Clone)]
pub struct Identifier {
    settings: IdentitySettings,
    guarded: Guarded,
}

/// What the request's API key field holds.
enum KeyEvidence<'k> {
    Absent,
    Known(&'k KnownKey),
    Unknown,
}

impl Identifier {
    /// An identifier for these settings.
    #[must_use]
    pub fn new(settings: IdentitySettings) -> Self {
        let tenant_header = settings.tenant_header.as_ref();
        let guarded = Guarded::new(&settings.forward, tenant_header, &settings.api_key_header);
        Self { settings, guarded }
    }

    /// The same identifier with a newly fetched JWK Set; `Ok(None)` when tokens are not configured.
    ///
    /// # Errors
    /// [`JwtFault`] when the document is no key set or holds no usable key.
    pub fn with_key_set(&self, document: &[u8]) -> Result<Option<Self>, JwtFault> {
        let Some(jwt) = &self.settings.jwt else { return Ok(None) };
        let settings = IdentitySettings { jwt: Some(jwt.with_key_set(document)?), ..self.settings.clone() };
        Ok(Some(Self::new(settings)))
    }

    /// Is this peer one of the trusted proxies? IPv4 mapped into IPv6 counts as IPv4.
    #[must_use]
    pub fn is_trusted(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.settings.trusted_proxies.iter().any(|net| net.contains(&peer))
    }

    /// The client's address: the peer's, or behind trusted proxies the right-most untrusted entry of
    /// `X-Forwarded-For`, or of `Forwarded` (RFC 7239) when there is none. The peer's when that entry is malformed.
    #[must_use]
    pub fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        self.trail(peer, headers).client
    }

    fn trail(&self, peer: IpAddr, headers: &HeaderMap) -> Trail {
        let peer = peer.to_canonical();
        if self.is_trusted(peer) {
            trail(peer, headers, |address| self.is_trusted(address))
        } else {
            Trail { client: peer, hops: Vec::new() }
        }
    }

    /// The scheme that the client used: that of its connection, or what a trusted peer says in `X-Forwarded-Proto`.
    #[must_use]
    pub fn scheme(&self, peer: IpAddr, headers: &HeaderMap, tls: bool) -> &'static str {
        let told = self.is_trusted(peer).then(|| single(headers, &X_FORWARDED_PROTO)).flatten();
        match told.map(HeaderValue::as_bytes) {
            Some(value) if value.eq_ignore_ascii_case(b"https") => "https",
            Some(value) if value.eq_ignore_ascii_case(b"http") => "http",
            _ if tls => "https",
            _ => "http",
        }
    }

    /// Is there anything that tokens are verified with?
    #[must_use]
    pub fn has_verifier(&self) -> bool {
        self.settings.jwt.is_some()
    }

    /// The bearer token of the request (RFC 6750 section 2.1); `None` when there is none or tokens are not configured.
    /// What cannot be a token (octets outside ASCII, two `Authorization` lines) is returned as the empty token, which
    /// no verifier believes.
    #[must_use]
    pub fn bearer<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        self.settings.jwt.as_ref()?;
        let lines = headers.get_all(AUTHORIZATION);
        let mut tokens = lines.iter().filter_map(|line| bearer_token(line.as_bytes()));
        let token = tokens.next()?;
        let is_only = lines.iter().nth(1).is_none();
        Some(str::from_utf8(token).ok().filter(|_| is_only).unwrap_or_default())
    }

    /// Verifies a token at `now_s` (Unix seconds). Costs a signature check: remember the result by
    /// [`super::token_digest`] until `expires_s`.
    ///
    /// # Errors
    /// [`TokenFault`] says why the token is not believed.
    pub fn verify(&self, token: &str, now_s: u64) -> Result<VerifiedToken, TokenFault> {
        self.settings.jwt.as_ref().ok_or(TokenFault::NotConfigured)?.verify(token, now_s)
    }

    /// See [`JwtVerifier::derived_key`].
    #[must_use]
    pub fn derived_key(&self) -> Option<&Digest> {
        self.settings.jwt.as_ref()?.derived_key()
    }

    /// Puts the evidence together. Fact by fact a token goes before an API key, that before the verified certificate of
    /// the client, and that before a trusted proxy's tenant field. A rejected credential adds nothing, marks the caller, and leaves what else is verified.
    ///
    /// # Errors
    /// [`IdentityRefusal`] when a credential is rejected and the settings say [`OnInvalid::Reject`].
    pub fn caller(
        &self,
        peer: IpAddr,
        headers: &HeaderMap,
        token: TokenEvidence<'_>,
        certificate: Option<&CertificateNames>,
    ) -> Result<Caller, IdentityRefusal> {
        let mut caller = Caller::anonymous(self.client_address(peer, headers));
        let mut refusal = None;
        match token {
            TokenEvidence::Absent => {}
            TokenEvidence::Valid(token) => add_token(&mut caller, token),
            TokenEvidence::Invalid(fault) => refusal = Some(IdentityRefusal::Token(fault)),
        }
        match self.key(headers) {
            KeyEvidence::Absent => {}
            KeyEvidence::Known(key) if is_of_other_tenant(&caller, key) => {
                refusal = refusal.or(Some(IdentityRefusal::OtherTenant));
            }
            KeyEvidence::Known(key) => add_key(&mut caller, key),
            KeyEvidence::Unknown => refusal = refusal.or(Some(IdentityRefusal::UnknownKey)),
        }
        if certificate.is_some_and(|names| !self.add_certificate(&mut caller, names)) {
            refusal = refusal.or(Some(IdentityRefusal::OtherCertificate));
        }
        caller.rejected_credential = refusal.is_some();
        match refusal {
            Some(refusal) if self.settings.on_invalid == OnInvalid::Reject => Err(refusal),
            _ => {
                caller.tenant = caller.tenant.or_else(|| self.told_tenant(peer, headers));
                Ok(caller)
            }
        }
    }

    /// Names of the fields of a request that must be removed before it is forwarded: those that only the proxy writes,
    /// in hyphen and underscore spelling, from trusted peers too (their facts are written anew by
    /// [`Identifier::forwarded_fields`]).
    #[must_use]
    pub fn strip_untrusted(&self, headers: &HeaderMap) -> Vec<HeaderName> {
        self.guarded.present(headers)
    }

    /// The fields that tell the backend about a caller: user and tenant when verified, `X-Forwarded-For` (the
    /// believed hops of a trusted peer and the peer itself; the peer alone otherwise), `X-Forwarded-Proto`,
    /// `X-Forwarded-Host`. Set them after [`Identifier::strip_untrusted`].
    #[must_use]
    pub fn forwarded_fields(
        &self,
        caller: &Caller,
        received: Received<'_>,
    ) -> Vec<(HeaderName, HeaderValue)> {
        let trail = self.trail(received.peer, received.headers);
        forwarded(&self.settings.forward, caller, &trail, received)
    }

    /// What a request field tells the backend that no client can set; `None` for the client's own. A backend that
    /// varies on one saw another value than the client sent.
    #[must_use]
    pub fn fact(&self, name: &HeaderName) -> Option<Fact> {
        fact(&self.settings.forward, &self.guarded, name)
    }

    fn key(&self, headers: &HeaderMap) -> KeyEvidence<'_> {
        let name = &self.settings.api_key_header;
        let Some(keys) = self.settings.api_keys.as_ref().filter(|_| headers.contains_key(name)) else {
            return KeyEvidence::Absent;
        };
        let known = single(headers, name).and_then(|value| keys.known(value.as_bytes()));
        known.map_or(KeyEvidence::Unknown, KeyEvidence::Known)
    }

    /// Adds what a certificate says, all or nothing; `false`: it belongs to another tenant than what was shown besides,
    /// and the backend might answer for either.
    fn add_certificate(&self, caller: &mut Caller, names: &CertificateNames) -> bool {
        let CertificateFacts { user, tenant } = &self.settings.certificate;
        let user = user.as_ref().and_then(|named| names.fact(named));
        let tenant = tenant.as_ref().and_then(|named| names.fact(named));
        if matches!((&caller.tenant, &tenant), (Some(known), Some(other)) if known != other) {
            return false;
        }
        caller.user = caller.user.take().or(user);
        caller.tenant = caller.tenant.take().or(tenant);
        true
    }

    /// Where user and tenant stand in the certificates of clients.
    #[must_use]
    pub fn certificate_facts(&self) -> &CertificateFacts {
        &self.settings.certificate
    }

    fn told_tenant(&self, peer: IpAddr, headers: &HeaderMap) -> Option<Arc<str>> {
        let name = self.settings.tenant_header.as_ref().filter(|_| self.is_trusted(peer))?;
        let value = str::from_utf8(single(headers, name)?.as_bytes()).ok()?;
        is_plain_fact(value).then(|| Arc::from(value))
    }
}

/// The value of a field that occurs once; two lines are as good as none, for nobody knows which one counts.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next();
    first.filter(|_| lines.next().is_none())
}

/// `Bearer` in any case, one or more spaces, the rest. `Bearer` alone is an empty token.
fn bearer_token(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(6)?;
    let is_bearer = scheme.eq_ignore_ascii_case(b"bearer") && matches!(rest.first(), None | Some(b' '));
    is_bearer.then(|| rest.trim_ascii())
}

fn add_token(caller: &mut Caller, token: &VerifiedToken) {
    caller.user.clone_from(&token.user);
    caller.tenant.clone_from(&token.tenant);
    caller.tier.clone_from(&token.tier);
    caller.claims = Arc::clone(&token.claims);
}

/// The backend might answer for either tenant, so such a pair must never share answers.
fn is_of_other_tenant(caller: &Caller, key: &KnownKey) -> bool {
    matches!((&caller.tenant, &key.tenant), (Some(of_token), Some(of_key)) if of_token != of_key)
}

fn add_key(caller: &mut Caller, key: &KnownKey) {
    caller.api_key = Some(Arc::clone(&key.name));
    caller.tenant = caller.tenant.take().or_else(|| key.tenant.clone());
    caller.tier = caller.tier.take().or_else(|| key.tier.clone());
}

#[cfg(test)]
mod tests {
    use super::super::{ApiKeyRecord, ClaimPaths, JwtSettings, KeySource, NameKind, NamedBy};
    use super::*;
    use crate::base::Secret;
    use crate::base::testing::headers;
    use sha2::{Digest as _, Sha256};
    use std::collections::BTreeMap;

    const LB: &str = "10.0.0.1";
    const CLIENT: &str = "203.0.113.7";

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("address")
    }

    fn settings() -> IdentitySettings {
        let key = |key: &str, name: &str, tenant: Option<&str>| ApiKeyRecord {
            sha256: Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect(),
            name: name.to_owned(),
            tenant: tenant.map(str::to_owned),
            tier: Some("gold".to_owned()),
        };
        let jwt = JwtSettings {
            algorithms: vec!["HS256".parse().expect("algorithm")],
            key: KeySource::Secret(Secret::new("x".repeat(32))),
            issuer: None,
            audience: None,
            leeway_s: 0,
            claims: ClaimPaths {
                user: "sub".to_owned(),
                tenant: None,
                role: None,
                tier: None,
                extra: Vec::new(),
            },
        };
        IdentitySettings {
            trusted_proxies: vec!["10.0.0.0/8".parse().expect("net"), "fd00::/8".parse().expect("net")],
            jwt: Some(JwtVerifier::new(jwt).expect("verifier")),
            on_invalid: OnInvalid::Anonymous,
            api_keys: Some(
                ApiKeys::new(vec![key("k-acme", "batch", Some("acme")), key("k-free", "free", None)])
                    .expect("keys"),
            ),
            api_key_header: HeaderName::from_static("x-api-key"),
            certificate: CertificateFacts::default(),
            tenant_header: Some(HeaderName::from_static("x-tenant")),
            forward: Forward {
                user: Some(HeaderName::from_static("x-user-id")),
                tenant: Some(HeaderName::from_static("x-organization-id")),
                client: HeaderName::from_static("x-forwarded-for"),
            },
        }
    }

    fn identifier() -> Identifier {
        Identifier::new(settings())
    }

    fn strict() -> Identifier {
        Identifier::new(IdentitySettings { on_invalid: OnInvalid::Reject, ..settings() })
    }

    fn token(user: Option<&str>, tenant: Option<&str>) -> VerifiedToken {
        VerifiedToken {
            user: user.map(Arc::from),
            tenant: tenant.map(Arc::from),
            tier: None,
            claims: Arc::new(BTreeMap::from([("role".to_owned(), "admin".to_owned())])),
            expires_s: 0,
        }
    }

    fn anonymous_at(peer: &str, fields: &[(&'static str, &str)]) -> Caller {
        identifier().caller(ip(peer), &headers(fields), TokenEvidence::Absent, None).expect("caller")
    }

    #[test]
    fn an_untrusted_peer_is_the_client_whatever_it_writes() {
        let fields = [("x-forwarded-for", "1.1.1.1"), ("forwarded", "for=2.2.2.2")];
        assert_eq!(anonymous_at(CLIENT, &fields).address, ip(CLIENT));
        assert_eq!(anonymous_at("::ffff:203.0.113.7", &fields).address, ip(CLIENT));
        assert_eq!(anonymous_at(LB, &fields).address, ip("1.1.1.1"));
        assert_eq!(anonymous_at("::ffff:10.0.0.1", &fields).address, ip("1.1.1.1"));
        assert!(identifier().is_trusted(ip("fd00::1")) && !identifier().is_trusted(ip("fe80::1")));
    }

    #[test]
    fn the_scheme_is_the_connections_unless_a_trusted_peer_says_otherwise() {
        let told = headers(&[("x-forwarded-proto", "HTTPS")]);
        let scheme = |peer, headers: &HeaderMap, tls| identifier().scheme(ip(peer), headers, tls);
        assert_eq!((scheme(LB, &told, false), scheme(CLIENT, &told, false)), ("https", "http"));
        let odd = headers(&[("x-forwarded-proto", "gopher")]);
        assert_eq!((scheme(LB, &odd, true), scheme(LB, &odd, false)), ("https", "http"));
        let twice = headers(&[("x-forwarded-proto", "http"), ("x-forwarded-proto", "https")]);
        assert_eq!(scheme(LB, &twice, false), "http");
    }

    #[test]
    fn bearer_tokens_are_found_in_any_case_and_only_when_configured() {
        let identifier = identifier();
        let find = |value: &str| identifier.bearer(&headers(&[("authorization", value)])).map(str::to_owned);
        assert_eq!(find("Bearer a.b.c").as_deref(), Some("a.b.c"));
        assert_eq!(find("bearer   a.b.c ").as_deref(), Some("a.b.c"));
        assert_eq!((find("Bearer").as_deref(), find("Bearer \u{e9}").as_deref()), (Some(""), Some("\u{e9}")));
        assert_eq!((find("Basic YTpi"), find("Bearers x"), find("")), (None, None, None));
        let without = Identifier::new(IdentitySettings { jwt: None, ..settings() });
        assert_eq!(without.bearer(&headers(&[("authorization", "Bearer a.b.c")])), None);
        assert_eq!(without.verify("a.b.c", 0), Err(TokenFault::NotConfigured));
        assert!(identifier.has_verifier() && !without.has_verifier());
        assert!(without.with_key_set(b"{}").expect("nothing to do").is_none());
    }

    #[test]
    fn two_authorization_lines_are_a_token_that_nobody_believes() {
        let two = headers(&[("authorization", "Bearer a.b.c"), ("authorization", "Basic YTpi")]);
        assert_eq!(identifier().bearer(&two), Some(""));
        assert_eq!(identifier().verify("", 0), Err(TokenFault::Malformed));
    }

    #[test]
    fn a_token_goes_before_a_key_and_both_before_the_proxys_tenant() {
        let fields = headers(&[("x-api-key", "k-acme"), ("x-tenant", "told")]);
        let caller = |token: &VerifiedToken| {
            identifier().caller(ip(LB), &fields, TokenEvidence::Valid(token), None).expect("caller")
        };
        let whole = caller(&token(Some("ada"), Some("acme")));
        assert_eq!(
            (whole.user.as_deref(), whole.api_key.as_deref(), whole.tenant.as_deref()),
            (Some("ada"), Some("batch"), Some("acme"))
        );
        assert_eq!(
            (whole.tier.as_deref(), whole.claims.get("role").map(String::as_str)),
            (Some("gold"), Some("admin"))
        );
        assert_eq!(caller(&token(Some("ada"), None)).tenant.as_deref(), Some("acme"));
        let told = headers(&[("x-tenant", "told")]);
        let tenant = |peer, fields: &HeaderMap| {
            identifier().caller(ip(peer), fields, TokenEvidence::Absent, None).expect("caller").tenant
        };
        assert_eq!((tenant(LB, &told).as_deref(), tenant(CLIENT, &told)), (Some("told"), None));
        assert_eq!(tenant(LB, &headers(&[("x-tenant", "a"), ("x-tenant", "b")])), None);
        assert_eq!(tenant(LB, &headers(&[("x-tenant", "")])), None);
    }

    #[test]
    fn an_unknown_key_is_no_identity_and_is_remembered_as_rejected() {
        for fields in [vec![("x-api-key", "guess")], vec![("x-api-key", "k-acme"), ("x-api-key", "k-free")]] {
            let caller = anonymous_at(CLIENT, &fields);
            assert_eq!((caller.api_key, caller.tenant, caller.rejected_credential), (None, None, true));
            let refused = strict().caller(ip(CLIENT), &headers(&fields), TokenEvidence::Absent, None);
            assert_eq!(refused, Err(IdentityRefusal::UnknownKey));
        }
        assert!(!anonymous_at(CLIENT, &[("x-api-key", "k-free")]).rejected_credential);
        let without = Identifier::new(IdentitySettings { api_keys: None, ..settings() });
        let caller =
            without.caller(ip(CLIENT), &headers(&[("x-api-key", "guess")]), TokenEvidence::Absent, None);
        assert!(!caller.expect("caller").rejected_credential, "not a credential here");
    }

    #[test]
    fn an_invalid_token_adds_nothing_and_leaves_a_known_key() {
        let invalid = || TokenEvidence::Invalid(TokenFault::Expired);
        let alone = identifier().caller(ip(CLIENT), &HeaderMap::new(), invalid(), None).expect("caller");
        assert_eq!(
            (alone.user.is_none(), alone.address, alone.rejected_credential),
            (true, ip(CLIENT), true)
        );
        let keyed = identifier()
            .caller(ip(CLIENT), &headers(&[("x-api-key", "k-acme")]), invalid(), None)
            .expect("caller");
        assert_eq!((keyed.api_key.as_deref(), keyed.rejected_credential), (Some("batch"), true));
        let refused = strict().caller(ip(CLIENT), &HeaderMap::new(), invalid(), None).expect_err("refused");
        assert_eq!(refused, IdentityRefusal::Token(TokenFault::Expired));
        assert_eq!(
            (refused.to_string().as_str(), refused.challenge()),
            ("the token has expired", r#"Bearer error="invalid_token""#)
        );
    }

    #[test]
    fn a_key_of_another_tenant_than_the_token_is_rejected() {
        let fields = headers(&[("x-api-key", "k-acme")]);
        let other = token(Some("eve"), Some("evil"));
        let caller =
            identifier().caller(ip(CLIENT), &fields, TokenEvidence::Valid(&other), None).expect("caller");
        assert_eq!(
            (caller.tenant.as_deref(), caller.api_key, caller.rejected_credential),
            (Some("evil"), None, true)
        );
        let refused = strict().caller(ip(CLIENT), &fields, TokenEvidence::Valid(&other), None);
        assert_eq!(refused, Err(IdentityRefusal::OtherTenant));
    }

    /// The names in a certificate for `user` of `tenant`.
    fn certificate(user: &str, tenant: Option<&str>) -> CertificateNames {
        let mut params = rcgen::CertificateParams::new(vec![user.to_owned()]).expect("a host name");
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(tenant) = tenant {
            params.distinguished_name.push(rcgen::DnType::OrganizationName, tenant);
        }
        let key = rcgen::KeyPair::generate().expect("a key");
        CertificateNames::read(params.self_signed(&key).expect("a certificate").der())
    }

    fn with_certificates(on_invalid: OnInvalid) -> Identifier {
        let named = |kind| Some(NamedBy { kind, prefix: String::new() });
        let (user, tenant) = (named(NameKind::Dns), named(NameKind::Organization));
        Identifier::new(IdentitySettings {
            certificate: CertificateFacts { user, tenant },
            on_invalid,
            ..settings()
        })
    }

    #[test]
    fn a_certificate_counts_less_than_token_and_key_and_more_than_a_told_tenant() {
        let identifier = with_certificates(OnInvalid::Anonymous);
        let facts =
            |peer: &str, fields: &[(&'static str, &'static str)], evidence, names: &CertificateNames| {
                let caller =
                    identifier.caller(ip(peer), &headers(fields), evidence, Some(names)).expect("caller");
                assert!(!caller.rejected_credential);
                (caller.user.as_deref().map(str::to_owned), caller.tenant.as_deref().map(str::to_owned))
            };
        let some = |user: &str, tenant: &str| (Some(user.to_owned()), Some(tenant.to_owned()));
        let whole = certificate("svc.example", Some("acme"));
        assert_eq!(facts(CLIENT, &[], TokenEvidence::Absent, &whole), some("svc.example", "acme"));
        assert_eq!(
            facts(LB, &[("x-tenant", "told")], TokenEvidence::Absent, &whole),
            some("svc.example", "acme")
        );
        let ada = token(Some("ada"), Some("acme"));
        assert_eq!(facts(CLIENT, &[], TokenEvidence::Valid(&ada), &whole), some("ada", "acme"));
        let key = [("x-api-key", "k-acme")];
        assert_eq!(facts(CLIENT, &key, TokenEvidence::Absent, &whole), some("svc.example", "acme"));
        let without = certificate("svc.example", None);
        assert_eq!(facts(CLIENT, &key, TokenEvidence::Absent, &without), some("svc.example", "acme"));
        let unasked =
            self::identifier().caller(ip(CLIENT), &HeaderMap::new(), TokenEvidence::Absent, Some(&whole));
        assert_eq!(unasked.expect("caller").user, None, "nothing says where it stands");
    }

    #[test]
    fn a_certificate_of_another_tenant_than_token_or_key_is_rejected() {
        let other = certificate("svc.example", Some("evil"));
        let ada = token(Some("ada"), Some("acme"));
        let keyed = headers(&[("x-api-key", "k-acme")]);
        for (fields, evidence) in
            [(HeaderMap::new(), TokenEvidence::Valid(&ada)), (keyed, TokenEvidence::Absent)]
        {
            let caller = with_certificates(OnInvalid::Anonymous)
                .caller(ip(CLIENT), &fields, evidence.clone(), Some(&other))
                .expect("caller");
            assert_eq!((caller.tenant.as_deref(), caller.rejected_credential), (Some("acme"), true));
            assert_ne!(caller.user.as_deref(), Some("svc.example"));
            let refused =
                with_certificates(OnInvalid::Reject).caller(ip(CLIENT), &fields, evidence, Some(&other));
            assert_eq!(refused, Err(IdentityRefusal::OtherCertificate));
        }
    }

    #[test]
    fn whatever_only_the_proxy_writes_is_stripped_in_either_spelling() {
        let identifier = identifier();
        let strips = |name: &'static str| !identifier.strip_untrusted(&headers(&[(name, "evil")])).is_empty();
        for name in [
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-forwarded-prefix",
            "x-forwarded-anything",
            "x-forwarded-client-cert",
            "client-cert",
            "client-cert-chain",
            "x-client-cert-subject",
            "x-ssl-client-s-dn",
            "ssl-client-cert",
            "x_ssl_client_verify",
            "x-real-ip",
            "true-client-ip",
            "cf-connecting-ip",
            "x-client-ip",
            "x-cluster-client-ip",
            "x-original-url",
            "x-rewrite-url",
            "x-http-method-override",
            "x-http-method",
            "x-method-override",
            "x-user-id",
            "x-organization-id",
            "x-tenant",
            "x_user_id",
            "x_organization-id",
            "x_forwarded_for",
            "x-forwarded_host",
            "x_real_ip",
            "x_tenant",
            "x_api_key",
            "x-api_key",
        ] {
            assert!(strips(name), "{name}");
        }
        for name in
            ["authorization", "x-api-key", "cookie", "x-user", "x-forwarded", "traceparent", "x_custom"]
        {
            assert!(!strips(name), "{name}");
        }
    }

    fn forwarded(
        identifier: &Identifier,
        peer: &str,
        fields: &[(&'static str, &str)],
        caller: &Caller,
    ) -> Vec<String> {
        let headers = headers(fields);
        let received =
            Received { peer: ip(peer), headers: &headers, scheme: "https", authority: "api.example" };
        let fields = identifier.forwarded_fields(caller, received);
        fields
            .iter()
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
            .collect()
    }

    #[test]
    fn the_backend_gets_verified_facts_only() {
        let mut caller = Caller::anonymous(ip(CLIENT));
        let fields = [("x-forwarded-for", "evil"), ("x-forwarded-host", "evil"), ("x-user-id", "root")];
        let base =
            ["x-forwarded-for: 203.0.113.7", "x-forwarded-proto: https", "x-forwarded-host: api.example"];
        assert_eq!(forwarded(&identifier(), CLIENT, &fields, &caller), base);
        caller.user = Some(Arc::from("ada"));
        caller.tenant = Some(Arc::from("\u{fc}mlaut"));
        let all = forwarded(&identifier(), CLIENT, &fields, &caller);
        assert_eq!(
            all.get(3..),
            Some(&["x-user-id: ada".to_owned(), "x-organization-id: \u{fc}mlaut".to_owned()][..])
        );
    }

    #[test]
    fn a_trusted_peers_believed_hops_are_kept_and_the_peer_is_added() {
        let caller = Caller::anonymous(ip(CLIENT));
        let first =
            |fields: &[(&'static str, &str)]| forwarded(&identifier(), LB, fields, &caller).swap_remove(0);
        assert_eq!(
            first(&[("x-forwarded-for", "evil, 203.0.113.7, 10.0.0.9")]),
            "x-forwarded-for: 203.0.113.7, 10.0.0.9, 10.0.0.1"
        );
        assert_eq!(first(&[("forwarded", "for=203.0.113.7")]), "x-forwarded-for: 203.0.113.7, 10.0.0.1");
        assert_eq!(first(&[("x-forwarded-for", "junk")]), "x-forwarded-for: 10.0.0.1");
        assert_eq!(first(&[]), "x-forwarded-for: 10.0.0.1");
    }

    #[test]
    fn another_client_field_gets_the_address_alone_and_nothing_empty_is_sent() {
        let mut asked = settings();
        asked.forward = Forward { user: None, tenant: None, client: HeaderName::from_static("x-real-ip") };
        let identifier = Identifier::new(asked);
        let mut caller = Caller::anonymous(ip("2001:db8::1"));
        caller.user = Some(Arc::from("ada"));
        let headers = HeaderMap::new();
        let received = Received { peer: ip("2001:db8::1"), headers: &headers, scheme: "http", authority: "" };
        let names: Vec<_> = identifier
            .forwarded_fields(&caller, received)
            .into_iter()
            .map(|(name, _)| name.to_string())
            .collect();
        assert_eq!(names, ["x-forwarded-for", "x-forwarded-proto", "x-real-ip"]);
    }
}
