//! Which certificate a client gets, by the name that it asks for (RFC 6066 section 3).

use crate::config::certificates::Certificate;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{SignatureAlgorithm, SignatureScheme};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// Certificates with different kinds of keys for the same name; the client's signature schemes decide.
type Group = Vec<Arc<CertifiedKey>>;

/// Certificates by name: the exact one, then one with `*` in place of the left-most label (RFC 9525 section 6.3), then
/// the default.
pub(super) struct Certificates {
    exact: HashMap<String, Group>,
    /// By what stands behind `*.`.
    wildcard: HashMap<String, Group>,
    default: Group,
}

impl Certificates {
    /// Those of a listener; the first is the default. `Err`: a name has two with the same kind of key, and which they
    /// are.
    pub(super) fn new(list: &[Arc<Certificate>]) -> Result<Self, (String, usize)> {
        let mut kinds: HashMap<&str, Vec<SignatureAlgorithm>> = HashMap::new();
        let (mut exact, mut wildcard) = (HashMap::new(), HashMap::new());
        for (index, certificate) in list.iter().enumerate() {
            for name in &certificate.names {
                let known = kinds.entry(name).or_default();
                if known.contains(&certificate.algorithm) {
                    return Err((name.clone(), index));
                }
                known.push(certificate.algorithm);
                let (group, name) = match name.strip_prefix("*.") {
                    Some(rest) => (&mut wildcard, rest),
                    None => (&mut exact, &**name),
                };
                let group: &mut Group = group.entry(name.to_owned()).or_default();
                group.push(Arc::clone(&certificate.certified));
            }
        }
        for group in exact.values_mut().chain(wildcard.values_mut()) {
            cheapest_first(group);
        }
        Ok(Self { exact, wildcard, default: default_group(list) })
    }

    /// The certificate for a name and a client with these schemes.
    pub(super) fn find(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let group = name.and_then(|name| self.named(name)).unwrap_or(&self.default);
        let fitting = group.iter().find(|certified| certified.key.choose_scheme(schemes).is_some());
        // Without one that fits, rustls says so to the client.
        fitting.or_else(|| group.first()).cloned()
    }

    fn named(&self, name: &str) -> Option<&Group> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let behind = || name.split_once('.').and_then(|(_, rest)| self.wildcard.get(rest));
        self.exact.get(&name).or_else(behind)
    }
}

/// The first certificate, and those with other kinds of keys that are for its first name too.
fn default_group(list: &[Arc<Certificate>]) -> Group {
    let Some(default) = list.first() else { return Group::new() };
    let shares = |other: &&Arc<Certificate>| {
        default.names.first().is_some_and(|name| other.names.contains(name))
            && other.algorithm != default.algorithm
    };
    let mut group: Group = vec![Arc::clone(&default.certified)];
    group.extend(list.iter().skip(1).filter(shares).map(|other| Arc::clone(&other.certified)));
    cheapest_first(&mut group);
    group
}

/// A signature with an elliptic curve takes a tenth of the time of one with RSA.
fn cheapest_first(group: &mut Group) {
    group.sort_by_key(|certified| certified.key.algorithm() == SignatureAlgorithm::RSA);
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name(), hello.signature_schemes())
    }
}

/// Never shows a key.
impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.exact.keys()).entries(self.wildcard.keys()).finish()
    }
}
