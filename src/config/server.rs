//! The sections `server`, `admin` and `store`.

use crate::base::{Secret, StoreSettings, StoreUrl};
use crate::config::compression::compression;
use crate::config::edge;
use crate::config::env::Env;
use crate::config::listen_tls::listen_tls;
use crate::config::reader::{Reader, Section, Taken};
use crate::config::snapshot::{AdminSettings, Listen, RequestLimits, ServerSettings};
use crate::config::tree::{Kind, Node};
use crate::route::EncodedSlash;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Schemes of a store's URL besides `memory:`.
const REDIS_SCHEMES: &[&str] = &[
    "redis://",
    "rediss://",
    "redis-cluster://",
    "rediss-cluster://",
    "redis-sentinel://",
    "rediss-sentinel://",
];

/// Reads `server`, and the networks of trusted proxies that identification needs.
pub(super) fn server(reader: &mut Reader<'_>, node: &Node) -> (ServerSettings, Vec<IpNet>) {
    let mut section = reader.section(node, "server");
    let listen_taken = section.take("listen");
    let listen = listen_taken.as_ref().map_or_else(Vec::new, |taken| listeners(reader, taken));
    let trusted = section.take("trusted_proxies").map_or_else(Vec::new, |taken| networks(reader, &taken));
    let request = request(reader, section.take("request"));
    let connections = edge::connections(reader, section.take("connections"));
    let http2 = edge::http2(reader, section.take("http2"));
    let overload = edge::overload(reader, section.take("overload"));
    let compression = compression(reader, &mut section);
    let drain = section.take("drain").and_then(|taken| reader.duration(&taken));
    reader.finish(&section);
    let listen =
        if listen.is_empty() { vec![plain(SocketAddr::from(([127, 0, 0, 1], 8080)))] } else { listen };
    let drain = drain.unwrap_or(Duration::from_secs(20));
    if let Some(taken) = &listen_taken {
        edge::check_proxy_protocol(reader, taken, &listen, &trusted);
    }
    (ServerSettings { listen, request, connections, http2, overload, compression, drain }, trusted)
}

fn plain(address: SocketAddr) -> Listen {
    Listen { address, tls: None, http2: false, proxy_protocol: false }
}

fn listeners(reader: &mut Reader<'_>, taken: &Taken) -> Vec<Listen> {
    let items = reader.list(taken);
    let mut listeners: Vec<Listen> = Vec::new();
    for item in &items {
        let Some(listen) = listener(reader, item) else { continue };
        let is_taken = listeners.iter().any(|other| other.address == listen.address);
        if is_taken && listen.address.port() != 0 {
            reader.fault(
                item.node.at,
                &item.path,
                "the address stands here a second time",
                "remove one of the two",
            );
        }
        listeners.push(listen);
    }
    listeners
}

fn listener(reader: &mut Reader<'_>, item: &Taken) -> Option<Listen> {
    if let Kind::Scalar(_) = item.node.kind {
        return address(reader, item).map(plain);
    }
    let mut section = reader.section(&item.node, &item.path);
    let address = match section.take("address") {
        Some(taken) => address(reader, &taken),
        None => {
            reader.fault(item.node.at, &item.path, "`address` is missing", "add `address: HOST:PORT`");
            None
        }
    };
    let tls = section.take("tls");
    let http2 = section.take("http2").and_then(|taken| reader.flag(&taken)).unwrap_or(false);
    let proxy_protocol =
        section.take("proxy_protocol").and_then(|taken| reader.flag(&taken)).unwrap_or(false);
    let tls = tls.and_then(|taken| listen_tls(reader, &taken, http2));
    reader.finish(&section);
    Some(Listen { address: address?, tls, http2, proxy_protocol })
}

pub(super) fn address(reader: &mut Reader<'_>, taken: &Taken) -> Option<SocketAddr> {
    let text = reader.name(taken)?;
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let port =
        text.strip_prefix(':').or_else(|| text.strip_prefix("localhost:")).and_then(|port| port.parse().ok());
    if let Some(port) = port {
        let ip = if text.starts_with(':') { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
        return Some(SocketAddr::new(IpAddr::V4(ip), port));
    }
    let remedy = "write ADDRESS:PORT, such as 127.0.0.1:8080 or [::]:8080";
    reader.fault(taken.node.at, &taken.path, format!("`{text}` is no address to listen on"), remedy);
    None
}

/// Reads a list of networks; an address alone is a network of one.
pub(super) fn networks(reader: &mut Reader<'_>, taken: &Taken) -> Vec<IpNet> {
    let items = reader.list(taken);
    let mut networks = Vec::new();
    for item in &items {
        let Some(text) = reader.name(item) else { continue };
        match text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)) {
            Ok(network) => networks.push(network),
            Err(_) => {
                let says = format!("`{text}` is neither an address nor a network");
                reader.fault(item.node.at, &item.path, says, "write one such as 10.0.0.0/8 or 2001:db8::/32");
            }
        }
    }
    networks
}

fn request(reader: &mut Reader<'_>, taken: Option<Taken>) -> RequestLimits {
    let mut limits = RequestLimits {
        head_bytes: 64 << 10,
        fields: 100,
        line_bytes: 16 << 10,
        body_bytes: 10 << 20,
        head_timeout: Duration::from_secs(10),
        body_min_rate: 500,
        encoded_slash: EncodedSlash::Reject,
    };
    let Some(taken) = taken else { return limits };
    let mut section = reader.section(&taken.node, &taken.path);
    let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
    if let Some(size) = section.take("head_bytes").and_then(|taken| reader.size(&taken)) {
        limits.head_bytes = bytes(size);
    }
    if let Some(fields) = section.take("fields").and_then(|taken| reader.number(&taken, 1, 256)) {
        limits.fields = bytes(fields);
    }
    if let Some(size) = section.take("line_bytes").and_then(|taken| reader.size(&taken)) {
        limits.line_bytes = bytes(size);
    }
    if let Some(size) = section.take("body_bytes").and_then(|taken| reader.size(&taken)) {
        limits.body_bytes = size;
    }
    if let Some(timeout) = section.take("head_timeout").and_then(|taken| reader.duration(&taken)) {
        limits.head_timeout = timeout;
    }
    if let Some(rate) = section.take("body_min_rate").and_then(|taken| reader.number(&taken, 0, 1 << 30)) {
        limits.body_min_rate = u32::try_from(rate).unwrap_or(u32::MAX);
    }
    let words = [("reject", EncodedSlash::Reject), ("keep", EncodedSlash::Keep)];
    if let Some(slash) = section.take("encoded_slash").and_then(|taken| reader.choice(&taken, &words)) {
        limits.encoded_slash = slash;
    }
    reader.finish(&section);
    limits
}

/// Reads `admin`.
pub(super) fn admin(reader: &mut Reader<'_>, node: &Node) -> AdminSettings {
    let mut section = reader.section(node, "admin");
    let taken = section.take("listen");
    let listen = taken.as_ref().and_then(|taken| address(reader, taken));
    let listen = listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 9901)));
    let token = secret(reader, &mut section, "token", "token_file");
    reader.finish(&section);
    let settings = AdminSettings { listen, token };
    if let Some(taken) = taken.filter(|_| settings.is_open()) {
        let says = "the admin listener can be reached from outside and asks for no token";
        reader.fault(taken.node.at, &taken.path, says, "set `admin.token`, or listen on 127.0.0.1");
    }
    settings
}

/// A secret from its key or from the file that `*_file` names; an empty one is none.
pub(super) fn secret(
    reader: &mut Reader<'_>,
    section: &mut Section,
    name: &'static str,
    file: &'static str,
) -> Option<Secret> {
    let direct = section.take(name).and_then(|taken| reader.text(&taken));
    let from_file =
        section.take(file).and_then(|taken| secret_file(reader, &taken)).map(|s| s.expose().to_owned());
    from_file.or(direct).filter(|text| !text.is_empty()).map(Secret::new)
}

/// A secret that stands alone in a file.
pub(super) fn secret_file(reader: &mut Reader<'_>, taken: &Taken) -> Option<Secret> {
    let bytes = reader.file(taken)?;
    let Ok(text) = String::from_utf8(bytes) else {
        reader.fault(taken.node.at, &taken.path, "the file is no text", "put the secret alone into it");
        return None;
    };
    Some(Secret::new(text.trim_end_matches(['\r', '\n'])))
}

/// Reads `store`, under `REDIS_URL` and `REDIS_PASSWORD` of the environment.
pub(super) fn store(reader: &mut Reader<'_>, node: &Node, env: &Env) -> StoreSettings {
    let mut settings = StoreSettings::default();
    let mut section = reader.section(node, "store");
    let password = secret(reader, &mut section, "password", "password_file");
    let password = env.get("REDIS_PASSWORD").map(Secret::new).or(password);
    let taken = section.take("url");
    let text = taken.as_ref().and_then(|taken| Some((reader.text(taken)?, taken.clone())));
    let text = match env.get("REDIS_URL") {
        Some(url) => {
            let path = "store.url (REDIS_URL)".to_owned();
            Some((url.to_owned(), Taken { path, node: node.clone(), key_at: node.at }))
        }
        None => text,
    };
    if let Some((text, taken)) = text {
        settings.url = url(reader, &taken, &text, password.as_ref());
    }
    if let Some(taken) = section.take("cache_url")
        && let Some(text) = reader.text(&taken).filter(|text| !text.is_empty())
    {
        settings.cache_url = Some(url(reader, &taken, &text, password.as_ref()));
    }
    if let Some(taken) = section.take("timeout")
        && let Some(timeout) = reader.duration(&taken)
    {
        if timeout.is_zero() || timeout > Duration::from_secs(1) {
            reader.fault(
                taken.node.at,
                &taken.path,
                "a store call takes 1ms to 1s",
                "write a duration in that range",
            );
        }
        settings.timeout = timeout;
    }
    if let Some(prefix) = section.take("prefix").and_then(|taken| reader.name(&taken)) {
        settings.prefix = prefix;
    }
    deny_cache(reader, section.take("deny_cache"), &mut settings);
    memory(reader, section.take("memory"), &mut settings);
    reader.finish(&section);
    settings
}

fn deny_cache(reader: &mut Reader<'_>, taken: Option<Taken>, settings: &mut StoreSettings) {
    let Some(taken) = taken else { return };
    let mut section = reader.section(&taken.node, &taken.path);
    let entries = section.take("entries").and_then(|taken| reader.number(&taken, 0, 10_000_000));
    if let Some(entries) = entries.and_then(|entries| usize::try_from(entries).ok()) {
        settings.deny_cache_entries = entries;
    }
    if let Some(life) = section.take("life").and_then(|taken| reader.duration(&taken)) {
        settings.deny_cache_life = life;
    }
    reader.finish(&section);
}

fn memory(reader: &mut Reader<'_>, taken: Option<Taken>, settings: &mut StoreSettings) {
    let Some(taken) = taken else { return };
    let mut section = reader.section(&taken.node, &taken.path);
    if let Some(bytes) = section.take("cache").and_then(|taken| reader.size(&taken)) {
        settings.memory_cache_bytes = bytes;
    }
    if let Some(bytes) = section.take("limits").and_then(|taken| reader.size(&taken)) {
        settings.memory_limits_bytes = bytes;
    }
    if let Some(taken) = section.take("snapshot") {
        settings.memory_snapshot = reader.path(&taken);
        if settings.url != StoreUrl::Memory {
            let remedy = "remove it, or count in this process (`store.url: \"memory:\"`)";
            reader.warn(taken.key_at, &taken.path, "counts are in Redis, it is not used", remedy);
        }
    }
    reader.finish(&section);
}

fn url(reader: &mut Reader<'_>, taken: &Taken, text: &str, password: Option<&Secret>) -> StoreUrl {
    if text.is_empty() || text == "memory:" {
        return StoreUrl::Memory;
    }
    let Some(scheme) = REDIS_SCHEMES.iter().find(|scheme| text.starts_with(**scheme)) else {
        let remedy = format!("write `memory:` or a URL that begins with {}", REDIS_SCHEMES.join(", "));
        // The text may hold a password: it is not repeated.
        reader.fault(taken.node.at, &taken.path, "the URL's scheme is not known", remedy);
        return StoreUrl::Memory;
    };
    if scheme.ends_with("-sentinel://") && !text.contains("sentinelServiceName=") {
        let says = "the URL names sentinels, but not the primary that they watch";
        let remedy = "add `?sentinelServiceName=NAME`, and further sentinels as `&node=HOST:PORT`";
        reader.fault(taken.node.at, &taken.path, says, remedy);
    }
    let rest = text.strip_prefix(scheme).unwrap_or("");
    let with_password = match password {
        Some(password) if !rest.contains('@') => {
            format!("{scheme}:{}@{rest}", percent_encoded(password.expose()))
        }
        _ => text.to_owned(),
    };
    StoreUrl::Redis(Secret::new(with_password))
}

/// A password in a URL (RFC 3986 section 2.1): everything but unreserved characters encoded.
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}
