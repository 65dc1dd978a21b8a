//! Who a client is by its certificate. Whoever reads one here has had it verified in the handshake.

use super::claims::is_plain_fact;
use std::sync::Arc;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::AttributeTypeAndValue;

/// The names in a client's certificate, by kind. What is no text stands as an empty name: it counts as one, and is
/// nobody's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CertificateNames {
    uris: Vec<String>,
    dns: Vec<String>,
    emails: Vec<String>,
    common_names: Vec<String>,
    organizations: Vec<String>,
    organizational_units: Vec<String>,
}

/// A kind of name in a certificate: the first three from the subject alternative names (RFC 5280 section 4.2.1.6), the
/// others from the subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind {
    /// A URI, such as a SPIFFE ID.
    Uri,
    /// A host name.
    Dns,
    /// A mail address.
    Email,
    /// The subject's common name.
    CommonName,
    /// The subject's organisation.
    Organization,
    /// The subject's organisational unit.
    OrganizationalUnit,
}

impl NameKind {
    /// The word for it in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Uri => "uri",
            Self::Dns => "dns",
            Self::Email => "email",
            Self::CommonName => "common_name",
            Self::Organization => "organization",
            Self::OrganizationalUnit => "organizational_unit",
        }
    }
}

/// Where in a certificate a fact stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedBy {
    /// The kind of name.
    pub kind: NameKind,
    /// How it must begin; the fact is what follows.
    pub prefix: String,
}

/// Where in a certificate user and tenant stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CertificateFacts {
    /// The user.
    pub user: Option<NamedBy>,
    /// The tenant.
    pub tenant: Option<NamedBy>,
}

impl CertificateNames {
    /// The names in a certificate (DER); none when it cannot be read.
    #[must_use]
    pub fn read(der: &[u8]) -> Self {
        match X509Certificate::from_der(der) {
            Ok(([], certificate)) => Self::of(&certificate),
            _ => Self::default(),
        }
    }

    fn of(certificate: &X509Certificate<'_>) -> Self {
        let subject = certificate.subject();
        let mut names = Self {
            common_names: subject.iter_common_name().map(text).collect(),
            organizations: subject.iter_organization().map(text).collect(),
            organizational_units: subject.iter_organizational_unit().map(text).collect(),
            ..Self::default()
        };
        // `Err`: the extension stands there twice, so that nobody knows which one counts.
        let Ok(Some(alternative)) = certificate.subject_alternative_name() else { return names };
        for name in &alternative.value.general_names {
            match name {
                GeneralName::URI(uri) => names.uris.push((*uri).to_owned()),
                // Host names are the same in any case (RFC 4343); as facts they must be one.
                GeneralName::DNSName(host) => names.dns.push(host.to_ascii_lowercase()),
                GeneralName::RFC822Name(address) => names.emails.push((*address).to_owned()),
                _ => {}
            }
        }
        names
    }

    /// The fact that stands there: the only name of its kind, without the prefix that it must have. `None` when there
    /// are several, for nobody knows which one is meant, and when it cannot be an identity.
    #[must_use]
    pub(super) fn fact(&self, named: &NamedBy) -> Option<Arc<str>> {
        let names = match named.kind {
            NameKind::Uri => &self.uris,
            NameKind::Dns => &self.dns,
            NameKind::Email => &self.emails,
            NameKind::CommonName => &self.common_names,
            NameKind::Organization => &self.organizations,
            NameKind::OrganizationalUnit => &self.organizational_units,
        };
        let [name] = names.as_slice() else { return None };
        // Whoever holds a certificate for all hosts of a domain is none of them.
        let is_pattern = named.kind == NameKind::Dns && name.contains('*');
        let fact = name.strip_prefix(&named.prefix)?;
        (!is_pattern && is_plain_fact(fact)).then(|| Arc::from(fact))
    }
}

fn text(attribute: &AttributeTypeAndValue<'_>) -> String {
    attribute.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};

    fn names(sans: Vec<SanType>, subject: &[(DnType, &str)]) -> CertificateNames {
        let mut params = CertificateParams::default();
        params.subject_alt_names = sans;
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in subject {
            params.distinguished_name.push(kind.clone(), *value);
        }
        let key = KeyPair::generate().expect("a key");
        CertificateNames::read(params.self_signed(&key).expect("a certificate").der())
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(text.try_into().expect("ASCII"))
    }

    fn dns(text: &str) -> SanType {
        SanType::DnsName(text.try_into().expect("ASCII"))
    }

    fn fact(names: &CertificateNames, kind: NameKind, prefix: &str) -> Option<String> {
        names.fact(&NamedBy { kind, prefix: prefix.to_owned() }).map(|fact| fact.to_string())
    }

    #[test]
    fn each_kind_of_name_is_found() {
        let email = SanType::Rfc822Name("a@example.org".try_into().expect("ASCII"));
        let sans = vec![uri("spiffe://example.org/ns/a"), dns("Api.Example.org"), email];
        let subject = [
            (DnType::CommonName, "Ada"),
            (DnType::OrganizationName, "Acme"),
            (DnType::OrganizationalUnitName, "Research"),
        ];
        let names = names(sans, &subject);
        let all = [
            (NameKind::Uri, "spiffe://example.org/ns/a"),
            (NameKind::Dns, "api.example.org"),
            (NameKind::Email, "a@example.org"),
            (NameKind::CommonName, "Ada"),
            (NameKind::Organization, "Acme"),
            (NameKind::OrganizationalUnit, "Research"),
        ];
        for (kind, expected) in all {
            assert_eq!(fact(&names, kind, "").as_deref(), Some(expected), "{}", kind.as_str());
        }
        assert_eq!(fact(&names, NameKind::Uri, "spiffe://example.org/").as_deref(), Some("ns/a"));
        assert_eq!(fact(&names, NameKind::Uri, "spiffe://example.com/"), None, "another trust domain");
        assert_eq!(fact(&names, NameKind::Uri, "spiffe://example.org/ns/a"), None, "nothing is left");
    }

    #[test]
    fn what_is_ambiguous_or_cannot_be_an_identity_is_no_fact() {
        let two = names(vec![dns("a.example"), dns("b.example")], &[]);
        assert_eq!(fact(&two, NameKind::Dns, ""), None);
        assert_eq!(fact(&names(vec![dns("*.example")], &[]), NameKind::Dns, ""), None);
        let long = "u".repeat(257);
        for odd in ["a\r\nX-User-Id: b", "a\0b", " a", long.as_str()] {
            let names = names(Vec::new(), &[(DnType::CommonName, odd)]);
            assert_eq!(fact(&names, NameKind::CommonName, ""), None, "{odd:?}");
        }
        assert_eq!(CertificateNames::read(b"no certificate"), CertificateNames::default());
        assert_eq!(fact(&CertificateNames::default(), NameKind::CommonName, ""), None);
    }

    #[test]
    fn bytes_behind_a_certificate_spoil_it() {
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::new(vec!["a.example".to_owned()]).expect("a name");
        let mut der = certificate.self_signed(&key).expect("a certificate").der().to_vec();
        assert_ne!(CertificateNames::read(&der), CertificateNames::default());
        der.push(0);
        assert_eq!(CertificateNames::read(&der), CertificateNames::default());
    }
}
