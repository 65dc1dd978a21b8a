//! The parts of the section `server` that keep greedy and slow clients in bounds.

use crate::config::reader::{Reader, Taken};
use crate::config::snapshot::{Connections, Http2Bounds, Listen, MemoryMark, OverloadSettings};
use crate::message::FrameBounds;
use ipnet::IpNet;
use std::time::Duration;

/// Reads `server.connections`.
pub(super) fn connections(reader: &mut Reader<'_>, taken: Option<Taken>) -> Connections {
    let mut connections = Connections {
        max: 10_000,
        per_address: 256,
        idle: Duration::from_secs(60),
        lifetime: Duration::from_secs(3_600),
        send_min_rate: 1_000,
    };
    let Some(taken) = taken else { return connections };
    let mut section = reader.section(&taken.node, &taken.path);
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    if let Some(max) = section.take("max").and_then(|taken| reader.number(&taken, 1, 10_000_000)) {
        connections.max = count(max);
    }
    if let Some(each) = section.take("per_address").and_then(|taken| reader.number(&taken, 1, 10_000_000)) {
        connections.per_address = count(each);
    }
    if let Some(idle) = section.take("idle").and_then(|taken| reader.duration(&taken)) {
        connections.idle = idle;
    }
    if let Some(taken) = section.take("lifetime")
        && let Some(lifetime) = reader.duration(&taken)
    {
        if lifetime.is_zero() {
            let remedy = "write a duration above 0, such as 1h";
            reader.fault(taken.node.at, &taken.path, "no connection could carry a request", remedy);
        }
        connections.lifetime = lifetime;
    }
    if let Some(rate) = section.take("send_min_rate").and_then(|taken| reader.number(&taken, 0, 1 << 30)) {
        connections.send_min_rate = u32::try_from(rate).unwrap_or(u32::MAX);
    }
    reader.finish(&section);
    connections
}

/// Reads `server.http2`.
pub(super) fn http2(reader: &mut Reader<'_>, taken: Option<Taken>) -> Http2Bounds {
    let mut bounds = Http2Bounds { streams: 100, frames: FrameBounds::DEFAULT };
    let Some(taken) = taken else { return bounds };
    let mut section = reader.section(&taken.node, &taken.path);
    let mut number = |reader: &mut Reader<'_>, name, slot: &mut u32| {
        let number = section.take(name).and_then(|taken| reader.number(&taken, 1, 1_000_000));
        if let Some(number) = number.and_then(|number| u32::try_from(number).ok()) {
            *slot = number;
        }
    };
    number(reader, "streams", &mut bounds.streams);
    number(reader, "resets", &mut bounds.frames.resets);
    number(reader, "settings", &mut bounds.frames.settings);
    number(reader, "pings", &mut bounds.frames.pings);
    reader.finish(&section);
    bounds
}

/// Reads `server.overload`.
pub(super) fn overload(reader: &mut Reader<'_>, taken: Option<Taken>) -> OverloadSettings {
    let mut settings = OverloadSettings::default();
    let Some(taken) = taken else { return settings };
    let mut section = reader.section(&taken.node, &taken.path);
    if let Some(taken) = section.take("memory") {
        settings.memory = match reader.text(&taken).as_deref() {
            None | Some("auto") => MemoryMark::Auto,
            Some("off" | "false") => MemoryMark::Off,
            Some(_) => reader.size(&taken).map_or(MemoryMark::Auto, MemoryMark::Bytes),
        };
    }
    if let Some(requests) = section.take("requests").and_then(|taken| reader.number(&taken, 1, 10_000_000)) {
        settings.requests = usize::try_from(requests).ok();
    }
    reader.finish(&section);
    settings
}

/// The header says who the client is, so somebody must be trusted to say it.
pub(super) fn check_proxy_protocol(
    reader: &mut Reader<'_>,
    taken: &Taken,
    listen: &[Listen],
    trusted: &[IpNet],
) {
    if trusted.is_empty() && listen.iter().any(|listen| listen.proxy_protocol) {
        let says = "a listener expects PROXY protocol headers, but no proxy is trusted to send them";
        reader.fault(taken.node.at, &taken.path, says, "list the proxies in `server.trusted_proxies`");
    }
}
