//! The section `identity`: tokens, API keys, and what is passed on.

use crate::config::env::Env;
use crate::config::fault::hint;
use crate::config::reader::{Reader, Section, Taken};
use crate::config::server::secret_file;
use crate::config::tree::{Node, parse};
use crate::identity::{
    ALGORITHM_NAMES, Algorithm, ApiKeyRecord, ApiKeys, CertificateFacts, ClaimPaths, Forward, Identifier,
    IdentitySettings, JwtSettings, JwtVerifier, KeySource, NameKind, NamedBy, OnInvalid,
};
use http::HeaderName;
use ipnet::IpNet;
use std::time::Duration;

/// Reads `identity`. `claims` are those that some namespace keys.
pub(super) fn identity(
    reader: &mut Reader<'_>,
    node: &Node,
    trusted_proxies: Vec<IpNet>,
    claims: Vec<String>,
) -> Identifier {
    let mut section = reader.section(node, "identity");
    let mut on_invalid = OnInvalid::Anonymous;
    let jwt = section.take("jwt").and_then(|taken| jwt(reader, &taken, claims, &mut on_invalid));
    let (api_key_header, api_keys) = match section.take("api_keys") {
        Some(taken) => api_keys(reader, &taken),
        None => (None, None),
    };
    let certificate = section.take("client_certificate");
    let certificate = certificate.map(|taken| certificate_facts(reader, &taken)).unwrap_or_default();
    let tenant = section.take("tenant_header");
    let tenant_header = tenant.as_ref().and_then(|taken| field(reader, taken));
    if let Some(taken) = tenant.filter(|_| trusted_proxies.is_empty()) {
        let says = "no proxy is trusted, so the field is never believed";
        reader.warn(taken.key_at, &taken.path, says, "list the proxy in `server.trusted_proxies`");
    }
    let forward = forward(reader, section.take("forward"));
    reader.finish(&section);
    Identifier::new(IdentitySettings {
        trusted_proxies,
        jwt,
        on_invalid,
        api_keys,
        api_key_header: api_key_header.unwrap_or(HeaderName::from_static("x-api-key")),
        certificate,
        tenant_header,
        forward,
    })
}

/// Reads a `jwt` of somebody who believes tokens and nothing else.
pub(super) fn token_identifier(reader: &mut Reader<'_>, taken: &Taken) -> Identifier {
    let mut on_invalid = OnInvalid::Reject;
    let jwt = jwt(reader, taken, Vec::new(), &mut on_invalid);
    Identifier::new(IdentitySettings {
        trusted_proxies: Vec::new(),
        jwt,
        on_invalid,
        api_keys: None,
        api_key_header: HeaderName::from_static("x-api-key"),
        certificate: CertificateFacts::default(),
        tenant_header: None,
        forward: forward(reader, None),
    })
}

/// Where user and tenant stand in the certificate of a client.
fn certificate_facts(reader: &mut Reader<'_>, taken: &Taken) -> CertificateFacts {
    const WORDS: &[(&str, NameKind)] = &[
        ("uri", NameKind::Uri),
        ("dns", NameKind::Dns),
        ("email", NameKind::Email),
        ("common_name", NameKind::CommonName),
        ("organization", NameKind::Organization),
        ("organizational_unit", NameKind::OrganizationalUnit),
    ];
    let mut section = reader.section(&taken.node, &taken.path);
    let mut named = |reader: &mut Reader<'_>, name, prefix_name| {
        let kind = section.take(name).and_then(|taken| reader.choice(&taken, WORDS));
        let prefix = section.take(prefix_name);
        let text = prefix.as_ref().and_then(|taken| reader.name(taken));
        if let Some(taken) = prefix.filter(|_| kind.is_none()) {
            let says = format!("without `{name}` it has no meaning");
            reader.fault(taken.key_at, &taken.path, says, format!("add `{name}`, or remove the prefix"));
        }
        kind.map(|kind| {
            let prefix = text.unwrap_or_default();
            // Host names have one case.
            let prefix = if kind == NameKind::Dns { prefix.to_ascii_lowercase() } else { prefix };
            NamedBy { kind, prefix }
        })
    };
    let user = named(reader, "user", "user_prefix");
    let tenant = named(reader, "tenant", "tenant_prefix");
    reader.finish(&section);
    CertificateFacts { user, tenant }
}

fn field(reader: &mut Reader<'_>, taken: &Taken) -> Option<HeaderName> {
    let text = reader.name(taken)?;
    let name = HeaderName::try_from(text.to_ascii_lowercase()).ok();
    if name.is_none() {
        let says = format!("`{text}` is no field name");
        reader.fault(taken.node.at, &taken.path, says, "write one such as X-Organization-Id");
    }
    name
}

fn forward(reader: &mut Reader<'_>, taken: Option<Taken>) -> Forward {
    let mut forward = Forward {
        user: Some(HeaderName::from_static("x-user-id")),
        tenant: Some(HeaderName::from_static("x-organization-id")),
        client: HeaderName::from_static("x-forwarded-for"),
    };
    let Some(taken) = taken else { return forward };
    let mut section = reader.section(&taken.node, &taken.path);
    forward.user = section.take("user").and_then(|taken| field(reader, &taken)).or(forward.user);
    forward.tenant = section.take("tenant").and_then(|taken| field(reader, &taken)).or(forward.tenant);
    if let Some(client) = section.take("client").and_then(|taken| field(reader, &taken)) {
        forward.client = client;
    }
    reader.finish(&section);
    forward
}

fn jwt(
    reader: &mut Reader<'_>,
    taken: &Taken,
    claims: Vec<String>,
    on_invalid: &mut OnInvalid,
) -> Option<JwtVerifier> {
    let mut section = reader.section(&taken.node, &taken.path);
    let faults = reader.faults.len();
    let algorithms = section.take("algorithms").map(|taken| algorithms(reader, &taken));
    let key = key(reader, &mut section);
    let issuer = section.take("issuer").and_then(|taken| reader.name(&taken));
    let audience = section.take("audience").and_then(|taken| reader.name(&taken));
    let leeway = section.take("leeway").and_then(|taken| reader.duration(&taken));
    let claims = claim_paths(reader, section.take("claims"), claims);
    let words = [("anonymous", OnInvalid::Anonymous), ("reject", OnInvalid::Reject)];
    if let Some(word) = section.take("on_invalid").and_then(|taken| reader.choice(&taken, &words)) {
        *on_invalid = word;
    }
    reader.finish(&section);
    if algorithms.as_ref().is_some_and(Vec::is_empty) && reader.faults.len() > faults {
        return None;
    }
    let algorithms = algorithms.unwrap_or_else(|| "HS256".parse::<Algorithm>().into_iter().collect());
    let key = match key? {
        KeySource::Secret(secret) if secret.is_empty() => {
            let says = "the secret is empty: no token is believed";
            reader.warn(
                taken.key_at,
                &taken.path,
                says,
                "set `secret` (or JWT_SECRET where the file names it)",
            );
            return None;
        }
        key => key,
    };
    let leeway_s = leeway.unwrap_or(Duration::from_secs(60)).as_secs();
    let settings = JwtSettings { algorithms, key, issuer, audience, leeway_s, claims };
    match JwtVerifier::new(settings) {
        Ok(verifier) => {
            for warning in verifier.warnings() {
                reader.warn(taken.key_at, &taken.path, warning, "see docs/configuration.md");
            }
            Some(verifier)
        }
        Err(fault) => {
            let remedy = "give a key of the kind that the algorithms need";
            reader.fault(taken.key_at, &taken.path, fault.to_string(), remedy);
            None
        }
    }
}

fn algorithms(reader: &mut Reader<'_>, taken: &Taken) -> Vec<Algorithm> {
    let items = reader.list(taken);
    let mut algorithms = Vec::new();
    for item in &items {
        let Some(name) = reader.name(item) else { continue };
        match name.parse::<Algorithm>() {
            Ok(algorithm) => algorithms.push(algorithm),
            Err(_) => {
                let says = format!("`{name}` is no algorithm that tokens may be signed with");
                reader.fault(item.node.at, &item.path, says, hint(&name, ALGORITHM_NAMES));
            }
        }
    }
    algorithms
}

/// Exactly one of the ways to give a key.
fn key(reader: &mut Reader<'_>, section: &mut Section) -> Option<KeySource> {
    let (at, path) = (section.at, section.path.clone());
    let has_secret = section.take("secret");
    let faults = reader.faults.len();
    let from_text = has_secret.as_ref().and_then(|taken| reader.text(taken));
    let from_file = section.take("secret_file").and_then(|taken| secret_file(reader, &taken));
    let public = section.take("public_key_file").and_then(|taken| reader.file(&taken));
    let set = section.take("jwks_file").and_then(|taken| reader.file(&taken));
    if let Some(url) = section.take("jwks_url") {
        let says = "key sets are not fetched in this version";
        reader.fault(url.key_at, &url.path, says, "save the key set and name it in `jwks_file`");
        return None;
    }
    let given = [from_text.is_some(), from_file.is_some(), public.is_some(), set.is_some()];
    match given.iter().filter(|given| **given).count() {
        // A key is named; what is wrong with it has been said.
        0 if has_secret.is_some() || reader.faults.len() > faults => None,
        0 => {
            let remedy = "add one of `secret`, `secret_file`, `public_key_file`, `jwks_file`";
            reader.fault(at, &path, "there is no key to verify tokens with", remedy);
            None
        }
        1 => {
            let secret = from_file.or(from_text.map(crate::base::Secret::new)).map(KeySource::Secret);
            secret.or(public.map(KeySource::PublicKey)).or(set.map(KeySource::KeySet))
        }
        _ => {
            reader.fault(
                at,
                &path,
                "there is more than one key",
                "keep one of `secret` and the `*_file` keys",
            );
            None
        }
    }
}

fn claim_paths(reader: &mut Reader<'_>, taken: Option<Taken>, extra: Vec<String>) -> ClaimPaths {
    let mut paths = ClaimPaths {
        user: "sub".to_owned(),
        tenant: Some("organization_id".to_owned()),
        role: Some("role".to_owned()),
        tier: Some("tier".to_owned()),
        extra: extra.into_iter().filter(|claim| claim != "role").collect(),
    };
    let Some(taken) = taken else { return paths };
    let mut section = reader.section(&taken.node, &taken.path);
    if let Some(user) = section.take("user").and_then(|taken| reader.name(&taken)) {
        paths.user = user;
    }
    let mut path = |name, slot: &mut Option<String>| {
        if let Some(claim) = section.take(name).and_then(|taken| reader.name(&taken)) {
            *slot = Some(claim);
        }
    };
    path("tenant", &mut paths.tenant);
    path("role", &mut paths.role);
    path("tier", &mut paths.tier);
    reader.finish(&section);
    paths
}

fn api_keys(reader: &mut Reader<'_>, taken: &Taken) -> (Option<HeaderName>, Option<ApiKeys>) {
    let mut section = reader.section(&taken.node, &taken.path);
    let header = section.take("header").and_then(|taken| field(reader, &taken));
    let keys = section.take("file").and_then(|taken| {
        let bytes = reader.file(&taken)?;
        key_file(reader, &taken, &bytes)
    });
    reader.finish(&section);
    (header, keys)
}

/// The key file is YAML of its own: a list of `{sha256, name, tenant, tier}`. Its faults name its own lines.
fn key_file(reader: &mut Reader<'_>, taken: &Taken, bytes: &[u8]) -> Option<ApiKeys> {
    let text = String::from_utf8_lossy(bytes);
    let env = Env::default();
    let mut inner = Reader::new(&env, std::path::Path::new("."));
    let records = match parse(&text) {
        Ok(root) => records(&mut inner, root),
        Err(fault) => {
            inner.faults.push(fault);
            Vec::new()
        }
    };
    let keys = ApiKeys::new(records);
    for fault in inner.faults {
        let says = format!("key file, line {}: {}: {}", fault.at.line, fault.key, fault.says);
        reader.fault(taken.node.at, &taken.path, says, fault.remedy);
    }
    keys.map_err(|fault| {
        reader.fault(taken.node.at, &taken.path, format!("key file: {fault}"), "correct that entry");
    })
    .ok()
}

fn records(reader: &mut Reader<'_>, root: Node) -> Vec<ApiKeyRecord> {
    let taken = Taken { path: "keys".to_owned(), key_at: root.at, node: root };
    let items = reader.list(&taken);
    let mut records = Vec::new();
    for item in &items {
        let mut section = reader.section(&item.node, &item.path);
        let mut text =
            |reader: &mut Reader<'_>, name| section.take(name).and_then(|taken| reader.name(&taken));
        let (sha256, name) = (text(reader, "sha256"), text(reader, "name"));
        let (tenant, tier) = (text(reader, "tenant"), text(reader, "tier"));
        reader.finish(&section);
        match (sha256, name) {
            (Some(sha256), Some(name)) => records.push(ApiKeyRecord { sha256, name, tenant, tier }),
            _ => reader.fault(item.node.at, &item.path, "`sha256` or `name` is missing", "give both"),
        }
    }
    records
}
