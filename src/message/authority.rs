//! `uri-host [ ":" port ]` (RFC 9110 section 4.2.3, RFC 3986 section 3.2): grammar and normal form.

use std::net::Ipv6Addr;

/// The normal form: host in lower case without final dot, port without leading zeros and only when it is not the
/// scheme's default (RFC 3986 section 6.2.3); `None` for what is no authority of HTTP. User information is none
/// (RFC 9110 section 4.2.4).
///
/// Commas are sub-delims of a registered name by the grammar, but two joined `Host` lines look just like that, so
/// they are refused, as are percent-encoded names, which no client sends and two parties decode differently.
#[must_use]
pub fn normal_authority(text: &str, scheme: &str) -> Option<String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            (format!("[{}]", address.parse::<Ipv6Addr>().ok()?), port)
        }
        None => {
            let (host, port) = text.split_at_checked(text.find(':').unwrap_or(text.len()))?;
            (registered_name(host)?, port)
        }
    };
    match port.strip_prefix(':') {
        None => port.is_empty().then_some(host),
        // RFC 3986 section 6.2.3: an empty port is the default.
        Some("") => Some(host),
        Some(digits) => {
            let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            let port: u16 = digits.parse().ok().filter(|_| is_plain)?;
            let is_default = port == if scheme == "https" { 443 } else { 80 };
            Some(if is_default { host } else { format!("{host}:{port}") })
        }
    }
}

fn registered_name(host: &str) -> Option<String> {
    let host = host.strip_suffix('.').unwrap_or(host);
    // With a second final dot the normal form would have another normal form.
    let host = Some(host).filter(|host| !host.ends_with('.'))?;
    let is_fitting = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=".contains(&byte);
    (!host.is_empty() && host.bytes().all(is_fitting)).then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_host_has_one_spelling() {
        for (text, expected) in [
            ("A.Example", "a.example"),
            ("a.example.", "a.example"),
            ("a.example:80", "a.example"),
            ("a.example:080", "a.example"),
            ("a.example:", "a.example"),
            ("a.example.:8080", "a.example:8080"),
            ("[::1]:80", "[::1]"),
            ("[2001:DB8:0:0::1]", "[2001:db8::1]"),
            ("a_b.example", "a_b.example"),
        ] {
            assert_eq!(normal_authority(text, "http").as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn only_the_ports_of_the_own_scheme_are_default() {
        assert_eq!(normal_authority("a:443", "https").as_deref(), Some("a"));
        assert_eq!(normal_authority("a:443", "http").as_deref(), Some("a:443"));
        assert_eq!(normal_authority("a:80", "https").as_deref(), Some("a:80"));
    }

    #[test]
    fn what_is_no_authority_is_refused() {
        for text in [
            "",
            ".",
            ":80",
            "a b",
            "a/b",
            "a,b",
            "a:b",
            "a:99999",
            "a:+1",
            "a:-1",
            "u@a",
            "u:p@a",
            "[::1",
            "[::1]x",
            "[::g]",
            "[1.2.3.4]",
            "a:80:80",
            "a\u{0}",
            "caf\u{e9}",
            "a%2eb",
            "a?b",
            "a#b",
            "a\\b",
            "http://a",
            "a..",
            "..",
        ] {
            assert_eq!(normal_authority(text, "http"), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn normal_forms_are_fixed_points(text in "[a-zA-Z0-9.\\[\\]:_-]{0,24}|\\[[0-9a-fA-F:.]{2,20}\\](:[0-9]{0,5})?") {
            for scheme in ["http", "https"] {
                if let Some(once) = normal_authority(&text, scheme) {
                    // A name that ends in two dots loses one a time.
                    prop_assert_eq!(normal_authority(&once, scheme), Some(once.clone()));
                }
            }
        }
    }
}
