//! The section `upstreams`: named sets of servers.

use crate::config::reader::{Reader, Section, Taken};
use crate::config::tree::{Kind, Node};
use crate::config::upstream_tls::upstream_tls;
use crate::upstream::{Balance, BreakerSettings, HealthSettings, ServerAddress, UpstreamSettings};
use std::sync::Arc;
use std::time::Duration;

/// Reads `upstreams`.
pub(super) fn upstreams(reader: &mut Reader<'_>, node: &Node) -> Vec<Arc<UpstreamSettings>> {
    let mut section = reader.section(node, "upstreams");
    let mut upstreams = Vec::new();
    for (key, taken) in section.take_all() {
        if !crate::config::policies::is_name(&key.name) {
            let remedy = "use letters, digits, `_` and `-`";
            reader.fault(key.at, &taken.path, format!("`{}` is no name for an upstream", key.name), remedy);
        }
        if let Some(upstream) = upstream(reader, &key.name, &taken) {
            upstreams.push(Arc::new(upstream));
        }
    }
    upstreams
}

/// An upstream of one server with the defaults: the short form, and `run --upstream`.
pub(super) fn simple(name: &str, server: ServerAddress) -> UpstreamSettings {
    UpstreamSettings {
        name: name.into(),
        servers: vec![server],
        balance: Balance::RoundRobin,
        connect_timeout: Duration::from_secs(2),
        response_timeout: Duration::from_secs(30),
        health: None,
        breaker: Some(BreakerSettings { failures: 5, open: Duration::from_secs(10) }),
        retries: 1,
        tls: None,
        http2: false,
        idle_timeout: Duration::from_secs(4),
    }
}

fn upstream(reader: &mut Reader<'_>, name: &str, taken: &Taken) -> Option<UpstreamSettings> {
    if let Kind::Scalar(_) = taken.node.kind {
        return server(reader, taken).map(|server| simple(name, server));
    }
    let mut section = reader.section(&taken.node, &taken.path);
    let servers = match section.take("servers") {
        Some(taken) => servers(reader, &taken),
        None => {
            reader.fault(taken.key_at, &taken.path, "`servers` is missing", "add `servers: [HOST:PORT]`");
            Vec::new()
        }
    };
    let settings = servers.first().cloned().map(|first| {
        let mut settings = simple(name, first);
        settings.servers.clone_from(&servers);
        settings
    });
    // Read the rest even without servers: all faults at once.
    let placeholder = ServerAddress { host: "".into(), port: 0 };
    let mut settings = settings.unwrap_or_else(|| simple(name, placeholder));
    details(reader, &mut section, &mut settings);
    reader.finish(&section);
    (!servers.is_empty()).then_some(settings)
}

fn details(reader: &mut Reader<'_>, section: &mut Section, settings: &mut UpstreamSettings) {
    let balances = [("round_robin", Balance::RoundRobin), ("least_requests", Balance::LeastRequests)];
    if let Some(balance) = section.take("balance").and_then(|taken| reader.choice(&taken, &balances)) {
        settings.balance = balance;
    }
    if let Some(timeout) = positive(reader, section, "connect_timeout") {
        settings.connect_timeout = timeout;
    }
    if let Some(timeout) = positive(reader, section, "response_timeout") {
        settings.response_timeout = timeout;
    }
    if let Some(timeout) = positive(reader, section, "idle_timeout") {
        settings.idle_timeout = timeout;
    }
    if let Some(taken) = section.take("health") {
        settings.health = health(reader, &taken);
    }
    if let Some(taken) = section.take("breaker") {
        settings.breaker = Some(breaker(reader, &taken));
    }
    if let Some(retries) = section.take("retries").and_then(|taken| reader.number(&taken, 0, 10)) {
        settings.retries = u32::try_from(retries).unwrap_or(0);
    }
    if let Some(taken) = section.take("tls") {
        settings.tls = upstream_tls(reader, &taken);
    }
    if let Some(http2) = section.take("http2").and_then(|taken| reader.flag(&taken)) {
        settings.http2 = http2;
    }
}

fn positive(reader: &mut Reader<'_>, section: &mut Section, name: &'static str) -> Option<Duration> {
    let taken = section.take(name)?;
    let duration = reader.duration(&taken)?;
    if duration.is_zero() {
        reader.fault(taken.node.at, &taken.path, "no time at all", "write a duration above 0, such as 2s");
    }
    Some(duration)
}

fn servers(reader: &mut Reader<'_>, taken: &Taken) -> Vec<ServerAddress> {
    let items = reader.list(taken);
    let servers: Vec<ServerAddress> = items.iter().filter_map(|item| server(reader, item)).collect();
    if items.is_empty() {
        reader.fault(taken.node.at, &taken.path, "no server is named", "write at least one HOST:PORT");
    }
    servers
}

fn server(reader: &mut Reader<'_>, taken: &Taken) -> Option<ServerAddress> {
    let text = reader.name(taken)?;
    let parsed = parse_server(&text);
    if parsed.is_none() {
        let remedy = "write HOST:PORT, such as 127.0.0.1:8000, api.internal:80 or [::1]:8000";
        reader.fault(taken.node.at, &taken.path, format!("`{text}` is no server"), remedy);
    }
    parsed
}

/// Reads `HOST:PORT`; a leading `http://` is as good as none.
#[must_use]
pub fn parse_server(text: &str) -> Option<ServerAddress> {
    let text = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse::<u16>().ok().filter(|port| *port > 0)?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').filter(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())?,
        None if host.contains(':') => return None,
        None => host,
    };
    let is_fitting = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    (!host.is_empty() && host.bytes().all(is_fitting)).then(|| ServerAddress { host: host.into(), port })
}

fn health(reader: &mut Reader<'_>, taken: &Taken) -> Option<HealthSettings> {
    let mut section = reader.section(&taken.node, &taken.path);
    let path = section.take("path").and_then(|taken| {
        let path = reader.name(&taken)?;
        if !path.starts_with('/') {
            reader.fault(taken.node.at, &taken.path, format!("`{path}` is no path"), "begin it with `/`");
        }
        Some(path)
    });
    let every = positive(reader, &mut section, "every").unwrap_or(Duration::from_secs(5));
    reader.finish(&section);
    if path.is_none() {
        reader.fault(taken.key_at, &taken.path, "`path` is missing", "add `path: /healthz`");
    }
    path.map(|path| HealthSettings { path: path.into(), every })
}

fn breaker(reader: &mut Reader<'_>, taken: &Taken) -> BreakerSettings {
    let mut section = reader.section(&taken.node, &taken.path);
    let failures = section.take("failures").and_then(|taken| reader.number(&taken, 1, 1_000_000));
    let open = positive(reader, &mut section, "open").unwrap_or(Duration::from_secs(10));
    reader.finish(&section);
    BreakerSettings { failures: failures.and_then(|n| u32::try_from(n).ok()).unwrap_or(5), open }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_in_every_spelling() {
        let text = |text| parse_server(text).map(|server| format!("{} {}", server.host, server.port));
        assert_eq!(text("127.0.0.1:8000").as_deref(), Some("127.0.0.1 8000"));
        assert_eq!(text("[::1]:80").as_deref(), Some("::1 80"));
        assert_eq!(text("http://api.internal:80/").as_deref(), Some("api.internal 80"));
        for wrong in ["", "api", "api:", "api:0", "api:99999", "::1:80", "https://api:1", "a b:80", "[x]:80"]
        {
            assert_eq!(text(wrong), None, "{wrong}");
        }
    }
}
