//! TLS as it works: which certificates are in force and until when, whom clients and servers are believed by. Keys are
//! named by their files.

use crate::config::certificates::Certificate;
use crate::config::listen_tls::ListenTls;
use crate::config::snapshot::Listen;
use crate::identity::{CertificateFacts, NamedBy};
use crate::upstream::UpstreamTls;
use serde_json::{Value, json};
use std::sync::Arc;

/// A listener.
pub(super) fn listener_value(listen: &Listen) -> Value {
    json!({
        "address": listen.address.to_string(),
        "tls": listen.tls.as_ref().map(listen_tls_value),
        "http2": listen.http2,
        "proxy_protocol": listen.proxy_protocol,
    })
}

fn listen_tls_value(tls: &ListenTls) -> Value {
    let client = tls.client.as_ref();
    json!({
        "certificates": tls.certificates.iter().map(certificate_value).collect::<Vec<Value>>(),
        "client_ca": client.map(|client| &client.authority),
        "client_crl": client.map(|client| &client.revoked),
        "client": client.map(|client| if client.is_required { "require" } else { "request" }),
    })
}

fn certificate_value(certificate: &Arc<Certificate>) -> Value {
    json!({
        "certificate": certificate.file,
        "key": certificate.key_file,
        "algorithm": format!("{:?}", certificate.algorithm),
        "names": certificate.names,
        "expires": certificate.expires_on(),
    })
}

/// TLS to the servers of an upstream.
pub(super) fn upstream_tls_value(tls: &UpstreamTls) -> Value {
    json!({
        "server_name": tls.server_name.as_deref(),
        "ca_file": tls.authority.as_ref().map(|authority| &*authority.file),
        "certificate": tls.identity.as_ref().map(|identity| &*identity.file),
        "key": tls.identity.as_ref().map(|identity| &*identity.key_file),
        "verify": tls.verify,
    })
}

/// Where user and tenant stand in the certificates of clients.
pub(super) fn certificate_facts_value(facts: &CertificateFacts) -> Value {
    let word = |named: &Option<NamedBy>| named.as_ref().map(|named| named.kind.as_str());
    let prefix =
        |named: &Option<NamedBy>| named.as_ref().map(|named| named.prefix.clone()).filter(|p| !p.is_empty());
    json!({
        "user": word(&facts.user),
        "user_prefix": prefix(&facts.user),
        "tenant": word(&facts.tenant),
        "tenant_prefix": prefix(&facts.tenant),
    })
}
