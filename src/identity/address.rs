//! The client's address behind trusted proxies: `X-Forwarded-For` and `Forwarded` (RFC 7239), read from the right.
//!
//! Every proxy appends the peer it saw, so only the part right of the first untrusted address was written by somebody
//! we trust; what stands left of it is the client's invention and is never looked at.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};

/// How many hops are followed. A longer chain of trusted addresses is a loop or an attack: the peer counts then.
pub const HOPS_MAX: usize = 32;

/// The de-facto field in which proxies list addresses.
pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What a trusted peer's fields say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trail {
    /// The client's address.
    pub(super) client: IpAddr,
    /// The believed hops from the client to the one before the peer, in the order of the field; empty when nothing
    /// was believed.
    pub(super) hops: Vec<IpAddr>,
}

/// Follows the fields of a request from a trusted peer. `peer` stands for the client when there is no field or when an
/// entry that had to be believed is malformed (an obfuscated `_name` or `unknown` of RFC 7239 section 6.2 and 6.3 is
/// no address either).
pub(super) fn trail(peer: IpAddr, headers: &HeaderMap, trusted: impl Fn(IpAddr) -> bool) -> Trail {
    let followed = if headers.contains_key(X_FORWARDED_FOR) {
        follow(headers.get_all(X_FORWARDED_FOR).iter().rev().flat_map(plain_entries), trusted)
    } else {
        follow(headers.get_all(FORWARDED).iter().rev().flat_map(forwarded_entries), trusted)
    };
    match followed {
        Some(mut hops) if !hops.is_empty() => {
            hops.reverse();
            Trail { client: hops.first().copied().unwrap_or(peer), hops }
        }
        _ => Trail { client: peer, hops: Vec::new() },
    }
}

/// From the right up to the first untrusted address, or to the last one when all are trusted. `None`: malformed.
fn follow(
    entries: impl Iterator<Item = Option<IpAddr>>,
    trusted: impl Fn(IpAddr) -> bool,
) -> Option<Vec<IpAddr>> {
    let mut hops = Vec::new();
    for entry in entries {
        let address = entry?;
        if hops.len() == HOPS_MAX {
            return None;
        }
        hops.push(address);
        if !trusted(address) {
            break;
        }
    }
    Some(hops)
}

/// Entries of one `X-Forwarded-For` line from the right; empty list members do not count (RFC 9110 section 5.6.1).
fn plain_entries(line: &HeaderValue) -> Vec<Option<IpAddr>> {
    let Ok(text) = line.to_str() else { return vec![None] };
    text.rsplit(',').map(str::trim).filter(|entry| !entry.is_empty()).map(parse_address).collect()
}

/// The `for` of each element of one `Forwarded` line from the right (RFC 7239 section 4).
fn forwarded_entries(line: &HeaderValue) -> Vec<Option<IpAddr>> {
    let Ok(text) = line.to_str() else { return vec![None] };
    let elements = split_unquoted(text, ',').into_iter().rev().filter(|element| !element.is_empty());
    elements.map(element_address).collect()
}

fn element_address(element: &str) -> Option<IpAddr> {
    let mut found = None;
    for pair in split_unquoted(element, ';').into_iter().filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        if name.trim().eq_ignore_ascii_case("for") {
            // RFC 7239 section 4: a parameter occurs once per element.
            if found.is_some() {
                return None;
            }
            found = Some(parse_address(&unquote(value.trim())?)?);
        }
    }
    found
}

/// Splits at `separator` outside quoted strings and trims.
fn split_unquoted(text: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    let at_separator = |each: char| {
        if escaped {
            escaped = false;
        } else if quoted && each == '\\' {
            escaped = true;
        } else if each == '"' {
            quoted = !quoted;
        }
        each == separator && !quoted
    };
    text.split(at_separator).map(str::trim).collect()
}

/// A token as it is, or the content of a quoted string (RFC 9110 section 5.6.4).
fn unquote(value: &str) -> Option<String> {
    let Some(inner) = value.strip_prefix('"') else {
        return (!value.contains('"')).then(|| value.to_owned());
    };
    let inner = inner.strip_suffix('"')?;
    let mut out = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(each) = characters.next() {
        match each {
            '\\' => out.push(characters.next()?),
            '"' => return None,
            _ => out.push(each),
        }
    }
    Some(out)
}

/// An address with or without port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
/// IPv4 mapped into IPv6 becomes IPv4, so that one client has one spelling.
fn parse_address(text: &str) -> Option<IpAddr> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let address: Ipv6Addr = address.parse().ok()?;
        return (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
            .then(|| IpAddr::V6(address).to_canonical());
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    let (address, port) = text.split_once(':')?;
    let address: Ipv4Addr = address.parse().ok()?;
    is_port(port).then_some(IpAddr::V4(address))
}

/// Digits, or the obfuscated port of RFC 7239 section 6.
fn is_port(text: &str) -> bool {
    let is_number = (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_obfuscated = text.strip_prefix('_').is_some_and(|name| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    });
    is_number || is_obfuscated
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("address")
    }

    /// Trusts 10.0.0.0/8 and everything in `fd00::/8`.
    fn trusted(address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => v4.octets()[0] == 10,
            IpAddr::V6(v6) => v6.octets()[0] == 0xfd,
        }
    }

    fn client(name: &'static str, lines: &[&str]) -> IpAddr {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, HeaderValue::from_bytes(line.as_bytes()).expect("value"));
        }
        trail(ip("10.0.0.1"), &headers, trusted).client
    }

    fn xff(lines: &[&str]) -> IpAddr {
        client("x-forwarded-for", lines)
    }

    #[test]
    fn the_rightmost_untrusted_entry_is_the_client() {
        assert_eq!(xff(&["203.0.113.7"]), ip("203.0.113.7"));
        assert_eq!(xff(&["1.1.1.1, 203.0.113.7, 10.0.0.9"]), ip("203.0.113.7"));
        assert_eq!(xff(&["1.1.1.1", "203.0.113.7,10.0.0.9", " 10.0.0.8 "]), ip("203.0.113.7"));
        assert_eq!(xff(&["10.0.0.3, 10.0.0.2"]), ip("10.0.0.3"), "all trusted: the client is inside");
    }

    #[test]
    fn what_the_client_wrote_to_the_left_never_matters() {
        assert_eq!(xff(&["garbage, <script>, 203.0.113.7"]), ip("203.0.113.7"));
        let long = format!("{}203.0.113.7", "10.1.1.1, ".repeat(1_000));
        assert_eq!(xff(&[&long]), ip("203.0.113.7"));
    }

    #[test]
    fn a_malformed_entry_that_had_to_be_believed_leaves_the_peer() {
        for line in
            ["garbage", "203.0.113.7, nonsense", "unknown", "", " , ", "203.0.113.256", "203.0.113.7:port"]
        {
            assert_eq!(xff(&[line]), ip("10.0.0.1"), "{line}");
        }
        assert_eq!(xff(&["caf\u{e9}"]), ip("10.0.0.1"));
    }

    #[test]
    fn a_chain_without_end_leaves_the_peer() {
        let line = |hops: usize| vec!["10.1.1.1"; hops].join(",");
        assert_eq!(xff(&[&line(HOPS_MAX)]), ip("10.1.1.1"));
        assert_eq!(xff(&[&line(HOPS_MAX + 1)]), ip("10.0.0.1"));
    }

    #[test]
    fn reads_brackets_ports_and_mapped_addresses() {
        for (text, address) in [
            ("192.0.2.1:4711", "192.0.2.1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("[::ffff:192.0.2.1]:80", "192.0.2.1"),
        ] {
            assert_eq!(parse_address(text), Some(ip(address)), "{text}");
        }
        for text in
            ["", "[::1", "[::1]x", "[::1]:", "[1.2.3.4]", "1.2.3.4:", "1.2.3.4:123456", "fe80::1%eth0", "a.b"]
        {
            assert_eq!(parse_address(text), None, "{text}");
        }
    }

    #[test]
    fn reads_forwarded_as_the_rfc_shows_it() {
        let forwarded = |lines: &[&str]| client("forwarded", lines);
        assert_eq!(forwarded(&["for=192.0.2.43, for=\"[2001:db8:cafe::17]\""]), ip("2001:db8:cafe::17"));
        assert_eq!(forwarded(&["For=\"[2001:db8:cafe::17]:4711\""]), ip("2001:db8:cafe::17"));
        assert_eq!(forwarded(&["for=192.0.2.60;proto=http;by=203.0.113.43"]), ip("192.0.2.60"));
        assert_eq!(forwarded(&["for=192.0.2.60;host=\"a,b;c\\\"\", for=10.0.0.2"]), ip("192.0.2.60"));
        assert_eq!(forwarded(&["for=192.0.2.60", "for=\"10.0.0.2:_port\""]), ip("192.0.2.60"));
    }

    #[test]
    fn forwarded_without_an_address_leaves_the_peer() {
        for line in
            ["for=unknown", "for=_hidden", "proto=http", "for=\"1.2.3.4", "for", "for=1.2.3.4;for=5.6.7.8"]
        {
            assert_eq!(client("forwarded", &[line]), ip("10.0.0.1"), "{line}");
        }
    }

    #[test]
    fn forwarded_counts_only_without_x_forwarded_for() {
        let mut headers = HeaderMap::new();
        headers.insert("forwarded", HeaderValue::from_static("for=1.1.1.1"));
        headers.insert("x-forwarded-for", HeaderValue::from_static("2.2.2.2"));
        assert_eq!(trail(ip("10.0.0.1"), &headers, trusted).client, ip("2.2.2.2"));
    }

    #[test]
    fn the_trail_keeps_believed_hops_only() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("evil, 203.0.113.7, 10.0.0.9"));
        let trail = trail(ip("10.0.0.1"), &headers, trusted);
        assert_eq!(trail.hops, [ip("203.0.113.7"), ip("10.0.0.9")]);
    }

    proptest! {
        #[test]
        fn any_address_survives_its_spelling(v4 in any::<u32>(), v6 in any::<u128>(), port in any::<u16>()) {
            let (v4, v6) = (IpAddr::V4(v4.into()), IpAddr::V6(v6.into()));
            prop_assert_eq!(parse_address(&format!("{v4}:{port}")), Some(v4));
            prop_assert_eq!(parse_address(&format!("[{v6}]:{port}")), Some(v6.to_canonical()));
            prop_assert_eq!(parse_address(&v6.to_string()), Some(v6.to_canonical()));
        }

        #[test]
        fn no_field_makes_it_panic_or_invent(line in "[ -~]{0,60}", which in any::<bool>()) {
            let name = if which { "forwarded" } else { "x-forwarded-for" };
            let found = client(name, &[&line]);
            let written = |address: IpAddr| line.contains(&address.to_string()) || line.contains("::") || line.contains(':');
            prop_assert!(found == ip("10.0.0.1") || written(found));
        }
    }
}
