//! `server.listen[].tls`: certificates, client certificates, and what rustls makes of them.

use crate::base::{Digest, Digester};
use crate::config::certificates::{Certificate, authorities, pair, provider, revoked};
use crate::config::reader::{Reader, Section, Taken};
use crate::config::sni::Certificates;
use rustls::ServerConfig;
use rustls::crypto::ring::Ticketer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// TLS of a socket. Two are equal when they were made of the same files with the same contents.
#[derive(Clone)]
pub struct ListenTls {
    /// The first is the default: what a client gets that asks for no name, or for one that no other is for.
    pub certificates: Vec<Arc<Certificate>>,
    /// Which certificates clients show, if they are asked.
    pub client: Option<ClientCertificates>,
    config: Arc<ServerConfig>,
    digest: Digest,
}

/// Whose certificates clients show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificates {
    /// The file of their authorities.
    pub authority: PathBuf,
    /// Files of what the authorities have revoked.
    pub revoked: Vec<PathBuf>,
    /// Is a client without one refused?
    pub is_required: bool,
}

impl ListenTls {
    /// What rustls needs for a handshake.
    #[must_use]
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

impl PartialEq for ListenTls {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for ListenTls {}

/// Never shows a key.
impl fmt::Debug for ListenTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { certificates, client, .. } = self;
        f.debug_struct("ListenTls")
            .field("certificates", certificates)
            .field("client", client)
            .finish_non_exhaustive()
    }
}

/// Who verifies the certificates of clients, and by what.
struct Verifier {
    verifier: Arc<dyn ClientCertVerifier>,
    settings: ClientCertificates,
    digest: Digest,
}

/// Reads `tls` of a listener, which speaks HTTP/2 or not.
pub(super) fn listen_tls(reader: &mut Reader<'_>, taken: &Taken, http2: bool) -> Option<ListenTls> {
    let mut section = reader.section(&taken.node, &taken.path);
    let faults = reader.faults.len();
    let default = pair(reader, &mut section);
    let more = section.take("certificates").map_or_else(Vec::new, |taken| more(reader, &taken));
    let verifier = client(reader, &mut section);
    reader.finish(&section);
    let certificates: Vec<Arc<Certificate>> =
        default.into_iter().chain(more.iter().map(|(_, more)| more.clone())).map(Arc::new).collect();
    let resolver = match Certificates::new(&certificates) {
        Ok(resolver) => resolver,
        Err((name, index)) => {
            // The default alone has no name twice.
            let at = index.checked_sub(1).and_then(|index| more.get(index)).map_or(taken, |(taken, _)| taken);
            let says = format!("there is another certificate for {name} with the same kind of key");
            reader.fault(at.node.at, &at.path, says, "keep one of the two, or one RSA and one EC key");
            return None;
        }
    };
    if reader.faults.len() > faults {
        return None;
    }
    let protocols =
        if http2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { vec![b"http/1.1".to_vec()] };
    let digest = digest(&certificates, verifier.as_ref(), http2);
    let (verifier, client) = verifier.map(|verifier| (verifier.verifier, verifier.settings)).unzip();
    match server_config(resolver, verifier, protocols) {
        Ok(config) => Some(ListenTls { certificates, client, config: Arc::new(config), digest }),
        Err(error) => {
            let says = format!("TLS cannot be set up: {error}");
            reader.fault(taken.key_at, &taken.path, says, "check that the machine has random numbers");
            None
        }
    }
}

/// Further certificates, with the place of each.
fn more(reader: &mut Reader<'_>, taken: &Taken) -> Vec<(Taken, Certificate)> {
    let mut more = Vec::new();
    for item in reader.list(taken) {
        let mut section = reader.section(&item.node, &item.path);
        let certificate = pair(reader, &mut section);
        reader.finish(&section);
        let Some(certificate) = certificate else { continue };
        if certificate.names.is_empty() {
            let says = "the certificate names no host (subjectAltName), so no client would get it";
            reader.fault(item.node.at, &item.path, says, "have it issued for a name, or leave it out");
        }
        more.push((item, certificate));
    }
    more
}

/// The keys about certificates of clients. Without `client_ca` nobody is asked for one.
fn client(reader: &mut Reader<'_>, section: &mut Section) -> Option<Verifier> {
    let authority = section.take("client_ca");
    let (word, lists) = (section.take("client"), section.take("client_crl"));
    if authority.is_none() {
        for taken in [&word, &lists].into_iter().flatten() {
            let says = "without `client_ca` no client certificate is asked for";
            reader.fault(taken.key_at, &taken.path, says, "add `client_ca: FILE` (PEM), or remove the key");
        }
    }
    let words = [("require", true), ("request", false)];
    let is_required = word.as_ref().and_then(|taken| reader.choice(taken, &words)).unwrap_or(true);
    let taken = authority?;
    let authorities = authorities(reader, &taken)?;
    let (mut crls, mut files) = (Vec::new(), Vec::new());
    let mut digest = Digester::new("tidegate client certificates 1").part(&authorities.digest.0);
    let items = lists.as_ref().map_or_else(Vec::new, |taken| reader.list(taken));
    for item in items {
        let lists = revoked(reader, &item)?;
        files.push(reader.path(&item)?);
        lists.iter().for_each(|list| digest.add(list));
        crls.extend(lists);
    }
    digest.add(&[u8::from(is_required)]);
    let builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(authorities.roots), Arc::new(provider()))
            .with_crls(crls);
    let builder = if is_required { builder } else { builder.allow_unauthenticated() };
    match builder.build() {
        Ok(verifier) => {
            let settings = ClientCertificates { authority: authorities.file, revoked: files, is_required };
            Some(Verifier { verifier, settings, digest: digest.finish() })
        }
        Err(error) => {
            let at = lists.as_ref().unwrap_or(&taken);
            let says = format!("it cannot be used: {error}");
            reader.fault(at.node.at, &at.path, says, "name lists of the authorities in `client_ca`, PEM");
            None
        }
    }
}

fn digest(certificates: &[Arc<Certificate>], verifier: Option<&Verifier>, http2: bool) -> Digest {
    let mut digest = Digester::new("tidegate listener 1").part(&[u8::from(http2)]);
    for certificate in certificates {
        digest.add(&certificate.digest.0);
    }
    if let Some(verifier) = verifier {
        digest.add(&verifier.digest.0);
    }
    digest.finish()
}

/// TLS 1.2 and 1.3 with ring, no early data (RFC 8446 section 8: it can be replayed).
///
/// Sessions are resumed by tickets (RFC 5077) that this process alone can read. Where clients show certificates none
/// is: a resumed session is not verified again, so that an expired or revoked certificate would live on in it.
fn server_config(
    resolver: Certificates,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    protocols: Vec<Vec<u8>>,
) -> Result<ServerConfig, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(Arc::new(provider()));
    let builder = builder.with_protocol_versions(&[&TLS13, &TLS12])?;
    let is_resumed = verifier.is_none();
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = protocols;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    if is_resumed {
        config.ticketer = Ticketer::new()?;
    } else {
        config.send_tls13_tickets = 0;
    }
    Ok(config)
}
