//! Certificates and keys in PEM files: read, checked against each other, and what they say of themselves.
//!
//! What is accepted here must never fail later: a key that does not fit or a certificate that cannot be read is a
//! fault of the configuration, not of a handshake.

use crate::base::calendar::civil;
use crate::base::{Digest, Digester};
use crate::config::reader::{Reader, Section, Taken};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, RootCertStore, SignatureAlgorithm};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The algorithms of this process; ring is the only provider in it.
pub(super) fn provider() -> CryptoProvider {
    ring::default_provider()
}

/// A certificate with its chain and the key that belongs to it.
#[derive(Clone)]
pub struct Certificate {
    /// The chain's file.
    pub file: PathBuf,
    /// The key's file.
    pub key_file: PathBuf,
    /// The host names that it is for (subject alternative names, RFC 9525 section 6), in lower case, each once; some
    /// begin with `*.`.
    pub names: Vec<String>,
    /// When it expires, Unix seconds.
    pub not_after_s: u64,
    /// The kind of its key.
    pub algorithm: SignatureAlgorithm,
    /// Chain and key as rustls uses them.
    pub(super) certified: Arc<CertifiedKey>,
    /// The key, DER.
    pub(super) key: Arc<PrivateKeyDer<'static>>,
    /// Of the files' paths and contents.
    pub(super) digest: Digest,
}

impl Certificate {
    /// The day on which it expires, UTC.
    #[must_use]
    pub fn expires_on(&self) -> String {
        date(self.not_after_s)
    }

    /// The first host name, or the file where it names none: what to call it.
    #[must_use]
    pub fn title(&self) -> String {
        self.names.first().cloned().unwrap_or_else(|| self.file.display().to_string())
    }
}

/// Never shows the key.
impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("file", &self.file)
            .field("names", &self.names)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Certificate {}

/// Certificates of authorities.
pub(super) struct Authorities {
    /// Their file.
    pub(super) file: PathBuf,
    /// DER, at least one.
    pub(super) certificates: Vec<CertificateDer<'static>>,
    /// The same, ready to verify with.
    pub(super) roots: RootCertStore,
    /// Of the file's path and content.
    pub(super) digest: Digest,
}

/// What a certificate says of itself.
struct Said {
    names: Vec<String>,
    not_before_s: u64,
    not_after_s: u64,
}

/// Reads the keys `certificate` and `key` of a section; both must be there.
pub(super) fn pair(reader: &mut Reader<'_>, section: &mut Section) -> Option<Certificate> {
    let certificate = required(reader, section, "certificate");
    let key = required(reader, section, "key");
    // Both, so that all faults show at once.
    let chain = certificate.as_ref().and_then(|taken| Some((chain(reader, taken)?, taken)));
    let key = key.as_ref().and_then(|taken| Some((private_key(reader, taken)?, taken)));
    let ((chain, certificate), (key, key_taken)) = (chain?, key?);
    let said = said(reader, certificate, &chain)?;
    let certified = match CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider()) {
        Ok(certified) => certified,
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            let says = "the key belongs to another certificate";
            let remedy = "name the key that the first certificate in `certificate` was made for; the server's own comes first";
            reader.fault(key_taken.node.at, &key_taken.path, says, remedy);
            return None;
        }
        Err(error) => {
            let says = format!("the key cannot be used: {error}");
            let remedy = "use an RSA key of 2048 bits or more, an EC key (P-256, P-384) or Ed25519";
            reader.fault(key_taken.node.at, &key_taken.path, says, remedy);
            return None;
        }
    };
    warn_of_time(reader, certificate, &said);
    let (file, key_file) = (reader.path(certificate)?, reader.path(key_taken)?);
    let parts = chain.iter().fold(Digester::new("tidegate certificate 1"), |digest, der| digest.part(der));
    let paths = [&file, &key_file].map(|path| path.to_string_lossy().into_owned());
    let digest = paths.iter().fold(parts.part(key.secret_der()), |digest, path| digest.part(path.as_bytes()));
    Some(Certificate {
        file,
        key_file,
        names: said.names,
        not_after_s: said.not_after_s,
        algorithm: certified.key.algorithm(),
        certified: Arc::new(certified),
        key: Arc::new(key),
        digest: digest.finish(),
    })
}

fn required(reader: &mut Reader<'_>, section: &mut Section, name: &'static str) -> Option<Taken> {
    let taken = section.take(name);
    if taken.is_none() {
        let says = format!("`{name}` is missing");
        reader.fault(section.at, &section.path.clone(), says, format!("add `{name}: FILE` (PEM)"));
    }
    taken
}

/// Reads the certificates of authorities, to verify others with.
pub(super) fn authorities(reader: &mut Reader<'_>, taken: &Taken) -> Option<Authorities> {
    let certificates = chain(reader, taken)?;
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        let readable = read(certificate).map(drop);
        if let Err(says) = readable.and_then(|()| roots.add(certificate.clone()).map_err(|e| e.to_string())) {
            let says = format!("a certificate in it cannot be used: {says}");
            reader.fault(taken.node.at, &taken.path, says, "name the authority's own certificate, PEM");
            return None;
        }
    }
    let file = reader.path(taken)?;
    let digest = Digester::new("tidegate authorities 1").part(file.to_string_lossy().as_bytes());
    let digest = certificates.iter().fold(digest, |digest, der| digest.part(der)).finish();
    Some(Authorities { file, certificates, roots, digest })
}

/// Reads a file of revoked certificates (RFC 5280 section 5).
pub(super) fn revoked(
    reader: &mut Reader<'_>,
    taken: &Taken,
) -> Option<Vec<CertificateRevocationListDer<'static>>> {
    blocks(reader, taken, "revocation list", "X509 CRL")
}

fn chain(reader: &mut Reader<'_>, taken: &Taken) -> Option<Vec<CertificateDer<'static>>> {
    blocks(reader, taken, "certificate", "CERTIFICATE")
}

/// Every block of one kind in a PEM file (RFC 7468); none at all is a fault.
fn blocks<T: PemObject>(reader: &mut Reader<'_>, taken: &Taken, what: &str, label: &str) -> Option<Vec<T>> {
    let bytes = reader.file(taken)?;
    let remedy = format!("name a PEM file with `-----BEGIN {label}-----`");
    match T::pem_slice_iter(&bytes).collect::<Result<Vec<T>, PemError>>() {
        Ok(blocks) if blocks.is_empty() => {
            reader.fault(taken.node.at, &taken.path, format!("there is no {what} in the file"), remedy);
            None
        }
        Ok(blocks) => Some(blocks),
        Err(error) => {
            reader.fault(taken.node.at, &taken.path, format!("the file is damaged: {error}"), remedy);
            None
        }
    }
}

fn private_key(reader: &mut Reader<'_>, taken: &Taken) -> Option<PrivateKeyDer<'static>> {
    let bytes = reader.file(taken)?;
    let (says, remedy) = match PrivateKeyDer::from_pem_slice(&bytes) {
        Ok(key) => return Some(key),
        Err(PemError::NoItemsFound) if is_encrypted(&bytes) => {
            ("the key is encrypted".to_owned(), "write it without a password: openssl pkey -in OLD -out NEW")
        }
        Err(PemError::NoItemsFound) => {
            let remedy = "name a PEM file with `-----BEGIN PRIVATE KEY-----`";
            ("there is no private key in the file".to_owned(), remedy)
        }
        Err(error) => (format!("the file is damaged: {error}"), "write it anew, in PEM"),
    };
    reader.fault(taken.node.at, &taken.path, says, remedy);
    None
}

fn is_encrypted(pem: &[u8]) -> bool {
    pem.windows(9).any(|window| window == b"ENCRYPTED")
}

/// What the first certificate of a chain says; each of them must be readable.
fn said(reader: &mut Reader<'_>, taken: &Taken, chain: &[CertificateDer<'static>]) -> Option<Said> {
    let mut first = None;
    for certificate in chain {
        match read(certificate) {
            Ok(said) => drop(first.get_or_insert(said)),
            Err(says) => {
                let says = format!("a certificate in it cannot be read: {says}");
                reader.fault(taken.node.at, &taken.path, says, "have it issued anew");
                return None;
            }
        }
    }
    first
}

fn read(certificate: &CertificateDer<'_>) -> Result<Said, String> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
    let names = parsed.subject_alternative_name().map_err(|error| error.to_string())?;
    let names = names.iter().flat_map(|extension| &extension.value.general_names);
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    let names = names.fold(Vec::new(), |mut names, name| {
        if !names.contains(&name) {
            names.push(name);
        }
        names
    });
    let second = |time: x509_parser::time::ASN1Time| u64::try_from(time.timestamp()).unwrap_or(0);
    let validity = parsed.validity();
    Ok(Said { names, not_before_s: second(validity.not_before), not_after_s: second(validity.not_after) })
}

/// A certificate out of its time is used all the same: no handshake at all would be worse, and clients see it.
fn warn_of_time(reader: &mut Reader<'_>, taken: &Taken, said: &Said) {
    if reader.now_s > said.not_after_s {
        let says = format!("the certificate has expired on {}", date(said.not_after_s));
        reader.warn(taken.node.at, &taken.path, says, "renew it; clients that verify it refuse");
    } else if reader.now_s < said.not_before_s {
        let says = format!("the certificate is valid from {} only", date(said.not_before_s));
        reader.warn(taken.node.at, &taken.path, says, "check it and this machine's clock");
    }
}

/// `2026-07-01`, UTC.
fn date(unix_s: u64) -> String {
    let (year, month, day) = civil(i64::try_from(unix_s / 86_400).unwrap_or(i64::MAX));
    format!("{year:04}-{month:02}-{day:02}")
}
