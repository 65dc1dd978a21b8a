//! `upstreams.*.tls`: whom to believe that it is the server, and what to show to it.

use crate::config::certificates::{authorities, pair};
use crate::config::reader::{Reader, Section, Taken};
use crate::config::tree::Kind;
use crate::upstream::{Authority, ClientIdentity, UpstreamTls};
use rustls::pki_types::ServerName;
use std::path::Path;
use std::sync::Arc;

/// `true`, or a mapping.
pub(super) fn upstream_tls(reader: &mut Reader<'_>, taken: &Taken) -> Option<UpstreamTls> {
    if let Kind::Scalar(_) = taken.node.kind {
        return reader.flag(taken)?.then(UpstreamTls::default);
    }
    let mut section = reader.section(&taken.node, &taken.path);
    let server_name = section.take("server_name").and_then(|taken| server_name(reader, &taken));
    let ca_file = section.take("ca_file");
    let authority = ca_file.as_ref().and_then(|taken| authority(reader, taken));
    let identity = identity(reader, &mut section);
    let verify = section.take("verify").and_then(|taken| Some((reader.flag(&taken)?, taken)));
    reader.finish(&section);
    let is_off = verify.filter(|(verify, _)| !verify);
    if let Some((_, taken)) = &is_off {
        let says = "THE CERTIFICATES OF THE SERVERS ARE NOT VERIFIED: whoever is on the way there can read and change \
                    everything";
        let remedy = "name the authority in `ca_file` and the name in `server_name` instead";
        reader.warn(taken.node.at, &taken.path, says, remedy);
        if let Some(ca_file) = ca_file {
            let says = "it is not used: `verify` is false";
            reader.warn(ca_file.key_at, &ca_file.path, says, "remove `verify: false`");
        }
    }
    Some(UpstreamTls { server_name, authority, identity, verify: is_off.is_none() })
}

/// A host name or an address: with anything else no certificate could be verified.
fn server_name(reader: &mut Reader<'_>, taken: &Taken) -> Option<Arc<str>> {
    let text = reader.name(taken)?;
    if ServerName::try_from(&*text).is_err() {
        let says = format!("`{text}` is no host name");
        reader.fault(taken.node.at, &taken.path, says, "write the name in the server's certificate");
        return None;
    }
    Some(text.into())
}

fn authority(reader: &mut Reader<'_>, taken: &Taken) -> Option<Authority> {
    let authorities = authorities(reader, taken)?;
    let certificates = authorities.certificates.iter().map(|der| der.to_vec()).collect();
    Some(Authority { file: shown(&authorities.file), certificates })
}

/// `certificate` and `key` come together or not at all.
fn identity(reader: &mut Reader<'_>, section: &mut Section) -> Option<ClientIdentity> {
    if !section.has("certificate") && !section.has("key") {
        section.take("certificate");
        section.take("key");
        return None;
    }
    let certificate = pair(reader, section)?;
    Some(ClientIdentity {
        file: shown(&certificate.file),
        key_file: shown(&certificate.key_file),
        chain: certificate.certified.cert.iter().map(|der| der.to_vec()).collect(),
        key: certificate.key.secret_der().to_vec(),
    })
}

fn shown(path: &Path) -> Arc<str> {
    path.to_string_lossy().into()
}
